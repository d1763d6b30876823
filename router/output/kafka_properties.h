#pragma once
/*
 * kafka_properties -- what is special about the Kafka output's producers: private to the Kafka output.
 */
#include "router/kafka/client.h"
#include "router/output/kafka_settings.h"

extern const char *const kafka_compressions[]; /* names of `compression` */
extern const struct kafka_role kafka_producer;

/* What librdkafka finds only when a producer is made. */
void kafka_properties_together(struct settings_reader *, const struct kafka_settings *);
