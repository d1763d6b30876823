#include "config/cross.h"

#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/input.h"
#include "router/output/file_path.h"
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

/* ---- files ---- */

/* One digit of a date or an hour in an expanded path. */
enum { ANY_DIGIT = 1 };

struct written {
	char *path;  /* expanded; digits of {date} and {hour} as ANY_DIGIT */
	char *group; /* path with every digit as ANY_DIGIT: equal for all that may be equal */
	size_t output;
	enum audit_class class_;
};

struct files {
	struct written *list;
	size_t n, room;
};

/* The value of a setting `path`, in inputs a pattern and in outputs a template; NULL where there is no such row. */
static const char *const *own_path(const struct section *section, const void *own)
{
	for (const struct setting *row = section->rows; row->key; row++)
		if (strcmp(row->key, "path") == 0 && row->type == SETTING_PATH)
			return (const char *const *)((const char *)own + row->offset);
	return NULL;
}

/* "a//b", "a/./b" and "a/x/../b" are "a/b", unless x is a link. */
static void drop_empty_steps(char *path)
{
	char *to = path;
	for (const char *from = path; *from;) {
		if (from[0] == '/' && from[1] == '/') {
			from++;
		} else if (from[0] == '/' && from[1] == '.' && from[2] == '/') {
			from += 2;
		} else if (from[0] == '/' && from[1] == '.' && from[2] == '.' && from[3] == '/') {
			from += 3;
			while (to > path && *--to != '/')
				;
		} else {
			*to++ = *from++;
		}
	}
	*to = 0;
}

/* {date} and {hour} as any digits, or as what stands for them where an event has no time; the rest is file_path's. */
static char *expand(const char *template, const struct config *c, const struct config_input *in, enum audit_class class_,
	bool has_time)
{
	static const char date[] = { ANY_DIGIT, ANY_DIGIT, ANY_DIGIT, ANY_DIGIT, '-', ANY_DIGIT, ANY_DIGIT, '-', ANY_DIGIT,
		ANY_DIGIT, 0 };
	const struct file_path_values values = {
		.class_ = class_,
		.cluster = in->cluster ? in->cluster : c->cluster,
		.input = in->name,
	};
	cleanup(buf_finish) struct buf dated = { 0 };
	struct buf out = { 0 };
	while (*template) {
		bool is_date = view_starts(view_of(template), VIEW("{date}"));
		if (is_date || view_starts(view_of(template), VIEW("{hour}"))) {
			buf_add_view(&dated, view_of(!has_time ? "unknown" : is_date ? date : date + 8));
			template += strlen("{date}");
		} else {
			buf_add_byte(&dated, *template++);
		}
	}
	file_path_add(&out, buf_text(&dated), &values);
	(void)buf_text(&out);
	drop_empty_steps(out.ptr);
	return out.ptr;
}

static bool is_digit(char c)
{
	return (c >= '0' && c <= '9') || c == ANY_DIGIT;
}

static void add_file(struct files *files, char *path, size_t output, enum audit_class class_)
{
	if (files->n == files->room) {
		files->room = files->room ? files->room * 2 : 64;
		files->list = mem_resize(files->list, files->room * sizeof *files->list);
	}
	char *group = mem_text(view_of(path));
	for (char *at = group; *at; at++)
		if (is_digit(*at))
			*at = ANY_DIGIT;
	files->list[files->n++] = (struct written){ path, group, output, class_ };
}

static bool may_be_equal(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == ANY_DIGIT || *b == ANY_DIGIT) && is_digit(*a) && is_digit(*b)))
			return false;
	return *a == *b;
}

static int compare_files(const void *left, const void *right)
{
	const struct written *a = left, *b = right;
	int order = strcmp(a->group, b->group);
	if (order)
		return order;
	return a->output != b->output ? (a->output > b->output) - (a->output < b->output) :
					(int)a->class_ - (int)b->class_;
}

/* The place of an output's path. */
static const struct node *path_node(const struct cross *x, size_t output)
{
	const struct node *node = tree_get(x->outputs[output].pair->value, "path");
	return node ? node : x->outputs[output].pair->key;
}

static void add_files_of(const struct cross *x, size_t output, struct files *files)
{
	const struct config *c = x->config;
	const struct config_output *out = &c->outputs[output];
	if (!x->outputs[output].good || !out->ops->files)
		return;
	const char *const *own = own_path(out->ops->settings, out->own), *path = own ? *own : NULL;
	struct err ignored; /* the output itself says what is wrong with its template */
	if (!path || file_path_check(path, &ignored) < 0)
		return;
	unsigned classes = config_output_classes(c, out);
	if (__builtin_popcount(classes) > 1 && !strstr(path, "{class}")) {
		settings_problem(x->reader, path_node(x, output),
			"output \"%s\" gets %d classes: its path needs {class}, so that each has a file of its own", out->name,
			__builtin_popcount(classes));
		return;
	}
	bool by_input = strstr(path, "{input}") || strstr(path, "{cluster}");
	bool by_time = strstr(path, "{date}") || strstr(path, "{hour}");
	for (enum audit_class k = 0; k < AUDIT_CLASSES; k++)
		for (size_t i = 0; classes & 1u << k && i < (by_input ? c->n_inputs : c->n_inputs > 0); i++) {
			add_file(files, expand(path, c, &c->inputs[i], k, true), output, k);
			if (by_time)
				add_file(files, expand(path, c, &c->inputs[i], k, false), output, k);
		}
}

