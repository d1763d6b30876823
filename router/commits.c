#include "router/commits.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/commit_point.h"
#include "router/lane/dead_letters.h"
#include "router/pipeline_state.h"

struct commits {
	struct pipeline *pipeline;
	const struct config_output *output;
	struct commit_host host;
	struct lane *leader;
	int64_t since_ms;
	char **texts; /* by input: what was committed; NULL: nothing */

	/* the worker's */
	uint64_t lanes[LEDGER_LANES_MAX / 64]; /* its own, a bit each */
	uint64_t *numbers;                     /* by lane number */
};

static void json_release(json_t **value)
{
	json_decref(*value);
}

static bool is_mine(const struct commits *c, unsigned lane)
{
	const struct pipeline *p = c->pipeline;
	return lane_output(p->lanes[lane]) == c->output;
}

/* ---- at the start: main's thread ---- */

static bool keeps_text(void *context, unsigned input)
{
	const struct commits *c = context;
	const struct input_ops *ops = c->pipeline->config->inputs[input].ops;
	return ops->state && ops->merge && !ops->commit_point;
}

static void resumed(void *context, unsigned input, const char *text)
{
	struct commits *c = context;
	free(c->texts[input]);
	c->texts[input] = text ? mem_text(view_of(text)) : NULL;
}

