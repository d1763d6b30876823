#pragma once
/*
 * kafka_sink -- what kafka.c, kafka_send.c and kafka_recover.c share: one producer and the records that it has.
 *
 * Each lane has a producer of its own, so that no class waits for another. Its delivery reports, errors and answers of
 * brokers are events of one queue, which the lane's worker reads: there is no callback and no lock. The payload is not
 * copied: librdkafka holds pointers into the batches, whose records stay open until their report has come.
 *
 * Threads: main until the lane's worker runs, then the worker, then main (close).
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/lane/batch.h"
#include "router/output/kafka_txn.h"
#include "router/output/kafka_settings.h"
#include "router/output/kafka_topics.h"
#include "router/output/output.h"

/* One record that was taken and has no outcome yet; librdkafka carries a pointer to it. */
struct sent {
	struct sent *next_free;
	struct batch *batch;
	uint64_t order;      /* in which put() took it */
	uint32_t index;
	bool failed;         /* at least once */
};

/*
 * Failures that librdkafka does not mend itself end in one way: let what is under way come to its end (SINK_DRAINS), wait
 * a little (SINK_PAUSES), start again with a new producer, which knows nothing of deleted topics, fatal errors and old
 * passwords, and send all that failed in the order that it came (SINK_RESENDS).
 */
enum sink_state { SINK_RUNS, SINK_DRAINS, SINK_PAUSES, SINK_RESENDS };

struct sink {
	struct sink_options options;
	const struct kafka_settings *settings;
	char log_fields[160];
	rd_kafka_t *rk;             /* NULL: could not be made, yet */
	rd_kafka_queue_t *queue;
	struct kafka_topics *topics;
	struct kafka_txn *txn;      /* exactly-once; NULL: not. Then of what stands below only in_flight, single, batch_bytes, trouble */

	/* kafka_send.c */
	struct sent *slots, *free;
	size_t n_slots;
	size_t in_flight;           /* records that librdkafka has */
	uint64_t order;
	uint64_t open_bytes;        /* of all records without an outcome */
	struct batch *run;          /* delivered in a row and not yet reported */
	uint32_t run_first, run_count;

	/* kafka_recover.c */
	enum sink_state state;
	struct sent **failed;       /* n_slots entries */
	size_t n_failed, next_failed;
	size_t failed_open;         /* records that failed once and have no outcome */
	bool restart;               /* a new producer is needed */
	uint64_t files;             /* kafka_client_files, as this producer was made */
	int64_t files_look_ms;      /* the next look at them, while there is trouble */
	bool backoff;               /* but not at once */
	bool single_wanted;         /* one whose sets have one message each, to see which one a broker refuses */
	bool single;                /* this one is such */
	bool event_refused;         /* and something was refused of it */
	int64_t batch_bytes;        /* librdkafka's batch.size; 0: as configured */
	int64_t state_since_ms;
	int64_t pause_ms, pause_until_ms;
	unsigned chance;            /* of rand_r */

	/* trouble */
	bool in_trouble;
	int64_t waiting_since_ms;   /* for a delivery, a topic; 0: for nothing */
	rd_kafka_resp_err_t last_error;
	int64_t last_error_ms;
	char last_error_text[400];
};

/* kafka_client_files of the sink's settings. */
uint64_t kafka_files(const struct sink *);
/* A producer from the settings as they are now. */
int kafka_producer_start(struct sink *, struct err *);
/* Bounded time. All handles are let go. */
void kafka_producer_end(struct sink *);

/* ---- kafka_send.c ---- */

void kafka_slots_create(struct sink *, size_t n);
void kafka_slots_destroy(struct sink *);
bool kafka_has_room(const struct sink *);
struct sent *kafka_take(struct sink *, struct batch *, uint32_t index);
void kafka_untake(struct sink *, struct sent *);
/* Hands the record to librdkafka, which then owes a report of it with that opaque, unless this fails. */
rd_kafka_resp_err_t kafka_produce(struct sink *, const struct kafka_topic *, const struct batch *, uint32_t index, void *opaque);
rd_kafka_resp_err_t kafka_send(struct sink *, const struct kafka_topic *, struct sent *);
/* Takes what the queue has. False: it was empty. */
bool kafka_serve(struct sink *);

/* ---- kafka_recover.c ---- */

/* It was not delivered: it is refused for good, or will be sent again. */
void kafka_failed(struct sink *, struct sent *, rd_kafka_resp_err_t);
void kafka_succeeded(struct sink *, const struct sent *);
void kafka_error(struct sink *, rd_kafka_resp_err_t, const char *text); /* of the client, not of a record */
/* Moves on as far as it can. Returns ms until it can do more by itself; -1: not by itself. */
int kafka_step(struct sink *);
/* Tells of trouble (NULL: of its end); keeps an error in mind, to be told when it lasts; tells why nothing has been delivered for a while. */
void kafka_report(struct sink *, const char *trouble);
void kafka_keep_error(struct sink *, rd_kafka_resp_err_t, const char *text);
void kafka_watch(struct sink *);
/* The broker refuses the whole set of messages for what one of them is: the code of its dead letter; NULL: another error. */
const char *kafka_code_of_refusal(rd_kafka_resp_err_t);
/* The property that a record is too large for by itself, when it could not be handed over: with a queue that is empty, too. NULL: none. */
const char *kafka_limit_of(const struct sink *, rd_kafka_resp_err_t);
/* Sets of messages were refused whose messages are all well: the topic takes smaller sets. */
void kafka_shrink_sets(struct sink *);
void kafka_refuse(struct sink *, struct sent *, const char *code, const char *reason);
/* Looks once a second: are the files of passwords and certificates others than this producer was made of? */
bool kafka_files_changed(struct sink *);
