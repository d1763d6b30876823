#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/cross.h"
#include "config/keys.h"
#include "config/tables.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/format/format.h"
#include "router/input/input.h"
#include "router/output/output.h"

enum { NAME_BYTES_MAX = 63, KINDS_MAX = 32 };

/* Inputs and outputs look alike here: ops with a name and a section, found in a registry. */
struct kind {
	const char *what; /* "input" */
	const char *names[KINDS_MAX + 1];
	const struct section *common;
	size_t max;
};

static struct kind input_kind(void)
{
	struct kind k = { .what = "input", .common = &config_input_section, .max = INPUTS_MAX };
	for (size_t i = 0; input_registry[i]; i++) {
		assert(i < KINDS_MAX);
		k.names[i] = input_registry[i]->name;
	}
	return k;
}

static struct kind output_kind(void)
{
	struct kind k = { .what = "output", .common = &config_output_section, .max = OUTPUTS_MAX };
	for (size_t i = 0; output_registry[i]; i++) {
		assert(i < KINDS_MAX);
		k.names[i] = output_registry[i]->name;
	}
	return k;
}

static void check_name(struct settings_reader *reader, const struct kind *kind, const struct node *key)
{
	static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	struct view name = key->text;
	/* Names become parts of paths. */
	if (!name.len || name.len > NAME_BYTES_MAX || strspn(name.ptr, bytes) != name.len || name.ptr[0] == '.')
		settings_problem(reader, key, "the name of an %s is 1 to %d of A-Z a-z 0-9 . _ - and begins with no dot",
			kind->what, NAME_BYTES_MAX);
}

/* The type that an entry names, or NULL with a problem added. The caller frees. */
static char *read_type(struct settings_reader *reader, const struct kind *kind, const struct pair *pair)
{
	const struct node *node = tree_get(pair->value, "type");
	if (!node) {
		cleanup(buf_finish) struct buf known = { 0 };
		for (size_t i = 0; kind->names[i]; i++)
			buf_addf(&known, "%s%s", i ? ", " : "", kind->names[i]);
		settings_problem(reader, pair->key, "%s \"%s\" has no type; known: %s", kind->what, pair->key->text.ptr,
			buf_text(&known));
		return NULL;
	}
	/* `type: null` means the output of that name, whatever YAML makes of it. */
	bool is_word = node_is_null(node) && node->text.len;
	_free_ char *type = is_word ? mem_text(node->text) : settings_text(reader, node);
	for (size_t i = 0; type && kind->names[i]; i++)
		if (strcmp(type, kind->names[i]) == 0)
			return TAKE_PTR(type);
	if (type)
		keys_unknown(reader, node, "type", node->text.ptr, kind->names);
	return NULL;
}

static bool has_row(const struct section *section, struct view key)
{
	for (const struct setting *row = section->rows; row->key; row++)
		if (view_eq(view_of(row->key), key))
			return true;
	return false;
}

/* The pairs of `map` whose keys are rows of `section`, as a map. The caller frees ret->pairs. */
static void take_rows(const struct node *map, const struct section *section, struct node *ret)
{
	struct pair *pairs = mem_alloc(map->n * sizeof *pairs);
	*ret = *map;
	ret->n = 0;
	for (size_t i = 0; i < map->n; i++)
		if (map->pairs[i].key->kind == NODE_SCALAR && has_row(section, map->pairs[i].key->text))
			pairs[ret->n++] = map->pairs[i];
	ret->pairs = pairs;
}

static void check_type_once(struct settings_reader *reader, const struct node *map)
{
	struct keys keys;
	keys_of(map, &keys);
	for (size_t i = 0; i < keys.n; i++)
		if (keys.list[i].first && view_eq(keys.list[i].pair->key->text, VIEW("type")))
			(void)keys_good(reader, &keys.list[i]);
	keys_finish(&keys);
}

/*
 * Reads an entry into the two structs that it fills: what all of its kind have, and what is its own (`own` NULL: the
 * type is not known, and only what all have can be judged). True when the own part is good.
 */
static bool read_entry(struct settings_reader *reader, const struct kind *kind, const struct node *map,
	const struct section *own, void *common_values, void *own_values)
{
	const char *also[1 + 256] = { "type" };
	struct node rows;
	bool good = false;
	size_t n = 1;
	check_type_once(reader, map);
	if (!own) {
		take_rows(map, kind->common, &rows);
		(void)section_read(reader, kind->common, &rows, NULL, common_values);
		free((struct pair *)rows.pairs);
		return false;
	}
	for (const struct setting *row = own->rows; row->key; row++) {
		assert(n < sizeof also / sizeof *also - 1);
		also[n++] = row->key;
	}
	(void)section_read(reader, kind->common, map, also, common_values);
	take_rows(map, own, &rows);
	good = section_read(reader, own, &rows, NULL, own_values);
	free((struct pair *)rows.pairs);
	return good;
}

