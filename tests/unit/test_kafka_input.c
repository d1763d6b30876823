/* The Kafka input against librdkafka's mock cluster. The test stands for the router: it says what is settled. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/input/input.h"
#include "router/input/kafka.h"
#include "router/kafka/embedded.h"
#include "router/lane/chunk.h"
#include "router/lane/commit_point.h"

enum { LIMIT_MS = 120000, PARTITIONS = 4 };

/* Writes down what it is given. */
struct feed {
	pthread_mutex_t mutex;
	struct buf text;   /* WHERE CLUSTER LINE, a line each */
	struct buf troubles;
	uint64_t end;
	uint64_t lines;
	struct buf held;   /* pointers to chunks that are kept, as a transaction does */
	int64_t fed_ms;
	bool holds;
};

static void write_down(struct feed *f, const struct feed_origin *origin, uint64_t number, struct view line)
{
	char where[300];
	origin->where(origin, number, where, sizeof where);
	buf_addf(&f->text, "%s %s %.*s\n", where, origin->cluster ? origin->cluster : "-", VIEW_ARGS(line));
	f->lines++;
}

int64_t feed_chunk(struct feed *f, struct chunk *chunk, struct view bytes, uint64_t end, const struct feed_origin *origin)
{
	int64_t n = 0;
	(void)pthread_mutex_lock(&f->mutex);
	assert_true(bytes.ptr == chunk->bytes && bytes.len == chunk->len);
	assert_int_equal(end, f->end + bytes.len);
	f->end = end;
	f->fed_ms = clock_steady_ms();
	if (f->holds) {
		(void)chunk_hold(chunk);
		buf_add(&f->held, &chunk, sizeof chunk);
	}
	for (const char *at = bytes.ptr, *stop = at + bytes.len; at < stop; n++) {
		const char *newline = memchr(at, '\n', (size_t)(stop - at));
		assert_non_null(newline);
		write_down(f, origin, origin->first_line + (uint64_t)n, (struct view){ at, (size_t)(newline - at) });
		at = newline + 1;
	}
	(void)pthread_mutex_unlock(&f->mutex);
	return n;
}

int feed_too_long(struct feed *f, struct view head, uint64_t bytes_total, uint64_t end, const struct feed_origin *origin)
{
	char text[64];
	(void)head;
	(void)pthread_mutex_lock(&f->mutex);
	assert_true(end > f->end);
	f->end = end;
	int n = snprintf(text, sizeof text, "<%" PRIu64 ">", bytes_total);
	write_down(f, origin, origin->first_line, (struct view){ text, (size_t)n });
	(void)pthread_mutex_unlock(&f->mutex);
	return 0;
}

int feed_gap(struct feed *f, const char *file, uint64_t bytes, const char *what, uint64_t end)
{
	(void)bytes;
	(void)pthread_mutex_lock(&f->mutex);
	assert_true(end > f->end);
	f->end = end;
	buf_addf(&f->text, "gap %s: %s\n", file, what);
	(void)pthread_mutex_unlock(&f->mutex);
	return 0;
}

uint64_t feed_broken(const struct feed *f)
{
	(void)f;
	return 0;
}

void feed_trouble(struct feed *f, const char *format, ...)
{
	va_list args;
	char text[2000];
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)pthread_mutex_lock(&f->mutex);
	buf_addf(&f->troubles, "%s\n", text);
	(void)pthread_mutex_unlock(&f->mutex);
}

/* ---- one router of a group ---- */

struct router {
	struct config config;
	struct config_input input_config;
	struct kafka_input_settings settings;
	struct view brokers, topics[1];
	struct text_pair pairs[4];
	struct budget *budget;
	struct feed feed;
	struct input *input;
	pthread_t thread;
	bool running, exactly_once;
};

extern const struct input_ops input_kafka;
static const struct input_ops *const ops = &input_kafka;

static void router_init(struct router *r, const char *topic)
{
	*r = (struct router){ .brokers = VIEW("embedded"), .config = { .max_event_bytes = 1000, .once_wait_ms = 120000 } };
	r->topics[0] = view_of(topic);
	r->pairs[0] = (struct text_pair){ .key = (char *)"fetch.wait.max.ms", .value = (char *)"10" };
	r->pairs[1] = (struct text_pair){ .key = (char *)"heartbeat.interval.ms", .value = (char *)"100" };
	r->settings = (struct kafka_input_settings){
		.client = { .brokers = { &r->brokers, 1 }, .properties = { r->pairs, 2 } },
		.topics = { r->topics, 1 },
		.group = (char *)topic,
		.revoke_wait_ms = 5000,
	};
	r->input_config = (struct config_input){ .name = (char *)"in", .ops = ops, .own = &r->settings };
	(void)pthread_mutex_init(&r->feed.mutex, NULL);
	assert_int_equal(budget_create(&r->budget, 1 << 20), 0);
}

