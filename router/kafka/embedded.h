#pragma once
/*
 * embedded -- a Kafka for trying out: librdkafka's mock cluster inside this process.
 *
 * One for all inputs and outputs that say `brokers: embedded`, counted by reference: the last one ends it and what it holds. It keeps
 * the newest 5 MiB of a partition, in memory.
 *
 * Threads: any; one mutex.
 */
#include "router/base/err.h"

struct rd_kafka_mock_cluster_s;

int kafka_embedded_hold(struct err *);
void kafka_embedded_release(void);
/* "127.0.0.1:40213,...": valid while held. */
const char *kafka_embedded_brokers(void);
/* An existing topic is fine. partitions: -1 is KAFKA_EMBEDDED_PARTITIONS. */
void kafka_embedded_topic(const char *name, int partitions);
/* For tests, which make it fail. */
struct rd_kafka_mock_cluster_s *kafka_embedded_cluster(void);

enum { KAFKA_EMBEDDED_PARTITIONS = 4 };
