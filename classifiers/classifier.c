#include "classifiers/classifier.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "classifiers/builtin.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"

struct rule {
	char *id;
	enum audit_class class_;
	struct selector selector; /* only while loading */
};

struct classifier {
	char *name;
	struct matcher *matcher;
	struct rule *rules;
	size_t n_rules;
};

struct loader {
	struct classifier *c;
	const char *file;
	struct problems *problems;
	const char **ids; /* of the rules so far, NULL-terminated, for "did you mean" */
	size_t n_ids;
};

static const char *const table_keys[] = { "name", "rules", NULL };

#define COMPLAIN(loader, node, ...) \
	problem_at((loader)->problems, PROBLEM_ERROR, (loader)->file, (node)->line, (node)->column, __VA_ARGS__)

static bool is_id(struct view text)
{
	if (!text.len || text.len > CLASSIFIER_RULE_ID_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

static bool is_one_of(struct view text, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(text, view_of(*names)))
			return true;
	return false;
}

/* Unknown keys, and keys given twice, of a mapping whose keys are those of `names`; `own` are not yet checked for twice. */
static void check_keys(struct loader *l, const struct node *map, const char *const *names, const char *const *own)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct node *key = map->pairs[i].key;
		if (key->kind != NODE_SCALAR) {
			COMPLAIN(l, key, "a key must be text");
			continue;
		}
		if (is_one_of(key->text, names))
			continue;
		const char *near = nearest_name(key->text.ptr, names);
		if (near)
			COMPLAIN(l, key, "unknown key \"%.*s\"; did you mean %s?", VIEW_ARGS(key->text), near);
		else
			COMPLAIN(l, key, "unknown key \"%.*s\"", VIEW_ARGS(key->text));
	}
	for (; *own; own++) {
		size_t seen = 0;
		for (size_t i = 0; i < map->n; i++) {
			const struct node *key = map->pairs[i].key;
			if (map->pairs[i].merged || key->kind != NODE_SCALAR || !view_eq(key->text, view_of(*own)))
				continue;
			if (seen++)
				COMPLAIN(l, key, "%s stands here twice", *own);
		}
	}
}

static void read_id(struct loader *l, const struct node *map, struct rule *rule)
{
	const struct node *id = tree_get(map, "id");
	if (node_is_null(id)) {
		COMPLAIN(l, map, "a rule needs an id");
		return;
	}
	if (id->kind != NODE_SCALAR || !is_id(id->text)) {
		COMPLAIN(l, id, "an id is 1 to %d of a-z, 0-9 and -", CLASSIFIER_RULE_ID_MAX);
		return;
	}
	if (is_one_of(id->text, l->ids)) {
		COMPLAIN(l, id, "a rule above has the id \"%.*s\" already", VIEW_ARGS(id->text));
		return;
	}
	rule->id = mem_text(id->text);
}

static void complain_class(struct problems *problems, const char *file, unsigned line, unsigned column, const char *said)
{
	const char *names[AUDIT_CLASSES + 1] = { NULL };
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		names[c] = audit_class_name(c);
	const char *near = nearest_name(said, names);
	if (near)
		problem_at(problems, PROBLEM_ERROR, file, line, column, "unknown class \"%s\"; did you mean %s?", said,
			near);
	else
		problem_at(problems, PROBLEM_ERROR, file, line, column,
			"unknown class \"%s\"; the classes are %s, %s, %s, %s", said, names[ADMIN_ACTIVITY],
			names[ADMIN_READ], names[DATA_READ], names[DATA_WRITE]);
}

static void read_class(struct loader *l, const struct node *map, struct rule *rule)
{
	const struct node *class_ = tree_get(map, "class");
	if (node_is_null(class_))
		COMPLAIN(l, map, "a rule needs a class");
	else if (class_->kind != NODE_SCALAR)
		COMPLAIN(l, class_, "class takes the name of one class");
	else if (!audit_class_parse(class_->text, &rule->class_))
		complain_class(l->problems, l->file, class_->line, class_->column, class_->text.ptr);
}

enum { RULE_KEYS_MAX = 15 };

static void read_rule(struct loader *l, const struct node *node)
{
	static const char *const own_keys[] = { "id", "class", NULL };
	const char *names[RULE_KEYS_MAX + 1] = { own_keys[0], own_keys[1] };
	size_t n = 2;
	for (const char *const *key = selector_keys; *key; key++) {
		assert(n < RULE_KEYS_MAX);
		names[n++] = *key;
	}
	struct rule *rule = &l->c->rules[l->c->n_rules++];
	*rule = (struct rule){ 0 };
	if (node->kind != NODE_MAP) {
		COMPLAIN(l, node, "a rule is a mapping of id, class and what it matches");
		return;
	}
	check_keys(l, node, names, own_keys);
	read_id(l, node, rule);
	read_class(l, node, rule);
	(void)selector_read(&rule->selector, node, l->file, l->problems);
	if (rule->id)
		l->ids[l->n_ids++] = rule->id;
}

