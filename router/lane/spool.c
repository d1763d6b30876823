/*
 * What survives what: see spool.h for the promise, spool_segment.h for the bytes. In this file: the appender (append and
 * roll), the group fsync, and forgetting. spool_open.c finds its way back after a crash, spool_reader.c reads.
 *
 *   append      one pwritev for one record or some; readable at once, durable after the next sync
 *   roll        a new file and its header; it waits for no disk, unless there are SPOOL_PENDING_MAX older ones to be synced: so
 *               only the newest few segments can ever be torn, and whatever is older needs no look at open
 *   sync        fsync of what was written since the last one, oldest segment first, and of the folder where a segment was begun;
 *               then the cursor, whose place is allocated: it can be written on a full disk
 *   forget      removes files at once, or with the next sync where they were not synced yet, so that a full disk gets its room back
 *               without having to write more than the cursor first
 *
 * A failed fsync is final until the spool is opened anew: the kernel has dropped the dirty pages and would say yes next
 * time without having written them.
 */
#include "router/lane/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/lane/spool_priv.h"

void spool_push_segment(struct spool *s, const struct segment *segment)
{
	if (s->n_segments == s->segments_room) {
		s->segments_room = s->segments_room ? s->segments_room * 2 : 16;
		s->segments = mem_resize(s->segments, s->segments_room * sizeof *s->segments);
	}
	s->segments[s->n_segments++] = *segment;
	s->bytes += segment->bytes;
}

int spool_start_segment(struct spool *s, uint64_t first, uint64_t number)
{
	const struct spool_files *files = &s->files;
	char name[SEGMENT_NAME_ROOM];
	segment_name(first, name);
	int file = files->open(files->disk, name, true);
	if (file < 0)
		return file;
	int r = segment_write_header(files, file, first, number);
	if (r < 0) {
		files->close(files->disk, file);
		(void)files->remove(files->disk, name);
		return r;
	}
	(void)pthread_mutex_lock(&s->lock);
	assert(s->n_pending < SPOOL_PENDING_MAX);
	if (s->active >= 0)
		s->pending[s->n_pending++] = s->active;
	s->active = file;
	s->begun = true;
	if (s->n_segments && !s->segments[s->n_segments - 1].bytes)
		s->n_segments--; /* restart()'s */
	spool_push_segment(s, &(struct segment){ first, first, sizeof(struct segment_header) });
	(void)pthread_mutex_unlock(&s->lock);
	s->ragged = false;
	return 0;
}

/* What a sync makes durable, of one moment. */
struct extent {
	int files[SPOOL_PENDING_MAX + 1]; /* in order; the last one is the active one */
	unsigned n_files;
	uint64_t end;
	uint64_t told;                    /* the newest record's `durable` */
	uint64_t forgotten, number;       /* the cursor must not be durable beyond what the records are */
	bool begun;
};

/* Under `syncing`. False: there is nothing new. */
static bool take_extent(struct spool *s, struct extent *e)
{
	(void)pthread_mutex_lock(&s->lock);
	*e = (struct extent){
		.end = spool_end(s),
		.told = s->told,
		.forgotten = s->forgotten,
		.number = s->forgotten_number,
		.begun = s->begun,
	};
	s->begun = false;
	for (; e->n_files < s->n_pending; e->n_files++)
		e->files[e->n_files] = s->pending[e->n_files];
	if (s->active >= 0)
		e->files[e->n_files++] = s->active;
	bool dirty = e->begun || e->end > s->durable;
	(void)pthread_mutex_unlock(&s->lock);
	return dirty;
}

/* Under `syncing`: the first n of the pending files are closed. */
static void close_pending(struct spool *s, unsigned n)
{
	int closed[SPOOL_PENDING_MAX];
	(void)pthread_mutex_lock(&s->lock);
	memcpy(closed, s->pending, n * sizeof *closed);
	s->n_pending -= n;
	memmove(s->pending, s->pending + n, s->n_pending * sizeof *s->pending);
	(void)pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < n; i++)
		s->files.close(s->files.disk, closed[i]);
}

