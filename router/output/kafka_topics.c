#include "router/output/kafka_topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/kafka/embedded.h"

enum {
	REQUEST_TIMEOUT_MS = 5000,   /* without an answer from the controller */
	OPERATION_TIMEOUT_MS = 3000, /* the broker's, for a new topic to be known everywhere */
	AGAIN_MS = 1000,             /* after a failure */
	METADATA_TIMEOUT_MS = 1000,
	ASK_MAX = 100,               /* topics in one request */
	ERROR_ROOM = 256,
	WAYS_MAX = 1000,             /* of a sink; where {cluster} comes from headers, anyone can name another one */
};

/* Which topic the events of a class, a cluster and an input go to. */
struct way {
	enum audit_class class_;
	char *cluster, *input; /* "" where the template has no such placeholder */
	struct kafka_topic *topic;
};

struct kafka_topics {
	const struct kafka_settings *settings;
	const char *log_fields;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct way *ways;
	size_t n_ways, last_way;
	bool by_cluster, by_input, full; /* full: said */
	struct kafka_topic **list;
	size_t n;
	bool asking;           /* one request at a time */
	int64_t ask_at_ms;
};

struct kafka_topics *kafka_topics_create(const struct kafka_settings *settings, const char *log_fields)
{
	struct kafka_topics *t = mem_zero(1, sizeof *t);
	t->settings = settings;
	t->log_fields = log_fields;
	t->by_cluster = strstr(settings->topic, "{cluster}");
	t->by_input = strstr(settings->topic, "{input}");
	return t;
}

void kafka_topics_destroy(struct kafka_topics *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_ways; i++) {
		free(t->ways[i].cluster);
		free(t->ways[i].input);
	}
	for (size_t i = 0; i < t->n; i++) {
		free(t->list[i]->name);
		free(t->list[i]);
	}
	free(t->ways);
	free(t->list);
	free(t);
}

void kafka_topics_producer(struct kafka_topics *t, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	for (size_t i = 0; i < t->n; i++) {
		struct kafka_topic *topic = t->list[i];
		if (topic->handle)
			rd_kafka_topic_destroy(topic->handle);
		topic->handle = NULL;
		topic->state = TOPIC_UNKNOWN;
	}
	t->rk = rk;
	t->queue = queue;
	t->asking = false;
	t->ask_at_ms = 0;
}

void kafka_topics_doubt(struct kafka_topics *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i]->state == TOPIC_READY)
			t->list[i]->state = TOPIC_UNKNOWN;
}

static struct kafka_topic *named(struct kafka_topics *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->list[i]->name, name) == 0)
			return t->list[i];
	return NULL;
}

static struct kafka_topic *add_topic(struct kafka_topics *t, enum audit_class class_, const char *name)
{
	struct kafka_topic *topic = mem_zero(1, sizeof *topic);
	topic->name = mem_text(view_of(name));
	topic->class_ = class_;
	t->list = mem_resize(t->list, (t->n + 1) * sizeof *t->list);
	t->list[t->n++] = topic;
	t->ask_at_ms = 0;
	return topic;
}

static bool leads(const struct way *w, enum audit_class class_, const char *cluster, const char *input)
{
	return w->class_ == class_ && strcmp(w->cluster, cluster) == 0 && strcmp(w->input, input) == 0;
}

static struct kafka_topic *find_way(struct kafka_topics *t, enum audit_class class_, const char *cluster, const char *input)
{
	if (t->last_way < t->n_ways && leads(&t->ways[t->last_way], class_, cluster, input))
		return t->ways[t->last_way].topic;
	for (size_t i = 0; i < t->n_ways; i++)
		if (leads(&t->ways[i], class_, cluster, input)) {
			t->last_way = i;
			return t->ways[i].topic;
		}
	return NULL;
}

static struct kafka_topic *add_way(struct kafka_topics *t, enum audit_class class_, const char *cluster, const char *input)
{
	char name[KAFKA_TOPIC_ROOM];
	if (!kafka_topic_name(t->settings->topic, class_, cluster, input, name))
		log_line(LOG_WARN, t->log_fields, "a topic's name is longer than %d bytes and was cut: %s",
			KAFKA_TOPIC_ROOM - 1, name);
	struct kafka_topic *topic = named(t, name);
	if (!topic)
		topic = add_topic(t, class_, name);
	t->ways = mem_resize(t->ways, (t->n_ways + 1) * sizeof *t->ways);
	t->ways[t->n_ways] = (struct way){ class_, mem_text(view_of(cluster)), mem_text(view_of(input)), topic };
	t->last_way = t->n_ways++;
	return topic;
}

