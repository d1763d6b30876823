#pragma once
/*
 * kafka_txn_private -- what kafka_txn.c (the life of a transaction), kafka_txn_points.c (what it commits for inputs) and
 * kafka_txn_again.c (giving it up) share.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/lane/batch.h"
#include "router/output/kafka_txn.h"

struct sink;

enum txn_state {
	TXN_STARTS, /* the right to write is yet to be had */
	TXN_RUNS,
	TXN_ABORTS, /* what was sent comes back, to be sent again */
	TXN_DEAD,   /* the process is about to end */
};

/* What is to be done after a call. */
enum kafka_answer { ANSWER_OK, ANSWER_AGAIN, ANSWER_ABORT, ANSWER_FATAL };

/* A record that must not be sent again: dead letter before the commit. */
struct kafka_refused {
	struct batch *batch;
	uint32_t index;
	const char *code;
	char *reason;
};

struct kafka_txn {
	char *id;
	enum txn_state state;
	bool open;      /* it has begun */
	bool again;     /* something of it failed: it is to be aborted */
	bool renew;     /* by another producer */
	bool outdated;  /* this producer's password or certificate is: it cannot even abort */
	bool found;     /* a record that the broker refuses: without it is as good as done, no need to wait */
	bool sealed;    /* nothing more goes into it: it is being committed */
	bool unsure;    /* a commit came back without an outcome: it may not be aborted and done again */
	bool finishing; /* nobody will send more: no waiting for it */
	struct batch **batches; /* in the order of the lane */
	size_t n, room;
	size_t at;              /* the first that librdkafka has not got whole, */
	uint32_t at_record;     /* and the first record of it */
	const struct span *last_span;
	uint64_t events, bytes;
	int64_t since_ms, state_since_ms, idle_ms, doubt_ms;
	int64_t pause_ms, pause_until_ms;
	struct kafka_refused *refused;
	size_t n_refused;

	/* by input */
	struct kafka_came {
		uint64_t position; /* end of what is in the transaction */
		uint64_t told;     /* what was committed last */
		bool in;           /* it is part of it */
		rd_kafka_topic_partition_list_t *last; /* offsets that were committed last, of an input that has its own; or NULL */
	} *came;
	unsigned n_inputs;

	/* kafka_txn_points.c */
	unsigned next_input;    /* whose offsets are to be sent next */
	rd_kafka_topic_partition_list_t *offsets; /* NULL: not made yet */
	rd_kafka_consumer_group_metadata_t *group;
	bool shared;            /* they are the input's own */
	bool warned_short;
};

bool kafka_txn_begin(struct sink *);
/* Takes the error over (NULL: none). Notes what it means for the transaction. */
enum kafka_answer kafka_txn_judge(struct sink *, rd_kafka_error_t *, const char *doing);
/* The process has to end. */
void kafka_txn_end(struct sink *, const char *why);

/* ---- kafka_txn_again.c: each returns ms until it can do more, as step() does ---- */

/* The right to write: what a predecessor left open ends. */
int kafka_txn_start(struct sink *);
/* What is open will not be committed. */
int kafka_txn_give_up(struct sink *);
int kafka_txn_abort(struct sink *);
/* Another producer, that knows nothing of the old one's sets of messages, deleted topics and passwords. */
void kafka_txn_remake(struct sink *);
/* While something is wrong: has a file that the producer was made of changed? Then it is made anew. */
void kafka_txn_look(struct sink *);

/* ---- kafka_txn_points.c ---- */

/* Main's thread, at the start: what was committed, to commits->resumed. -EAGAIN: no answer yet. */
int kafka_points_read(struct sink *, struct err *);
/* An input with offsets of its own, nothing of which is in hand: has it others than were committed last? Then they are made. */
bool kafka_points_moved(struct sink *, unsigned input);
/* Can all inputs that are in the transaction say how far they have come? Else more has to come first. */
bool kafka_points_may_end(const struct sink *);
/* Sends the offsets of all inputs that are in the transaction. 0: all sent; > 0: ms until it is worth another try; < 0: see the state. */
int kafka_points_send(struct sink *);
void kafka_point_drop(struct kafka_txn *);
