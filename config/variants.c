/* What the plain types of settings.h cannot say. */
#include "config/keys.h"
#include "config/replaced.h"
#include "config/tables.h"

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/policy/redact.h"

bool variant_read_later(struct settings_reader *reader, const struct node *node, void *field)
{
	(void)reader, (void)node, (void)field;
	return true;
}

void variant_finish_nothing(void *field)
{
	(void)field;
}

/* ---- booleans that may come from the environment ---- */

static bool is_on_off(struct settings_reader *reader, const struct node *node, bool *ret_on)
{
	if (node->kind != NODE_SCALAR || node_is_null(node))
		return false;
	_free_ char *text = settings_text(reader, node);
	const struct node plain = { .kind = NODE_SCALAR, .text = view_of(text) };
	return text && node_is_bool(&plain, ret_on);
}

/* ---- redact ---- */

bool variant_read_redact(struct settings_reader *reader, const struct node *node, void *field)
{
	return redactor_read(field, reader, node);
}

/* Under an output: more than the top level's, and nothing where unsaid. */
bool variant_read_more_redact(struct settings_reader *reader, const struct node *node, void *field)
{
	struct redactor **redactor = field;
	*redactor = NULL;
	return !node || redactor_read(redactor, reader, node);
}

void variant_finish_redact(void *field)
{
	struct redactor **redactor = field;
	redactor_destroy(*redactor);
	*redactor = NULL;
}

/* ---- data_access ---- */

struct exempted {
	struct strings users, groups;
};

static const struct setting exempted_rows[] = {
	{ .key = "exempt", .type = SETTING_TEXTS, .offset = offsetof(struct exempted, users) },
	{ .key = "exempt_groups", .type = SETTING_TEXTS, .offset = offsetof(struct exempted, groups) },
	{ .key = NULL },
};

static const struct section exempted_section = {
	.name = "data_access.CLASS",
	.size = sizeof(struct exempted),
	.rows = exempted_rows,
};

static bool read_admin_activity(struct settings_reader *reader, const struct node *node)
{
	bool on;
	if (is_on_off(reader, node, &on) && on)
		return true;
	settings_problem(reader, node, "ADMIN_ACTIVITY cannot be switched off, and nobody is exempt from it; "
				       "the only value is on");
	return false;
}

static bool read_class(struct settings_reader *reader, const struct node *node, enum audit_class c,
	struct data_access *d)
{
	struct exempted exempted;
	bool on;
	if (c == ADMIN_ACTIVITY)
		return read_admin_activity(reader, node);
	if (node->kind == NODE_MAP) {
		bool good = section_read(reader, &exempted_section, node, NULL, &exempted);
		d->exempt[c] = exempted.users;
		d->exempt_groups[c] = exempted.groups;
		return good;
	}
	size_t errors = reader->problems->errors;
	if (is_on_off(reader, node, &on)) {
		d->off[c] = !on;
		return true;
	}
	if (reader->problems->errors == errors)
		settings_problem(reader, node, "%s takes on, off or {exempt: [...], exempt_groups: [...]}",
			audit_class_name(c));
	return false;
}

bool variant_read_data_access(struct settings_reader *reader, const struct node *node, void *field)
{
	const char *names[AUDIT_CLASSES + 1] = { 0 };
	struct keys keys;
	bool good = true;
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		names[c] = audit_class_name(c);
	if (node && node->kind != NODE_MAP && !node_is_null(node)) {
		settings_problem(reader, node, "data_access takes a mapping of classes (CLASS: on or off)");
		return false;
	}
	keys_of(node, &keys);
	for (size_t i = 0; i < keys.n; i++) {
		const struct pair *pair = keys.list[i].pair;
		enum audit_class c;
		if (!keys_good(reader, &keys.list[i])) {
			good = false;
		} else if (!audit_class_parse(pair->key->text, &c)) {
			keys_unknown(reader, pair->key, "class", pair->key->text.ptr, names);
			good = false;
		} else {
			good = read_class(reader, pair->value, c, field) && good;
		}
	}
	keys_finish(&keys);
	return good;
}

void variant_finish_data_access(void *field)
{
	data_access_finish(field);
}

/* ---- spool ---- */

struct spool_said {
	uint64_t max;
};

static const struct setting spool_rows[] = {
	{
		.key = "max",
		.type = SETTING_SIZE,
		.offset = offsetof(struct spool_said, max),
		.initial = "4GiB",
		.min = "1MiB",
		.max = "1024TiB",
	},
	{ .key = NULL },
};

static const struct section spool_section = {
	.name = "spool",
	.size = sizeof(struct spool_said),
	.rows = spool_rows,
};

bool variant_read_spool(struct settings_reader *reader, const struct node *node, void *field)
{
	struct spool_said said;
	uint64_t *max = field;
	bool on = true, scalar = node && node->kind == NODE_SCALAR && !node_is_null(node);
	if (scalar && !is_on_off(reader, node, &on)) {
		settings_problem(reader, node, "spool takes on, off or {max: SIZE}");
		return false;
	}
	bool good = section_read(reader, &spool_section, scalar ? NULL : node, NULL, &said);
	*max = on ? said.max : 0;
	return good;
}

/* ---- selectors ---- */

bool variant_read_selector(struct settings_reader *reader, const struct node *node, void *field)
{
	struct keys keys;
	bool good = true;
	if (!node)
		return true;
	keys_of(node, &keys);
	for (size_t i = 0; i < keys.n; i++) {
		const struct node *key = keys.list[i].pair->key;
		bool known = false;
		for (const char *const *name = selector_keys; *name && key->kind == NODE_SCALAR; name++)
			known = known || view_eq(key->text, view_of(*name));
		if (!known && !keys_good(reader, &keys.list[i]))
			good = false;
		else if (!known)
			keys_unknown(reader, key, "key", key->text.ptr, selector_keys);
		good = good && known;
	}
	keys_finish(&keys);
	struct replaced *replaced = replaced_create(reader, node);
	bool read = replaced && selector_read(field, replaced_root(replaced), reader->file, reader->problems);
	replaced_destroy(replaced);
	if (read && good && selector_is_empty(field)) {
		settings_problem(reader, node, "this selector is empty: it would match every event");
		return false;
	}
	return good && read;
}

void variant_finish_selector(void *field)
{
	selector_finish(field);
}
