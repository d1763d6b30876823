/* What a lane promises, with a sink that does what the test says. */
#include "tests/unit/lane_rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "router/base/clock.h"
#include "router/lane/progress.h"

enum { RUN = 7 };

static bool is_flushed(struct rig *r)
{
	(void)r;
	return play.flushed > 0;
}

static void batches_arrive_in_order_whatever_the_sink_takes(void **state)
{
	struct rig r;
	(void)state;
	rig_setup(&r, 1 << 20, AT_LEAST_ONCE);
	play.at_once = 3;
	assert_int_equal(rig_push(&r, "abcdefgh"), 0);
	assert_int_equal(rig_push(&r, "ijkl"), 0);
	assert_int_equal(rig_push(&r, "m"), 0);
	rig_wait(rig_idle, &r);
	assert_memory_equal(play.order, "abcdefghijklm", 13);
	assert_int_equal(lane_counters(r.lane).delivered_events, 13);
	assert_int_equal(lane_counters(r.lane).delivered_bytes, 13);
	rig_teardown(&r);
}

static void refused_records_go_to_the_dead_letters(void **state)
{
	struct rig r;
	(void)state;
	rig_setup(&r, 1 << 20, AT_LEAST_ONCE);
	play.refuse = true;
	assert_int_equal(rig_push(&r, "{{"), 0);
	rig_wait(rig_idle, &r);
	assert_int_equal(lane_counters(r.lane).dead_events, 2);
	assert_int_equal(dead_letters_count(r.dead), 2);
	rig_teardown(&r);
}

static void start_again(struct rig *r)
{
	lane_stop(r->lane);
	lane_join(r->lane);
	rig_start(r, 150);
}

static void *push_in_thread(void *context)
{
	return (void *)(intptr_t)rig_push(context, "zz");
}

static void a_full_lane_makes_its_input_wait(void **state)
{
	struct rig r;
	pthread_t thread;
	void *result;
	(void)state;
	rig_setup(&r, 150, AT_LEAST_ONCE);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "a"), 0); /* taken in hand by the worker, or first in the queue */
	assert_int_equal(rig_push(&r, "b"), 0);
	assert_int_equal(pthread_create(&thread, NULL, push_in_thread, &r), 0);
	play.blocked = false;
	(void)pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	rig_wait(rig_idle, &r);
	assert_memory_equal(play.order, "abzz", 4);
	rig_teardown(&r);
}

static void best_effort_drops_and_counts(void **state)
{
	struct rig r;
	(void)state;
	rig_setup(&r, 150, BEST_EFFORT);
	play.blocked = true;
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_push(&r, "abc"), 0);
	struct lane_counters c = lane_counters(r.lane);
	assert_true(c.dropped_events >= 17 * 3 && c.dropped_events <= 19 * 3);
	play.blocked = false;
	rig_wait(rig_idle, &r);
	c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 60);
	assert_int_equal(c.delivered_events + c.dropped_events, 60);
	assert_int_equal(lane_held(&c), 0);
	rig_teardown(&r);
}

static void stopping_leaves_spans_open(void **state)
{
	struct rig r;
	struct ledger_lane position;
	(void)state;
	rig_setup(&r, 150, AT_LEAST_ONCE);
	play.at_once = 1;
	assert_int_equal(rig_push(&r, "a"), 0);
	rig_wait(rig_idle, &r);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "bc"), 0);
	lane_stop(r.lane);
	assert_int_equal(rig_push(&r, "d"), -ESHUTDOWN);
	assert_false(lane_idle(r.lane));
	assert_int_equal(ledger_positions(r.ledger, &position), 1000);
	assert_int_equal(position.position, 1000);
	rig_teardown(&r);
}

static void finish_flushes_once_the_queue_is_empty(void **state)
{
	struct rig r;
	(void)state;
	rig_setup(&r, 1 << 20, AT_LEAST_ONCE);
	assert_int_equal(rig_push(&r, "abc"), 0);
	rig_wait(rig_idle, &r);
	assert_int_equal(play.flushed, 0);
	lane_finish(r.lane);
	rig_wait(is_flushed, &r);
	rig_teardown(&r);
}

