/* The Kafka output against librdkafka's mock cluster. The test stands for the lane. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/batch.h"
#include "router/kafka/embedded.h"
#include "router/lane/seq.h"
#include "router/output/kafka_settings.h"
#include "router/output/kafka_sink.h"
#include "router/output/kafka_topics.h"
#include "router/output/output.h"
#include "tests/unit/kafka_cluster.h"

enum { LIMIT_MS = 120000, EVENT_BYTES = 300 };

struct place {
	struct kafka_settings settings;
	struct config_output output;
	struct sink_options options;
	struct sink *sink;
	struct view broker;
	struct text_pair pairs[8];
	char topic[32]; /* of ADMIN_READ */
};

static int places; /* each has topics of its own, in the one cluster of all tests: ending it takes a second */

extern const struct output_ops output_kafka;
static const struct output_ops *const ops = &output_kafka;

static void place_init(struct place *p, const char *broker)
{
	*p = (struct place){ .broker = view_of(broker) };
	(void)snprintf(p->topic, sizeof p->topic, "t%d.admin_read", ++places);
	p->settings = (struct kafka_settings){
		.client = { .brokers = { &p->broker, 1 }, .properties = { p->pairs, 0 } },
		.topic = mem_textf("t%d.{class}", places),
		.key = KEY_AUDIT_ID,
		.partitions = -1,
		.replication = -1,
		.compression = 1,
	};
	p->output = (struct config_output){ .name = mem_text(VIEW("k")), .ops = ops, .own = &p->settings };
	p->options = (struct sink_options){
		.output = &p->output,
		.class_ = ADMIN_READ,
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.open_bytes_max = 1 << 20,
	};
}

static void place_set(struct place *p, const char *key, const char *value)
{
	struct text_pair *pair = &p->pairs[p->settings.client.properties.n++];
	*pair = (struct text_pair){ .key = mem_text(view_of(key)), .value = mem_text(view_of(value)) };
}

static void place_open(struct place *p)
{
	struct err err = { 0 };
	if (ops->open(&p->sink, &p->options, &err) != 0)
		fail_msg("%s", err.text);
}

static void place_finish(struct place *p)
{
	if (p->sink)
		ops->close(p->sink);
	for (size_t i = 0; i < p->settings.client.properties.n; i++) {
		free(p->pairs[i].key);
		free(p->pairs[i].value);
	}
	free(p->settings.topic);
	free(p->output.name);
	(void)close(p->options.wake_fd);
}

/* Events numbered from `first`. One more counts as open than there are, so that the last outcome does not free them. */
static struct batch *make_batch(uint32_t n, uint64_t first, size_t bytes)
{
	struct batch *b = batch_create(NULL, NULL);
	b->input = "in";
	b->cluster = "c-1";
	b->first_seq = first;
	for (uint32_t i = 0; i < n; i++) {
		char *text = batch_alloc(b, bytes + 64), *key = batch_alloc(b, 32);
		size_t len = (size_t)snprintf(text, 64, "{\"auditID\":\"%" PRIu64 "\",\"x\":\"", first + i);
		memset(text + len, 'x', bytes - len);
		memcpy(text + bytes - 2, "\"}", 2);
		size_t key_len = (size_t)snprintf(key, 32, "key-%" PRIu64, first + i);
		struct record *r = batch_add(b);
		r->bytes = (struct view){ text, bytes };
		r->key = (struct view){ key, key_len };
		r->class_ = ADMIN_READ;
		b->bytes += bytes;
	}
	b->open++;
	return b;
}

static void settle(struct place *p, int timeout_ms)
{
	uint64_t count;
	ops->wait(p->sink, timeout_ms);
	(void)!read(p->options.wake_fd, &count, sizeof count);
}

static void put_all(struct place *p, struct batch *b)
{
	int64_t end = clock_steady_ms() + LIMIT_MS;
	for (uint32_t first = 0; first < b->n && clock_steady_ms() < end;) {
		uint32_t taken = ops->put(p->sink, b, first);
		first += taken;
		if (!taken)
			settle(p, 100);
	}
}

