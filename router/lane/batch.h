#pragma once
/*
 * batch -- the events of one chunk for one lane, on their way to one output.
 *
 * Records point into the chunk, or into the batch's arena where an edit changed the bytes. When a lane's share of a
 * chunk is small (less than a quarter), its events are copied into the arena instead and the chunk is let go: a slow
 * lane pins at most four times what it holds.
 *
 * Life:    a sorter fills it (sorter.h), lane_push hands it to the lane's worker, and from then on only that worker
 *          touches it. Each record gets exactly one outcome, in any order: batch_delivered or batch_refused. When the
 *          last one has, the lane closes the span in the ledger and frees the batch: an outcome may free it.
 * Misfits: events that at their smallest are more than the collector takes. They stand beside the records, have no sequence
 *          number, and never reach the sink: the lane's worker makes dead letters of them, or spools them while there is no
 *          room for those, so that only this lane ever waits for that.
 * Threads: as said: one at a time, handed over by the queue.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/base/view.h"

struct arena_block;
struct budget;
struct chunk;
struct classifier;
struct lane;
struct plan;
struct span;
struct stored;

enum record_outcome {
	RECORD_OPEN,
	RECORD_DELIVERED,
	RECORD_REFUSED, /* the dead letters have no room for it yet: it is nowhere else */
	RECORD_DEAD,
};

struct record {
	struct view bytes;    /* one JSON object on one line: there is no newline in it or after it */
	struct view key;      /* what the output asked for (enum record_key in output.h), unescaped; absent: none */
	int64_t received_us;  /* requestReceivedTimestamp; BATCH_NO_TIME: none or unreadable */
	uint16_t rule;        /* of the classifier */
	uint8_t class_;       /* enum audit_class */
	uint8_t outcome;      /* enum record_outcome */
	uint32_t end;         /* where its line ends, counted from batch->start; 0: it has no end of its own (an item of a list) */
};
#define BATCH_NO_TIME INT64_MIN

struct misfit {
	struct view bytes;
	uint8_t outcome;      /* enum record_outcome; RECORD_DELIVERED: it is in the spool */
};

struct batch {
	struct batch *next, *prev; /* in the lane's queue, or among those its sink has */
	struct lane *lane;
	struct plan *plan;       /* held: the rule ids below live in it */
	void (*release_plan)(struct plan *); /* NULL: the batch holds none */
	const struct classifier *classifier;
	const char *input;       /* name of the input; outlives the batch, or is of its arena */
	const char *cluster;     /* identity carried by every record; "" when unsaid; outlives the batch, or is of its arena */
	struct budget *budget;
	struct chunk *chunk;     /* held; NULL once copied out */
	struct span *span;       /* closed by the lane; NULL in unit tests of outputs */
	uint64_t end;            /* position of the input at the span's end; 0 where it came from a spool */
	unsigned source;         /* number of the input, as in the configuration */
	uint64_t start;          /* position that the records' ends count from: the span's, or (stored) the spool's */
	uint32_t settled;        /* so many records, from the first on, have their outcome ... */
	uint32_t reached;        /* ... and so many of them, whole lines, were told to the progress */
	struct record *records;
	struct view *rules;      /* ids, where they came from a spool; NULL: the classifier's (use batch_rule) */
	uint32_t n, room;
	struct misfit *misfits;  /* n_misfits; NULL: none, as nearly always */
	uint32_t n_misfits;
	uint32_t open;           /* records and misfits without an outcome */
	uint64_t first_seq;      /* the sequence number (seq.h) of records[0]; the others follow */
	uint64_t bytes;          /* sum of the records' and misfits' bytes */
	uint64_t arena_bytes;    /* taken from the budget for arena blocks */
	int64_t pushed_ms;       /* clock_steady_ms at lane_push */
	struct arena_block *arena;
	struct stored *stored;   /* its records are in the spool (backlog.h); NULL: they are not */
};

struct batch *batch_create(struct budget *, struct chunk *); /* holds the chunk (NULL is fine) */
/* The new record; its bytes are to be set by the caller before the next call. */
struct record *batch_add(struct batch *);
/* Its bytes are in the chunk or the arena. */
void batch_add_misfit(struct batch *, struct view bytes);
static inline uint32_t batch_events(const struct batch *b)
{
	return b->n + b->n_misfits;
}
/* The id of the rule that classified the record; "" when unknown. Valid as long as the batch. */
struct view batch_rule(const struct batch *, uint32_t index);
/* Where the rule is known by its id only: copied. */
void batch_set_rule(struct batch *, uint32_t index, struct view rule);
/* Memory that lives as long as the batch and never moves. Counted against the budget without waiting. */
char *batch_alloc(struct batch *, size_t len);
/* Copies out and lets the chunk go, if what the records have of it is less than a quarter of its bytes. */
void batch_detach_if_small(struct batch *);
/* Copies out whatever still points into the chunk, and lets it go. */
void batch_detach(struct batch *);
/*
 * Its events are safe on disk, and only a sink that may stand still for hours holds it: what it pins counts no longer against
 * the budget, or a dead collector would take the inputs' memory from all lanes. The sink's open_bytes_max bounds it.
 */
void batch_excuse(struct batch *);
/* Frees it, whatever its records' outcomes: what has none stays open in the ledger. */
void batch_free(struct batch *);
/* Bytes of the budget that this batch keeps from being given back: its arena, and its chunk's while it holds it. */
uint64_t batch_pins(const struct batch *);

/* The outcomes; both may free the batch. Records without an outcome only. */
void batch_delivered(struct batch *, uint32_t first, uint32_t count);
/*
 * The collector will never take this record: dead letter. `code` is a word for counters and scripts
 * ("too_large", "http_400"), `reason` a sentence without the event's content.
 */
void batch_refused(struct batch *, uint32_t index, const char *code, const char *reason);