static void a_stalled_lane_spools_and_keeps_the_order(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	char text[] = "aA";
	for (int i = 0; i < 26; i++, text[0]++, text[1]++)
		assert_int_equal(rig_push(&r, text), 0); /* far more than the queue takes: none waits for the sink */
	rig_wait(rig_settled, &r);
	assert_false(lane_idle(r.lane));
	struct lane_counters c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 52);
	assert_int_equal(lane_held(&c), 52);
	assert_true(c.spooled_events >= 48); /* a batch or two may be in hand */
	play.blocked = false;
	rig_wait(rig_idle, &r);
	assert_memory_equal(play.order, "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ", 52);
	c = lane_counters(r.lane);
	assert_int_equal(c.delivered_events, 52);
	assert_int_equal(c.spooled_events, 0);
	assert_int_equal(rig_push(&r, "!"), 0); /* direct again */
	rig_wait(rig_idle, &r);
	assert_int_equal(play.order[52], '!');
	rig_teardown(&r);
}

static bool all_taken(struct rig *r)
{
	(void)r;
	return play.taken == 1;
}

static bool looked_for_more(struct rig *r)
{
	static unsigned since;
	if (all_taken(r) && !since)
		since = play.waits;
	lane_wake(r->lane);
	return since && play.waits > since + 3;
}

/* A sink may yet have the last of the spool's events in hand when the lane finds no more there. */
static void a_lane_is_not_idle_before_the_last_of_its_spool_is_delivered(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "a"), 0);
	rig_wait(rig_settled, &r);
	start_again(&r); /* so that it is in the spool only */
	play.late = true;
	play.blocked = false;
	rig_wait(looked_for_more, &r);
	assert_false(lane_idle(r.lane));
	play.late = false;
	rig_wait(rig_idle, &r);
	assert_int_equal(lane_counters(r.lane).delivered_events, 1);
	rig_teardown(&r);
}

/* One that was just given to the spool by a lane whose sink stands still sleeps for a second; a push must wake it. */
static void a_push_behind_what_is_spooled_wakes_the_lane(void **state)
{
	int64_t fastest = INT64_MAX;
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig r;
		rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
		play.blocked = play.sleeps = true;
		assert_int_equal(rig_push(&r, "a"), 0);
		rig_wait(rig_settled, &r);
		const int64_t start = clock_steady_ms();
		assert_int_equal(rig_push(&r, "b"), 0);
		rig_wait(rig_settled, &r);
		const int64_t took = clock_steady_ms() - start;
		fastest = took < fastest ? took : fastest;
		rig_teardown(&r);
	}
	assert_in_range(fastest, 0, 500);
}

static void what_is_spooled_outlives_the_lane(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "ab"), 0);
	assert_int_equal(rig_push(&r, "cd"), 0);
	rig_wait(rig_settled, &r);
	assert_int_equal(rig_push(&r, "ef"), 0);
	lane_stop(r.lane); /* with something in hand, something spooled, something perhaps in the queue */
	lane_join(r.lane);
	assert_true(ledger_idle(r.ledger)); /* all of it is safe */
	play.blocked = false;
	rig_start(&r, 150);
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 6);
	assert_memory_equal(play.order, "abcdef", 6);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(play.numbers[i], 100 + i);
	rig_teardown(&r);
}

/* What a sink has taken may yet be lost by a power cut: the spool has it until main says that it is durable. */
static void what_was_delivered_and_not_synced_comes_again(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	r.main_away = true;
	play.blocked = true;
	assert_int_equal(rig_push(&r, "ab"), 0);
	assert_int_equal(rig_push(&r, "cd"), 0);
	rig_wait(rig_settled, &r);
	play.blocked = false;
	rig_wait(rig_idle, &r);
	start_again(&r);
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 8);
	assert_memory_equal(play.order, "abcdabcd", 8);
	assert_int_equal(lane_sync(r.lane), 0);
	start_again(&r);
	assert_int_equal(rig_push(&r, "!"), 0);
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 9);
	rig_teardown(&r);
}

/*
 * It takes a record every few milliseconds, so no event waits long and no input waits long at once; but all its inputs' time
 * is spent with waiting.
 */
static void a_slow_lane_holds_its_input_for_a_while_only(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	lane_stop(r.lane);
	lane_join(r.lane);
	r.output.common.spool_after_ms = 60000;
	rig_start(&r, 150);
	play.pause_ms = 5;
	play.at_once = 2; /* of what the spool gives together, too */
	enum { SLOW = 400, QUEUED = 8 };
	for (int i = 0; i < SLOW; i++)
		assert_int_equal(rig_push(&r, "xy"), 0);
	struct lane_counters c = lane_counters(r.lane);
	assert_true(lane_held(&c) > QUEUED); /* what the queue has room for, and the sink */
	assert_true(r.patience.spent_ms > 0);
	play.pause_ms = 0;
	play.at_once = UINT32_MAX;
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 2 * SLOW);
	rig_teardown(&r);
}

enum { MANY = 300 };

