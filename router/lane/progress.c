/*
 * STATE_DIR/progress, of one machine and one boot, so numbers are as the processor has them:
 *
 *   struct header, names     rounded up to PAGE
 *   struct slot              [n_inputs][n_slots]   of the ledgers
 *   struct slot              [n_lanes]             of the spools
 *   struct mark              [n_inputs][PROGRESS_MARKS], rings by number
 *
 * Names are those of the inputs, then of the lanes, each with a NUL behind it. All that was never written is zero, and no
 * zero is valid.
 */
#include "router/lane/progress.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/crc32c.h"
#include "router/base/io.h"

enum {
	PROGRESS_VERSION = 1,
	BOOT_ROOM = 40,
	PAGE = 4096,
	NAMES_MAX = 1 << 20,
	FILE_MAX = 1 << 30,
};

struct header {
	char magic[8];       /* "arprogr\n" */
	uint32_t version;
	uint32_t mark_bytes; /* sizeof(struct mark): of a build with other ones nothing can be read */
	char boot[BOOT_ROOM];
	uint64_t run;
	uint32_t n_inputs, n_lanes, n_slots, names_bytes;
	uint32_t spare;
	uint32_t crc;        /* of all above, and of the names */
};
static_assert(sizeof(struct header) == 88, "no padding");

struct cell {
	uint64_t generation; /* 1, 2, ...; the higher of two valid ones counts */
	uint64_t position, seq;
	uint32_t spare;
	uint32_t crc;
};
static_assert(sizeof(struct cell) == 32, "no padding");

struct slot {
	struct cell cells[2];
};

struct mark {
	uint64_t number; /* 1, 2, ... */
	uint64_t position;
	uint32_t len;
	uint32_t crc;    /* of what stands above, and of the text */
	char text[PROGRESS_MARK_BYTES];
};
static_assert(sizeof(struct mark) == 1024, "no padding");

enum { MARK_TOO_LONG = PROGRESS_MARK_BYTES + 1 };

/* Where the parts are, in a mapping or in what was read. */
struct parts {
	struct header *header;
	char *names;
	struct slot *slots, *spools;
	struct mark *marks;
	size_t bytes; /* of all */
};

struct progress {
	struct parts parts;
	uint64_t *marks_made; /* by input */
};

struct progress_past {
	struct buf bytes;
	struct parts parts;
};

static const char magic[8] = "arprogr\n";

/* ---- layout ---- */

static struct parts parts_of(char *base, const struct header *h)
{
	size_t n_slots = (size_t)h->n_inputs * h->n_slots;
	size_t at = (sizeof *h + h->names_bytes + PAGE - 1) / PAGE * PAGE;
	struct parts p = { .header = (struct header *)base, .names = base + sizeof *h };
	p.slots = (struct slot *)(base + at);
	p.spools = p.slots + n_slots;
	at += (n_slots + h->n_lanes) * sizeof(struct slot);
	at = (at + PAGE - 1) / PAGE * PAGE;
	p.marks = (struct mark *)(base + at);
	p.bytes = at + (size_t)h->n_inputs * PROGRESS_MARKS * sizeof(struct mark);
	return p;
}

static uint32_t header_crc(const struct header *h, const char *names)
{
	return crc32c_add(crc32c_add(0, h, offsetof(struct header, crc)), names, h->names_bytes);
}

static uint32_t cell_crc(const struct cell *c)
{
	return crc32c_add(0, c, offsetof(struct cell, crc));
}

static uint32_t mark_crc(const struct mark *m)
{
	uint32_t crc = crc32c_add(0, m, offsetof(struct mark, crc));
	return m->len <= PROGRESS_MARK_BYTES ? crc32c_add(crc, m->text, m->len) : crc;
}

/* False where the system does not say: then nothing can be believed later. */
static bool boot_id(char ret[BOOT_ROOM])
{
	struct buf text = { 0 };
	memset(ret, 0, BOOT_ROOM);
	int r = io_read_whole("/proc/sys/kernel/random/boot_id", PAGE, &text);
	bool good = r == 0 && text.len > 1 && text.len < BOOT_ROOM;
	if (good)
		memcpy(ret, text.ptr, text.len);
	buf_finish(&text);
	return good;
}

/* ---- the run that is ---- */

static void add_names(struct buf *out, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add(out, names[i], strlen(names[i]) + 1);
}

/* A new file each time: a process that dies in here leaves none, or one that belongs to no checkpoint. */
static int map_file(const char *path, size_t bytes, char **ret_base)
{
	(void)unlink(path);
	_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* Allocated, not only sized: a store into a hole of a full disk would be a SIGBUS. */
	int r = -posix_fallocate(fd, 0, (off_t)bytes);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*ret_base = base;
	return 0;
}

