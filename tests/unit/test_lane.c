/* A lane with a sink of the test's own: what it takes, when, and in which order outcomes come is the test's to say. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/lane/batch.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/lane/lane.h"
#include "router/lane/ledger.h"
#include "router/output/output.h"

/* What the test tells its sink to do; read by the worker. */
static struct {
	_Atomic bool blocked;      /* takes nothing */
	_Atomic bool refuse;       /* refuses instead of delivering */
	_Atomic uint32_t at_once;  /* most records a put takes */
	_Atomic uint64_t taken;
	_Atomic uint64_t flushed;
	char order[4096];          /* first byte of each record, as delivered */
} play;

struct sink {
	int wake_fd;
};

static int open_sink(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	(void)err;
	*ret_sink = mem_zero(1, sizeof **ret_sink);
	(*ret_sink)->wake_fd = options->wake_fd;
	return 0;
}

static uint32_t put(struct sink *sink, struct batch *b, uint32_t first)
{
	uint32_t n = b->n - first;
	(void)sink;
	if (play.blocked)
		return 0;
	if (n > play.at_once)
		n = play.at_once;
	for (uint32_t i = first, end = first + n; i < end; i++) {
		play.order[play.taken % sizeof play.order] = b->records[i].bytes.ptr[0];
		play.taken++;
		if (play.refuse)
			batch_refused(b, i, "test", "refused by the test");
		else
			batch_delivered(b, i, 1);
	}
	return n;
}

static void flush_sink(struct sink *sink)
{
	(void)sink;
	play.flushed++;
}

static void wait_sink(struct sink *sink, int timeout_ms)
{
	output_wait_fd(sink->wake_fd, timeout_ms > 5 ? 5 : timeout_ms);
}

static void close_sink(struct sink *sink)
{
	free(sink);
}

static void describe(const struct config *c, const struct config_output *o, enum audit_class k, char *text, size_t room)
{
	(void)c, (void)o, (void)k;
	(void)snprintf(text, room, "test");
}

static const struct output_ops ops = {
	.name = "test",
	.describe = describe,
	.open = open_sink,
	.put = put,
	.flush = flush_sink,
	.wait = wait_sink,
	.close = close_sink,
};

struct rig {
	struct config config;
	struct config_output output;
	struct budget *budget;
	struct dead_letters *dead;
	struct ledger *ledger;
	struct lane *lane;
	char folder[64];
	char spool[80];
};

static void start(struct rig *r, uint64_t share)
{
	struct err err;
	struct lane_options options = {
		.config = &r->config,
		.output = &r->output,
		.class_ = ADMIN_READ,
		.share_bytes = share,
		.budget = r->budget,
		.dead_letters = r->dead,
		.spool_folder = r->output.common.spool_max ? r->spool : NULL,
	};
	assert_int_equal(lane_start(&r->lane, &options, &err), 0);
}

static void setup_spool(struct rig *r, uint64_t share, int guarantee, uint64_t spool_max)
{
	struct err err;
	memset(r, 0, sizeof *r);
	play.blocked = play.refuse = false;
	play.at_once = UINT32_MAX;
	play.taken = play.flushed = 0;
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/audit-router-lane-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->output = (struct config_output){ .name = (char *)"out", .ops = &ops };
	r->output.common.guarantee = guarantee;
	r->output.common.spool_max = spool_max;
	r->output.common.spool_after_ms = 10;
	(void)snprintf(r->spool, sizeof r->spool, "%s/spool", r->folder);
	assert_int_equal(budget_create(&r->budget, 1 << 20), 0);
	assert_int_equal(dead_letters_open(&r->dead, r->folder, "out", 1 << 20, &err), 0);
	assert_int_equal(ledger_create(&r->ledger, 1, NULL, NULL), 0);
	start(r, share);
}

static void setup(struct rig *r, uint64_t share, int guarantee)
{
	setup_spool(r, share, guarantee, 0);
}

static void teardown(struct rig *r)
{
	lane_stop(r->lane);
	lane_join(r->lane);
	ledger_destroy(r->ledger);
	dead_letters_close(r->dead);
	assert_int_equal(budget_used(r->budget), 0);
	budget_destroy(r->budget);
	char *command = mem_textf("rm -r %s", r->folder);
	assert_int_equal(system(command), 0);
	free(command);
}

