/* JSON as encoding/json reads it, with its words for what is wrong, and places. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/base/tree.h"
#include "router/event/text.h"
#include "router/policy/document.h"

struct json_reader {
	struct document *document;
	const char *file;
	struct problems *problems;
	const char *at, *end;
	const char *counted;   /* line and column are those of this byte */
	unsigned line, column;
	unsigned depth;
};

/* Never goes back, so that a file of one line costs no more than any other. */
static void count_to(struct json_reader *r, const char *to)
{
	for (; r->counted < to; r->counted++) {
		if (*r->counted == '\n') {
			r->line++;
			r->column = 1;
		} else if (((unsigned char)*r->counted & 0xc0) != 0x80) {
			r->column++;
		}
	}
}

__attribute__((format(printf, 2, 3))) static const struct value *fail(struct json_reader *r, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	count_to(r, r->at);
	problem_at(r->problems, PROBLEM_ERROR, r->file, r->line, r->column,
		"failed decoding: couldn't get version/kind; json parse error: %s", text);
	return NULL;
}

static const struct value *fail_character(struct json_reader *r, const char *where)
{
	if (r->at >= r->end)
		return fail(r, "unexpected end of JSON input");
	unsigned char c = (unsigned char)*r->at;
	if (c == '\'')
		return fail(r, "invalid character '\\'' %s", where);
	if (c >= ' ' && c < 0x7f)
		return fail(r, "invalid character '%c' %s", c, where);
	return fail(r, "invalid character '\\x%02x' %s", c, where);
}

