#include "tests/tools/sim_disk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

enum { NAMES_MAX = 256, FILES_MAX = 32, SECTOR = 512, RECORD_MAGIC = 4 };
static const char record_magic[RECORD_MAGIC] = { 1, 'r', 'e', 'c' };

enum kind { ENTRY_CREATE, ENTRY_REMOVE, ENTRY_WRITE, ENTRY_CUT, ENTRY_SYNC, ENTRY_SYNC_NAMES };

struct entry {
	enum kind kind;
	char name[32];         /* of create and remove */
	size_t inode;
	uint64_t offset;       /* of a write; the length of a cut */
	bool dropped;          /* a sync failed: no later one makes it durable */
	struct buf bytes;
};

struct sim_disk {
	pthread_mutex_t lock;
	struct buf *inodes;    /* contents; they stay when their last name goes */
	size_t n_inodes, inodes_room;
	struct {
		char name[32]; /* "": free */
		size_t inode;
	} names[NAMES_MAX];
	struct {
		bool used;
		size_t inode;
	} files[FILES_MAX];
	struct entry *log;
	size_t n_log, log_room;
	uint64_t room, bytes_read;
	bool fail_syncs;
	const char *full_file;
	void (*before_records)(void *context);
	void *context;
};

uint64_t sim_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

struct sim_disk *sim_disk_create(void)
{
	struct sim_disk *d = mem_zero(1, sizeof *d);
	(void)pthread_mutex_init(&d->lock, NULL);
	d->room = UINT64_MAX;
	return d;
}

void sim_disk_destroy(struct sim_disk *d)
{
	for (size_t i = 0; i < d->n_inodes; i++)
		buf_finish(&d->inodes[i]);
	for (size_t i = 0; i < d->n_log; i++)
		buf_finish(&d->log[i].bytes);
	(void)pthread_mutex_destroy(&d->lock);
	free(d->inodes);
	free(d->log);
	free(d);
}

static struct entry *log_add(struct sim_disk *d, enum kind kind, size_t inode)
{
	if (d->n_log == d->log_room) {
		d->log_room = d->log_room ? d->log_room * 2 : 64;
		d->log = mem_resize(d->log, d->log_room * sizeof *d->log);
	}
	d->log[d->n_log] = (struct entry){ .kind = kind, .inode = inode };
	return &d->log[d->n_log++];
}

static void set_name(char *to, const char *name)
{
	assert(strlen(name) < 32);
	memcpy(to, name, strlen(name) + 1);
}

static int name_find(const struct sim_disk *d, const char *name)
{
	for (int i = 0; i < NAMES_MAX; i++)
		if (strcmp(d->names[i].name, name) == 0)
			return i;
	return -1;
}

static void name_set(struct sim_disk *d, const char *name, size_t inode)
{
	int i = name_find(d, name);
	if (i < 0)
		i = name_find(d, "");
	assert(i >= 0);
	set_name(d->names[i].name, name);
	d->names[i].inode = inode;
}

static void name_clear(struct sim_disk *d, const char *name)
{
	int i = name_find(d, name);
	if (i >= 0)
		d->names[i].name[0] = 0;
}

static size_t inode_add(struct sim_disk *d)
{
	if (d->n_inodes == d->inodes_room) {
		d->inodes_room = d->inodes_room ? d->inodes_room * 2 : 64;
		d->inodes = mem_resize(d->inodes, d->inodes_room * sizeof *d->inodes);
	}
	d->inodes[d->n_inodes] = (struct buf){ 0 };
	return d->n_inodes++;
}

static void content_resize(struct buf *content, uint64_t len)
{
	if (len > content->len) {
		buf_reserve(content, len - content->len);
		memset(content->ptr + content->len, 0, len - content->len);
	}
	content->len = len;
}

static void content_write(struct buf *content, uint64_t offset, const char *bytes, size_t len)
{
	if (offset + len > content->len)
		content_resize(content, offset + len);
	if (len)
		memcpy(content->ptr + offset, bytes, len);
}

