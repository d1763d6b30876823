/*
 * Opening a spool: the list of its segments, the cursor, and the newest segments' end. What is older than the last known fsync
 * is not looked at: whatever a crash did, it is there. From there on the segments are read until one is torn, or does not
 * follow the one before; that is the end, and what comes after it is removed. What is kept of them is written once more, and synced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/lane/spool_priv.h"

enum { SEGMENT_BYTES = 16 << 20, SEGMENTS_AT_LEAST = 4, COPY_BYTES = 1 << 20 };
static const char cursor_name[] = "cursor";

static int fail(const struct spool *s, struct err *err, const char *name, int r, const char *what)
{
	_Static_assert(SEGMENT_NAME_ROOM <= ERR_FILE_MAX / 2, "a name fits");
	char *path = mem_textf("%s/%s", s->folder, name);
	if (r == -EBADMSG)
		(void)err_at(err, path, 0, 0, "%s", what);
	else
		(void)err_at(err, path, 0, 0, "%s: %s", what, strerror(-r));
	free(path);
	return r;
}

static void found_file(void *context, const char *name, uint64_t bytes)
{
	struct segment segment = { .bytes = bytes };
	if (strlen(name) >= SEGMENT_NAME_ROOM || !segment_name_parse(name, &segment.first) || bytes > INT64_MAX)
		return;
	spool_push_segment(context, &segment);
}

static int by_first(const void *left, const void *right)
{
	const struct segment *a = left, *b = right;
	return a->first < b->first ? -1 : a->first > b->first;
}

static int list_segments(struct spool *s, struct err *err)
{
	int r = s->files.list(s->files.disk, found_file, s);
	if (r < 0)
		return fail(s, err, "", r, "the folder cannot be read");
	if (s->n_segments)
		qsort(s->segments, s->n_segments, sizeof *s->segments, by_first);
	for (size_t i = 0; i < s->n_segments; i++) {
		struct segment *g = &s->segments[i];
		uint64_t body = g->bytes > sizeof(struct segment_header) ? g->bytes - sizeof(struct segment_header) : 0;
		g->end = g->first + body;
		/* A record that was taken back may lie after the end, where taking it back failed. */
		if (i + 1 < s->n_segments && g->end > s->segments[i + 1].first)
			g->end = s->segments[i + 1].first;
	}
	return 0;
}

static int open_cursor(struct spool *s, struct err *err)
{
	const struct spool_files *files = &s->files;
	s->cursor = files->open(files->disk, cursor_name, false);
	if (s->cursor == -ENOENT)
		s->cursor = files->open(files->disk, cursor_name, true);
	if (s->cursor < 0)
		return fail(s, err, cursor_name, s->cursor, "cannot be opened");
	int r = cursor_read(files, s->cursor, &s->saved);
	if (r < 0)
		return fail(s, err, cursor_name, r,
			r == -EBADMSG ? "was written by a newer version of this program" : "cannot be read");
	if (s->saved.generation)
		return 0;
	/* Of a new spool; or it was lost, and then all that is there comes again. */
	if (s->n_segments) {
		s->damaged++;
		s->saved.durable = s->segments[0].first;
	}
	for (s->saved.generation = 1; s->saved.generation <= 2 && r == 0; s->saved.generation++)
		r = cursor_write(files, s->cursor, &s->saved); /* both, so that later writes need no room */
	s->saved.generation = 2;
	if (r == 0)
		r = files->sync_names(files->disk);
	return r < 0 ? fail(s, err, cursor_name, r, "cannot be written") : 0;
}

/* *ret_number only when good. What a newer version wrote is an error. */
static int read_header(struct spool *s, const struct segment *g, enum segment_header_state *ret_state, uint64_t *ret_number,
	struct err *err)
{
	const struct spool_files *files = &s->files;
	char name[SEGMENT_NAME_ROOM];
	segment_name(g->first, name);
	int file = files->open(files->disk, name, false);
	int r = file < 0 ? file : segment_read_header(files, file, g->first, ret_state, ret_number);
	if (file >= 0)
		files->close(files->disk, file);
	if (r < 0)
		return fail(s, err, name, r, "cannot be read");
	if (*ret_state == SEGMENT_NEWER)
		return fail(s, err, name, -EBADMSG, "was written by a newer version of this program");
	return 0;
}

static int refuse_foreign(const struct spool *s, const struct segment *g, struct err *err)
{
	char name[SEGMENT_NAME_ROOM];
	segment_name(g->first, name);
	return fail(s, err, name, -EBADMSG, "is not a segment of a spool");
}