/* Under `syncing`. Meanwhile the appender goes on. */
static int sync_extent(struct spool *s, const struct extent *e)
{
	const struct spool_files *files = &s->files;
	int r = 0;
	for (unsigned i = 0; r == 0 && i < e->n_files; i++)
		r = files->sync(files->disk, e->files[i]);
	if (r == 0 && e->begun)
		r = files->sync_names(files->disk);
	(void)pthread_mutex_lock(&s->lock);
	if (r < 0)
		s->failed = r;
	else if (e->end > s->durable)
		s->durable = e->end;
	if (r == 0 && e->told > s->known_durable)
		s->known_durable = e->told;
	(void)pthread_mutex_unlock(&s->lock);
	if (r == 0 && e->n_files)
		close_pending(s, e->n_files - 1);
	return r;
}

/* Under `syncing`. */
static int save_cursor(struct spool *s, uint64_t forgotten, uint64_t number)
{
	struct cursor_slot next = {
		.generation = s->saved.generation + 1,
		.position = forgotten,
		.number = number,
		.durable = s->durable,
	};
	int r = cursor_write(&s->files, s->cursor, &next);
	if (r == 0) {
		s->saved = next;
		(void)pthread_mutex_lock(&s->lock);
		s->known_durable = next.durable;
		(void)pthread_mutex_unlock(&s->lock);
	}
	/* On a file system that writes elsewhere: the records are safe, and only they are what the caller waits for. */
	return r == -ENOSPC ? 0 : r;
}

int spool_sync(struct spool *s)
{
	struct extent e;
	(void)pthread_mutex_lock(&s->syncing);
	bool dirty = take_extent(s, &e);
	int r = s->failed;
	if (r == 0 && dirty)
		r = sync_extent(s, &e);
	if (r == 0 && (e.begun || e.forgotten != s->saved.position))
		r = save_cursor(s, e.forgotten, e.number);
	(void)pthread_mutex_unlock(&s->syncing);
	if (r == 0)
		spool_drop_forgotten(s);
	return r;
}

bool spool_wants_sync(struct spool *s)
{
	(void)pthread_mutex_lock(&s->lock);
	bool many = s->n_pending >= SPOOL_PENDING_MANY && s->failed == 0;
	(void)pthread_mutex_unlock(&s->lock);
	return many;
}

static int roll(struct spool *s)
{
	(void)pthread_mutex_lock(&s->lock);
	struct segment last = s->segments[s->n_segments - 1];
	uint64_t next_number = s->next_number;
	bool wait = s->n_pending == SPOOL_PENDING_MAX;
	(void)pthread_mutex_unlock(&s->lock);
	if (s->ragged)
		(void)s->files.cut(s->files.disk, s->active, last.bytes);
	int r = wait ? spool_sync(s) : 0;
	if (r == 0)
		r = spool_start_segment(s, last.end, next_number);
	if (r == 0)
		spool_drop_forgotten(s);
	return r;
}

/* Under both locks: takes the names of all segments, and leaves one without a file at the spool's end. */
static struct segment *take_segments(struct spool *s, size_t *ret_n)
{
	struct segment *taken = s->segments, none = { spool_end(s), spool_end(s), 0 };
	*ret_n = s->n_segments;
	s->segments = NULL;
	s->n_segments = s->segments_room = 0;
	s->bytes = 0;
	spool_push_segment(s, &none);
	s->durable = s->known_durable = none.end; /* nothing before it has to be */
	return taken;
}

/*
 * When nothing is held but the room of what was: removes all segments, the active one too, and starts over at the same
 * position. The cursor goes first, as it is all that tells the position then. -ENOSPC: there is something held.
 */