static void skip_space(struct json_reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool next_is(const struct json_reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool skip_escape(struct json_reader *r)
{
	r->at++;
	if (r->at < r->end && *r->at && strchr("\"\\/bfnrt", *r->at)) {
		r->at++;
		return true;
	}
	if (!next_is(r, 'u'))
		return fail_character(r, "in string escape code"), false;
	r->at++;
	for (int i = 0; i < 4; i++, r->at++)
		if (r->at >= r->end || !is_hex(*r->at))
			return fail_character(r, "in \\u hexadecimal character escape"), false;
	return true;
}

/* A string: its text unescaped, bytes that are no UTF-8 and lone surrogates as U+FFFD. */
static bool read_text(struct json_reader *r, struct view *ret)
{
	const char *from = ++r->at;
	while (!next_is(r, '"')) {
		if (r->at >= r->end || (unsigned char)*r->at < ' ')
			return fail_character(r, "in string literal"), false;
		if (*r->at == '\\') {
			if (!skip_escape(r))
				return false;
		} else {
			r->at++;
		}
	}
	struct view raw = { from, (size_t)(r->at - from) };
	struct buf text = { 0 }, clean = { 0 };
	buf_reserve(&text, raw.len + 1);
	text.len = text_unescape(raw, text.ptr);
	text_add_clean(&clean, buf_view(&text));
	char *kept = document_alloc(r->document, clean.len + 1);
	if (clean.len)
		memcpy(kept, clean.ptr, clean.len);
	*ret = (struct view){ kept, clean.len };
	buf_finish(&text);
	buf_finish(&clean);
	r->at++;
	return true;
}

static void skip_digits(struct json_reader *r)
{
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
}

static bool needs_digit(struct json_reader *r, const char *where)
{
	if (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		return true;
	(void)fail_character(r, where);
	return false;
}

static const struct value *read_number(struct json_reader *r, struct value *v)
{
	const char *from = r->at;
	if (next_is(r, '-'))
		r->at++;
	if (!needs_digit(r, "in numeric literal"))
		return NULL;
	if (next_is(r, '0'))
		r->at++;
	else
		skip_digits(r);
	if (next_is(r, '.')) {
		r->at++;
		if (!needs_digit(r, "after decimal point in numeric literal"))
			return NULL;
		skip_digits(r);
	}
	if (next_is(r, 'e') || next_is(r, 'E')) {
		r->at++;
		if (next_is(r, '+') || next_is(r, '-'))
			r->at++;
		if (!needs_digit(r, "in exponent of numeric literal"))
			return NULL;
		skip_digits(r);
	}
	v->kind = VALUE_NUMBER;
	char *text = document_alloc(r->document, (size_t)(r->at - from) + 1);
	memcpy(text, from, (size_t)(r->at - from));
	v->text = (struct view){ text, (size_t)(r->at - from) };
	return v;
}

static const struct value *read_literal(struct json_reader *r, struct value *v, const char *literal, enum value_kind kind)
{
	char where[64];
	for (const char *c = literal; *c; c++, r->at++) {
		if (next_is(r, *c))
			continue;
		(void)snprintf(where, sizeof where, "in literal %s (expecting '%c')", literal, *c);
		return fail_character(r, where);
	}
	v->kind = kind;
	v->truth = literal[0] == 't';
	return v;
}

static const struct value *read_value(struct json_reader *r);

/* Children of a list or map while it is read; the finished array is the document's. */
struct growing {
	void *list;
	size_t n, room;
};

static void *grow(struct growing *g, size_t size)
{
	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 8;
		g->list = mem_resize(g->list, g->room * size);
	}
	return (char *)g->list + g->n++ * size;
}

static const void *settle(struct json_reader *r, struct growing *g, size_t size)
{
	void *kept = document_alloc(r->document, g->n * size);
	if (g->n)
		memcpy(kept, g->list, g->n * size);
	return kept;
}

static bool read_items(struct json_reader *r, struct growing *items)
{
	r->at++;
	skip_space(r);
	if (next_is(r, ']'))
		return true;
	for (;; r->at++) {
		const struct value *item = read_value(r);
		if (!item)
			return false;
		*(const struct value **)grow(items, sizeof item) = item;
		skip_space(r);
		if (next_is(r, ']'))
			return true;
		if (!next_is(r, ','))
			return fail_character(r, "after array element"), false;
	}
}

static bool read_member(struct json_reader *r, struct member *ret)
{
	skip_space(r);
	if (!next_is(r, '"'))
		return fail_character(r, "looking for beginning of object key string"), false;
	count_to(r, r->at);
	*ret = (struct member){ .line = r->line, .column = r->column };
	if (!read_text(r, &ret->key))
		return false;
	skip_space(r);
	if (!next_is(r, ':'))
		return fail_character(r, "after object key"), false;
	r->at++;
	ret->value = read_value(r);
	return ret->value != NULL;
}

static bool read_members(struct json_reader *r, struct growing *members)
{
	r->at++;
	skip_space(r);
	if (next_is(r, '}'))
		return true;
	for (;; r->at++) {
		struct member m;
		if (!read_member(r, &m))
			return false;
		*(struct member *)grow(members, sizeof m) = m;
		skip_space(r);
		if (next_is(r, '}'))
			return true;
		if (!next_is(r, ','))
			return fail_character(r, "after object key:value pair"), false;
	}
}

static const struct value *read_nested(struct json_reader *r, struct value *v)
{
	struct growing children = { 0 };
	bool map = *r->at == '{', good = false;
	if (++r->depth > TREE_DEPTH_MAX)
		(void)fail(r, "nested deeper than %d levels", TREE_DEPTH_MAX);
	else
		good = map ? read_members(r, &children) : read_items(r, &children);
	if (good) {
		r->at++;
		r->depth--;
		v->kind = map ? VALUE_MAP : VALUE_LIST;
		v->n = children.n;
		if (map)
			v->members = settle(r, &children, sizeof(struct member));
		else
			v->items = settle(r, &children, sizeof(struct value *));
	}
	free(children.list);
	return good ? v : NULL;
}

static const struct value *read_value(struct json_reader *r)
{
	skip_space(r);
	if (r->at >= r->end)
		return fail_character(r, "looking for beginning of value");
	count_to(r, r->at);
	struct value *v = document_value(r->document, VALUE_NULL, r->line, r->column);
	switch (*r->at) {
	case '{':
	case '[':
		return read_nested(r, v);
	case '"':
		v->kind = VALUE_STRING;
		return read_text(r, &v->text) ? v : NULL;
	case 't':
		return read_literal(r, v, "true", VALUE_BOOL);
	case 'f':
		return read_literal(r, v, "false", VALUE_BOOL);
	case 'n':
		return read_literal(r, v, "null", VALUE_NULL);
	default:
		if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
			return read_number(r, v);
		return fail_character(r, "looking for beginning of value");
	}
}

int document_read_json(struct document *d, const char *file, struct view bytes, const struct value **ret_root,
	struct problems *problems)
{
	struct json_reader r = { .document = d, .file = file, .problems = problems, .at = bytes.ptr, .end = bytes.ptr + bytes.len,
		.counted = bytes.ptr, .line = 1, .column = 1 };
	if (bytes.len > TREE_BYTES_MAX) {
		problem_at(problems, PROBLEM_ERROR, file, 0, 0, "longer than %d MiB", TREE_BYTES_MAX >> 20);
		return -EINVAL;
	}
	const struct value *root = read_value(&r);
	if (!root)
		return -EINVAL;
	skip_space(&r);
	if (r.at < r.end) {
		(void)fail_character(&r, "after top-level value");
		return -EINVAL;
	}
	*ret_root = root;
	return 0;
}
