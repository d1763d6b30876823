#include "router/output/http_parcel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RANGES_FIRST_ROOM = 16, PREFETCH_BYTES = 2048 };

void parcel_finish(struct parcel *p)
{
	free(p->ranges);
	buf_finish(&p->body);
	*p = (struct parcel){ 0 };
}

void parcel_clear(struct parcel *p, size_t body_room_max)
{
	p->n_ranges = 0;
	p->n = p->from = 0;
	p->depth = 0;
	p->bytes = 0;
	parcel_rewind(p);
	buf_clear(&p->body);
	if (p->body.room > body_room_max)
		buf_finish(&p->body);
}

static void add_range(struct parcel *p, struct batch *batch, uint32_t first, uint32_t count)
{
	struct parcel_range *last = p->n_ranges ? &p->ranges[p->n_ranges - 1] : NULL;
	if (last && last->batch == batch && last->first + last->count == first) {
		last->count += count;
		p->n += count;
		return;
	}
	if (p->n_ranges == p->room) {
		p->room = p->room ? p->room * 2 : RANGES_FIRST_ROOM;
		p->ranges = mem_resize(p->ranges, p->room * sizeof *p->ranges);
	}
	p->ranges[p->n_ranges++] = (struct parcel_range){ batch, first, count, p->n };
	p->n += count;
}

bool parcel_add(struct parcel *p, const struct format_ops *format, const struct format_context *context,
	struct batch *batch, uint32_t index, uint64_t bytes_max)
{
	const struct view *front = p->n ? &format->between : &format->head;
	size_t before = p->body.len;
	uint64_t bytes = p->bytes + front->len + batch->records[index].bytes.len;
	if (!p->streamed) {
		buf_add_view(&p->body, *front);
		format->add(&p->body, context, batch, index);
		bytes = p->body.len;
	}
	if (p->n && bytes + format->tail.len > bytes_max) {
		p->body.len = before;
		return false;
	}
	p->bytes = bytes;
	add_range(p, batch, index, 1);
	return true;
}

void parcel_close(struct parcel *p, const struct format_ops *format)
{
	assert(p->n && !p->depth);
	if (!p->streamed)
		buf_add_view(&p->body, format->tail);
	p->bytes += format->tail.len;
	p->ends[p->depth++] = p->n;
}

static uint32_t window_end(const struct parcel *p)
{
	return p->depth ? p->ends[p->depth - 1] : p->from;
}

uint32_t parcel_window(const struct parcel *p)
{
	return window_end(p) - p->from;
}

void parcel_halve(struct parcel *p)
{
	uint32_t n = parcel_window(p);
	assert(n > 1);
	assert(p->depth < PARCEL_DEPTH_MAX);
	p->ends[p->depth++] = p->from + n / 2;
}

/* The records from `at` on, up to `end`, that stand side by side in one batch. */
static struct parcel_range run_at(const struct parcel *p, uint32_t at, uint32_t end)
{
	size_t low = 0, high = p->n_ranges;
	assert(at < end && end <= p->n);
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (p->ranges[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	struct parcel_range run = p->ranges[low];
	uint32_t skip = at - run.at;
	run.first += skip;
	run.count -= skip;
	run.at = at;
	if (run.count > end - at)
		run.count = end - at;
	return run;
}

const char *parcel_cluster(const struct parcel *p)
{
	const char *cluster = run_at(p, p->from, p->n).batch->cluster;
	return cluster ? cluster : "";
}

static uint64_t run_bytes(const struct parcel_range *run)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < run->count; i++)
		bytes += run->batch->records[run->first + i].bytes.len;
	return bytes;
}

/* How long the body of the window is. */
static uint64_t measure(const struct parcel *p, const struct format_ops *format)
{
	uint32_t end = window_end(p);
	uint64_t bytes = format->head.len + format->tail.len;
	if (end > p->from)
		bytes += (uint64_t)(end - p->from - 1) * format->between.len;
	for (uint32_t at = p->from; at < end;) {
		struct parcel_range run = run_at(p, at, end);
		bytes += run_bytes(&run);
		at += run.count;
	}
	return bytes;
}

static void gather(struct parcel *p, const struct format_ops *format, const struct format_context *context)
{
	uint32_t end = window_end(p);
	buf_clear(&p->body);
	buf_add_view(&p->body, format->head);
	for (uint32_t at = p->from; at < end;) {
		struct parcel_range run = run_at(p, at, end);
		for (uint32_t i = 0; i < run.count; i++) {
			if (at + i > p->from)
				buf_add_view(&p->body, format->between);
			format->add(&p->body, context, run.batch, run.first + i);
		}
		at += run.count;
	}
	buf_add_view(&p->body, format->tail);
	p->bytes = p->body.len;
}

void parcel_build(struct parcel *p, const struct format_ops *format, const struct format_context *context)
{
	if (!p->streamed) {
		gather(p, format, context);
		return;
	}
	p->bytes = measure(p, format);
	parcel_rewind(p);
}

