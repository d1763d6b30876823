#pragma once
/*
 * lane -- the way of one class to one output: a bounded queue, a worker thread, counters, and (where it is on) a spool.
 *
 * No class waits for another: lanes share nothing but the memory budget, of which each has a share. What a lane cannot
 * pass on in time goes to its spool; without a spool, or with a full one, lane_push waits (at_least_once) or drops and
 * counts (best_effort).
 *
 * Group:   the lanes of an exactly-once output share the queue, the worker and the sink of one of them, the leader, since one
 *          transaction holds events of all classes. Counters, sequence numbers and positions stay each lane's own. They have no
 *          spool: what the broker does not take stays at its source.
 *
 * Worker:  takes batches in order, gives their records to the output's sink (output.h), lets the sink work, and closes
 *          spans as outcomes come in.
 * Threads: lane_push by any input's thread; lane_stop, lane_join, counters by main; the rest is the worker's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/base/err.h"
#include "router/output/output.h"

struct batch;
struct budget;
struct commit_host;
struct config;
struct config_output;
struct dead_letters;
struct lane;
struct progress;
struct span;

/*
 * Of one moment: received = delivered + dropped + dead + held. `dropped` is by rule: only/except, policy, best_effort.
 * Events that the spool held at the start count as received by this run.
 */
struct lane_counters {
	uint64_t received_events, received_bytes;
	uint64_t delivered_events, delivered_bytes;
	uint64_t dropped_events, dropped_bytes;
	uint64_t overflow_events;  /* of the dropped: best_effort had no room */
	uint64_t dead_events, dead_bytes;
	uint64_t memory_events;    /* held in the queue and in the sink */
	uint64_t spooled_events;   /* held on disk only */
	uint64_t retries;          /* sends that were tried again */
	uint64_t had_events;       /* in none of the above: read again after a restart, though this lane has had them */
};

static inline uint64_t lane_held(const struct lane_counters *c)
{
	return c->memory_events + c->spooled_events;
}

/* What all spools together may hold. */
struct spool_total {
	_Atomic uint64_t bytes;
	uint64_t bytes_max; /* 0: no limit */
};

struct lane_options {
	const struct config *config;
	const struct config_output *output;
	enum audit_class class_;
	enum record_key key;         /* which key its records have */
	unsigned number;             /* of this lane in all ledgers */
	uint64_t share_bytes;        /* most bytes that its queue pins */
	struct budget *budget;
	struct dead_letters *dead_letters; /* of this output; shared by its lanes */
	struct spool_total *spool_total;   /* shared by all lanes; may be NULL */
	const char *spool_folder;    /* NULL: no spool; needed during lane_start only */
	bool prompt;                 /* somebody waits until what it has is delivered: the sink waits for no more to come */
	struct lane *leader;         /* of its group; NULL: it leads itself */
	const struct commit_host *commits; /* of exactly-once outputs; NULL: another */
	const char *instance;        /* which router this is (instance.h) */
	struct progress *progress;   /* NULL: none; outlives the lane */
	uint64_t spool_forgotten;    /* as in spool_options */
};

/*
 * Opens the sink and starts the worker. That of an exactly-once output waits for the broker meanwhile. -ECANCELED: the host
 * did not want to wait any longer.
 */
int lane_start(struct lane **ret_lane, const struct lane_options *, struct err *);
/*
 * How long an input may yet wait for lanes that could spool: half a second in all, refilled by 1/200 of the time that passes;
 * not at all for one in trouble, or that has passed on nothing for a tenth of a second (its first: a fifth). What it waits for a lane that passes on
 * 32 MiB/s is not counted, since a spool would be no faster. So lanes that are merely busy hold their input back instead of
 * writing everything to the disk, and a slow or dead one costs the others of its input next to nothing. One an input, used by
 * its thread only; all zero is a full measure.
 */
struct patience {
	int64_t spent_ms;
	int64_t at_ms;   /* when that was */
};

/*
 * Takes the batch over, or all batches that a span has for a group (linked by `next`, each with its lane; the leader's queue).
 * Waits while the queue is full and the guarantee is at_least_once.
 * -ESHUTDOWN: the lane was stopped meanwhile; the batches were freed, their span stays open. `patience` is the input's.
 */
int lane_push(struct lane *, struct batch *, struct patience *patience);

/* Events of its class that a rule kept from it: received, and dropped. Any thread. */
void lane_drop(struct lane *, uint64_t events, uint64_t bytes);
/* Events that another lane needs again, or the ledger did, and this one had before the restart. Any thread. */
void lane_had(struct lane *, uint64_t events);

/* Nothing more will be pushed: the worker sends what is being collected at once instead of waiting for more. */
void lane_finish(struct lane *);
/* Ends the worker soon: what has no outcome stays open in the ledger. lane_push returns -ESHUTDOWN from now on. */
void lane_stop(struct lane *);
/* Waits for the worker's end: what it could put into the spool is there now, and closed in the ledgers. After lane_stop. */
void lane_wait(struct lane *);
/* lane_wait, and frees the lane. Ledgers must still be there. */
void lane_join(struct lane *);

/*
 * All that this lane has closed in ledgers so far survives power loss when this returns 0, be it in the spool, at the output or a
 * dead letter; what of it came out of the spool may be forgotten there. Main's thread.
 */
int lane_sync(struct lane *);
/* Between two of these: syncs a spool that is written so fast that its worker would have to do it. Main's thread. */
void lane_relieve(struct lane *);

bool lane_idle(const struct lane *);                 /* everything pushed has an outcome */
int64_t lane_progress_ms(const struct lane *);       /* clock_steady_ms of the last outcome, or of when it last got something to do */
struct lane_counters lane_counters(const struct lane *);
const char *lane_name(const struct lane *);          /* "siem/ADMIN_ACTIVITY" */
const struct config_output *lane_output(const struct lane *);
enum audit_class lane_class(const struct lane *);
unsigned lane_number(const struct lane *);
/* Where its events go, for the table at the end of `run`: as output_ops.describe says. Copied into text. */
void lane_describe(const struct lane *, char *text, size_t room);
/* Trouble that an operator should see: the last error of the sink, "" when it runs well. Copied into text. */
void lane_trouble(struct lane *, char *text, size_t room);

/* Lets the worker look around, as a push does. Any thread. */
void lane_wake(struct lane *);

/*
 * For sinks of exactly-once outputs: is all that was taken so far all of its spans, and every dead letter of it written? Then a
 * transaction may end here. `last`: the span of the last batch taken. Worker's thread.
 */
bool lane_may_commit(struct lane *, const struct span *last);
/* The worker's: no refused record of the lane waits to be written to the dead letters. */
bool lane_is_buried(const struct lane *);

/* For outputs: tells of trouble (logged once it changes, shown by status) and of its end (NULL). Worker's thread. */
void lane_report(struct lane *, const char *trouble);
void lane_count_retry(struct lane *);
