/* kafka -- events out of Kafka topics, as one of a consumer group. kafka.h draws the parts. */
#include "router/input/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/kafka/embedded.h"

enum { TOPIC_NAME_MAX = 249, ERROR_LOG_MS = 10000, EMBEDDED_PARTITIONS = -1 };

/* ---- settings ---- */

static const char *const froms[] = { "start", "end", NULL };
static const char *const cluster_froms[] = { "header", "topic", "none", NULL };

static const struct setting rows[] = {
	{
		.key = "brokers",
		.type = SETTING_TEXTS,
		.required = true,
		.offset = offsetof(struct kafka_input_settings, client.brokers),
		.help = "HOST:PORT of one or more brokers to begin with, as a list or with commas; or `embedded`: the Kafka inside this process that outputs with `brokers: embedded` write to, for trying out.",
	},
	{
		.key = "topics",
		.type = SETTING_TEXTS,
		.required = true,
		.offset = offsetof(struct kafka_input_settings, topics),
		.help = "The topics to read, one or more. What begins with `^` is a regular expression for the names of topics, also of those that come later.",
	},
	{
		.key = "group",
		.type = SETTING_TEXT,
		.offset = offsetof(struct kafka_input_settings, group),
		.help = "The consumer group. Routers of one group share the partitions; its offsets are where a restart goes on. Unsaid: `audit-router-` and the input's name.",
	},
	{
		.key = "from",
		.type = SETTING_CHOICE,
		.initial = "start",
		.choices = froms,
		.offset = offsetof(struct kafka_input_settings, from),
		.help = "Where a partition begins of which the group has no offset: at the oldest message there is, or with those that come after the first look at it.",
	},
	{
		.key = "cluster_from",
		.type = SETTING_CHOICE,
		.initial = "header",
		.choices = cluster_froms,
		.offset = offsetof(struct kafka_input_settings, cluster_from),
		.help = "Where the source cluster of an event stands: in the message's header `cluster` (a Kafka output writes it), or the topic's name. Where there is none, or with `none`, it is the input's `cluster`.",
	},
	{
		.key = "revoke_wait",
		.type = SETTING_TIME,
		.initial = "10s",
		.min = "0s",
		.max = "5m",
		.offset = offsetof(struct kafka_input_settings, revoke_wait_ms),
		.help = "How long partitions that go to another router of the group are kept until what was read of them is delivered; what is not delivered by then comes twice.",
	},
	{
		.key = "sasl",
		.type = SETTING_SECTION,
		.section = &kafka_sasl_section,
		.offset = offsetof(struct kafka_input_settings, client.sasl),
		.help = "Who the router is for the brokers.",
	},
	{
		.key = "tls",
		.type = SETTING_SECTION,
		.section = &kafka_tls_section,
		.offset = offsetof(struct kafka_input_settings, client.tls),
		.help = "TLS to the brokers: on as soon as one of its keys is said.",
	},
	{
		.key = "properties",
		.type = SETTING_PAIRS,
		.offset = offsetof(struct kafka_input_settings, client.properties),
		.help = "Any property of librdkafka's consumer, as it is, but for those that no loss depends on. NAME_file reads the value of a property from a file (sasl.password_file). What is fetched ahead is bounded by queued.max.messages.kbytes (65536) and, for each broker beyond it, fetch.max.bytes (4194304, compressed as it is); that is memory beside memory_max. While an output has no room for more, nothing is taken; after max.poll.interval.ms (1800000: half an hour) of it the group goes on without this router, and what it had in hand comes twice: more is safer, but when the group shares partitions anew it waits for a router that is stuck for as long.",
	},
	{ .key = NULL },
};

