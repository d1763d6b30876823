/*
 * How far everything is safe: positions are taken, what they stand for is made durable, and inputs, checkpoint and transactions
 * are told. Main's thread.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/commits.h"
#include "router/lane/dead_letters.h"
#include "router/pipeline_state.h"

enum {
	SETTLE_MS = 100,          /* between two settlements, at least ... */
	SETTLE_PART = 4,          /* ... and so many times what the last one took: main spends a fifth of its time on them */
};

static bool is_durable(struct pipeline *p, const char *what, int r)
{
	if (r < 0) {
		log_limited(LOG_ERROR, NULL, "%s cannot be made durable: %s", what, strerror(-r));
		p->wrong = true;
		progress_distrust(p->progress);
	}
	return r == 0;
}

/* Makes durable what lanes and dead letters have taken so far, lane by lane. False: not those of the inputs, so nothing is. */
static bool sync_all(struct pipeline *p, bool *durable)
{
	for (unsigned i = 0; i < p->n_lanes; i++) {
		size_t output = (size_t)(lane_output(p->lanes[i]) - p->config->outputs);
		durable[i] = is_durable(p, lane_name(p->lanes[i]), lane_sync(p->lanes[i])) &&
			is_durable(p, dead_letters_path(p->dead[output]), dead_letters_sync(p->dead[output]));
	}
	return is_durable(p, dead_letters_path(p->routing.broken), dead_letters_sync(p->routing.broken));
}

/*
 * What a lane has closed, and could not make durable, is not settled: the lane stays where it was last durable, and so do its
 * inputs. A lane that had nothing new of an input holds it not.
 */
static void hold_back(struct pipeline *p, size_t input, const bool *durable, struct settlement *s)
{
	for (unsigned i = 0; i < p->n_lanes; i++) {
		struct ledger_lane *synced = &p->inputs[input].synced[i];
		if (durable[i] || s->lanes[i].closed == synced->closed) {
			*synced = s->lanes[i];
			continue;
		}
		s->lanes[i] = *synced;
		if (s->position > synced->position)
			s->position = synced->position;
	}
}

static struct settlement *take_positions(struct pipeline *p, bool prompt_only)
{
	struct settlement *settlements = mem_zero(p->config->n_inputs, sizeof *settlements);
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		struct settlement *s = &settlements[i];
		if (prompt_only && !p->inputs[i].config->ops->prompt) {
			s->position = p->inputs[i].settled;
			continue;
		}
		s->lanes = mem_zero(p->n_lanes, sizeof *s->lanes);
		s->position = ledger_positions(p->inputs[i].feed->ledger, s->lanes);
	}
	return settlements;
}

/* What lies in a folder that was removed or moved away is safe from nothing: a webhook's clients, say, must not be told that it is. */
static bool state_in_place(struct pipeline *p)
{
	if (checkpoint_in_place(p->checkpoint))
		return true;
	log_limited(LOG_ERROR, NULL, "state_dir %s was removed or moved: nothing counts as safe from here on; put it back, or start anew",
		p->config->state_dir);
	p->wrong = true;
	return false;
}

/* The order matters at kill -9 and power loss: positions first, then what they stand for is made durable. */
static bool sync_positions(struct pipeline *p, struct settlement *settlements)
{
	_free_ bool *durable = mem_zero(p->n_lanes, sizeof *durable);
	if (!state_in_place(p) || !sync_all(p, durable))
		return false;
	for (size_t i = 0; i < p->config->n_inputs; i++)
		if (settlements[i].lanes)
			hold_back(p, i, durable, &settlements[i]);
	return true;
}

static void free_positions(struct pipeline *p, struct settlement *settlements)
{
	for (size_t i = 0; i < p->config->n_inputs; i++)
		free(settlements[i].lanes);
	free(settlements);
}

static void tell_settled(struct pipeline *p, const struct settlement *settlements)
{
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		struct pipeline_input *in = &p->inputs[i];
		if (settlements[i].position == in->settled)
			continue;
		in->settled = settlements[i].position;
		if (in->config->ops->settled)
			in->config->ops->settled(in->input, in->settled);
	}
}

/* Tells inputs and checkpoint how far everything is safe. */
void settle_all(struct pipeline *p)
{
	struct settlement *settlements = take_positions(p, false);
	p->written = false;
	if (sync_positions(p, settlements)) {
		checkpoint_inputs(p, settlements);
		tell_settled(p, settlements);
		commits_publish(p, settlements);
	}
	free_positions(p, settlements);
}

/* Between two settlements. Else a lane that spools fast would have to sync by itself, and all that wait for it would wait for the disk. */
static void relieve_lanes(struct pipeline *p)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		lane_relieve(p->lanes[i]);
}

/* Settles when it is time: what was delivered since the last settlement comes again after a crash. */
void settle_if_due(struct pipeline *p)
{
	int64_t now = clock_steady_ms();
	if (now < p->settle_due_ms) {
		relieve_lanes(p);
		return;
	}
	settle_all(p);
	int64_t end = clock_steady_ms(), pause = (end - now) * SETTLE_PART;
	p->settle_due_ms = end + (pause > SETTLE_MS ? pause : SETTLE_MS);
}

/* Has something become safe that a client waits to hear of? */
static bool prompt_news(struct pipeline *p)
{
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		struct pipeline_input *in = &p->inputs[i];
		if (in->config->ops->prompt && ledger_positions(in->feed->ledger, NULL) != in->settled)
			return true;
	}
	return false;
}

static void note_prompt(struct pipeline *p, int64_t start)
{
	int64_t end = clock_steady_ms(), took = end - start;
	p->prompt_due_ms = end + (took < SETTLE_PROMPT_MS ? took : SETTLE_PROMPT_MS);
}

/* As settle_all(), for inputs with `prompt` only, and nothing is written down: what they were told is durable without that. */
void settle_prompt(struct pipeline *p)
{
	if (!prompt_news(p))
		return;
	int64_t start = clock_steady_ms();
	if (start < p->prompt_due_ms) {
		(void)poll(NULL, 0, (int)(p->prompt_due_ms - start));
		start = clock_steady_ms();
	}
	struct settlement *settlements = take_positions(p, true);
	if (sync_positions(p, settlements))
		tell_settled(p, settlements);
	free_positions(p, settlements);
	note_prompt(p, start);
}

/* As settle_all(), for transactions that wait to hear what is durable beside them. */
void settle_commits(struct pipeline *p)
{
	int64_t start = clock_steady_ms();
	if (!commits_wanted(p) || start < p->prompt_due_ms)
		return;
	struct settlement *settlements = take_positions(p, false);
	if (sync_positions(p, settlements))
		commits_publish(p, settlements);
	free_positions(p, settlements);
	note_prompt(p, start);
}
