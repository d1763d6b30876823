#include "router/policy/shape.h"

#include <string.h>

#include "router/event/text.h"

static const char *kind_name(enum value_kind kind)
{
	static const char *const names[] = { "null", "bool", "number", "string", "array", "object", "" };
	return names[kind];
}

static const struct value *wrong_type(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	const char *plain = buf_text(&r->plain), *path = buf_text(&r->path);
	if (r->ours && in->kind == VALUE_BOOL)
		problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column,
			"%s takes %s; put quotes around what YAML reads as something else", path, shape->words);
	else if (r->ours)
		problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column, "%s takes %s",
			*path ? path : "an AuditFilter", shape->words);
	else if (!*plain)
		problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column,
			"failed decoding: json: cannot unmarshal %s into Go value of type %s", kind_name(in->kind), shape->go);
	else
		problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column,
			"failed decoding: json: cannot unmarshal %s into Go struct field %s.%s of type %s", kind_name(in->kind),
			r->struct_name, plain, shape->go);
	return old ? old : document_value(r->document, VALUE_BROKEN, in->line, in->column);
}

static void push(struct buf *path, struct view key)
{
	if (path->len)
		buf_add_byte(path, '.');
	buf_add_view(path, key);
}

static const struct value *decode(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old);

/* ---- structs ---- */

static int field_index(const struct shape *shape, struct view key)
{
	for (int i = 0; shape->fields[i].key; i++)
		if (view_eq(key, view_of(shape->fields[i].key)))
			return i;
	return -1;
}

