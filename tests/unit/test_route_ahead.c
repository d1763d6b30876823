/* Chunks that are sorted ahead: nothing of that may be seen but the time that it takes. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/io.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "tests/tools/random.h"
#include "tests/unit/route_rig.h"

enum { CHUNK_BYTES = 100000, CHUNKS = 40, LARGE_BYTES = 2000000 };

static const char *const lines[] = {
	EVENT "\n",
	"{\"stage\":\"ResponseComplete\",\"verb\":\"create\",\"objectRef\":{\"resource\":\"pods\"}}\n",
	"{\"stage\":\"ResponseComplete\",\"verb\":\"update\",\"objectRef\":{\"resource\":\"pods\",\"subresource\":\"status\"}}\n",
	"{\"stage\":\"ResponseComplete\",\"verb\":\"patch\",\"objectRef\":{\"resource\":\"pods\",\"subresource\":\"status\"}}\n",
	"{\"stage\":\"ResponseComplete\",\"verb\":\"get\",\"objectRef\":{\"resource\":\"pods\",\"subresource\":\"log\"}}\n",
	"\n",
	LIST "\n",
	"{\"kind\":\"Event\",\"stage\":\"Panic\"}\n",
	"no JSON\n",
	PART("u", "0", "2"),
	PART("u", "1", "2"),
};
enum { PLAIN = 6, NO_PARTS = 9, ALL = sizeof lines / sizeof *lines };

/* Mostly plain events; one line in `rare` is any of the first n_kinds. */
static void add_lines(struct buf *text, struct random *random, size_t len, size_t n_kinds, uint64_t rare)
{
	for (const size_t start = text->len; text->len - start < len;) {
		size_t kind = random_below(random, rare) ? random_below(random, PLAIN) : random_below(random, n_kinds);
		buf_add_view(text, view_of(lines[kind]));
	}
}

struct way {
	struct route_rig rig;
	struct feed_origin origin;
	int result;
};

static int feed(struct way *w, struct view bytes, bool ahead)
{
	struct chunk *c = route_rig_chunk(&w->rig, bytes);
	const uint64_t end = w->rig.fed + bytes.len;
	int64_t n = ahead ? feed_ahead(w->rig.feed, c, end, &w->origin) : feed_chunk(w->rig.feed, c, bytes, end, &w->origin);
	if (!ahead && n >= 0) {
		w->origin.first_line += (uint64_t)n;
		n = 0;
	}
	chunk_release(c);
	w->rig.fed = end;
	w->origin.offset += bytes.len;
	return (int)n;
}

/* The dead letters without their times. */
static void read_letters(const struct route_rig *r, struct buf *text)
{
	assert_int_equal(dead_letters_sync(r->routing.broken), 0);
	assert_int_equal(io_read_whole(dead_letters_path(r->routing.broken), SIZE_MAX / 2, text), 0);
	buf_add_byte(text, '\0');
	for (char *at = text->ptr; (at = strstr(at, "{\"time\":\"")); at++)
		for (char *digit = at + strlen("{\"time\":\""); *digit != '"'; digit++)
			*digit = ' ';
}

static void assert_same(struct route_rig *a, struct route_rig *b)
{
	for (int c = 0; c < AUDIT_CLASSES; c++) {
		assert_int_equal(a->feed->counters.sorted.class_events[c], b->feed->counters.sorted.class_events[c]);
		assert_int_equal(a->feed->counters.sorted.class_bytes[c], b->feed->counters.sorted.class_bytes[c]);
	}
	assert_int_equal(a->feed->counters.lines, b->feed->counters.lines);
	assert_int_equal(a->feed->counters.broken, b->feed->counters.broken);
	assert_int_equal(a->feed->counters.joined, b->feed->counters.joined);
	assert_int_equal(a->feed->counters.unjoined, b->feed->counters.unjoined);
	for (unsigned i = 0; i < a->routing.n_lanes; i++) {
		assert_true(a->seen[i].len > 0);
		assert_true(view_eq(buf_view(&a->seen[i]), buf_view(&b->seen[i])));
		assert_int_equal(lane_counters(a->lanes[i]).dropped_events, lane_counters(b->lanes[i]).dropped_events);
		assert_int_equal(a->feed->next_seq[i], b->feed->next_seq[i]);
	}
	const struct plan_policy *policies[] = { a->routing.plan->output_policies, b->routing.plan->output_policies };
	for (size_t i = 0; policies[0]->policy && i <= policy_rules(policies[0]->policy); i++)
		assert_int_equal(policies[0]->drops->by_rule[i], policies[1]->drops->by_rule[i]);
	assert_int_equal(ledger_positions(a->feed->ledger, NULL), ledger_positions(b->feed->ledger, NULL));
	struct buf of_a = { 0 }, of_b = { 0 };
	read_letters(a, &of_a);
	read_letters(b, &of_b);
	assert_string_equal(of_a.ptr, of_b.ptr);
	buf_finish(&of_a);
	buf_finish(&of_b);
}