static const struct kafka_default defaults[] = {
	{ "client.id", "audit-router" },
	{ "enable.auto.commit", "false" },
	{ "enable.auto.offset.store", "false" },
	{ "auto.offset.reset", "error" },  /* a gap is told (kafka_group.c), not jumped over */
	{ "enable.partition.eof", "true" },
	{ "partition.assignment.strategy", "cooperative-sticky" },
	{ "isolation.level", "read_committed" },
	{ "max.poll.interval.ms", "1800000" }, /* nothing is polled while a lane has no room: that is no reason to lose all partitions */
	{ "queued.max.messages.kbytes", "65536" }, /* librdkafka sleeps up to 1 s where it is full: less costs most of the speed */
	{ "fetch.max.bytes", "4194304" },
	{ "reconnect.backoff.max.ms", "500" },
	{ "topic.metadata.refresh.interval.ms", "10000" }, /* new topics, and those that are made anew */
	{ "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },
	{ "log.connection.close", "false" },
	{ NULL, NULL },
};

static const struct kafka_owned owned[] = {
	{ "enable.auto.commit", "offsets are committed once what they stand for is delivered" },
	{ "auto.commit.enable", "offsets are committed once what they stand for is delivered" },
	{ "enable.auto.offset.store", "offsets are committed once what they stand for is delivered" },
	{ "group.id", "it is `group:` of the input" },
	{ "auto.offset.reset", "it is `from:` of the input, and a gap is told, not jumped over" },
	{ "enable.partition.eof", "the router itself needs to know where a partition ends" },
	{ "partition.assignment.strategy", "routers of a group share partitions by cooperative-sticky" },
	{ "consume.callback.max.messages", "the router itself takes messages" },
	{ NULL, NULL },
};

static const struct kafka_risky risky[] = {
	{ "isolation.level", "read_committed", "events of transactions that were given up are read too" },
	{ "enable.ssl.certificate.verification", "true", "anyone in between can read and change the events" },
	{ NULL, NULL, NULL },
};

static const struct kafka_role consumer = { defaults, owned, risky };

static bool is_topic(struct view name)
{
	bool good = name.len && name.len <= TOPIC_NAME_MAX && !view_eq(name, VIEW(".")) && !view_eq(name, VIEW(".."));
	for (size_t i = 0; good && i < name.len; i++) {
		char c = name.ptr[i];
		good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
	}
	return good;
}

static void check_section(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct kafka_input_settings *s = values;
	const struct node *topics = tree_get(map, "topics"), *group = tree_get(map, "group");
	if (s->topics.n == 0)
		settings_problem(reader, topics ? topics : map, "topics needs at least one topic");
	for (size_t i = 0; i < s->topics.n; i++) {
		struct view t = s->topics.list[i];
		if (t.len && t.ptr[0] == '^' ? t.len < 2 : !is_topic(t))
			settings_problem(reader, topics,
				"`%.*s` is no topic: letters, digits, `.`, `_` and `-`, at most %d; or a regular expression that begins "
				"with `^`", VIEW_ARGS(t), TOPIC_NAME_MAX);
	}
	if (s->group && !*s->group)
		settings_problem(reader, group ? group : map, "a group has a name");
	kafka_client_check(reader, map, &s->client, &consumer);
}

static const struct section settings = {
	.name = "input.kafka",
	.help = "Topics of Kafka, as one of a consumer group: each message is an event or an EventList. Offsets are committed once all before them is delivered.",
	.size = sizeof(struct kafka_input_settings),
	.rows = rows,
	.check = check_section,
};

/* ---- what librdkafka says ---- */

void consumer_error(struct input *in, rd_kafka_resp_err_t e, const char *text)
{
	int64_t now = clock_steady_ms();
	(void)snprintf(in->last_error, sizeof in->last_error, "%s%s%s", text, e ? ": " : "", e ? rd_kafka_err2str(e) : "");
	if (now < in->error_log_ms)
		return;
	in->error_log_ms = now + ERROR_LOG_MS;
	log_line(LOG_WARN, NULL, "input %s: %s", in->options.input->name, in->last_error);
}

static void on_error(rd_kafka_t *rk, int e, const char *text, void *context)
{
	struct input *in = context;
	(void)rk;
	consumer_error(in, RD_KAFKA_RESP_ERR_NO_ERROR, text);
	/* A password or a certificate may have changed in its file; a fatal error has no other end. */
	if (e == RD_KAFKA_RESP_ERR__FATAL || e == RD_KAFKA_RESP_ERR__AUTHENTICATION || e == RD_KAFKA_RESP_ERR__SSL) {
		if (!in->restart)
			in->restart_ms = clock_steady_ms() + KAFKA_RESTART_MS;
		in->restart = true;
	}
}

static void log_librdkafka(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level;
	log_line(LOG_DEBUG, NULL, "librdkafka: %s: %s", facility, text);
}

/* ---- whether librdkafka can end it ---- */

/*
 * Up to 2.2 it aborts (its issue 4312) where a client ends that has an answer to its JoinGroup, but never had an assignment. Such
 * a client has left the group, and is left behind: it is one for a stop within the first second or so.
 */
enum { CLIENTS = 64, JOIN_GROUP = 11 };
static atomic_bool met[CLIENTS]; /* by client: it got that answer. Not in the input: who is left behind may still write it */
static atomic_uint clients;

static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int fd, const char *broker, int32_t id, int16_t kind, int16_t version,
	int32_t number, size_t size, int64_t rtt, rd_kafka_resp_err_t e, void *context)
{
	(void)rk, (void)fd, (void)broker, (void)id, (void)version, (void)number, (void)size, (void)rtt, (void)e;
	if (kind == JOIN_GROUP)
		*(atomic_bool *)context = true;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *text, size_t room)
{
	(void)conf, (void)text, (void)room;
	return rd_kafka_interceptor_add_on_response_received(rk, "joined", on_response, context);
}

