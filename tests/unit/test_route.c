/* A feed without lanes: what of a chunk is settled when the program stops in the middle of it. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <poll.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "tests/unit/route_rig.h"

static int64_t feed(struct route_rig *r, const char *text)
{
	struct feed_origin origin = { .file = "f", .first_line = 1 };
	struct chunk *c = route_rig_chunk(r, view_of(text));
	r->fed += c->len;
	int64_t result = feed_chunk(r->feed, c, (struct view){ c->bytes, c->len }, r->fed, &origin);
	chunk_release(c);
	return result;
}

static void what_is_routed_is_settled(void **state)
{
	struct route_rig r;
	static const char text[] = EVENT "\n" LIST "\n" EVENT "\nbroken\n";
	(void)state;
	route_rig_setup(&r, 1 << 20);
	assert_int_equal(feed(&r, text), 4);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), strlen(text));
	assert_true(ledger_idle(r.feed->ledger));
	assert_int_equal(dead_letters_count(r.routing.broken), 1);
	route_rig_teardown(&r);
}

static void a_list_that_a_stop_left_stays_at_the_source(void **state)
{
	struct route_rig r;
	static const char before[] = EVENT "\n";
	(void)state;
	route_rig_setup(&r, 1 << 20);
	r.routing.stopping = true;
	assert_int_equal(feed(&r, EVENT "\n" LIST "\n" EVENT "\n"), -ESHUTDOWN);
	assert_int_equal(route_rig_classified(&r), 1);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), strlen(before));
	route_rig_teardown(&r);
}

/* The dead letters are full when the program stops: the broken line is nowhere else than at the source. */
static void a_broken_line_without_room_stays_at_the_source(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup(&r, 1);
	r.routing.stopping = true;
	assert_int_equal(feed(&r, EVENT "\nbroken\n"), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	assert_int_equal(feed(&r, EVENT "\n"), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	route_rig_teardown(&r);
}

/* run --once ends by itself: it waits for room no longer than for a lane, and once for all lines. */
static void a_broken_line_without_room_ends_an_input_that_does_not_wait_for_ever(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup(&r, 1);
	r.routing.once = true;
	r.routing.once_wait_ms = 700;
	int64_t start = clock_steady_ms();
	assert_int_equal(feed(&r, EVENT "\n" EVENT "\nbroken\nbroken\n" LIST "\nbroken\n"), -ESHUTDOWN);
	int64_t took = clock_steady_ms() - start;
	assert_true(took >= 700 && took < 60000);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	assert_int_equal(feed_broken(r.feed), 0); /* counted when it comes again */
	/* What comes behind it would be passed with it, room or none. */
	struct feed_origin origin = { .file = "f", .first_line = 1 };
	assert_int_equal(feed(&r, EVENT "\n"), -ESHUTDOWN);
	assert_int_equal(feed_too_long(r.feed, VIEW("{"), 2000, r.fed, &origin), -ESHUTDOWN);
	assert_int_equal(feed_gap(r.feed, "f", 1, "vanished", r.fed), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	assert_false(r.routing.stopping); /* the others go on */
	route_rig_teardown(&r);
}

static void a_lost_file_without_room_ends_it_too(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup(&r, 1);
	r.routing.once = true; /* and waits not at all */
	assert_int_equal(feed(&r, EVENT "\n"), 1);
	const uint64_t before = r.fed;
	assert_int_equal(feed_gap(r.feed, "f", 1, "vanished", r.fed + 1), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), before);
	assert_int_equal(r.feed->counters.gaps, 0);
	route_rig_teardown(&r);
}

static void write_policy(const char *path, const char *comment, const char *verb)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fprintf(file, "# %s\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, verbs: [%s]}\n- level: Metadata\n",
		comment, verb);
	assert_int_equal(fclose(file), 0);
}

static void reload(struct route_rig *r)
{
	struct problems problems = { 0 };
	struct plan *plan, *before = r->routing.plan;
	struct err err;
	assert_int_equal(plan_create(&plan, &r->config, &problems), 0);
	assert_int_equal(plan_adopt(plan, r->routing.started, before, &err), 0);
	r->routing.plan = plan;
	plan_release(before);
	problems_finish(&problems);
}

static void counts_by_rule_outlive_a_reload_of_the_same_policy(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	r.config.policy = mem_textf("%s/policy.yaml", r.folder);
	write_policy(r.config.policy, "first", "get");
	reload(&r);
	assert_int_equal(feed(&r, EVENT "\n" LIST "\n"), 2);
	assert_int_equal(r.routing.plan->policy.drops->by_rule[0], 3);
	write_policy(r.config.policy, "the same in other words", "get");
	reload(&r);
	assert_int_equal(feed(&r, EVENT "\n"), 1);
	assert_int_equal(r.routing.plan->policy.drops->by_rule[0], 4);
	write_policy(r.config.policy, "another", "get, list");
	reload(&r);
	assert_int_equal(r.routing.plan->policy.drops->by_rule[0], 0);
	free(r.config.policy);
	route_rig_teardown(&r);
}

/* The error's text; "" where the plan of this configuration took the running one's place. */
static const char *adopt(struct route_rig *r, const struct config *config)
{
	static struct err err;
	struct problems problems = { 0 };
	struct plan *plan, *before = r->routing.plan;
	err = (struct err){ 0 };
	assert_int_equal(plan_create(&plan, config, &problems), 0);
	int result = plan_adopt(plan, r->routing.started, before, &err);
	assert_int_equal(result, err.text[0] ? -EINVAL : 0);
	if (result == 0)
		r->routing.plan = plan;
	plan_release(result == 0 ? before : plan);
	problems_finish(&problems);
	return err.text;
}

static void a_class_that_is_off_may_come_back_to_its_lane(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup_lanes(&r, 1 << 20, NULL);
	struct config off = r.config, none = r.config;
	off.data_access.off[ADMIN_READ] = true;
	for (int i = 0; i < 2; i++) {
		assert_string_equal(adopt(&r, &off), "");
		assert_int_equal(r.routing.plan->n_lanes, AUDIT_CLASSES - 1);
		for (unsigned k = 0; k < r.routing.plan->n_lanes; k++)
			assert_int_equal(r.routing.plan->lanes[k].number, r.routing.plan->lanes[k].class_);
		assert_string_equal(adopt(&r, &r.config), "");
		assert_int_equal(r.routing.plan->lanes[ADMIN_READ].number, ADMIN_READ);
	}
	/* With all of its classes an output may go, too. */
	none.n_outputs = 0;
	assert_string_equal(adopt(&r, &none), "there is no output out any more");
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		none.data_access.off[c] = true;
	assert_string_equal(adopt(&r, &none), "");
	assert_string_equal(adopt(&r, &r.config), "");
	route_rig_teardown(&r);
}

static void no_plan_takes_a_class_from_an_output(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup_lanes(&r, 1 << 20, NULL);
	struct config changed = r.config, renamed = r.config;
	struct config_output narrow = r.output, other = r.output;
	narrow.common.classes_said = true;
	narrow.common.classes = AUDIT_CLASSES_ALL & ~(1u << DATA_READ);
	changed.outputs = &narrow;
	other.name = (char *)"other";
	renamed.outputs = &other;
	const struct plan *before = r.routing.plan;
	assert_string_equal(adopt(&r, &changed), "output out gets no DATA_READ any more");
	assert_string_equal(adopt(&r, &renamed), "there is no output out any more");
	assert_ptr_equal(r.routing.plan, before);
	/* Also where the class was off in between, and its lane in no plan. */
	changed.data_access.off[DATA_READ] = true;
	assert_string_equal(adopt(&r, &changed), "");
	changed.data_access.off[DATA_READ] = false;
	assert_string_equal(adopt(&r, &changed), "output out gets no DATA_READ any more");
	assert_string_equal(adopt(&r, &r.config), "");
	route_rig_teardown(&r);
}

static void no_plan_has_a_lane_that_does_not_run(void **state)
{
	struct route_rig r;
	(void)state;
	route_rig_setup_lanes(&r, 1 << 20, NULL);
	struct config more = r.config;
	struct config_output two[] = { r.output, r.output };
	two[1].name = (char *)"new";
	more.outputs = two;
	more.n_outputs = 2;
	const struct plan *before = r.routing.plan;
	assert_string_equal(adopt(&r, &more), "output new gets ADMIN_ACTIVITY, which it did not get at the start");
	assert_ptr_equal(r.routing.plan, before);
	route_rig_teardown(&r);
}

/* The cluster is gone when this returns, as a Kafka message's is. */
static int64_t feed_of(struct route_rig *r, const char *cluster, const char *text, uint64_t *position)
{
	char *name = cluster ? mem_text(view_of(cluster)) : NULL;
	struct feed_origin origin = { .file = "f", .cluster = name, .first_line = 1, .offset = *position };
	struct chunk *c = route_rig_chunk(r, view_of(text));
	*position += c->len;
	int64_t result = feed_chunk(r->feed, c, (struct view){ c->bytes, c->len }, *position, &origin);
	chunk_release(c);
	free(name);
	return result;
}

static int64_t feed_at(struct route_rig *r, const char *text, uint64_t *position)
{
	return feed_of(r, NULL, text, position);
}

/* A part waits for the others, and nothing of its span is settled meanwhile. */
static void parts_wait_for_each_other(void **state)
{
	struct route_rig r;
	uint64_t position = 0, first;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, EVENT "\n", &position), 1);
	first = position;
	assert_int_equal(feed_at(&r, EVENT "\n" PART("u", "1", "3") EVENT "\n", &position), 3);
	assert_int_equal(feed_at(&r, EVENT "\n", &position), 1);
	assert_int_equal(route_rig_classified(&r), 4);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), first);
	assert_int_equal(feed_at(&r, PART("v", "0", "2") PART("u", "0", "3") PART("v", "1", "2"), &position), 3);
	assert_int_equal(route_rig_classified(&r), 6);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), first);
	assert_int_equal(feed_at(&r, PART("u", "2", "3"), &position), 1);
	assert_int_equal(route_rig_classified(&r), 9);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_true(ledger_idle(r.feed->ledger));
	assert_int_equal(r.feed->counters.joined, 2);
	assert_int_equal(r.feed->counters.unjoined, 0);
	route_rig_teardown(&r);
}