static void *run(void *context)
{
	struct router *r = context;
	ops->run(r->input);
	return NULL;
}

static void router_open(struct router *r, bool once)
{
	struct err err;
	struct input_options options = {
		.config = &r->config,
		.input = &r->input_config,
		.budget = r->budget,
		.feed = &r->feed,
		.once = once,
		.exactly_once = r->exactly_once,
	};
	if (ops->open(&r->input, &options, &err) < 0)
		fail_msg("%s", err.text);
}

static void router_run(struct router *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
	r->running = true;
}

static void router_start(struct router *r, bool once)
{
	router_open(r, once);
	router_run(r);
}

static void router_join(struct router *r)
{
	if (r->running)
		(void)pthread_join(r->thread, NULL);
	r->running = false;
}

static void router_stop(struct router *r)
{
	ops->stop(r->input);
	router_join(r);
}

static void router_finish(struct router *r)
{
	if (r->running)
		router_stop(r);
	if (r->input)
		ops->close(r->input);
	budget_destroy(r->budget);
	buf_finish(&r->feed.held);
	buf_finish(&r->feed.text);
	buf_finish(&r->feed.troubles);
	(void)pthread_mutex_destroy(&r->feed.mutex);
}

static uint64_t router_lines(struct router *r)
{
	(void)pthread_mutex_lock(&r->feed.mutex);
	uint64_t n = r->feed.lines;
	(void)pthread_mutex_unlock(&r->feed.mutex);
	return n;
}

static uint64_t router_end(struct router *r)
{
	(void)pthread_mutex_lock(&r->feed.mutex);
	uint64_t end = r->feed.end;
	(void)pthread_mutex_unlock(&r->feed.mutex);
	return end;
}

static bool router_has(struct router *r, const char *text)
{
	(void)pthread_mutex_lock(&r->feed.mutex);
	bool has = strstr(buf_text(&r->feed.text), text) != NULL;
	(void)pthread_mutex_unlock(&r->feed.mutex);
	return has;
}

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000l };
	(void)nanosleep(&t, NULL);
}

#define WAIT_FOR(condition)                                                                     \
	do {                                                                                    \
		int64_t end_ = clock_steady_ms() + LIMIT_MS;                                    \
		while (!(condition) && clock_steady_ms() < end_)                                \
			pause_ms(5);                                                            \
		assert_true(condition);                                                         \
	} while (0)

/* A transaction ends if it can, once nothing more comes: what it kept is free. */
static void router_let_go(struct router *r)
{
	enum { QUIET_MS = 100 };
	struct commit_point point = { 0 };
	(void)pthread_mutex_lock(&r->feed.mutex);
	if (r->feed.held.len && clock_steady_ms() - r->feed.fed_ms > QUIET_MS && ops->commit_point(r->input, r->feed.end, r->feed.end, &point) == 0) {
		for (size_t i = 0; i < r->feed.held.len / sizeof(struct chunk *); i++)
			chunk_release(((struct chunk **)(void *)r->feed.held.ptr)[i]);
		r->feed.held.len = 0;
	}
	(void)pthread_mutex_unlock(&r->feed.mutex);
	commit_point_finish(&point);
}

/* ---- the other side ---- */

static rd_kafka_t *producer;
static int topics;
static char topic[32];

static int make_topic(void **state)
{
	(void)state;
	(void)snprintf(topic, sizeof topic, "in%d", ++topics);
	kafka_embedded_topic(topic, PARTITIONS);
	return 0;
}

static int begin(void **state)
{
	struct err err;
	char text[200];
	(void)state;
	assert_int_equal(kafka_embedded_hold(&err), 0);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", kafka_embedded_brokers(), text, sizeof text), 0);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	assert_non_null(producer);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rd_kafka_destroy(producer);
	kafka_embedded_release();
	return 0;
}

static void produce(int partition, const char *value, const char *cluster)
{
	rd_kafka_headers_t *headers = cluster ? rd_kafka_headers_new(1) : NULL;
	if (cluster)
		(void)rd_kafka_header_add(headers, "cluster", -1, cluster, -1);
	assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
				 RD_KAFKA_V_VALUE((void *)value, value ? strlen(value) : 0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
		0);
	assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), 0);
}

