#include "router/input/tracks_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

static void track_destroy(struct track *t)
{
	if (t->fd >= 0)
		(void)close(t->fd);
	free(t->file.path);
	free(t->lane_skip);
	free(t->lane_done);
	free(t);
}

/* ---- start ---- */

/* Each lane goes on where its own state says; the file is read from the lowest. */
static void set_lanes(struct track *t, const struct file_state *states, unsigned n_lanes)
{
	struct lane_offset lowest = { UINT64_MAX, true };
	t->lane_skip = mem_zero(n_lanes, sizeof *t->lane_skip);
	t->lane_done = mem_zero(n_lanes, sizeof *t->lane_done);
	for (unsigned i = 0; i < n_lanes; i++) {
		struct lane_offset o = file_state_of(&states[i], t->file.id);
		t->lane_skip[i] = o.offset;
		t->lane_done[i] = o.done;
		if (o.offset < lowest.offset)
			lowest.offset = o.offset;
		lowest.done = lowest.done && o.done;
	}
	if (lowest.offset != UINT64_MAX)
		t->file.offset = lowest.offset;
	t->file.done = lowest.done;
}

static struct track *track_create(const struct file_record *file)
{
	struct track *t = mem_zero(1, sizeof *t);
	t->file = *file;
	t->file.path = mem_text(view_of(file->path));
	t->name = chain_parse(t->file.path);
	t->gone_at = UINT64_MAX;
	t->fd = -1;
	return t;
}

static void add(struct tracks *ts, struct track *t)
{
	ts->list = mem_resize(ts->list, (ts->n + 1) * sizeof *ts->list);
	ts->list[ts->n++] = t;
}

static int read_states(struct file_state *lanes, struct file_state *all, const char *state, const char *const *lane_states,
	unsigned n_lanes, struct err *err)
{
	int r = file_state_parse(all, state, err);
	for (unsigned i = 0; r == 0 && i < n_lanes; i++)
		r = file_state_parse(&lanes[i], lane_states && lane_states[i] ? lane_states[i] : state, err);
	for (unsigned i = 0; r == 0 && i < n_lanes; i++)
		file_state_join(all, &lanes[i]);
	return r;
}

int tracks_init(struct tracks *ts, uint64_t position, const char *state, const char *const *lane_states, unsigned n_lanes,
	struct err *err)
{
	struct file_state all = { 0 };
	*ts = (struct tracks){ .settled = position, .n_lanes = n_lanes };
	(void)pthread_mutex_init(&ts->mutex, NULL);
	if (!state)
		return 0;
	struct file_state *lanes = mem_zero(n_lanes + 1, sizeof *lanes);
	int r = read_states(lanes, &all, state, lane_states, n_lanes, err);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		struct track *t = track_create(&all.files[i]);
		if (n_lanes)
			set_lanes(t, lanes, n_lanes);
		t->read = t->lines_from = t->file.offset;
		t->compared = t->file.print.bytes;
		add(ts, t);
	}
	ts->next_id = all.next_id;
	for (unsigned i = 0; i < n_lanes; i++)
		file_state_finish(&lanes[i]);
	free(lanes);
	file_state_finish(&all);
	return r;
}

void tracks_finish(struct tracks *ts)
{
	for (size_t i = 0; i < ts->n; i++)
		track_destroy(ts->list[i]);
	for (size_t i = 0; i < ts->n_twins; i++)
		free(ts->twins[i].path);
	free(ts->twins);
	free(ts->list);
	segments_finish(&ts->segments);
	(void)pthread_mutex_destroy(&ts->mutex);
}

/* ---- while it runs ---- */

struct track *track_of_listed(const struct listed *listed, const struct head *head)
{
	struct track *t = track_create(&(struct file_record){
		.path = listed->path,
		.dev = listed->stat.dev,
		.ino = listed->stat.ino,
		.size = listed->stat.size,
		.print = fingerprint_of(head),
		.packed = head->packed,
	});
	t->seen = listed->stat;
	t->compared = t->file.print.bytes;
	t->present = true;
	return t;
}

void tracks_insert(struct tracks *ts, struct track *t)
{
	(void)pthread_mutex_lock(&ts->mutex);
	t->file.id = ts->next_id++;
	add(ts, t);
	(void)pthread_mutex_unlock(&ts->mutex);
}

static int place(const struct track *t)
{
	return t->name.kind != CHAIN_LIVE ? 0 : t->present ? 2 : 1;
}

static int compare(const void *pa, const void *pb)
{
	const struct track *a = *(struct track *const *)pa, *b = *(struct track *const *)pb;
	int c = chain_same_log(&a->name, &b->name) ? place(a) - place(b) : 0;
	if (c == 0)
		c = chain_compare(&a->name, &b->name);
	return c ? c : (a->file.id > b->file.id) - (a->file.id < b->file.id);
}

void tracks_sort(struct tracks *ts)
{
	(void)pthread_mutex_lock(&ts->mutex);
	if (ts->n)
		qsort(ts->list, ts->n, sizeof(struct track *), compare);
	for (size_t i = 0; i < ts->n; i++)
		ts->list[i]->newest = i + 1 == ts->n || !chain_same_log(&ts->list[i]->name, &ts->list[i + 1]->name);
	(void)pthread_mutex_unlock(&ts->mutex);
}

