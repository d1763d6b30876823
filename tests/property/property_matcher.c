/* Random rules and random attributes: the compiled matcher against the rules read one by one, list by list. */
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/match/matcher.h"
#include "tests/tools/random.h"

enum { RULES_MAX = 300, EVENTS_A_ROUND = 40, ROUNDS = 20000, GROUPS_MAX = 4 };

static const char *const users[] = { "", "*", "alice", "bob", "system:node:a", "system:node:b", "system:apiserver" };
static const char *const groups[] = { "", "*", "devs", "ops", "system:nodes", "system:masters", "system:authenticated" };
static const char *const verbs[] = { "", "*", "get", "list", "watch", "create", "update", "patch", "delete" };
static const char *const namespaces[] = { "", "*", "default", "kube-system", "team-a", "team-b" };
static const char *const api_groups[] = { "", "*", "apps", "batch", "rbac.authorization.k8s.io" };
static const char *const resources[] = { "", "*", "pods", "services", "secrets", "a/b", "deployments" };
static const char *const subresources[] = { "", "*", "log", "status", "exec", "b", "b/c" };
static const char *const names[] = { "", "*", "a", "b", "long-name-of-an-object-in-the-cluster" };
static const char *const paths[] = { "", "/", "/healthz", "/healthz/ping", "/healthzfoo", "/logs", "/logs/", "//healthz",
	"/metrics", "*", "/a*" };
static const char *const url_rules[] = { "*", "/*", "/healthz", "/healthz*", "/healthz/*", "/logs/*", "/metrics", "/logs",
	"**", "/a**", "", "x*" };
static const char *const patterns[] = { "*", "system:*", "*a*", "*-*", "team-*", "*b", "alice", "**", "system:*:a" };
static const char *const clusters[] = { "", "prod", "test" };

#define PICK(r, list) view_of((list)[random_below(r, sizeof(list) / sizeof *(list))])
#define FILL(r, strings, list, chance)                                               \
	do {                                                                         \
		if (random_below(r, 100) < (chance))                                 \
			for (uint64_t n_ = 1 + random_below(r, 3); n_; n_--)         \
				strings_add(strings, PICK(r, list));                 \
	} while (0)

static void random_pattern(struct random *r, struct strings *ret)
{
	struct view resource = PICK(r, resources), sub = PICK(r, subresources);
	char text[128];
	switch (random_below(r, 5)) {
	case 0:
		(void)snprintf(text, sizeof text, "%.*s/%.*s", VIEW_ARGS(resource), VIEW_ARGS(sub));
		break;
	case 1:
		(void)snprintf(text, sizeof text, "*/%.*s", VIEW_ARGS(sub));
		break;
	case 2:
		(void)snprintf(text, sizeof text, "%.*s/*", VIEW_ARGS(resource));
		break;
	default:
		(void)snprintf(text, sizeof text, "%.*s", VIEW_ARGS(resource));
	}
	strings_add(ret, view_of(text));
}

static void random_resources(struct random *r, struct selector *s)
{
	s->n_resources = 1 + random_below(r, 3);
	s->resources = mem_zero(s->n_resources, sizeof *s->resources);
	for (size_t i = 0; i < s->n_resources; i++) {
		struct group_resources *entry = &s->resources[i];
		struct view group = PICK(r, api_groups);
		entry->group = (struct view){ mem_text(group), group.len };
		if (random_below(r, 4) == 0)
			continue;
		for (uint64_t n = 1 + random_below(r, 3); n; n--)
			random_pattern(r, &entry->resources);
		FILL(r, &entry->resource_names, names, 25);
	}
}

static void random_extras(struct random *r, struct selector *s)
{
	FILL(r, &s->user_patterns, patterns, 20);
	FILL(r, &s->namespace_patterns, patterns, 20);
	FILL(r, &s->clusters, clusters, 20);
	if (random_below(r, 5) == 0)
		s->stages = (unsigned)random_below(r, 32);
	if (random_below(r, 5) == 0)
		s->sample = (uint32_t)random_below(r, 4);
	if (random_below(r, 5) == 0) {
		s->codes = mem_alloc(2 * sizeof *s->codes);
		s->n_codes = 2;
		for (size_t i = 0; i < 2; i++) {
			s->codes[i].first = (int32_t)random_below(r, 600);
			s->codes[i].last = s->codes[i].first + (int32_t)random_below(r, 200);
		}
	}
}

