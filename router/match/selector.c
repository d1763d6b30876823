#include "router/match/selector.h"

#include <stdlib.h>

#include "router/base/buf.h"

const char *const selector_keys[] = {
	"users", "userGroups", "verbs", "namespaces", "resources", "nonResourceURLs", NULL,
};

static const char *const resources_keys[] = { "group", "resources", "resourceNames", NULL };

/* Lists grow at powers of two, so that the length alone tells the room. */
void strings_add(struct strings *s, struct view text)
{
	if ((s->n & (s->n - 1)) == 0)
		s->list = mem_resize(s->list, (s->n ? s->n * 2 : 1) * sizeof *s->list);
	s->list[s->n++] = (struct view){ mem_text(text), text.len };
}

bool strings_have(const struct strings *s, struct view text)
{
	for (size_t i = 0; i < s->n; i++)
		if (view_eq(s->list[i], text))
			return true;
	return false;
}

void strings_finish(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free((char *)s->list[i].ptr);
	free(s->list);
	*s = (struct strings){ 0 };
}

/* Where the reader is, so that every complaint has its place. */
struct reader {
	const char *file;
	struct problems *problems;
	bool good;
};

#define COMPLAIN(reader, node, ...)                                                                        \
	do {                                                                                               \
		(reader)->good = false;                                                                    \
		problem_at((reader)->problems, PROBLEM_ERROR, (reader)->file, (node)->line, (node)->column, \
			__VA_ARGS__);                                                                      \
	} while (0)

/* A text: what YAML reads as a boolean or null is refused, since a list of verbs with a bare `on` is a slip. */
static bool is_text(const struct node *node)
{
	bool value;
	return node->kind == NODE_SCALAR && !node_is_null(node) && !node_is_bool(node, &value);
}

static bool read_text(struct reader *r, const struct node *node, const char *key, struct view *ret)
{
	if (!is_text(node)) {
		COMPLAIN(r, node, "%s takes text%s", key,
			node->kind == NODE_SCALAR ? "; put quotes around what YAML reads as something else" : "");
		return false;
	}
	*ret = node->text;
	return true;
}

static void read_strings(struct reader *r, const struct node *node, const char *key, struct strings *ret)
{
	struct view text;
	if (!node || node_is_null(node))
		return;
	if (node->kind != NODE_LIST) {
		COMPLAIN(r, node, "%s takes a list of texts", key);
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		if (read_text(r, node->items[i], key, &text))
			strings_add(ret, text);
}

static void read_urls(struct reader *r, const struct node *node, struct strings *ret)
{
	read_strings(r, node, "nonResourceURLs", ret);
	for (size_t i = 0; node && node->kind == NODE_LIST && i < node->n; i++) {
		const struct node *url = node->items[i];
		if (!is_text(url) || view_eq(url->text, VIEW("*")))
			continue;
		if (!view_starts(url->text, VIEW("/")))
			COMPLAIN(r, url, "\"%.*s\" is no URL path: begin it with /, or say \"*\" for all",
				VIEW_ARGS(url->text));
		const char *star = url->text.len ? memchr(url->text.ptr, '*', url->text.len) : NULL;
		if (star && star + 1 != url->text.ptr + url->text.len)
			COMPLAIN(r, url, "in \"%.*s\" the * must be the last character", VIEW_ARGS(url->text));
	}
}

static bool is_known(struct view key, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(key, view_of(*names)))
			return true;
	return false;
}

static void check_twice(struct reader *r, const struct node *map, const char *const *names)
{
	for (; *names; names++) {
		bool seen = false;
		for (size_t i = 0; i < map->n; i++) {
			const struct pair *pair = &map->pairs[i];
			if (pair->merged || pair->key->kind != NODE_SCALAR ||
				!view_eq(pair->key->text, view_of(*names)))
				continue;
			if (seen)
				COMPLAIN(r, pair->key, "%s stands here twice", *names);
			seen = true;
		}
	}
}

