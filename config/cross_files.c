/* Files that two would write, or that one writes and another reads: found by their paths, links aside. */
#include "config/cross.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/input.h"
#include "router/output/file_path.h"
#include "router/output/output.h"

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

/* The path of an input of files, NULL of another. */
static const char *read_path(const struct cross *x, size_t i)
{
	const struct config_input *in = &x->config->inputs[i];
	const char *const *path = x->inputs[i].good ? own_path(in->ops->settings, in->own) : NULL;
	return path ? *path : NULL;
}

static bool reads_the_same(const char *a, const char *b)
{
	_free_ char *one = mem_text(view_of(a)), *other = mem_text(view_of(b));
	drop_empty_steps(one);
	drop_empty_steps(other);
	return strcmp(one, other) == 0 || input_reads(one, other) || input_reads(other, one);
}

/* Mostly a slip: one of two inputs of other clusters, say, may be meant so. */
static void check_overlaps(const struct cross *x)
{
	for (size_t j = 1; j < x->config->n_inputs; j++) {
		const char *path = read_path(x, j);
		for (size_t i = 0; path && i < j; i++) {
			const char *before = read_path(x, i);
			const struct node *node = tree_get(x->inputs[j].pair->value, "path");
			if (!before || !reads_the_same(before, path))
				continue;
			settings_warning(x->reader, node ? node : x->inputs[j].pair->key,
				"input \"%s\" reads what input \"%s\" reads: each of those events comes twice", x->config->inputs[j].name,
				x->config->inputs[i].name);
			break;
		}
	}
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
		const char *path = read_path(x, i);
		for (size_t k = 0; path && k < files->n; k++) {
			const struct written *w = &files->list[k];
			if (told[w->output] || !input_reads(path, w->path))
				continue;
			told[w->output] = true;
			settings_problem(x->reader, path_node(x, w->output),
				"output \"%s\" would write what input \"%s\" reads", x->config->outputs[w->output].name,
				in->name);
		}
		if (path)
			check_state(x, path, in);
	}
}

static void check_outputs(const struct cross *x)
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

void cross_check_files(const struct cross *x)
{
	check_outputs(x);
	check_overlaps(x);
}
