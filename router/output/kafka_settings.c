#include "router/output/kafka_settings.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/units.h"
#include "router/output/kafka_properties.h"

static const char *const keys[] = { "none", "auditID", "namespace", "user", "object", NULL };
static_assert(sizeof keys / sizeof *keys == KEY_OBJECT + 2, "a name for each enum record_key");

/* ---- retention ---- */

static bool read_one_retention(struct settings_reader *reader, const struct node *node, int64_t *ret_ms)
{
	_free_ char *text = settings_text(reader, node);
	if (!text)
		return false;
	if (strcmp(text, "forever") == 0) {
		*ret_ms = KAFKA_RETENTION_FOREVER;
		return true;
	}
	if (!units_parse_duration(view_of(text), ret_ms) || *ret_ms <= 0) {
		settings_problem(reader, node, "retention is a duration such as 400d, or forever");
		return false;
	}
	return true;
}

static bool read_retention_map(struct settings_reader *reader, const struct node *map, struct kafka_retention *r)
{
	bool good = true;
	for (size_t i = 0; i < map->n; i++) {
		const struct pair *pair = &map->pairs[i];
		enum audit_class class_;
		if (pair->key->kind != NODE_SCALAR || !audit_class_parse(pair->key->text, &class_)) {
			settings_problem(reader, pair->key,
				"retention by class knows ADMIN_ACTIVITY, ADMIN_READ, DATA_READ and DATA_WRITE");
			good = false;
		} else if (r->ms[class_] != KAFKA_RETENTION_BROKER) {
			settings_problem(reader, pair->key, "%s is there twice", audit_class_name(class_));
			good = false;
		} else if (!read_one_retention(reader, pair->value, &r->ms[class_])) {
			good = false;
		}
	}
	return good;
}

static bool read_retention(struct settings_reader *reader, const struct node *node, void *field)
{
	struct kafka_retention *r = field;
	int64_t ms;
	*r = (struct kafka_retention){ { KAFKA_RETENTION_BROKER } };
	if (!node || node_is_null(node))
		return true;
	if (node->kind == NODE_MAP)
		return read_retention_map(reader, node, r);
	if (!read_one_retention(reader, node, &ms))
		return false;
	for (int i = 0; i < AUDIT_CLASSES; i++)
		r->ms[i] = ms;
	return true;
}

static void finish_retention(void *field)
{
	(void)field;
}

/* ---- the topic's name ---- */

static bool is_topic_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-';
}

static size_t add_text(char *name, size_t used, const char *text)
{
	for (; *text; text++, used++)
		if (used < KAFKA_TOPIC_ROOM - 1)
			name[used] = is_topic_byte(*text) ? *text : '-';
	return used;
}

bool kafka_topic_name(const char *template, enum audit_class class_, const char *cluster, const char *input, char *name)
{
	size_t used = 0;
	while (*template) {
		struct view rest = view_of(template);
		if (view_starts(rest, VIEW("{class}"))) {
			used = add_text(name, used, audit_class_lower(class_));
			template += sizeof "{class}" - 1;
		} else if (view_starts(rest, VIEW("{cluster}"))) {
			used = add_text(name, used, cluster);
			template += sizeof "{cluster}" - 1;
		} else if (view_starts(rest, VIEW("{input}"))) {
			used = add_text(name, used, input);
			template += sizeof "{input}" - 1;
		} else {
			char one[2] = { *template++, 0 };
			used = add_text(name, used, one);
		}
	}
	/* No broker takes an empty name or one of dots, and one message's cluster would hold all others' lane. */
	if (!used)
		used = add_text(name, 0, "unknown");
	name[used < KAFKA_TOPIC_ROOM - 1 ? used : KAFKA_TOPIC_ROOM - 1] = 0;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		memset(name, '-', used);
	return used < KAFKA_TOPIC_ROOM;
}