static void write_policy(char *path)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, verbs: [update]}\n- level: Metadata\n") > 0);
	assert_int_equal(close(fd), 0);
}

/* What two lanes had before a restart; the others have nothing. */
static const uint64_t lane_skip[AUDIT_CLASSES] = { 0, 30 * CHUNK_BYTES + 4567, 0, 3 * CHUNK_BYTES + 1234 };

static void check_both_ways(uint64_t seed, size_t n_kinds, uint64_t rare)
{
	struct random random = random_round(&(struct random_run){ .seed = seed }, 0);
	struct way now = { .origin = { .file = "f", .first_line = 1, .lane_skip = lane_skip } }, ahead = now;
	char policy[] = "/tmp/audit-router-policy-XXXXXX";
	write_policy(policy);
	route_rig_setup_lanes(&now.rig, 16 << 20, policy);
	route_rig_setup_lanes(&ahead.rig, 16 << 20, policy);
	struct buf text = { 0 };
	for (int i = 0; i < CHUNKS; i++) {
		buf_clear(&text);
		add_lines(&text, &random, random_below(&random, i == 10 ? LARGE_BYTES : 2 * CHUNK_BYTES), n_kinds, rare);
		if (!text.len)
			continue;
		assert_int_equal(feed(&now, buf_view(&text), false), 0);
		assert_int_equal(feed(&ahead, buf_view(&text), true), 0);
		if (!random_below(&random, 8))
			assert_int_equal(feed_catch_up(ahead.rig.feed), 0);
	}
	assert_int_equal(feed_catch_up(ahead.rig.feed), 0);
	assert_int_equal(now.origin.first_line, ahead.origin.first_line);
	feed_finish(now.rig.feed);
	feed_finish(ahead.rig.feed);
	route_rig_wait(&now.rig);
	route_rig_wait(&ahead.rig);
	assert_true(ledger_idle(ahead.rig.feed->ledger));
	assert_int_equal(ledger_positions(ahead.rig.feed->ledger, NULL), ahead.rig.fed);
	assert_same(&now.rig, &ahead.rig);
	const uint64_t dropped = lane_counters(ahead.rig.lanes[DATA_WRITE]).dropped_events;
	assert_true(dropped > 0);
	assert_int_equal(ahead.rig.routing.plan->output_policies[0].drops->by_rule[0], dropped);
	buf_finish(&text);
	assert_int_equal(unlink(policy), 0);
	route_rig_teardown(&now.rig);
	route_rig_teardown(&ahead.rig);
}

static void events_alone(void **state)
{
	(void)state;
	check_both_ways(1, PLAIN, 2);
}

static void lists_and_broken_lines_keep_their_order_and_numbers(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++)
		check_both_ways(seed, NO_PARTS, 1000);
	check_both_ways(4, NO_PARTS, 2);
}

static void parts_of_log_entries_too(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++)
		check_both_ways(seed, ALL, 2000);
}

static void a_chunk_of_few_bytes_is_routed_at_once(void **state)
{
	struct way w = { .origin = { .file = "f", .first_line = 1 } };
	(void)state;
	route_rig_setup(&w.rig, 1 << 20);
	assert_int_equal(feed(&w, VIEW(EVENT "\n"), true), 0);
	assert_int_equal(route_rig_classified(&w.rig), 1);
	assert_int_equal(w.origin.first_line, 2);
	assert_int_equal(ledger_positions(w.rig.feed->ledger, NULL), w.rig.fed);
	route_rig_teardown(&w.rig);
}