static void parts_without_the_others_leave_at_the_end(void **state)
{
	struct route_rig r;
	uint64_t position = 0;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, PART("u", "1", "3") PART("v", "1", "2000") PART("w", "0", "2"), &position), 3);
	assert_int_equal(route_rig_classified(&r), 1); /* so many parts are never waited for */
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	feed_finish(r.feed);
	assert_int_equal(route_rig_classified(&r), 3);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_int_equal(r.feed->counters.joined, 0);
	assert_int_equal(r.feed->counters.unjoined, 3);
	assert_int_equal(feed_at(&r, PART("x", "1", "3"), &position), 1); /* nothing is held any more */
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	route_rig_teardown(&r);
}

/* A part is an event when it comes, not when others let it go. */
static void a_part_is_taken_when_it_comes(void **state)
{
	struct route_rig r;
	uint64_t position = 0;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, EVENT "\n" PART("u", "1", "2") PART("v", "1", "2"), &position), 3);
	assert_int_equal(feed_events(r.feed), 1);
	assert_int_equal(feed_taken(r.feed), 3);
	assert_int_equal(feed_at(&r, PART("u", "0", "2"), &position), 1);
	assert_int_equal(feed_events(r.feed), 3);
	assert_int_equal(feed_taken(r.feed), 4);
	feed_finish(r.feed);
	assert_int_equal(feed_taken(r.feed), 4);
	route_rig_teardown(&r);
}

