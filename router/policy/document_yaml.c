/*
 * YAML to JSON values as go-yaml v2 reads plain scalars (its resolve.go). Dates stay text, as they do there when what is
 * decoded into is of no type.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/base/tree.h"
#include "router/policy/document.h"

struct yaml_reader {
	struct document *document;
	const char *file;
	struct problems *problems;
	bool failed;
};

__attribute__((format(printf, 3, 4))) static void fail(struct yaml_reader *r, const struct node *at, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problem_at(r->problems, PROBLEM_ERROR, r->file, at->line, at->column, "failed decoding: %s", text);
	r->failed = true;
}

static bool one_of(struct view text, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(text, view_of(*names)))
			return true;
	return false;
}

static size_t digits(const char *s, int base)
{
	size_t n = 0;
	for (; *s; s++, n++) {
		int d = *s >= '0' && *s <= '9' ? *s - '0' : (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f' ? (*s | 0x20) - 'a' + 10 : 99;
		if (d >= base)
			break;
	}
	return n;
}

/* strconv.ParseInt(text, 0, 64), of any size: what is too large for it becomes a big number instead. */
static bool is_integer(const char *s)
{
	s += *s == '+' || *s == '-';
	int base = 10;
	if (s[0] == '0' && s[1]) {
		char mark = (char)(s[1] | 0x20);
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		s += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	size_t n = digits(s, base);
	return n && !s[n];
}

/* ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$ and small enough for a float of 64 bits. */
static bool is_float(const char *text)
{
	const char *s = text + (*text == '+' || *text == '-');
	size_t whole = digits(s, 10), part = 0;
	s += whole;
	if (*s == '.') {
		part = digits(s + 1, 10);
		s += 1 + part;
	}
	if (!whole && !part)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		size_t n = digits(s, 10);
		if (!n)
			return false;
		s += n;
	}
	return !*s && isfinite(strtod(text, NULL));
}

static bool is_number(struct view text)
{
	char plain[64];
	size_t n = 0;
	char first = text.len ? text.ptr[0] : 0;
	if (first != '+' && first != '-' && first != '.' && !(first >= '0' && first <= '9'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '_' && first != '.')
			continue;
		if (n + 1 == sizeof plain || !text.ptr[i])
			return false; /* no number of a policy is that long */
		plain[n++] = text.ptr[i];
	}
	plain[n] = 0;
	return (first != '.' && is_integer(plain)) || is_float(plain);
}

/* What a plain scalar means, or one with an explicit tag that asks for a meaning. */
static struct value *resolve(struct yaml_reader *r, const struct node *node)
{
	static const char *const endless[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
		".nan", ".NaN", ".NAN", NULL };
	struct node plain = *node;
	struct value *v = document_value(r->document, VALUE_STRING, node->line, node->column);
	plain.quoted = false;
	plain.tag = NULL;
	v->text = node->text;
	if (node_is_null(&plain))
		v->kind = VALUE_NULL;
	else if (node_is_bool(&plain, &v->truth))
		v->kind = VALUE_BOOL;
	else if (one_of(node->text, endless))
		fail(r, node, "json: unsupported value: %s", node->text.ptr);
	else if (is_number(node->text))
		v->kind = VALUE_NUMBER;
	return v;
}

static bool fits_tag(enum value_kind kind, const char *tag)
{
	switch (kind) {
	case VALUE_NULL:
		return strcmp(tag, "null") == 0;
	case VALUE_BOOL:
		return strcmp(tag, "bool") == 0;
	case VALUE_NUMBER:
		return strcmp(tag, "int") == 0 || strcmp(tag, "float") == 0;
	case VALUE_STRING:
	case VALUE_LIST:
	case VALUE_MAP:
	case VALUE_BROKEN:
		break;
	}
	return strcmp(tag, "timestamp") == 0;
}

