/*
 * The exactly-once Kafka output against librdkafka's mock cluster, which forgets what transactions commit: what a start reads of that is
 * tested with a real broker. The test stands for the lane and for the pipeline.
 */
#include "tests/unit/cm.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/kafka/embedded.h"
#include "router/lane/batch.h"
#include "router/lane/commit_point.h"
#include "router/output/kafka_settings.h"
#include "router/output/kafka_sink.h"
#include "router/output/kafka_txn_private.h"
#include "router/output/output.h"
#include "tests/unit/kafka_cluster.h"

enum { LIMIT_MS = 120000, SLOW_MS = 6000 /* more than a call may take */, PRODUCE = 0, ADD_PARTITIONS = 24, END_TXN = 26, TXN_OFFSET_COMMIT = 28 };

extern const struct output_ops output_kafka;
static const struct output_ops *const ops = &output_kafka;

struct place {
	struct kafka_settings settings;
	struct config config;
	struct config_input input;
	struct config_output output;
	struct commit_host host;
	struct sink_options options;
	struct view broker;
	struct sink *sink;

	/* what the host was told and says */
	char resumed[64];
	bool was_resumed, has_failed;
	unsigned points;       /* asked for */
	uint64_t last_point;   /* the last one given */
	uint64_t boundary;     /* no point before this position */
	int stale;             /* said instead of a point */
	uint64_t idle_position;
};

static int places;

static bool keeps_text(void *context, unsigned input)
{
	(void)context, (void)input;
	return true;
}

static void resumed(void *context, unsigned input, const char *text)
{
	struct place *p = context;
	assert_int_equal(input, 0);
	p->was_resumed = true;
	(void)snprintf(p->resumed, sizeof p->resumed, "%s", text ? text : "");
}

static bool may_wait(void *context)
{
	(void)context;
	return true;
}

static uint64_t position(void *context, unsigned input)
{
	(void)input;
	return ((struct place *)context)->idle_position;
}

static bool may_end(void *context, unsigned input, uint64_t at)
{
	const struct place *p = context;
	assert_int_equal(input, 0);
	return at >= p->boundary;
}

static int point(void *context, unsigned input, uint64_t at, unsigned shorter, struct commit_point *ret)
{
	struct place *p = context;
	assert_int_equal(input, 0);
	assert_int_equal(shorter, 0);
	p->points++;
	if (p->stale)
		return p->stale;
	if (at < p->boundary)
		return -ERANGE;
	p->last_point = ret->position = at;
	ret->text = mem_textf("at %llu", (unsigned long long)at);
	return 0;
}

static void failed(void *context, const char *why)
{
	(void)why;
	((struct place *)context)->has_failed = true;
}

static void place_open(struct place *p)
{
	struct err err = { 0 };
	*p = (struct place){ .broker = VIEW("embedded"), .input = { .name = (char *)"in" } };
	p->settings = (struct kafka_settings){
		.client = { .brokers = { &p->broker, 1 } },
		.topic = mem_textf("x%d.{class}", ++places),
		.key = KEY_AUDIT_ID,
		.partitions = 1,
		.replication = -1,
		.exactly_once = true,
		.transactional_id = mem_textf("id-%d", places),
		.transaction_events = 100,
		.transaction_wait_ms = 20,
	};
	p->config = (struct config){ .inputs = &p->input, .n_inputs = 1, .outputs = &p->output, .n_outputs = 1 };
	p->output = (struct config_output){ .name = (char *)"k", .ops = ops, .own = &p->settings };
	p->host = (struct commit_host){ p, 1, keeps_text, resumed, may_wait, position, may_end, point, failed };
	p->options = (struct sink_options){ .config = &p->config, .output = &p->output, .commits = &p->host,
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .open_bytes_max = 1 << 20 };
	assert_int_equal(ops->open(&p->sink, &p->options, &err), 0);
	int64_t until = clock_steady_ms() + LIMIT_MS;
	int r;
	while ((r = ops->resume(p->sink, &err)) == -EAGAIN)
		assert_true(clock_steady_ms() < until);
	assert_int_equal(r, 0);
	assert_true(p->was_resumed);
}

static void place_close(struct place *p)
{
	ops->close(p->sink);
	free(p->settings.topic);
	free(p->settings.transactional_id);
	(void)close(p->options.wake_fd);
}

static struct batch *make_batch(enum audit_class class_, uint32_t n, uint64_t end)
{
	struct batch *b = batch_create(NULL, NULL);
	b->input = "in";
	b->cluster = "";
	b->end = end;
	for (uint32_t i = 0; i < n; i++) {
		struct record *r = batch_add(b);
		r->bytes = VIEW("{\"auditID\":\"a\"}");
		r->key = VIEW("a");
		r->class_ = (uint8_t)class_;
		b->bytes += r->bytes.len;
	}
	b->open++; /* so that the last outcome does not free it */
	return b;
}

