/*
 * What lint says of rules (cover.h) against asking the matcher of every request of a small world: shadowed rules and by whom,
 * complete policies, and which rules a question reaches.
 */
#include <assert.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/match/matcher.h"
#include "router/policy/cover.h"
#include "tests/tools/random.h"

enum { ROUNDS = 150, RULES_MAX = 6 };

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* What rules name, and in the world one thing more that none names. */
static const char *const users[] = { "u1", "u2", "other" }, *const groups[] = { "g1", "g2", "other" };
static const char *const verbs[] = { "get", "list", "other" }, *const api_groups[] = { "", "apps", "other" };
static const char *const resources[] = { "pods", "jobs", "other", "*" }, *const subresources[] = { "", "log", "other", "*" };
static const char *const object_names[] = { "", "n", "other" }, *const namespaces[] = { "", "x", "other" };
static const char *const urls[] = { "/a", "/a/b", "/ab", "/a/", "/a/c", "/az", "/", "/other", "x", "" };

static const char *const patterns[] = { "pods", "jobs", "pods/log", "*/log", "pods/*", "*", "*/*", "pods/", "jobs/log" };
static const char *const url_patterns[] = { "/a", "/a*", "/a/*", "/a/b", "*", "/*", "/ab" };

static const struct random *replay;
static const struct selector *shown; /* the rules of the round, and the question */
static size_t n_shown;

static void show(const char *name, const struct strings *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		fprintf(stderr, "%s%.*s", i ? ", " : name, VIEW_ARGS(texts->list[i]));
}

static _Noreturn void fail(const char *what, size_t rule)
{
	fprintf(stderr, "seed %" PRIu64 ": %s (rule %zu)\n", replay->seed, what, rule);
	for (size_t i = 0; i < n_shown; i++) {
		const struct selector *s = &shown[i];
		fprintf(stderr, "%zu:", i);
		show(" users ", &s->users);
		show(" groups ", &s->user_groups);
		show(" verbs ", &s->verbs);
		show(" namespaces ", &s->namespaces);
		show(" urls ", &s->non_resource_urls);
		for (size_t k = 0; k < s->n_resources; k++) {
			fprintf(stderr, " [%.*s", VIEW_ARGS(s->resources[k].group));
			show(": ", &s->resources[k].resources);
			show(" of ", &s->resources[k].resource_names);
			fprintf(stderr, "]");
		}
		fprintf(stderr, "\n");
	}
	abort();
}

/* ---- rules ---- */

static void add_some(struct random *r, struct strings *to, const char *const *from, size_t n)
{
	if (random_below(r, 3))
		return;
	for (uint64_t i = random_below(r, 3) + 1; i > 0; i--)
		strings_add(to, view_of(from[random_below(r, n - 1)])); /* never the last: "other" */
}

static void add_patterns(struct random *r, struct strings *to, const char *const *from, size_t n)
{
	for (uint64_t i = random_below(r, 3); i > 0; i--)
		strings_add(to, view_of(from[random_below(r, n)]));
}

static struct selector random_rule(struct random *r)
{
	struct selector s = { 0 };
	add_some(r, &s.users, users, COUNT(users));
	add_some(r, &s.user_groups, groups, COUNT(groups));
	add_some(r, &s.verbs, verbs, COUNT(verbs));
	if (!random_below(r, 4)) {
		add_patterns(r, &s.non_resource_urls, url_patterns, COUNT(url_patterns));
		return s;
	}
	add_some(r, &s.namespaces, namespaces, COUNT(namespaces));
	s.n_resources = random_below(r, 3);
	s.resources = s.n_resources ? mem_zero(s.n_resources, sizeof *s.resources) : NULL;
	for (size_t i = 0; i < s.n_resources; i++) {
		struct group_resources *entry = &s.resources[i];
		struct view group = random_below(r, 3) ? view_of(api_groups[random_below(r, COUNT(api_groups) - 1)]) : VIEW("*");
		entry->group = (struct view){ mem_text(group), group.len };
		add_patterns(r, &entry->resources, patterns, COUNT(patterns));
		if (entry->resources.n)
			add_some(r, &entry->resource_names, object_names, COUNT(object_names));
	}
	return s;
}

/* ---- the world ---- */

struct world {
	struct matcher *all, *one[RULES_MAX], *question;
	size_t n;
	bool first[RULES_MAX], matched[RULES_MAX], reached[RULES_MAX], incomplete;
	bool beyond[RULES_MAX][RULES_MAX]; /* i matches something that k does not */
};