static const struct value *read_scalar(struct yaml_reader *r, const struct node *node)
{
	static const char *const meanings[] = { "bool", "int", "float", "null", "timestamp", NULL };
	static const char prefix[] = "tag:yaml.org,2002:";
	const char *tag = node->tag && strncmp(node->tag, prefix, sizeof prefix - 1) == 0 ? node->tag + sizeof prefix - 1 : NULL;
	bool meant = tag && one_of(view_of(tag), meanings);
	if (!meant && (node->quoted || node->tag)) {
		struct value *v = document_value(r->document, VALUE_STRING, node->line, node->column);
		v->text = node->text;
		return v;
	}
	struct value *v = resolve(r, node);
	if (meant && !fits_tag(v->kind, tag))
		fail(r, node, "yaml: cannot decode this value as a !!%s", tag);
	return v;
}

static const struct value *read_node(struct yaml_reader *r, const struct node *node);

static struct view read_key(struct yaml_reader *r, const struct node *node)
{
	if (node->kind != NODE_SCALAR) {
		fail(r, node, "yaml: invalid map key: a %s", node->kind == NODE_MAP ? "map" : "list");
		return VIEW("");
	}
	const struct value *v = read_scalar(r, node);
	if (v->kind == VALUE_NULL)
		fail(r, node, "unsupported map key of type: null");
	return v->kind == VALUE_BOOL ? v->truth ? VIEW("true") : VIEW("false") : node->text;
}

static void warn_twice(void *context, const struct member *m)
{
	struct yaml_reader *r = context;
	problem_at(r->problems, PROBLEM_WARNING, r->file, m->line, m->column,
		"strict decoding error: yaml: line %u: key \"%.*s\" already set in map", m->value->line, VIEW_ARGS(m->key));
}

static const struct value *read_map(struct yaml_reader *r, const struct node *node)
{
	struct value *v = document_value(r->document, VALUE_MAP, node->line, node->column);
	struct member *members = document_alloc(r->document, node->n * sizeof *members);
	for (size_t i = 0; i < node->n; i++) {
		const struct node *key = node->pairs[i].key;
		members[i] = (struct member){ read_key(r, key), key->line, key->column, read_node(r, node->pairs[i].value) };
	}
	v->n = members_unique(members, node->n, warn_twice, r);
	v->members = members;
	return v;
}

static const struct value *read_list(struct yaml_reader *r, const struct node *node)
{
	struct value *v = document_value(r->document, VALUE_LIST, node->line, node->column);
	const struct value **items = document_alloc(r->document, node->n * sizeof *items);
	for (size_t i = 0; i < node->n; i++)
		items[i] = read_node(r, node->items[i]);
	v->n = node->n;
	v->items = items;
	return v;
}

static const struct value *read_node(struct yaml_reader *r, const struct node *node)
{
	switch (node->kind) {
	case NODE_LIST:
		return read_list(r, node);
	case NODE_MAP:
		return read_map(r, node);
	case NODE_SCALAR:
		break;
	}
	return read_scalar(r, node);
}

int document_read_yaml(struct document *d, const char *file, struct view bytes, const struct value **ret_root,
	struct problems *problems)
{
	struct yaml_reader r = { d, file, problems, false };
	struct tree *tree;
	struct err err = { 0 };
	int code = tree_parse(&tree, file, bytes, &err);
	if (code < 0) {
		/* Upstream has lines for what is no YAML, none for what is no text. */
		bool no_text = strstr(err.text, "UTF-") || strstr(err.text, "control characters") || !err.line;
		char line[32] = "";
		if (!no_text)
			(void)snprintf(line, sizeof line, "line %u: ", err.line);
		problem_at(problems, PROBLEM_ERROR, file, err.line, err.column, "failed decoding: yaml: %s%s", line, err.text);
		return -EINVAL;
	}
	document_keep(d, tree);
	const struct node *root = tree_root(tree);
	*ret_root = root ? read_node(&r, root) : document_value(d, VALUE_NULL, 1, 1);
	return r.failed ? -EINVAL : 0;
}
