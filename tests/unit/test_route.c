/* A feed without lanes: what of a chunk is settled when the program stops in the middle of it. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <poll.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/route.h"

struct rig {
	struct config config;
	struct config_input input;
	struct routing routing;
	struct feed *feed;
	char folder[64];
	uint64_t fed; /* bytes so far */
};

static void setup(struct rig *r, uint64_t dead_letters_max)
{
	struct problems problems = { 0 };
	struct err err;
	memset(r, 0, sizeof *r);
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/audit-router-route-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->config.classifier.name = (char *)"gke";
	r->input.name = (char *)"in";
	(void)pthread_mutex_init(&r->routing.plan_mutex, NULL);
	assert_int_equal(plan_create(&r->routing.plan, &r->config, &problems), 0);
	assert_int_equal(budget_create(&r->routing.budget, 1 << 20), 0);
	assert_int_equal(dead_letters_open(&r->routing.broken, r->folder, "inputs", dead_letters_max, &err), 0);
	assert_int_equal(feed_create(&r->feed, &r->routing, &r->input, 0, NULL, NULL), 0);
	problems_finish(&problems);
}

static void teardown(struct rig *r)
{
	feed_destroy(r->feed);
	dead_letters_close(r->routing.broken);
	plan_release(r->routing.plan);
	assert_int_equal(budget_used(r->routing.budget), 0);
	budget_destroy(r->routing.budget);
	(void)pthread_mutex_destroy(&r->routing.plan_mutex);
	char *command = mem_textf("rm -r %s", r->folder);
	assert_int_equal(system(command), 0);
	free(command);
}

static int64_t feed(struct rig *r, const char *text)
{
	struct chunk *c;
	struct feed_origin origin = { .file = "f", .first_line = 1 };
	assert_int_equal(chunk_create(&c, r->routing.budget, strlen(text)), 0);
	c->len = strlen(text);
	memcpy(c->bytes, text, c->len);
	r->fed += c->len;
	int64_t result = feed_chunk(r->feed, c, (struct view){ c->bytes, c->len }, r->fed, &origin);
	chunk_release(c);
	return result;
}

#define EVENT "{\"kind\":\"Event\",\"stage\":\"ResponseComplete\",\"verb\":\"get\"}"
#define LIST "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[" EVENT "," EVENT "]}"

static void what_is_routed_is_settled(void **state)
{
	struct rig r;
	static const char text[] = EVENT "\n" LIST "\n" EVENT "\nbroken\n";
	(void)state;
	setup(&r, 1 << 20);
	assert_int_equal(feed(&r, text), 4);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), strlen(text));
	assert_true(ledger_idle(r.feed->ledger));
	assert_int_equal(dead_letters_count(r.routing.broken), 1);
	teardown(&r);
}

static void a_list_that_a_stop_left_stays_at_the_source(void **state)
{
	struct rig r;
	static const char before[] = EVENT "\n";
	(void)state;
	setup(&r, 1 << 20);
	r.routing.stopping = true;
	assert_int_equal(feed(&r, EVENT "\n" LIST "\n" EVENT "\n"), -ESHUTDOWN);
	uint64_t events = 0;
	for (int c = 0; c < AUDIT_CLASSES; c++)
		events += r.feed->counters.class_events[c];
	assert_int_equal(events, 1);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), strlen(before));
	teardown(&r);
}

/* The dead letters are full when the program stops: the broken line is nowhere else than at the source. */
static void a_broken_line_without_room_stays_at_the_source(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 1);
	r.routing.stopping = true;
	assert_int_equal(feed(&r, EVENT "\nbroken\n"), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	assert_int_equal(feed(&r, EVENT "\n"), -ESHUTDOWN);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	teardown(&r);
}

static void write_policy(const char *path, const char *comment, const char *verb)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fprintf(file, "# %s\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, verbs: [%s]}\n- level: Metadata\n",
		comment, verb);
	assert_int_equal(fclose(file), 0);
}

static void reload(struct rig *r)
{
	struct problems problems = { 0 };
	struct plan *plan, *before = r->routing.plan;
	const char *missing;
	assert_int_equal(plan_create(&plan, &r->config, &problems), 0);
	assert_int_equal(plan_adopt(plan, before, &missing), 0);
	r->routing.plan = plan;
	plan_release(before);
	problems_finish(&problems);
}

static void counts_by_rule_outlive_a_reload_of_the_same_policy(void **state)
{
	struct rig r;
	(void)state;
	setup(&r, 1 << 20);
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
	teardown(&r);
}

#define PART(uid, index, total) \
	"{\"protoPayload\":{\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"k8s.io\"," \
	"\"methodName\":\"io.k8s.core.v1.pods.list\"},\"split\":{\"uid\":\"" uid "\",\"index\":" index ",\"totalSplits\":" total "}}\n"

