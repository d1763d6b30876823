#pragma once
/*
 * backlog -- a lane's events on disk: what it could not pass on in time, kept in its spool until the sink has it.
 *
 * A lane is direct (queue to sink) or behind (queue to spool to sink). It falls behind when an event has waited for
 * `spool_after`, in the queue or in the sink, or an input has no more patience (lane.h) to wait for room in the queue: then
 * what the sink holds is written to the spool, in order, and after it the queue, over and over until the spool has been read to its end
 * with the queue empty. So order is kept, and an event is in the spool before it waits long, whatever the collector does.
 *
 * Safe:    a span is closed in the ledger once its events are in the spool. They are durable after the next backlog_sync, before
 *          which main settles nothing of them: as with the lines of a file output. The worker waits for no fsync, but where the
 *          disk cannot keep up (spool.h: Threads); many appends share one.
 * kill -9: what the spool has not forgotten is sent again at the next start: at most what the sink held. The spool saves its
 *          read position with its fsyncs; between them the progress (progress.h) has it, record by record.
 * Full:    a spool at its limit, or a full disk, leaves batches in the queue: the lane is full, and its inputs wait. What the
 *          spool does hold is sent first; after it the queue goes straight to the sink, as long as there is no room.
 * Threads: the lane's worker; backlog_state and backlog_sync any.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/err.h"

struct backlog;
struct batch;
struct lane;

struct backlog_options {
	const char *folder;      /* of the spool */
	uint64_t bytes_max;
	int64_t after_ms;        /* spool_after */
	uint64_t forgotten;      /* as in spool_options */
};

/* Main's thread, before the worker. A spool that an earlier run left is gone on with. -errno with *err set. */
int backlog_open(struct backlog **ret_backlog, struct lane *, const struct backlog_options *, struct err *);
/* After the worker has ended. What was appended is made durable; records in it stay for the next start. */
void backlog_close(struct backlog *); /* NULL is fine */

/* Makes durable what was appended so far. Once it has failed, it fails: spool_sync. NULL: 0. */
int backlog_sync(struct backlog *);
/* The same where so much waits for it that the worker would soon have to, and its queue, and who fills it, would wait. Any thread. */
void backlog_relieve(struct backlog *); /* NULL is fine */
/* Moves what has waited too long into the spool. Returns how long the worker may sleep at most, in ms. */
int backlog_work(struct backlog *, int wait_ms);
/* Everything that is in memory and not yet safe goes to the spool (shutdown). False: not all of it had room. */
bool backlog_store_all(struct backlog *);

/* Whether the lane is behind: then its next batch comes from here, not from the queue. */
bool backlog_behind(const struct backlog *); /* NULL: false */
/* The next batch from the spool, or NULL. */
struct batch *backlog_next(struct backlog *);
/* The records of a batch that is in the spool have their outcomes, up to this position of the spool. */
void backlog_reach(struct backlog *, struct batch *, uint64_t position);
/*
 * What was delivered out of the spool is forgotten only once it is durable where it went: main asks how far that is, syncs, and
 * says so. Main's thread, while the worker runs. NULL: 0, and nothing.
 */
uint64_t backlog_delivered(const struct backlog *);
void backlog_durable(struct backlog *, uint64_t position);
/* A batch that is in the spool has got all its outcomes. */
void backlog_done(struct backlog *, struct batch *);

struct backlog_state {
	uint64_t bytes, events; /* held on disk; events as far as they are known (since this start) */
	uint64_t torn_bytes, damaged;
};
struct backlog_state backlog_state(struct backlog *); /* NULL: all zero */