/* Every event gets a class: the last rule takes whatever the others left. */
static void check_catch_all(struct loader *l, const struct node *rules)
{
	const struct classifier *c = l->c;
	const struct node *last = rules->items[rules->n - 1];
	if (l->problems->errors)
		return;
	if (!selector_is_empty(&c->rules[c->n_rules - 1].selector))
		COMPLAIN(l, last, "the last rule must match everything: give it an id and a class, nothing else");
	for (size_t i = 0; i + 1 < c->n_rules; i++)
		if (selector_is_empty(&c->rules[i].selector)) {
			const struct node *next = rules->items[i + 1];
			problem_at(l->problems, PROBLEM_WARNING, l->file, next->line, next->column,
				"never reached: rule \"%s\" above matches everything", c->rules[i].id);
			break;
		}
}

static void read_rules(struct loader *l, const struct node *root)
{
	const struct node *rules = tree_get(root, "rules");
	if (node_is_null(rules)) {
		COMPLAIN(l, root, "a table needs rules");
		return;
	}
	if (rules->kind != NODE_LIST || !rules->n) {
		COMPLAIN(l, rules, "rules takes a list of at least one rule");
		return;
	}
	if (rules->n > CLASSIFIER_RULES_MAX) {
		COMPLAIN(l, rules, "%zu rules are more than %d", rules->n, CLASSIFIER_RULES_MAX);
		return;
	}
	l->c->rules = mem_zero(rules->n, sizeof *l->c->rules);
	l->ids = mem_zero(rules->n + 1, sizeof *l->ids);
	for (size_t i = 0; i < rules->n; i++)
		read_rule(l, rules->items[i]);
	check_catch_all(l, rules);
}

static void read_table(struct loader *l, const struct node *root)
{
	if (!root || root->kind != NODE_MAP) {
		problem_at(l->problems, PROBLEM_ERROR, l->file, root ? root->line : 0, root ? root->column : 0,
			"a classifier table is a mapping of name and rules");
		return;
	}
	check_keys(l, root, table_keys, table_keys);
	const struct node *name = tree_get(root, "name");
	if (!node_is_null(name) && (name->kind != NODE_SCALAR || !is_id(name->text)))
		COMPLAIN(l, name, "a name is 1 to %d of a-z, 0-9 and -", CLASSIFIER_RULE_ID_MAX);
	else if (!node_is_null(name))
		l->c->name = mem_text(name->text);
	read_rules(l, root);
}

static struct rule *find_rule(struct classifier *c, const char *id)
{
	for (size_t i = 0; i < c->n_rules; i++)
		if (c->rules[i].id && strcmp(c->rules[i].id, id) == 0)
			return &c->rules[i];
	return NULL;
}

static void override(struct loader *l, const struct classifier_override *o)
{
	struct rule *rule = find_rule(l->c, o->rule);
	assert(o->class_ < AUDIT_CLASSES);
	if (rule) {
		rule->class_ = o->class_;
		return;
	}
	const char *near = l->ids ? nearest_name(o->rule, l->ids) : NULL;
	if (near)
		problem_at(l->problems, PROBLEM_ERROR, o->file, o->line, o->column,
			"%s has no rule \"%s\"; did you mean %s?", l->file, o->rule, near);
	else
		problem_at(l->problems, PROBLEM_ERROR, o->file, o->line, o->column, "%s has no rule \"%s\"", l->file,
			o->rule);
}

static int compile(struct loader *l)
{
	struct classifier *c = l->c;
	_free_ const struct selector **selectors = mem_alloc(c->n_rules * sizeof(struct selector *));
	for (size_t i = 0; i < c->n_rules; i++)
		selectors[i] = &c->rules[i].selector;
	int r = matcher_create(&c->matcher, selectors, c->n_rules);
	if (r < 0) {
		problem_at(l->problems, PROBLEM_ERROR, l->file, 0, 0, "the table is too large to be compiled");
		return -EINVAL;
	}
	for (size_t i = 0; i < c->n_rules; i++)
		selector_finish(&c->rules[i].selector);
	return 0;
}

static int load_tree(struct classifier **ret_classifier, const char *file, const struct tree *tree,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems)
{
	struct problems found = { 0 };
	struct loader l = { .c = mem_zero(1, sizeof(struct classifier)), .file = file, .problems = &found };
	read_table(&l, tree_root(tree));
	if (!found.errors)
		for (size_t i = 0; i < n_overrides; i++)
			override(&l, &overrides[i]);
	int r = found.errors ? -EINVAL : compile(&l);
	if (!l.c->name)
		l.c->name = mem_text(view_of(file));
	for (size_t i = 0; i < found.n; i++)
		problems_add(problems, found.list[i].weight, &found.list[i].err);
	problems_finish(&found);
	free(l.ids);
	if (r < 0)
		classifier_close(l.c);
	else
		*ret_classifier = l.c;
	return r;
}

