#pragma once
/*
 * kafka_settings -- what is written under an output of type kafka, and the librdkafka configuration that it makes (see
 * router/kafka/client.h).
 *
 * Threads:  immutable once loaded.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/audit_class.h"
#include "router/base/err.h"
#include "router/kafka/client.h"
#include "router/output/output.h"

struct config;

enum {
	KAFKA_TOPIC_ROOM = 250,            /* 249 is the longest name that a broker takes */
	KAFKA_QUEUE_MESSAGES = 10000,
	KAFKA_BATCH_BYTES = 1000000,       /* librdkafka's own batch.size */
	KAFKA_BATCH_BYTES_MIN = 16 * 1024, /* as far as refused sets of messages bring it down */
};

enum { KAFKA_RETENTION_BROKER = 0, KAFKA_RETENTION_FOREVER = -1 };

struct kafka_retention {
	int64_t ms[AUDIT_CLASSES]; /* or KAFKA_RETENTION_... */
};

struct kafka_settings {
	struct kafka_client client;
	char *topic;
	int key;           /* enum record_key */
	int64_t partitions, replication; /* -1: the broker's */
	struct kafka_retention retention;
	int compression;
	bool exactly_once;
	char *transactional_id;       /* NULL: made of the instance and the output's name */
	int64_t transaction_events, transaction_wait_ms;
};

extern const struct section kafka_section;

/*
 * The name of a topic; what a topic's name cannot hold becomes `-`, an empty one `unknown`. False: it is longer than a broker takes, and cut.
 */
bool kafka_topic_name(const char *template, enum audit_class, const char *cluster, const char *input, char *name);

/* The configuration of a producer. Relative paths count from folder; embedded brokers must be held. */
int kafka_conf_make(rd_kafka_conf_t **ret_conf, const struct kafka_settings *, const char *folder, struct err *);

/* kafka_txn_check.c: what exactly_once cannot go with, and what it cannot be for (the second half of kafka_check). */
void kafka_txn_check(struct settings_reader *, const struct config *, const struct config_output *, const struct node *map);
/* What looks at the whole configuration: placeholders of the topic that nothing fills. */
void kafka_check(struct settings_reader *, const struct config *, const struct config_output *, const struct node *map);
