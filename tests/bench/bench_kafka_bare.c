/*
 * bench_kafka_bare -- the reference of `./dev bench kafka`: what librdkafka alone does with the lines of a file.
 *
 * usage: bench_kafka_bare BROKERS TOPIC FILE [PRODUCERS]
 *
 * Each line is a message, in turn to TOPIC.0 to TOPIC.3 (made with one partition each), idempotent, acks=all, lz4, not copied
 * out of the mapped file, no key, no headers. One producer (or 4, one a topic, as the router has it) and one thread.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/base/clock.h"

enum { TOPICS = 4, QUEUE_MESSAGES = 10000, TIMEOUT_MS = 30000, POLL_EVERY = 64 };

static uint64_t delivered, failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk, (void)opaque;
	if (m->err)
		failed++;
	else
		delivered++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[256];
	if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
		(void)fprintf(stderr, "%s\n", text);
		exit(1);
	}
}

static rd_kafka_t *open_producer(const char *brokers)
{
	char text[256], messages[16];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	(void)snprintf(messages, sizeof messages, "%d", QUEUE_MESSAGES);
	set(conf, "bootstrap.servers", brokers);
	set(conf, "acks", "all");
	set(conf, "enable.idempotence", "true");
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", "10");
	set(conf, "message.timeout.ms", "0");
	set(conf, "message.max.bytes", "100000000");
	set(conf, "queue.buffering.max.messages", messages);
	set(conf, "socket.nagle.disable", "true");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	if (!rk) {
		(void)fprintf(stderr, "%s\n", text);
		exit(1);
	}
	return rk;
}

static void make_topics(rd_kafka_t *rk, const char *prefix)
{
	char text[512];
	rd_kafka_NewTopic_t *topics[TOPICS];
	for (int i = 0; i < TOPICS; i++) {
		(void)snprintf(text, sizeof text, "%s.%d", prefix, i);
		topics[i] = rd_kafka_NewTopic_new(text, 1, 1, NULL, 0);
	}
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_CreateTopics(rk, topics, TOPICS, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	if (!event || rd_kafka_event_error(event)) {
		(void)fprintf(stderr, "topics: %s\n", event ? rd_kafka_event_error_string(event) : "no answer");
		exit(1);
	}
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy_array(topics, TOPICS);
}

static const char *map(const char *path, size_t *ret_len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
		(void)fprintf(stderr, "%s cannot be read\n", path);
		exit(1);
	}
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (bytes == MAP_FAILED) {
		(void)fprintf(stderr, "%s cannot be mapped\n", path);
		exit(1);
	}
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static uint64_t produce_all(rd_kafka_t **producers, int n_producers, rd_kafka_topic_t **topics, const char *at,
	const char *end)
{
	uint64_t n = 0;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		unsigned t = (unsigned)(n % TOPICS);
		while (rd_kafka_produce(topics[t], RD_KAFKA_PARTITION_UA, 0, (void *)at, len, NULL, 0, NULL) < 0) {
			if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
				failed++;
				break;
			}
			(void)rd_kafka_poll(producers[t % (unsigned)n_producers], 10);
		}
		n++;
		if (n % POLL_EVERY == 0)
			for (int i = 0; i < n_producers; i++)
				(void)rd_kafka_poll(producers[i], 0);
		at += len + 1;
	}
	for (int i = 0; i < n_producers; i++)
		(void)rd_kafka_flush(producers[i], TIMEOUT_MS * 10);
	return n;
}

int main(int argc, char **argv)
{
	rd_kafka_t *producers[TOPICS];
	rd_kafka_topic_t *topics[TOPICS];
	char name[512];
	size_t len;
	int n_producers = argc == 5 && strcmp(argv[4], "4") == 0 ? TOPICS : 1;
	if (argc < 4 || argc > 5) {
		(void)fprintf(stderr, "usage: bench_kafka_bare BROKERS TOPIC FILE [1|4]\n");
		return 2;
	}
	const char *bytes = map(argv[3], &len);
	for (int i = 0; i < n_producers; i++)
		producers[i] = open_producer(argv[1]);
	make_topics(producers[0], argv[2]);
	for (int i = 0; i < TOPICS; i++) {
		(void)snprintf(name, sizeof name, "%s.%d", argv[2], i);
		topics[i] = rd_kafka_topic_new(producers[i % n_producers], name, NULL);
	}
	int64_t start = clock_steady_ms();
	uint64_t n = produce_all(producers, n_producers, topics, bytes, bytes + len);
	double seconds = (double)(clock_steady_ms() - start) / 1000;
	for (int i = 0; i < TOPICS; i++)
		rd_kafka_topic_destroy(topics[i]);
	for (int i = 0; i < n_producers; i++)
		rd_kafka_destroy(producers[i]);
	(void)printf("{\"name\":\"kafka_bare\",\"producers\":%d,\"messages\":%" PRIu64 ",\"failed\":%" PRIu64
		     ",\"seconds\":%.3f,\"mb_per_s\":%.1f}\n",
		n_producers, n, failed, seconds, (double)len / 1e6 / seconds);
	return failed || delivered != n;
}
