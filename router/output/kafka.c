/*
 * kafka -- events to Kafka, one message each, the payload as it is. kafka_sink.h draws the parts.
 *
 * Loses nothing while brokers are away: messages have no time-out, librdkafka sends them again itself, and what it gives
 * up (a deleted topic, a withdrawn ACL, a fatal error of the idempotent producer) kafka_recover.c sends again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/base/units.h"
#include "router/lane/batch.h"
#include "router/kafka/embedded.h"
#include "router/output/kafka_settings.h"
#include "router/output/kafka_sink.h"
#include "router/output/output.h"

enum {
	REASON_ROOM = 128,
	ERROR_ROOM = 400,
	MESSAGE_OVERHEAD = 1024, /* room for key and headers in message.max.bytes */
};

/* ---- the producer ---- */

/* librdkafka's own words go to the log where someone asked for them; what matters of them comes as an error event. */
static void log_librdkafka(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level;
	log_line(LOG_DEBUG, NULL, "librdkafka: %s: %s", facility, text);
}

static const char *config_folder(const struct sink *s)
{
	return s->options.config && s->options.config->folder ? s->options.config->folder : ".";
}

/* What depends on the sink: how large sets of messages may be by now. */
static void finish_conf(struct sink *s, rd_kafka_conf_t *conf)
{
	char text[ERROR_ROOM], size[32];
	size_t room = sizeof size;
	if (s->batch_bytes) {
		(void)snprintf(size, sizeof size, "%lld", (long long)s->batch_bytes);
		(void)rd_kafka_conf_set(conf, "batch.size", size, text, sizeof text);
		if (s->single)
			(void)rd_kafka_conf_set(conf, "batch.num.messages", "1", text, sizeof text);
	} else {
		s->batch_bytes = KAFKA_BATCH_BYTES;
		int64_t configured;
		if (rd_kafka_conf_get(conf, "batch.size", size, &room) == RD_KAFKA_CONF_OK &&
			units_parse_number(view_of(size), &configured))
			s->batch_bytes = configured;
	}
	if (s->txn)
		(void)rd_kafka_conf_set(conf, "transactional.id", kafka_txn_id(s->txn), text, sizeof text);
	rd_kafka_conf_set_log_cb(conf, log_librdkafka);
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
}

uint64_t kafka_files(const struct sink *s)
{
	return kafka_client_files(&s->settings->client, config_folder(s));
}

int kafka_producer_start(struct sink *s, struct err *err)
{
	char text[ERROR_ROOM];
	uint64_t one = 1;
	rd_kafka_conf_t *conf;
	s->files = kafka_files(s); /* before they are read: what changes meanwhile is seen */
	int r = kafka_conf_make(&conf, s->settings, config_folder(s), err);
	if (r < 0)
		return r;
	finish_conf(s, conf);
	s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	if (!s->rk) {
		rd_kafka_conf_destroy(conf);
		return err_set(err, "%s", text);
	}
	s->queue = rd_kafka_queue_get_main(s->rk);
	rd_kafka_queue_io_event_enable(s->queue, s->options.wake_fd, &one, sizeof one);
	kafka_topics_producer(s->topics, s->rk, s->queue);
	return 0;
}