static void visit(struct world *w, const struct attributes *a)
{
	bool matches[RULES_MAX];
	int first = matcher_first(w->all, a);
	for (size_t i = 0; i < w->n; i++) {
		matches[i] = matcher_first(w->one[i], a) == 0;
		w->matched[i] |= matches[i];
	}
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->n; k++)
			w->beyond[i][k] |= matches[i] && !matches[k];
	w->incomplete |= first == MATCHER_NONE;
	if (first == MATCHER_NONE)
		return;
	w->first[first] = true;
	w->reached[first] |= matcher_first(w->question, a) == 0;
}

static void visit_requests(struct world *w, struct attributes *a)
{
	a->is_resource = false;
	for (size_t i = 0; i < COUNT(urls); i++) {
		a->path = view_of(urls[i]);
		visit(w, a);
	}
	a->path = (struct view){ NULL, 0 };
	a->is_resource = true;
	for (size_t i = 0; i < 4 * 4 * 3 * 3 * 3; i++) {
		a->resource = view_of(resources[i % 4]);
		a->subresource = view_of(subresources[i / 4 % 4]);
		a->api_group = view_of(api_groups[i / 16 % 3]);
		a->name = view_of(object_names[i / 48 % 3]);
		a->namespace_ = view_of(namespaces[i / 144]);
		visit(w, a);
	}
	a->api_group = a->resource = a->subresource = a->name = a->namespace_ = (struct view){ NULL, 0 };
}

static void visit_all(struct world *w)
{
	static struct attributes a;
	struct view of[3];
	for (size_t verb = 0; verb < COUNT(verbs); verb++)
		for (size_t user = 0; user <= COUNT(users); user++)
			for (unsigned set = 0; set < (user == COUNT(users) ? 1 : 8); set++) {
				a.verb = view_of(verbs[verb]);
				a.has_user = user < COUNT(users);
				a.user = a.has_user ? view_of(users[user]) : (struct view){ NULL, 0 };
				a.groups = of;
				a.n_groups = 0;
				for (size_t i = 0; i < COUNT(groups); i++)
					if (set >> i & 1)
						of[a.n_groups++] = view_of(groups[i]);
				visit_requests(w, &a);
			}
}

/* ---- a round ---- */

static void compare(const struct world *w, struct cover *c)
{
	bool reached[RULES_MAX + 1];
	for (size_t i = 0; i < w->n; i++) {
		size_t by = 0;
		enum cover_by answer = cover_shadow(c, i, &by);
		if (w->matched[i] && (answer == COVER_NONE) != w->first[i])
			fail(w->first[i] ? "said to be shadowed, and decides" : "never decides, and is not said to be shadowed", i);
		if (w->matched[i] && answer == COVER_ONE && (by >= i || w->beyond[i][by]))
			fail("said to be shadowed by a rule that does not match all of it", i);
		bool one = false;
		for (size_t k = 0; k < i; k++)
			one = one || !w->beyond[i][k];
		if (w->matched[i] && answer == COVER_TOGETHER && one)
			fail("one rule alone shadows it, and it is not named", i);
	}
	if (cover_complete(c) == w->incomplete)
		fail("complete or not", w->n);
	cover_reached(c, w->n, reached);
	for (size_t i = 0; i < w->n; i++)
		if (reached[i] != w->reached[i])
			fail("reached by the question or not", i);
}

static void round_of(struct random *r)
{
	struct selector rules[RULES_MAX + 1];
	const struct selector *selectors[RULES_MAX + 1];
	struct world w = { .n = random_below(r, RULES_MAX) + 1 };
	for (size_t i = 0; i <= w.n; i++) {
		rules[i] = random_rule(r);
		selectors[i] = &rules[i];
	}
	shown = rules;
	n_shown = w.n + 1;
	assert(matcher_create(&w.all, selectors, w.n) == 0);
	for (size_t i = 0; i < w.n; i++)
		assert(matcher_create(&w.one[i], &selectors[i], 1) == 0);
	assert(matcher_create(&w.question, &selectors[w.n], 1) == 0);
	visit_all(&w);
	struct cover *c = cover_create(selectors, w.n, w.n + 1);
	assert(c);
	compare(&w, c);
	cover_destroy(c);
	matcher_destroy(w.all);
	matcher_destroy(w.question);
	for (size_t i = 0; i < w.n; i++)
		matcher_destroy(w.one[i]);
	for (size_t i = 0; i <= w.n; i++)
		selector_finish(&rules[i]);
}

int main(int argc, char **argv)
{
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		replay = &r;
		round_of(&r);
	}
	return 0;
}