/* Whatever was ahead when the program stopped: nothing behind the first chunk that was left is routed, or said to be settled. */
static void what_a_stop_leaves_stays_at_the_source(void **state)
{
	struct random random = random_round(&(struct random_run){ .seed = 7 }, 0);
	struct buf text = { 0 };
	(void)state;
	add_lines(&text, &random, CHUNK_BYTES, 1, 1);
	const uint64_t lines_in_chunk = text.len / strlen(EVENT "\n");
	for (int stop_at = 1; stop_at < 12; stop_at++) {
		struct way w = { .origin = { .file = "f", .first_line = 1 } };
		route_rig_setup(&w.rig, 1 << 20);
		int r = feed(&w, buf_view(&text), true);
		if (!w.rig.feed->ahead) {
			route_rig_teardown(&w.rig);
			skip(); /* one processor: nothing is ever ahead */
		}
		for (int i = 1; i < CHUNKS && r == 0; i++) {
			w.rig.routing.stopping = i >= stop_at;
			r = feed(&w, buf_view(&text), true);
		}
		assert_int_equal(r, -ESHUTDOWN);
		const uint64_t settled = ledger_positions(w.rig.feed->ledger, NULL);
		assert_true(settled < w.rig.fed);
		assert_int_equal(settled % text.len, 0);
		assert_int_equal(route_rig_classified(&w.rig), settled / text.len * lines_in_chunk);
		w.rig.routing.stopping = false;
		assert_int_equal(feed_catch_up(w.rig.feed), -ESHUTDOWN);
		assert_int_equal(feed(&w, buf_view(&text), true), -ESHUTDOWN);
		assert_int_equal(feed(&w, buf_view(&text), false), -ESHUTDOWN);
		assert_int_equal(feed_gap(w.rig.feed, "f", 1, "vanished", w.rig.fed + 1), -ESHUTDOWN);
		feed_finish(w.rig.feed);
		assert_int_equal(ledger_positions(w.rig.feed->ledger, NULL), settled);
		route_rig_teardown(&w.rig);
	}
	buf_finish(&text);
}

/* A chunk that was sorted by the old plan and not routed yet is sorted again: behind a reload nothing leaves by the old one. */
static void what_is_ahead_at_a_reload_goes_by_the_new_plan(void **state)
{
	struct random random = random_round(&(struct random_run){ .seed = 8 }, 0);
	struct way w = { .origin = { .file = "f", .first_line = 1 } };
	struct problems problems = { 0 };
	struct buf text = { 0 };
	struct plan *plan;
	struct err err;
	(void)state;
	route_rig_setup_lanes(&w.rig, 1 << 20, NULL);
	add_lines(&text, &random, CHUNK_BYTES, PLAIN, 1);
	assert_int_equal(feed(&w, buf_view(&text), true), 0);
	struct config changed = w.rig.config;
	changed.data_access.off[ADMIN_READ] = true;
	assert_int_equal(plan_create(&plan, &changed, &problems), 0);
	struct plan *old = w.rig.routing.plan;
	assert_int_equal(plan_adopt(plan, w.rig.routing.started, old, &err), 0);
	w.rig.routing.plan = plan;
	if (w.rig.feed->ahead)
		assert_int_equal(route_rig_classified(&w.rig), 0); /* it waits to be routed, sorted or not */
	assert_int_equal(feed_catch_up(w.rig.feed), 0);
	if (w.rig.feed->ahead)
		assert_int_equal(w.rig.feed->counters.sorted.off_events[ADMIN_READ], w.rig.feed->counters.sorted.class_events[ADMIN_READ]);
	route_rig_wait(&w.rig);
	plan_release(old);
	problems_finish(&problems);
	buf_finish(&text);
	route_rig_teardown(&w.rig);
}

/* A ring that has all of the budget: who waits for room has it after catching up. */
static void the_ring_gives_its_share_of_the_budget_back(void **state)
{
	struct random random = random_round(&(struct random_run){ .seed = 9 }, 0);
	struct way w = { .origin = { .file = "f", .first_line = 1 } };
	struct buf text = { 0 };
	struct chunk *c;
	(void)state;
	route_rig_setup(&w.rig, 1 << 20);
	add_lines(&text, &random, 10 * CHUNK_BYTES, PLAIN, 1);
	for (int i = 0; i < CHUNKS; i++) {
		assert_int_equal(feed(&w, buf_view(&text), true), 0);
		int r = chunk_try(&c, w.rig.routing.budget, 4 << 20);
		assert_true(r == 0 || r == -EAGAIN);
		if (r == -EAGAIN) {
			assert_int_equal(feed_catch_up(w.rig.feed), 0);
			assert_int_equal(chunk_try(&c, w.rig.routing.budget, 4 << 20), 0);
		}
		chunk_release(c);
	}
	assert_int_equal(feed_catch_up(w.rig.feed), 0);
	buf_finish(&text);
	route_rig_teardown(&w.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_alone),
		cmocka_unit_test(lists_and_broken_lines_keep_their_order_and_numbers),
		cmocka_unit_test(parts_of_log_entries_too),
		cmocka_unit_test(a_chunk_of_few_bytes_is_routed_at_once),
		cmocka_unit_test(what_a_stop_leaves_stays_at_the_source),
		cmocka_unit_test(what_is_ahead_at_a_reload_goes_by_the_new_plan),
		cmocka_unit_test(the_ring_gives_its_share_of_the_budget_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
