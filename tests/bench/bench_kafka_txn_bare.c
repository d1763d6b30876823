/*
 * bench_kafka_txn_bare -- the reference of `./dev bench exactly-once`: the shortest loop that consumes a topic and produces what it
 * consumed, exactly once.
 *
 * usage: bench_kafka_txn_bare BROKERS RAW PREFIX COUNT
 *
 * COUNT messages of RAW, from its beginning and as a group of its own, go to PREFIX.CLASS, as their header `class` has it, with their
 * key and headers, in transactions of 5,000 that carry the group's offsets. One thread; payloads are not copied; lz4. It decides
 * nothing: who wrote RAW has classified it.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/audit_class.h"
#include "router/base/units.h"
#include "tests/bench/kafka_bare.h"

enum { TRANSACTION = 5000, TIMEOUT_MS = 30000, BATCH = 1000, QUEUE_MESSAGES = 10000, TEXT_ROOM = 512 };

static rd_kafka_topic_t *topics[AUDIT_CLASSES];
static rd_kafka_message_t *held[TRANSACTION];
static size_t n_held;

static void check(rd_kafka_error_t *e, const char *what)
{
	if (e)
		die(what, rd_kafka_error_string(e));
}

static rd_kafka_t *open_producer(const char *brokers, const char *id)
{
	rd_kafka_conf_t *conf = producer_conf(brokers, "5", QUEUE_MESSAGES);
	set(conf, "transactional.id", id);
	set(conf, "retry.backoff.ms", "20");
	return open_client(RD_KAFKA_PRODUCER, conf);
}

static void make_topics(rd_kafka_t *rk, const char *prefix)
{
	char text[TEXT_ROOM];
	rd_kafka_NewTopic_t *made[AUDIT_CLASSES];
	for (int i = 0; i < AUDIT_CLASSES; i++) {
		(void)snprintf(text, sizeof text, "%s.%s", prefix, audit_class_lower((enum audit_class)i));
		made[i] = rd_kafka_NewTopic_new(text, 1, 1, NULL, 0);
		topics[i] = rd_kafka_topic_new(rk, text, NULL);
	}
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, made, AUDIT_CLASSES, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	if (!event || rd_kafka_event_error(event))
		die("topics", event ? rd_kafka_event_error_string(event) : "no answer");
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy_array(made, AUDIT_CLASSES);
}

static void produce(rd_kafka_t *rk, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	enum audit_class class_;
	const void *value;
	size_t len;
	if (rd_kafka_message_headers(m, &headers) || rd_kafka_header_get_last(headers, "class", &value, &len) ||
		!audit_class_parse((struct view){ value, len }, &class_))
		die("message", "no header `class`");
	for (;;) {
		rd_kafka_resp_err_t e = rd_kafka_producev(rk, RD_KAFKA_V_RKT(topics[class_]), RD_KAFKA_V_VALUE(m->payload, m->len),
			RD_KAFKA_V_KEY(m->key, m->key_len), RD_KAFKA_V_HEADERS(rd_kafka_headers_copy(headers)), RD_KAFKA_V_END);
		if (!e)
			return;
		if (e != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("produce", rd_kafka_err2str(e));
		(void)rd_kafka_poll(rk, 1);
	}
}

static void commit(rd_kafka_t *producer, rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *offsets)
{
	rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
	check(rd_kafka_send_offsets_to_transaction(producer, offsets, group, -1), "offsets");
	rd_kafka_consumer_group_metadata_destroy(group);
	check(rd_kafka_commit_transaction(producer, -1), "commit");
	for (size_t i = 0; i < n_held; i++)
		rd_kafka_message_destroy(held[i]);
	n_held = 0;
}

static void note(rd_kafka_topic_partition_list_t *offsets, const rd_kafka_message_t *m)
{
	const char *topic = rd_kafka_topic_name(m->rkt);
	rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_find(offsets, topic, m->partition);
	if (!p)
		p = rd_kafka_topic_partition_list_add(offsets, topic, m->partition);
	p->offset = m->offset + 1;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		(void)fputs("usage: bench_kafka_txn_bare BROKERS RAW PREFIX COUNT\n", stderr);
		return 2;
	}
	int64_t left;
	if (!units_parse_number(view_of(argv[4]), &left))
		die(argv[4], "is no number");
	rd_kafka_t *producer = open_producer(argv[1], argv[3]), *consumer = open_consumer(argv[1], argv[2], argv[3]);
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);
	make_topics(producer, argv[3]);
	check(rd_kafka_init_transactions(producer, -1), "init");
	while (left > 0) {
		rd_kafka_message_t *messages[BATCH];
		size_t room = TRANSACTION - n_held < BATCH ? TRANSACTION - n_held : BATCH;
		ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, room);
		for (ssize_t i = 0; i < n; i++) {
			if (messages[i]->err) {
				rd_kafka_message_destroy(messages[i]);
				continue;
			}
			if (n_held == 0)
				check(rd_kafka_begin_transaction(producer), "begin");
			produce(producer, messages[i]);
			note(offsets, messages[i]);
			held[n_held++] = messages[i];
			left--;
		}
		(void)rd_kafka_poll(producer, 0);
		if (n_held == TRANSACTION || (left == 0 && n_held))
			commit(producer, consumer, offsets);
	}
	rd_kafka_topic_partition_list_destroy(offsets);
	rd_kafka_queue_destroy(queue);
	(void)rd_kafka_consumer_close(consumer);
	for (int i = 0; i < AUDIT_CLASSES; i++)
		rd_kafka_topic_destroy(topics[i]);
	rd_kafka_destroy(producer);
	rd_kafka_destroy(consumer);
	return 0;
}
