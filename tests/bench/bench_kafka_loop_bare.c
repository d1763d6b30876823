/*
 * bench_kafka_loop_bare -- the reference of `./dev bench kafka-in`: what librdkafka alone does where the router reads one topic
 * and writes four.
 *
 * usage: bench_kafka_loop_bare BROKERS TOPIC PREFIX MESSAGES
 *
 * Takes MESSAGES messages of TOPIC as a consumer group, and sends each to PREFIX.CLASS with its own key, headers and payload.
 * The class stands in the header that the agent wrote, so that nothing is decoded. The payload is not copied: a message is let
 * go when it is delivered. One thread, one producer; idempotent, acks=all, lz4, as the router does. Offsets are committed at
 * the end alone.
 */
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/clock.h"
#include "router/base/units.h"
#include "tests/bench/kafka_bare.h"

enum { BATCH = 1000, TIMEOUT_MS = 60000, QUEUE_MESSAGES = 40000, NAME_ROOM = 256, CLASSES_MAX = 8 };

static uint64_t delivered, failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	rd_kafka_message_destroy(m->_private);
	if (m->err)
		failed++;
	else
		delivered++;
}

static void make_topic(rd_kafka_t *rk, const char *name)
{
	char text[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, 1, 1, text, sizeof text);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
}

/* The topic of the class in the message's header. */
static rd_kafka_topic_t *topic_of(rd_kafka_t *producer, const char *prefix, const rd_kafka_headers_t *headers)
{
	static struct {
		char name[NAME_ROOM];
		rd_kafka_topic_t *topic;
	} known[CLASSES_MAX];
	const void *value = "";
	size_t len = 0;
	char name[NAME_ROOM];
	(void)rd_kafka_header_get_last(headers, "class", &value, &len);
	for (size_t i = 0; i < CLASSES_MAX; i++) {
		if (known[i].topic && strlen(known[i].name) == len && memcmp(known[i].name, value, len) == 0)
			return known[i].topic;
		if (known[i].topic)
			continue;
		(void)snprintf(known[i].name, NAME_ROOM, "%.*s", (int)len, (const char *)value);
		(void)snprintf(name, sizeof name, "%.100s.%.100s", prefix, known[i].name);
		make_topic(producer, name);
		return known[i].topic = rd_kafka_topic_new(producer, name, NULL);
	}
	(void)fprintf(stderr, "the messages have no classes: an agent has to write them\n");
	exit(1);
}

static void forward(rd_kafka_t *producer, const char *prefix, rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	rd_kafka_resp_err_t e;
	if (m->err || rd_kafka_message_detach_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		(void)fprintf(stderr, "a message without headers: %s\n", rd_kafka_message_errstr(m));
		exit(1);
	}
	rd_kafka_topic_t *topic = topic_of(producer, prefix, headers);
	while ((e = rd_kafka_producev(producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_VALUE(m->payload, m->len),
			RD_KAFKA_V_KEY(m->key, m->key_len), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(m),
			RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		(void)rd_kafka_poll(producer, 10);
	if (e) {
		(void)fprintf(stderr, "%s\n", rd_kafka_err2str(e));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	rd_kafka_message_t *messages[BATCH];
	int64_t wanted, until;
	uint64_t taken = 0;
	if (argc != 5 || !units_parse_number(view_of(argv[4]), &wanted)) {
		(void)fprintf(stderr, "usage: bench_kafka_loop_bare BROKERS TOPIC PREFIX MESSAGES\n");
		return 2;
	}
	rd_kafka_t *producer = open_idempotent(argv[1], QUEUE_MESSAGES, on_delivery), *consumer = open_consumer(argv[1], argv[2], argv[3]);
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	until = clock_steady_ms() + TIMEOUT_MS;
	while (taken < (uint64_t)wanted && clock_steady_ms() < until) {
		ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, 1);
		if (n == 1)
			n += rd_kafka_consume_batch_queue(queue, 0, messages + 1, BATCH - 1);
		for (ssize_t i = 0; i < n; i++)
			forward(producer, argv[3], messages[i]);
		taken += n > 0 ? (uint64_t)n : 0;
		(void)rd_kafka_poll(producer, 0);
	}
	(void)rd_kafka_flush(producer, TIMEOUT_MS);
	(void)rd_kafka_commit(consumer, NULL, 0);
	rd_kafka_queue_destroy(queue);
	(void)rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	(void)printf("{\"taken\":%llu,\"delivered\":%llu}\n", (unsigned long long)taken, (unsigned long long)delivered);
	return failed || delivered != (uint64_t)wanted;
}
