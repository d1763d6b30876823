#pragma once
/*
 * ledger -- "no loss" in one place: what of an input's bytes is still open, and how far each lane has come.
 *
 * An input's bytes are cut in spans, one a chunk, in the order of the source. A span is open for a lane from
 * ledger_open until that lane closes it: every event of the span for that lane was acknowledged, dead-lettered,
 * dropped by a rule, or is in a spool. What is closed is durable only after lane_sync, be it delivered or in a spool.
 * Positions are the input's own: opaque numbers that never step back (file: byte offset in the chain of files; Kafka: offset
 * of a partition; webhook: number of the request).
 *
 * What must stay true: a lane's settled position never passes a span that is open for it; an input's settled position
 *            is the lowest of its lanes', and of what the input has not handed over yet.
 * kill -9:   anywhere: the persisted position is older than or equal to what is settled, so events are sent again,
 *            never skipped.
 * Kept:      what survives kill -9 by itself, though perhaps not power loss yet, is told by ledger_keep_to; what is closed is kept
 *            too. How far each lane has kept all goes to the progress (progress.h), event by event within a
 *            span: so what comes again after a kill is what no outcome was known of.
 * Threads:   ledger_open by the input's thread; ledger_close by lanes; ledger_positions by main. One mutex an input,
 *            taken once a chunk and lane, never an event.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger; /* of one input */
struct progress;
struct span;

enum { LEDGER_LANES_MAX = 256 };

/*
 * `news` is called without locks, in whatever thread closed the oldest span: the settled position has moved. It must
 * only wake somebody.
 */
int ledger_create(struct ledger **ret_ledger, unsigned n_lanes, void (*news)(void *context), void *context);
void ledger_destroy(struct ledger *); /* spans that are still open are forgotten: the source has them */

/*
 * Opens the span that starts where the last one ended. `first_seq[lane]` is the sequence number that the lane's first
 * event in this span has, or would have. One at a time: the caller holds the span open until ledger_commit.
 */
struct span *ledger_open(struct ledger *, const uint64_t *first_seq);
/* This lane has events in the span. Before ledger_commit, once a lane. */
void ledger_join(struct span *, unsigned lane);
/*
 * The caller has handed over all of the span, which ends at `end`, and must not touch it again. `next_seq[lane]` is the
 * number of the lane's first event after it.
 */
void ledger_commit(struct span *, uint64_t end, const uint64_t *next_seq);
/* The lane is done with the span. Once for each ledger_join. */
void ledger_close(struct span *, unsigned lane);
/*
 * The first `events` of the lane's events in the span, which are all that end at or before `position`, need not come again after
 * kill -9. More each time. Before ledger_close.
 */
void ledger_keep_to(struct span *, unsigned lane, uint64_t position, uint64_t events);

/*
 * Something of this span is kept for later: it will be routed in another span, together with what comes there. Until that one
 * is closed the span counts as open, for a lane until that one is closed for that lane; before it is known which one that will
 * be, for all of them. Before ledger_commit; as often as there are such things.
 */
void ledger_hold(struct span *);
/* One of them was routed in `in`: the same span, or a later one that is not committed yet. */
void ledger_unhold(struct span *held, const struct span *in);

struct ledger_lane {
	uint64_t position; /* all before it is settled for this lane */
	uint64_t seq;      /* of the lane's first event from there on */
	uint64_t closed;   /* how many spans it has closed since the start: the same number, nothing new of this input in it */
};
/* How far each lane has come (n_lanes entries, or NULL). Returns the input's settled position. */
uint64_t ledger_positions(struct ledger *, struct ledger_lane *ret_lanes);
/* The sequence numbers (n_lanes) of each lane's first event from `position` on, which is the end of a span that is open or the newest. */
void ledger_numbers(struct ledger *, uint64_t position, uint64_t *ret_seq);
/*
 * How far these lanes (a bit each) have come if all that they had before `from` is closed: to the first span from there on of which
 * one of them has something, or that is not handed over yet. Never before `from`, which is the end of a span or 0.
 */
uint64_t ledger_reach(struct ledger *, const uint64_t *lanes, uint64_t from);
/* Where it starts, from a checkpoint: before the first ledger_open. */
void ledger_start(struct ledger *, uint64_t position, const uint64_t *next_seq);
/* From now on the progress (NULL: none) hears of this ledger as of input number `input`. Before the first ledger_open. */
void ledger_watch(struct ledger *, struct progress *, size_t input);
bool ledger_idle(struct ledger *); /* nothing is open */
