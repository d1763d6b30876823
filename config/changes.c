/* What a changed file asks for that only a restart gives: two trees are compared key by key, with the tables' reload flags. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/tables.h"
#include "router/base/buf.h"
#include "router/input/input.h"
#include "router/output/output.h"

static bool same(const struct node *a, const struct node *b);

static bool same_maps(const struct node *a, const struct node *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (!same(a->pairs[i].key, b->pairs[i].key) || !same(a->pairs[i].value, b->pairs[i].value))
			return false;
	return true;
}

/* As written, key order included: to call a mere change of order a change costs a restart too many, never one too few. */
static bool same(const struct node *a, const struct node *b)
{
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind || a->n != b->n)
		return false;
	if (a->kind == NODE_MAP)
		return same_maps(a, b);
	for (size_t i = 0; a->kind == NODE_LIST && i < a->n; i++)
		if (!same(a->items[i], b->items[i]))
			return false;
	return a->kind == NODE_LIST || (a->quoted == b->quoted && view_eq(a->text, b->text));
}

static bool is_reloaded(const struct section *section, const char *key)
{
	for (const struct setting *row = section ? section->rows : NULL; row && row->key; row++)
		if (strcmp(row->key, key) == 0)
			return row->reload == SETTING_RELOAD;
	return false;
}

struct changes {
	struct buf *names;
	size_t n;
};

static void add_change(struct changes *c, const char *prefix, const char *key)
{
	buf_addf(c->names, "%s%s%s", c->n ? ", " : "", prefix, key);
	c->n++;
}

/* Compares two mappings: the keys of `a` with those of `b`, and then the keys that only `b` has. */
static void compare(struct changes *c, const char *prefix, const struct node *a, const struct node *b,
	const struct section *common, const struct section *own)
{
	for (int pass = 0; pass < 2; pass++) {
		const struct node *from = pass ? b : a, *other = pass ? a : b;
		for (size_t i = 0; from && from->kind == NODE_MAP && i < from->n; i++) {
			const char *key = from->pairs[i].key->text.ptr;
			const struct node *theirs = tree_get(other, key);
			bool counted = pass && theirs;
			if (!counted && !is_reloaded(common, key) && !is_reloaded(own, key) &&
				!same(from->pairs[i].value, theirs))
				add_change(c, prefix, key);
		}
	}
}

static const struct section *own_section(bool outputs, const struct node *entry)
{
	const struct node *type = tree_get(entry, "type");
	if (!type || type->kind != NODE_SCALAR)
		return NULL;
	const struct output_ops *output = outputs ? output_find(type->text.ptr) : NULL;
	const struct input_ops *input = outputs ? NULL : input_find(type->text.ptr);
	return output ? output->settings : input ? input->settings : NULL;
}

static void compare_entries(struct changes *c, const char *what, const struct node *a, const struct node *b)
{
	bool outputs = strcmp(what, "outputs") == 0;
	for (int pass = 0; pass < 2; pass++) {
		const struct node *from = pass ? b : a, *other = pass ? a : b;
		for (size_t i = 0; from && from->kind == NODE_MAP && i < from->n; i++) {
			const char *name = from->pairs[i].key->text.ptr;
			const struct node *mine = from->pairs[i].value, *theirs = tree_get(other, name);
			char *prefix = mem_textf("%s.%s%s", what, name, theirs ? "." : "");
			if (!theirs)
				add_change(c, prefix, "");
			else if (!pass)
				compare(c, prefix, mine, theirs, outputs ? &config_output_section : &config_input_section,
					own_section(outputs, mine));
			free(prefix);
		}
	}
}

size_t config_changes(const struct config *before, const struct config *after, struct buf *names)
{
	static const struct setting entries[] = {
		{ .key = "inputs", .reload = SETTING_RELOAD },
		{ .key = "outputs", .reload = SETTING_RELOAD },
		{ .key = NULL },
	};
	static const struct section apart = { .rows = entries }; /* compared entry by entry below */
	const struct node *a = tree_root(before->tree), *b = tree_root(after->tree);
	struct changes c = { .names = names };
	compare(&c, "", a, b, &config_section, &apart);
	compare_entries(&c, "inputs", tree_get(a, "inputs"), tree_get(b, "inputs"));
	compare_entries(&c, "outputs", tree_get(a, "outputs"), tree_get(b, "outputs"));
	return c.n;
}