static void turn(struct place *p)
{
	uint64_t count;
	ops->wait(p->sink, 50);
	(void)!read(p->options.wake_fd, &count, sizeof count);
}

static void put(struct place *p, struct batch *b)
{
	int64_t until = clock_steady_ms() + LIMIT_MS;
	while (ops->put(p->sink, b, 0) == 0) {
		assert_true(clock_steady_ms() < until);
		turn(p);
	}
}

static void until_done(struct place *p, const struct batch *b)
{
	int64_t until = clock_steady_ms() + LIMIT_MS;
	while (b->open > 1) {
		assert_true(clock_steady_ms() < until);
		turn(p);
	}
}

static rd_kafka_mock_cluster_t *cluster(void)
{
	return kafka_embedded_cluster();
}

/* ---- tests ---- */

static void outcomes_come_with_the_commit(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	assert_string_equal(p.resumed, "");
	struct batch *a = make_batch(ADMIN_READ, 40, 100), *b = make_batch(DATA_WRITE, 40, 200), *c = make_batch(ADMIN_READ, 40, 300);
	put(&p, a);
	assert_int_equal(a->open, 41); /* produced, not committed */
	put(&p, b);
	put(&p, c);
	assert_int_equal(p.points, 0);
	until_done(&p, c);
	assert_true(a->open == 1 && b->open == 1);
	assert_int_equal(p.last_point, 300);
	assert_false(p.has_failed);
	place_close(&p);
	batch_free(a);
	batch_free(b);
	batch_free(c);
}

static void a_transaction_that_fails_is_done_again(void **state)
{
	static const struct {
		int16_t request;
		rd_kafka_resp_err_t error;
	} cases[] = {
		{ PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED },
		{ TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID },
		{ TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION },
		{ TXN_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS },
		{ END_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS },
	};
	struct place p;
	(void)state;
	place_open(&p);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct batch *first = make_batch(ADMIN_READ, 1, 10 * i + 5), *b = make_batch(ADMIN_READ, 30, 10 * i + 10);
		put(&p, first);
		until_done(&p, first);
		rd_kafka_mock_push_request_errors(cluster(), cases[i].request, 1, cases[i].error);
		put(&p, b);
		until_done(&p, b);
		assert_int_equal(p.last_point, 10 * i + 10);
		assert_false(p.has_failed);
		batch_free(first);
		batch_free(b);
	}
	place_close(&p);
}

static void until_failed(struct place *p)
{
	for (int64_t until = clock_steady_ms() + LIMIT_MS; !p->has_failed; turn(p))
		assert_true(clock_steady_ms() < until);
}

