#include "router/lane/backlog_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/lane/batch.h"
#include "router/lane/chunk.h"
#include "router/lane/lane_private.h"
#include "router/lane/ledger.h"
#include "router/lane/progress.h"
#include "router/lane/spool.h"
#include "router/lane/spool_segment.h"
#include "router/output/output.h"

enum {
	GROUP_BYTES = 256 * 1024,       /* of events that are appended at once; a larger one goes alone */
	FORGET_MS = 100,                /* how often main is asked how far what was delivered is durable */
	FULL_RETRY_MS = 500,
	TELL_BEHIND_MS = 30 * 1000,     /* a lane that falls behind again and again says so no more often */
};

/* Brings the common total up to date with what this spool holds now. */
static void count_bytes(struct backlog *b)
{
	struct spool_total *total = b->lane->options.spool_total;
	uint64_t bytes = spool_state(b->spool).bytes;
	if (total)
		total->bytes += bytes - b->counted;
	b->counted = bytes;
}

static bool has_room(const struct backlog *b, size_t more)
{
	const struct spool_total *total = b->lane->options.spool_total;
	return !total || !total->bytes_max || total->bytes + more <= total->bytes_max;
}

int backlog_open(struct backlog **ret_backlog, struct lane *lane, const struct backlog_options *options, struct err *err)
{
	struct backlog *b = mem_zero(1, sizeof *b);
	struct spool_options spool = {
		.folder = options->folder,
		.bytes_max = options->bytes_max,
		.forgotten = options->forgotten,
	};
	int r = spool_open(&b->spool, &spool, err);
	if (r < 0) {
		free(b);
		return r;
	}
	b->lane = lane;
	b->after_ms = options->after_ms;
	b->decoder = decode_create(DECODE_BEST);
	count_bytes(b);
	/* What an earlier run left counts as received by this one, so that the sums agree. */
	struct spool_state s = spool_state(b->spool);
	progress_spool(lane->options.progress, lane->options.number, s.forgotten);
	lane_account(lane, &(struct lane_counters){ .received_events = s.records, .spooled_events = s.records });
	b->behind = s.records > 0;
	lane->backlogged = b->behind;
	*ret_backlog = b;
	return 0;
}

bool backlog_behind(const struct backlog *b)
{
	return b && b->behind;
}

struct backlog_state backlog_state(struct backlog *b)
{
	if (!b)
		return (struct backlog_state){ 0 };
	struct spool_state s = spool_state(b->spool);
	return (struct backlog_state){ s.bytes, s.records, s.torn_bytes, s.damaged };
}

/* ---- into the spool ---- */

int backlog_sync(struct backlog *b)
{
	return b ? spool_sync(b->spool) : 0;
}

void backlog_relieve(struct backlog *b)
{
	if (b && spool_wants_sync(b->spool))
		(void)spool_sync(b->spool); /* a failure stays, and is told by the next backlog_sync */
}

/* What is in the spool is done: durable with the next backlog_sync, as a file output's lines are with theirs. */
static void close_span(const struct backlog *b, struct span *span)
{
	if (span)
		ledger_close(span, b->lane->options.number);
}

/* The record, or the misfit behind the records, as the spool keeps it. False: it is done with. */
static bool make_record(const struct backlog *b, const struct batch *batch, uint32_t i, struct spool_record *ret)
{
	const struct record *r = i < batch->n ? &batch->records[i] : NULL;
	const struct misfit *m = r ? NULL : &batch->misfits[i - batch->n];
	uint8_t outcome = r ? r->outcome : m->outcome;
	*ret = (struct spool_record){
		.seq = batch->first_seq + (r ? i : batch->n),
		.class_ = r ? r->class_ : (uint8_t)(b->lane->options.class_ | BACKLOG_MISFIT),
		.rule = r ? batch_rule(batch, i) : VIEW(""),
		.input = view_of(batch->input),
		.cluster = view_of(batch->cluster),
		.event = r ? r->bytes : m->bytes,
	};
	return outcome == RECORD_OPEN || outcome == RECORD_REFUSED;
}

/* The next events that are not done with, up to n_max of them, from *next on, which moves on. */
static unsigned gather(const struct backlog *b, const struct batch *batch, uint32_t *next, struct spool_record *records,
	unsigned n_max, uint64_t *ret_bytes)
{
	unsigned n = 0;
	*ret_bytes = 0;
	for (; *next < batch_events(batch) && n < n_max; ++*next) {
		if (!make_record(b, batch, *next, &records[n]))
			continue;
		if (n && *ret_bytes + records[n].event.len > GROUP_BYTES)
			break;
		*ret_bytes += records[n++].event.len;
	}
	return n;
}

/*
 * Appends a group of the events that are not done with, from *next on, which moves on. *ret_last: position of the last one. Where
 * it has no room, the next group is of one (*n_max).
 */
