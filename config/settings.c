#include "config/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/keys.h"
#include "config/value.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"

enum { SECRET_BYTES_MAX = 64 * 1024 };

static void add_problem(struct settings_reader *reader, enum problem_weight weight, const struct node *at,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));
static void add_problem(struct settings_reader *reader, enum problem_weight weight, const struct node *at,
	const char *format, va_list args)
{
	struct err e = { .line = at ? at->line : 0, .column = at ? at->column : 0 };
	(void)snprintf(e.file, sizeof e.file, "%s", reader->file);
	(void)vsnprintf(e.text, sizeof e.text, format, args);
	problems_add(reader->problems, weight, &e);
}

void settings_problem(struct settings_reader *reader, const struct node *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_problem(reader, PROBLEM_ERROR, at, format, args);
	va_end(args);
}

void settings_warning(struct settings_reader *reader, const struct node *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_problem(reader, PROBLEM_WARNING, at, format, args);
	va_end(args);
}

static size_t count_names(const char *const *names)
{
	size_t n = 0;
	while (names && names[n])
		n++;
	return n;
}

static size_t count_rows(const struct section *section)
{
	size_t n = 0;
	while (section->rows[n].key)
		n++;
	return n;
}

/* NULL-terminated; the caller frees the list, not the names. */
static const char **names_of(const struct section *section, const char *const *also_known)
{
	size_t n_rows = count_rows(section), n_also = count_names(also_known);
	const char **names = mem_zero(n_rows + n_also + 1, sizeof *names);
	for (size_t i = 0; i < n_rows; i++)
		names[i] = section->rows[i].key;
	for (size_t i = 0; i < n_also; i++)
		names[n_rows + i] = also_known[i];
	return names;
}

static bool is_among(struct view name, const char *const *names)
{
	for (; names && *names; names++)
		if (view_eq(name, view_of(*names)))
			return true;
	return false;
}

static bool check_keys(struct settings_reader *reader, const struct section *section, const struct node *map,
	const char *const *also_known)
{
	const char **names = names_of(section, also_known);
	struct keys keys;
	bool good = true;
	keys_of(map, &keys);
	for (size_t i = 0; i < keys.n; i++) {
		const struct node *key = keys.list[i].pair->key;
		if (key->kind == NODE_SCALAR && is_among(key->text, also_known))
			continue;
		if (!keys_good(reader, &keys.list[i])) {
			good = false;
		} else if (!is_among(key->text, names)) {
			keys_unknown(reader, key, "key", key->text.ptr, names);
			good = false;
		}
	}
	keys_finish(&keys);
	free(names);
	return good;
}

static bool read_row(struct settings_reader *reader, const struct setting *row, const struct node *map, void *field)
{
	const struct node *node = tree_get(map, row->key);
	if (!node && map && row->required) {
		settings_problem(reader, map, "%s is missing", row->key);
		return false;
	}
	if (row->type == SETTING_SECTION)
		return section_read(reader, row->section, node, NULL, field);
	if (row->type == SETTING_VARIANT)
		return row->read(reader, node, field);
	return value_read(reader, row, node, field);
}

bool section_read(struct settings_reader *reader, const struct section *section, const struct node *map,
	const char *const *also_known, void *values)
{
	bool good = true;
	memset(values, 0, section->size);
	if (map && map->kind != NODE_MAP) {
		good = node_is_null(map);
		if (!good)
			settings_problem(reader, map, "a mapping (key: value) is expected here");
		map = NULL;
	}
	good = check_keys(reader, section, map, also_known) && good;
	for (const struct setting *row = section->rows; row->key; row++)
		good = read_row(reader, row, map, (char *)values + row->offset) && good;
	if (good && section->check) {
		size_t errors = reader->problems->errors;
		section->check(reader, map, values);
		good = reader->problems->errors == errors;
	}
	return good;
}

void section_finish(const struct section *section, void *values)
{
	for (const struct setting *row = section->rows; row->key; row++) {
		void *field = (char *)values + row->offset;
		if (row->type == SETTING_SECTION)
			section_finish(row->section, field);
		else if (row->type == SETTING_VARIANT)
			row->finish(field);
		else
			value_finish(row, field);
	}
}

static char *read_secret(const char *path, struct err *err)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	int r = io_read_whole(path, SECRET_BYTES_MAX, &bytes);
	if (r < 0) {
		(void)err_at(err, path, 0, 0, r == -EFBIG ? "longer than 64 KiB" : "cannot be read: %s", strerror(-r));
		return NULL;
	}
	if (bytes.len && bytes.ptr[bytes.len - 1] == '\n')
		bytes.len -= bytes.len > 1 && bytes.ptr[bytes.len - 2] == '\r' ? 2 : 1;
	if (!bytes.len || memchr(bytes.ptr, 0, bytes.len)) {
		(void)err_at(err, path, 0, 0, bytes.len ? "holds a zero byte" : "is empty");
		return NULL;
	}
	return mem_text(buf_view(&bytes));
}

char *settings_secret(const char *text, const char *path, struct err *err)
{
	if (path)
		return read_secret(path, err);
	if (text)
		return mem_text(view_of(text));
	(void)err_set(err, "no secret is given");
	return NULL;
}