static int restart(struct spool *s)
{
	size_t n = 0;
	(void)pthread_mutex_lock(&s->syncing);
	(void)pthread_mutex_lock(&s->lock);
	uint64_t end = spool_end(s), number = s->next_number;
	bool idle = s->forgotten == end && s->segments[0].first < end && s->failed == 0;
	(void)pthread_mutex_unlock(&s->lock);
	int r = idle ? save_cursor(s, end, number) : -ENOSPC;
	if (r == 0 && s->saved.position != end)
		r = -ENOSPC;
	if (r == 0) {
		close_pending(s, s->n_pending);
		s->files.close(s->files.disk, s->active);
		(void)pthread_mutex_lock(&s->lock);
		s->active = -1;
		struct segment *old = take_segments(s, &n);
		(void)pthread_mutex_unlock(&s->lock);
		for (size_t i = 0; i < n; i++) {
			char name[SEGMENT_NAME_ROOM];
			segment_name(old[i].first, name);
			(void)s->files.remove(s->files.disk, name);
		}
		free(old);
		r = spool_start_segment(s, end, number);
	}
	(void)pthread_mutex_unlock(&s->syncing);
	return r;
}

/* Is there room for so many bytes more? *ret_roll: in a new segment only. */
static int find_room(struct spool *s, uint64_t more, bool *ret_roll)
{
	(void)pthread_mutex_lock(&s->lock);
	const struct segment *active = &s->segments[s->n_segments - 1];
	bool used = active->end > active->first;
	*ret_roll = s->active < 0 || (used && active->bytes >= s->segment_bytes);
	uint64_t bytes = s->bytes + (*ret_roll ? sizeof(struct segment_header) : 0);
	int r = s->failed;
	(void)pthread_mutex_unlock(&s->lock);
	if (r < 0)
		return r;
	return more > s->bytes_max || bytes > s->bytes_max - more ? -ENOSPC : 0;
}

static int write_records(struct spool *s, const struct spool_record *records, unsigned n, uint64_t size, uint64_t *ret_position)
{
	struct record_header headers[SPOOL_APPEND_MAX];
	struct iovec parts[SPOOL_APPEND_MAX * SPOOL_RECORD_PARTS];
	(void)pthread_mutex_lock(&s->lock);
	struct segment last = s->segments[s->n_segments - 1];
	struct frame frame = { .number = s->next_number, .durable = s->durable };
	(void)pthread_mutex_unlock(&s->lock);
	uint64_t start = last.end;
	for (unsigned i = 0; i < n; i++, start += frame.size, frame.number++) {
		frame.size = frame_size(&records[i]);
		frame_make(&records[i], &frame, start, &headers[i], &parts[i * SPOOL_RECORD_PARTS]);
	}
	int r = s->files.write(s->files.disk, s->active, parts, (int)(n * SPOOL_RECORD_PARTS), last.bytes);
	if (r < 0) {
		/* What cannot be taken back lies after the end: the next record overwrites it, the next open cuts it. */
		s->ragged = s->files.cut(s->files.disk, s->active, last.bytes) < 0;
		return r;
	}
	(void)pthread_mutex_lock(&s->lock);
	struct segment *active = &s->segments[s->n_segments - 1];
	active->end += size;
	active->bytes += size;
	s->bytes += size;
	s->next_number += n;
	s->told = frame.durable;
	(void)pthread_mutex_unlock(&s->lock);
	*ret_position = last.end + size;
	return 0;
}

int spool_append_many(struct spool *s, const struct spool_record *records, unsigned n, uint64_t *ret_position)
{
	bool want_roll;
	uint64_t size = 0;
	assert(n && n <= SPOOL_APPEND_MAX);
	for (unsigned i = 0; i < n; i++)
		size += frame_size(&records[i]);
	int r = find_room(s, size, &want_roll);
	if (r == 0 && want_roll)
		r = roll(s);
	return r < 0 ? r : write_records(s, records, n, size, ret_position);
}

