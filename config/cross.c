#include "config/cross.h"

#include <regex.h>
#include <string.h>

#include "config/keys.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/input.h"
#include "router/output/output.h"

/* ---- classes ---- */

/* A class that an output names though it is off: most likely a slip. */
static void check_named_classes(const struct cross *x, const struct config_output *out, const struct node *node)
{
	size_t n = !node ? 0 : node->kind == NODE_LIST ? node->n : 1;
	for (size_t i = 0; i < n; i++) {
		const struct node *item = node->kind == NODE_LIST ? node->items[i] : node;
		enum audit_class c;
		if (item->kind == NODE_SCALAR && audit_class_parse(item->text, &c) && x->config->data_access.off[c])
			settings_warning(x->reader, item, "output \"%s\" gets no %s: data_access switches it off",
				out->name, audit_class_name(c));
	}
	if (out->common.classes && !config_output_classes(x->config, out))
		settings_problem(x->reader, node, "output \"%s\" gets nothing: all of its classes are off", out->name);
}

static void check_classes(const struct cross *x)
{
	const struct config *c = x->config;
	const struct node *outputs = tree_get(x->root, "outputs");
	unsigned taken = 0;
	for (size_t i = 0; i < c->n_outputs; i++) {
		const struct config_output *out = &c->outputs[i];
		check_named_classes(x, out, tree_get(x->outputs[i].pair->value, "classes"));
		if (out->common.classes_said && !out->common.classes)
			return; /* what it was to get is not known; that was said */
		taken |= config_output_classes(c, out);
	}
	for (enum audit_class k = 0; k < AUDIT_CLASSES && c->n_outputs; k++) {
		if (c->data_access.off[k] || taken & 1u << k)
			continue;
		const char *name = audit_class_name(k);
		if (k == ADMIN_ACTIVITY)
			settings_problem(x->reader, outputs, "%s goes to no output: name it under the classes of one", name);
		else
			settings_problem(x->reader, outputs,
				"%s is on and goes to no output: name it under the classes of one, or switch it off "
				"(data_access: { %s: off })",
				name, name);
	}
}

/* ---- topics ---- */

enum { TOPIC_TEXT_ROOM = 512 };

/* The topics that an input of type kafka reads; NULL: it is another. */
static const struct strings *read_topics(const struct config_input *in)
{
	for (const struct setting *row = in->ops->settings ? in->ops->settings->rows : NULL; row && row->key; row++)
		if (strcmp(row->key, "topics") == 0 && row->type == SETTING_TEXTS)
			return (const struct strings *)((const char *)in->own + row->offset);
	return NULL;
}

