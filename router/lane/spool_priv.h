#pragma once
/*
 * spool_priv -- private to the spool: its state, and who may touch what.
 *
 * Threads: `syncing` is held over fsyncs, by any one thread in spool_sync, and by the appender in a restart: whoever holds it
 *          may close files of segments. `lock` is held for a few assignments. Order: syncing, then lock.
 *          active is changed by the appender under `lock`, so it reads it without; ragged is its own.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/lane/spool.h"
#include "router/lane/spool_files.h"
#include "router/lane/spool_segment.h"

enum {
	SPOOL_PENDING_MAX = 12, /* segments before the active one that may wait for a sync: an appender that begins one more syncs by itself */
	SPOOL_PENDING_MANY = 4, /* so many, and somebody else should sync before it has to */
};

struct segment {
	uint64_t first, end; /* positions */
	uint64_t bytes;      /* of the file */
};

struct spool_reader {
	struct window window; /* file < 0: none open */
	uint64_t first;       /* of the segment that is open */
	uint64_t position;    /* of the next record */
	uint64_t number;      /* of the record that starts at number_at */
	uint64_t number_at;
};

struct spool {
	struct spool_files files;
	char *folder;
	uint64_t bytes_max, segment_bytes;

	bool ragged;              /* bytes may stand after the active one's end: a write failed, and taking it back too */

	pthread_mutex_t syncing;
	int cursor;               /* file */
	struct cursor_slot saved; /* what it holds */

	struct spool_reader reader;

	pthread_mutex_t lock;     /* for all below */
	struct segment *segments; /* at least one; the last is active */
	size_t n_segments, segments_room;
	int active;               /* the last one's file; < 0: none */
	int pending[SPOOL_PENDING_MAX]; /* files of those before it that were not synced since they were written */
	unsigned n_pending;
	bool begun;               /* a segment was begun since the last sync: its name is to be made durable, and the cursor saved */
	uint64_t bytes;           /* of all segments' files */
	uint64_t next_number;     /* of the record that will be appended */
	uint64_t durable;         /* position up to which all is fsynced */
	uint64_t told;            /* what the newest record says of that */
	uint64_t known_durable;   /* and up to which the cursor or a durable record says so: no segment beyond it is removed, lest its loss
	                             be taken for a tear */
	uint64_t forgotten, forgotten_number;
	uint64_t gap_from, gap_to; /* positions that were skipped last: forgetting up to the one forgets up to the other */
	uint64_t counted_to;      /* skips before it are counted: a rewind counts none twice */
	int failed;               /* -errno of an fsync: what the kernel did with the bytes is unknown from then on */
	uint64_t torn_bytes, damaged;
};

/* The position after the last record. Under lock. */
static inline uint64_t spool_end(const struct spool *s)
{
	return s->segments[s->n_segments - 1].end;
}

void spool_push_segment(struct spool *, const struct segment *); /* under lock, or before there are threads */
/* Makes a segment and makes it the active one; the next sync makes both it and the one before durable. Appender's, or at open. */
int spool_start_segment(struct spool *, uint64_t first, uint64_t number);
/* Closes the reader's file; what spool_next returned last stays valid. */
void spool_reader_leave(struct spool *);
/* Is that the end, or the place of a record? At open. */
bool spool_has(struct spool *, uint64_t position);
/* Everything up to `position` needs no keeping: moves `forgotten` and removes whole segments. The reader's thread. */
void spool_forget_to(struct spool *, uint64_t position);
/* Removes segments of which nothing is held, except the active one and what was not synced yet. Any thread. */
void spool_drop_forgotten(struct spool *);