static int append_group(struct backlog *b, const struct batch *batch, uint32_t *next, unsigned *n_max, uint64_t *ret_last)
{
	struct spool_record records[SPOOL_APPEND_MAX];
	uint64_t bytes;
	uint32_t end = *next;
	unsigned n = gather(b, batch, &end, records, *n_max, &bytes);
	int e = n == 0 ? 0 : !has_room(b, bytes) ? -ENOSPC : n > 1 ? spool_append_many(b->spool, records, n, ret_last) :
		spool_append(b->spool, records, ret_last);
	if (e < 0 && n > 1) {
		*n_max = 1;
		return 0;
	}
	if (e == 0)
		*next = end;
	return e;
}

/* All of a batch that the sink has: what fits of it alone does not count. */
static int append_taken(struct backlog *b, const struct batch *batch, uint64_t *ret_last)
{
	uint32_t next = 0;
	unsigned n_max = SPOOL_APPEND_MAX;
	int e = 0;
	while (e == 0 && next < batch_events(batch))
		e = append_group(b, batch, &next, &n_max, ret_last);
	return e;
}

/* The rest of a batch off the queue, which only the spool has from now on: what is in it need not come again after kill -9. */
static int append_pending(struct backlog *b)
{
	struct batch *batch = b->pending;
	unsigned n_max = SPOOL_APPEND_MAX;
	uint64_t last;
	int e = 0;
	while (e == 0 && b->pending_next < batch_events(batch)) {
		uint32_t i = b->pending_next;
		e = append_group(b, batch, &b->pending_next, &n_max, &last);
		for (; i < b->pending_next; i++)
			*(i < batch->n ? &batch->records[i].outcome : &batch->misfits[i - batch->n].outcome) = RECORD_DELIVERED;
		lane_reach(batch);
	}
	return e;
}

static void say_full(struct backlog *b, int e)
{
	char text[LANE_TROUBLE_ROOM];
	(void)snprintf(text, sizeof text, "the spool takes no more: %s", e == -ENOSPC ? "it or its disk is full" : strerror(-e));
	lane_report(b->lane, text);
	b->full = true;
	b->full_next_ms = clock_steady_ms() + FULL_RETRY_MS;
}

static void say_room(struct backlog *b)
{
	b->full = false;
	lane_report(b->lane, NULL);
}

void backlog_set_end(const struct batch *batch, struct record *r, uint64_t end)
{
	r->end = end - batch->start <= UINT32_MAX ? (uint32_t)(end - batch->start) : 0;
}

/* All of it was appended, up to `last`: from now on the ends of its records are places in the spool. */
static void take_ends(const struct backlog *b, struct batch *batch, uint64_t last)
{
	struct spool_record record;
	batch->start = last;
	for (uint32_t i = 0; i < batch_events(batch); i++)
		batch->start -= make_record(b, batch, i, &record) ? frame_size(&record) : 0;
	uint64_t end = batch->start;
	for (uint32_t i = 0; i < batch->n; i++) {
		bool is = make_record(b, batch, i, &record);
		end += is ? frame_size(&record) : 0;
		backlog_set_end(batch, &batch->records[i], is ? end : batch->start);
	}
	batch->reached = batch->settled;
}

/* Without a batch: done already. */
void backlog_add_stored(struct backlog *b, struct batch *batch, uint64_t last)
{
	struct stored *s = mem_zero(1, sizeof *s);
	s->batch = batch;
	s->last = last;
	if (batch)
		batch->stored = s;
	if (b->tail)
		b->tail->next = s;
	else
		b->head = s;
	b->tail = s;
}

void backlog_reach(struct backlog *b, struct batch *batch, uint64_t position)
{
	batch->stored->reached = position;
	if (batch->stored == b->head)
		progress_spool(b->lane->options.progress, b->lane->options.number, position);
}

/*
 * What was delivered may be forgotten once it is durable where it went: a file output's lines, and dead letters, are in the page
 * cache until main has synced them.
 */
static void forget_durable(struct backlog *b)
{
	uint64_t durable = b->durable;
	if (durable <= b->forgotten)
		return;
	b->forgotten = durable;
	spool_forget(b->spool, durable);
	count_bytes(b);
}

static void take_off_done(struct backlog *b)
{
	uint64_t last = 0;
	while (b->head && !b->head->batch) {
		struct stored *s = b->head;
		b->head = s->next;
		if (!b->head)
			b->tail = NULL;
		last = s->last;
		free(s);
	}
	if (last) {
		b->delivered = last;
		progress_spool(b->lane->options.progress, b->lane->options.number,
			b->head && b->head->reached ? b->head->reached : last);
		b->lane->backlogged = b->head || b->behind || b->pending;
	}
	forget_durable(b);
}

uint64_t backlog_delivered(const struct backlog *b)
{
	return b ? b->delivered : 0;
}

void backlog_durable(struct backlog *b, uint64_t position)
{
	if (b && position > b->durable)
		b->durable = position;
}

/*
 * What the sink has, oldest first: it stays in the sink's hands, but the ledger need not wait for it any more. A batch that
 * did not fit whole is appended anew when there is room: what did fit is passed over by the reader, and forgotten.
 */