/* ---- entries of inputs and outputs ---- */

static void read_input(struct settings_reader *reader, const struct kind *kind, struct entry *e, struct config_input *in)
{
	_free_ char *type = read_type(reader, kind, e->pair);
	const struct input_ops *ops = type ? input_find(type) : NULL;
	void *own = ops ? mem_zero(1, ops->settings->size) : NULL;
	e->good = read_entry(reader, kind, e->pair->value, ops ? ops->settings : NULL, in, own);
	in->name = mem_text(e->pair->key->text);
	in->line = e->pair->key->line;
	in->column = e->pair->key->column;
	in->ops = ops;
	in->own = own;
}

static void read_format(struct settings_reader *reader, const struct node *node, struct config_output *out)
{
	const char *const *names = out->ops->formats;
	if (!names) {
		if (node)
			settings_problem(reader, node, "an output of type %s sends the events' own bytes: it has no format",
				out->ops->name);
		return;
	}
	_free_ char *text = node ? settings_text(reader, node) : mem_text(view_of(names[0]));
	if (!text)
		return;
	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], text) == 0)
			out->format = format_find(text);
	if (!out->format)
		keys_unknown(reader, node, "format", text, names);
}

static void read_output(struct settings_reader *reader, const struct kind *kind, struct entry *e,
	struct config_output *out)
{
	_free_ char *type = read_type(reader, kind, e->pair);
	const struct output_ops *ops = type ? output_find(type) : NULL;
	const struct node *map = e->pair->value;
	out->name = mem_text(e->pair->key->text);
	out->line = e->pair->key->line;
	out->column = e->pair->key->column;
	out->ops = ops;
	out->own = ops ? mem_zero(1, ops->settings->size) : NULL;
	e->good = read_entry(reader, kind, map, ops ? ops->settings : NULL, &out->common, out->own);
	out->common.classes_said = tree_get(map, "classes") != NULL;
	out->common.only_said = tree_get(map, "only") != NULL;
	out->common.except_said = tree_get(map, "except") != NULL;
	if (ops)
		read_format(reader, tree_get(map, "format"), out);
}

/* The entries of `inputs` or `outputs` that can be read at all. The caller frees the list. */
static size_t read_entries(struct settings_reader *reader, const struct kind *kind, const struct node *map,
	struct entry **ret_entries)
{
	struct keys keys;
	size_t n = 0;
	*ret_entries = NULL;
	if (!map)
		return 0;
	if (map->kind != NODE_MAP || !map->n) {
		settings_problem(reader, map, "%ss takes a mapping with at least one %s (NAME: {type: ...})", kind->what,
			kind->what);
		return 0;
	}
	keys_of(map, &keys);
	struct entry *entries = mem_zero(keys.n, sizeof *entries);
	for (size_t i = 0; i < keys.n; i++) {
		const struct pair *pair = keys.list[i].pair;
		if (!keys_good(reader, &keys.list[i]))
			continue;
		check_name(reader, kind, pair->key);
		if (pair->value->kind != NODE_MAP)
			settings_problem(reader, pair->value, "an %s is a mapping (type: ...)", kind->what);
		else if (n == kind->max)
			settings_problem(reader, pair->key, "more than %zu %ss", kind->max, kind->what);
		else
			entries[n++].pair = pair;
		if (n == kind->max && pair != entries[n - 1].pair)
			break;
	}
	keys_finish(&keys);
	*ret_entries = entries;
	return n;
}

static void read_inputs_and_outputs(struct settings_reader *reader, const struct node *root, struct config *c)
{
	const struct kind inputs = input_kind(), outputs = output_kind();
	struct cross x = { .reader = reader, .root = root, .config = c };
	c->n_inputs = read_entries(reader, &inputs, tree_get(root, "inputs"), &x.inputs);
	c->n_outputs = read_entries(reader, &outputs, tree_get(root, "outputs"), &x.outputs);
	c->inputs = mem_zero(c->n_inputs, sizeof *c->inputs);
	c->outputs = mem_zero(c->n_outputs, sizeof *c->outputs);
	for (size_t i = 0; i < c->n_inputs; i++)
		read_input(reader, &inputs, &x.inputs[i], &c->inputs[i]);
	for (size_t i = 0; i < c->n_outputs; i++)
		read_output(reader, &outputs, &x.outputs[i], &c->outputs[i]);
	cross_check(&x);
	free(x.inputs);
	free(x.outputs);
}

