/* A lane whose spool or dead letters fail it: nothing is lost, nothing comes twice, and it gets on. */
#include "tests/unit/lane_rig.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "router/lane/chunk.h"

static const char hundred[] = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~abcdef";

static void stop_lane(struct rig *r)
{
	lane_stop(r->lane);
	lane_join(r->lane);
}

static void dead_letters_of(struct rig *r, uint64_t bytes_max)
{
	struct err err;
	dead_letters_close(r->dead);
	assert_int_equal(dead_letters_open(&r->dead, r->folder, "out", bytes_max, &err), 0);
}

static void a_refused_record_without_room_for_it_is_spooled(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	stop_lane(&r);
	dead_letters_of(&r, 1);
	r.output.common.spool_after_ms = 1000; /* time enough to be refused before it is spooled */
	rig_start(&r, 150);
	play.refuse = true;
	assert_int_equal(rig_push(&r, "{["), 0);
	assert_int_equal(rig_push(&r, "("), 0);
	rig_wait(rig_settled, &r);
	assert_int_equal(dead_letters_count(r.dead), 0);
	stop_lane(&r);
	dead_letters_of(&r, 1 << 20);
	play.taken = 0;
	rig_start(&r, 150);
	rig_wait(rig_idle, &r);
	assert_int_equal(dead_letters_count(r.dead), 3);
	assert_memory_equal(play.order, "{[(", 3);
	rig_teardown(&r);
}

static void assert_letter(struct rig *r, const char *event)
{
	char text[4096] = "";
	FILE *f = fopen(dead_letters_path(r->dead), "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	(void)fclose(f);
	text[n] = 0;
	assert_non_null(strstr(text, "\"too_large\""));
	assert_non_null(strstr(text, event));
}

static void misfits_are_buried_by_the_lane(void **state)
{
	struct rig r;
	(void)state;
	rig_setup(&r, 1 << 20, AT_LEAST_ONCE);
	assert_int_equal(rig_push_misfit(&r, "ab", "{\"x\":1}"), 0);
	assert_int_equal(rig_push_misfit(&r, "", "{\"x\":2}"), 0); /* nothing for the sink */
	assert_int_equal(rig_push(&r, "cd"), 0);
	rig_wait(rig_idle, &r);
	assert_memory_equal(play.order, "abcd", 4);
	assert_int_equal(play.taken, 4);
	assert_int_equal(dead_letters_count(r.dead), 2);
	assert_letter(&r, "\"event\":{\"x\":2}");
	struct lane_counters c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 6);
	assert_int_equal(c.dead_events, 2);
	assert_int_equal(c.dead_bytes, 14);
	assert_int_equal(c.delivered_events, 4);
	assert_int_equal(lane_held(&c), 0);
	rig_teardown(&r);
}

static bool dead_is_full(struct rig *r)
{
	char trouble[256];
	lane_trouble(r->lane, trouble, sizeof trouble);
	return strstr(trouble, "dead letters are full") != NULL;
}

static bool dead_is_full_and_two_are_out(struct rig *r)
{
	return dead_is_full(r) && play.taken == 2;
}

/* The input is not held: the lane spools what comes, the misfit included, and buries it once there is room. */
static void a_misfit_without_room_for_it_holds_no_input(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
	stop_lane(&r);
	dead_letters_of(&r, 1);
	r.output.common.spool_after_ms = 1000;
	rig_start(&r, 150);
	assert_int_equal(rig_push_misfit(&r, "ab", "{\"x\":1}"), 0);
	rig_wait(dead_is_full_and_two_are_out, &r); /* else they come again */
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_push_misfit(&r, "cd", "{\"x\":2}"), 0);
	rig_wait(rig_settled, &r);
	assert_int_equal(dead_letters_count(r.dead), 0);
	struct lane_counters c = lane_counters(r.lane);
	assert_int_equal(c.received_events, 63);
	assert_int_equal(c.delivered_events + lane_held(&c), 63);
	stop_lane(&r);
	dead_letters_of(&r, 1 << 20);
	uint64_t before = play.taken;
	assert_int_equal(before, 2); /* the lane held what came after */
	rig_start(&r, 150);
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 42);
	assert_int_equal(dead_letters_count(r.dead), 21);
	assert_letter(&r, "\"event\":{\"x\":1}");
	c = lane_counters(r.lane);
	assert_int_equal(c.received_events, c.delivered_events + c.dead_events);
	rig_teardown(&r);
}