/* How often the text stands in what the lane of the class got. */
static unsigned got(const struct route_rig *r, enum audit_class c, const char *text)
{
	unsigned n = 0;
	for (const char *at = r->seen[c].ptr ? buf_text((struct buf *)&r->seen[c]) : ""; (at = strstr(at, text)); at++)
		n++;
	return n;
}

/*
 * Before a restart the second part left alone, in its own class; now it goes with the first, in that one's. A lane that is past it
 * without having had it must not keep it from where it goes.
 */
static void parts_find_others_after_a_restart(void **state)
{
	(void)state;
	for (int all_had = 0; all_had < 2; all_had++) {
		struct route_rig r;
		uint64_t position = 0, skip[AUDIT_CLASSES];
		route_rig_setup_lanes(&r, 1 << 20, NULL);
		const char *second = PART_OF("list", "u", "1", "2"), *first = PART_OF("create", "u", "0", "2");
		for (unsigned i = 0; i < AUDIT_CLASSES; i++)
			skip[i] = strlen(second);
		if (!all_had)
			skip[ADMIN_READ] = 0;
		for (int i = 0; i < 2; i++) {
			const struct feed_origin origin = { .file = "f", .first_line = 1, .lane_skip = skip, .offset = position };
			struct chunk *c = route_rig_chunk(&r, view_of(i ? first : second));
			position += c->len;
			assert_int_equal(feed_chunk(r.feed, c, (struct view){ c->bytes, c->len }, position, &origin), 1);
			chunk_release(c);
		}
		route_rig_wait(&r);
		assert_int_equal(got(&r, ADMIN_ACTIVITY, "\"index\":0"), 1);
		assert_int_equal(got(&r, ADMIN_ACTIVITY, "\"index\":1"), !all_had);
		assert_int_equal(r.seen[ADMIN_READ].len, 0);
		route_rig_teardown(&r);
	}
}