struct kafka_topic *kafka_topics_of(struct kafka_topics *t, enum audit_class class_, const char *cluster, const char *input)
{
	cluster = cluster && t->by_cluster ? cluster : "";
	input = input && t->by_input ? input : "";
	struct kafka_topic *topic = find_way(t, class_, cluster, input);
	if (topic || !t->by_cluster || t->n_ways < WAYS_MAX)
		return topic ? topic : add_way(t, class_, cluster, input);
	if (!t->full)
		log_line(LOG_WARN, t->log_fields, "more than %d topics: further clusters share that of a cluster \"%s\"", WAYS_MAX,
			KAFKA_OTHER_CLUSTERS);
	t->full = true;
	topic = find_way(t, class_, KAFKA_OTHER_CLUSTERS, input);
	return topic ? topic : add_way(t, class_, KAFKA_OTHER_CLUSTERS, input); /* as many as there are classes and inputs */
}

static void set_ready(struct kafka_topics *t, struct kafka_topic *topic)
{
	/* Not before: a handle makes librdkafka ask for the topic, and so a broker make it with its own defaults. */
	if (!topic->handle)
		topic->handle = rd_kafka_topic_new(t->rk, topic->name, NULL);
	if (topic->handle) {
		topic->state = TOPIC_READY;
		return;
	}
	topic->state = TOPIC_UNKNOWN;
	(void)snprintf(topic->note, sizeof topic->note, "%s", rd_kafka_err2str(rd_kafka_last_error()));
	t->ask_at_ms = clock_steady_ms() + AGAIN_MS;
}

static int64_t retention_ms(const struct kafka_topics *t, const struct kafka_topic *topic)
{
	return t->settings->retention.ms[topic->class_];
}

/* ---- asking ---- */

static rd_kafka_NewTopic_t *new_topic(const struct kafka_topics *t, struct kafka_topic *topic)
{
	char text[ERROR_ROOM];
	rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic->name, (int)t->settings->partitions,
		(int)t->settings->replication, text, sizeof text);
	if (!made) {
		(void)snprintf(topic->note, sizeof topic->note, "topic cannot be made: %.120s", text);
		return NULL;
	}
	if (retention_ms(t, topic) != KAFKA_RETENTION_BROKER) {
		(void)snprintf(text, sizeof text, "%" PRId64, retention_ms(t, topic));
		(void)rd_kafka_NewTopic_set_config(made, "retention.ms", text);
	}
	return made;
}

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation)
{
	char text[ERROR_ROOM];
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);
	(void)rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_TIMEOUT_MS, text, sizeof text);
	if (operation == RD_KAFKA_ADMIN_OP_CREATETOPICS)
		(void)rd_kafka_AdminOptions_set_operation_timeout(options, OPERATION_TIMEOUT_MS, text, sizeof text);
	return options;
}