/* ---- the file ---- */

static void read_root(struct settings_reader *reader, const struct tree *tree, struct config *c)
{
	const struct node *root = tree_root(tree);
	const struct node start = { .line = 1, .column = 1 };
	struct node more = { .column = 1 };
	bool is_map = root && root->kind == NODE_MAP;
	if (!is_map)
		settings_problem(reader, root ? root : &start, root ? "a configuration is a mapping (inputs: ...)" : "empty");
	if (tree_has_more(tree, &more.line))
		settings_problem(reader, &more, "a second document, or text after the first: a configuration is one document");
	(void)section_read(reader, &config_section, is_map ? root : NULL, NULL, c);
	if (c->classifier.file) {
		free(c->classifier.name);
		c->classifier.name = NULL;
	}
	if (is_map)
		read_inputs_and_outputs(reader, root, c);
}

int config_parse(struct config **ret_config, const char *name, const char *folder, struct view bytes,
	struct problems *problems)
{
	struct settings_reader reader = { .file = name, .folder = folder, .problems = problems };
	struct tree *tree;
	struct err err = { 0 };
	size_t errors = problems->errors;
	int r = tree_parse(&tree, name, bytes, &err);
	if (r < 0) {
		problems_add(problems, PROBLEM_ERROR, &err);
		return r;
	}
	struct config *c = mem_zero(1, sizeof *c);
	read_root(&reader, tree, c);
	c->path = mem_text(view_of(name));
	c->folder = mem_text(view_of(folder));
	c->tree = tree;
	if (problems->errors > errors) {
		config_close(c);
		return -EINVAL;
	}
	*ret_config = c;
	return 0;
}

/* The folder of the file, absolute, and as it is named: a link to the file is not followed. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	_free_ char *folder = mem_text((struct view){ path, slash ? (size_t)(slash - path) : 0 });
	if (path[0] == '/')
		return *folder ? TAKE_PTR(folder) : mem_text(VIEW("/"));
	_free_ char *here = getcwd(NULL, 0);
	if (!here)
		return NULL;
	return *folder ? io_join(here, folder) : TAKE_PTR(here);
}

static int read_file(const char *path, struct buf *bytes)
{
	if (strcmp(path, "-") == 0)
		path = "/dev/stdin";
	return io_read_whole(path, TREE_BYTES_MAX, bytes);
}

int config_load(struct config **ret_config, const char *path, struct problems *problems)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
	int r = read_file(path, &bytes);
	_free_ char *folder = r < 0 ? NULL : folder_of(path);
	if (r == 0 && !folder)
		r = -errno;
	if (r < 0) {
		if (r == -EFBIG)
			problem_at(problems, PROBLEM_ERROR, name, 0, 0, "longer than %d MiB", TREE_BYTES_MAX >> 20);
		else
			problem_at(problems, PROBLEM_ERROR, name, 0, 0, "cannot be read: %s", strerror(-r));
		return -EINVAL;
	}
	return config_parse(ret_config, name, folder, buf_view(&bytes), problems);
}

void config_close(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_inputs; i++) {
		struct config_input *in = &c->inputs[i];
		if (in->ops)
			section_finish(in->ops->settings, in->own);
		section_finish(&config_input_section, in);
		free(in->own);
		free(in->name);
	}
	for (size_t i = 0; i < c->n_outputs; i++) {
		struct config_output *out = &c->outputs[i];
		if (out->ops)
			section_finish(out->ops->settings, out->own);
		section_finish(&config_output_section, &out->common);
		free(out->own);
		free(out->name);
	}
	free(c->inputs);
	free(c->outputs);
	section_finish(&config_section, c);
	free(c->path);
	free(c->folder);
	tree_close(c->tree);
	free(c);
}

enum input_progress config_input_progress(const struct config_input *in)
{
	return in->ops->commit_point ? INPUT_SHARED : in->ops->state && in->ops->merge ? INPUT_REMEMBERS : INPUT_FORGETS;
}

unsigned config_output_classes(const struct config *c, const struct config_output *output)
{
	unsigned on = 0;
	for (enum audit_class i = 0; i < AUDIT_CLASSES; i++)
		if (!c->data_access.off[i])
			on |= 1u << i;
	return output->common.classes_said ? output->common.classes & on : on;
}