static void what_half_fits_the_spool_goes_out_once(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 4096);
	play.blocked = true;
	assert_int_equal(rig_push(&r, hundred), 0); /* in the sink's hands; about half of it goes into the spool */
	rig_wait(rig_full, &r);
	play.blocked = false;
	rig_wait(rig_idle, &r);
	assert_memory_equal(play.order, hundred, 100);
	assert_int_equal(play.taken, 100);
	stop_lane(&r);
	rig_start(&r, 150); /* and the spool keeps nothing of it */
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 100);
	rig_teardown(&r);
}

static void counters_agree_while_a_batch_is_half_in_the_spool(void **state)
{
	struct rig r;
	struct lane_counters c;
	(void)state;
	rig_setup_spool(&r, 150, AT_LEAST_ONCE, 4096);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "a"), 0);
	rig_wait(rig_settled, &r);
	assert_int_equal(rig_push(&r, hundred), 0);
	rig_wait(rig_full, &r);
	play.at_once = 1;
	play.blocked = false;
	do {
		c = lane_counters(r.lane);
		assert_true(c.spooled_events <= 100 && c.memory_events <= 101);
		assert_int_equal(c.received_events, c.delivered_events + lane_held(&c));
	} while (!rig_idle(&r));
	assert_memory_equal(play.order + 1, hundred, 100);
	assert_int_equal(play.taken, 101);
	rig_teardown(&r);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Nothing can be spooled, but the sink is well again: what waits for room in the spool goes to the sink, in order. */
static void a_full_disk_does_not_hold_a_lane_whose_sink_is_well(void **state)
{
	struct rig r;
	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	for (rlim_t room = 0; room <= 3000; room += 3000) {
		rig_setup_spool(&r, 150, AT_LEAST_ONCE, 64 << 20);
		play.blocked = true;
		limit_files(room);
		assert_int_equal(rig_push(&r, "a"), 0);
		if (room)
			rig_wait(rig_settled, &r); /* what comes after it is stored in part */
		assert_int_equal(rig_push(&r, hundred), 0);
		rig_wait(rig_full, &r);
		play.blocked = false;
		rig_wait(rig_idle, &r);
		assert_int_equal(rig_push(&r, "z"), 0);
		rig_wait(rig_idle, &r);
		limit_files(RLIM_INFINITY);
		assert_int_equal(play.taken, 102);
		assert_memory_equal(play.order + 1, hundred, 100);
		assert_int_equal(play.order[101], 'z');
		rig_teardown(&r);
	}
}

static void *push_until_stopped(void *context)
{
	while (rig_push(context, "ab") == 0)
		(void)poll(NULL, 0, 1);
	return NULL;
}

static void a_best_effort_lane_is_stopped_while_it_drops(void **state)
{
	struct rig r;
	pthread_t thread;
	(void)state;
	rig_setup(&r, 150, BEST_EFFORT);
	play.blocked = true;
	assert_int_equal(pthread_create(&thread, NULL, push_until_stopped, &r), 0);
	while (!lane_counters(r.lane).overflow_events)
		(void)poll(NULL, 0, 1);
	lane_stop(r.lane);
	(void)pthread_join(thread, NULL);
	rig_teardown(&r);
}

static bool budget_is_free(struct rig *r)
{
	return budget_used(r->budget) == 0;
}

/* What a dead collector's lane has in the spool takes no memory from the others, whatever its sink holds of it. */
static void what_is_spooled_leaves_the_budget(void **state)
{
	struct rig r;
	(void)state;
	rig_setup_spool(&r, 1 << 20, AT_LEAST_ONCE, 64 << 20);
	play.blocked = true;
	assert_int_equal(rig_push(&r, "a"), 0);
	rig_wait(rig_settled, &r);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_push(&r, hundred), 0);
	rig_wait(rig_settled, &r);
	rig_wait(budget_is_free, &r); /* the spans close a moment before */
	stop_lane(&r);
	rig_start(&r, 1 << 20); /* its sink is offered what the spool has */
	(void)poll(NULL, 0, 20);
	assert_int_equal(budget_used(r.budget), 0);
	play.blocked = false;
	rig_wait(rig_idle, &r);
	assert_int_equal(play.taken, 2001);
	rig_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misfits_are_buried_by_the_lane),
		cmocka_unit_test(a_misfit_without_room_for_it_holds_no_input),
		cmocka_unit_test(a_refused_record_without_room_for_it_is_spooled),
		cmocka_unit_test(what_half_fits_the_spool_goes_out_once),
		cmocka_unit_test(counters_agree_while_a_batch_is_half_in_the_spool),
		cmocka_unit_test(a_full_disk_does_not_hold_a_lane_whose_sink_is_well),
		cmocka_unit_test(what_is_spooled_leaves_the_budget),
		cmocka_unit_test(a_best_effort_lane_is_stopped_while_it_drops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