/* What memory_max lets be held is the start's: a changed one takes a restart. */
static void parts_wait_as_the_start_said(void **state)
{
	struct route_rig r;
	uint64_t position = 0;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	struct config changed = r.config;
	changed.memory_max = 4;
	assert_string_equal(adopt(&r, &changed), "");
	assert_int_equal(feed_at(&r, PART("u", "0", "2"), &position), 1);
	assert_int_equal(feed_at(&r, PART("u", "1", "2"), &position), 1);
	assert_int_equal(r.feed->counters.unjoined, 0);
	assert_int_equal(r.feed->counters.joined, 1);
	route_rig_teardown(&r);
}

/* No input, no line: time alone lets it go. */
static void parts_without_the_others_leave_in_time(void **state)
{
	struct route_rig r;
	uint64_t position = 0;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	r.feed->held_wait_ms = 100;
	assert_int_equal(feed_at(&r, PART("u", "1", "3"), &position), 1);
	for (int i = 0; i < 1200 && !r.feed->counters.unjoined; i++)
		(void)poll(NULL, 0, 100);
	assert_int_equal(r.feed->counters.unjoined, 1);
	for (int i = 0; i < 12000 && ledger_positions(r.feed->ledger, NULL) != position; i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_int_equal(feed_at(&r, PART("u", "0", "3"), &position), 1); /* waits alone, and goes with the feed */
	route_rig_teardown(&r);
}

/* What is held leaves in spans of the input's own cluster, and nothing of another one is held or joined with it. */
static void parts_of_other_clusters_do_not_wait(void **state)
{
	struct route_rig r;
	uint64_t position = 0;
	(void)state;
	route_rig_setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, PART("u", "0", "2"), &position), 1);
	assert_int_equal(feed_of(&r, "north", PART("u", "1", "2") PART("v", "0", "2"), &position), 2);
	assert_int_equal(route_rig_classified(&r), 2);
	assert_int_equal(r.feed->counters.joined, 0);
	assert_int_equal(r.feed->counters.unjoined, 2);
	assert_int_equal(feed_of(&r, "south", PART("v", "1", "2"), &position), 1);
	assert_int_equal(route_rig_classified(&r), 3);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0); /* u's first waits */
	feed_finish(r.feed);
	assert_int_equal(route_rig_classified(&r), 4);
	assert_ptr_equal(r.feed->sorter.attributes.cluster.ptr, r.feed->cluster);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	route_rig_teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_routed_is_settled),
		cmocka_unit_test(a_list_that_a_stop_left_stays_at_the_source),
		cmocka_unit_test(a_broken_line_without_room_stays_at_the_source),
		cmocka_unit_test(a_broken_line_without_room_ends_an_input_that_does_not_wait_for_ever),
		cmocka_unit_test(a_lost_file_without_room_ends_it_too),
		cmocka_unit_test(counts_by_rule_outlive_a_reload_of_the_same_policy),
		cmocka_unit_test(a_class_that_is_off_may_come_back_to_its_lane),
		cmocka_unit_test(no_plan_takes_a_class_from_an_output),
		cmocka_unit_test(no_plan_has_a_lane_that_does_not_run),
		cmocka_unit_test(parts_wait_for_each_other),
		cmocka_unit_test(a_part_is_taken_when_it_comes),
		cmocka_unit_test(parts_find_others_after_a_restart),
		cmocka_unit_test(parts_wait_as_the_start_said),
		cmocka_unit_test(parts_without_the_others_leave_at_the_end),
		cmocka_unit_test(parts_without_the_others_leave_in_time),
		cmocka_unit_test(parts_of_other_clusters_do_not_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
