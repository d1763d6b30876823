/*
 * Opening a spool: the list of its segments, the cursor, and the newest segment's end. Older segments are not looked at:
 * whether they were closed in order is known from spool_segment.h's rule that only the newest can be torn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/lane/spool_priv.h"

enum { SEGMENT_BYTES = 16 << 20, SEGMENTS_AT_LEAST = 4 };
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
	if (s->n_segments)
		s->damaged++;
	for (s->saved.generation = 1; s->saved.generation <= 2 && r == 0; s->saved.generation++)
		r = cursor_write(files, s->cursor, &s->saved); /* both, so that later writes need no room */
	s->saved.generation = 2;
	if (r == 0)
		r = files->sync_names(files->disk);
	return r < 0 ? fail(s, err, cursor_name, r, "cannot be written") : 0;
}

/* 1: good, or damaged and worth reading; 0: there is nothing in it. */
static int check_segment(struct spool *s, const struct segment *g, uint64_t *ret_number, struct err *err)
{
	const struct spool_files *files = &s->files;
	enum segment_header_state state = SEGMENT_UNBORN;
	char name[SEGMENT_NAME_ROOM];
	segment_name(g->first, name);
	int file = files->open(files->disk, name, false);
	int r = file < 0 ? file : segment_read_header(files, file, g->first, &state, ret_number);
	if (file >= 0)
		files->close(files->disk, file);
	if (r < 0)
		return fail(s, err, name, r, "cannot be read");
	if (state == SEGMENT_NEWER)
		return fail(s, err, name, -EBADMSG, "was written by a newer version of this program");
	if (state == SEGMENT_FOREIGN)
		return fail(s, err, name, -EBADMSG, "is not a segment of a spool");
	return state != SEGMENT_UNBORN;
}

/*
 * Takes away the newest segment if a crash came before its first record. *durable: the one before it had been fsynced.
 */
static int drop_unborn(struct spool *s, uint64_t *ret_number, uint64_t *durable, struct err *err)
{
	while (s->n_segments) {
		char name[SEGMENT_NAME_ROOM];
		const struct segment *g = &s->segments[s->n_segments - 1];
		int r = check_segment(s, g, ret_number, err);
		if (r != 0)
			return r < 0 ? r : 0;
		segment_name(g->first, name);
		r = s->files.remove(s->files.disk, name);
		if (r < 0)
			return fail(s, err, name, r, "cannot be removed");
		if (g->first > *durable)
			*durable = g->first;
		s->bytes -= g->bytes;
		s->n_segments--;
	}
	return 0;
}

/* Opens the newest segment for appending, without what a crash tore. */
static int recover_newest(struct spool *s, uint64_t number, uint64_t durable, struct err *err)
{
	const struct spool_files *files = &s->files;
	struct segment *g = &s->segments[s->n_segments - 1];
	struct segment_tail tail = { g->first, number };
	struct window window = { .file = -1 };
	char name[SEGMENT_NAME_ROOM];
	segment_name(g->first, name);
	s->active = files->open(files->disk, name, false);
	if (s->active < 0)
		return fail(s, err, name, s->active, "cannot be opened");
	window_enter(&window, files, s->active);
	segment_scan(&window, g->first, g->end, durable, &tail);
	window_finish(&window);
	uint64_t kept = sizeof(struct segment_header) + (tail.end - g->first), torn = g->bytes - kept;
	int r = torn ? files->cut(files->disk, s->active, kept) : 0;
	/* Durable before anything is written after it, lest the torn bytes come back behind that. */
	if (r == 0)
		r = files->sync(files->disk, s->active);
	if (r < 0)
		return fail(s, err, name, r, "cannot be cut to its last whole record");
	s->torn_bytes = torn;
	if (tail.end < g->end && tail.end < durable)
		s->damaged++; /* no torn write: the disk had confirmed it */
	s->bytes -= torn;
	g->bytes = kept;
	g->end = tail.end;
	s->next_number = tail.number;
	return 0;
}

/* Where the first held record is, and its number. */
static int place_cursor(struct spool *s, struct err *err)
{
	const struct segment *oldest = s->segments;
	uint64_t number = s->saved.number;
	s->forgotten = s->saved.position;
	if (s->forgotten < oldest->first) {
		int r = check_segment(s, oldest, &number, err);
		if (r < 0)
			return r;
		s->forgotten = oldest->first;
	}
	if (s->next_number < number)
		s->next_number = number;
	s->forgotten_number = number;
	return 0;
}

static int recover(struct spool *s, struct err *err)
{
	uint64_t number = 0, durable = 0, other;
	int r = list_segments(s, err);
	if (r == 0)
		r = open_cursor(s, err);
	if (r == 0)
		r = drop_unborn(s, &number, &durable, err);
	if (durable < s->saved.durable)
		durable = s->saved.durable;
	if (r == 0 && s->n_segments)
		r = recover_newest(s, number, durable, err);
	if (r == 0 && s->n_segments > 1 && (r = check_segment(s, s->segments, &other, err)) > 0)
		r = 0;
	if (r == 0 && (!s->n_segments || spool_end(s) < s->saved.position)) {
		/* All that the cursor knows of is gone; what is left lies before it. */
		s->next_number = s->saved.number;
		r = spool_start_segment(s, s->saved.position, s->saved.number);
		if (r < 0)
			return fail(s, err, "", r, "no segment can be made");
	}
	if (r == 0)
		r = place_cursor(s, err);
	if (r == 0 && (r = s->files.sync_names(s->files.disk)) < 0)
		return fail(s, err, "", r, "the folder cannot be synced");
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
	s->durable = spool_end(s);
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