static void wait_for(struct place *p, struct batch *b)
{
	int64_t end = clock_steady_ms() + LIMIT_MS;
	while (b->open > 1 && clock_steady_ms() < end)
		settle(p, 100);
	assert_int_equal(b->open, 1);
}

static struct batch *deliver(struct place *p, uint32_t n, size_t bytes)
{
	struct batch *b = make_batch(n, 0, bytes);
	put_all(p, b);
	wait_for(p, b);
	return b;
}

static size_t count_outcomes(const struct batch *b, enum record_outcome outcome)
{
	size_t n = 0;
	for (uint32_t i = 0; i < b->n; i++)
		n += b->records[i].outcome == outcome;
	return n;
}

static void assert_all_delivered(const struct batch *b)
{
	assert_int_equal(count_outcomes(b, RECORD_DELIVERED), b->n);
}

/* ---- a consumer of the mock cluster ---- */

static rd_kafka_t *reader_open(const char *topic, int partitions)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", kafka_embedded_brokers(), text, sizeof text), 0);
	assert_int_equal(rd_kafka_conf_set(conf, "group.id", "test", text, sizeof text), 0);
	assert_int_equal(rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", text, sizeof text), 0);
	assert_int_equal(rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof text), 0);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	assert_non_null(rk);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	for (int i = 0; i < partitions; i++)
		rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
	assert_int_equal(rd_kafka_assign(rk, list), 0);
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

static rd_kafka_message_t *reader_next(rd_kafka_t *rk)
{
	int64_t end = clock_steady_ms() + LIMIT_MS;
	while (clock_steady_ms() < end) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
		if (m && !m->err)
			return m;
		if (m)
			rd_kafka_message_destroy(m);
	}
	fail_msg("no message");
	return NULL;
}

