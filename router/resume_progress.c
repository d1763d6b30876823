/*
 * resume_progress: how a start brings the checkpoint up to what the progress of a killed run says, and begins its own. Main's
 * thread.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/log.h"
#include "router/pipeline_state.h"

/* What is known of one input when it starts: from the checkpoint, and from the progress of the run that was killed. */
struct advance {
	struct pipeline *pipeline;
	const struct config_input *config;
	const struct checkpoint_input *known; /* NULL: the checkpoint does not know it */
	struct input_mark marks[PROGRESS_MARKS];
	size_t n_marks;
};

/* As the progress knows it. The caller frees. */
static char *lane_key(const struct plan_lane *lane)
{
	return mem_textf("%s/%s", lane->output->name, audit_class_name(lane->class_));
}

static const struct checkpoint_lane *find_known(const struct checkpoint_input *known, const struct plan_lane *lane)
{
	for (size_t i = 0; known && i < known->n_lanes; i++)
		if (strcmp(known->lanes[i].output, lane->output->name) == 0 &&
			strcmp(known->lanes[i].class_, audit_class_name(lane->class_)) == 0)
			return &known->lanes[i];
	return NULL;
}

/* The state at `to`, where that is more than is known. NULL: it is not, or it cannot be told. */
static char *state_at(const struct advance *a, const struct checkpoint_lane *lane, uint64_t to)
{
	const char *state = lane && lane->state ? lane->state : a->known ? a->known->state : NULL;
	uint64_t from = lane ? lane->position : a->known ? a->known->position : 0;
	if (a->known && (to <= from || !state))
		return NULL;
	return a->config->ops->advance(state, from, to, a->marks, a->n_marks);
}

/* One lane that is farther than the checkpoint knows. False: it is not. */
static bool advance_lane(const struct advance *a, const struct plan_lane *lane, struct checkpoint_lane *ret)
{
	struct progress_point point;
	_free_ char *key = lane_key(lane);
	if (!progress_past_lane(a->pipeline->past, a->config->name, key, &point))
		return false;
	char *state = state_at(a, find_known(a->known, lane), point.position);
	*ret = (struct checkpoint_lane){
		.output = lane->output->name,
		.class_ = audit_class_name(lane->class_),
		.state = state,
		.position = point.position,
		.seq = point.seq,
	};
	return state != NULL;
}

static void advance_input(struct advance *a)
{
	const struct plan *plan = a->pipeline->routing.plan;
	struct checkpoint_input next = { .name = a->config->name };
	_free_ struct checkpoint_lane *lanes = mem_zero(plan->n_lanes + 1, sizeof *lanes);
	if (!progress_past_input(a->pipeline->past, a->config->name, &next.position))
		return;
	char *state = state_at(a, NULL, next.position);
	if (!a->known && !state)
		return;
	if (!state)
		next.position = a->known->position;
	next.state = state ? state : a->known->state;
	next.lanes = lanes;
	for (unsigned i = 0; i < plan->n_lanes; i++)
		next.n_lanes += advance_lane(a, &plan->lanes[i], &lanes[next.n_lanes]);
	checkpoint_set_input(a->pipeline->checkpoint, &next);
	for (size_t i = 0; i < next.n_lanes; i++)
		free((char *)lanes[i].state);
	free(state);
}

static void advance_inputs(struct pipeline *p)
{
	struct progress_marked marks[PROGRESS_MARKS];
	_free_ struct advance *a = mem_zero(1, sizeof *a);
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		const struct config_input *config = &p->config->inputs[i];
		if (!config->ops->advance)
			continue;
		*a = (struct advance){ .pipeline = p, .config = config };
		a->known = checkpoint_find_input(p->checkpoint, config->name);
		a->n_marks = progress_past_marks(p->past, config->name, marks);
		for (size_t k = 0; k < a->n_marks; k++)
			a->marks[k] = (struct input_mark){ marks[k].position, marks[k].text };
		advance_input(a);
	}
}

/* A number that no run had before; 0: there is none to be had. */
static uint64_t draw_run(void)
{
	uint64_t run = 0;
	if (getrandom(&run, sizeof run, 0) != sizeof run)
		return 0;
	return run >> 1; /* the checkpoint's numbers are below 2^63 */
}

uint64_t resume_spool(const struct pipeline *p, const struct plan_lane *lane)
{
	uint64_t position = 0;
	_free_ char *key = lane_key(lane);
	if (p->past)
		(void)progress_past_spool(p->past, key, &position);
	return position;
}

static int create_progress(struct pipeline *p, uint64_t run)
{
	const struct plan *plan = p->routing.plan;
	_free_ const char **inputs = mem_zero(p->config->n_inputs + 1, sizeof *inputs);
	_free_ char **lanes = mem_zero(plan->n_lanes + 1, sizeof *lanes);
	const struct progress_names names = {
		.inputs = inputs,
		.n_inputs = p->config->n_inputs,
		.lanes = (const char *const *)lanes,
		.n_lanes = plan->n_lanes,
		.n_slots = plan->n_lanes,
	};
	for (size_t i = 0; i < p->config->n_inputs; i++)
		inputs[i] = p->config->inputs[i].name;
	for (unsigned i = 0; i < plan->n_lanes; i++)
		lanes[i] = lane_key(&plan->lanes[i]);
	int r = progress_create(&p->progress, p->config->state_dir, run, &names);
	for (unsigned i = 0; i < plan->n_lanes; i++) {
		uint64_t delivered = resume_spool(p, &plan->lanes[i]);
		if (delivered)
			progress_spool(p->progress, i, delivered); /* should its lane not come to be opened */
		free(lanes[i]);
	}
	return r;
}

void resume_begin(struct pipeline *p)
{
	uint64_t run = draw_run();
	p->past = progress_read(p->config->state_dir, checkpoint_run(p->checkpoint));
	if (p->past) {
		advance_inputs(p);
		/* The killed run may not have synced what it wrote, and nobody else knows which files these were. */
		sync();
	}
	checkpoint_begin(p->checkpoint, run);
	int r = checkpoint_write(p->checkpoint);
	if (r == 0)
		r = create_progress(p, run);
	if (r < 0)
		log_line(LOG_WARN, NULL, "state_dir %s: no progress can be kept there (%s): after kill -9 events come again "
			"from the last checkpoint on", p->config->state_dir, strerror(-r));
	p->routing.progress = p->progress;
}

void resume_end(struct pipeline *p)
{
	_free_ char *path = mem_textf("%s/progress", p->config->state_dir);
	if (p->running && p->written)
		(void)unlink(path);
	progress_destroy(p->progress);
	progress_past_free(p->past);
}
