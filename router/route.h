#pragma once
/*
 * route -- the way of an event: decode, classify, data_access, policy, then lane by lane. One struct feed an input.
 *
 * The hot path of the program: no allocation, lock or log an event; a batch a chunk and lane, a span a chunk.
 *
 * Threads: a feed belongs to its input's thread, and while parts of split log entries are held (route_join.c) to a thread that
 *          lets them go when their time is over: `mutex`, once a chunk. Its counters are relaxed atomics that anyone may read; `plan`
 *          is swapped by main under plan_mutex.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/event/decode.h"
#include "router/event/edit.h"
#include "router/event/ladder.h"
#include "router/event/unwrap.h"
#include "router/input/input.h"
#include "router/lane/batch.h"
#include "router/lane/lane.h"
#include "router/lane/ledger.h"
#include "router/match/matcher.h"
#include "router/plan.h"
#include "router/redaction.h"

struct dead_letters;

struct feed_counters {
	_Atomic uint64_t lines;
	_Atomic uint64_t class_events[AUDIT_CLASSES], class_bytes[AUDIT_CLASSES]; /* classified */
	_Atomic uint64_t off_events[AUDIT_CLASSES], exempt_events[AUDIT_CLASSES]; /* dropped by data_access */
	_Atomic uint64_t off_bytes[AUDIT_CLASSES], exempt_bytes[AUDIT_CLASSES];
	_Atomic uint64_t policy_events[AUDIT_CLASSES], policy_bytes[AUDIT_CLASSES]; /* dropped by the top level's policy */
	_Atomic uint64_t broken;   /* lines that are no event: dead letters of the input */
	_Atomic uint64_t cut[LADDER_STEPS]; /* events that had to be cut to fit an output, by step */
	_Atomic uint64_t redacted[REDACT_KINDS]; /* values cut, the outputs' own redactions included */
	_Atomic uint64_t troubles; /* feed_trouble */
	_Atomic uint64_t gaps;     /* feed_gap */
	_Atomic uint64_t left;     /* events that a lane that was given up on did not take */
	_Atomic uint64_t joined;   /* log entries that came in parts, and left with their parts together */
	_Atomic uint64_t unjoined; /* parts that left without all the others */
};

/* What the feeds of a pipeline share. */
struct routing {
	pthread_mutex_t plan_mutex;
	struct plan *plan;
	struct lane **lanes;            /* by number */
	const unsigned *leaders;        /* by number: that of the lane whose queue it uses (lane.h: group); mostly its own */
	unsigned n_lanes;
	_Atomic bool stopping;
	struct budget *budget;
	struct dead_letters *broken;    /* of the inputs */
	struct progress *progress;      /* NULL: none */
};

struct feed {
	struct routing *routing;
	const struct config_input *input;
	unsigned number;                /* of the input */
	const char *cluster;
	struct view cluster_view;       /* of the lines in hand: the same, or what their origin says, which goes with them */
	struct ledger *ledger;
	struct decoder *decoder, *item_decoder;
	struct unwrap unwrap;
	uint64_t *next_seq;             /* a lane */
	struct batch **batches;         /* a lane: being filled, of the span below */
	struct batch **pushes;          /* a lane: what its queue gets of the span */
	struct patience patience;
	struct feed_drops {
		uint64_t events, bytes;
	} *drops;                       /* a lane: what rules kept from it in the span below */
	struct span *span;
	bool gave_up;                   /* stopping, while something had no room in the dead letters: its span stays open */
	struct plan *plan;              /* of the span */
	struct chunk *chunk;            /* of the span */
	const uint64_t *lane_skip;      /* of the chunk's source (feed_origin) */
	uint64_t event_end;             /* offset in the source of the end of the line in hand */
	uint64_t start;                 /* position where the span began */
	bool has_places;                /* positions are bytes: each line ends at one of its own, which the progress knows */
	uint32_t line_end;              /* end of the line in hand, counted from there; 0: of an item of a list */
	struct attributes attributes;
	struct redaction redaction, lane_redaction; /* of the event in hand; of it for the lane in hand */
	struct edits edits;             /* of the event in hand, for the lane in hand */
	struct feed_counters counters;

	/* route_join.c */
	pthread_mutex_t mutex;          /* who routes has it */
	pthread_cond_t held;            /* with it: something is held, or is_ending */
	pthread_t releaser;             /* runs once something was held */
	bool has_releaser, is_ending;
	bool joins;                     /* parts are held at all */
	int64_t held_wait_ms;           /* for so long at most; to be changed by tests, before anything was held */
	struct join *join;              /* NULL: nothing was ever held */
	const uint64_t *part_skip;      /* of the part in hand: lanes that have it already, a bit each; NULL: it is no part */
	uint64_t end;                   /* position of the end of the last span */
};

int feed_create(struct feed **ret_feed, struct routing *, const struct config_input *, unsigned n_lanes,
	void (*news)(void *context), void *context);
void feed_destroy(struct feed *); /* NULL is fine */
/*
 * The input has read its last: what is held is routed as far as it came. (When the program stops too: what was held back would
 * hold back every lane's position, and the next start would send all since then again.)
 */
void feed_finish(struct feed *);
