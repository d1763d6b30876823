/*
 * What is legal in a policy but likely a mistake. The checks, each a function below:
 *
 *   shadowed        a rule that never decides, since rules above it match all that it matches; and which
 *   incomplete      no rule catches the rest, which then is not logged at all
 *   core_group      the core group is "", not "core" or "v1"; core resources asked for in another group
 *   literal_stars   `*` where it is no wildcard
 *   verbs           verbs that no request has
 *   hidden_exec     exec, attach and port-forward come as GET too, and a None rule for reads hides them
 *   secrets         secrets, token requests and token reviews above Metadata: their bodies hold credentials
 *   lost_401        ResponseStarted omitted: the only event of a request that failed authentication
 *
 * Unknown and repeated fields are told by the reader.
 */
#include <stdlib.h>

#include "router/policy/cover.h"
#include "router/policy/policy_private.h"

struct lint {
	const struct policy *policy;
	struct problems *problems;
	struct cover *cover; /* NULL: too large to say */
	bool *reached;
};

#define WARN(l, at, ...) policy_problem((l)->policy, (l)->problems, PROBLEM_WARNING, at, __VA_ARGS__)

static bool is_one_of(struct view text, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(text, view_of(*names)))
			return true;
	return false;
}

/* ---- what a rule says by itself ---- */

static const char *const core_resources[] = { "bindings", "componentstatuses", "configmaps", "endpoints", "limitranges",
	"namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "replicationcontrollers",
	"resourcequotas", "secrets", "serviceaccounts", "services", NULL };
/* Groups that have resources of these names, too. */
static const char *const like_core[] = { "", "*", "metrics.k8s.io", "events.k8s.io", NULL };

static void core_group(const struct lint *l, const struct value *entry, size_t index)
{
	static const char *const wrong[] = { "core", "v1", "api", NULL };
	const struct value *group = value_get(entry, "group"), *resources = value_get(entry, "resources");
	if (!group || group->kind != VALUE_STRING || is_one_of(group->text, like_core))
		return;
	if (is_one_of(group->text, wrong)) {
		WARN(l, group, "rules[%zu]: no API group is called \"%.*s\": the core group (pods, secrets, ...) is \"\"", index,
			VIEW_ARGS(group->text));
		return;
	}
	static const char *const known[] = { "apps", "batch", "extensions", "networking.k8s.io", "rbac.authorization.k8s.io",
		"policy", "storage.k8s.io", "autoscaling", NULL };
	for (size_t i = 0; is_one_of(group->text, known) && resources && resources->kind == VALUE_LIST && i < resources->n; i++) {
		struct view text = resources->items[i]->text;
		const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
		struct view name = { text.ptr, slash ? (size_t)(slash - text.ptr) : text.len };
		if (is_one_of(name, core_resources))
			WARN(l, resources->items[i], "rules[%zu]: %.*s is in the core group, \"\", not in %.*s", index,
				VIEW_ARGS(text), VIEW_ARGS(group->text));
	}
}

/* A rule for several built-in groups as a whole, but not for the core group. */
static void core_forgotten(const struct lint *l, const struct value *list, size_t index)
{
	size_t named = 0;
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++) {
		const struct value *group = value_get(list->items[i], "group"), *resources = value_get(list->items[i], "resources");
		if (!group || group->kind != VALUE_STRING || is_one_of(group->text, (const char *const[]){ "", "*", "core", "v1", "api", NULL }))
			return;
		named += (!resources || !resources->n) && is_one_of(group->text, (const char *const[]){ "apps", "batch",
				"rbac.authorization.k8s.io", "networking.k8s.io", NULL });
	}
	if (named >= 2)
		WARN(l, list, "rules[%zu]: the core group (group: \"\": pods, secrets, ...) is not among these groups", index);
}

static void literal_stars(const struct lint *l, const struct value *rule, size_t index, const char *key)
{
	const struct value *list = value_get(rule, key);
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++) {
		struct view text = list->items[i]->text;
		if (list->items[i]->kind == VALUE_STRING && text.len && memchr(text.ptr, '*', text.len))
			WARN(l, list->items[i], "rules[%zu]: in %s a * is no wildcard: \"%.*s\" matches nothing else%s", index, key,
				VIEW_ARGS(text), text.len == 1 ? "; leave the list out to match all" : "");
	}
}

