#pragma once
/*
 * kafka_settings -- what is written under an output of type kafka, and the librdkafka configuration that it makes.
 *
 * Order:    our defaults, then the typed settings (compression, sasl, tls), then `properties:`, which win.
 * Secrets:  read from their files when a producer is made, so that a producer made anew takes a changed file.
 *           No error or log line has a value of a property.
 * Threads:  immutable once loaded.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/audit_class.h"
#include "router/base/err.h"
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
	struct strings brokers;
	char *topic;
	int key;           /* enum record_key */
	int64_t partitions, replication; /* -1: the broker's */
	struct kafka_retention retention;
	int compression;
	struct kafka_sasl {
		char *mechanism, *username, *password, *password_file;
	} sasl;
	struct kafka_tls {
		bool system_ca;
		char *ca_file, *certificate_file, *key_file, *key_password, *key_password_file;
	} tls;
	struct text_pairs properties;
};

extern const struct section kafka_section;

/* `brokers: embedded`. */
bool kafka_is_embedded(const struct kafka_settings *);

/*
 * The name of a topic; what a topic's name cannot hold becomes `-`. False: it is longer than a broker takes, and cut.
 */
bool kafka_topic_name(const char *template, enum audit_class, const char *cluster, const char *input, char *name);

/* The configuration of a producer, but for its brokers when they are embedded. Relative paths count from folder. */
int kafka_conf_make(rd_kafka_conf_t **ret_conf, const struct kafka_settings *, const char *folder, struct err *);

/* What looks at the whole configuration: placeholders of the topic that nothing fills. */
void kafka_check(struct settings_reader *, const struct config *, const struct config_output *, const struct node *map);

/* SCRAM that Kafka 4 and newer refuse from this librdkafka (fixed in 2.6.1). */
bool kafka_scram_is_old(const struct kafka_settings *);