/* The cluster is gone when this returns, as a Kafka message's is. */
static int64_t feed_of(struct rig *r, const char *cluster, const char *text, uint64_t *position)
{
	struct chunk *c;
	char *name = cluster ? mem_text(view_of(cluster)) : NULL;
	struct feed_origin origin = { .file = "f", .cluster = name, .first_line = 1, .offset = *position };
	assert_int_equal(chunk_create(&c, r->routing.budget, strlen(text)), 0);
	c->len = strlen(text);
	memcpy(c->bytes, text, c->len);
	*position += c->len;
	int64_t result = feed_chunk(r->feed, c, (struct view){ c->bytes, c->len }, *position, &origin);
	chunk_release(c);
	free(name);
	return result;
}

static int64_t feed_at(struct rig *r, const char *text, uint64_t *position)
{
	return feed_of(r, NULL, text, position);
}

static uint64_t classified(const struct rig *r)
{
	uint64_t events = 0;
	for (int c = 0; c < AUDIT_CLASSES; c++)
		events += r->feed->counters.class_events[c];
	return events;
}

/* A part waits for the others, and nothing of its span is settled meanwhile. */
static void parts_wait_for_each_other(void **state)
{
	struct rig r;
	uint64_t position = 0, first;
	(void)state;
	setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, EVENT "\n", &position), 1);
	first = position;
	assert_int_equal(feed_at(&r, EVENT "\n" PART("u", "1", "3") EVENT "\n", &position), 3);
	assert_int_equal(feed_at(&r, EVENT "\n", &position), 1);
	assert_int_equal(classified(&r), 4);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), first);
	assert_int_equal(feed_at(&r, PART("v", "0", "2") PART("u", "0", "3") PART("v", "1", "2"), &position), 3);
	assert_int_equal(classified(&r), 6);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), first);
	assert_int_equal(feed_at(&r, PART("u", "2", "3"), &position), 1);
	assert_int_equal(classified(&r), 9);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_true(ledger_idle(r.feed->ledger));
	assert_int_equal(r.feed->counters.joined, 2);
	assert_int_equal(r.feed->counters.unjoined, 0);
	teardown(&r);
}

static void parts_without_the_others_leave_at_the_end(void **state)
{
	struct rig r;
	uint64_t position = 0;
	(void)state;
	setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, PART("u", "1", "3") PART("v", "1", "2000") PART("w", "0", "2"), &position), 3);
	assert_int_equal(classified(&r), 1); /* so many parts are never waited for */
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0);
	feed_finish(r.feed);
	assert_int_equal(classified(&r), 3);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_int_equal(r.feed->counters.joined, 0);
	assert_int_equal(r.feed->counters.unjoined, 3);
	assert_int_equal(feed_at(&r, PART("x", "1", "3"), &position), 1); /* nothing is held any more */
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	teardown(&r);
}

/* No input, no line: time alone lets it go. */
static void parts_without_the_others_leave_in_time(void **state)
{
	struct rig r;
	uint64_t position = 0;
	(void)state;
	setup(&r, 1 << 20);
	r.feed->held_wait_ms = 100;
	assert_int_equal(feed_at(&r, PART("u", "1", "3"), &position), 1);
	for (int i = 0; i < 1200 && !r.feed->counters.unjoined; i++)
		(void)poll(NULL, 0, 100);
	assert_int_equal(r.feed->counters.unjoined, 1);
	for (int i = 0; i < 12000 && ledger_positions(r.feed->ledger, NULL) != position; i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	assert_int_equal(feed_at(&r, PART("u", "0", "3"), &position), 1); /* waits alone, and goes with the feed */
	teardown(&r);
}

/* What is held leaves in spans of the input's own cluster, and nothing of another one is held or joined with it. */
static void parts_of_other_clusters_do_not_wait(void **state)
{
	struct rig r;
	uint64_t position = 0;
	(void)state;
	setup(&r, 1 << 20);
	assert_int_equal(feed_at(&r, PART("u", "0", "2"), &position), 1);
	assert_int_equal(feed_of(&r, "north", PART("u", "1", "2") PART("v", "0", "2"), &position), 2);
	assert_int_equal(classified(&r), 2);
	assert_int_equal(r.feed->counters.joined, 0);
	assert_int_equal(r.feed->counters.unjoined, 2);
	assert_int_equal(feed_of(&r, "south", PART("v", "1", "2"), &position), 1);
	assert_int_equal(classified(&r), 3);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), 0); /* u's first waits */
	feed_finish(r.feed);
	assert_int_equal(classified(&r), 4);
	assert_ptr_equal(r.feed->attributes.cluster.ptr, r.feed->cluster);
	assert_int_equal(ledger_positions(r.feed->ledger, NULL), position);
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_routed_is_settled),
		cmocka_unit_test(a_list_that_a_stop_left_stays_at_the_source),
		cmocka_unit_test(a_broken_line_without_room_stays_at_the_source),
		cmocka_unit_test(counts_by_rule_outlive_a_reload_of_the_same_policy),
		cmocka_unit_test(parts_wait_for_each_other),
		cmocka_unit_test(parts_without_the_others_leave_at_the_end),
		cmocka_unit_test(parts_without_the_others_leave_in_time),
		cmocka_unit_test(parts_of_other_clusters_do_not_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
