#include "tests/unit/cm.h"

#include "router/lane/ledger.h"

enum { LANES = 70 }; /* more than one word of bits */

static unsigned news_count;

static void news(void *context)
{
	(void)context;
	news_count++;
}

static struct ledger *open_ledger(void)
{
	struct ledger *l;
	news_count = 0;
	assert_int_equal(ledger_create(&l, LANES, news, NULL), 0);
	return l;
}

static void a_span_without_lanes_settles_at_commit(void **state)
{
	uint64_t seq[LANES] = { 0 };
	struct ledger *l = open_ledger();
	(void)state;
	struct span *s = ledger_open(l, seq);
	assert_false(ledger_idle(l));
	assert_int_equal(ledger_positions(l, NULL), 0);
	ledger_commit(s, 100, seq);
	assert_int_equal(ledger_positions(l, NULL), 100);
	assert_int_equal(news_count, 1);
	assert_true(ledger_idle(l));
	ledger_destroy(l);
}

static void settling_waits_for_the_oldest_span(void **state)
{
	uint64_t seq[LANES] = { 0 }, after_first[LANES] = { 0 }, after_second[LANES] = { 0 };
	struct ledger_lane lanes[LANES];
	struct ledger *l = open_ledger();
	(void)state;
	after_first[0] = after_second[0] = 3;
	after_first[69] = 2;
	after_second[69] = 7;

	struct span *first = ledger_open(l, seq);
	ledger_join(first, 0);
	ledger_join(first, 69);
	ledger_commit(first, 10, after_first);
	struct span *second = ledger_open(l, after_first);
	ledger_join(second, 69);
	ledger_commit(second, 25, after_second);

	ledger_close(second, 69);
	assert_int_equal(news_count, 0);
	assert_int_equal(ledger_positions(l, lanes), 0);
	assert_int_equal(lanes[69].position, 0); /* its part of the first span is open */
	assert_int_equal(lanes[69].seq, 0);
	assert_int_equal(lanes[5].position, 25); /* never had anything open */

	ledger_close(first, 69);
	assert_int_equal(ledger_positions(l, lanes), 0);
	assert_int_equal(lanes[69].position, 25); /* this lane is through, though lane 0 holds the input back */
	assert_int_equal(lanes[69].seq, 7);
	assert_int_equal(lanes[0].position, 0);

	ledger_close(first, 0);
	assert_int_equal(news_count, 1);
	assert_int_equal(ledger_positions(l, lanes), 25);
	assert_int_equal(lanes[0].position, 25);
	assert_int_equal(lanes[0].seq, 3);
	ledger_destroy(l);
}

static void an_uncommitted_span_is_open_for_every_lane(void **state)
{
	uint64_t seq[LANES] = { 0 };
	struct ledger_lane lanes[LANES];
	struct ledger *l = open_ledger();
	(void)state;
	ledger_start(l, 1000, seq);
	struct span *s = ledger_open(l, seq);
	ledger_join(s, 3);
	ledger_close(s, 3); /* acknowledged before the input has handed over the rest */
	assert_int_equal(ledger_positions(l, lanes), 1000);
	assert_int_equal(lanes[3].position, 1000);
	assert_int_equal(lanes[4].position, 1000);
	assert_int_equal(news_count, 0);
	ledger_commit(s, 1200, seq);
	assert_int_equal(ledger_positions(l, lanes), 1200);
	assert_int_equal(lanes[3].position, 1200);
	ledger_destroy(l);
}

static void open_spans_are_forgotten_at_destroy(void **state)
{
	uint64_t seq[LANES] = { 0 };
	struct ledger *l = open_ledger();
	(void)state;
	for (uint64_t i = 1; i <= 10; i++) {
		struct span *s = ledger_open(l, seq);
		ledger_join(s, 1);
		ledger_commit(s, i, seq);
	}
	ledger_destroy(l); /* the sanitizer sees what is not freed */
}

/* A thing of the first span is routed in the third: the first is not settled before the third is. */
static void what_is_held_keeps_its_span_open(void **state)
{
	uint64_t seq[LANES] = { 0 }, after[LANES] = { 0 };
	struct ledger_lane lanes[LANES];
	struct ledger *l = open_ledger();
	(void)state;
	after[5] = 1;
	struct span *first = ledger_open(l, seq);
	ledger_join(first, 5);
	ledger_hold(first);
	ledger_hold(first);
	ledger_commit(first, 10, after);
	ledger_close(first, 5);
	struct span *second = ledger_open(l, after);
	ledger_join(second, 6);
	ledger_commit(second, 20, after);
	ledger_close(second, 6);
	/* Nobody knows which lanes it will go to: all wait. */
	assert_int_equal(ledger_positions(l, lanes), 0);
	for (unsigned i = 0; i < LANES; i++)
		assert_int_equal(lanes[i].position, 0);
	assert_int_equal(lanes[5].seq, 0);

	struct span *third = ledger_open(l, after);
	ledger_join(third, 7);
	ledger_unhold(first, third);
	ledger_commit(third, 30, after);
	assert_int_equal(ledger_positions(l, lanes), 0);
	struct span *fourth = ledger_open(l, after);
	ledger_unhold(first, fourth);
	ledger_join(fourth, 8);
	ledger_commit(fourth, 40, after);
	/* It went to lanes 7 and 8: the others are done. */
	assert_int_equal(ledger_positions(l, lanes), 0);
	assert_int_equal(lanes[7].position, 0);
	assert_int_equal(lanes[8].position, 0);
	assert_int_equal(lanes[5].position, 40);
	assert_int_equal(lanes[5].seq, 1);
	ledger_close(fourth, 8);
	assert_int_equal(ledger_positions(l, lanes), 0);
	assert_int_equal(lanes[8].position, 40);
	assert_int_equal(lanes[7].position, 0);
	ledger_close(third, 7);
	assert_int_equal(ledger_positions(l, lanes), 40);
	assert_int_equal(lanes[7].position, 40);
	assert_true(ledger_idle(l));
	ledger_destroy(l);
}

/* A span with something held that was itself waited for, and one that holds and routes at once. */
static void what_is_held_may_follow_each_other(void **state)
{
	uint64_t seq[LANES] = { 0 };
	struct ledger *l = open_ledger();
	(void)state;
	struct span *first = ledger_open(l, seq);
	ledger_hold(first);
	ledger_hold(first);
	ledger_unhold(first, first);
	ledger_commit(first, 10, seq);
	struct span *second = ledger_open(l, seq);
	ledger_hold(second);
	ledger_unhold(first, second);
	ledger_commit(second, 20, seq);
	assert_int_equal(ledger_positions(l, NULL), 10); /* the first is done, the second holds */
	struct span *third = ledger_open(l, seq);
	ledger_unhold(second, third);
	ledger_join(third, 0);
	ledger_commit(third, 20, seq); /* takes nothing of the source */
	assert_int_equal(ledger_positions(l, NULL), 10);
	ledger_close(third, 0);
	assert_int_equal(ledger_positions(l, NULL), 20);
	assert_true(ledger_idle(l));
	ledger_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_without_lanes_settles_at_commit),
		cmocka_unit_test(settling_waits_for_the_oldest_span),
		cmocka_unit_test(an_uncommitted_span_is_open_for_every_lane),
		cmocka_unit_test(open_spans_are_forgotten_at_destroy),
		cmocka_unit_test(what_is_held_keeps_its_span_open),
		cmocka_unit_test(what_is_held_may_follow_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