static void watch_joins(struct input *in, rd_kafka_conf_t *conf)
{
	in->met = &met[clients++ % CLIENTS];
	*in->met = false;
	in->assigned = false;
	(void)rd_kafka_conf_interceptor_add_on_new(conf, "joined", on_new, in->met);
}

/* ---- the client ---- */

static int make_conf(rd_kafka_conf_t **ret_conf, struct input *in, struct err *err)
{
	const char *folder = in->options.config->folder ? in->options.config->folder : ".";
	int r = kafka_client_conf(ret_conf, &in->settings->client, &consumer, err);
	if (r < 0)
		return r;
	r = kafka_conf_set(*ret_conf, "group.id", in->group, err);
	r = r ? r : kafka_conf_properties(*ret_conf, &in->settings->client, folder, err);
	if (r < 0)
		rd_kafka_conf_destroy(*ret_conf);
	return r;
}

static int subscribe(struct input *in, rd_kafka_t *rk, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)in->settings->topics.n);
	for (size_t i = 0; i < in->settings->topics.n; i++) {
		_free_ char *topic = mem_text(in->settings->topics.list[i]);
		rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
		if (in->embedded && *topic != '^')
			kafka_embedded_topic(topic, EMBEDDED_PARTITIONS);
	}
	rd_kafka_resp_err_t e = rd_kafka_subscribe(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return e ? err_set(err, "topics: %s", rd_kafka_err2str(e)) : 0;
}

static int start_client(struct input *in, struct err *err)
{
	char text[KAFKA_TEXT_ROOM];
	rd_kafka_conf_t *conf;
	int r = make_conf(&conf, in, err);
	if (r < 0)
		return r;
	rd_kafka_conf_set_opaque(conf, in);
	rd_kafka_conf_set_rebalance_cb(conf, consumer_on_rebalance);
	rd_kafka_conf_set_offset_commit_cb(conf, consumer_on_commit);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, log_librdkafka);
	watch_joins(in, conf);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return err_set(err, "%s", text);
	}
	(void)rd_kafka_poll_set_consumer(rk);
	r = subscribe(in, rk, err);
	if (r < 0) {
		kafka_client_end(rk);
		return r;
	}
	in->queue = rd_kafka_queue_get_consumer(rk);
	(void)pthread_mutex_lock(&in->mutex);
	in->rk = rk;
	(void)pthread_mutex_unlock(&in->mutex);
	return 0;
}