/* The first pair of a group that would meet is told; a hostile file has no more than one such search an output. */
static void check_group(const struct cross *x, const struct written *group, size_t n, bool *told)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++) {
			const struct written *a = &group[i], *b = &group[j];
			if (told[b->output] || (a->output == b->output && a->class_ == b->class_) ||
				!may_be_equal(a->path, b->path))
				continue;
			told[b->output] = true;
			settings_problem(x->reader, path_node(x, b->output),
				a->output == b->output ? "two classes of output \"%s\" would write one file" :
							 "output \"%s\" would write the same file as output \"%s\"",
				x->config->outputs[b->output].name, x->config->outputs[a->output].name);
		}
}

/*
 * Does the pattern (* and ?, not over slashes) take the path? Only the last star is ever gone back to, so the cost is at
 * most the product of the lengths.
 */
static bool pattern_takes(const char *pattern, const char *path)
{
	const char *star = NULL, *resume = NULL;
	while (*path) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = path;
		} else if ((*pattern == '?' && *path != '/') || *pattern == *path ||
			   (*path == ANY_DIGIT && is_digit(*pattern))) {
			pattern++;
			path++;
		} else if (star && *resume != '/') {
			pattern = star;
			path = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* The same for patterns with sets ([a-z]): as glob has it, with each digit in turn for those that may be any. */
static bool set_takes(const char *pattern, const char *path)
{
	bool takes = false;
	for (char digit = '0'; digit <= '9' && !takes; digit++) {
		_free_ char *one = mem_text(view_of(path));
		for (char *at = one; *at; at++)
			if (*at == ANY_DIGIT)
				*at = digit;
		takes = fnmatch(pattern, one, FNM_PATHNAME | FNM_PERIOD) == 0;
	}
	return takes;
}

static bool input_reads(const char *pattern, const char *path)
{
	_free_ char *plain = mem_text(view_of(pattern));
	drop_empty_steps(plain);
	return strchr(plain, '[') ? set_takes(plain, path) : pattern_takes(plain, path);
}

/* Dead letters in what an input reads become dead letters themselves, and so on. */
static void check_state(const struct cross *x, const char *pattern, const struct config_input *in)
{
	const char *state = x->config->state_dir;
	_free_ char *inputs = mem_textf("%s/dead-letters/inputs.ndjson", state ? state : "");
	drop_empty_steps(inputs);
	bool reads = input_reads(pattern, inputs);
	for (size_t i = 0; i < x->config->n_outputs && !reads; i++) {
		_free_ char *letters = mem_textf("%s/dead-letters/outputs/%s.ndjson", state ? state : "", x->config->outputs[i].name);
		drop_empty_steps(letters);
		reads = input_reads(pattern, letters);
	}
	if (reads)
		settings_problem(x->reader, x->root, "input \"%s\" would read the dead letters in state_dir", in->name);
}

/* Events that come back as input would go round for ever. */
static void check_loops(const struct cross *x, const struct files *files, bool *told)
{
	for (size_t i = 0; i < x->config->n_inputs; i++) {
		const struct config_input *in = &x->config->inputs[i];
		const char *const *path = x->inputs[i].good ? own_path(in->ops->settings, in->own) : NULL;
		for (size_t k = 0; path && *path && k < files->n; k++) {
			const struct written *w = &files->list[k];
			if (told[w->output] || !input_reads(*path, w->path))
				continue;
			told[w->output] = true;
			settings_problem(x->reader, path_node(x, w->output),
				"output \"%s\" would write what input \"%s\" reads", x->config->outputs[w->output].name,
				in->name);
		}
		if (path && *path)
			check_state(x, *path, in);
	}
}

static void check_files(const struct cross *x)
{
	struct files files = { 0 };
	bool told[OUTPUTS_MAX] = { 0 };
	for (size_t i = 0; i < x->config->n_outputs; i++)
		add_files_of(x, i, &files);
	if (files.n)
		qsort(files.list, files.n, sizeof *files.list, compare_files);
	for (size_t from = 0, to; from < files.n; from = to) {
		for (to = from + 1; to < files.n && strcmp(files.list[from].group, files.list[to].group) == 0; to++)
			;
		check_group(x, &files.list[from], to - from, told);
	}
	check_loops(x, &files, told);
	for (size_t i = 0; i < files.n; i++) {
		free(files.list[i].path);
		free(files.list[i].group);
	}
	free(files.list);
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
	check_files(x);
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