/* ---- streamed ---- */

void parcel_rewind(struct parcel *p)
{
	p->read_at = p->from;
	p->read_skip = 0;
}

/* What of `piece` is past *skip, up to room; *skip is then what is to be skipped of what follows the piece. */
static size_t copy_past(struct view piece, size_t *skip, char *bytes, size_t room)
{
	if (*skip >= piece.len) {
		*skip -= piece.len;
		return 0;
	}
	size_t n = piece.len - *skip < room ? piece.len - *skip : room;
	memcpy(bytes, piece.ptr + *skip, n);
	*skip = 0;
	return n;
}

/* One record with what stands before it, and after the last of the window; moves on when all of it was read. */
static size_t read_record(struct parcel *p, const struct format_ops *format, struct view event, char *bytes, size_t room)
{
	const struct view front = p->read_at == p->from ? format->head : format->between;
	const struct view back = p->read_at + 1 == window_end(p) ? format->tail : VIEW("");
	size_t skip = p->read_skip, n = copy_past(front, &skip, bytes, room);
	n += copy_past(event, &skip, bytes + n, room - n);
	n += copy_past(back, &skip, bytes + n, room - n);
	p->read_skip += n;
	if (p->read_skip == front.len + event.len + back.len) {
		p->read_at++;
		p->read_skip = 0;
	}
	return n;
}

/* The records of one class lie apart in memory that another thread wrote: the next one is on its way while this one is copied. */
static inline void prefetch(struct view bytes)
{
	for (size_t at = 0; at < bytes.len && at < PREFETCH_BYTES; at += 64)
		__builtin_prefetch(bytes.ptr + at);
}

size_t parcel_read(struct parcel *p, const struct format_ops *format, char *bytes, size_t room)
{
	uint32_t end = window_end(p);
	size_t done = 0;
	while (done < room && p->read_at < end) {
		struct parcel_range run = run_at(p, p->read_at, end);
		for (uint32_t last = run.at + run.count; done < room && p->read_at < last;) {
			const struct record *record = &run.batch->records[run.first + (p->read_at - run.at)];
			struct view event = record->bytes;
			if (p->read_at + 1 < last)
				prefetch(record[1].bytes);
			done += read_record(p, format, event, bytes + done, room - done);
		}
	}
	return done;
}

/* ---- outcomes ---- */

static void next_window(struct parcel *p)
{
	p->from = window_end(p);
	p->depth--;
}

uint64_t parcel_delivered(struct parcel *p)
{
	uint32_t end = window_end(p);
	uint64_t bytes = 0;
	for (uint32_t at = p->from; at < end;) {
		struct parcel_range run = run_at(p, at, end);
		bytes += run_bytes(&run);
		batch_delivered(run.batch, run.first, run.count); /* may free the batch */
		at += run.count;
	}
	next_window(p);
	return bytes;
}

uint64_t parcel_refused(struct parcel *p, const char *code, const char *reason)
{
	assert(parcel_window(p) == 1);
	struct parcel_range run = run_at(p, p->from, window_end(p));
	uint64_t bytes = run_bytes(&run);
	batch_refused(run.batch, run.first, code, reason);
	next_window(p);
	return bytes;
}

/* What the window and all after it will be once only `kept` records of the window are left. */
static void keep_only(struct parcel *p, struct parcel *kept, uint32_t end)
{
	uint32_t n_kept = kept->n;
	for (uint32_t at = end; at < p->n;) {
		struct parcel_range run = run_at(p, at, p->n);
		add_range(kept, run.batch, run.first, run.count);
		at += run.count;
	}
	for (unsigned i = 0; i + 1 < p->depth; i++)
		kept->ends[kept->depth++] = p->ends[i] - end + n_kept;
	if (n_kept)
		kept->ends[kept->depth++] = n_kept;
	kept->streamed = p->streamed;
	kept->body = p->body;
	free(p->ranges);
	*p = *kept;
}

uint64_t parcel_answered(struct parcel *p, const enum answer *answers, const char *code, const char *reason)
{
	struct parcel kept = { 0 };
	uint32_t end = window_end(p);
	uint64_t bytes = 0;
	for (uint32_t at = p->from; at < end;) {
		enum answer answer = answers[at - p->from];
		uint32_t stop = at + 1;
		while (stop < end && answer != ANSWER_DEAD && answers[stop - p->from] == answer)
			stop++;
		struct parcel_range run = run_at(p, at, stop);
		if (answer == ANSWER_RETRY)
			add_range(&kept, run.batch, run.first, run.count);
		else
			bytes += run_bytes(&run);
		if (answer == ANSWER_DELIVERED)
			batch_delivered(run.batch, run.first, run.count);
		else if (answer == ANSWER_DEAD)
			batch_refused(run.batch, run.first, code, reason);
		at += run.count;
	}
	keep_only(p, &kept, end);
	return bytes;
}
