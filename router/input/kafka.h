#pragma once
/*
 * kafka -- events out of Kafka, as one of a consumer group: what the files of the Kafka input share; private to them.
 *
 *   kafka.c            life: settings, the client, the loop of polls
 *   kafka_take.c       messages to lines, lines to chunks, a chunk of one source cluster each; chunks to the feed
 *   kafka_commit.c     what is settled, as offsets; commits
 *   kafka_group.c      partitions that come and go, where each begins, and what retention took
 *
 * A message is one event, or an EventList. Its newlines become spaces (JSON has none inside a string), so that it is one line.
 * One without a value (a tombstone) is skipped and counted.
 *
 * Positions: virtual: bytes that were fed since the start. For each batch of messages a row remembers the position behind it
 *            and, by partition, the offset behind it. When the ledger has settled the position, that offset may be
 *            committed, and nothing is ever committed otherwise: a router that dies at any moment leaves its messages
 *            to the next one, some of them once more. The checkpoint keeps nothing of this input: Kafka remembers.
 * Order:     messages of a partition are fed in their order, but for those of different source clusters within one batch.
 * Exactly once: where an output is, nothing is committed here at all: the rows' offsets go into its transactions (consumer_point),
 *            at positions where a row ends. Messages are then taken in smaller pieces, each only when there is memory for all of it:
 *            a transaction that cannot end within one holds memory itself. Partitions that are taken away are kept until the
 *            transactions that hold something of them are through, whatever `revoke_wait` says.
 * Rebalance: cooperative. Partitions that are taken away are given back once what was fed of them is settled and committed,
 *            or `revoke_wait` is over, and then some events come twice. An assignment that is lost (the group
 *            went on without this router) is not committed any more: `epoch` says which assignment a row is of.
 * Memory:    lines are chunks of the budget; what librdkafka has fetched and nobody took is bounded by
 *            queued.max.messages.kbytes, and one answer of each broker (fetch.max.bytes, compressed as it is) beyond it.
 * Errors:    none ends the input. What librdkafka does not mend by itself (a fenced instance, a password that changed in its
 *            file) takes a new client.
 * Threads:   run() has all but what is under `mutex`; settled() is main's. librdkafka calls back in run()'s thread only,
 *            within a poll, but for its log.
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/input/input.h"
#include "router/kafka/client.h"

struct chunk;

enum {
	KAFKA_BATCH_MESSAGES = 1000,
	KAFKA_CHUNK_BYTES = 256 * 1024,
	KAFKA_PIECE_BYTES = 1024 * 1024, /* exactly once: a transaction can end behind so much */
	KAFKA_SETTLE_MAX_MS = 120000,    /* longest wait for transactions, or for what is fed: much less than max.poll.interval.ms */
	KAFKA_POLL_MS = 100,
	KAFKA_COMMIT_MS = 200,       /* between two commits */
	KAFKA_ASK_MS = 2000,         /* one question to a broker */
	KAFKA_ASK_TRIES = 15,
	KAFKA_LAST_COMMIT_MS = 3000, /* at the end */
	KAFKA_LEAVE_MS = 3000,
	KAFKA_RESTART_MS = 5000,     /* before a new client takes the place of one that is of no use; then what is fed is waited for */
	KAFKA_CLUSTER_ROOM = 256,    /* 255 is what a spool's record takes */
	KAFKA_TEXT_ROOM = 400,
};

enum kafka_from { FROM_START, FROM_END };
enum kafka_cluster_from { CLUSTER_FROM_HEADER, CLUSTER_FROM_TOPIC, CLUSTER_FROM_NONE };

struct kafka_input_settings {
	struct kafka_client client;
	struct strings topics;
	char *group;
	int from, cluster_from;
	int64_t revoke_wait_ms;
};

/* A partition that is, or once was, this router's. Never freed before the input is. */
struct kafka_part {
	char *topic;
	int32_t number;

	/* run()'s thread */
	bool owned;
	int64_t next;        /* offset behind what was fed; -1: unknown */
	int64_t once_end;    /* --once: where the partition ended at the start; -1: unknown, its next end counts */
	bool once_done;
	bool reset_due;      /* its offset is out of range */
	uint64_t fed_end;    /* position behind what was last fed of it */
	unsigned round;      /* the batch that last had messages of it */

