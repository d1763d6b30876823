#pragma once
/*
 * client -- what a Kafka input and a Kafka output have in common: brokers, who the router is for them, and any property of
 * librdkafka; and the librdkafka configuration that all this makes.
 *
 * Order:    the role's defaults, then the typed settings (sasl, tls, what the caller sets itself), then `properties:`, which
 *           win. What the role owns cannot be said under properties.
 * Secrets:  read from their files when a client is made, as librdkafka reads certificates; a client made anew takes changed
 *           files, and kafka_client_files says whether they have changed.
 *           No error or log line has a value of a property that is secret.
 * Threads:  settings are immutable once loaded; the functions are for any thread.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/err.h"

/* The part of both settings structs; rows of the tables lead into it. */
struct kafka_client {
	struct strings brokers;
	struct kafka_sasl {
		char *mechanism, *username, *password, *password_file;
	} sasl;
	struct kafka_tls {
		bool system_ca;
		char *ca_file, *certificate_file, *key_file, *key_password, *key_password_file;
	} tls;
	struct text_pairs properties;
};

extern const struct section kafka_sasl_section, kafka_tls_section;

/* What is special about producers or consumers. Each list ends with a NULL name. */
struct kafka_role {
	/* What librdkafka would do otherwise is not what is wanted. */
	const struct kafka_default {
		const char *name, *value;
	} *defaults;
	/* What the router itself depends on. */
	const struct kafka_owned {
		const char *name, *why;
	} *owned;
	/* Another value than `good` is what the user asked for; the user should know. */
	const struct kafka_risky {
		const char *name, *good, *warning;
	} *risky;
};

/* `brokers: embedded`. */
bool kafka_is_embedded(const struct kafka_client *);
bool kafka_tls_is_on(const struct kafka_client *);
/* The value of a property under properties:; NULL: unsaid. */
const char *kafka_property(const struct kafka_client *, const char *name);
/* The SASL mechanism in force, be it from sasl: or from properties:; NULL: none. */
const char *kafka_mechanism(const struct kafka_client *);

/* SCRAM that Kafka 4 and newer refuse from this librdkafka (fixed in 2.6.1). */
bool kafka_scram_is_old(const struct kafka_client *);

/* All of it: brokers, sasl, tls, and each property: known, its value acceptable, the user's to change. */
void kafka_client_check(struct settings_reader *, const struct node *map, const struct kafka_client *,
	const struct kafka_role *);

/*
 * A configuration with the role's defaults, the brokers (embedded ones too: they must be held) and who the router is. The
 * caller sets what is its own, then adds the properties.
 */
int kafka_client_conf(rd_kafka_conf_t **ret_conf, const struct kafka_client *, const struct kafka_role *, struct err *);
/*
 * A number that stands for the files that a client was made of as they are now: passwords, keys, certificates. It changes
 * when one of them is replaced, written to, made or removed. Never fails.
 */
uint64_t kafka_client_files(const struct kafka_client *, const char *folder);
int kafka_conf_set(rd_kafka_conf_t *, const char *name, const char *value, struct err *); /* value NULL: nothing is set */
/* Relative paths count from folder. */
int kafka_conf_properties(rd_kafka_conf_t *, const struct kafka_client *, const char *folder, struct err *);

/* Ends the client, within a few seconds: one that looks up a name cannot be ended before the answer, and is left behind. */
void kafka_client_end(rd_kafka_t *);