static void verbs(const struct lint *l, const struct value *rule, size_t index)
{
	static const char *const known[] = { "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy",
		"post", "put", "head", "options", "connect", "trace", "", "*", NULL };
	const struct value *list = value_get(rule, "verbs");
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++)
		if (list->items[i]->kind == VALUE_STRING && !is_one_of(list->items[i]->text, known))
			WARN(l, list->items[i], "rules[%zu]: no request has the verb \"%.*s\"", index, VIEW_ARGS(list->items[i]->text));
}

static void lint_rule(const struct lint *l, size_t index)
{
	static const char *const exact[] = { "users", "userGroups", "verbs", "namespaces" };
	const struct value *rule = l->policy->rules[index].said, *list = value_get(rule, "resources");
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++)
		core_group(l, list->items[i], index);
	core_forgotten(l, list, index);
	for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
		if (!l->policy->filter || i == 1 || i == 2)
			literal_stars(l, rule, index, exact[i]);
	verbs(l, rule, index);
}

/* ---- what rules do to one another ---- */

static void shadowed(const struct lint *l)
{
	for (size_t i = 0; i < l->policy->n_rules; i++) {
		size_t by;
		const struct policy_rule *rule = &l->policy->rules[i];
		switch (rule->wrong ? COVER_NONE : cover_shadow(l->cover, i, &by)) {
		case COVER_ONE:
			WARN(l, rule->said, "rules[%zu]: never decides: rules[%zu], line %u, matches all that it matches", i, by,
				l->policy->rules[by].said->line);
			break;
		case COVER_TOGETHER:
			WARN(l, rule->said, "rules[%zu]: never decides: the rules above it together match all that it matches", i);
			break;
		case COVER_NONE:
			break;
		}
	}
}

static void incomplete(const struct lint *l)
{
	const struct policy *p = l->policy;
	if (!p->filter && p->n_rules && !cover_complete(l->cover))
		WARN(l, p->rules[p->n_rules - 1].said,
			"no rule catches the rest: what no rule matches is not logged at all; to log it, end with \"- level: Metadata\"");
}

/* Does the rule name a subresource by itself, so that its author knows what it hides? */
static bool names_exec(const struct selector *s)
{
	for (size_t i = 0; i < s->n_resources; i++)
		for (size_t k = 0; k < s->resources[i].resources.n; k++) {
			struct view text = s->resources[i].resources.list[k];
			if (view_ends(text, VIEW("/exec")) || view_ends(text, VIEW("/attach")) || view_ends(text, VIEW("/portforward")))
				return true;
		}
	return false;
}

static void hidden_exec(const struct lint *l, size_t question)
{
	cover_reached(l->cover, question, l->reached);
	for (size_t i = 0; i < l->policy->n_rules; i++) {
		const struct policy_rule *rule = &l->policy->rules[i];
		const struct selector *s = &rule->selector;
		bool everybody = !s->users.n && !s->user_patterns.n &&
				 (!s->user_groups.n || strings_have(&s->user_groups, VIEW("system:authenticated")));
		if (l->reached[i] && !rule->wrong && rule->level == LEVEL_NONE && everybody && !names_exec(s) &&
			strings_have(&s->verbs, VIEW("get")) && !strings_have(&s->verbs, VIEW("create")))
			WARN(l, rule->said, "rules[%zu]: hides kubectl exec, attach and port-forward: they come as GET of pods/exec, "
				"pods/attach and pods/portforward; name these in a rule above it", i);
	}
}

static void secrets(const struct lint *l, size_t question, enum event_level most, bool *told)
{
	cover_reached(l->cover, question, l->reached);
	for (size_t i = 0; i < l->policy->n_rules; i++) {
		const struct policy_rule *rule = &l->policy->rules[i];
		if (!l->reached[i] || told[i] || rule->wrong || rule->level <= most)
			continue;
		told[i] = true;
		WARN(l, rule->said, "rules[%zu]: logs bodies of secrets, serviceaccounts/token or tokenreviews, credentials and all: "
			"put a rule with level Metadata for them above it", i);
	}
}