static void reader_close(rd_kafka_t *rk)
{
	(void)rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

static void assert_header(const rd_kafka_message_t *m, const char *name, const char *value)
{
	rd_kafka_headers_t *headers;
	const void *found;
	size_t len;
	assert_int_equal(rd_kafka_message_headers(m, &headers), 0);
	assert_int_equal(rd_kafka_header_get_last(headers, name, &found, &len), 0);
	assert_int_equal(len, strlen(value));
	assert_memory_equal(found, value, len);
}

/* ---- tests ---- */

static void events_arrive_as_they_are(void **state)
{
	struct place p;
	enum { N = 500 };
	bool seen[N] = { false };
	char text[32];
	(void)state;
	place_init(&p, "embedded");
	place_open(&p);
	struct batch *b = deliver(&p, N, EVENT_BYTES);
	assert_all_delivered(b);
	rd_kafka_t *rk = reader_open(p.topic, KAFKA_EMBEDDED_PARTITIONS);
	for (int i = 0; i < N; i++) {
		rd_kafka_message_t *m = reader_next(rk);
		unsigned number;
		(void)snprintf(text, sizeof text, "%.*s", (int)m->key_len, (const char *)m->key);
		assert_int_equal(sscanf(text, "key-%u", &number), 1);
		assert_in_range(number, 0, N - 1);
		assert_false(seen[number]);
		seen[number] = true;
		assert_int_equal(m->len, b->records[number].bytes.len);
		assert_memory_equal(m->payload, b->records[number].bytes.ptr, m->len);
		assert_header(m, "class", "ADMIN_READ");
		assert_header(m, "cluster", "c-1");
		assert_header(m, "seq", text + 4);
		rd_kafka_message_destroy(m);
	}
	reader_close(rk);
	batch_free(b);
	place_finish(&p);
}

/* The topic's only partition holds the events 0 to n - 1, in that order. */
static void assert_in_order(const char *topic, int n)
{
	char number[32];
	rd_kafka_t *rk = reader_open(topic, 1);
	for (int i = 0; i < n; i++) {
		rd_kafka_message_t *m = reader_next(rk);
		(void)snprintf(number, sizeof number, "%d", i);
		assert_header(m, "seq", number);
		rd_kafka_message_destroy(m);
	}
	reader_close(rk);
}

/* Of an input whose numbers begin anew with each start. */
static void an_epoch_is_a_header_of_its_own(void **state)
{
	struct place p;
	(void)state;
	place_init(&p, "embedded");
	p.settings.partitions = 1;
	place_open(&p);
	struct batch *b = make_batch(2, seq_first(1795312574) + 6, EVENT_BYTES);
	put_all(&p, b);
	wait_for(&p, b);
	rd_kafka_t *rk = reader_open(p.topic, 1);
	for (int i = 0; i < 2; i++) {
		rd_kafka_message_t *m = reader_next(rk);
		assert_header(m, "epoch", "1795312574");
		assert_header(m, "seq", i ? "7" : "6");
		rd_kafka_message_destroy(m);
	}
	reader_close(rk);
	batch_free(b);
	place_finish(&p);
}

static void one_partition_keeps_the_order(void **state)
{
	struct place p;
	enum { N = 3000 };
	(void)state;
	place_init(&p, "embedded");
	p.settings.partitions = 1;
	place_open(&p);
	/* Errors on the way must not change it. */
	rd_kafka_mock_push_request_errors(kafka_embedded_cluster(), 0, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
	struct batch *b = deliver(&p, N, EVENT_BYTES);
	assert_all_delivered(b);
	assert_in_order(p.topic, N);
	batch_free(b);
	place_finish(&p);
}

/* What librdkafka gives up must come again, in order. */
static void failures_for_good_are_sent_again(void **state)
{
	static const rd_kafka_resp_err_t errors[] = {
		RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
	};
	(void)state;
	for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
		struct place p;
		enum { N = 200 };
		place_init(&p, "embedded");
		p.settings.partitions = 1;
		place_open(&p);
		rd_kafka_mock_push_request_errors(kafka_embedded_cluster(), 0, 2, errors[e], errors[e]);
		struct batch *b = deliver(&p, N, EVENT_BYTES);
		assert_all_delivered(b);
		assert_in_order(p.topic, N);
		batch_free(b);
		place_finish(&p);
	}
}

static void a_fatal_error_starts_a_new_producer(void **state)
{
	struct place p;
	(void)state;
	place_init(&p, "embedded");
	place_open(&p);
	struct batch *first = deliver(&p, 100, EVENT_BYTES);
	(void)rd_kafka_test_fatal_error(p.sink->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as tests have it");
	struct batch *second = deliver(&p, 100, EVENT_BYTES);
	assert_all_delivered(first);
	assert_all_delivered(second);
	batch_free(first);
	batch_free(second);
	place_finish(&p);
}

static void a_fatal_error_loses_nothing_under_way(void **state)
{
	struct place p;
	enum { N = 1000 };
	(void)state;
	place_init(&p, "embedded");
	place_open(&p);
	batch_free(deliver(&p, 1, EVENT_BYTES));
	rd_kafka_mock_broker_set_rtt(kafka_embedded_cluster(), 1, 200);
	struct batch *b = make_batch(N, 0, EVENT_BYTES);
	put_all(&p, b);
	settle(&p, 50);
	(void)rd_kafka_test_fatal_error(p.sink->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as tests have it");
	wait_for(&p, b);
	rd_kafka_mock_broker_set_rtt(kafka_embedded_cluster(), 1, 0);
	assert_all_delivered(b);
	batch_free(b);
	place_finish(&p);
}

static void a_broker_may_go_and_come(void **state)
{
	struct place p;
	enum { N = 300 };
	(void)state;
	place_init(&p, "embedded");
	place_open(&p);
	batch_free(deliver(&p, 1, EVENT_BYTES));
	rd_kafka_mock_broker_set_down(kafka_embedded_cluster(), 1);
	struct batch *b = make_batch(N, 0, EVENT_BYTES);
	put_all(&p, b);
	for (int i = 0; i < 13; i++)
		settle(&p, 100);
	assert_int_equal(b->open, N + 1);
	assert_true(p.sink->in_trouble);
	rd_kafka_mock_broker_set_up(kafka_embedded_cluster(), 1);
	wait_for(&p, b);
	assert_all_delivered(b);
	assert_false(p.sink->in_trouble);
	batch_free(b);
	place_finish(&p);
}

static void refuses_the_too_large_alone(const char *property, const char *value)
{
	struct place p;
	place_init(&p, "embedded");
	place_set(&p, property, value);
	place_open(&p);
	struct batch *b = make_batch(3, 0, EVENT_BYTES);
	char *large = batch_alloc(b, 5001);
	memset(large, ' ', 5001);
	b->records[1].bytes = (struct view){ large, 5001 };
	put_all(&p, b);
	wait_for(&p, b);
	assert_int_equal(b->records[0].outcome, RECORD_DELIVERED);
	assert_int_equal(b->records[1].outcome, RECORD_DEAD);
	assert_int_equal(b->records[2].outcome, RECORD_DELIVERED);
	batch_free(b);
	place_finish(&p);
}

/* Larger than the client allows: at once. */
static void the_too_large_are_refused_alone(void **state)
{
	(void)state;
	refuses_the_too_large_alone("message.max.bytes", "5000");
}

/* Larger than all of the client's queue: once that is empty, since it would never have room. */
static void the_larger_than_the_queue_are_refused_alone(void **state)
{
	(void)state;
	refuses_the_too_large_alone("queue.buffering.max.kbytes", "4");
}

/* The broker refuses a set for one of its messages: the others must not go to the dead letters with it. */
static void a_refused_set_is_sent_again_in_sets_of_one(void **state)
{
	struct place p;
	enum { N = 20 };
	(void)state;
	place_init(&p, "embedded");
	p.settings.partitions = 1;
	place_open(&p);
	batch_free(deliver(&p, 1, EVENT_BYTES));
	rd_kafka_mock_push_request_errors(kafka_embedded_cluster(), 0, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	struct batch *b = deliver(&p, N, EVENT_BYTES);
	assert_all_delivered(b);
	assert_int_equal(p.sink->batch_bytes, KAFKA_BATCH_BYTES / 2);
	batch_free(b);
	/* The first of these is refused twice: with the others and alone. */
	rd_kafka_mock_push_request_errors(kafka_embedded_cluster(), 0, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
		RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	b = deliver(&p, N, EVENT_BYTES);
	assert_int_equal(b->records[0].outcome, RECORD_DEAD);
	assert_int_equal(count_outcomes(b, RECORD_DELIVERED), N - 1);
	batch_free(b);
	place_finish(&p);
}

/* A sink takes no more than its share, and one event always. */
static void what_is_open_is_bounded(void **state)
{
	struct place p;
	enum { N = 20000 };
	(void)state;
	place_init(&p, "embedded");
	p.options.open_bytes_max = 100 * EVENT_BYTES;
	place_open(&p);
	batch_free(deliver(&p, 1, EVENT_BYTES));
	rd_kafka_mock_broker_set_down(kafka_embedded_cluster(), 1);
	struct batch *b = make_batch(N, 0, EVENT_BYTES);
	uint32_t taken = ops->put(p.sink, b, 0);
	assert_in_range(taken, 100, 101);
	assert_int_equal(ops->put(p.sink, b, taken), 0);
	ops->close(p.sink);
	p.options.open_bytes_max = UINT64_MAX;
	place_open(&p);
	for (int i = 0; i < 20 && !(taken = ops->put(p.sink, b, 0)); i++)
		settle(&p, 10);
	assert_int_equal(taken, KAFKA_QUEUE_MESSAGES);
	rd_kafka_mock_broker_set_up(kafka_embedded_cluster(), 1);
	batch_free(b);
	place_finish(&p);
}

static void closing_takes_no_time_and_leaves_records_open(void **state)
{
	struct place p;
	enum { N = 1000 };
	(void)state;
	place_init(&p, "127.0.0.1:1");
	place_open(&p);
	struct batch *b = make_batch(N, 0, EVENT_BYTES);
	for (int64_t until = clock_steady_ms() + LIMIT_MS; !p.sink->in_trouble && clock_steady_ms() < until;) {
		assert_int_equal(ops->put(p.sink, b, 0), 0);
		settle(&p, 100);
	}
	assert_true(p.sink->in_trouble);
	assert_non_null(strstr(p.sink->last_error_text, "refused"));
	ops->close(p.sink);
	/* And with messages in the producer. */
	p.broker = VIEW("embedded");
	place_open(&p);
	batch_free(deliver(&p, 1, EVENT_BYTES));
	rd_kafka_mock_broker_set_down(kafka_embedded_cluster(), 1);
	assert_int_equal(ops->put(p.sink, b, 0), N);
	settle(&p, 100);
	int64_t start = clock_steady_ms();
	ops->close(p.sink);
	assert_in_range(clock_steady_ms() - start, 0, LIMIT_MS / 2); /* it would try again without end */
	p.sink = NULL;
	rd_kafka_mock_broker_set_up(kafka_embedded_cluster(), 1);
	assert_int_equal(b->open, N + 1);
	batch_free(b);
	place_finish(&p);
}

static void names_of_topics_are_legal(void **state)
{
	char name[KAFKA_TOPIC_ROOM], longest[300];
	(void)state;
	assert_true(kafka_topic_name("audit.{class}", ADMIN_ACTIVITY, "", "", name));
	assert_string_equal(name, "audit.admin_activity");
	assert_true(kafka_topic_name("{cluster}_{input}-{class}", DATA_READ, "prod/eu 1", "a", name));
	assert_string_equal(name, "prod-eu-1_a-data_read");
	static const char *const odd[][2] = { { ".", "-" }, { "..", "--" }, { "...", "..." }, { "", "unknown" } };
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		assert_true(kafka_topic_name("{cluster}", DATA_READ, odd[i][0], "", name));
		assert_string_equal(name, odd[i][1]);
	}
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	assert_false(kafka_topic_name("{cluster}", DATA_READ, longest, "", name));
	assert_int_equal(strlen(name), KAFKA_TOPIC_ROOM - 1);
}

/* Clusters come from headers: whoever sends may name another one each time. */
static void hostile_clusters_make_no_endless_topics(void **state)
{
	struct kafka_settings settings = { .topic = (char *)"audit.{class}.{cluster}" };
	struct kafka_topics *t = kafka_topics_create(&settings, "");
	struct kafka_topic *first = kafka_topics_of(t, ADMIN_READ, "c0", "in"), *last = NULL;
	(void)state;
	for (int i = 0; i < 1100; i++) {
		char cluster[16];
		(void)snprintf(cluster, sizeof cluster, "c%d", i);
		last = kafka_topics_of(t, ADMIN_READ, cluster, "in");
	}
	assert_string_equal(last->name, "audit.admin_read.other-clusters");
	assert_ptr_equal(kafka_topics_of(t, ADMIN_READ, "yet another", "in"), last);
	assert_ptr_equal(kafka_topics_of(t, ADMIN_READ, "c0", "in"), first);
	assert_string_equal(kafka_topics_of(t, DATA_READ, "x", "in")->name, "audit.data_read.other-clusters");
	kafka_topics_destroy(t);
	settings.topic = (char *)"audit.{class}";
	t = kafka_topics_create(&settings, "");
	first = kafka_topics_of(t, ADMIN_READ, "a", "in");
	assert_ptr_equal(kafka_topics_of(t, ADMIN_READ, "b", "on"), first);
	kafka_topics_destroy(t);
}

int main(void)
{
	log_level_set(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_topics_are_legal),
		cmocka_unit_test(hostile_clusters_make_no_endless_topics),
		cmocka_unit_test(events_arrive_as_they_are),
		cmocka_unit_test(one_partition_keeps_the_order),
		cmocka_unit_test(an_epoch_is_a_header_of_its_own),
		cmocka_unit_test(failures_for_good_are_sent_again),
		cmocka_unit_test(a_fatal_error_starts_a_new_producer),
		cmocka_unit_test(a_fatal_error_loses_nothing_under_way),
		cmocka_unit_test(a_broker_may_go_and_come),
		cmocka_unit_test(the_too_large_are_refused_alone),
		cmocka_unit_test(the_larger_than_the_queue_are_refused_alone),
		cmocka_unit_test(a_refused_set_is_sent_again_in_sets_of_one),
		cmocka_unit_test(what_is_open_is_bounded),
		cmocka_unit_test(closing_takes_no_time_and_leaves_records_open),
	};
	return cmocka_run_group_tests(tests, hold_cluster, release_cluster);
}
