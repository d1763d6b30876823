#pragma once
/*
 * kafka_properties -- librdkafka's configuration from the settings of an output: private to the Kafka output.
 */
#include <stdbool.h>

#include "router/output/kafka_settings.h"

extern const char *const kafka_compressions[]; /* names of `compression` */

bool kafka_tls_is_on(const struct kafka_settings *);
/* The SASL mechanism in force, be it from sasl: or from properties:; NULL: none. */
const char *kafka_mechanism(const struct kafka_settings *);
/* Each property: known, its value acceptable, ours to be changed. */
void kafka_properties_check(struct settings_reader *, const struct kafka_settings *);
