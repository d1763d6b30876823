#include "router/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

static struct classifier_override *overrides_of(const struct config *config, struct problems *problems)
{
	const struct text_pairs *said = &config->classifier.override_;
	struct classifier_override *list = mem_zero(said->n, sizeof *list);
	for (size_t i = 0; i < said->n; i++) {
		const struct text_pair *pair = &said->list[i];
		list[i] = (struct classifier_override){ .rule = pair->key, .file = config->path, .line = pair->line,
			.column = pair->column };
		if (!audit_class_parse(view_of(pair->value), &list[i].class_))
			problem_at(problems, PROBLEM_ERROR, config->path, pair->line, pair->column,
				"\"%s\" is no class: ADMIN_ACTIVITY, ADMIN_READ, DATA_READ or DATA_WRITE", pair->value);
	}
	return list;
}

static int load_classifier(struct plan *p, struct problems *problems)
{
	const struct config_classifier *said = &p->config->classifier;
	size_t errors = problems->errors;
	struct classifier_override *overrides = overrides_of(p->config, problems);
	int r = problems->errors > errors ? -EINVAL :
		classifier_load(&p->classifier, said->file ? NULL : said->name, said->file, overrides, said->override_.n,
			problems);
	free(overrides);
	return r;
}

/* Nothing where no path is said. */
static int load_policy(struct plan *p, struct plan_policy *ret, const char *path, struct problems *problems)
{
	if (!path)
		return 0;
	int r = policy_load(&ret->policy, path, problems);
	if (r < 0)
		return r;
	ret->path = path;
	ret->drops = mem_zero(1, sizeof *ret->drops + (policy_rules(ret->policy) + 1) * sizeof *ret->drops->by_rule);
	ret->drops->references = 1;
	ret->first_by_rule = p->n_by_rule;
	p->n_by_rule += policy_rules(ret->policy) + 1;
	return 0;
}

/* All of them, so that the user sees what is wrong with each. */
static int load_policies(struct plan *p, struct problems *problems)
{
	int r = load_policy(p, &p->policy, p->config->policy, problems);
	p->output_policies = mem_zero(p->config->n_outputs, sizeof *p->output_policies);
	for (size_t i = 0; i < p->config->n_outputs; i++) {
		int own = load_policy(p, &p->output_policies[i], p->config->outputs[i].common.policy, problems);
		if (r == 0)
			r = own;
	}
	return r;
}

static void drops_release(struct plan_drops *drops)
{
	if (drops && !--drops->references)
		free(drops);
}

static void policy_finish(struct plan_policy *p)
{
	policy_close(p->policy);
	drops_release(p->drops);
}

static int add_lane(struct plan *p, const struct config_output *output, enum audit_class class_, struct problems *problems)
{
	const struct config_output_common *common = &output->common;
	struct plan_lane *lane = &p->lanes[p->n_lanes];
	*lane = (struct plan_lane){
		.output = output,
		.class_ = class_,
		.number = p->n_lanes++,
		.key = output->ops->key ? output->ops->key(output) : KEY_NONE,
		.max_event_bytes = common->max_event_bytes,
	};
	uint64_t own_max = output->ops->max_event_bytes ? output->ops->max_event_bytes(output) : 0;
	if (own_max && (!lane->max_event_bytes || own_max < lane->max_event_bytes))
		lane->max_event_bytes = own_max;
	const struct selector *only = &common->only, *except = &common->except;
	int r = common->only_said ? matcher_create(&lane->only, &only, 1) : 0;
	if (r == 0 && common->except_said)
		r = matcher_create(&lane->except, &except, 1);
	if (r < 0)
		problem_at(problems, PROBLEM_ERROR, p->config->path, output->line, output->column,
			"output \"%s\": only or except has too many entries", output->name);
	return r;
}

static int add_lanes(struct plan *p, struct problems *problems)
{
	p->lanes = mem_zero(p->config->n_outputs * AUDIT_CLASSES, sizeof *p->lanes);
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++) {
		p->class_first[c] = p->n_lanes;
		for (size_t i = 0; i < p->config->n_outputs; i++) {
			const struct config_output *output = &p->config->outputs[i];
			if (!(config_output_classes(p->config, output) & 1u << c))
				continue;
			int r = add_lane(p, output, c, problems);
			if (r < 0)
				return r;
			if (p->output_policies[i].policy)
				p->lanes[p->n_lanes - 1].policy = &p->output_policies[i];
		}
	}
	p->class_first[AUDIT_CLASSES] = p->n_lanes;
	return 0;
}