static int sim_open(void *disk, const char *name, bool create)
{
	struct sim_disk *d = disk;
	int file = 0, r = 0;
	(void)pthread_mutex_lock(&d->lock);
	int i = name_find(d, name);
	while (file < FILES_MAX && d->files[file].used)
		file++;
	assert(file < FILES_MAX);
	if (create ? i >= 0 : i < 0)
		r = create ? -EEXIST : -ENOENT;
	else if (create && d->room == 0)
		r = -ENOSPC;
	if (r == 0 && create) {
		size_t inode = inode_add(d);
		set_name(log_add(d, ENTRY_CREATE, inode)->name, name);
		name_set(d, name, inode);
		i = name_find(d, name);
	}
	if (r == 0) {
		d->files[file].used = true;
		d->files[file].inode = d->names[i].inode;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return r < 0 ? r : file;
}

static void sim_close(void *disk, int file)
{
	struct sim_disk *d = disk;
	(void)pthread_mutex_lock(&d->lock);
	assert(d->files[file].used);
	d->files[file].used = false;
	(void)pthread_mutex_unlock(&d->lock);
}

static ssize_t sim_read(void *disk, int file, void *bytes, size_t room, uint64_t offset)
{
	struct sim_disk *d = disk;
	size_t n = 0;
	(void)pthread_mutex_lock(&d->lock);
	assert(d->files[file].used);
	const struct buf *content = &d->inodes[d->files[file].inode];
	if (offset < content->len) {
		n = content->len - offset < room ? content->len - offset : room;
		memcpy(bytes, content->ptr + offset, n);
		d->bytes_read += n;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return (ssize_t)n;
}

/* What all named or open files take. */
static uint64_t used(const struct sim_disk *d)
{
	uint64_t bytes = 0;
	for (size_t inode = 0; inode < d->n_inodes; inode++) {
		bool held = false;
		for (int i = 0; i < NAMES_MAX && !held; i++)
			held = d->names[i].name[0] && d->names[i].inode == inode;
		for (int i = 0; i < FILES_MAX && !held; i++)
			held = d->files[i].used && d->files[i].inode == inode;
		bytes += held ? d->inodes[inode].len : 0;
	}
	return bytes;
}

static int sim_write(void *disk, int file, struct iovec *parts, int n, uint64_t offset)
{
	struct sim_disk *d = disk;
	struct buf joined = { 0 };
	int r = 0;
	for (int i = 0; i < n; i++)
		buf_add(&joined, parts[i].iov_base, parts[i].iov_len);
	if (d->before_records && joined.len > RECORD_MAGIC && memcmp(joined.ptr, record_magic, RECORD_MAGIC) == 0)
		d->before_records(d->context);
	(void)pthread_mutex_lock(&d->lock);
	assert(d->files[file].used);
	size_t inode = d->files[file].inode;
	int full = d->full_file ? name_find(d, d->full_file) : -1;
	if (full >= 0 && d->names[full].inode == inode) {
		(void)pthread_mutex_unlock(&d->lock);
		buf_finish(&joined);
		return -ENOSPC;
	}
	struct buf *content = &d->inodes[inode];
	uint64_t grows = offset + joined.len > content->len ? offset + joined.len - content->len : 0;
	if (d->room != UINT64_MAX && grows) {
		uint64_t free_bytes = d->room > used(d) ? d->room - used(d) : 0;
		if (grows > free_bytes) { /* what fits is written, as on a real disk */
			joined.len -= grows - free_bytes;
			r = -ENOSPC;
		}
	}
	content_write(content, offset, joined.ptr, joined.len);
	struct entry *entry = log_add(d, ENTRY_WRITE, inode);
	entry->offset = offset;
	entry->bytes = joined;
	(void)pthread_mutex_unlock(&d->lock);
	return r;
}

static int sim_cut(void *disk, int file, uint64_t bytes)
{
	struct sim_disk *d = disk;
	(void)pthread_mutex_lock(&d->lock);
	size_t inode = d->files[file].inode;
	content_resize(&d->inodes[inode], bytes);
	log_add(d, ENTRY_CUT, inode)->offset = bytes;
	(void)pthread_mutex_unlock(&d->lock);
	return 0;
}

/* As Linux has it: what could not be written is clean from then on, there to be read, and no later sync writes it. */
static void drop_unsynced(struct sim_disk *d, size_t inode)
{
	for (size_t i = d->n_log; i-- > 0 && !(d->log[i].kind == ENTRY_SYNC && d->log[i].inode == inode);)
		if (d->log[i].kind == ENTRY_WRITE && d->log[i].inode == inode)
			d->log[i].dropped = true;
}

static int sim_sync(void *disk, int file)
{
	struct sim_disk *d = disk;
	(void)pthread_mutex_lock(&d->lock);
	bool fail = d->fail_syncs;
	if (fail)
		drop_unsynced(d, d->files[file].inode);
	else
		(void)log_add(d, ENTRY_SYNC, d->files[file].inode);
	(void)pthread_mutex_unlock(&d->lock);
	return fail ? -EIO : 0;
}

static int sim_sync_names(void *disk)
{
	struct sim_disk *d = disk;
	(void)pthread_mutex_lock(&d->lock);
	bool fail = d->fail_syncs;
	if (!fail)
		(void)log_add(d, ENTRY_SYNC_NAMES, 0);
	(void)pthread_mutex_unlock(&d->lock);
	return fail ? -EIO : 0;
}

static int sim_remove(void *disk, const char *name)
{
	struct sim_disk *d = disk;
	(void)pthread_mutex_lock(&d->lock);
	bool found = name_find(d, name) >= 0;
	if (found) {
		name_clear(d, name);
		set_name(log_add(d, ENTRY_REMOVE, 0)->name, name);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return found ? 0 : -ENOENT;
}

static int sim_list(void *disk, void (*found)(void *, const char *, uint64_t), void *context)
{
	struct sim_disk *d = disk;
	for (int i = 0; i < NAMES_MAX; i++)
		if (d->names[i].name[0])
			found(context, d->names[i].name, d->inodes[d->names[i].inode].len);
	return 0;
}

static void sim_leave(void *disk)
{
	struct sim_disk *d = disk;
	for (int i = 0; i < FILES_MAX; i++)
		assert(!d->files[i].used); /* the spool closes what it opens */
}

struct spool_files sim_disk_files(struct sim_disk *d)
{
	return (struct spool_files){
		.disk = d,
		.open = sim_open,
		.close = sim_close,
		.read = sim_read,
		.write = sim_write,
		.cut = sim_cut,
		.sync = sim_sync,
		.sync_names = sim_sync_names,
		.remove = sim_remove,
		.list = sim_list,
		.leave = sim_leave,
	};
}

void sim_disk_set_room(struct sim_disk *d, uint64_t bytes)
{
	d->room = bytes;
}

void sim_disk_fail_syncs(struct sim_disk *d, bool fail)
{
	d->fail_syncs = fail;
}

void sim_disk_fill(struct sim_disk *d, const char *name)
{
	d->full_file = name;
}

void sim_disk_before_records(struct sim_disk *d, void (*call)(void *context), void *context)
{
	d->before_records = call;
	d->context = context;
}

uint64_t sim_disk_bytes_read(const struct sim_disk *d)
{
	return d->bytes_read;
}

size_t sim_disk_log_length(const struct sim_disk *d)
{
	return d->n_log;
}

size_t sim_disk_log_bytes(const struct sim_disk *d, size_t entry)
{
	return d->log[entry].kind == ENTRY_WRITE ? d->log[entry].bytes.len : 0;
}

static void apply(struct sim_disk *image, const struct entry *e, size_t bytes)
{
	switch (e->kind) {
	case ENTRY_CREATE:
		name_set(image, e->name, e->inode);
		break;
	case ENTRY_REMOVE:
		name_clear(image, e->name);
		break;
	case ENTRY_WRITE:
		content_write(&image->inodes[e->inode], e->offset, e->bytes.ptr, bytes);
		break;
	case ENTRY_CUT:
		content_resize(&image->inodes[e->inode], e->offset);
		break;
	case ENTRY_SYNC:
	case ENTRY_SYNC_NAMES:
		break;
	}
}

static struct sim_disk *image_create(const struct sim_disk *d)
{
	struct sim_disk *image = sim_disk_create();
	while (image->n_inodes < d->n_inodes)
		(void)inode_add(image);
	return image;
}

/* The image's files are all that is left: as durable as if a test had put them there. */
static struct sim_disk *image_settle(struct sim_disk *image)
{
	struct sim_disk *settled = sim_disk_create();
	for (int i = 0; i < NAMES_MAX; i++)
		if (image->names[i].name[0]) {
			const struct buf *content = &image->inodes[image->names[i].inode];
			sim_disk_put(settled, image->names[i].name, content->ptr, content->len);
		}
	sim_disk_destroy(image);
	return settled;
}

struct sim_disk *sim_disk_cut(const struct sim_disk *d, size_t entry, size_t bytes)
{
	struct sim_disk *image = image_create(d);
	for (size_t i = 0; i < entry; i++)
		apply(image, &d->log[i], d->log[i].bytes.len);
	if (bytes)
		apply(image, &d->log[entry], bytes);
	return image_settle(image);
}

/* Is there a sync after entry i and before `end` that made it durable? */
static bool synced(const struct sim_disk *d, size_t i, size_t end)
{
	bool of_names = d->log[i].kind == ENTRY_CREATE || d->log[i].kind == ENTRY_REMOVE;
	if (d->log[i].dropped)
		return false;
	for (size_t j = i + 1; j < end; j++)
		if (of_names ? d->log[j].kind == ENTRY_SYNC_NAMES :
			       d->log[j].kind == ENTRY_SYNC && d->log[j].inode == d->log[i].inode)
			return true;
	return false;
}

/* A write of which each sector is there, or is not, or (beyond the old end) is rubbish. */
static void apply_some(struct sim_disk *image, const struct entry *e, unsigned keep_of_8, uint64_t *seed)
{
	struct buf *content = &image->inodes[e->inode];
	for (size_t at = 0, len; at < e->bytes.len; at += len) {
		uint64_t offset = e->offset + at;
		len = SECTOR - offset % SECTOR;
		if (len > e->bytes.len - at)
			len = e->bytes.len - at;
		if (sim_random(seed) % 8 < keep_of_8) {
			content_write(content, offset, e->bytes.ptr + at, len);
		} else if (offset + len > content->len) {
			uint64_t what = sim_random(seed) % 4;
			uint64_t old = content->len;
			if (what == 0)
				continue;
			content_resize(content, offset + len);
			for (uint64_t i = old > offset ? old : offset; what == 1 && i < offset + len; i++)
				content->ptr[i] = (char)sim_random(seed);
		}
	}
}

struct sim_disk *sim_disk_lose(const struct sim_disk *d, size_t entry, uint64_t *seed)
{
	static const unsigned often[] = { 0, 1, 4, 7, 8 };
	struct sim_disk *image = image_create(d);
	unsigned keep_of_8 = often[sim_random(seed) % 5], keep_names_of_8 = often[sim_random(seed) % 5];
	for (size_t i = 0; i < entry; i++) {
		const struct entry *e = &d->log[i];
		if (synced(d, i, entry))
			apply(image, e, e->bytes.len);
		else if (e->kind == ENTRY_WRITE)
			apply_some(image, e, keep_of_8, seed);
		else if (sim_random(seed) % 8 < (e->kind == ENTRY_CUT ? keep_of_8 : keep_names_of_8))
			apply(image, e, 0);
	}
	return image_settle(image);
}

char *sim_disk_bytes(struct sim_disk *d, const char *name, size_t *ret_len)
{
	int i = name_find(d, name);
	if (i < 0)
		return NULL;
	struct buf *content = &d->inodes[d->names[i].inode];
	*ret_len = content->len;
	return content->ptr;
}

void sim_disk_put(struct sim_disk *d, const char *name, const void *bytes, size_t len)
{
	struct spool_files files = sim_disk_files(d);
	struct iovec part = { (void *)bytes, len };
	(void)sim_remove(d, name);
	int file = files.open(d, name, true);
	assert(file >= 0);
	int r = files.write(d, file, &part, 1, 0);
	assert(r == 0);
	(void)files.sync(d, file);
	(void)files.sync_names(d);
	files.close(d, file);
}
