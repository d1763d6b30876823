/* How a start goes on where the last run ended, and what is kept for the next one. Main's thread. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/commits.h"
#include "router/lane/seq.h"
#include "router/pipeline_state.h"

void resume_totals(struct pipeline *p)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		p->totals_before[i] = checkpoint_find_totals(p->checkpoint, lane_output(p->lanes[i])->name,
			audit_class_name(lane_class(p->lanes[i])));
}

static const struct checkpoint_lane *find_lane(const struct checkpoint_input *known, const struct lane *l)
{
	for (size_t i = 0; i < known->n_lanes; i++)
		if (strcmp(known->lanes[i].output, lane_output(l)->name) == 0 &&
			strcmp(known->lanes[i].class_, audit_class_name(lane_class(l))) == 0)
			return &known->lanes[i];
	return NULL;
}

/* A later epoch than any before, whatever the clock says; written down before a number of it leaves. */
static void start_epoch(struct pipeline *p, struct pipeline_input *in)
{
	const struct checkpoint_input *known = checkpoint_find_input(p->checkpoint, in->config->name);
	uint64_t epoch = (uint64_t)(clock_now_us() / 1000000);
	assert(!in->config->ops->state);
	if (epoch < SEQ_EPOCH_MIN)
		epoch = SEQ_EPOCH_MIN;
	if (known && !known->state && known->position >= epoch)
		epoch = known->position + 1;
	checkpoint_set_input(p->checkpoint, &(struct checkpoint_input){ .name = in->config->name, .position = epoch });
	for (unsigned i = 0; i < p->n_lanes; i++)
		in->feed->next_seq[i] = seq_first(epoch);
	int r = checkpoint_write(p->checkpoint);
	if (r < 0)
		log_line(LOG_ERROR, NULL, "the checkpoint cannot be written (%s): sequence numbers of input %s may come twice",
			strerror(-r), in->config->name);
}

int resume_input(struct pipeline *p, struct pipeline_input *in, struct input_options *options, const char ***ret_states,
	struct err *err)
{
	const struct checkpoint_input *known = checkpoint_find_input(p->checkpoint, in->config->name);
	const char **states = mem_zero(p->n_lanes, sizeof *states);
	if (in->config->ops->epochs) {
		start_epoch(p, in);
	} else if (known) {
		options->state = known->state;
		options->position = known->position;
		for (unsigned i = 0; i < p->n_lanes; i++) {
			const struct checkpoint_lane *lane = find_lane(known, p->lanes[i]);
			if (!lane)
				continue;
			states[i] = lane->state;
			in->feed->next_seq[i] = lane->seq;
		}
	}
	int r = commits_resume(p, in, options, states, err);
	ledger_start(in->feed->ledger, options->position, in->feed->next_seq);
	ledger_watch(in->feed->ledger, p->progress, in->feed->number);
	options->lane_states = states;
	options->n_lanes = p->n_lanes;
	in->settled = options->position;
	*ret_states = states;
	return r;
}

/* NULL: the same as the input's, which most are. */
static char *lane_state(const struct pipeline_input *in, const struct settlement *s, unsigned lane, const char *of_input)
{
	char *state = in->config->ops->state(in->input, s->lanes[lane].position, (int)lane);
	if (state && of_input && strcmp(state, of_input) == 0) {
		free(state);
		return NULL;
	}
	return state;
}

static void checkpoint_input(struct pipeline *p, struct pipeline_input *in, const struct settlement *s)
{
	if (!in->config->ops->state)
		return;
	_free_ char *state = in->config->ops->state(in->input, s->position, -1);
	_free_ struct checkpoint_lane *lanes = mem_zero(p->n_lanes, sizeof *lanes);
	_free_ char **states = mem_zero(p->n_lanes, sizeof(char *));
	for (unsigned i = 0; i < p->n_lanes; i++) {
		states[i] = lane_state(in, s, i, state);
		lanes[i] = (struct checkpoint_lane){
			.output = lane_output(p->lanes[i])->name,
			.class_ = audit_class_name(lane_class(p->lanes[i])),
			.state = states[i],
			.position = s->lanes[i].position,
			.seq = s->lanes[i].seq,
		};
	}
	checkpoint_set_input(p->checkpoint, &(struct checkpoint_input){
		.name = in->config->name,
		.state = state,
		.position = s->position,
		.lanes = lanes,
		.n_lanes = p->n_lanes,
	});
	for (unsigned i = 0; i < p->n_lanes; i++)
		free(states[i]);
}

static void checkpoint_totals(struct pipeline *p)
{
	for (unsigned i = 0; i < p->n_lanes; i++) {
		const struct lane_counters c = lane_counters(p->lanes[i]);
		const struct checkpoint_totals *before = &p->totals_before[i];
		const struct checkpoint_totals totals = {
			.received = before->received + c.received_events - lane_held(&c),
			.delivered = before->delivered + c.delivered_events,
			.dead = before->dead + c.dead_events,
			.dropped = before->dropped + c.dropped_events,
		};
		checkpoint_set_totals(p->checkpoint, lane_output(p->lanes[i])->name,
			audit_class_name(lane_class(p->lanes[i])), &totals);
	}
}

void checkpoint_inputs(struct pipeline *p, const struct settlement *settlements)
{
	for (size_t i = 0; i < p->config->n_inputs; i++)
		checkpoint_input(p, &p->inputs[i], &settlements[i]);
	checkpoint_totals(p);
	int r = checkpoint_write(p->checkpoint);
	p->written = r == 0;
	if (r < 0)
		log_limited(LOG_ERROR, NULL, "the checkpoint cannot be written: %s", strerror(-r));
}
