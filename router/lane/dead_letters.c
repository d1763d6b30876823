/*
 * Threads: everything below `mutex` is under it. An fdatasync goes on outside it, so that it holds up no lane, but under
 * `syncing`: a second caller must not return before what the first has taken on is durable. Only the file that is let go, since
 * it was moved away, is synced under the mutex.
 */
#include "router/lane/dead_letters.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "router/base/base64.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/tail.h"
#include "router/event/text.h"

enum { PART_MAX = 64 * 1024, FOLDER_MODE = 0700, FILE_MODE = 0640 };

struct dead_letters {
	char *folder, *path;
	uint64_t bytes_max;
	pthread_mutex_t syncing;

	pthread_mutex_t mutex;
	int fd;            /* -1: none was opened yet */
	dev_t device;
	ino_t inode;
	uint64_t size;     /* of whole lines */
	uint64_t synced;   /* how much of it survives power loss */
	uint64_t changes;  /* how often the path led to another file, or somebody cut this one */
	uint64_t count;
	int sync_failed;   /* -errno that stays: the kernel forgets what it could not write */
};

static int open_failed(struct err *err, const char *path, int code)
{
	(void)err_at(err, path, 0, 0, "the dead letters cannot be opened: %s",
		code == -EBADMSG ? "it does not hold lines of JSON" : strerror(-code));
	return code;
}