static void produce_many(int first, int n)
{
	char value[64];
	for (int i = first; i < first + n; i++) {
		(void)snprintf(value, sizeof value, "{\"n\":%d}", i);
		assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % PARTITIONS),
					 RD_KAFKA_V_VALUE(value, strlen(value)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
			0);
	}
	assert_int_equal(rd_kafka_flush(producer, LIMIT_MS), 0);
}

/* The group's offset of a partition; negative: none. */
static int64_t committed(int partition)
{
	char text[200];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	(void)rd_kafka_conf_set(conf, "bootstrap.servers", kafka_embedded_brokers(), text, sizeof text);
	(void)rd_kafka_conf_set(conf, "group.id", topic, text, sizeof text);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition);
	assert_int_equal(rd_kafka_committed(rk, list, LIMIT_MS), 0);
	int64_t offset = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
	return offset;
}

static int64_t committed_in_all(void)
{
	int64_t sum = 0;
	for (int i = 0; i < PARTITIONS; i++)
		sum += committed(i) < 0 ? 0 : committed(i);
	return sum;
}

/* ---- tests ---- */

static void messages_become_lines(void **state)
{
	struct router r;
	(void)state;
	char *large = mem_textf("{%01998d}", 0);
	produce(1, "{\"a\":1}", NULL);
	produce(1, "{\n  \"a\": 2\n}\n", NULL);
	produce(1, NULL, NULL); /* a tombstone */
	produce(1, "", NULL);
	produce(1, "no event", NULL);
	produce(1, large, NULL); /* too long: costs itself alone */
	produce(1, "{\"z\":5}", NULL);
	produce(2, "{\"n\":0}", "north");
	produce(2, "{\"n\":1}", "south");
	produce(2, "{\"n\":2}", NULL);
	produce(2, "{\"n\":3}", "north");
	produce(2, "{\"n\":4}", "no\nname");
	produce(2, "{\"n\":5}", "");
	router_init(&r, topic);
	router_start(&r, true);
	router_join(&r);
	static const char *const values[] = { "{\"a\":1}", "{\t  \"a\": 2\t}\t", NULL, NULL, "no event", "<2000>", "{\"z\":5}" };
	for (int i = 0; i < 7; i++) {
		char *line = mem_textf("%s/1:%d - %s\n", topic, i, values[i] ? values[i] : "");
		assert_int_equal(router_has(&r, line), values[i] != NULL);
		free(line);
	}
	static const char *const names[] = { "north", "south", "-", "north", "-", "-" };
	for (int i = 0; i < 6; i++) {
		char *line = mem_textf("%s/2:%d %s {\"n\":%d}\n", topic, i, names[i], i);
		assert_true(router_has(&r, line));
		free(line);
	}
	assert_int_equal(r.feed.lines, 11);
	assert_int_equal(r.input->empty, 2);
	assert_int_equal(r.feed.troubles.len, 0);
	free(large);
	ops->settled(r.input, r.feed.end);
	router_finish(&r);
	assert_int_equal(committed(1), 7);
	assert_int_equal(committed(2), 6);
}

static void clusters_come_from_topics(void **state)
{
	struct router r;
	(void)state;
	produce(0, "{\"n\":0}", "north");
	router_init(&r, topic);
	r.settings.cluster_from = CLUSTER_FROM_TOPIC;
	router_start(&r, true);
	router_join(&r);
	char *line = mem_textf("%s/0:0 %s {\"n\":0}\n", topic, topic);
	assert_true(router_has(&r, line));
	free(line);
	router_finish(&r);
}

static void only_what_is_settled_is_committed(void **state)
{
	struct router r;
	(void)state;
	produce_many(0, 40);
	router_init(&r, topic);
	router_start(&r, false);
	WAIT_FOR(router_lines(&r) == 40);
	uint64_t before = router_end(&r);
	assert_int_equal(committed_in_all(), 0);
	ops->settled(r.input, before);
	WAIT_FOR(committed_in_all() == 40);
	produce_many(40, 40);
	WAIT_FOR(router_lines(&r) == 80);
	ops->settled(r.input, before);

	/* A broker that is away is no end. */
	assert_int_equal(rd_kafka_mock_broker_set_down(kafka_embedded_cluster(), 1), 0);
	pause_ms(300);
	assert_int_equal(rd_kafka_mock_broker_set_up(kafka_embedded_cluster(), 1), 0);
	produce_many(80, 4);
	WAIT_FOR(router_lines(&r) == 84);
	router_stop(&r);
	router_finish(&r);
	assert_int_equal(committed_in_all(), 40);
}