/* Tells what the progress must know of a file (NULL: of none) beside positions. */
static void mark(struct tracks *ts, enum file_mark kind, const struct file_record *file, uint64_t position)
{
	struct file_record copy;
	struct file_state s = { .next_id = file ? file->id + 1 : ts->next_id, .files = &copy, .n = file != NULL };
	if (!ts->mark)
		return;
	if (file)
		copy = *file;
	_free_ char *text = file_mark_print(kind, &s);
	ts->marked = position;
	ts->mark(ts->mark_context, position, view_of(text));
}

static void mark_track(struct tracks *ts, enum file_mark kind, const struct track *t, uint64_t position)
{
	struct file_record file = t->file;
	file.offset = t->read;
	file.done = kind != FILE_MARK_BEGIN;
	mark(ts, kind, &file, position);
}

void tracks_mark_first(struct tracks *ts, uint64_t position)
{
	mark(ts, FILE_MARK_FIRST, NULL, position);
	for (size_t i = 0; i < ts->n; i++)
		mark(ts, FILE_MARK_FILE, &ts->list[i]->file, position);
}

void tracks_begin(struct tracks *ts, const struct track *t, uint64_t position)
{
	(void)pthread_mutex_lock(&ts->mutex);
	bool new = segments_begin(&ts->segments, position, t->file.id, t->read);
	(void)pthread_mutex_unlock(&ts->mutex);
	if (new)
		mark_track(ts, FILE_MARK_BEGIN, t, position);
}

void tracks_read(struct tracks *ts, struct track *t, uint64_t offset, bool packed)
{
	(void)pthread_mutex_lock(&ts->mutex);
	t->read = offset;
	t->file.packed = packed;
	(void)pthread_mutex_unlock(&ts->mutex);
}

void tracks_done(struct tracks *ts, struct track *t, bool done)
{
	(void)pthread_mutex_lock(&ts->mutex);
	t->file.done = done;
	(void)pthread_mutex_unlock(&ts->mutex);
	if (done)
		mark_track(ts, FILE_MARK_DONE, t, ts->marked);
}

void tracks_print(struct tracks *ts, struct track *t, const struct head *head)
{
	if (!fingerprint_grows(&t->file.print, head))
		return;
	(void)pthread_mutex_lock(&ts->mutex);
	t->file.print = fingerprint_of(head);
	(void)pthread_mutex_unlock(&ts->mutex);
}

void tracks_size(struct tracks *ts, struct track *t, uint64_t size)
{
	(void)pthread_mutex_lock(&ts->mutex);
	t->file.size = size;
	(void)pthread_mutex_unlock(&ts->mutex);
}

void tracks_gone(struct tracks *ts, struct track *t, uint64_t position)
{
	(void)pthread_mutex_lock(&ts->mutex);
	(void)segments_begin(&ts->segments, position, SEGMENT_NO_FILE, 0);
	t->gone_at = position + 1;
	(void)pthread_mutex_unlock(&ts->mutex);
	mark_track(ts, FILE_MARK_GONE, t, position);
}

static bool is_over(const struct tracks *ts, const struct track *t, int64_t since_ms)
{
	if (t->gone_at != UINT64_MAX)
		return ts->settled >= t->gone_at;
	return !t->present && t->fd < 0 && t->file.done && t->file.offset == t->read && t->missing_ms &&
	       t->missing_ms <= since_ms;
}

void tracks_forget(struct tracks *ts, int64_t since_ms)
{
	size_t kept = 0;
	(void)pthread_mutex_lock(&ts->mutex);
	for (size_t i = 0; i < ts->n; i++) {
		if (is_over(ts, ts->list[i], since_ms))
			track_destroy(ts->list[i]);
		else
			ts->list[kept++] = ts->list[i];
	}
	ts->n = kept;
	(void)pthread_mutex_unlock(&ts->mutex);
}

/* ---- main's ---- */

void tracks_settled(struct tracks *ts, uint64_t position)
{
	uint64_t id, offset;
	(void)pthread_mutex_lock(&ts->mutex);
	while (segments_settle(&ts->segments, position, &id, &offset))
		for (size_t i = 0; i < ts->n; i++)
			if (ts->list[i]->file.id == id)
				ts->list[i]->file.offset = offset;
	ts->settled = position;
	(void)pthread_mutex_unlock(&ts->mutex);
}

/* False: the file is nothing to this lane. */
static bool record_at(const struct tracks *ts, const struct track *t, uint64_t position, int lane, struct file_record *ret)
{
	*ret = t->file;
	ret->offset = segments_offset(&ts->segments, position, t->file.id, t->file.offset);
	ret->done = t->file.done && ret->offset == t->read;
	if (lane >= 0 && t->lane_skip && t->lane_skip[lane] > ret->offset) {
		ret->offset = t->lane_skip[lane];
		ret->done = t->lane_done[lane];
	}
	return position < t->gone_at && ret->offset <= INT64_MAX;
}

char *tracks_state(struct tracks *ts, uint64_t position, int lane)
{
	(void)pthread_mutex_lock(&ts->mutex);
	_free_ struct file_record *files = mem_zero(ts->n + 1, sizeof *files);
	struct file_state s = { .next_id = ts->next_id, .files = files };
	for (size_t i = 0; i < ts->n; i++)
		s.n += record_at(ts, ts->list[i], position, lane, &files[s.n]);
	char *text = file_state_print(&s);
	(void)pthread_mutex_unlock(&ts->mutex);
	return text;
}
