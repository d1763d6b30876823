#pragma once
/*
 * lane_private -- the inside of a lane, shared by lane.c (life, queue, worker), outcome.c (outcomes, counters, trouble) and
 * backlog.c (its spool).
 *
 * Threads: what stands under `mutex` is shared; what stands below "the worker's" belongs to the worker until lane_join.
 *          The sink is the worker's too, but for sync() (output.h).
 */
#include <pthread.h>

#include "router/lane/backlog.h"
#include "router/lane/lane.h"

enum {
	LANE_NAME_ROOM = 128,
	LANE_TROUBLE_ROOM = 512,
};

/* A refused record, or a misfit, that the dead letters have no room for yet. */
struct undead {
	struct undead *next;
	struct batch *batch;
	uint32_t index;         /* of the record; of a misfit: from batch->n on */
	char *code, *reason;
};

struct lane {
	struct lane_options options;
	const struct output_ops *ops;
	struct lane *leader;                /* itself where it is in no group: then all of the below is in use */
	struct sink *sink;
	char name[LANE_NAME_ROOM];
	char fields[LANE_NAME_ROOM + 32]; /* for the log */
	int wake_fd;
	pthread_t worker;
	bool ended;                         /* main's: the worker was joined */
	pthread_mutex_t accounts;           /* over `counters` alone: taken last, held for a few additions */
	struct lane_counters counters;
	_Atomic int64_t progress_ms;
	_Atomic bool backlogged;            /* the spool holds events that are not delivered */

	pthread_mutex_t mutex;
	pthread_cond_t room;                /* the queue has become shorter, or the lane stops */
	struct batch *head, *tail;          /* the queue */
	uint64_t queue_pins;
	bool asleep;                        /* the worker waits for the queue: a push must wake it */
	bool napping;                       /* it looks at the queue by itself in a moment: only a full one must wake it */
	bool finishing, stopping;
	int64_t spool_at_ms;                /* inputs wait for room, and do no longer than until then; 0: none does */
	unsigned n_waiting;                 /* so many inputs */
	int64_t rate_ms[2];                 /* two moments, half a second apart or more, ... */
	uint64_t rate_bytes[2];             /* ... and what had been delivered then */
	char trouble[LANE_TROUBLE_ROOM];    /* "": runs well */
	int64_t told_ms;                    /* when the log last heard of it */

	/* the worker's */
	int64_t nap_until_ms;               /* INT64_MAX: it had something to do */
	int nap_ms;                         /* of it, left; 0: no nap */
	struct batch *current;              /* being given to the sink */
	uint32_t current_next;              /* first record of it that the sink has not taken */
	bool again;                         /* what it took last held nothing for the sink: there may be more */
	struct batch *taken, *taken_tail;   /* batches that the sink has records of, `current` included; oldest first */
	struct undead *undead;
	int64_t undead_next_ms;
	struct backlog *backlog;            /* NULL: no spool */
};

/* Adds to the counters, all in one step (so differences may be negative, as unsigned numbers have it). */
void lane_account(struct lane *, const struct lane_counters *more);

/* A batch that the sink has records of from now on: last in `taken`. The worker's thread. */
void lane_list_add(struct lane *, struct batch *);
/* Some more of its records have their outcome, or are in the spool: says so to the ledger, or to the backlog it came from. */
void lane_reach(struct batch *);
/* Makes dead letters of the batch's misfits, or keeps them in mind for that. May free the batch. The worker's thread. */
void lane_bury_misfits(struct lane *, struct batch *);
/* Tries again what the dead letters had no room for. Until they have it, the lane takes nothing new. The worker's thread. */
void lane_retry_undead(struct lane *);
/* Takes the oldest batch off the queue, or NULL. The worker's thread, without the mutex. */
struct batch *lane_queue_pop(struct lane *);
