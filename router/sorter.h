#pragma once
/*
 * sorter -- what becomes of an event, from its bytes to a batch a lane: decode, classify, data_access, policy, redaction, only/except,
 * size. A sorter is what a thread needs for that, a stretch is the lines that it is done to; neither shares anything with others,
 * so two threads can sort two chunks of one input at once. What must happen in the order of the source (sequence numbers, spans, lanes'
 * queues, dead letters, lists, parts of log entries) is the feed's (route.h).
 *
 * The hot path of the program: no allocation, lock or log an event; a batch a chunk and lane.
 *
 * Threads: one at a time.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/event/decode.h"
#include "router/event/edit.h"
#include "router/event/ladder.h"
#include "router/input/input.h"
#include "router/lane/batch.h"
#include "router/match/matcher.h"
#include "router/plan.h"
#include "router/redaction.h"

struct budget;

/* Of the events sorted: of a stretch, and of all of them that were routed. */
struct sorter_counts {
	_Atomic uint64_t class_events[AUDIT_CLASSES], class_bytes[AUDIT_CLASSES]; /* classified */
	_Atomic uint64_t off_events[AUDIT_CLASSES], exempt_events[AUDIT_CLASSES]; /* dropped by data_access */
	_Atomic uint64_t off_bytes[AUDIT_CLASSES], exempt_bytes[AUDIT_CLASSES];
	_Atomic uint64_t policy_events[AUDIT_CLASSES], policy_bytes[AUDIT_CLASSES]; /* dropped by the top level's policy */
	_Atomic uint64_t cut[LADDER_STEPS];      /* events that had to be cut to fit an output, by step */
	_Atomic uint64_t redacted[REDACT_KINDS]; /* values cut, the outputs' own redactions included */
};

/* The same for all stretches of an input. */
struct stretch_options {
	const struct config_input *input;
	unsigned number;                /* of the input */
	const char *cluster;            /* its own */
	struct budget *budget;
	unsigned n_lanes;
};

/* Some or all lines of a chunk, one behind the other, and what came of them so far. */
struct stretch {
	const struct stretch_options *options;
	struct plan *plan;              /* NULL: it has not begun */
	struct chunk *chunk;
	uint64_t start;                 /* position where it began */
	struct view cluster, input;     /* of its lines; they may have brought them, and these go with them */
	const uint64_t *lane_skip;      /* of the chunk's source (feed_origin) */
	struct batch **batches;         /* a lane: being filled; NULL: it has nothing yet */
	struct stretch_drops {
		uint64_t events, bytes; /* that rules kept from it */
		uint64_t had_events;    /* that it had before the restart */
	} *drops;                       /* a lane: what it does not get */
	struct sorter_counts counts;
	uint64_t *by_rule;              /* what policies dropped, as plan_count_drops has it; n_by_rule */
	size_t n_by_rule;

	/* The line in hand. */
	uint64_t event_end;             /* offset in the source of its end */
	uint32_t line_end;              /* the same, counted from `start`; 0: of an item of a list */
	const uint64_t *part_skip;      /* lanes that have it already, a bit each, where it is a part that was held; NULL: it is none */
};

void stretch_init(struct stretch *, const struct stretch_options *); /* which must outlive it */
void stretch_finish(struct stretch *);
/* The lines that come now are of this origin. Its names and lane_skip must stay as long as they are sorted. */
void stretch_origin(struct stretch *, const struct feed_origin *);
/* It begins at this position. The plan is the stretch's now; the chunk (NULL: none) stays the caller's. */
void stretch_begin(struct stretch *, struct plan *, struct chunk *, uint64_t start);
/* It is over; its batches and drops were taken. Adds what was counted to `counts`, and to the plan's counts by rule. */
void stretch_end(struct stretch *, struct sorter_counts *counts);
/* It is over, and its events are left to their source: they were counted nowhere but here. May not have begun. */
void stretch_forget(struct stretch *);

/* What a thread needs to sort. */
struct sorter {
	struct decoder *decoder;
	struct stretch *stretch;        /* the one in hand */
	struct attributes attributes;   /* of the event in hand */
	struct redaction redaction, lane_redaction; /* of it; of it for the lane in hand */
	struct edits edits;             /* of it, for the lane in hand */
};

void sorter_init(struct sorter *);
void sorter_finish(struct sorter *);
/* What is sorted from now on goes there. */
static inline void sorter_take(struct sorter *s, struct stretch *stretch)
{
	s->stretch = stretch;
}
/* line_decode (event/line.h) of the first line of `*rest`, which ends at position `last`; notes where that line ends. */
enum decode_result sorter_decode(struct sorter *, struct view *rest, uint64_t last, struct view *ret_line, struct event *ret_event,
	size_t *ret_at);
/* Adds the event to the batches of the lanes that want it. `given` says what it is; NULL: the classifier does. */
struct verdict sorter_add(struct sorter *, const struct event *, const struct verdict *given);