static void random_selector(struct random *r, struct selector *s, bool extras)
{
	*s = (struct selector){ 0 };
	FILL(r, &s->users, users, 30);
	FILL(r, &s->user_groups, groups, 25);
	FILL(r, &s->verbs, verbs, 50);
	FILL(r, &s->namespaces, namespaces, 25);
	if (random_below(r, 2))
		random_resources(r, s);
	FILL(r, &s->non_resource_urls, url_rules, 25); /* beside resources, too: those win */
	if (extras && random_below(r, 3) == 0)
		random_extras(r, s);
}

/* The straight reading; AUDIT policy rules as kube-apiserver documents them. */
static bool has(const struct strings *list, struct view text)
{
	for (size_t i = 0; i < list->n; i++)
		if (view_eq(list->list[i], text))
			return true;
	return false;
}

static bool glob(const char *p, const char *p_end, const char *t, const char *t_end)
{
	if (p == p_end)
		return t == t_end;
	if (*p == '*')
		return glob(p + 1, p_end, t, t_end) || (t < t_end && glob(p, p_end, t + 1, t_end));
	return t < t_end && *p == *t && glob(p + 1, p_end, t + 1, t_end);
}

static bool has_glob(const struct strings *list, struct view text)
{
	for (size_t i = 0; i < list->n; i++)
		if (glob(list->list[i].ptr, list->list[i].ptr + list->list[i].len, text.ptr, text.ptr + text.len))
			return true;
	return false;
}

static bool entry_matches(const struct group_resources *entry, const struct attributes *a)
{
	if (!view_eq(entry->group, VIEW("*")) && !view_eq(entry->group, a->api_group))
		return false;
	if (!entry->resources.n)
		return true;
	if (entry->resource_names.n && !has(&entry->resource_names, a->name))
		return false;
	char combined[256];
	(void)snprintf(combined, sizeof combined, a->subresource.len ? "%.*s/%.*s" : "%.*s", VIEW_ARGS(a->resource),
		VIEW_ARGS(a->subresource));
	for (size_t i = 0; i < entry->resources.n; i++) {
		struct view p = entry->resources.list[i];
		if (view_eq(p, VIEW("*")) || view_eq(p, view_of(combined)))
			return true;
		if (a->subresource.len && view_starts(p, VIEW("*/")) && view_eq(view_of(p.ptr + 2), a->subresource))
			return true;
		if (view_ends(p, VIEW("/*")) && view_eq((struct view){ p.ptr, p.len - 2 }, a->resource))
			return true;
	}
	return false;
}

static bool place_matches(const struct selector *s, const struct attributes *a)
{
	if (s->n_resources || s->namespaces.n || s->namespace_patterns.n) {
		if (!a->is_resource)
			return false;
		if ((s->namespaces.n || s->namespace_patterns.n) && !has(&s->namespaces, a->namespace_) &&
			!has_glob(&s->namespace_patterns, a->namespace_))
			return false;
		for (size_t i = 0; i < s->n_resources; i++)
			if (entry_matches(&s->resources[i], a))
				return true;
		return s->n_resources == 0;
	}
	if (!s->non_resource_urls.n)
		return true;
	for (size_t i = 0; !a->is_resource && i < s->non_resource_urls.n; i++) {
		struct view url = s->non_resource_urls.list[i];
		if (view_eq(url, a->path))
			return true;
		if (!view_ends(url, VIEW("*")))
			continue;
		while (view_ends(url, VIEW("*")))
			url.len--;
		if (view_starts(a->path, url))
			return true;
	}
	return false;
}

static bool user_matches(const struct selector *s, const struct attributes *a)
{
	if ((s->users.n || s->user_patterns.n) &&
		!(a->has_user && (has(&s->users, a->user) || has_glob(&s->user_patterns, a->user))))
		return false;
	bool in_group = s->user_groups.n == 0;
	for (uint32_t i = 0; a->has_user && i < a->n_groups; i++)
		in_group |= has(&s->user_groups, a->groups[i]);
	return in_group;
}

