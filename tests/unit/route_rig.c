#include "tests/unit/route_rig.h"

#include "tests/unit/cm.h"

#include <poll.h>

#include "router/base/buf.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "tests/unit/stub_sink.h"

enum { BUDGET_BYTES = 4 << 20 };

/* ---- lanes ---- */

/* Worker's thread: the lane of one class writes to its own text. */
static uint32_t put(struct sink *sink, struct batch *b, uint32_t first)
{
	struct route_rig *r = (struct route_rig *)((char *)sink->output - offsetof(struct route_rig, output));
	for (uint32_t i = first; i < b->n; i++) {
		const struct record *record = &b->records[i];
		buf_addf(&r->seen[record->class_], "%llu %llu %u %.*s\n", (unsigned long long)(b->first_seq + i),
			(unsigned long long)(b->start + record->end), record->rule, (int)record->bytes.len, record->bytes.ptr);
	}
	uint32_t n = b->n - first;
	batch_delivered(b, first, n);
	return n;
}

static const struct output_ops output_ops = {
	.name = "test",
	.describe = stub_sink_describe,
	.open = stub_sink_open,
	.put = put,
	.wait = stub_sink_wait,
	.close = stub_sink_close,
};

static char *advance(const char *state, uint64_t from, uint64_t to, const struct input_mark *marks, size_t n_marks)
{
	(void)state, (void)from, (void)to, (void)marks, (void)n_marks;
	return NULL;
}

/* Positions are bytes. */
static const struct input_ops input_ops = { .name = "test", .advance = advance };

static void start_lanes(struct route_rig *r)
{
	struct err err;
	for (unsigned i = 0; i < r->routing.n_lanes; i++) {
		const struct plan_lane *lane = &r->routing.plan->lanes[i];
		struct lane_options options = {
			.config = &r->config,
			.output = lane->output,
			.class_ = lane->class_,
			.number = i,
			.share_bytes = BUDGET_BYTES / 2,
			.budget = r->routing.budget,
			.dead_letters = r->routing.broken,
		};
		assert_int_equal(lane_start(&r->lanes[i], &options, &err), 0);
	}
	r->routing.lanes = r->lanes;
}

void route_rig_wait(struct route_rig *r)
{
	for (unsigned i = 0; i < r->routing.n_lanes; i++) {
		lane_finish(r->lanes[i]);
		for (int n = 0; !lane_idle(r->lanes[i]) && n < 12000; n++)
			(void)poll(NULL, 0, 10);
		assert_true(lane_idle(r->lanes[i]));
	}
}

/* ---- the rig ---- */

static void set_up(struct route_rig *r, uint64_t dead_letters_max, unsigned n_lanes)
{
	struct problems problems = { 0 };
	struct err err;
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/audit-router-route-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->config.classifier.name = (char *)"gke";
	r->input.name = (char *)"in";
	(void)pthread_mutex_init(&r->routing.plan_mutex, NULL);
	assert_int_equal(plan_create(&r->routing.plan, &r->config, &problems), 0);
	assert_int_equal(r->routing.plan->n_lanes, n_lanes);
	r->routing.started = plan_hold(r->routing.plan);
	assert_int_equal(budget_create(&r->routing.budget, BUDGET_BYTES), 0);
	assert_int_equal(dead_letters_open(&r->routing.broken, r->folder, "inputs", dead_letters_max, &err), 0);
	r->routing.n_lanes = n_lanes;
	start_lanes(r);
	assert_int_equal(feed_create(&r->feed, &r->routing, &r->input, n_lanes, NULL, NULL), 0);
	problems_finish(&problems);
}

void route_rig_setup(struct route_rig *r, uint64_t dead_letters_max)
{
	memset(r, 0, sizeof *r);
	set_up(r, dead_letters_max, 0);
}

void route_rig_setup_lanes(struct route_rig *r, uint64_t dead_letters_max, const char *policy)
{
	memset(r, 0, sizeof *r);
	r->output = (struct config_output){ .name = (char *)"out", .ops = &output_ops, .common.policy = (char *)policy };
	r->config.outputs = &r->output;
	r->config.n_outputs = 1;
	r->input.ops = &input_ops;
	set_up(r, dead_letters_max, AUDIT_CLASSES);
}

void route_rig_teardown(struct route_rig *r)
{
	for (unsigned i = 0; i < r->routing.n_lanes; i++) {
		lane_stop(r->lanes[i]);
		lane_join(r->lanes[i]);
		buf_finish(&r->seen[i]);
	}
	feed_destroy(r->feed);
	dead_letters_close(r->routing.broken);
	plan_release(r->routing.plan);
	plan_release(r->routing.started);
	assert_int_equal(budget_used(r->routing.budget), 0);
	budget_destroy(r->routing.budget);
	(void)pthread_mutex_destroy(&r->routing.plan_mutex);
	char *command = mem_textf("rm -r %s", r->folder);
	assert_int_equal(system(command), 0);
	free(command);
}

struct chunk *route_rig_chunk(struct route_rig *r, struct view bytes)
{
	struct chunk *c;
	assert_int_equal(chunk_create(&c, r->routing.budget, bytes.len), 0);
	c->len = bytes.len;
	memcpy(c->bytes, bytes.ptr, bytes.len);
	return c;
}

uint64_t route_rig_classified(const struct route_rig *r)
{
	uint64_t events = 0;
	for (int c = 0; c < AUDIT_CLASSES; c++)
		events += r->feed->counters.sorted.class_events[c];
	return events;
}
