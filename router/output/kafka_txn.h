#pragma once
/*
 * kafka_txn -- an exactly-once Kafka output: whole batches, and how far their inputs have come, in one transaction after another.
 *
 * A transaction takes batches in order until it has `transaction_events`, half of the lane's memory, or is `transaction_wait` old;
 * it ends at the first end of a span where its inputs can say how far they have come. When all its records have arrived, their dead letters are written, each input that is part of it
 * says how far it has come (commit_point.h), those offsets go into the transaction, and it is committed. Only then do the records
 * have their outcome. An output that gets nothing of what its inputs read says so with a transaction of offsets alone, now and then.
 *
 * Failures: one that the transaction does not survive: it is aborted and done again from memory, its records are still open. A
 *          call that may be repeated is. A topic that is gone, a broker that never began what is to be aborted (an ACL, a deleted
 *          topic), files of passwords and certificates that changed: it is done again by another producer, which asks for
 *          its topics anew; what the old one has open, its first call ends. A fatal one (another producer of the same transactional.id has begun; partitions were
 *          lost to another member of the group): commits->failed, since what was committed is what a new start goes on from.
 *          So does one to be aborted after a commit without an answer: it may be committed.
 *          A record that the broker refuses for its size: a set of its own for each to find it, and then without it.
 * Threads: as kafka_sink.h. Calls that wait for the broker do so for a few seconds at most.
 */
#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "router/base/err.h"

struct batch;
struct kafka_txn;
struct sink;

struct kafka_txn *kafka_txn_create(struct sink *);
void kafka_txn_destroy(struct kafka_txn *); /* NULL is fine; after the producer's end */
const char *kafka_txn_id(const struct kafka_txn *);

/* See output_ops. */
int kafka_txn_resume(struct sink *, struct err *);
uint32_t kafka_txn_put(struct sink *, struct batch *, uint32_t first);
void kafka_txn_flush(struct sink *);
void kafka_txn_wait(struct sink *, int timeout_ms);
/* Before the producer's end: what is open is aborted, so that readers need not wait for its time-out. Bounded time. */
void kafka_txn_leave(struct sink *);

/* Of the sink's queue: delivery reports; a fatal error. */
void kafka_txn_reports(struct sink *, rd_kafka_event_t *);
void kafka_txn_fatal(struct sink *);