static void ask_broker(struct kafka_topics *t)
{
	rd_kafka_NewTopic_t *wanted[ASK_MAX];
	size_t n = 0;
	for (size_t i = 0; i < t->n && n < ASK_MAX; i++) {
		struct kafka_topic *topic = t->list[i];
		if (topic->state != TOPIC_UNKNOWN)
			continue;
		wanted[n] = new_topic(t, topic);
		if (!wanted[n])
			continue;
		topic->state = TOPIC_ASKED;
		n++;
	}
	t->ask_at_ms = clock_steady_ms() + AGAIN_MS;
	if (!n)
		return;
	rd_kafka_AdminOptions_t *options = admin_options(t->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_CreateTopics(t->rk, wanted, n, options, t->queue);
	t->asking = true;
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_NewTopic_destroy_array(wanted, n);
}

static void make_embedded(struct kafka_topics *t)
{
	const struct rd_kafka_metadata *metadata;
	/* Connected: a handle made before that has to wait for librdkafka's next look at its topics, a second later. */
	if (rd_kafka_metadata(t->rk, 0, NULL, &metadata, METADATA_TIMEOUT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	for (size_t i = 0; i < t->n; i++) {
		struct kafka_topic *topic = t->list[i];
		if (topic->state == TOPIC_READY)
			continue;
		kafka_embedded_topic(topic->name, (int)t->settings->partitions);
		set_ready(t, topic);
	}
}

int kafka_topics_ask(struct kafka_topics *t)
{
	bool unknown = false;
	if (!t->rk || t->asking)
		return -1;
	for (size_t i = 0; i < t->n && !unknown; i++)
		unknown = t->list[i]->state == TOPIC_UNKNOWN;
	if (!unknown)
		return -1;
	int64_t left = t->ask_at_ms - clock_steady_ms();
	if (left > 0)
		return (int)left;
	if (kafka_is_embedded(&t->settings->client)) {
		make_embedded(t);
		return 0;
	}
	ask_broker(t);
	return AGAIN_MS;
}

/* ---- comparing one that exists ---- */

static void compare_partitions(struct kafka_topics *t, struct kafka_topic *topic)
{
	const struct rd_kafka_metadata *metadata;
	int64_t partitions = t->settings->partitions, replication = t->settings->replication;
	if ((partitions < 0 && replication < 0) || !topic->handle)
		return;
	/* Waits, but for a broker that has just answered, and once a topic. */
	if (rd_kafka_metadata(t->rk, 0, topic->handle, &metadata, METADATA_TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0) {
		const rd_kafka_metadata_topic_t *found = &metadata->topics[0];
		if (partitions >= 0 && found->partition_cnt != partitions)
			log_line(LOG_WARN, t->log_fields,
				"topic %s exists with %d partitions, not %" PRId64 " as configured: left alone",
				topic->name, found->partition_cnt, partitions);
		if (replication >= 0 && found->partitions[0].replica_cnt != replication)
			log_line(LOG_WARN, t->log_fields,
				"topic %s exists with replication %d, not %" PRId64 " as configured: left alone",
				topic->name, found->partitions[0].replica_cnt, replication);
	}
	rd_kafka_metadata_destroy(metadata);
}

static void ask_retention(struct kafka_topics *t, const struct kafka_topic *topic)
{
	if (retention_ms(t, topic) == KAFKA_RETENTION_BROKER)
		return;
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic->name);
	rd_kafka_AdminOptions_t *options = admin_options(t->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_DescribeConfigs(t->rk, &resource, 1, options, t->queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(resource);
}

static void answer_retention(struct kafka_topics *t, rd_kafka_event_t *event)
{
	const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
	size_t n, n_entries;
	char wanted[32];
	if (!result)
		return;
	const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &n);
	for (size_t i = 0; i < n; i++) {
		/* It may not be ours to read: then there is nothing to compare. */
		const struct kafka_topic *topic = named(t, rd_kafka_ConfigResource_name(resources[i]));
		(void)snprintf(wanted, sizeof wanted, "%" PRId64, topic ? retention_ms(t, topic) : KAFKA_RETENTION_BROKER);
		const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[i], &n_entries);
		for (size_t j = 0; j < n_entries; j++) {
			const char *value = rd_kafka_ConfigEntry_value(entries[j]);
			if (strcmp(rd_kafka_ConfigEntry_name(entries[j]), "retention.ms") != 0 || !value ||
				strcmp(value, wanted) == 0)
				continue;
			log_line(LOG_WARN, t->log_fields,
				"topic %s exists with retention.ms=%s, not %s as configured: left alone",
				rd_kafka_ConfigResource_name(resources[i]), value, wanted);
		}
	}
}

/* ---- answers ---- */

/* No retry will mend it, and the topic may exist all the same. */
static bool is_for_good(rd_kafka_resp_err_t e)
{
	return e == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
	       e == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
	       e == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION || e == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

static void answer_topic(struct kafka_topics *t, struct kafka_topic *topic, rd_kafka_resp_err_t e, const char *text)
{
	topic->note[0] = 0;
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
		log_line(LOG_INFO, t->log_fields, "topic %s made", topic->name);
		topic->compared = true;
		set_ready(t, topic);
		return;
	}
	if (e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
		set_ready(t, topic);
		if (!topic->compared) {
			topic->compared = true;
			compare_partitions(t, topic);
			ask_retention(t, topic);
		}
		return;
	}
	(void)snprintf(topic->note, sizeof topic->note, "topic %.80s cannot be made: %s", topic->name,
		text ? text : rd_kafka_err2str(e));
	if (is_for_good(e))
		set_ready(t, topic);
	else
		topic->state = TOPIC_UNKNOWN;
}

/* The request itself failed: all that were asked for are asked for again, or taken as they are. */
static void answer_none(struct kafka_topics *t, rd_kafka_resp_err_t e, const char *text)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->list[i]->state != TOPIC_ASKED)
			continue;
		if (is_for_good(e))
			answer_topic(t, t->list[i], e, text);
		else
			t->list[i]->state = TOPIC_UNKNOWN;
	}
}

void kafka_topics_answer(struct kafka_topics *t, rd_kafka_event_t *event)
{
	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT) {
		answer_retention(t, event);
		return;
	}
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	size_t n = 0;
	t->asking = false;
	t->ask_at_ms = clock_steady_ms() + AGAIN_MS;
	rd_kafka_resp_err_t e = rd_kafka_event_error(event);
	if (e || !result) {
		answer_none(t, e, rd_kafka_event_error_string(event));
		return;
	}
	const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(result, &n);
	for (size_t i = 0; i < n; i++) {
		struct kafka_topic *topic = named(t, rd_kafka_topic_result_name(results[i]));
		if (topic && topic->state == TOPIC_ASKED)
			answer_topic(t, topic, rd_kafka_topic_result_error(results[i]),
				rd_kafka_topic_result_error_string(results[i]));
	}
	answer_none(t, RD_KAFKA_RESP_ERR_UNKNOWN, NULL); /* what the broker left out */
}

const char *kafka_topics_trouble(const struct kafka_topics *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->list[i]->state != TOPIC_READY && t->list[i]->note[0])
			return t->list[i]->note;
	return NULL;
}