static bool store_taken(struct backlog *b)
{
	for (struct batch *batch = b->lane->taken; batch; batch = batch->next) {
		uint64_t last = 0;
		if (batch->stored)
			continue;
		int e = append_taken(b, batch, &last);
		if (e < 0) {
			if (last) {
				b->skip_to = last;
				backlog_add_stored(b, NULL, last);
				take_off_done(b);
			}
			say_full(b, e);
			return false;
		}
		close_span(b, batch->span);
		batch->span = NULL;
		take_ends(b, batch, last);
		backlog_add_stored(b, batch, last);
		batch_excuse(batch);
		b->skip_to = last;
	}
	return true;
}

static bool store_queue(struct backlog *b)
{
	struct lane *l = b->lane;
	while (b->pending || (b->pending = lane_queue_pop(l))) {
		struct batch *batch = b->pending;
		const uint32_t first = b->pending_next;
		int e = append_pending(b);
		lane_account(l, &(struct lane_counters){
			.memory_events = -(uint64_t)(b->pending_next - first),
			.spooled_events = b->pending_next - first,
		});
		if (e < 0) {
			say_full(b, e);
			return false;
		}
		b->pending = NULL;
		b->pending_next = 0;
		close_span(b, batch->span);
		l->progress_ms = clock_steady_ms(); /* its inputs get on */
		batch_free(batch);
		count_bytes(b);
	}
	return true;
}

/* Has the oldest event in memory that is not safe, or an input, waited too long? *ret_left_ms: how long it still may. */
static bool is_late(struct backlog *b, int64_t *ret_left_ms)
{
	struct lane *l = b->lane;
	int64_t oldest = INT64_MAX, now = clock_steady_ms();
	for (const struct batch *batch = l->taken; batch && oldest == INT64_MAX; batch = batch->next)
		if (!batch->stored)
			oldest = batch->pushed_ms;
	(void)pthread_mutex_lock(&l->mutex);
	if (l->head && l->head->pushed_ms < oldest)
		oldest = l->head->pushed_ms;
	int64_t spool_at_ms = l->spool_at_ms;
	(void)pthread_mutex_unlock(&l->mutex);
	*ret_left_ms = oldest == INT64_MAX ? INT64_MAX : oldest + b->after_ms - now;
	if (spool_at_ms && spool_at_ms - now < *ret_left_ms)
		*ret_left_ms = spool_at_ms - now;
	return *ret_left_ms <= 0;
}

static void fall_behind(struct backlog *b)
{
	b->behind = true;
	b->lane->backlogged = true;
}

/* Whoever runs this should know where events are: that the spool has some, now and then, and when it has none any more. */
static void tell_behind(struct backlog *b)
{
	const bool behind = b->lane->backlogged;
	const int64_t now = clock_steady_ms();
	if (behind == b->told_behind || (behind && now < b->tell_behind_ms))
		return;
	b->told_behind = behind;
	b->tell_behind_ms = now + TELL_BEHIND_MS;
	if (behind)
		log_line(LOG_WARN, b->lane->fields, "falls behind: its events go through its spool until it has caught up");
	else
		log_line(LOG_INFO, b->lane->fields, "has caught up: its spool is empty");
}

static bool store(struct backlog *b)
{
	if (b->full && clock_steady_ms() < b->full_next_ms)
		return false;
	bool stored = store_taken(b) && store_queue(b);
	count_bytes(b);
	if (stored && b->full)
		say_room(b);
	return stored;
}

bool backlog_store_all(struct backlog *b)
{
	fall_behind(b);
	b->full_next_ms = 0;
	return store(b);
}

int backlog_work(struct backlog *b, int wait_ms)
{
	int64_t left_ms = INT64_MAX;
	if (!b)
		return wait_ms;
	if (!b->behind && is_late(b, &left_ms)) {
		fall_behind(b);
		wait_ms = 0; /* from the next look on pushes wake it */
	} else if (!b->behind && b->full && clock_steady_ms() >= b->full_next_ms)
		say_room(b);
	if (b->behind)
		(void)store(b);
	tell_behind(b);
	forget_durable(b);
	if (b->full && (wait_ms > FULL_RETRY_MS || (b->behind && wait_ms > 0)))
		wait_ms = FULL_RETRY_MS; /* it stores nothing before */
	if (b->forgotten < b->delivered && wait_ms > FORGET_MS)
		wait_ms = FORGET_MS;
	if (!b->behind && left_ms < wait_ms)
		wait_ms = (int)left_ms;
	return wait_ms;
}

void backlog_done(struct backlog *b, struct batch *batch)
{
	batch->stored->batch = NULL;
	take_off_done(b);
}

void backlog_close(struct backlog *b)
{
	if (!b)
		return;
	forget_durable(b);
	(void)backlog_sync(b);
	while (b->head) {
		struct stored *s = b->head;
		b->head = s->next;
		free(s);
	}
	batch_free(b->pending);
	batch_free(b->ahead);
	spool_close(b->spool);
	decode_destroy(b->decoder);
	unwrap_finish(&b->unwrap);
	free(b);
}