/* Up to where all was fsynced, as far as the cursor and the newest record that can be read know. */
static uint64_t find_durable(struct spool *s)
{
	uint64_t durable = s->saved.durable > s->saved.position ? s->saved.durable : s->saved.position;
	bool found = false;
	for (size_t i = s->n_segments; i-- > 0 && !found && s->segments[i].end > durable;) {
		const struct segment *g = &s->segments[i];
		struct window window = { .file = -1 };
		char name[SEGMENT_NAME_ROOM];
		segment_name(g->first, name);
		int file = s->files.open(s->files.disk, name, false);
		if (file < 0)
			continue;
		window_enter(&window, &s->files, file);
		found = segment_durable(&window, g->first, g->end, &durable);
		window_finish(&window);
		s->files.close(s->files.disk, file);
	}
	return durable;
}

/* The segment to read from: the last one that begins before `durable`, since its end may be torn; it has the numbers, too. */
static size_t first_unsure(const struct spool *s, uint64_t durable)
{
	size_t i = s->n_segments ? s->n_segments - 1 : 0;
	while (i > 0 && s->segments[i].first >= durable)
		i--;
	return i;
}

/*
 * What is not known to be durable is written once more: after a failed fsync of an earlier process the kernel lets it be read, and
 * says yes to the next fsync, but never writes it.
 */
static void write_again(const struct spool_files *files, int file, uint64_t from, uint64_t to)
{
	char *bytes = mem_alloc(COPY_BYTES);
	for (uint64_t at = from; at < to;) {
		ssize_t n = files->read(files->disk, file, bytes, to - at < COPY_BYTES ? to - at : COPY_BYTES, at);
		struct iovec part = { bytes, n > 0 ? (size_t)n : 0 };
		if (n <= 0 || files->write(files->disk, file, &part, 1, at) < 0)
			break; /* on a full disk that writes elsewhere it stays as it was; of the rest the fsync tells */
		at += (uint64_t)n;
	}
	free(bytes);
}

/*
 * Reads one segment on from *tail, and cuts what is torn off its end: durably, lest that come back behind what is written next. Of
 * rot in the middle of the spool nothing is cut: the reader passes over it.
 */
static int scan_and_cut(struct spool *s, struct segment *g, bool last, uint64_t durable, struct segment_tail *tail)
{
	const struct spool_files *files = &s->files;
	struct window window = { .file = -1 };
	char name[SEGMENT_NAME_ROOM];
	segment_name(g->first, name);
	int file = files->open(files->disk, name, false);
	if (file < 0)
		return file;
	window_enter(&window, files, file);
	segment_scan(&window, g->first, g->end, durable, tail);
	window_finish(&window);
	const bool rot = tail->end < g->end && tail->end < durable; /* no torn write: the disk had confirmed it */
	if (!rot || last)
		g->end = tail->end;
	const uint64_t kept = sizeof(struct segment_header) + (g->end - g->first), torn = g->bytes > kept ? g->bytes - kept : 0;
	s->damaged += rot && last;
	s->torn_bytes += torn;
	s->bytes -= torn;
	g->bytes -= torn;
	const uint64_t sure = g->first < durable ? sizeof(struct segment_header) + (durable - g->first) : 0;
	int r = torn ? files->cut(files->disk, file, kept) : 0;
	write_again(files, file, sure, kept);
	if (r == 0)
		r = files->sync(files->disk, file);
	files->close(files->disk, file);
	return r;
}

/* 1: its records up to g->end are kept; 0: nothing in it is worth keeping; -errno. */
static int recover_segment(struct spool *s, struct segment *g, bool last, uint64_t durable, bool *ret_torn, struct err *err)
{
	enum segment_header_state state;
	struct segment_tail tail = { g->first, s->next_number, s->told };
	const uint64_t end = g->end;
	int r = read_header(s, g, &state, &tail.number, err);
	if (r < 0)
		return r;
	if (state == SEGMENT_FOREIGN && g->first < durable)
		return refuse_foreign(s, g, err);
	if (state == SEGMENT_UNBORN || state == SEGMENT_FOREIGN)
		return 0;
	if (g->first < s->saved.position) {
		tail.end = s->saved.position < g->end ? s->saved.position : g->end;
		tail.number = s->saved.number;
	}
	r = scan_and_cut(s, g, last, durable, &tail);
	if (r < 0) {
		char name[SEGMENT_NAME_ROOM];
		segment_name(g->first, name);
		return fail(s, err, name, r, "cannot be cut to its last whole record");
	}
	s->next_number = tail.number;
	s->told = tail.durable;
	*ret_torn = g->end < end;
	return state == SEGMENT_GOOD || tail.end > g->first || g->first < durable;
}

/* The segments from number `from` on are gone with the crash. */
static int drop_segments(struct spool *s, size_t from, struct err *err)
{
	while (s->n_segments > from) {
		const struct segment *g = &s->segments[s->n_segments - 1];
		char name[SEGMENT_NAME_ROOM];
		segment_name(g->first, name);
		int r = s->files.remove(s->files.disk, name);
		if (r < 0)
			return fail(s, err, name, r, "cannot be removed");
		s->torn_bytes += g->bytes > sizeof(struct segment_header) ? g->bytes - sizeof(struct segment_header) : 0;
		s->bytes -= g->bytes;
		s->n_segments--;
	}
	return 0;
}