int progress_create(struct progress **ret_progress, const char *state_dir, uint64_t run, const struct progress_names *names)
{
	struct header h = {
		.version = PROGRESS_VERSION,
		.mark_bytes = sizeof(struct mark),
		.run = run,
		.n_inputs = (uint32_t)names->n_inputs,
		.n_lanes = names->n_lanes,
		.n_slots = names->n_slots,
	};
	_free_ char *path = mem_textf("%s/progress", state_dir);
	cleanup(buf_finish) struct buf text = { 0 };
	char *base = NULL;
	assert(names->n_slots >= names->n_lanes);
	memcpy(h.magic, magic, sizeof magic);
	if (!boot_id(h.boot))
		return -ENOTSUP;
	add_names(&text, names->inputs, names->n_inputs);
	add_names(&text, names->lanes, names->n_lanes);
	if (text.len > NAMES_MAX)
		return -ENAMETOOLONG;
	h.names_bytes = (uint32_t)text.len;
	h.crc = header_crc(&h, text.ptr);
	size_t bytes = parts_of(NULL, &h).bytes;
	int r = bytes > FILE_MAX ? -EFBIG : map_file(path, bytes, &base);
	if (r < 0)
		return r;
	struct progress *p = mem_zero(1, sizeof *p);
	p->parts = parts_of(base, &h);
	p->marks_made = mem_zero(names->n_inputs + 1, sizeof *p->marks_made);
	if (text.len)
		memcpy(p->parts.names, text.ptr, text.len);
	*p->parts.header = h;
	*ret_progress = p;
	return 0;
}

void progress_destroy(struct progress *p)
{
	if (!p)
		return;
	(void)munmap(p->parts.header, p->parts.bytes);
	free(p->marks_made);
	free(p);
}

void progress_distrust(struct progress *p)
{
	if (p)
		__atomic_store_n(&p->parts.header->magic[0], 0, __ATOMIC_SEQ_CST);
}

static void store(struct slot *slot, uint64_t position, uint64_t seq)
{
	const struct cell *a = &slot->cells[0], *b = &slot->cells[1];
	uint64_t generation = (a->generation > b->generation ? a : b)->generation + 1;
	struct cell next = { .generation = generation, .position = position, .seq = seq };
	next.crc = cell_crc(&next);
	slot->cells[generation % 2] = next;
}

void progress_settle(struct progress *p, size_t input, unsigned lane, uint64_t position, uint64_t seq)
{
	if (!p)
		return;
	const struct header *h = p->parts.header;
	assert(input < h->n_inputs && lane < h->n_slots);
	store(&p->parts.slots[input * h->n_slots + lane], position, seq);
}

void progress_spool(struct progress *p, unsigned lane, uint64_t position)
{
	if (!p)
		return;
	assert(lane < p->parts.header->n_lanes);
	store(&p->parts.spools[lane], position, 0);
}

void progress_mark(struct progress *p, size_t input, uint64_t position, struct view text)
{
	if (!p)
		return;
	assert(input < p->parts.header->n_inputs);
	uint64_t number = ++p->marks_made[input];
	struct mark *m = &p->parts.marks[input * PROGRESS_MARKS + number % PROGRESS_MARKS];
	m->number = number;
	m->position = position;
	m->len = text.len <= PROGRESS_MARK_BYTES ? (uint32_t)text.len : MARK_TOO_LONG;
	if (text.len && text.len <= PROGRESS_MARK_BYTES)
		memcpy(m->text, text.ptr, text.len);
	m->crc = mark_crc(m);
}

/* ---- the run that was ---- */

/* Are there as many names as it says, each with its end? */
static bool names_whole(const struct parts *p)
{
	const struct header *h = p->header;
	size_t n = 0;
	for (size_t i = 0; i < h->names_bytes; i++)
		n += !p->names[i];
	return n == (size_t)h->n_inputs + h->n_lanes && (!h->names_bytes || !p->names[h->names_bytes - 1]);
}

static bool belongs(struct progress_past *past, uint64_t run)
{
	struct header *h = (struct header *)past->bytes.ptr;
	char boot[BOOT_ROOM];
	if (past->bytes.len < sizeof *h || memcmp(h->magic, magic, sizeof magic) != 0 || h->version != PROGRESS_VERSION ||
		h->mark_bytes != sizeof(struct mark) || h->run != run || !boot_id(boot) || memcmp(h->boot, boot, BOOT_ROOM) != 0)
		return false;
	if (h->names_bytes > NAMES_MAX || h->names_bytes > past->bytes.len - sizeof *h || h->n_slots < h->n_lanes ||
		h->n_inputs > FILE_MAX / sizeof(struct mark) || h->n_slots > FILE_MAX / sizeof(struct slot) ||
		header_crc(h, past->bytes.ptr + sizeof *h) != h->crc)
		return false;
	past->parts = parts_of(past->bytes.ptr, h);
	return past->parts.bytes == past->bytes.len && names_whole(&past->parts);
}