static void check_topic(struct settings_reader *reader, const struct node *at, const struct kafka_settings *k)
{
	const char *t = k->topic;
	if (!*t || strcmp(t, ".") == 0 || strcmp(t, "..") == 0 || strlen(t) >= KAFKA_TOPIC_ROOM)
		settings_problem(reader, at, "a topic's name has 1 to %d bytes and is not . or ..", KAFKA_TOPIC_ROOM - 1);
	while (*t) {
		const char *end = *t == '{' ? strchr(t, '}') : NULL;
		if (is_topic_byte(*t)) {
			t++;
			continue;
		}
		struct view name = { t, end ? (size_t)(end - t + 1) : 1 };
		if (!view_eq(name, VIEW("{class}")) && !view_eq(name, VIEW("{cluster}")) &&
			!view_eq(name, VIEW("{input}"))) {
			settings_problem(reader, at,
				"a topic's name has letters, digits, `.`, `_`, `-`, {class}, {cluster} and {input}, "
				"not `%.*s`",
				VIEW_ARGS(name));
			return;
		}
		t += name.len;
	}
}

/* ---- the section ---- */

static const struct setting rows[] = {
	{
		.key = "brokers",
		.type = SETTING_TEXTS,
		.required = true,
		.offset = offsetof(struct kafka_settings, client.brokers),
		.help = "HOST:PORT of one or more brokers to begin with, as a list or with commas; or `embedded`: a Kafka inside this process, for trying out, that keeps the newest 5 MiB of each partition and ends with the process.",
	},
	{
		.key = "topic",
		.type = SETTING_TEXT,
		.initial = "audit.{class}",
		.offset = offsetof(struct kafka_settings, topic),
		.help = "The topic of each class. {class}, {cluster} and {input} are replaced; what a topic's name cannot hold becomes `-`. Topics that do not exist are made. A class has at most 1000 of them: events of further clusters go to the topic of a cluster `other-clusters`.",
	},
	{
		.key = "key",
		.type = SETTING_CHOICE,
		.initial = "auditID",
		.choices = keys,
		.offset = offsetof(struct kafka_settings, key),
		.help = "What the message's key is; events of one key keep their order. `object` is GROUP/RESOURCE/NAMESPACE/NAME.",
	},
	{
		.key = "partitions",
		.type = SETTING_INT,
		.initial = "-1",
		.min = "-1",
		.max = "100000",
		.offset = offsetof(struct kafka_settings, partitions),
		.help = "Of topics that are made; -1: as many as the broker's num.partitions. An existing topic is left alone, and a difference warned of.",
	},
	{
		.key = "replication",
		.type = SETTING_INT,
		.initial = "-1",
		.min = "-1",
		.max = "1000",
		.offset = offsetof(struct kafka_settings, replication),
		.help = "Copies of each partition of topics that are made; -1: the broker's default.replication.factor.",
	},
	{
		.key = "retention",
		.type = SETTING_VARIANT,
		.offset = offsetof(struct kafka_settings, retention),
		.read = read_retention,
		.finish = finish_retention,
		.type_text = "duration | forever | {CLASS: duration | forever}",
		.schema = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"additionalProperties\":false,"
			  "\"properties\":{\"ADMIN_ACTIVITY\":{\"type\":\"string\"},\"ADMIN_READ\":{\"type\":\"string\"},"
			  "\"DATA_READ\":{\"type\":\"string\"},\"DATA_WRITE\":{\"type\":\"string\"}}}]}",
		.help = "retention.ms of topics that are made, for all classes or by class: {ADMIN_ACTIVITY: 400d, ADMIN_READ: 30d}. Unsaid: the broker's.",
	},
	{
		.key = "compression",
		.type = SETTING_CHOICE,
		.initial = "lz4",
		.choices = kafka_compressions,
		.offset = offsetof(struct kafka_settings, compression),
		.help = "How sets of messages are compressed on the way and at the broker.",
	},
	{
		.key = "exactly_once",
		.type = SETTING_BOOL,
		.initial = "off",
		.offset = offsetof(struct kafka_settings, exactly_once),
		.help = "Sends in transactions that carry how far the inputs have come, so that no crash loses or doubles an event for consumers with `isolation.level=read_committed`. All classes go through one lane; there is no spool: while the brokers are away, the inputs wait. From stdin and webhooks it is at_least_once.",
	},
	{
		.key = "transactional_id",
		.type = SETTING_TEXT,
		.offset = offsetof(struct kafka_settings, transactional_id),
		.help = "Who this router is for exactly_once: the same over restarts, and no other running router's (a second one with the same ends the first). Unsaid: made of an identity in state_dir and the output's name; then a lost state_dir is a start from zero. The group TRANSACTIONAL_ID.INPUT keeps how far a file input has come. `replay`, which may run beside it, is TRANSACTIONAL_ID-replay.",
	},
	{
		.key = "transaction_events",
		.type = SETTING_INT,
		.initial = "5000",
		.min = "1",
		.max = "1000000",
		.offset = offsetof(struct kafka_settings, transaction_events),
		.help = "With exactly_once: a transaction ends when it has so many events (each costs some 20 ms; 2,000 to 10,000 are good), or at half of the lane's memory.",
	},
	{
		.key = "transaction_wait",
		.type = SETTING_TIME,
		.initial = "100ms",
		.min = "1ms",
		.max = "10s",
		.offset = offsetof(struct kafka_settings, transaction_wait_ms),
		.help = "With exactly_once: a transaction ends when it is so old.",
	},
	{
		.key = "sasl",
		.type = SETTING_SECTION,
		.section = &kafka_sasl_section,
		.offset = offsetof(struct kafka_settings, client.sasl),
		.help = "Who the router is for the brokers.",
	},
	{
		.key = "tls",
		.type = SETTING_SECTION,
		.section = &kafka_tls_section,
		.offset = offsetof(struct kafka_settings, client.tls),
		.help = "TLS to the brokers: on as soon as one of its keys is said.",
	},
	{
		.key = "properties",
		.type = SETTING_PAIRS,
		.offset = offsetof(struct kafka_settings, client.properties),
		.help = "Any property of librdkafka's producer, as it is. NAME_file reads the value of a property from a file (sasl.password_file).",
	},
	{ .key = NULL },
};