/* All that is fed is held until a transaction can end: one that cannot must never need memory that it holds itself. */
static void what_a_transaction_holds_never_ends_within_a_piece(void **state)
{
	static const char *const clusters[] = { "a", "b", "c" };
	enum { MESSAGES = 100, BYTES = 40000 }; /* 5 MB are what the mock cluster keeps */
	struct router r;
	(void)state;
	for (int i = 0; i < MESSAGES; i++) {
		char *value = mem_textf("{\"n\":\"%0*d\"}", BYTES + i, i);
		produce(0, value, clusters[i % 3]);
		free(value);
	}
	router_init(&r, topic);
	r.config.max_event_bytes = 2 * BYTES;
	budget_destroy(r.budget);
	assert_int_equal(budget_create(&r.budget, KAFKA_PIECE_BYTES * 5 / 4), 0);
	r.feed.holds = r.exactly_once = true;
	router_start(&r, false);
	WAIT_FOR((router_let_go(&r), router_lines(&r) == MESSAGES && budget_used(r.budget) == 0));
	router_stop(&r);
	router_finish(&r);
}

static void what_comes_from_the_end_on(void **state)
{
	struct router r;
	(void)state;
	produce_many(0, 8);
	router_init(&r, topic);
	r.settings.from = FROM_END;
	router_start(&r, false);
	WAIT_FOR(committed_in_all() == 8); /* where it was */
	produce_many(8, 4);
	WAIT_FOR(router_lines(&r) == 4);
	assert_true(router_has(&r, "{\"n\":8}"));
	router_stop(&r);
	router_finish(&r);
}

/* Where the end cannot be asked for at first, it is asked again: it is committed before a message comes. */
static void the_end_is_asked_for_until_it_is_known(void **state)
{
	enum { LIST_OFFSETS = 2 };
	struct router r;
	(void)state;
	produce_many(0, 8);
	rd_kafka_mock_push_request_errors(kafka_embedded_cluster(), LIST_OFFSETS, 3, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	router_init(&r, topic);
	r.settings.from = FROM_END;
	router_start(&r, false);
	WAIT_FOR(committed_in_all() == 8);
	assert_string_equal(buf_text(&r.feed.text), "");
	produce_many(8, 4);
	WAIT_FOR(router_lines(&r) == 4);
	router_stop(&r);
	router_finish(&r);
	rd_kafka_mock_clear_request_errors(kafka_embedded_cluster(), LIST_OFFSETS);
}

/* An error asked for a new client, but something fed is not settled; then messages come: the old one was of use after all. */
static void a_new_client_waits_for_what_is_fed(void **state)
{
	struct router r;
	(void)state;
	produce_many(0, 8);
	router_init(&r, topic);
	router_open(&r, false);
	char *name = mem_text(view_of(rd_kafka_name(r.input->rk)));
	r.input->position = r.feed.end = 1;
	r.input->restart_ms = clock_steady_ms();
	r.input->restart = true;
	router_run(&r);
	WAIT_FOR(router_lines(&r) == 8);
	router_stop(&r);
	assert_false(r.input->restart);
	assert_string_equal(rd_kafka_name(r.input->rk), name);
	free(name);
	router_finish(&r);
}

/* librdkafka may not be asked to end a client whose first assignment is under way. */
static void a_stop_before_the_first_assignment_is_no_crash(void **state)
{
	enum { SYNC_GROUP = 14, SLOW_MS = 2000 };
	struct router r;
	(void)state;
	rd_kafka_mock_broker_push_request_error_rtts(kafka_embedded_cluster(), 1, SYNC_GROUP, 1, RD_KAFKA_RESP_ERR_NO_ERROR, SLOW_MS);
	router_init(&r, topic);
	router_start(&r, false);
	WAIT_FOR(*r.input->met);
	pause_ms(SLOW_MS / 4);
	router_finish(&r);
	rd_kafka_mock_clear_request_errors(kafka_embedded_cluster(), SYNC_GROUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(messages_become_lines, make_topic),
		cmocka_unit_test_setup(clusters_come_from_topics, make_topic),
		cmocka_unit_test_setup(only_what_is_settled_is_committed, make_topic),
		cmocka_unit_test_setup(what_a_transaction_holds_never_ends_within_a_piece, make_topic),
		cmocka_unit_test_setup(what_comes_from_the_end_on, make_topic),
		cmocka_unit_test_setup(the_end_is_asked_for_until_it_is_known, make_topic),
		cmocka_unit_test_setup(a_new_client_waits_for_what_is_fed, make_topic),
		cmocka_unit_test_setup(a_stop_before_the_first_assignment_is_no_crash, make_topic),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
