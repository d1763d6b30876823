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
	r.output.common.spool_after_ms = 200; /* time enough to be refused before it is spooled */
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
	assert_int_equal(budget_used(r.budget), 0);
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
		cmocka_unit_test(a_refused_record_without_room_for_it_is_spooled),
		cmocka_unit_test(what_half_fits_the_spool_goes_out_once),
		cmocka_unit_test(counters_agree_while_a_batch_is_half_in_the_spool),
		cmocka_unit_test(a_full_disk_does_not_hold_a_lane_whose_sink_is_well),
		cmocka_unit_test(what_is_spooled_leaves_the_budget),
		cmocka_unit_test(a_best_effort_lane_is_stopped_while_it_drops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