static void check_known(struct reader *r, const struct node *map, const char *const *names)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct node *key = map->pairs[i].key;
		if (key->kind != NODE_SCALAR) {
			COMPLAIN(r, key, "a key must be text");
			continue;
		}
		if (is_known(key->text, names))
			continue;
		const char *near = nearest_name(key->text.ptr, names);
		COMPLAIN(r, key, near ? "unknown key \"%.*s\"; did you mean %s?" : "unknown key \"%.*s\"",
			VIEW_ARGS(key->text), near);
	}
}

static void read_entry(struct reader *r, const struct node *node, struct group_resources *ret)
{
	if (node->kind != NODE_MAP) {
		COMPLAIN(r, node, "an entry of resources is a mapping of group, resources and resourceNames");
		return;
	}
	check_known(r, node, resources_keys);
	check_twice(r, node, resources_keys);
	const struct node *group = tree_get(node, "group"), *names = tree_get(node, "resourceNames");
	struct view text = VIEW("");
	if (!node_is_null(group))
		(void)read_text(r, group, "group", &text);
	ret->group = (struct view){ mem_text(text), text.len };
	read_strings(r, tree_get(node, "resources"), "resources", &ret->resources);
	read_strings(r, names, "resourceNames", &ret->resource_names);
	if (ret->resource_names.n && !ret->resources.n)
		COMPLAIN(r, names, "resourceNames needs resources beside it");
}

static void read_resources(struct reader *r, const struct node *node, struct selector *ret)
{
	if (node_is_null(node))
		return;
	if (node->kind != NODE_LIST) {
		COMPLAIN(r, node, "resources takes a list of mappings (group, resources, resourceNames)");
		return;
	}
	if (node->n)
		ret->resources = mem_zero(node->n, sizeof *ret->resources);
	ret->n_resources = node->n;
	for (size_t i = 0; i < node->n; i++)
		read_entry(r, node->items[i], &ret->resources[i]);
}

bool selector_read(struct selector *ret, const struct node *map, const char *file, struct problems *problems)
{
	struct reader r = { file, problems, true };
	*ret = (struct selector){ 0 };
	if (map->kind != NODE_MAP) {
		COMPLAIN(&r, map, "a selector is a mapping (users, userGroups, verbs, namespaces, ...)");
		return false;
	}
	check_twice(&r, map, selector_keys);
	read_strings(&r, tree_get(map, "users"), "users", &ret->users);
	read_strings(&r, tree_get(map, "userGroups"), "userGroups", &ret->user_groups);
	read_strings(&r, tree_get(map, "verbs"), "verbs", &ret->verbs);
	read_strings(&r, tree_get(map, "namespaces"), "namespaces", &ret->namespaces);
	read_resources(&r, tree_get(map, "resources"), ret);
	const struct node *urls = tree_get(map, "nonResourceURLs");
	read_urls(&r, urls, &ret->non_resource_urls);
	if (ret->non_resource_urls.n && (ret->n_resources || ret->namespaces.n))
		COMPLAIN(&r, urls, "a rule is about resources and namespaces or about nonResourceURLs, not both");
	return r.good;
}

bool selector_is_empty(const struct selector *s)
{
	return !s->users.n && !s->user_groups.n && !s->verbs.n && !s->namespaces.n && !s->n_resources &&
	       !s->non_resource_urls.n && !s->user_patterns.n && !s->namespace_patterns.n && !s->clusters.n &&
	       !s->n_codes && !s->stages && s->sample <= 1;
}

void selector_finish(struct selector *s)
{
	strings_finish(&s->users);
	strings_finish(&s->user_groups);
	strings_finish(&s->verbs);
	strings_finish(&s->namespaces);
	strings_finish(&s->non_resource_urls);
	strings_finish(&s->user_patterns);
	strings_finish(&s->namespace_patterns);
	strings_finish(&s->clusters);
	for (size_t i = 0; i < s->n_resources; i++) {
		free((char *)s->resources[i].group.ptr);
		strings_finish(&s->resources[i].resources);
		strings_finish(&s->resources[i].resource_names);
	}
	free(s->resources);
	free(s->codes);
	*s = (struct selector){ 0 };
}