int plan_create(struct plan **ret_plan, const struct config *config, struct problems *problems)
{
	struct plan *p = mem_zero(1, sizeof *p);
	p->references = 1;
	p->config = config;
	int classified = load_classifier(p, problems), r = load_policies(p, problems);
	if (r == 0)
		r = classified;
	if (r == 0)
		r = add_lanes(p, problems);
	if (r < 0) {
		plan_release(p);
		return r;
	}
	*ret_plan = p;
	return 0;
}

static const struct plan_lane *find_lane(const struct plan *p, const struct plan_lane *wanted)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		if (p->lanes[i].class_ == wanted->class_ && strcmp(p->lanes[i].output->name, wanted->output->name) == 0)
			return &p->lanes[i];
	return NULL;
}

static bool same_policy(const struct policy *a, const struct policy *b)
{
	struct buf texts[2] = { 0 };
	policy_print(a, &texts[0]);
	policy_print(b, &texts[1]);
	bool same = view_eq(buf_view(&texts[0]), buf_view(&texts[1]));
	buf_finish(&texts[0]);
	buf_finish(&texts[1]);
	return same;
}

/* Batches of the running plan may count on while they are on their way: the counts are shared, not copied. */
static void adopt_drops(struct plan_policy *reloaded, const struct plan_policy *running)
{
	if (!reloaded->policy || !running->policy || !same_policy(reloaded->policy, running->policy))
		return;
	drops_release(reloaded->drops);
	reloaded->drops = running->drops;
	reloaded->drops->references++;
}

static bool has_output(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_outputs; i++)
		if (strcmp(c->outputs[i].name, name) == 0)
			return true;
	return false;
}

/* Nothing but data_access, which counts what it drops, takes a class from an output that runs. */
static int check_all_fed(const struct plan *reloaded, const struct plan *started, struct err *err)
{
	for (unsigned i = 0; i < started->n_lanes; i++) {
		const struct plan_lane *lane = &started->lanes[i];
		if (reloaded->config->data_access.off[lane->class_] || find_lane(reloaded, lane))
			continue;
		if (!has_output(reloaded->config, lane->output->name))
			return err_set(err, "there is no output %s any more", lane->output->name);
		return err_set(err, "output %s gets no %s any more", lane->output->name, audit_class_name(lane->class_));
	}
	return 0;
}

static int adopt_lanes(struct plan *reloaded, const struct plan *started, struct err *err)
{
	for (unsigned i = 0; i < reloaded->n_lanes; i++) {
		struct plan_lane *lane = &reloaded->lanes[i];
		const struct plan_lane *same = find_lane(started, lane);
		if (!same)
			return err_set(err, "output %s gets %s, which it did not get at the start", lane->output->name,
				audit_class_name(lane->class_));
		lane->number = same->number;
		lane->key = same->key;
		lane->max_event_bytes = same->max_event_bytes;
	}
	return 0;
}

int plan_adopt(struct plan *reloaded, const struct plan *started, const struct plan *running, struct err *err)
{
	int r = check_all_fed(reloaded, started, err);
	if (r == 0)
		r = adopt_lanes(reloaded, started, err);
	if (r < 0)
		return r;
	adopt_drops(&reloaded->policy, &running->policy);
	for (size_t i = 0; i < reloaded->config->n_outputs; i++)
		for (size_t j = 0; j < running->config->n_outputs; j++)
			if (strcmp(reloaded->config->outputs[i].name, running->config->outputs[j].name) == 0)
				adopt_drops(&reloaded->output_policies[i], &running->output_policies[j]);
	return 0;
}

static void count_drops(const struct plan_policy *p, const uint64_t *by_rule)
{
	for (size_t i = 0; p->policy && i <= policy_rules(p->policy); i++)
		if (by_rule[p->first_by_rule + i])
			p->drops->by_rule[i] += by_rule[p->first_by_rule + i];
}

void plan_count_drops(const struct plan *p, const uint64_t *by_rule)
{
	count_drops(&p->policy, by_rule);
	for (size_t i = 0; i < p->config->n_outputs; i++)
		count_drops(&p->output_policies[i], by_rule);
}

struct plan *plan_hold(struct plan *p)
{
	p->references++;
	return p;
}

void plan_release(struct plan *p)
{
	if (!p || --p->references)
		return;
	for (unsigned i = 0; i < p->n_lanes; i++) {
		matcher_destroy(p->lanes[i].only);
		matcher_destroy(p->lanes[i].except);
	}
	free(p->lanes);
	policy_finish(&p->policy);
	for (size_t i = 0; p->output_policies && i < p->config->n_outputs; i++)
		policy_finish(&p->output_policies[i]);
	free(p->output_policies);
	classifier_close(p->classifier);
	config_close(p->owned);
	free(p);
}
