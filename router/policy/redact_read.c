/* The setting `redact:`: off, on, or a list of kinds and own rules. */
#include <stdlib.h>

#include "config/keys.h"
#include "config/replaced.h"
#include "router/base/cleanup.h"
#include "router/policy/redact_private.h"

enum action { ACTION_MASK, ACTION_PSEUDONYM };

enum { KEY_BYTES_MIN = 16 };

/* What may be said of kinds; the others of enum redact_kind are own rules. */
static const char *const kinds[] = {
	[REDACT_SECRETS] = "secrets",
	[REDACT_TOKENS] = "tokens",
	[REDACT_ENV] = "env",
	[REDACT_CONFIGMAPS] = "configmaps",
	NULL,
};

static const unsigned kinds_by_default = 1u << REDACT_SECRETS | 1u << REDACT_TOKENS;

/* Where a path may begin. What the router and every reader need of an event stays. */
static const char *const fields[] = {
	"requestObject", "responseObject", "user", "impersonatedUser", "sourceIPs", "userAgent", "requestURI", "objectRef",
	"responseStatus", "annotations", "authenticationMetadata", NULL,
};

struct rule_said {
	char *rule;
	struct strings path;
	int action;
	char *key, *key_file;
	struct strings keep;
};

static const char *const actions[] = { [ACTION_MASK] = "mask", [ACTION_PSEUDONYM] = "pseudonym", NULL };

static const struct setting rule_rows[] = {
	{ .key = "rule", .type = SETTING_TEXT, .required = true, .offset = offsetof(struct rule_said, rule) },
	{ .key = "path", .type = SETTING_TEXTS, .required = true, .offset = offsetof(struct rule_said, path) },
	{
		.key = "action",
		.type = SETTING_CHOICE,
		.offset = offsetof(struct rule_said, action),
		.initial = "mask",
		.choices = actions,
	},
	{ .key = "key", .type = SETTING_TEXT, .secret = true, .offset = offsetof(struct rule_said, key) },
	{ .key = "key_file", .type = SETTING_PATH, .offset = offsetof(struct rule_said, key_file) },
	{ .key = "keep", .type = SETTING_TEXTS, .offset = offsetof(struct rule_said, keep), .initial = "system:" },
	{ .key = NULL },
};

static const struct section rule_section = {
	.name = "redact",
	.size = sizeof(struct rule_said),
	.rows = rule_rows,
};

/* ---- an own rule ---- */

/* The pairs that are the selector's, or, with `others`, those that are not. The caller frees ret->pairs. */
static void take_pairs(const struct node *map, bool others, struct node *ret)
{
	struct pair *pairs = mem_zero(map->n, sizeof *pairs);
	*ret = *map;
	ret->n = 0;
	for (size_t i = 0; i < map->n; i++) {
		const struct node *key = map->pairs[i].key;
		bool selects = false;
		for (const char *const *name = selector_keys; *name && key->kind == NODE_SCALAR; name++)
			selects = selects || view_eq(key->text, view_of(*name));
		if (selects != others)
			pairs[ret->n++] = map->pairs[i];
	}
	ret->pairs = pairs;
}

static bool read_selector(struct settings_reader *reader, const struct node *map, struct redact_rule *rule)
{
	struct selector selector = { 0 };
	struct node own;
	take_pairs(map, false, &own);
	struct replaced *replaced = replaced_create(reader, &own);
	bool good = replaced && selector_read(&selector, replaced_root(replaced), reader->file, reader->problems);
	const struct selector *all = &selector;
	if (good && !selector_is_empty(&selector) && matcher_create(&rule->matcher, &all, 1) < 0) {
		settings_problem(reader, map, "this rule's selector has too many entries");
		good = false;
	}
	selector_finish(&selector);
	replaced_destroy(replaced);
	free((struct pair *)own.pairs);
	return good;
}

static bool read_path(struct settings_reader *reader, const struct node *at, struct view text, struct redact_path *ret)
{
	const char *why;
	char name[SHOWN_ROOM];
	if (!redact_path_parse(ret, text, &why)) {
		settings_problem(reader, at, "\"%s\" is no path: %s", shown(text, name), why);
		return false;
	}
	for (const char *const *field = fields; *field; field++)
		if (view_eq(ret->steps[0].key, view_of(*field)))
			return true;
	keys_unknown(reader, at, "field", shown(ret->steps[0].key, name), fields);
	return false;
}

static bool read_paths(struct settings_reader *reader, const struct node *map, const struct strings *said,
	struct redact_rule *rule)
{
	const struct node *node = tree_get(map, "path");
	bool good = true;
	if (said->n > REDACT_PATHS_MAX) {
		settings_problem(reader, node, "more than %d paths in one rule", REDACT_PATHS_MAX);
		return false;
	}
	rule->paths = mem_zero(said->n, sizeof *rule->paths);
	for (size_t i = 0; i < said->n; i++) {
		const struct node *at = node->kind == NODE_LIST ? node->items[i] : node;
		good = read_path(reader, at, said->list[i], &rule->paths[rule->n_paths++]) && good;
	}
	return good;
}