static bool may_wait(void *context)
{
	struct commits *c = context;
	struct pollfd fd = { .fd = c->pipeline->signal_fd, .events = POLLIN };
	struct signalfd_siginfo info;
	if (!c->since_ms)
		c->since_ms = clock_steady_ms();
	while (poll(&fd, 1, 0) > 0 && read(fd.fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			return false;
	return !c->pipeline->once || clock_steady_ms() - c->since_ms < c->pipeline->config->once_wait_ms;
}

/* A state that lives as long as the input does. */
static const char *keep(struct pipeline_input *in, char *state)
{
	in->states = mem_resize(in->states, (in->n_states + 1) * sizeof(char *));
	return in->states[in->n_states++] = state;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int resume_lane(struct pipeline *p, struct pipeline_input *in, const struct input_options *options, const char **states,
	unsigned lane, const json_t *said, struct err *err)
{
	const json_t *mine = json_object_get(json_object_get(said, "classes"), audit_class_name(lane_class(p->lanes[lane])));
	const char *state = text_of(mine, "state") ? text_of(mine, "state") : text_of(said, "state");
	const char *instance = text_of(said, "instance");
	if (!mine || !state)
		return 0; /* a class that the output did not get then goes on where the checkpoint says */
	_free_ const char **known = mem_zero(p->n_lanes + 1, sizeof *known);
	struct input_merge merge = {
		.committed = state,
		.same_line = instance && strcmp(instance, p->instance) == 0,
		.mine = states[lane] ? states[lane] : options->state,
		.known = known,
	};
	if (options->state)
		known[merge.n_known++] = options->state;
	for (unsigned i = 0; i < p->n_lanes; i++)
		if (states[i])
			known[merge.n_known++] = states[i];
	char *merged = in->config->ops->merge(&merge, err);
	if (!merged)
		return -EBADMSG;
	states[lane] = keep(in, merged);
	in->feed->next_seq[lane] = (uint64_t)json_integer_value(json_object_get(mine, "seq"));
	return 0;
}

static int resume_output(struct pipeline *p, struct pipeline_input *in, const struct input_options *options, const char **states,
	const struct commits *c, struct err *err)
{
	json_error_t why;
	const char *text = c->texts[in - p->inputs];
	cleanup(json_release) json_t *said = text ? json_loads(text, JSON_REJECT_DUPLICATES, &why) : NULL;
	if (!text)
		return 0;
	if (!json_is_object(json_object_get(said, "classes")))
		return err_set(err, "what output %s has committed of it cannot be read", c->output->name), -EBADMSG;
	int r = 0;
	for (unsigned i = 0; r == 0 && i < p->n_lanes; i++)
		if (is_mine(c, i))
			r = resume_lane(p, in, options, states, i, said, err);
	return r;
}

int commits_resume(struct pipeline *p, struct pipeline_input *in, struct input_options *options, const char **states,
	struct err *err)
{
	bool any = false;
	int r = 0;
	for (size_t i = 0; r == 0 && p->commits && i < p->config->n_outputs; i++)
		if (p->commits[i]) {
			options->exactly_once = true;
			r = resume_output(p, in, options, states, p->commits[i], err);
		}
	for (unsigned i = 0; i < p->n_lanes; i++)
		any = any || states[i];
	if (r < 0 || !any || options->state || !in->config->ops->merge)
		return r;
	/* state_dir was lost: what is known of the input is known of some lanes, and nothing of the others. */
	char *nothing = in->config->ops->merge(&(const struct input_merge){ 0 }, err);
	if (!nothing)
		return -EBADMSG;
	options->state = keep(in, nothing);
	return 0;
}

/* ---- while it runs: the worker's thread ---- */

static uint64_t position(void *context, unsigned input)
{
	struct commits *c = context;
	struct pipeline *p = c->pipeline;
	return p->running ? ledger_reach(p->inputs[input].feed->ledger, c->lanes, 0) : 0;
}

static int want_others(struct pipeline *p)
{
	uint64_t one = 1;
	p->commits_wanted = true;
	(void)!write(p->news_fd, &one, sizeof one);
	return -EAGAIN;
}

/* Offsets that all outputs share: as far as the others are, too. */
static int shared_point(struct pipeline *p, struct pipeline_input *in, uint64_t from, uint64_t to, struct commit_point *ret)
{
	const uint64_t others = in->others_durable, last = others < to ? others : to;
	if (last < from)
		return want_others(p);
	int r = in->config->ops->commit_point(in->input, from, last, ret);
	return r == -ERANGE && last < to ? want_others(p) : r;
}

/* One state for all lanes, if they have the same; NULL: the input has nothing to remember. */
static json_t *states_text(struct commits *c, struct pipeline_input *in, uint64_t at, unsigned shorter)
{
	const struct pipeline *p = c->pipeline;
	_free_ char *first = NULL;
	json_t *classes = json_object();
	for (unsigned i = 0; i < p->n_lanes; i++) {
		if (!is_mine(c, i))
			continue;
		_free_ char *whole = in->config->ops->state(in->input, at, (int)i);
		_free_ char *state = whole && shorter && in->config->ops->shorten ? in->config->ops->shorten(whole, shorter) :
										     TAKE_PTR(whole);
		if (!state)
			break;
		if (!first)
			first = mem_text(view_of(state));
		(void)json_object_set_new(classes, audit_class_name(lane_class(p->lanes[i])),
			json_pack("{sI ss*}", "seq", (json_int_t)c->numbers[i], "state", strcmp(first, state) == 0 ? NULL : state));
	}
	json_t *text = first ? json_pack("{ss ss so}", "instance", p->instance, "state", first, "classes", classes) : NULL;
	if (!text)
		json_decref(classes);
	return text;
}

static bool may_end(void *context, unsigned input, uint64_t at)
{
	struct commits *c = context;
	struct pipeline_input *in = &c->pipeline->inputs[input];
	struct commit_point point = { 0 };
	if (!c->pipeline->running || !in->config->ops->commit_point)
		return true;
	int r = in->config->ops->commit_point(in->input, at, ledger_reach(in->feed->ledger, c->lanes, at), &point);
	commit_point_finish(&point);
	return r != -ERANGE; /* whatever else it is, more events do not mend it */
}

static int point(void *context, unsigned input, uint64_t at, unsigned shorter, struct commit_point *ret)
{
	struct commits *c = context;
	struct pipeline *p = c->pipeline;
	struct pipeline_input *in = &p->inputs[input];
	if (!p->running)
		return -EAGAIN;
	const uint64_t to = ledger_reach(in->feed->ledger, c->lanes, at);
	ret->position = to;
	/* What is passed over stands there first. */
	int r = dead_letters_sync(p->routing.broken);
	if (r == 0)
		r = dead_letters_sync(p->dead[c->output - p->config->outputs]);
	if (r < 0)
		return r;
	if (in->config->ops->commit_point)
		return shared_point(p, in, at, to, ret);
	if (!keeps_text(c, input))
		return 0;
	ledger_numbers(in->feed->ledger, to, c->numbers);
	cleanup(json_release) json_t *text = states_text(c, in, to, shorter);
	ret->text = text ? json_dumps(text, JSON_COMPACT) : NULL;
	return 0;
}

static void failed(void *context, const char *why)
{
	struct commits *c = context;
	struct pipeline *p = c->pipeline;
	log_line(LOG_ERROR, NULL, "output %s cannot go on, the router ends: %s; a new start goes on from what was committed",
		c->output->name, why);
	p->failed = true;
	uint64_t one = 1;
	(void)!write(p->news_fd, &one, sizeof one);
}

/* ---- main's ---- */

bool commits_wanted(struct pipeline *p)
{
	return p->commits_wanted;
}

void commits_publish(struct pipeline *p, const struct settlement *settlements)
{
	p->commits_wanted = false;
	for (size_t i = 0; p->commits && i < p->config->n_inputs; i++) {
		uint64_t lowest = UINT64_MAX;
		if (!p->inputs[i].config->ops->commit_point || !settlements[i].lanes)
			continue;
		for (unsigned k = 0; k < p->n_lanes; k++)
			if (!output_exactly_once(lane_output(p->lanes[k])) && settlements[i].lanes[k].position < lowest)
				lowest = settlements[i].lanes[k].position;
		p->inputs[i].others_durable = lowest;
	}
	for (size_t i = 0; p->commits && i < p->config->n_outputs; i++)
		if (p->commits[i] && p->commits[i]->leader)
			lane_wake(p->commits[i]->leader);
}

struct commits *commits_create(struct pipeline *p, const struct config_output *output)
{
	struct commits *c = mem_zero(1, sizeof *c);
	unsigned n = p->routing.plan->n_lanes;
	*c = (struct commits){
		.pipeline = p,
		.output = output,
		.texts = mem_zero(p->config->n_inputs, sizeof(char *)),
		.numbers = mem_zero(n, sizeof *c->numbers),
		.host = { c, (unsigned)p->config->n_inputs, keeps_text, resumed, may_wait, position, may_end, point, failed },
	};
	for (unsigned i = 0; i < n; i++)
		if (p->routing.plan->lanes[i].output == output)
			c->lanes[i / 64] |= 1ull << (i % 64);
	return c;
}

void commits_destroy(struct commits *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->pipeline->config->n_inputs; i++)
		free(c->texts[i]);
	free(c->texts);
	free(c->numbers);
	free(c);
}

const struct commit_host *commits_host(const struct commits *c)
{
	return &c->host;
}

void commits_lane(struct commits *c, struct lane *leader)
{
	c->leader = leader;
}