static bool extras_match(const struct selector *s, const struct attributes *a)
{
	bool code = s->n_codes == 0;
	for (size_t i = 0; i < s->n_codes; i++)
		code |= a->code >= s->codes[i].first && a->code <= s->codes[i].last;
	if (!code || (s->clusters.n && !has(&s->clusters, a->cluster)))
		return false;
	return !s->stages || s->stages & 1u << a->stage;
}

static bool rule_matches(const struct selector *s, const struct attributes *a)
{
	return user_matches(s, a) && (!s->verbs.n || has(&s->verbs, a->verb)) && place_matches(s, a) &&
	       extras_match(s, a);
}

/* Which of two is sampled is the matcher's own affair: a rule that samples is asked alone. */
static bool is_sampled(const struct selector *s, const struct attributes *a)
{
	struct selector only = { .sample = s->sample };
	const struct selector *pointer = &only;
	struct matcher *m;
	if (s->sample <= 1)
		return true;
	if (matcher_create(&m, &pointer, 1) < 0)
		abort();
	bool taken = matcher_first(m, a) == 0;
	matcher_destroy(m);
	return taken;
}

static int straight_first(const struct selector *rules, size_t n, const struct attributes *a)
{
	for (size_t i = 0; i < n; i++)
		if (rule_matches(&rules[i], a) && is_sampled(&rules[i], a))
			return (int)i;
	return MATCHER_NONE;
}

static void random_attributes(struct random *r, struct attributes *a, struct view *group_list)
{
	*a = (struct attributes){ .has_user = random_below(r, 10) > 0, .verb = PICK(r, verbs),
		.is_resource = random_below(r, 4) > 0, .groups = group_list };
	a->user = a->has_user ? PICK(r, users) : VIEW("");
	a->n_groups = (uint32_t)random_below(r, GROUPS_MAX + 1);
	for (uint32_t i = 0; i < a->n_groups; i++)
		group_list[i] = PICK(r, groups);
	if (a->is_resource) {
		a->namespace_ = PICK(r, namespaces);
		a->api_group = PICK(r, api_groups);
		a->resource = PICK(r, resources);
		a->subresource = random_below(r, 2) ? PICK(r, subresources) : VIEW("");
		a->name = PICK(r, names);
	} else {
		a->path = PICK(r, paths);
	}
	static const char *const ids[] = { "1", "2", "3", "4b39387b-3d19-40b4-83db-90e97b070923" };
	a->audit_id = PICK(r, ids);
	a->cluster = PICK(r, clusters);
	a->code = (int32_t)random_below(r, 700);
	a->stage = (enum event_stage)random_below(r, 5);
}

static void round_of(struct random *r, uint64_t *hits)
{
	static struct selector rules[RULES_MAX];
	static struct attributes a;
	const struct selector *pointers[RULES_MAX];
	struct view group_list[GROUPS_MAX];
	struct matcher *m;
	size_t n = random_below(r, 20) ? random_below(r, 12) : random_below(r, RULES_MAX);
	bool extras = random_below(r, 2);
	for (size_t i = 0; i < n; i++) {
		random_selector(r, &rules[i], extras);
		pointers[i] = &rules[i];
	}
	if (matcher_create(&m, pointers, n) < 0)
		abort();
	for (int i = 0; i < EVENTS_A_ROUND; i++) {
		random_attributes(r, &a, group_list);
		int got = matcher_first(m, &a), expected = straight_first(rules, n, &a);
		if (got != expected) {
			printf("rule %d, not %d, of %zu; seed %" PRIu64 "\n", got, expected, n, r->seed);
			exit(1);
		}
		*hits += got != MATCHER_NONE;
	}
	matcher_destroy(m);
	for (size_t i = 0; i < n; i++)
		selector_finish(&rules[i]);
}

int main(int argc, char **argv)
{
	uint64_t hits = 0;
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		round_of(&r, &hits);
	}
	printf("%" PRIu64 " events, %" PRIu64 " matched\n", run.rounds * EVENTS_A_ROUND, hits);
	return 0;
}
