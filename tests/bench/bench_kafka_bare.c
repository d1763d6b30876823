/*
 * bench_kafka_bare -- the reference of `./dev bench kafka`: what librdkafka alone does with the messages that the router makes
 * of a log.
 *
 * usage: bench_kafka_bare BROKERS TOPIC LOG PLAN [1|4]
 *
 * PLAN (of bench_plan) holds what the router decodes and classifies an event for. Sends the very messages of the router's
 * defaults: to TOPIC.CLASS, key auditID, headers class, rule, cluster and seq, the line as payload, not copied out of the
 * mapped file; idempotent, acks=all, lz4. One thread and one producer (or 4, one a topic, as the router has it). Topics are
 * made with one partition each.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/audit_class.h"
#include "router/base/clock.h"
#include "tests/bench/kafka_bare.h"
#include "tests/bench/plan.h"

enum { QUEUE_MESSAGES = 10000, TIMEOUT_MS = 30000, POLL_EVERY = 64, HEADERS = 4, NAME_ROOM = 512 };

static const char cluster[] = "bench"; /* as bench.py configures the router */

static uint64_t delivered, failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	if (m->err)
		failed++;
	else
		delivered++;
}

static void make_topics(rd_kafka_t *rk, const char *prefix)
{
	char text[512];
	rd_kafka_NewTopic_t *topics[AUDIT_CLASSES];
	for (int i = 0; i < AUDIT_CLASSES; i++) {
		(void)snprintf(text, sizeof text, "%s.%s", prefix, audit_class_lower((enum audit_class)i));
		topics[i] = rd_kafka_NewTopic_new(text, 1, 1, NULL, 0);
	}
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, topics, AUDIT_CLASSES, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	if (!event || rd_kafka_event_error(event)) {
		(void)fprintf(stderr, "topics: %s\n", event ? rd_kafka_event_error_string(event) : "no answer");
		exit(1);
	}
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy_array(topics, AUDIT_CLASSES);
}

/* ---- sending ---- */

static rd_kafka_headers_t *make_headers(const struct classifier *classifier, const struct planned *p, uint64_t seq)
{
	char number[24];
	rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS);
	(void)rd_kafka_header_add(headers, "class", 5, audit_class_name((enum audit_class)p->class_), -1);
	(void)rd_kafka_header_add(headers, "rule", 4, classifier_rule_id(classifier, p->rule), -1);
	(void)rd_kafka_header_add(headers, "cluster", 7, cluster, sizeof cluster - 1);
	(void)rd_kafka_header_add(headers, "seq", 3, number, snprintf(number, sizeof number, "%" PRIu64, seq));
	return headers;
}

/* Waits while the queue is full. */
static void send_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, const char *line, const struct planned *p,
	rd_kafka_headers_t *headers)
{
	rd_kafka_vu_t parts[] = {
		{ .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic },
		{ .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { (void *)line, p->len } },
		{ .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { (void *)(line + p->key_at), p->key_len } },
		{ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers },
	};
	rd_kafka_error_t *error;
	while ((error = rd_kafka_produceva(rk, parts, sizeof parts / sizeof *parts))) {
		bool full = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL;
		rd_kafka_error_destroy(error);
		if (!full) {
			rd_kafka_headers_destroy(headers);
			failed++;
			return;
		}
		(void)rd_kafka_poll(rk, 10);
	}
}

struct run {
	rd_kafka_t *producers[AUDIT_CLASSES];
	rd_kafka_topic_t *topics[AUDIT_CLASSES];
	uint64_t seq[AUDIT_CLASSES];
	int n_producers;
	struct classifier *classifier;
};

static void produce_all(struct run *r, const char *at, const struct planned *plan, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct planned *p = &plan[i];
		rd_kafka_headers_t *headers = make_headers(r->classifier, p, r->seq[p->class_]++);
		send_one(r->producers[p->class_ % (unsigned)r->n_producers], r->topics[p->class_], at, p, headers);
		if (i % POLL_EVERY == 0)
			for (int k = 0; k < r->n_producers; k++)
				(void)rd_kafka_poll(r->producers[k], 0);
		at += p->len + 1;
	}
	for (int i = 0; i < r->n_producers; i++)
		(void)rd_kafka_flush(r->producers[i], TIMEOUT_MS * 10);
}

int main(int argc, char **argv)
{
	struct run r = { .n_producers = argc == 6 && strcmp(argv[5], "4") == 0 ? AUDIT_CLASSES : 1 };
	char name[NAME_ROOM];
	size_t len, plan_len;
	if (argc < 5 || argc > 6) {
		(void)fputs("usage: bench_kafka_bare BROKERS TOPIC LOG PLAN [1|4]\n", stderr);
		return 2;
	}
	const char *bytes = plan_map(argv[3], &len);
	const struct planned *plan = plan_map(argv[4], &plan_len);
	size_t n = plan_len / sizeof *plan;
	r.classifier = plan_classifier();
	for (int i = 0; i < r.n_producers; i++)
		r.producers[i] = open_idempotent(argv[1], QUEUE_MESSAGES, on_delivery);
	make_topics(r.producers[0], argv[2]);
	for (int i = 0; i < AUDIT_CLASSES; i++) {
		(void)snprintf(name, sizeof name, "%s.%s", argv[2], audit_class_lower((enum audit_class)i));
		r.topics[i] = rd_kafka_topic_new(r.producers[i % r.n_producers], name, NULL);
	}
	int64_t start = clock_steady_ms();
	produce_all(&r, bytes, plan, n);
	double seconds = (double)(clock_steady_ms() - start) / 1000;
	for (int i = 0; i < AUDIT_CLASSES; i++)
		rd_kafka_topic_destroy(r.topics[i]);
	for (int i = 0; i < r.n_producers; i++)
		rd_kafka_destroy(r.producers[i]);
	classifier_close(r.classifier);
	(void)printf("{\"name\":\"kafka_bare\",\"producers\":%d,\"messages\":%zu,\"failed\":%" PRIu64
		     ",\"seconds\":%.3f,\"mb_per_s\":%.1f}\n",
		r.n_producers, n, failed, seconds, (double)len / 1e6 / seconds);
	return failed || delivered != n;
}