int spool_append(struct spool *s, const struct spool_record *record, uint64_t *ret_position)
{
	int r = spool_append_many(s, record, 1, ret_position);
	if (r == -ENOSPC && spool_sync(s) == 0) /* what was forgotten may go then */
		r = spool_append_many(s, record, 1, ret_position);
	if (r == -ENOSPC && restart(s) == 0)
		r = spool_append_many(s, record, 1, ret_position);
	return r;
}

void spool_drop_forgotten(struct spool *s)
{
	for (;;) {
		char name[SEGMENT_NAME_ROOM];
		(void)pthread_mutex_lock(&s->lock);
		bool drop = s->n_segments > 1 && s->segments[0].end <= s->forgotten && s->segments[0].end <= s->known_durable;
		if (drop) {
			segment_name(s->segments[0].first, name);
			s->bytes -= s->segments[0].bytes;
			s->n_segments--;
			memmove(s->segments, s->segments + 1, s->n_segments * sizeof *s->segments);
		}
		(void)pthread_mutex_unlock(&s->lock);
		if (!drop)
			return;
		(void)s->files.remove(s->files.disk, name); /* what stays is found and removed at the next open */
	}
}

/* Which segment holds the record that starts there. False: none, it is the end, or between two segments. */
static bool segment_of(struct spool *s, uint64_t position, uint64_t *ret_first)
{
	for (size_t i = 0; i < s->n_segments; i++)
		if (s->segments[i].first <= position && position < s->segments[i].end) {
			*ret_first = s->segments[i].first;
			return true;
		}
	return false;
}

/* The number of the record that starts there, from its header: the page is in memory, the reader has just read it. */
static bool number_from_disk(struct spool *s, uint64_t first, uint64_t position, uint64_t *ret_number)
{
	const struct spool_files *files = &s->files;
	if (s->reader.window.file >= 0 && s->reader.first == first)
		return segment_number(files, s->reader.window.file, first, position, ret_number);
	char name[SEGMENT_NAME_ROOM];
	segment_name(first, name);
	int file = files->open(files->disk, name, false);
	if (file < 0)
		return false;
	bool found = segment_number(files, file, first, position, ret_number);
	files->close(files->disk, file);
	return found;
}

bool spool_has(struct spool *s, uint64_t position)
{
	uint64_t first, number;
	if (position == spool_end(s))
		return true;
	return segment_of(s, position, &first) && number_from_disk(s, first, position, &number);
}

void spool_forget_to(struct spool *s, uint64_t position)
{
	uint64_t first, number = 0;
	(void)pthread_mutex_lock(&s->lock);
	assert(position <= spool_end(s));
	if (position == s->gap_from)
		position = s->gap_to;
	bool known = true, ahead = position > s->forgotten, all = position == spool_end(s);
	if (all)
		number = s->next_number;
	else if (position == s->reader.number_at)
		number = s->reader.number;
	else
		known = !segment_of(s, position, &first);
	(void)pthread_mutex_unlock(&s->lock);
	if (!ahead)
		return;
	if (!known && !number_from_disk(s, first, position, &number))
		number = 0; /* damaged: the count catches up with the next record that is forgotten */
	(void)pthread_mutex_lock(&s->lock);
	s->forgotten = position;
	if (number > s->forgotten_number)
		s->forgotten_number = number < s->next_number ? number : s->next_number;
	(void)pthread_mutex_unlock(&s->lock);
	if (all)
		spool_reader_leave(s); /* a file that it keeps open keeps its room on the disk */
	spool_drop_forgotten(s);
}

struct spool_state spool_state(const struct spool *spool)
{
	struct spool *s = (struct spool *)spool; /* for its lock */
	(void)pthread_mutex_lock(&s->lock);
	struct spool_state state = {
		.bytes = spool_end(s) - s->forgotten,
		.records = s->next_number - s->forgotten_number,
		.forgotten = s->forgotten,
		.torn_bytes = s->torn_bytes,
		.damaged = s->damaged,
	};
	(void)pthread_mutex_unlock(&s->lock);
	return state;
}
