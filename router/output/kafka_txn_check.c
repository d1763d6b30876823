/* `check` of exactly_once: what it cannot go with, and what it cannot be for. */
#include <string.h>

#include "config/config.h"
#include "router/output/kafka_settings.h"
#include "router/output/output.h"

/* Where a problem with that key is shown. */
static const struct node *at_key(const struct node *map, const char *key)
{
	const struct node *node = tree_get(map, key);
	return node ? node : map;
}

static void check_alone(struct settings_reader *reader, const struct node *map)
{
	static const char *const keys[] = { "transactional_id", "transaction_events", "transaction_wait" };
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (tree_get(map, keys[i]))
			settings_problem(reader, tree_get(map, keys[i]), "%s needs exactly_once: on", keys[i]);
}

static void check_common(struct settings_reader *reader, const struct config_output *output, const struct node *map)
{
	const struct config_output_common *common = &output->common;
	if (common->guarantee == BEST_EFFORT)
		settings_problem(reader, at_key(map, "guarantee"), "exactly_once and best_effort are two answers to one question");
	if (tree_get(map, "spool") && common->spool_max)
		settings_problem(reader, tree_get(map, "spool"),
			"an output that is exactly_once has no spool: what the brokers do not take stays at its source");
	if (tree_get(map, "spool_after"))
		settings_problem(reader, tree_get(map, "spool_after"), "an output that is exactly_once has no spool");
}

static void check_properties(struct settings_reader *reader, const struct kafka_settings *k)
{
	static const char *const needed[] = { "enable.idempotence", "acks", "request.required.acks" };
	for (size_t i = 0; i < k->client.properties.n; i++) {
		const struct text_pair *p = &k->client.properties.list[i];
		for (size_t j = 0; j < sizeof needed / sizeof *needed; j++) {
			bool good = strcmp(p->value, j ? "all" : "true") == 0 || (j && strcmp(p->value, "-1") == 0);
			if (strcmp(p->key, needed[j]) == 0 && !good)
				problem_at(reader->problems, PROBLEM_ERROR, reader->file, p->line, p->column,
					"exactly_once needs %s: %s", p->key, j ? "all" : "true");
		}
	}
}

static const char *own_id(const struct config_output *o)
{
	const struct kafka_settings *k = o->own;
	return k->transactional_id;
}

/* The other outputs: a second one in transactions, and those that are in none. */
static void check_others(struct settings_reader *reader, const struct config *c, const struct config_output *output,
	const struct node *map)
{
	const char *id = own_id(output);
	for (size_t i = 0; i < c->n_outputs; i++) {
		const struct config_output *other = &c->outputs[i];
		if (other == output || !other->own)
			continue;
		if (!output_exactly_once(other)) {
			settings_warning(reader, map,
				"output \"%s\" beside it is no part of its transactions: it is at_least_once, and gets some events again after a crash",
				other->name);
			continue;
		}
		if (other->ops == output->ops && id && own_id(other) && strcmp(id, own_id(other)) == 0)
			settings_problem(reader, at_key(map, "transactional_id"),
				"output \"%s\" has the same transactional_id: each would end the other", other->name);
	}
}

static void check_inputs(struct settings_reader *reader, const struct config *c, const struct node *map)
{
	for (size_t i = 0; i < c->n_inputs; i++) {
		const struct config_input *in = &c->inputs[i];
		if (in->ops && config_input_progress(in) == INPUT_FORGETS)
			settings_warning(reader, map,
				"input \"%s\" cannot say how far it has come: what comes from it is at_least_once into this output",
				in->name);
	}
}

/* Offsets that an input has for all are committed once. */
static void check_shared(struct settings_reader *reader, const struct config *c, const struct config_output *output,
	const struct node *map)
{
	for (size_t i = 0; i < c->n_inputs; i++)
		for (size_t k = 0; k < c->n_outputs; k++)
			if (c->inputs[i].ops && config_input_progress(&c->inputs[i]) == INPUT_SHARED && &c->outputs[k] != output &&
				c->outputs[k].own && output_exactly_once(&c->outputs[k])) {
				settings_problem(reader, map,
					"outputs \"%s\" and \"%s\" would both commit the offsets of input \"%s\": one of them can be exactly_once",
					output->name, c->outputs[k].name, c->inputs[i].name);
				return;
			}
}

void kafka_txn_check(struct settings_reader *reader, const struct config *c, const struct config_output *output,
	const struct node *map)
{
	const struct kafka_settings *k = output->own;
	if (!k->exactly_once) {
		check_alone(reader, map);
		return;
	}
	check_common(reader, output, map);
	check_properties(reader, k);
	check_others(reader, c, output, map);
	check_inputs(reader, c, map);
	check_shared(reader, c, output, map);
}