/* The file at the path, without a torn line and with a durable name: a descriptor, or -errno. */
static int open_path(const struct dead_letters *d, struct stat *ret_st)
{
	uint64_t cut;
	int r = io_make_folders(d->folder, FOLDER_MODE);
	if (r < 0)
		return r;
	_close_ int fd = open(d->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return -errno;
	r = tail_cut(fd, &cut);
	if (r < 0 || (r = io_sync_folder(d->folder)) < 0)
		return r;
	return fstat(fd, ret_st) ? -errno : TAKE_FD(fd);
}

/* The size is not what was written here: somebody cut the file, or a write left a part of a line. What is whole counts. */
static int measure(struct dead_letters *d)
{
	struct stat st;
	uint64_t cut;
	if (fstat(d->fd, &st))
		return -errno;
	if ((uint64_t)st.st_size == d->size)
		return 0;
	int r = tail_cut(d->fd, &cut);
	if (r < 0)
		return r;
	if (fstat(d->fd, &st))
		return -errno;
	if ((uint64_t)st.st_size < d->size) {
		d->synced = 0;
		d->changes++;
	}
	d->size = (uint64_t)st.st_size;
	return 0;
}

static int copy(int from, uint64_t start, uint64_t end, int to)
{
	_free_ char *part = mem_zero(1, PART_MAX);
	int r = 0;
	while (r == 0 && start < end) {
		ssize_t n = pread(from, part, end - start < PART_MAX ? end - start : PART_MAX, (off_t)start);
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EIO : io_write(to, part, (size_t)n);
		start += n > 0 ? (uint64_t)n : 0;
	}
	return r;
}

/* What a removed file held, and nobody had made durable, goes on in the new one, behind its `*size` bytes: all or nothing. */
static int carry_over(struct dead_letters *d, int to, uint64_t *size)
{
	int r = measure(d);
	const uint64_t len = d->size - d->synced;
	if (r < 0 || !len)
		return r;
	if (len > d->bytes_max || *size > d->bytes_max - len)
		return -ENOSPC;
	r = copy(d->fd, d->synced, d->size, to);
	if (r < 0)
		(void)!ftruncate(to, (off_t)*size); /* else some are there twice */
	else
		*size += len;
	return r;
}

/* Nothing that is not durable yet is let go with the file: it is made so, or goes on in the new one. */
static int leave_file(struct dead_letters *d, int to, uint64_t *size)
{
	struct stat st;
	if (d->synced == d->size)
		return 0;
	if (fstat(d->fd, &st))
		return -errno;
	if (st.st_nlink == 0)
		return carry_over(d, to, size);
	return fdatasync(d->fd) ? d->sync_failed = -errno : 0;
}

static int open_file(struct dead_letters *d)
{
	struct stat st;
	_close_ int fd = open_path(d, &st);
	if (fd < 0)
		return fd;
	uint64_t size = (uint64_t)st.st_size;
	int r = leave_file(d, fd, &size);
	if (r < 0)
		return r;
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = TAKE_FD(fd);
	d->device = st.st_dev;
	d->inode = st.st_ino;
	d->size = size;
	d->synced = (uint64_t)st.st_size;
	d->changes++;
	return 0;
}

/* Is the path still this file, as long as it was written? Else what is there is opened, or made. */
static int look(struct dead_letters *d)
{
	struct stat st;
	if (stat(d->path, &st) || st.st_dev != d->device || st.st_ino != d->inode)
		return open_file(d);
	return measure(d);
}

int dead_letters_open(struct dead_letters **ret, const char *folder, const char *name, uint64_t bytes_max,
	struct err *err)
{
	if (strchr(name, '/'))
		return err_set(err, "a name with a slash in it cannot be a file: %s", name);
	struct dead_letters *d = mem_zero(1, sizeof *d);
	d->folder = mem_text(view_of(folder));
	d->path = mem_textf("%s/%s.ndjson", folder, name);
	d->bytes_max = bytes_max;
	d->fd = -1;
	(void)pthread_mutex_init(&d->syncing, NULL);
	(void)pthread_mutex_init(&d->mutex, NULL);
	int r = open_file(d);
	if (r < 0) {
		(void)open_failed(err, d->path, r);
		dead_letters_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

void dead_letters_close(struct dead_letters *d)
{
	if (!d)
		return;
	if (d->fd >= 0) {
		(void)dead_letters_sync(d);
		(void)close(d->fd);
	}
	(void)pthread_mutex_destroy(&d->mutex);
	(void)pthread_mutex_destroy(&d->syncing);
	free(d->folder);
	free(d->path);
	free(d);
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	if (!value)
		return;
	buf_addf(out, "\"%s\":", key);
	text_add_quoted(out, view_of(value));
	buf_add_byte(out, ',');
}

/* The line up to the event, or all of it but the brace and newline where the bytes are no JSON. */
static void print_head(struct buf *out, const struct dead_letter *letter)
{
	char time[CLOCK_TEXT_ROOM];
	buf_addf(out, "{\"time\":\"%s\",", clock_print(clock_now_us(), time));
	add_text(out, "reason", letter->reason);
	add_text(out, "code", letter->code);
	add_text(out, "input", letter->input);
	add_text(out, "cluster", letter->cluster && *letter->cluster ? letter->cluster : NULL);
	add_text(out, "output", letter->output);
	add_text(out, "class", letter->has_class ? audit_class_name(letter->class_) : NULL);
	add_text(out, "where", letter->where);
	if (letter->is_json) {
		buf_add_view(out, VIEW("\"event\":"));
		return;
	}
	uint64_t total = letter->bytes_total ? letter->bytes_total : letter->bytes.len;
	struct view part = letter->bytes;
	if (part.len > PART_MAX)
		part.len = PART_MAX;
	if (total > part.len)
		buf_addf(out, "\"bytes_total\":%llu,", (unsigned long long)total);
	buf_add_view(out, VIEW("\"bytes\":\""));
	base64_add(out, part);
	buf_add_byte(out, '"');
}

/* A newline in an event can only be white space between its tokens. */
static struct view on_one_line(struct view event, struct buf *copy)
{
	if (!event.len || !memchr(event.ptr, '\n', event.len))
		return event;
	buf_add_view(copy, event);
	for (size_t i = 0; i < copy->len; i++)
		if (copy->ptr[i] == '\n')
			copy->ptr[i] = ' ';
	return buf_view(copy);
}

/* All or nothing, under the mutex. */
static int append(struct dead_letters *d, struct iovec *parts, int n, uint64_t len)
{
	int r = look(d);
	if (r < 0)
		return r;
	if (len > d->bytes_max || d->size > d->bytes_max - len)
		return -ENOSPC;
	r = io_writev(d->fd, parts, n);
	if (r < 0) {
		(void)measure(d); /* cuts what it left; else the next look does */
		return r;
	}
	d->size += len;
	d->count++;
	return 0;
}

int dead_letters_add(struct dead_letters *d, const struct dead_letter *letter)
{
	cleanup(buf_finish) struct buf head = { 0 }, copy = { 0 };
	struct view event = letter->is_json ? on_one_line(letter->bytes, &copy) : VIEW("");
	print_head(&head, letter);
	struct iovec parts[] = { { head.ptr, head.len }, { (void *)event.ptr, event.len }, { (void *)"}\n", 2 } };
	(void)pthread_mutex_lock(&d->mutex);
	int r = append(d, parts, sizeof parts / sizeof *parts, head.len + event.len + 2);
	(void)pthread_mutex_unlock(&d->mutex);
	return r;
}

/* Under the mutex: a descriptor of its own of the file, for who lets the mutex go; -1 with 0 in `*ret`: nothing is to be synced. */
static int take_unsynced(struct dead_letters *d, int *ret)
{
	*ret = d->sync_failed;
	if (*ret == 0 && d->synced < d->size)
		*ret = look(d);
	if (*ret < 0 || d->synced == d->size)
		return -1;
	int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		*ret = -errno;
	return fd;
}

/* Under the mutex: the first `size` bytes were synced. True: of a file that was let go or cut meanwhile, so it is to be done again. */
static bool note_synced(struct dead_letters *d, uint64_t size, uint64_t changes, int *r)
{
	if (*r < 0)
		d->sync_failed = *r;
	else
		*r = look(d);
	if (*r < 0 || d->changes != changes)
		return *r == 0;
	d->synced = size;
	return false;
}

int dead_letters_sync(struct dead_letters *d)
{
	bool again = true;
	int r = 0;
	(void)pthread_mutex_lock(&d->syncing);
	while (again) {
		(void)pthread_mutex_lock(&d->mutex);
		_close_ int fd = take_unsynced(d, &r);
		const uint64_t size = d->size, changes = d->changes;
		(void)pthread_mutex_unlock(&d->mutex);
		if (fd < 0)
			break;
		r = fdatasync(fd) ? -errno : 0;
		(void)pthread_mutex_lock(&d->mutex);
		again = note_synced(d, size, changes, &r);
		(void)pthread_mutex_unlock(&d->mutex);
	}
	(void)pthread_mutex_unlock(&d->syncing);
	return r;
}

uint64_t dead_letters_count(const struct dead_letters *d)
{
	struct dead_letters *locked = (struct dead_letters *)d;
	(void)pthread_mutex_lock(&locked->mutex);
	uint64_t count = d->count;
	(void)pthread_mutex_unlock(&locked->mutex);
	return count;
}

const char *dead_letters_path(const struct dead_letters *d)
{
	return d->path;
}
