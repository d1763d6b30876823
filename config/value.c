#include "config/value.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/keys.h"
#include "router/base/audit_class.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/base/units.h"

/* ---- texts and the environment ---- */

static bool is_name_byte(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The variable behind "${"; moves on past its "}". */
static bool add_variable(struct settings_reader *reader, const struct node *at, struct view *rest, struct buf *out)
{
	size_t n = 0;
	while (n < rest->len && is_name_byte(rest->ptr[n], n == 0))
		n++;
	if (!n || n == rest->len || rest->ptr[n] != '}') {
		settings_problem(reader, at, "${ must be followed by the name of an environment variable and }; "
					     "write $${ for the text ${");
		return false;
	}
	_free_ char *name = mem_text((struct view){ rest->ptr, n });
	const char *value = getenv(name);
	rest->ptr += n + 1;
	rest->len -= n + 1;
	if (!value) {
		settings_problem(reader, at, "the environment variable %s is not set", name);
		return false;
	}
	buf_add_view(out, view_of(value));
	return true;
}

static bool add_replaced(struct settings_reader *reader, const struct node *at, struct buf *out)
{
	bool good = true;
	for (struct view rest = at->text; rest.len;) {
		size_t skip = view_starts(rest, VIEW("$${")) ? 3 : view_starts(rest, VIEW("${")) ? 2 : 0;
		if (skip == 3)
			buf_add_view(out, VIEW("${"));
		else if (!skip)
			buf_add_byte(out, rest.ptr[0]);
		rest.ptr += skip ? skip : 1;
		rest.len -= skip ? skip : 1;
		if (skip == 2)
			good = add_variable(reader, at, &rest, out) && good;
	}
	return good;
}

/* `key` begins the messages. */
static char *read_text(struct settings_reader *reader, const char *key, const struct node *node)
{
	if (node->kind != NODE_SCALAR) {
		settings_problem(reader, node, "%s takes one value, not a %s", key,
			node->kind == NODE_LIST ? "list" : "mapping");
		return NULL;
	}
	if (node_is_null(node)) {
		settings_problem(reader, node, "%s has no value", key);
		return NULL;
	}
	if (memchr(node->text.ptr, 0, node->text.len)) {
		settings_problem(reader, node, "%s holds a zero byte", key);
		return NULL;
	}
	struct buf out = { 0 };
	if (!add_replaced(reader, node, &out)) {
		buf_finish(&out);
		return NULL;
	}
	(void)buf_text(&out);
	return out.ptr;
}

char *settings_text(struct settings_reader *reader, const struct node *scalar)
{
	return read_text(reader, "this", scalar);
}

/* ---- types ---- */

/* Says what is expected and, but for a secret, what was written: as it stands in the file, without the environment. */
static bool refuse(struct settings_reader *reader, const struct setting *row, const struct node *node,
	const char *expected)
{
	char text[SHOWN_ROOM];
	assert(node); /* a default that is none */
	if (row->secret)
		settings_problem(reader, node, "%s takes %s", row->key, expected);
	else
		settings_problem(reader, node, "%s takes %s, not \"%s\"", row->key, expected, shown(node->text, text));
	return false;
}

static bool read_bool(struct settings_reader *reader, const struct setting *row, const struct node *node,
	const char *text, bool *field)
{
	const struct node plain = { .kind = NODE_SCALAR, .text = view_of(text) };
	return node_is_bool(&plain, field) || refuse(reader, row, node, "on or off");
}

static bool parse_number(enum setting_type type, const char *text, int64_t *ret)
{
	uint64_t bytes;
	switch (type) {
	case SETTING_INT:
		return units_parse_number(view_of(text), ret);
	case SETTING_TIME:
		return units_parse_duration(view_of(text), ret);
	default:
		if (!units_parse_size(view_of(text), &bytes) || bytes > INT64_MAX)
			return false;
		*ret = (int64_t)bytes;
		return true;
	}
}

/* Sizes end below 2^63 here, so that one comparison serves all three types. */
static bool read_number(struct settings_reader *reader, const struct setting *row, const struct node *node,
	const char *text, void *field)
{
	int64_t value, bound;
	if (!parse_number(row->type, text, &value))
		return refuse(reader, row, node,
			row->type == SETTING_INT  ? "a whole number" :
			row->type == SETTING_TIME ? "a time with its unit (500ms, 30s, 1h30m, 400d)" :
						    "a size with its unit (512KiB, 64MiB, 1GB)");
	if (row->min && parse_number(row->type, row->min, &bound) && value < bound) {
		settings_problem(reader, node, "%s must be at least %s", row->key, row->min);
		return false;
	}
	if (row->max && parse_number(row->type, row->max, &bound) && value > bound) {
		settings_problem(reader, node, "%s must be at most %s", row->key, row->max);
		return false;
	}
	if (row->type == SETTING_SIZE)
		*(uint64_t *)field = (uint64_t)value;
	else
		*(int64_t *)field = value;
	return true;
}

static bool read_choice(struct settings_reader *reader, const struct setting *row, const struct node *node,
	const char *text, int *field)
{
	bool on;
	for (int i = 0; row->choices[i]; i++) {
		/* `off` among choices is also what YAML calls no and false. */
		const struct node choice = { .kind = NODE_SCALAR, .text = view_of(row->choices[i]) };
		const struct node said = { .kind = NODE_SCALAR, .text = view_of(text) };
		bool choice_on;
		if (strcmp(row->choices[i], text) == 0 ||
			(node_is_bool(&choice, &choice_on) && node_is_bool(&said, &on) && on == choice_on)) {
			*field = i;
			return true;
		}
	}
	assert(node);
	keys_unknown(reader, node, row->key, node->text.ptr, row->choices);
	return false;
}

static bool set_text(struct settings_reader *reader, const struct setting *row, const struct node *node, char **text,
	char **field)
{
	bool is_path = row->type == SETTING_PATH;
	if (!**text && (is_path || row->required)) {
		settings_problem(reader, node, "%s is empty", row->key);
		return false;
	}
	*field = is_path ? io_join(reader->folder, *text) : TAKE_PTR(*text);
	if (is_path && strlen(*field) >= PATH_MAX) {
		settings_problem(reader, node, "%s is longer than a path can be (%d bytes)", row->key, PATH_MAX - 1);
		return false;
	}
	/* No error: who checks may be somebody else, elsewhere, and many a file is waited for. */
	if (row->reads && access(*field, R_OK))
		settings_warning(reader, node, "%s: %s cannot be read: %s", row->key, *field, strerror(errno));
	return true;
}

static bool read_scalar(struct settings_reader *reader, const struct setting *row, const struct node *node, void *field)
{
	_free_ char *text = node ? read_text(reader, row->key, node) : mem_text(view_of(row->initial));
	if (!text)
		return false;
	switch (row->type) {
	case SETTING_BOOL:
		return read_bool(reader, row, node, text, field);
	case SETTING_INT:
	case SETTING_SIZE:
	case SETTING_TIME:
		return read_number(reader, row, node, text, field);
	case SETTING_CHOICE:
		return read_choice(reader, row, node, text, field);
	default:
		return set_text(reader, row, node, &text, field);
	}
}

/* ---- lists and maps ---- */

/* Calls `add` for the scalar, or for each of the list. */
static bool each_text(struct settings_reader *reader, const struct setting *row, const struct node *node, void *field,
	bool (*add)(struct settings_reader *, const struct node *, const char *text, void *field))
{
	bool good = true;
	if (node->kind == NODE_MAP) {
		settings_problem(reader, node, "%s takes a list, not a mapping", row->key);
		return false;
	}
	size_t n = node->kind == NODE_LIST ? node->n : 1;
	if (!n && (row->required || row->type == SETTING_CLASSES)) {
		settings_problem(reader, node, "%s is an empty list", row->key);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const struct node *item = node->kind == NODE_LIST ? node->items[i] : node;
		_free_ char *text = read_text(reader, row->key, item);
		good = text && add(reader, item, text, field) && good;
	}
	return good;
}

static bool add_text(struct settings_reader *reader, const struct node *item, const char *text, void *field)
{
	(void)reader, (void)item;
	strings_add(field, view_of(text));
	return true;
}

static bool add_class(struct settings_reader *reader, const struct node *item, const char *text, void *field)
{
	enum audit_class c;
	if (!audit_class_parse(view_of(text), &c)) {
		const char *names[AUDIT_CLASSES + 1] = { 0 };
		for (c = 0; c < AUDIT_CLASSES; c++)
			names[c] = audit_class_name(c);
		keys_unknown(reader, item, "class", item->text.ptr, names);
		return false;
	}
	*(unsigned *)field |= 1u << c;
	return true;
}

static bool read_pairs(struct settings_reader *reader, const struct setting *row, const struct node *node,
	struct text_pairs *field)
{
	bool good = true;
	struct keys keys;
	if (node->kind != NODE_MAP && !node_is_null(node)) {
		settings_problem(reader, node, "%s takes a mapping (key: value)", row->key);
		return false;
	}
	keys_of(node, &keys);
	field->list = keys.n ? mem_zero(keys.n, sizeof *field->list) : NULL;
	for (size_t i = 0; i < keys.n; i++) {
		const struct node *key = keys.list[i].pair->key;
		if (!keys_good(reader, &keys.list[i])) {
			good = false;
			continue;
		}
		char name[SHOWN_ROOM], *value = read_text(reader, shown(key->text, name), keys.list[i].pair->value);
		if (value)
			field->list[field->n++] = (struct text_pair){ mem_text(key->text), value, key->line,
				key->column };
		good = good && value;
	}
	keys_finish(&keys);
	return good;
}

bool value_read(struct settings_reader *reader, const struct setting *row, const struct node *node, void *field)
{
	if (!node && !row->initial)
		return true;
	switch (row->type) {
	case SETTING_TEXTS:
		if (node)
			return each_text(reader, row, node, field, add_text);
		strings_add(field, view_of(row->initial));
		return true;
	case SETTING_CLASSES:
		return each_text(reader, row, node, field, add_class);
	case SETTING_PAIRS:
		return read_pairs(reader, row, node, field);
	default:
		return read_scalar(reader, row, node, field);
	}
}

void value_finish(const struct setting *row, void *field)
{
	struct text_pairs *pairs = field;
	switch (row->type) {
	case SETTING_TEXT:
	case SETTING_PATH:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case SETTING_TEXTS:
		strings_finish(field);
		break;
	case SETTING_PAIRS:
		for (size_t i = 0; i < pairs->n; i++) {
			free(pairs->list[i].key);
			free(pairs->list[i].value);
		}
		free(pairs->list);
		*pairs = (struct text_pairs){ 0 };
		break;
	default:
		break;
	}
}