int classifier_parse(struct classifier **ret_classifier, const char *file, struct view bytes,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems)
{
	struct tree *tree;
	struct err err = { 0 };
	if (tree_parse(&tree, file, bytes, &err) < 0) {
		problems_add(problems, PROBLEM_ERROR, &err);
		return -EINVAL;
	}
	int r = load_tree(ret_classifier, file, tree, overrides, n_overrides, problems);
	tree_close(tree);
	return r;
}

static int load_builtin(struct classifier **ret_classifier, const char *name,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems)
{
	for (const struct classifier_builtin *b = classifier_builtins; b->name; b++)
		if (strcmp(b->name, name) == 0)
			return classifier_parse(ret_classifier, name,
				(struct view){ (const char *)b->bytes, b->len }, overrides, n_overrides, problems);
	const char *near = nearest_name(name, classifier_builtin_names);
	if (near)
		problem_at(problems, PROBLEM_ERROR, NULL, 0, 0, "no classifier is called \"%s\"; did you mean %s?", name,
			near);
	else
		problem_at(problems, PROBLEM_ERROR, NULL, 0, 0, "no classifier is called \"%s\"", name);
	return -EINVAL;
}

int classifier_load(struct classifier **ret_classifier, const char *name, const char *path,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems)
{
	assert(!name != !path);
	if (name)
		return load_builtin(ret_classifier, name, overrides, n_overrides, problems);
	struct tree *tree;
	struct err err = { 0 };
	if (tree_load(&tree, path, &err) < 0) {
		problems_add(problems, PROBLEM_ERROR, &err);
		return -EINVAL;
	}
	int r = load_tree(ret_classifier, path, tree, overrides, n_overrides, problems);
	tree_close(tree);
	return r;
}

void classifier_close(struct classifier *c)
{
	if (!c)
		return;
	matcher_destroy(c->matcher);
	for (size_t i = 0; i < c->n_rules; i++) {
		free(c->rules[i].id);
		selector_finish(&c->rules[i].selector);
	}
	free(c->rules);
	free(c->name);
	free(c);
}

static const struct {
	const char *id;
	enum audit_class class_;
} log_rules[CLASSIFIER_LOG_RULES] = {
	[CLASSIFIER_LOG_ACTIVITY] = { "gcp-activity", ADMIN_ACTIVITY },
	[CLASSIFIER_LOG_ACCESS_READ] = { "gcp-data-access-read", ADMIN_READ },
	[CLASSIFIER_LOG_ACCESS_WRITE] = { "gcp-data-access-write", DATA_WRITE },
};

/* The log that the event was found in has the last word on whether it is ADMIN_ACTIVITY. */
static struct verdict agree_with_log(const struct classifier *c, const struct attributes *a, struct verdict v)
{
	enum classifier_log_rule rule = CLASSIFIER_LOG_ACTIVITY;
	if ((v.class_ == ADMIN_ACTIVITY) == (a->log == EVENT_LOG_ACTIVITY))
		return v;
	if (a->log == EVENT_LOG_DATA_ACCESS) {
		bool reads = !a->verb.len || view_eq(a->verb, VIEW("get")) || view_eq(a->verb, VIEW("list")) ||
			view_eq(a->verb, VIEW("watch")) || view_eq(a->verb, VIEW("head")) || view_eq(a->verb, VIEW("options"));
		rule = reads ? CLASSIFIER_LOG_ACCESS_READ : CLASSIFIER_LOG_ACCESS_WRITE;
	}
	return (struct verdict){ log_rules[rule].class_, (uint16_t)(c->n_rules + rule) };
}

struct verdict classifier_classify(const struct classifier *c, const struct attributes *a)
{
	int rule = matcher_first(c->matcher, a);
	assert(rule != MATCHER_NONE);
	struct verdict v = { c->rules[rule].class_, (uint16_t)rule };
	return a->log == EVENT_LOG_UNKNOWN ? v : agree_with_log(c, a, v);
}

size_t classifier_rules(const struct classifier *c)
{
	return c->n_rules;
}

const char *classifier_rule_id(const struct classifier *c, uint16_t rule)
{
	assert(rule < c->n_rules + CLASSIFIER_LOG_RULES);
	return rule < c->n_rules ? c->rules[rule].id : log_rules[rule - c->n_rules].id;
}

enum audit_class classifier_rule_class(const struct classifier *c, uint16_t rule)
{
	assert(rule < c->n_rules + CLASSIFIER_LOG_RULES);
	return rule < c->n_rules ? c->rules[rule].class_ : log_rules[rule - c->n_rules].class_;
}

const char *classifier_name(const struct classifier *c)
{
	return c->name;
}
