#pragma once
/*
 * backlog_priv -- what the files of a backlog share: backlog.c puts events into the spool, forgets them and keeps the books;
 * backlog_read.c brings them back as batches.
 *
 * Threads: the lane's worker, but for the atomics.
 */
#include <stdint.h>

#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/lane/backlog.h"
#include "router/match/matcher.h"

struct record;
struct spool;

enum {
	BACKLOG_MISFIT = 0x80, /* beside the class in the spool: a misfit (batch.h), dead letter to be */
};

/* A batch whose records are in the spool up to `last`; in the order of the spool. */
struct stored {
	struct stored *next;
	struct batch *batch;            /* NULL: done */
	uint64_t last;
	uint64_t reached;               /* of a batch that is not done: its records up to here are; 0: none is */
};

struct backlog {
	struct lane *lane;
	struct spool *spool;
	uint64_t counted;               /* bytes of it that are in the lanes' common total */
	int64_t after_ms;
	bool behind;
	bool told_behind;               /* the log says so */
	int64_t tell_behind_ms;         /* not before then again */
	bool full;
	bool failing;                   /* the spool cannot be read: told, tried again */
	_Atomic uint64_t delivered;     /* all up to here has its outcomes */
	_Atomic uint64_t durable;       /* of it, what survives power loss where it went: main's */
	uint64_t forgotten;             /* of it, what the spool was told to forget */
	int64_t full_next_ms;
	uint64_t skip_to;               /* positions up to this are in the sink's hands already */
	struct stored *head, *tail;     /* batches in memory whose records are in the spool */
	struct batch *pending;          /* off the queue, not yet all in the spool ... */
	uint32_t pending_next;          /* ... but up to this record */
	struct batch *ahead;            /* begun by a record that did not belong to the batch before it */
	uint64_t ahead_last;
	struct decoder *decoder;
	struct unwrap unwrap;
	struct attributes attributes;
};

/* The batch's records are in the spool up to `last`. Without a batch: done already. */
void backlog_add_stored(struct backlog *, struct batch *, uint64_t last);
/* Where in the spool this record of a batch ends. */
void backlog_set_end(const struct batch *, struct record *, uint64_t end);
