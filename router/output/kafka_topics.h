#pragma once
/*
 * kafka_topics -- the topics of one sink: names, handles, and seeing to it that they exist.
 *
 * A topic is made (CreateTopics, with the retention, partitions and replication that are configured) before the first
 * message goes to it, asynchronously: the answer is an event of the producer's main queue. One that exists is left
 * alone; where it differs from the configuration a warning says so, once. Where making it is not allowed, it is used
 * as if it existed; whatever else goes wrong is tried again for ever.
 *
 * Bound:   {cluster} may come from a header of a message, so a sink has at most about a thousand topics; the events of clusters
 *          beyond that go to the topic of a cluster KAFKA_OTHER_CLUSTERS, and a warning says so, once.
 *
 * Threads: main until the sink's worker runs, then the worker.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/output/kafka_settings.h"

#define KAFKA_OTHER_CLUSTERS "other-clusters"

struct kafka_topics;

enum kafka_topic_state {
	TOPIC_UNKNOWN, /* to be asked for */
	TOPIC_ASKED,   /* the answer is under way */
	TOPIC_READY,   /* it exists, or nothing better can be done */
};

struct kafka_topic {
	char *name;
	enum audit_class class_;  /* whose retention it gets: classes that share a topic have the same */
	enum kafka_topic_state state;
	rd_kafka_topic_t *handle; /* of the producer in use; NULL before TOPIC_READY */
	bool compared;            /* with the configuration */
	char note[160];           /* why it could not be made, for the report when sending fails too; or "" */
};

struct kafka_topics *kafka_topics_create(const struct kafka_settings *, const char *log_fields);
void kafka_topics_destroy(struct kafka_topics *); /* after kafka_topics_producer(, NULL, NULL) */

/* Another producer (NULL: none): handles of the old one are let go, and all topics are asked for anew. */
void kafka_topics_producer(struct kafka_topics *, rd_kafka_t *, rd_kafka_queue_t *);

/* All topics are asked for anew, since one may be gone; their handles stay. */
void kafka_topics_doubt(struct kafka_topics *);

/* The topic of events of that class, cluster and input; it may not be ready. Valid as long as the topics. */
struct kafka_topic *kafka_topics_of(struct kafka_topics *, enum audit_class, const char *cluster, const char *input);

/* Asks for what is unknown, if it is time. Returns ms until it has something to do, -1: nothing. */
int kafka_topics_ask(struct kafka_topics *);
/* An answer. */
void kafka_topics_answer(struct kafka_topics *, rd_kafka_event_t *);
/* Why some topic is not ready, when a broker said so; NULL: all are, or there was no answer yet. */
const char *kafka_topics_trouble(const struct kafka_topics *);
