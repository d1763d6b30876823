/* backlog_read -- out of the spool: records back into batches, as their input's thread would have made them. */
#include "router/lane/backlog_priv.h"

#include <errno.h>
#include <string.h>

#include "router/base/clock.h"
#include "router/lane/batch.h"
#include "router/lane/lane_private.h"
#include "router/lane/record.h"
#include "router/lane/spool.h"
#include "router/lane/spool_segment.h"

enum {
	BATCH_BYTES = 256 * 1024,       /* of a batch read from the spool, at most ... */
	BATCH_PART = 4,                 /* ... and this part of the lane's share */
};

static struct view keep(struct batch *batch, struct view text)
{
	char *piece = batch_alloc(batch, text.len + 1);
	if (text.len)
		memcpy(piece, text.ptr, text.len);
	piece[text.len] = 0;
	return (struct view){ piece, text.len };
}

static struct batch *new_batch(struct backlog *b, const struct spool_record *r)
{
	struct batch *batch = batch_create(NULL, NULL); /* counts against no budget, as batch_excuse has it */
	batch->lane = b->lane;
	batch->input = keep(batch, r->input).ptr;
	batch->cluster = keep(batch, r->cluster).ptr;
	batch->first_seq = r->seq;
	batch->pushed_ms = clock_steady_ms();
	return batch;
}

static bool belongs(const struct batch *batch, const struct spool_record *r)
{
	bool follows = r->class_ & BACKLOG_MISFIT || r->seq == batch->first_seq + batch->n;
	return follows && view_eq(r->input, view_of(batch->input)) &&
	       view_eq(r->cluster, view_of(batch->cluster));
}

static void add_record(struct backlog *b, struct batch *batch, const struct spool_record *r, uint64_t position)
{
	struct event e;
	size_t end;
	if (r->class_ & BACKLOG_MISFIT) {
		batch_add_misfit(batch, keep(batch, r->event));
		batch->bytes += r->event.len;
		return;
	}
	struct record *record = batch_add(batch);
	if (batch->n == 1)
		batch->start = position - frame_size(r);
	backlog_set_end(batch, record, position);
	record->bytes = keep(batch, r->event);
	record->class_ = r->class_;
	batch->bytes += r->event.len;
	batch_set_rule(batch, batch->n - 1, r->rule);
	if (unwrap_decode(&b->unwrap, b->decoder, record->bytes, &e, &end) != DECODE_OK)
		return; /* the spool's checksum was right, so it is what was put in: formats cope with what has no fields */
	attributes_of(&e, &b->attributes);
	record_fill(batch, record, &e, &b->attributes, b->lane->options.key);
}

/*
 * The next record that the sink does not have yet; false: none now. Damaged ones are passed over, counted by the spool. A spool
 * that cannot be read is not one that has been read to its end: the lane stays behind, and tries again.
 */
static bool next_record(struct backlog *b, struct spool_record *ret_record, uint64_t *ret_position)
{
	for (;;) {
		int r = spool_next(b->spool, ret_record, ret_position);
		bool failing = r < 0 && r != -EAGAIN && r != -EBADMSG;
		if (r == -EBADMSG)
			lane_report(b->lane, "the spool has damaged records: they are passed over and counted");
		if (failing && !b->failing)
			lane_report(b->lane, "the spool cannot be read");
		if (!failing && b->failing)
			lane_report(b->lane, NULL);
		b->failing = failing;
		if (r != -EBADMSG && (r < 0 || *ret_position > b->skip_to))
			return r == 0;
	}
}

/* Reads on from `batch` (NULL: a new one) until it is large enough or the next record belongs elsewhere. */
static struct batch *read_batch(struct backlog *b, struct batch *batch, uint64_t *last)
{
	struct spool_record r;
	uint64_t position, bytes_max = b->lane->options.share_bytes / BATCH_PART;
	if (bytes_max > BATCH_BYTES)
		bytes_max = BATCH_BYTES;
	while ((!batch || batch->bytes < bytes_max) && next_record(b, &r, &position)) {
		if (batch && !belongs(batch, &r)) {
			b->ahead = new_batch(b, &r);
			add_record(b, b->ahead, &r, position);
			b->ahead_last = position;
			return batch;
		}
		if (!batch)
			batch = new_batch(b, &r);
		add_record(b, batch, &r, position);
		*last = position;
	}
	return batch;
}

/* All is read: what the counters still have on disk was damaged and passed over. It is dead, and counted so. */
static void count_damaged(struct backlog *b)
{
	uint64_t lost = lane_counters(b->lane).spooled_events;
	if (lost)
		lane_account(b->lane, &(struct lane_counters){ .dead_events = lost, .spooled_events = -lost });
}

/* All is read, and the spool has no room for the rest of this batch: it goes the short way, and its outcomes close the span. */
static struct batch *take_pending(struct backlog *b)
{
	struct batch *batch = b->pending;
	batch->open -= b->pending_next; /* what the spool has of it is delivered by another batch: no outcome of this one */
	b->pending = NULL;
	b->pending_next = 0;
	return batch;
}

struct batch *backlog_next(struct backlog *b)
{
	struct lane *l = b->lane;
	uint64_t last = b->ahead_last;
	struct batch *batch = b->ahead;
	b->ahead = NULL;
	batch = read_batch(b, batch, &last);
	if (batch) {
		backlog_add_stored(b, batch, last);
		lane_account(l, &(struct lane_counters){
			.memory_events = batch_events(batch),
			.spooled_events = -(uint64_t)batch_events(batch),
		});
		return batch;
	}
	if (b->failing)
		return NULL;
	if (b->pending)
		return take_pending(b);
	/* All is read: what comes now may go the short way. */
	count_damaged(b);
	b->behind = false;
	l->backlogged = b->head != NULL;
	return NULL;
}