/* Finds the end of what is worth keeping, and opens the last segment for appending. Nothing is, where the first segment is missing. */
static int recover_end(struct spool *s, struct err *err)
{
	const uint64_t durable = find_durable(s);
	size_t i = first_unsure(s, durable);
	uint64_t next = UINT64_MAX;
	bool torn = false;
	int r = 1;
	/* One that begins where all was durable follows whatever is before it: what is missing there was forgotten. */
	for (; r > 0 && !torn && i < s->n_segments && (s->segments[i].first == next || s->segments[i].first <= durable); i += r > 0) {
		struct segment *g = &s->segments[i];
		r = recover_segment(s, g, i + 1 == s->n_segments, durable, &torn, err);
		next = g->end;
	}
	if (r >= 0)
		r = drop_segments(s, i, err);
	if (r < 0 || !s->n_segments)
		return r;
	char name[SEGMENT_NAME_ROOM];
	segment_name(s->segments[s->n_segments - 1].first, name);
	s->active = s->files.open(s->files.disk, name, false);
	return s->active < 0 ? fail(s, err, name, s->active, "cannot be opened") : 0;
}

/* Where the first held record is, and its number. */
static int place_cursor(struct spool *s, struct err *err)
{
	const struct segment *oldest = s->segments;
	enum segment_header_state state;
	uint64_t number = s->saved.number, oldest_number = 0;
	s->forgotten = s->saved.position;
	int r = read_header(s, oldest, &state, &oldest_number, err);
	if (r < 0)
		return r;
	if (state == SEGMENT_FOREIGN)
		return refuse_foreign(s, oldest, err);
	if (s->forgotten < oldest->first) {
		s->forgotten = oldest->first;
		number = oldest_number > number ? oldest_number : number;
	}
	if (s->next_number < number)
		s->next_number = number;
	s->forgotten_number = number;
	return 0;
}

static int recover(struct spool *s, struct err *err)
{
	int r = list_segments(s, err);
	if (r == 0)
		r = open_cursor(s, err);
	if (r == 0)
		r = recover_end(s, err);
	if (r == 0 && (!s->n_segments || spool_end(s) < s->saved.position)) {
		/* All that the cursor knows of is gone; what is left lies before it. */
		s->next_number = s->saved.number;
		r = spool_start_segment(s, s->saved.position, s->saved.number);
		if (r < 0)
			return fail(s, err, "", r, "no segment can be made");
	}
	if (r == 0)
		r = place_cursor(s, err);
	s->begun = true; /* names that were removed, too */
	if (r == 0 && (r = spool_sync(s)) < 0)
		return fail(s, err, "", r, "cannot be made durable");
	return r;
}

int spool_open_files(struct spool **ret_spool, const struct spool_options *options, const struct spool_files *files,
	struct err *err)
{
	struct spool *s = mem_zero(1, sizeof *s);
	s->files = *files;
	s->folder = mem_text(view_of(options->folder));
	s->bytes_max = options->bytes_max;
	s->segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES;
	if (s->segment_bytes > s->bytes_max / SEGMENTS_AT_LEAST)
		s->segment_bytes = s->bytes_max / SEGMENTS_AT_LEAST; /* room comes back by whole segments */
	s->active = s->cursor = s->reader.window.file = -1;
	(void)pthread_mutex_init(&s->syncing, NULL);
	(void)pthread_mutex_init(&s->lock, NULL);
	int r = recover(s, err);
	if (r < 0) {
		spool_close(s);
		return r;
	}
	if (options->forgotten > s->forgotten && spool_has(s, options->forgotten))
		spool_forget_to(s, options->forgotten);
	s->reader.position = s->forgotten;
	spool_drop_forgotten(s);
	*ret_spool = s;
	return 0;
}

int spool_open(struct spool **ret_spool, const struct spool_options *options, struct err *err)
{
	struct spool_files files;
	int r = spool_files_enter(&files, options->folder, err);
	return r < 0 ? r : spool_open_files(ret_spool, options, &files, err);
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	spool_reader_leave(s);
	window_finish(&s->reader.window);
	for (unsigned i = 0; i < s->n_pending; i++)
		s->files.close(s->files.disk, s->pending[i]);
	if (s->active >= 0)
		s->files.close(s->files.disk, s->active);
	if (s->cursor >= 0)
		s->files.close(s->files.disk, s->cursor);
	s->files.leave(s->files.disk);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->syncing);
	free(s->segments);
	free(s->folder);
	free(s);
}