static bool omits_started(const struct value *list)
{
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++)
		if (view_eq(list->items[i]->text, VIEW("ResponseStarted")))
			return true;
	return false;
}

static void lost_401(const struct lint *l)
{
	static const char why[] =
		"without ResponseStarted a request that failed authentication (401) leaves no trace: it is the only stage that it has";
	const struct value *list = value_get(l->policy->said, "omitStages");
	if (omits_started(list))
		WARN(l, list, "omitStages: %s", why);
	for (size_t i = 0; i < l->policy->n_rules; i++) {
		const struct policy_rule *rule = &l->policy->rules[i];
		list = value_get(rule->said, "omitStages");
		if (omits_started(list) && !rule->selector.users.n && !rule->selector.user_groups.n && rule->level != LEVEL_NONE)
			WARN(l, list, "rules[%zu].omitStages: %s", i, why);
	}
}

/* ---- questions ---- */

enum { ASK_EXEC, ASK_WRITES, ASK_READS, QUESTIONS };

static void ask(struct selector *s, const char *const *verbs_asked, const char *const (*resources)[2], size_t n)
{
	for (; *verbs_asked; verbs_asked++)
		strings_add(&s->verbs, view_of(*verbs_asked));
	s->resources = mem_zero(n, sizeof *s->resources);
	s->n_resources = n;
	for (size_t i = 0; i < n; i++) {
		s->resources[i].group = (struct view){ mem_text(view_of(resources[i][0])), strlen(resources[i][0]) };
		strings_add(&s->resources[i].resources, view_of(resources[i][1]));
	}
}

static void make_questions(struct selector questions[QUESTIONS])
{
	static const char *const reads[] = { "get", "list", NULL }, *const get[] = { "get", NULL };
	static const char *const writes[] = { "create", "update", "patch", NULL };
	static const char *const exec[][2] = { { "", "pods/exec" }, { "", "pods/attach" }, { "", "pods/portforward" } };
	static const char *const credentials[][2] = { { "", "secrets" }, { "", "serviceaccounts/token" },
		{ "authentication.k8s.io", "tokenreviews" } };
	ask(&questions[ASK_EXEC], get, exec, 3);
	ask(&questions[ASK_WRITES], writes, credentials, 3);
	ask(&questions[ASK_READS], reads, credentials, 1);
}

static void lint_together(struct lint *l)
{
	const size_t n = l->policy->n_rules;
	struct selector questions[QUESTIONS] = { 0 };
	const struct selector **selectors = mem_alloc((n + QUESTIONS) * sizeof *selectors);
	bool *told = mem_zero(n + 1, sizeof *told);
	make_questions(questions);
	for (size_t i = 0; i < n; i++)
		selectors[i] = &l->policy->rules[i].selector;
	for (size_t i = 0; i < QUESTIONS; i++)
		selectors[n + i] = &questions[i];
	l->cover = cover_create(selectors, n, n + QUESTIONS);
	l->reached = mem_zero(n + 1, sizeof *l->reached);
	if (l->cover) {
		shadowed(l);
		incomplete(l);
		hidden_exec(l, n + ASK_EXEC);
		if (!l->policy->filter) {
			secrets(l, n + ASK_WRITES, LEVEL_METADATA, told);
			secrets(l, n + ASK_READS, LEVEL_REQUEST, told);
		}
	}
	cover_destroy(l->cover);
	for (size_t i = 0; i < QUESTIONS; i++)
		selector_finish(&questions[i]);
	free(l->reached);
	free(told);
	free(selectors);
}

/* What rules do to one another is asked only where all of them were understood: a matcher was made of them then. */
void policy_lint(const struct policy *p, struct problems *problems)
{
	struct lint l = { .policy = p, .problems = problems };
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].said->kind == VALUE_MAP)
			lint_rule(&l, i);
	if (p->matcher)
		lint_together(&l);
	lost_401(&l);
}