/* A batch of records that each are one character of `text`, in a span of its own, with a chunk of 100 bytes behind it. */
static int push(struct rig *r, const char *text)
{
	uint64_t seq = 0;
	struct chunk *c;
	assert_int_equal(chunk_create(&c, r->budget, 100), 0);
	c->len = strlen(text);
	memcpy(c->bytes, text, c->len);
	struct batch *b = batch_create(r->budget, c);
	for (size_t i = 0; i < c->len; i++)
		batch_add(b)->bytes = (struct view){ c->bytes + i, 1 };
	b->bytes = c->len;
	struct span *s = ledger_open(r->ledger, &seq);
	b->span = s;
	b->input = "in";
	b->cluster = "";
	ledger_join(s, 0);
	chunk_release(c);
	uint64_t end = ledger_positions(r->ledger, NULL) + 1000;
	int result = lane_push(r->lane, b);
	ledger_commit(s, end, &seq);
	return result;
}

static void wait_until(bool (*done)(struct rig *), struct rig *r)
{
	for (int i = 0; i < 10000 && !done(r); i++)
		(void)poll(NULL, 0, 1);
	assert_true(done(r));
}

static bool is_idle(struct rig *r)
{
	return lane_idle(r->lane) && ledger_idle(r->ledger);
}

static bool is_flushed(struct rig *r)
{
	(void)r;
	return play.flushed > 0;
}

static void batches_arrive_in_order_whatever_the_sink_takes(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 1 << 20, AT_LEAST_ONCE);
	play.at_once = 3;
	assert_int_equal(push(&r, "abcdefgh"), 0);
	assert_int_equal(push(&r, "ijkl"), 0);
	assert_int_equal(push(&r, "m"), 0);
	wait_until(is_idle, &r);
	assert_memory_equal(play.order, "abcdefghijklm", 13);
	assert_int_equal(lane_counters(r.lane).delivered_events, 13);
	assert_int_equal(lane_counters(r.lane).delivered_bytes, 13);
	teardown(&r);
}

static void refused_records_go_to_the_dead_letters(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 1 << 20, AT_LEAST_ONCE);
	play.refuse = true;
	assert_int_equal(push(&r, "{{"), 0);
	wait_until(is_idle, &r);
	assert_int_equal(lane_counters(r.lane).dead_events, 2);
	assert_int_equal(dead_letters_count(r.dead), 2);
	teardown(&r);
}

static void *push_in_thread(void *context)
{
	return (void *)(intptr_t)push(context, "zz");
}

static void a_full_lane_makes_its_input_wait(void **state)
{
	struct rig r;
	pthread_t thread;
	void *result;
	(void)state;
	setup(&r, 150, AT_LEAST_ONCE);
	play.blocked = true;
	assert_int_equal(push(&r, "a"), 0); /* taken in hand by the worker, or first in the queue */
	assert_int_equal(push(&r, "b"), 0);
	assert_int_equal(pthread_create(&thread, NULL, push_in_thread, &r), 0);
	play.blocked = false;
	(void)pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	wait_until(is_idle, &r);
	assert_memory_equal(play.order, "abzz", 4);
	teardown(&r);
}

static void best_effort_drops_and_counts(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 150, BEST_EFFORT);
	play.blocked = true;
	for (int i = 0; i < 20; i++)
		assert_int_equal(push(&r, "abc"), 0);
	struct lane_counters c = lane_counters(r.lane);
	assert_true(c.dropped_events >= 17 * 3 && c.dropped_events <= 19 * 3);
	play.blocked = false;
	wait_until(is_idle, &r);
	c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 60);
	assert_int_equal(c.delivered_events + c.dropped_events, 60);
	assert_int_equal(lane_held(&c), 0);
	teardown(&r);
}

static void stopping_leaves_spans_open(void **state)
{
	struct rig r;
	struct ledger_lane position;
	(void)state;
	setup(&r, 150, AT_LEAST_ONCE);
	play.at_once = 1;
	assert_int_equal(push(&r, "a"), 0);
	wait_until(is_idle, &r);
	play.blocked = true;
	assert_int_equal(push(&r, "bc"), 0);
	lane_stop(r.lane);
	assert_int_equal(push(&r, "d"), -ESHUTDOWN);
	assert_false(lane_idle(r.lane));
	assert_int_equal(ledger_positions(r.ledger, &position), 1000);
	assert_int_equal(position.position, 1000);
	teardown(&r);
}