/* Leaves the group, so that the others need not wait for it to be missed. Bounded time. */
static void leave(struct input *in)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(in->rk);
	int64_t until = clock_steady_ms() + KAFKA_LEAVE_MS;
	(void)pthread_mutex_lock(&in->mutex);
	in->closing = true; /* no other thread asks it anything any more */
	(void)pthread_mutex_unlock(&in->mutex);
	if (in->rebalance.due)
		(void)rd_kafka_assign(in->rk, NULL);
	rd_kafka_error_t *error = rd_kafka_consumer_close_queue(in->rk, queue);
	if (error)
		rd_kafka_error_destroy(error);
	while (!error && !rd_kafka_consumer_closed(in->rk) && clock_steady_ms() < until) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_POLL_MS);
		if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
			in->assigned = in->assigned || rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
			(void)rd_kafka_assign(in->rk, NULL);
		}
		if (event)
			rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
}

static void end_client(struct input *in)
{
	rd_kafka_t *rk = in->rk;
	if (!rk)
		return;
	(void)consumer_commit_now(in, KAFKA_LAST_COMMIT_MS);
	leave(in);
	consumer_group_forget(in);
	(void)pthread_mutex_lock(&in->mutex);
	in->rk = NULL;
	in->closing = false;
	(void)pthread_mutex_unlock(&in->mutex);
	in->last_topic = NULL;
	rd_kafka_queue_destroy(in->queue);
	in->queue = NULL;
	if (in->assigned || !*in->met)
		kafka_client_end(rk);
}

/* ---- life ---- */

static void close_input(struct input *in)
{
	end_client(in);
	for (size_t i = 0; i < in->n_parts; i++) {
		free(in->parts[i]->topic);
		free(in->parts[i]);
	}
	free(in->parts);
	free(in->rows);
	free(in->group);
	consumer_taken_destroy(in->taken);
	(void)pthread_cond_destroy(&in->changed);
	(void)pthread_mutex_destroy(&in->mutex);
	if (in->embedded)
		kafka_embedded_release();
	free(in);
}

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	struct input *in = mem_zero(1, sizeof *in);
	pthread_condattr_t steady;
	in->options = *options;
	in->settings = options->input->own;
	in->group = in->settings->group ? mem_text(view_of(in->settings->group)) :
					  mem_textf("audit-router-%s", options->input->name);
	in->position = in->settled = options->position;
	in->taken = consumer_taken_create();
	(void)pthread_mutex_init(&in->mutex, NULL);
	(void)pthread_condattr_init(&steady);
	(void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&in->changed, &steady);
	(void)pthread_condattr_destroy(&steady);
	int r = 0;
	if (kafka_is_embedded(&in->settings->client)) {
		r = kafka_embedded_hold(err);
		in->embedded = r == 0;
	}
	r = r ? r : start_client(in, err);
	if (r < 0) {
		close_input(in);
		return r;
	}
	*ret_input = in;
	return 0;
}