struct progress_past *progress_read(const char *state_dir, uint64_t run)
{
	_free_ char *path = mem_textf("%s/progress", state_dir);
	struct progress_past *past = mem_zero(1, sizeof *past);
	if (run && io_read_whole(path, FILE_MAX, &past->bytes) == 0 && belongs(past, run))
		return past;
	progress_past_free(past);
	return NULL;
}

void progress_past_free(struct progress_past *past)
{
	if (!past)
		return;
	buf_finish(&past->bytes);
	free(past);
}

/* The number of a name among those from `first` on, or -1. */
static int64_t find(const struct progress_past *past, const char *name, size_t first, size_t n)
{
	const char *at = past->parts.names;
	for (size_t i = 0; i < first + n; i++, at += strlen(at) + 1)
		if (i >= first && strcmp(at, name) == 0)
			return (int64_t)(i - first);
	return -1;
}

static int64_t find_input(const struct progress_past *past, const char *name)
{
	return find(past, name, 0, past->parts.header->n_inputs);
}

static int64_t find_lane(const struct progress_past *past, const char *name)
{
	return find(past, name, past->parts.header->n_inputs, past->parts.header->n_lanes);
}

static bool load(const struct slot *slot, struct progress_point *ret)
{
	const struct cell *best = NULL;
	for (size_t i = 0; i < 2; i++) {
		const struct cell *c = &slot->cells[i];
		if (c->generation && c->crc == cell_crc(c) && (!best || c->generation > best->generation))
			best = c;
	}
	if (best)
		*ret = (struct progress_point){ best->position, best->seq };
	return best != NULL;
}

bool progress_past_lane(const struct progress_past *past, const char *input, const char *lane, struct progress_point *ret)
{
	int64_t i = find_input(past, input), l = find_lane(past, lane);
	return i >= 0 && l >= 0 && load(&past->parts.slots[(size_t)i * past->parts.header->n_slots + (size_t)l], ret);
}

bool progress_past_input(const struct progress_past *past, const char *input, uint64_t *ret_position)
{
	const uint32_t n_slots = past->parts.header->n_slots;
	int64_t i = find_input(past, input);
	struct progress_point lowest = { UINT64_MAX, 0 }, p;
	for (uint32_t l = 0; i >= 0 && l < n_slots; l++) {
		if (!load(&past->parts.slots[(size_t)i * n_slots + l], &p))
			return false;
		if (p.position < lowest.position)
			lowest = p;
	}
	*ret_position = lowest.position;
	return i >= 0 && n_slots;
}

bool progress_past_spool(const struct progress_past *past, const char *lane, uint64_t *ret_position)
{
	struct progress_point p;
	int64_t l = find_lane(past, lane);
	bool found = l >= 0 && load(&past->parts.spools[l], &p);
	if (found)
		*ret_position = p.position;
	return found;
}

static bool mark_good(const struct mark *m)
{
	return m->number && m->len <= MARK_TOO_LONG && m->crc == mark_crc(m);
}

size_t progress_past_marks(const struct progress_past *past, const char *input, struct progress_marked ret[PROGRESS_MARKS])
{
	int64_t i = find_input(past, input);
	uint64_t newest = 0, oldest;
	if (i < 0)
		return 0;
	const struct mark *ring = &past->parts.marks[(size_t)i * PROGRESS_MARKS];
	for (size_t k = 0; k < PROGRESS_MARKS; k++)
		if (mark_good(&ring[k]) && ring[k].number > newest)
			newest = ring[k].number;
	/* Back from the newest as far as none is missing; of what lies before a gap nobody knows where it ends. */
	for (oldest = newest; oldest && newest - oldest < PROGRESS_MARKS; oldest--) {
		const struct mark *m = &ring[oldest % PROGRESS_MARKS];
		if (!mark_good(m) || m->number != oldest)
			break;
	}
	for (uint64_t n = oldest + 1; n <= newest; n++) {
		const struct mark *m = &ring[n % PROGRESS_MARKS];
		struct view text = { m->len == MARK_TOO_LONG ? NULL : m->text, m->len == MARK_TOO_LONG ? 0 : m->len };
		ret[n - oldest - 1] = (struct progress_marked){ m->position, text };
	}
	return newest - oldest;
}