static void finish_flushes_once_the_queue_is_empty(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 1 << 20, AT_LEAST_ONCE);
	assert_int_equal(push(&r, "abc"), 0);
	wait_until(is_idle, &r);
	assert_int_equal(play.flushed, 0);
	lane_finish(r.lane);
	wait_until(is_flushed, &r);
	teardown(&r);
}

static bool is_settled(struct rig *r)
{
	return ledger_idle(r->ledger);
}

static void a_stalled_lane_spools_and_keeps_the_order(void **state)
{
	struct rig r;
	(void)state;
	setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	char text[] = "aA";
	for (int i = 0; i < 26; i++, text[0]++, text[1]++)
		assert_int_equal(push(&r, text), 0); /* far more than the queue takes: none waits for the sink */
	wait_until(is_settled, &r);
	assert_false(lane_idle(r.lane));
	struct lane_counters c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 52);
	assert_int_equal(lane_held(&c), 52);
	assert_true(c.spooled_events >= 48); /* a batch or two may be in hand */
	play.blocked = false;
	wait_until(is_idle, &r);
	assert_memory_equal(play.order, "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ", 52);
	c = lane_counters(r.lane);
	assert_int_equal(c.delivered_events, 52);
	assert_int_equal(c.spooled_events, 0);
	assert_int_equal(push(&r, "!"), 0); /* direct again */
	wait_until(is_idle, &r);
	assert_int_equal(play.order[52], '!');
	teardown(&r);
}

static void what_is_spooled_outlives_the_lane(void **state)
{
	struct rig r;
	(void)state;
	setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	assert_int_equal(push(&r, "ab"), 0);
	assert_int_equal(push(&r, "cd"), 0);
	wait_until(is_settled, &r);
	assert_int_equal(push(&r, "ef"), 0);
	lane_stop(r.lane); /* with something in hand, something spooled, something perhaps in the queue */
	lane_join(r.lane);
	assert_true(ledger_idle(r.ledger)); /* all of it is safe */
	play.blocked = false;
	start(&r, 150);
	wait_until(is_idle, &r);
	assert_int_equal(play.taken, 6);
	assert_memory_equal(play.order, "abcdef", 6);
	teardown(&r);
}

enum { MANY = 300 };

static void *push_many(void *context)
{
	for (int i = 0; i < MANY; i++)
		if (push(context, "xy") < 0)
			return NULL;
	return context;
}

static bool is_full(struct rig *r)
{
	char trouble[256];
	lane_trouble(r->lane, trouble, sizeof trouble);
	return strstr(trouble, "the spool takes no more") != NULL;
}

static void a_full_spool_makes_the_input_wait(void **state)
{
	struct rig r;
	pthread_t thread;
	void *result;
	(void)state;
	setup_spool(&r, 150, AT_LEAST_ONCE, 4096);
	play.blocked = true;
	assert_int_equal(pthread_create(&thread, NULL, push_many, &r), 0);
	wait_until(is_full, &r);
	assert_true(lane_counters(r.lane).received_events < 2 * MANY);
	play.blocked = false;
	(void)pthread_join(thread, &result);
	assert_non_null(result);
	wait_until(is_idle, &r);
	assert_int_equal(lane_counters(r.lane).delivered_events, 2 * MANY);
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_arrive_in_order_whatever_the_sink_takes),
		cmocka_unit_test(refused_records_go_to_the_dead_letters),
		cmocka_unit_test(a_full_lane_makes_its_input_wait),
		cmocka_unit_test(best_effort_drops_and_counts),
		cmocka_unit_test(stopping_leaves_spans_open),
		cmocka_unit_test(a_stalled_lane_spools_and_keeps_the_order),
		cmocka_unit_test(what_is_spooled_outlives_the_lane),
		cmocka_unit_test(a_full_spool_makes_the_input_wait),
		cmocka_unit_test(finish_flushes_once_the_queue_is_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