static bool read_key(struct settings_reader *reader, const struct node *map, const struct rule_said *said,
	struct redact_rule *rule)
{
	struct err err = { 0 };
	char why[ERR_TEXT_MAX];
	const struct node *at = tree_get(map, said->key_file ? "key_file" : said->key ? "key" : "action");
	if (said->action == ACTION_MASK) {
		const struct node *idle = at && !view_eq(at->text, VIEW("mask")) ? at : tree_get(map, "keep");
		if (said->key || said->key_file || tree_get(map, "keep"))
			settings_problem(reader, idle, "key, key_file and keep are for action: pseudonym");
		return !(said->key || said->key_file || tree_get(map, "keep"));
	}
	if (!said->key == !said->key_file) {
		settings_problem(reader, at, "a pseudonym needs a key: key_file, or key");
		return false;
	}
	rule->key = settings_secret(said->key, said->key_file, &err);
	if (!rule->key || strlen(rule->key) < KEY_BYTES_MIN) {
		settings_problem(reader, at, "%s", rule->key ? "the key has less than 16 bytes" : err_print(&err, why, sizeof why));
		return false;
	}
	return true;
}

static bool read_rule(struct settings_reader *reader, const struct node *map, struct redact_rule *rule)
{
	struct rule_said said;
	bool good = section_read(reader, &rule_section, map, selector_keys, &said);
	good = read_selector(reader, map, rule) && good;
	if (good) {
		good = read_paths(reader, map, &said.path, rule);
		good = read_key(reader, map, &said, rule) && good;
		rule->pseudonym = said.action == ACTION_PSEUDONYM;
		rule->keep = said.keep;
		said.keep = (struct strings){ 0 };
	}
	section_finish(&rule_section, &said);
	return good;
}

/* ---- the setting ---- */

static bool read_kind(struct settings_reader *reader, const struct node *node, struct redactor *r)
{
	_free_ char *text = settings_text(reader, node);
	if (!text)
		return false;
	for (unsigned i = 0; kinds[i]; i++) {
		if (strcmp(kinds[i], text))
			continue;
		r->kinds |= 1u << i;
		return true;
	}
	char name[SHOWN_ROOM];
	keys_unknown(reader, node, "kind of redaction", shown(node->text, name), kinds);
	return false;
}

static bool read_list(struct settings_reader *reader, const struct node *list, struct redactor *r)
{
	bool good = true;
	if (!list->n) {
		settings_problem(reader, list, "redact is an empty list; say off for none");
		return false;
	}
	r->rules = mem_zero(list->n, sizeof *r->rules);
	for (size_t i = 0; i < list->n; i++) {
		const struct node *item = list->items[i];
		if (item->kind == NODE_LIST) {
			settings_problem(reader, item, "redact takes kinds and own rules, not a list in a list");
			good = false;
		} else if (item->kind == NODE_SCALAR) {
			good = read_kind(reader, item, r) && good;
		} else if (r->n_rules == REDACT_RULES_MAX) {
			settings_problem(reader, item, "more than %d own rules", REDACT_RULES_MAX);
			return false;
		} else {
			good = read_rule(reader, item, &r->rules[r->n_rules++]) && good;
		}
	}
	return good;
}

static bool read_scalar(struct settings_reader *reader, const struct node *node, struct redactor *r)
{
	_free_ char *text = settings_text(reader, node);
	const struct node plain = { .kind = NODE_SCALAR, .text = view_of(text) };
	bool on;
	if (!text)
		return false;
	if (!node_is_bool(&plain, &on))
		return read_kind(reader, node, r);
	r->kinds = on ? kinds_by_default : 0;
	return true;
}

bool redactor_read(struct redactor **ret_redactor, struct settings_reader *reader, const struct node *node)
{
	struct redactor *r = mem_zero(1, sizeof *r);
	bool good = true;
	if (!node)
		r->kinds = kinds_by_default;
	else if (node->kind == NODE_SCALAR)
		good = read_scalar(reader, node, r);
	else if (node->kind == NODE_LIST)
		good = read_list(reader, node, r);
	else {
		settings_problem(reader, node, "redact takes off, or a list of kinds (secrets, tokens, env, configmaps) and own "
					       "rules");
		good = false;
	}
	if (!good || (!r->kinds && !r->n_rules)) {
		redactor_destroy(r);
		r = NULL;
	}
	*ret_redactor = r;
	return good;
}

static void finish_rule(struct redact_rule *rule)
{
	matcher_destroy(rule->matcher);
	for (uint32_t i = 0; i < rule->n_paths; i++)
		redact_path_finish(&rule->paths[i]);
	free(rule->paths);
	free(rule->key);
	strings_finish(&rule->keep);
}

void redactor_destroy(struct redactor *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->n_rules; i++)
		finish_rule(&r->rules[i]);
	free(r->rules);
	free(r);
}