	/* mutex */
	unsigned epoch;      /* of the assignment; rows of another one say nothing any more */
	int64_t settled;     /* may be committed; -1: nothing */
	int64_t sent;        /* was asked to be committed; -1: nothing, or it failed */
	int64_t committed;   /* as a broker said; -1: unknown */
	int64_t pointed;     /* consumer_point's own */
};

/* Once all before `end` is settled, `part` may be committed up to `offset`. */
struct kafka_row {
	uint64_t end;
	struct kafka_part *part;
	unsigned epoch;
	int64_t offset;
};

struct kafka_taken; /* kafka_take.c */

struct input {
	struct input_options options;
	const struct kafka_input_settings *settings;
	char *group;
	rd_kafka_t *rk;             /* changed by run()'s thread under mutex; NULL: being made anew */
	rd_kafka_queue_t *queue;
	atomic_bool stopped;
	bool embedded;              /* held */

	struct kafka_part **parts;  /* by topic and number */
	size_t n_parts, room_parts;
	struct kafka_part *last_part;
	const rd_kafka_topic_t *last_topic; /* handle of last_part's */

	struct kafka_taken *taken;
	uint64_t position;          /* bytes fed */
	unsigned round;

	/* What the group wants; done between two polls, when no message is in hand. */
	struct {
		bool due, assign, lost;
		rd_kafka_topic_partition_list_t *parts;
	} rebalance;
	bool reset_any;             /* a partition with reset_due */
	int64_t reset_retry_ms;
	bool closing;               /* rk is; changed by run()'s thread under mutex */
	bool joined;                /* an assignment came, be it empty */
	bool assigned;              /* one came to this client, begun or not */
	atomic_bool *met;           /* its group's coordinator knows this client */
	int64_t progress_ms;        /* --once: something moved */
	bool restart;               /* this client is of no use any more */
	int64_t restart_ms;
	int64_t error_log_ms;       /* not before then again */
	char last_error[KAFKA_TEXT_ROOM];

	pthread_mutex_t mutex;
	pthread_cond_t changed;     /* settled, or stopped; steady clock */
	struct kafka_row *rows;     /* a ring */
	size_t first_row, n_rows, room_rows;
	uint64_t settled;
	int64_t commit_due_ms;

	_Atomic uint64_t bytes, empty; /* counters: of values; messages without one */
};

/* ---- kafka.c ---- */

/* Trouble with a broker or topic: logged, now and then; --once ends with the last one. */
void consumer_error(struct input *, rd_kafka_resp_err_t, const char *text);

/* ---- kafka_take.c ---- */

struct kafka_taken *consumer_taken_create(void);
void consumer_taken_destroy(struct kafka_taken *);
/* Feeds them and lets them go. False: stopping. */
bool consumer_take(struct input *, rd_kafka_message_t **, size_t n);
/* Virtual bytes: a position behind what was fed so far. */
uint64_t consumer_advance(struct input *, uint64_t bytes);

/* ---- kafka_commit.c ---- */

/* The part is fed up to `offset` when the ledger is at `end`. To be said before that is fed. */
void consumer_expect(struct input *, struct kafka_part *, uint64_t end, int64_t offset);
void consumer_settled(struct input *, uint64_t position); /* any thread */
void consumer_commit_due(struct input *);                 /* any thread */
/* All that is settled and not yet committed; waits for the answer for at most so long. */
bool consumer_commit_now(struct input *, int64_t timeout_ms);
/* input_ops.commit_point. Any thread. */
struct commit_point;
int consumer_point(struct input *, uint64_t from, uint64_t to, struct commit_point *ret_point);
/* What was fed of these is settled (true), or the time is over, or it stops. NULL: only those two. */
bool consumer_wait_settled(struct input *, const rd_kafka_topic_partition_list_t *, int64_t timeout_ms);
void consumer_on_commit(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *input);

/* ---- kafka_group.c ---- */

struct kafka_part *consumer_part_of(struct input *, const char *topic, int32_t number); /* made where it is new */
void consumer_on_rebalance(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *input);
/* What is due: partitions come and go, and those whose offset is gone begin anew. */
void consumer_group_step(struct input *);
/* No partition is this router's any more, and nothing of any is committed again. */
void consumer_group_forget(struct input *);
/* --once: all is fed that was there at the start. */
bool consumer_group_done(const struct input *);
