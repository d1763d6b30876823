#pragma once
/*
 * route -- what of an event's way must happen in the order of its source: spans, sequence numbers, the lanes' queues, dead letters,
 * lists, log entries in parts. One struct feed an input; what becomes of an event is its sorter's (sorter.h).
 *
 * Threads: a feed belongs to its input's thread, and while parts of split log entries are held (route_join.c) to a thread that
 *          lets them go when their time is over: `mutex`, once a chunk. Chunks of a file may be sorted ahead by another thread, which has
 *          a sorter of its own (route_ahead.c). The counters are atomics that anyone may read; `plan` is swapped by main under
 *          plan_mutex.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/input/input.h"
#include "router/lane/batch.h"
#include "router/lane/lane.h"
#include "router/lane/ledger.h"
#include "router/plan.h"
#include "router/sorter.h"

struct ahead;
struct dead_letters;

struct feed_counters {
	struct sorter_counts sorted;
	_Atomic uint64_t lines;
	_Atomic uint64_t broken;   /* lines that are no event: dead letters of the input */
	_Atomic uint64_t troubles; /* feed_trouble */
	_Atomic uint64_t gaps;     /* feed_gap */
	_Atomic uint64_t left;     /* events that a lane that was given up on did not take */
	_Atomic uint64_t joined;   /* log entries that came in parts, and left with their parts together */
	_Atomic uint64_t unjoined; /* parts that left without all the others */
};

/* What the feeds of a pipeline share. */
struct routing {
	pthread_mutex_t plan_mutex;
	struct plan *plan;              /* that runs; another thread than main has it from route_plan() */
	struct plan *started;           /* of the start: its lanes are those that run */
	struct lane **lanes;            /* by number */
	const unsigned *leaders;        /* by number: that of the lane whose queue it uses (lane.h: group); mostly its own */
	unsigned n_lanes;
	_Atomic bool stopping;
	bool once;                      /* run --once: for room in the dead letters an input waits for once_wait_ms at most */
	int64_t once_wait_ms;
	struct budget *budget;
	struct dead_letters *broken;    /* of the inputs */
	struct progress *progress;      /* NULL: none */
};

struct feed {
	struct routing *routing;
	const struct config_input *input;
	unsigned number;                /* of the input */
	const char *cluster;
	struct ledger *ledger;
	struct stretch_options options;
	struct sorter sorter;           /* of the input's thread, and of whoever routes in its place */
	struct stretch stretch;         /* what is routed in order: of the span below */
	struct decoder *item_decoder;
	struct unwrap unwrap;
	uint64_t *next_seq;             /* a lane */
	struct batch **pushes;          /* a lane: what its queue gets of the span */
	struct patience patience;
	struct span *span;
	bool gave_up;                   /* something had no room in the dead letters, when it stopped or for too long: its span stays open */
	struct feed_counters counters;

	/* route_ahead.c */
	struct ahead *ahead;            /* NULL: nothing was ever to be sorted ahead, or there is no thread for it */
	bool ahead_tried;
	bool left_some;                 /* stopping, or gave_up: a chunk was left to its source, and so must be what comes behind it */

	/* route_join.c */
	pthread_mutex_t mutex;          /* who routes has it */
	pthread_cond_t held;            /* with it: something is held, or is_ending */
	pthread_t releaser;             /* runs once something was held */
	bool has_releaser, is_ending;
	bool joins;                     /* parts are held at all */
	int64_t held_wait_ms;           /* for so long at most; to be changed by tests, before anything was held */
	struct join *join;              /* NULL: nothing was ever held */
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
/* How many events were sorted so far, kept or dropped by a rule. Any thread. */
uint64_t feed_events(const struct feed *);