static void unknown_field(struct shape_reader *r, const struct shape *shape, const struct member *m)
{
	const char *names[SHAPE_FIELDS_MAX + 1] = { NULL };
	for (int i = 0; shape->fields[i].key; i++)
		names[i] = shape->fields[i].key;
	char key[64];
	size_t len = m->key.len < sizeof key - 1 ? m->key.len : sizeof key - 1;
	memcpy(key, m->key.ptr, len);
	key[len] = 0;
	const char *near = nearest_name(key, names);
	const size_t before = r->path.len;
	push(&r->path, m->key);
	problem_at(r->problems, r->ours ? PROBLEM_ERROR : PROBLEM_WARNING, r->file, m->line, m->column, "%sunknown field \"%s\"%s%s%s",
		r->ours ? "" : "strict decoding error: ", buf_text(&r->path), near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
	r->path.len = before;
}

static void duplicate_field(struct shape_reader *r, const struct member *m)
{
	const size_t before = r->path.len;
	push(&r->path, m->key);
	problem_at(r->problems, r->ours ? PROBLEM_ERROR : PROBLEM_WARNING, r->file, m->line, m->column, "%sduplicate field \"%s\"",
		r->ours ? "" : "strict decoding error: ", buf_text(&r->path));
	r->path.len = before;
}

static void decode_member(struct shape_reader *r, const struct shape *shape, const struct member *m, struct member *slots,
	bool *seen)
{
	int i = field_index(shape, m->key);
	if (i < 0) {
		unknown_field(r, shape, m);
		return;
	}
	if (seen[i])
		duplicate_field(r, m);
	seen[i] = true;
	const size_t path = r->path.len, plain = r->plain.len;
	const char *above = r->struct_name;
	push(&r->path, m->key);
	push(&r->plain, m->key);
	r->struct_name = shape->name;
	const struct value *old = slots[i].value;
	if (m->value->kind == VALUE_NULL && shape->fields[i].pointer)
		old = NULL; /* a pointer's null unsets it */
	slots[i] = (struct member){ m->key, m->line, m->column, decode(r, shape->fields[i].shape, m->value, old) };
	r->struct_name = above;
	r->path.len = path;
	r->plain.len = plain;
}

static const struct value *decode_struct(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	struct member slots[SHAPE_FIELDS_MAX] = { 0 };
	bool seen[SHAPE_FIELDS_MAX] = { false };
	size_t n = 0;
	for (size_t i = 0; old && old->kind == VALUE_MAP && i < old->n; i++)
		slots[field_index(shape, old->members[i].key)] = old->members[i];
	for (size_t i = 0; i < in->n; i++)
		decode_member(r, shape, &in->members[i], slots, seen);
	struct member *members = document_alloc(r->document, SHAPE_FIELDS_MAX * sizeof *members);
	for (size_t i = 0; i < SHAPE_FIELDS_MAX; i++)
		if (slots[i].value)
			members[n++] = slots[i];
	struct value *v = document_value(r->document, VALUE_MAP, in->line, in->column);
	v->n = n;
	v->members = members;
	return v;
}

/* ---- lists and maps ---- */

static const struct value *zero_of(struct shape_reader *r, const struct shape *shape, const struct value *at)
{
	enum value_kind kind = shape->kind == SHAPE_STRUCT ? VALUE_MAP : shape->kind == SHAPE_ANY ? VALUE_NULL : VALUE_STRING;
	struct value *v = document_value(r->document, kind, at->line, at->column);
	v->text = VIEW("");
	return v;
}

static const struct value *decode_list(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	const struct value **items = document_alloc(r->document, in->n * sizeof *items);
	const size_t path = r->path.len;
	for (size_t i = 0; i < in->n; i++) {
		const struct value *before = old && old->kind == VALUE_LIST && i < old->n ? old->items[i] : NULL;
		buf_addf(&r->path, "[%zu]", i);
		items[i] = decode(r, shape->of, in->items[i], before);
		if (!items[i])
			items[i] = zero_of(r, shape->of, in->items[i]);
		r->path.len = path;
	}
	struct value *v = document_value(r->document, VALUE_LIST, in->line, in->column);
	v->n = in->n;
	v->items = items;
	return v;
}

static void take_last(void *context, const struct member *m)
{
	(void)context;
	(void)m;
}

static const struct value *decode_map(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	size_t n = old && old->kind == VALUE_MAP ? old->n : 0;
	struct member *members = document_alloc(r->document, (n + in->n) * sizeof *members);
	if (n)
		memcpy(members, old->members, n * sizeof *members);
	for (size_t i = 0; i < in->n; i++) {
		struct member m = in->members[i];
		m.value = decode(r, shape->of, m.value, NULL);
		if (!m.value)
			m.value = zero_of(r, shape->of, in->members[i].value);
		members[n++] = m;
	}
	struct value *v = document_value(r->document, VALUE_MAP, in->line, in->column);
	v->n = members_unique(members, n, take_last, NULL);
	v->members = members;
	return v;
}

/* ---- times ---- */

static size_t layout_step(const char *layout)
{
	return strncmp(layout, "2006", 4) == 0 ? 4 : strncmp(layout, "Z07:00", 6) == 0 ? 6 : *layout >= '0' && *layout <= '9' ? 2 : 1;
}

/* Length of what fits this element of Go's layout, or 0. */
static size_t layout_match(const char *layout, size_t step, const char *s)
{
	size_t n = 0;
	if (step == 1)
		return *s == *layout;
	if (step != 6) {
		while (n < step && s[n] >= '0' && s[n] <= '9')
			n++;
		if (n < step || strncmp(layout, "05", 2) != 0 || (s[n] != '.' && s[n] != ',') || s[n + 1] < '0' || s[n + 1] > '9')
			return n == step ? n : 0;
		for (n++; s[n] >= '0' && s[n] <= '9';) /* a fraction after the seconds */
			n++;
		return n;
	}
	if (*s == 'Z')
		return 1;
	static const char zone[] = "+00:00";
	for (; zone[n]; n++)
		if (n == 0 ? *s != '+' && *s != '-' : zone[n] == ':' ? s[n] != ':' : s[n] < '0' || s[n] > '9')
			return 0;
	return n;
}

static const char *out_of_range(const char *s, const char *layout)
{
	static const struct {
		const char *layout;
		int first, last;
		const char *says;
	} limits[] = { { "01", 1, 12, "month" }, { "02", 1, 31, "day" }, { "15", 0, 23, "hour" }, { "04", 0, 59, "minute" },
		{ "05", 0, 59, "second" } };
	int value = (s[0] - '0') * 10 + s[1] - '0';
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (strncmp(layout, limits[i].layout, 2) == 0 && (value < limits[i].first || value > limits[i].last))
			return limits[i].says;
	return NULL;
}

/* time.Parse(time.RFC3339, ...), in its words. */
static const struct value *decode_time(struct shape_reader *r, const struct value *in)
{
	static const char full[] = "2006-01-02T15:04:05Z07:00";
	const char *s = in->text.ptr, *range = NULL;
	for (const char *layout = full; *layout && !range;) {
		size_t step = layout_step(layout), n = layout_match(layout, step, s);
		if (!n) {
			problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column,
				"failed decoding: parsing time \"%s\" as \"%s\": cannot parse \"%s\" as \"%.*s\"", in->text.ptr, full, s,
				(int)step, layout);
			return document_value(r->document, VALUE_BROKEN, in->line, in->column);
		}
		if (step == 2)
			range = out_of_range(s, layout);
		s += n;
		layout += step;
	}
	if (range || *s) {
		problem_at(r->problems, PROBLEM_ERROR, r->file, in->line, in->column, "failed decoding: parsing time \"%s\": %s%s%s",
			in->text.ptr, range ? range : "extra text: \"", range ? " out of range" : s, range ? "" : "\"");
		return document_value(r->document, VALUE_BROKEN, in->line, in->column);
	}
	return in;
}

/* ---- scalars, and all ---- */

static bool is_whole(struct view number)
{
	return !memchr(number.ptr, '.', number.len) && (!memchr(number.ptr, 'e', number.len) || view_starts(number, VIEW("0x")));
}