/* ---- checks ---- */

static void check(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct kafka_settings *k = values;
	const struct node *topic = tree_get(map, "topic"), *partitions = tree_get(map, "partitions"), *replication = tree_get(map, "replication");
	check_topic(reader, topic ? topic : map, k);
	if (k->partitions == 0)
		settings_problem(reader, partitions ? partitions : map, "partitions is -1 (the broker's) or at least 1");
	if (k->replication == 0)
		settings_problem(reader, replication ? replication : map,
			"replication is -1 (the broker's) or at least 1");
	kafka_client_check(reader, map, &k->client, &kafka_producer);
	kafka_properties_together(reader, k);
}

const struct section kafka_section = {
	.name = "output.kafka",
	.help = "Kafka: a message for each event, the event's bytes as they are; headers class, rule, cluster and seq, and epoch "
		"where the input begins anew with each start (webhook, stdin, kafka): see the top README.",
	.size = sizeof(struct kafka_settings),
	.rows = rows,
	.check = check,
};

static bool has_cluster(const struct config *c)
{
	if (c->cluster && *c->cluster)
		return true;
	for (size_t i = 0; i < c->n_inputs; i++)
		if (!c->inputs[i].cluster || !*c->inputs[i].cluster)
			return false;
	return c->n_inputs > 0;
}

static bool retention_differs(const struct kafka_retention *r, unsigned classes)
{
	int64_t seen = 0;
	bool any = false;
	for (int i = 0; i < AUDIT_CLASSES; i++) {
		if (!(classes & 1u << i))
			continue;
		if (any && r->ms[i] != seen)
			return true;
		seen = r->ms[i];
		any = true;
	}
	return false;
}

void kafka_check(struct settings_reader *reader, const struct config *c, const struct config_output *output,
	const struct node *map)
{
	const struct kafka_settings *k = output->own;
	const struct node *at = tree_get(map, "topic");
	if (!k->topic)
		return;
	if (strstr(k->topic, "{cluster}") && !has_cluster(c))
		settings_problem(reader, at ? at : map, "the topic has {cluster}, but `cluster` is not set");
	if (!strstr(k->topic, "{class}") && retention_differs(&k->retention, config_output_classes(c, output)))
		settings_problem(reader, at ? at : map,
			"classes with different retention cannot share a topic: put {class} in its name");
	kafka_txn_check(reader, c, output, map);
}