void kafka_producer_end(struct sink *s)
{
	if (!s->rk)
		return;
	kafka_topics_producer(s->topics, NULL, NULL);
	rd_kafka_queue_io_event_enable(s->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(s->queue);
	kafka_client_end(s->rk);
	s->rk = NULL;
	s->queue = NULL;
}

/* ---- the sink ---- */

/* Topics of all inputs that are known now, so that they exist before the first event; others come with their events. */
static void expect_topics(struct sink *s)
{
	const struct config *c = s->options.config;
	unsigned classes = s->txn && c ? config_output_classes(c, s->options.output) : 1u << s->options.class_;
	for (size_t i = 0; c && i < c->n_inputs; i++) {
		const char *own = c->inputs[i].cluster;
		for (enum audit_class k = 0; k < AUDIT_CLASSES; k++)
			if (classes & 1u << k)
				(void)kafka_topics_of(s->topics, k, own ? own : c->cluster, c->inputs[i].name);
	}
	(void)kafka_topics_ask(s->topics);
}

static void close_sink(struct sink *s)
{
	if (s->txn)
		kafka_txn_leave(s);
	if (s->rk)
		(void)rd_kafka_purge(s->rk,
			RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	kafka_producer_end(s);
	kafka_topics_destroy(s->topics);
	kafka_txn_destroy(s->txn);
	kafka_slots_destroy(s);
	if (kafka_is_embedded(&s->settings->client))
		kafka_embedded_release();
	free(s);
}

static int open_sink(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	struct sink *s = mem_zero(1, sizeof *s);
	s->options = *options;
	s->settings = options->output->own;
	s->chance = (unsigned)clock_now_us();
	(void)snprintf(s->log_fields, sizeof s->log_fields, s->settings->exactly_once ? "output=%s" : "output=%s class=%s",
		options->output->name, audit_class_name(options->class_));
	if (kafka_is_embedded(&s->settings->client)) {
		int r = kafka_embedded_hold(err);
		if (r < 0) {
			free(s);
			return r;
		}
	}
	s->topics = kafka_topics_create(s->settings, s->log_fields);
	if (s->settings->exactly_once)
		s->txn = kafka_txn_create(s);
	else
		kafka_slots_create(s, KAFKA_QUEUE_MESSAGES);
	int r = kafka_producer_start(s, err);
	if (r < 0) {
		close_sink(s);
		return r;
	}
	expect_topics(s);
	*ret_sink = s;
	return 0;
}

/* False: librdkafka has no room now. */
static bool put_one(struct sink *s, const struct kafka_topic *topic, struct batch *b, uint32_t index)
{
	char reason[REASON_ROOM];
	struct sent *sent = kafka_take(s, b, index);
	rd_kafka_resp_err_t e = kafka_send(s, topic, sent);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	const char *limit = kafka_limit_of(s, e);
	if (limit) {
		(void)snprintf(reason, sizeof reason, "%zu bytes are more than the producer's %s", b->records[index].bytes.len,
			limit);
		kafka_refuse(s, sent, "too_large", reason);
		return true;
	}
	if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
		kafka_untake(s, sent);
		return false;
	}
	kafka_failed(s, sent, e);
	return true;
}

static uint32_t put(struct sink *s, struct batch *b, uint32_t first)
{
	uint32_t n = b->n, i = first; /* the last outcome frees the batch */
	if (s->txn)
		return kafka_txn_put(s, b, first);
	struct kafka_topic *topic = kafka_topics_of(s->topics, s->options.class_, b->cluster, b->input);
	if (topic->state != TOPIC_READY) {
		if (!s->waiting_since_ms)
			s->waiting_since_ms = clock_steady_ms();
		return 0;
	}
	while (i < n && s->state == SINK_RUNS && kafka_has_room(s) && put_one(s, topic, b, i))
		i++;
	return i - first;
}

static void flush(struct sink *s)
{
	if (s->txn)
		kafka_txn_flush(s);
}

static void wait_(struct sink *s, int timeout_ms)
{
	if (s->txn) {
		kafka_txn_wait(s, timeout_ms);
		return;
	}
	bool stood = s->state != SINK_RUNS, served = kafka_serve(s);
	int own_ms = kafka_step(s);
	if (served || (stood && s->state == SINK_RUNS))
		return;
	output_wait_fd(s->options.wake_fd, own_ms >= 0 && own_ms < timeout_ms ? own_ms : timeout_ms);
	(void)kafka_serve(s);
	(void)kafka_step(s);
}

static bool exactly_once(const struct config_output *output)
{
	const struct kafka_settings *settings = output->own;
	return settings->exactly_once;
}

static int resume(struct sink *s, struct err *err)
{
	return s->txn ? kafka_txn_resume(s, err) : 0;
}

static enum record_key key(const struct config_output *output)
{
	const struct kafka_settings *settings = output->own;
	return (enum record_key)settings->key;
}

static void describe(const struct config *config, const struct config_output *output, enum audit_class class_,
	char *text, size_t room)
{
	const struct kafka_settings *settings = output->own;
	char name[KAFKA_TOPIC_ROOM];
	const char *cluster = config && config->cluster ? config->cluster : "";
	const char *input = config && config->n_inputs == 1 ? config->inputs[0].name : "INPUT";
	(void)kafka_topic_name(settings->topic, class_, cluster, input, name);
	(void)snprintf(text, room, "%s", name);
}

/* What a user set as message.max.bytes, less what key and headers take beside the event. */
static uint64_t max_event_bytes(const struct config_output *output)
{
	const struct kafka_settings *settings = output->own;
	for (size_t i = 0; i < settings->client.properties.n; i++) {
		int64_t bytes;
		const struct text_pair *pair = &settings->client.properties.list[i];
		if (strcmp(pair->key, "message.max.bytes") == 0 && units_parse_number(view_of(pair->value), &bytes) &&
			bytes > MESSAGE_OVERHEAD)
			return (uint64_t)bytes - MESSAGE_OVERHEAD;
	}
	return 0;
}

const struct output_ops output_kafka = {
	.name = "kafka",
	.help = "Sends each event as a Kafka message, byte for byte, to a topic of its class.",
	.settings = &kafka_section,
	.check = kafka_check,
	.key = key,
	.max_event_bytes = max_event_bytes,
	.exactly_once = exactly_once,
	.describe = describe,
	.open = open_sink,
	.resume = resume,
	.put = put,
	.flush = flush,
	.wait = wait_,
	.close = close_sink,
};