static void stop(struct input *in)
{
	in->stopped = true;
	(void)pthread_mutex_lock(&in->mutex);
	(void)pthread_cond_signal(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
}

/* ---- the loop ---- */

/* Waits for one message, and takes what else there is: whole batches under load, no waiting for them otherwise. */
static size_t poll_messages(struct input *in, rd_kafka_message_t **messages)
{
	ssize_t n = rd_kafka_consume_batch_queue(in->queue, KAFKA_POLL_MS, messages, 1);
	if (n == 1 && !in->rebalance.due)
		n += rd_kafka_consume_batch_queue(in->queue, 0, messages + 1, KAFKA_BATCH_MESSAGES - 1);
	return n > 0 ? (size_t)n : 0;
}

static bool is_all_settled(struct input *in)
{
	(void)pthread_mutex_lock(&in->mutex);
	bool all = in->settled >= in->position;
	(void)pthread_mutex_unlock(&in->mutex);
	return all;
}

/*
 * What was fed is waited for: what is not settled when a client ends comes twice, or is in a transaction that cannot be committed any
 * more. Should messages come meanwhile, the client is of use after all (consumer_take). After a fatal error neither can happen.
 */
static bool is_restart_due(struct input *in)
{
	char text[KAFKA_TEXT_ROOM];
	int64_t now = clock_steady_ms();
	if (!in->restart || now < in->restart_ms)
		return false;
	return !in->rk || now >= in->restart_ms + KAFKA_SETTLE_MAX_MS || is_all_settled(in) ||
	       rd_kafka_fatal_error(in->rk, text, sizeof text);
}

static void restart_if_due(struct input *in)
{
	struct err err;
	if (!is_restart_due(in))
		return;
	if (in->rk)
		end_client(in);
	if (start_client(in, &err) < 0) {
		consumer_error(in, RD_KAFKA_RESP_ERR_NO_ERROR, err.text);
		in->restart_ms = clock_steady_ms() + KAFKA_RESTART_MS;
	} else {
		in->restart = false;
	}
}

/* --once: all of it is fed, or nothing moved for once_wait. */
static bool is_at_end(struct input *in)
{
	const struct config *c = in->options.config;
	if (!in->options.once)
		return false;
	bool empty = in->n_parts == 0;
	if (!empty && consumer_group_done(in))
		return true;
	if (clock_steady_ms() - in->progress_ms < c->once_wait_ms)
		return false;
	if (in->joined && empty && !*in->last_error)
		log_line(LOG_INFO, NULL, "input %s: the others of the group have all partitions", in->options.input->name);
	else
		feed_trouble(in->options.feed, "nothing came for %lld s%s%s: what is left stays in Kafka",
			(long long)(c->once_wait_ms / 1000), *in->last_error ? ", " : "", in->last_error);
	return true;
}

static void pause_(struct input *in)
{
	(void)consumer_wait_settled(in, NULL, KAFKA_POLL_MS);
}

/* How many are taken at once: a transaction cannot end in between, and must not take more than its memory for it. */
static size_t piece_of(const struct input *in, rd_kafka_message_t *const *messages, size_t n)
{
	size_t bytes = 0, i = 0;
	while (in->options.exactly_once && i < n && (i == 0 || bytes + messages[i]->len <= KAFKA_PIECE_BYTES))
		bytes += messages[i++]->len;
	return in->options.exactly_once ? i : n;
}

static void let_go(rd_kafka_message_t **messages, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rd_kafka_message_destroy(messages[i]);
}

static void run(struct input *in)
{
	rd_kafka_message_t *messages[KAFKA_BATCH_MESSAGES];
	bool goes_on = true;
	in->progress_ms = clock_steady_ms();
	while (goes_on && !in->stopped && !is_at_end(in)) {
		size_t n = in->rk ? poll_messages(in, messages) : 0;
		for (size_t at = 0, piece; goes_on && at < n; at += piece) {
			piece = piece_of(in, messages + at, n - at);
			goes_on = consumer_take(in, messages + at, piece);
			if (!goes_on)
				let_go(messages + at + piece, n - at - piece);
		}
		if (goes_on && in->rk)
			consumer_group_step(in);
		restart_if_due(in);
		if (!in->rk)
			pause_(in);
		consumer_commit_due(in);
	}
}

static void progress(const struct input *in, uint64_t *ret_done, uint64_t *ret_total)
{
	*ret_done = in->bytes;
	*ret_total = 0;
}

const struct input_ops input_kafka = {
	.name = "kafka",
	.help = "Topics of Kafka, as one of a consumer group: each message is an event or an EventList.",
	.settings = &settings,
	.open = open_input,
	.run = run,
	.stop = stop,
	.epochs = true,
	.settled = consumer_settled,
	.commit_point = consumer_point,
	.progress = progress,
	.close = close_input,
};