static const struct value *decode_scalar(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	switch (shape->kind) {
	case SHAPE_BOOL:
		return in->kind == VALUE_BOOL ? in : wrong_type(r, shape, in, old);
	case SHAPE_INT:
		return in->kind == VALUE_NUMBER && is_whole(in->text) ? in : wrong_type(r, shape, in, old);
	case SHAPE_TIME:
		if (in->kind == VALUE_STRING)
			return decode_time(r, in);
		break;
	case SHAPE_STRING:
		if (in->kind == VALUE_STRING)
			return in;
		break;
	case SHAPE_ANY:
		return in;
	case SHAPE_LIST:
	case SHAPE_MAP:
	case SHAPE_STRUCT:
		break;
	}
	return wrong_type(r, shape, in, old);
}

static const struct value *decode(struct shape_reader *r, const struct shape *shape, const struct value *in,
	const struct value *old)
{
	if (in->kind == VALUE_NULL)
		return shape->kind == SHAPE_LIST || shape->kind == SHAPE_MAP || shape->kind == SHAPE_ANY || shape->kind == SHAPE_TIME ?
			NULL : old;
	if (shape->kind == SHAPE_LIST && in->kind == VALUE_LIST)
		return decode_list(r, shape, in, old);
	if (shape->kind == SHAPE_MAP && in->kind == VALUE_MAP)
		return decode_map(r, shape, in, old);
	if (shape->kind == SHAPE_STRUCT && in->kind == VALUE_MAP)
		return decode_struct(r, shape, in, old);
	return decode_scalar(r, shape, in, old);
}

const struct value *shape_decode(struct shape_reader *r, const struct shape *shape, const struct value *in)
{
	const struct value *v = decode(r, shape, in, NULL);
	buf_finish(&r->path);
	buf_finish(&r->plain);
	return v;
}

/* ---- printing ---- */

static void print_any(const struct value *v, struct buf *out)
{
	switch (v->kind) {
	case VALUE_NULL:
	case VALUE_BROKEN:
		buf_add_view(out, VIEW("null"));
		break;
	case VALUE_BOOL:
		buf_add_view(out, v->truth ? VIEW("true") : VIEW("false"));
		break;
	case VALUE_NUMBER: /* as JSON has it: hexadecimal and the like, which YAML takes, become text */
		if ((v->text.ptr[0] == '0' && v->text.len > 1 && v->text.ptr[1] != '.') || strspn(v->text.ptr, "0123456789.eE+-") != v->text.len ||
			v->text.ptr[0] == '+' || v->text.ptr[0] == '.')
			text_add_quoted(out, v->text);
		else
			buf_add_view(out, v->text);
		break;
	case VALUE_STRING:
		text_add_quoted(out, v->text);
		break;
	case VALUE_LIST:
		buf_add_byte(out, '[');
		for (size_t i = 0; i < v->n; i++) {
			if (i)
				buf_add_byte(out, ',');
			print_any(v->items[i], out);
		}
		buf_add_byte(out, ']');
		break;
	case VALUE_MAP:
		buf_add_byte(out, '{');
		for (size_t i = 0; i < v->n; i++) {
			if (i)
				buf_add_byte(out, ',');
			text_add_quoted(out, v->members[i].key);
			buf_add_byte(out, ':');
			print_any(v->members[i].value, out);
		}
		buf_add_byte(out, '}');
		break;
	}
}

static bool is_empty(const struct value *v, bool pointer)
{
	switch (v->kind) {
	case VALUE_NULL:
	case VALUE_BROKEN:
		return true;
	case VALUE_BOOL:
		return !pointer && !v->truth;
	case VALUE_NUMBER:
		return !pointer && view_eq(v->text, VIEW("0"));
	case VALUE_STRING:
		return !pointer && !v->text.len;
	case VALUE_LIST:
	case VALUE_MAP:
		break;
	}
	return v->n == 0;
}

static void print_struct(const struct shape *shape, const struct value *v, struct buf *out)
{
	bool some = false;
	buf_add_byte(out, '{');
	for (size_t i = 0; i < v->n; i++) {
		const struct shape_field *f = &shape->fields[field_index(shape, v->members[i].key)];
		if (is_empty(v->members[i].value, f->pointer))
			continue;
		if (some)
			buf_add_byte(out, ',');
		some = true;
		text_add_quoted(out, view_of(f->key));
		buf_add_byte(out, ':');
		shape_print(f->shape, v->members[i].value, out);
	}
	buf_add_byte(out, '}');
}

void shape_print(const struct shape *shape, const struct value *v, struct buf *out)
{
	if (shape->kind == SHAPE_STRUCT && v->kind == VALUE_MAP) {
		print_struct(shape, v, out);
		return;
	}
	if (shape->kind != SHAPE_LIST || v->kind != VALUE_LIST) {
		print_any(v, out);
		return;
	}
	buf_add_byte(out, '[');
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			buf_add_byte(out, ',');
		shape_print(shape->of, v->items[i], out);
	}
	buf_add_byte(out, ']');
}