static void *push_many(void *context)
{
	for (int i = 0; i < MANY; i++)
		if (rig_push(context, "xy") < 0)
			return NULL;
	return context;
}

/* Nothing can be stored for a while: waking up all the time would be of no use. */
static bool sleeps_long(struct rig *r)
{
	(void)r;
	return play.wait_ms >= 100;
}

static void a_full_spool_makes_the_input_wait(void **state)
{
	struct rig r;
	pthread_t thread;
	void *result;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 4096);
	play.blocked = true;
	assert_int_equal(pthread_create(&thread, NULL, push_many, &r), 0);
	rig_wait(rig_full, &r);
	assert_true(lane_counters(r.lane).received_events < 2 * MANY);
	rig_wait(sleeps_long, &r);
	play.blocked = false;
	(void)pthread_join(thread, &result);
	assert_non_null(result);
	rig_wait(rig_idle, &r);
	assert_int_equal(lane_counters(r.lane).delivered_events, 2 * MANY);
	rig_teardown(&r);
}

static bool is_stopped(struct rig *r)
{
	(void)r;
	return play.stopped;
}

static void assert_told(const struct rig *r, uint64_t position, uint64_t seq)
{
	struct progress_point point;
	struct progress_past *past = progress_read(r->folder, RUN);
	assert_non_null(past);
	assert_true(progress_past_lane(past, "in", "out", &point));
	assert_int_equal(point.position, position);
	assert_int_equal(point.seq, seq);
	progress_past_free(past);
}

static struct progress *watch_progress(const struct rig *r)
{
	static const char *const in = "in", *const out = "out";
	struct progress_names names = { .inputs = &in, .n_inputs = 1, .lanes = &out, .n_lanes = 1, .n_slots = 1 };
	struct progress *progress;
	assert_int_equal(progress_create(&progress, r->folder, RUN, &names), 0);
	ledger_watch(r->ledger, progress, 0);
	return progress;
}

/* Of a line with two events (a wrapper) one is delivered: after kill -9 the line comes again, or the other would be lost. */
static void what_is_told_to_the_progress_ends_with_a_line(void **state)
{
	static const uint32_t ends[] = { 10, 20, 20, 30 };
	struct rig r;
	(void)state;
	rig_setup(&r, 1 << 20, AT_LEAST_ONCE);
	struct progress *progress = watch_progress(&r);
	r.ends = ends;
	play.at_once = 1;
	play.stop_at = 2;
	assert_int_equal(rig_push(&r, "abcd"), 0);
	rig_wait(is_stopped, &r);
	assert_told(&r, 10, 1);
	play.stop_at = 3;
	play.stopped = false;
	rig_wait(is_stopped, &r);
	assert_told(&r, 20, 3);
	play.stop_at = 0;
	rig_wait(rig_idle, &r);
	assert_told(&r, 1000, 0);
	rig_teardown(&r);
	progress_destroy(progress);
}

/* A spool that has room for a part of a batch: after kill -9 only the rest comes again. */
static void what_is_in_the_spool_is_told_before_all_of_its_batch_is(void **state)
{
	uint32_t ends[100];
	char text[sizeof ends / sizeof *ends + 1] = "";
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 4096);
	struct progress *progress = watch_progress(&r);
	for (uint32_t i = 0; i < sizeof text - 1; i++) {
		ends[i] = i + 1;
		text[i] = 'x';
	}
	r.ends = ends;
	play.blocked = true;
	assert_int_equal(rig_push(&r, "a"), 0);
	rig_wait(rig_settled, &r);
	assert_int_equal(rig_push(&r, text), 0);
	rig_wait(rig_full, &r);
	uint64_t spooled = lane_counters(r.lane).spooled_events;
	assert_in_range(spooled, 1, 99);
	assert_told(&r, 1000 + spooled, spooled);
	play.blocked = false;
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 101);
	rig_teardown(&r);
	progress_destroy(progress);
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
		cmocka_unit_test(a_lane_is_not_idle_before_the_last_of_its_spool_is_delivered),
		cmocka_unit_test(a_push_behind_what_is_spooled_wakes_the_lane),
		cmocka_unit_test(what_is_spooled_outlives_the_lane),
		cmocka_unit_test(what_was_delivered_and_not_synced_comes_again),
		cmocka_unit_test(a_slow_lane_holds_its_input_for_a_while_only),
		cmocka_unit_test(a_full_spool_makes_the_input_wait),
		cmocka_unit_test(finish_flushes_once_the_queue_is_empty),
		cmocka_unit_test(what_is_told_to_the_progress_ends_with_a_line),
		cmocka_unit_test(what_is_in_the_spool_is_told_before_all_of_its_batch_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