/* An ACL or a deleted topic: the broker takes no partition, and then knows of no transaction to abort. */
static void what_the_broker_never_began_is_done_again(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	for (uint64_t i = 0; i < 2; i++) {
		struct batch *b = make_batch(ADMIN_READ, 30, 10 * i + 10);
		rd_kafka_mock_push_request_errors(cluster(), ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
		rd_kafka_mock_push_request_errors(cluster(), END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
		put(&p, b);
		until_done(&p, b);
		assert_int_equal(p.last_point, 10 * i + 10);
		assert_false(p.has_failed);
		batch_free(b);
	}
	place_close(&p);
}

/* The same answer to a commit says nothing of what became of it. */
static void what_the_broker_does_not_commit_ends_it(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct batch *b = make_batch(ADMIN_READ, 30, 10);
	rd_kafka_mock_push_request_errors(cluster(), END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
	put(&p, b);
	until_failed(&p);
	assert_int_equal(b->open, 31);
	place_close(&p);
	batch_free(b);
}

static void who_is_fenced_ends_and_delivers_nothing(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct batch *b = make_batch(ADMIN_READ, 30, 10);
	rd_kafka_mock_push_request_errors(cluster(), END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
	put(&p, b);
	until_failed(&p);
	assert_int_equal(b->open, 31);
	struct batch *later = make_batch(ADMIN_READ, 1, 20);
	assert_int_equal(ops->put(p.sink, later, 0), 0);
	place_close(&p);
	batch_free(b);
	batch_free(later);
}

static void lost_partitions_end_it(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.stale = -ESTALE;
	struct batch *b = make_batch(ADMIN_READ, 3, 10);
	put(&p, b);
	until_failed(&p);
	assert_int_equal(b->open, 4);
	place_close(&p);
	batch_free(b);
}

static void it_takes_more_where_it_cannot_end(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.boundary = 30;
	struct batch *full = make_batch(ADMIN_READ, 120, 10), *more = make_batch(ADMIN_READ, 5, 20), *last = make_batch(DATA_READ, 5, 30);
	struct batch *next = make_batch(ADMIN_READ, 5, 40);
	put(&p, full);
	put(&p, more); /* though it was full */
	for (int i = 0; i < 5; i++)
		turn(&p);
	assert_int_equal(full->open, 121);
	assert_int_equal(p.points, 0);
	put(&p, last);
	assert_int_equal(ops->put(p.sink, next, 0), 0); /* and no more than it needs: of what streams in it would else take all */
	until_done(&p, last);
	assert_true(full->open == 1 && more->open == 1);
	assert_int_equal(p.last_point, 30);
	place_close(&p);
	batch_free(full);
	batch_free(more);
	batch_free(last);
	batch_free(next);
}

static void one_that_waits_is_asked_again(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.stale = -EAGAIN; /* the others are not as far */
	struct batch *b = make_batch(ADMIN_READ, 3, 10);
	put(&p, b);
	for (int64_t until = clock_steady_ms() + LIMIT_MS; p.points < 3; turn(&p))
		assert_true(clock_steady_ms() < until);
	assert_int_equal(b->open, 4);
	p.stale = 0;
	until_done(&p, b);
	place_close(&p);
	batch_free(b);
}

/* The broker refuses a whole set for its size: each record alone then, and what is well is delivered. */
static void the_too_large_are_looked_for(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct batch *first = make_batch(ADMIN_READ, 1, 5), *b = make_batch(ADMIN_READ, 10, 10);
	put(&p, first);
	until_done(&p, first);
	/* One set, and then one of those of a single record. */
	rd_kafka_mock_push_request_errors(cluster(), PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	put(&p, b);
	for (int64_t until = clock_steady_ms() + LIMIT_MS; !p.sink->single; turn(&p))
		assert_true(clock_steady_ms() < until);
	rd_kafka_mock_push_request_errors(cluster(), PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	until_done(&p, b);
	unsigned dead = 0, delivered = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		dead += b->records[i].outcome == RECORD_DEAD;
		delivered += b->records[i].outcome == RECORD_DELIVERED;
	}
	assert_int_equal(dead, 1);
	assert_int_equal(delivered, 9);
	struct batch *after = make_batch(ADMIN_READ, 3, 20);
	put(&p, after);
	until_done(&p, after);
	assert_int_equal(p.last_point, 20);
	place_close(&p);
	batch_free(first);
	batch_free(b);
	batch_free(after);
}

static void what_it_gets_nothing_of_moves_on_too(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	p.idle_position = 500;
	for (int64_t until = clock_steady_ms() + LIMIT_MS; p.last_point != 500; turn(&p))
		assert_true(clock_steady_ms() < until);
	unsigned points = p.points;
	for (int i = 0; i < 22; i++)
		turn(&p);
	assert_int_equal(p.points, points); /* once */
	place_close(&p);
}

/* The time-out of a call of librdkafka stands for a broker that is away: what became of the transaction nobody knows. */
static void what_may_be_committed_is_not_sent_again(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct batch *b = make_batch(ADMIN_READ, 3, 10);
	put(&p, b);
	p.sink->txn->unsure = true;
	rd_kafka_mock_push_request_errors(cluster(), TXN_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
	until_failed(&p);
	assert_int_equal(b->open, 4);
	place_close(&p);
	batch_free(b);
}

static void a_commit_without_an_answer_is_remembered(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct batch *first = make_batch(ADMIN_READ, 1, 5), *b = make_batch(ADMIN_READ, 3, 10);
	put(&p, first);
	until_done(&p, first);
	rd_kafka_mock_broker_push_request_error_rtts(cluster(), 1, END_TXN, 1, RD_KAFKA_RESP_ERR_NO_ERROR, SLOW_MS);
	put(&p, b);
	for (int64_t until = clock_steady_ms() + LIMIT_MS; !p.sink->txn->unsure; turn(&p))
		assert_true(clock_steady_ms() < until);
	until_done(&p, b);
	assert_false(p.sink->txn->unsure);
	assert_false(p.has_failed);
	place_close(&p);
	batch_free(first);
	batch_free(b);
}

int main(void)
{
	log_level_set(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_come_with_the_commit),
		cmocka_unit_test(a_transaction_that_fails_is_done_again),
		cmocka_unit_test(what_the_broker_never_began_is_done_again),
		cmocka_unit_test(what_the_broker_does_not_commit_ends_it),
		cmocka_unit_test(who_is_fenced_ends_and_delivers_nothing),
		cmocka_unit_test(lost_partitions_end_it),
		cmocka_unit_test(it_takes_more_where_it_cannot_end),
		cmocka_unit_test(one_that_waits_is_asked_again),
		cmocka_unit_test(the_too_large_are_looked_for),
		cmocka_unit_test(what_it_gets_nothing_of_moves_on_too),
		cmocka_unit_test(what_may_be_committed_is_not_sent_again),
		cmocka_unit_test(a_commit_without_an_answer_is_remembered),
	};
	return cmocka_run_group_tests(tests, hold_cluster, release_cluster);
}