static bool topic_fits(struct view pattern, const char *topic)
{
	regex_t expression;
	if (!pattern.len || pattern.ptr[0] != '^')
		return view_eq(pattern, view_of(topic));
	_free_ char *text = mem_text(pattern);
	if (regcomp(&expression, text, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool fits = regexec(&expression, topic, 0, NULL, 0) == 0;
	regfree(&expression);
	return fits;
}

/* What an input reads and an output writes, if their brokers are the same, goes round for ever. One warning a pair. */
static void check_round(const struct cross *x, size_t in, const struct strings *topics, const struct config_output *out)
{
	unsigned classes = config_output_classes(x->config, out);
	for (enum audit_class k = 0; k < AUDIT_CLASSES; k++)
		for (size_t i = 0; classes & 1u << k && i < topics->n; i++) {
			char topic[TOPIC_TEXT_ROOM];
			out->ops->describe(x->config, out, k, topic, sizeof topic);
			if (!topic_fits(topics->list[i], topic))
				continue;
			const struct node *at = tree_get(x->inputs[in].pair->value, "topics");
			settings_warning(x->reader, at ? at : x->inputs[in].pair->value,
				"input \"%s\" reads topic %s, which output \"%s\" writes: on the same brokers its events would go "
				"round for ever",
				x->config->inputs[in].name, topic, out->name);
			return;
		}
}

static void check_rounds(const struct cross *x)
{
	const struct config *c = x->config;
	for (size_t i = 0; i < c->n_inputs; i++) {
		const struct strings *topics = x->inputs[i].good ? read_topics(&c->inputs[i]) : NULL;
		for (size_t o = 0; topics && o < c->n_outputs; o++)
			if (x->outputs[o].good && strcmp(c->outputs[o].ops->name, "kafka") == 0)
				check_round(x, i, topics, &c->outputs[o]);
	}
}

/* ---- exactly once ---- */

/* The properties of a Kafka input; NULL: it has none. */
static const struct text_pairs *properties_of(const struct config_input *in)
{
	for (const struct setting *row = in->ops->settings ? in->ops->settings->rows : NULL; row && row->key; row++)
		if (strcmp(row->key, "properties") == 0 && row->type == SETTING_PAIRS)
			return (const struct text_pairs *)((const char *)in->own + row->offset);
	return NULL;
}

static bool any_exactly_once(const struct cross *x)
{
	for (size_t i = 0; i < x->config->n_outputs; i++)
		if (x->outputs[i].good && output_exactly_once(&x->config->outputs[i]))
			return true;
	return false;
}

/* What is read before it is stable may be given up and written again, at offsets of its own. */
static void check_isolation(const struct cross *x)
{
	bool wanted = any_exactly_once(x);
	for (size_t i = 0; wanted && i < x->config->n_inputs; i++) {
		const struct config_input *in = &x->config->inputs[i];
		const struct text_pairs *properties = x->inputs[i].good ? properties_of(in) : NULL;
		for (size_t k = 0; properties && k < properties->n; k++) {
			const struct text_pair *p = &properties->list[k];
			if (strcmp(p->key, "isolation.level") == 0 && strcmp(p->value, "read_committed") != 0)
				problem_at(x->reader->problems, PROBLEM_ERROR, x->reader->file, p->line, p->column,
					"an exactly_once output needs isolation.level: read_committed of input \"%s\"", in->name);
		}
	}
}

/* ---- names ---- */

enum { CLUSTER_MAX_BYTES = 255 }; /* what a spool's record takes */

static void check_cluster(const struct cross *x, const struct node *map, const char *cluster)
{
	const struct node *at = tree_get(map, "cluster");
	if (cluster && at && strlen(cluster) > CLUSTER_MAX_BYTES)
		settings_problem(x->reader, at, "cluster is longer than %d bytes", CLUSTER_MAX_BYTES);
}

static void check_clusters(const struct cross *x)
{
	check_cluster(x, x->root, x->config->cluster);
	for (size_t i = 0; i < x->config->n_inputs; i++)
		check_cluster(x, x->inputs[i].pair->value, x->config->inputs[i].cluster);
}

/* ---- all ---- */

static void check_queues(const struct cross *x)
{
	const struct config *c = x->config;
	for (size_t i = 0; i < c->n_outputs; i++) {
		const struct config_output *out = &c->outputs[i];
		const struct node *node = tree_get(x->outputs[i].pair->value, "queue");
		if (!node || !c->memory_max)
			continue;
		unsigned n = (unsigned)__builtin_popcount(config_output_classes(c, out));
		if (out->common.queue_bytes > c->memory_max)
			settings_warning(x->reader, node, "queue is above memory_max, which bounds all queues together");
		else if (x->outputs[i].good && output_exactly_once(out) && n && out->common.queue_bytes > c->memory_max / 2 / n)
			settings_warning(x->reader, node,
				"%u classes of that much are above one half of memory_max, which is all that an exactly_once output gets",
				n);
	}
}

void cross_check(const struct cross *x)
{
	const struct config *c = x->config;
	check_classes(x);
	check_clusters(x);
	cross_check_files(x);
	check_queues(x);
	check_rounds(x);
	check_isolation(x);
	for (size_t i = 0; i < c->n_inputs; i++)
		if (x->inputs[i].good && c->inputs[i].ops->check)
			c->inputs[i].ops->check(x->reader, c, &c->inputs[i], x->inputs[i].pair->value);
	for (size_t i = 0; i < c->n_outputs; i++)
		if (x->outputs[i].good && c->outputs[i].ops->check)
			c->outputs[i].ops->check(x->reader, c, &c->outputs[i], x->outputs[i].pair->value);
}
