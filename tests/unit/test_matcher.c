#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "router/base/buf.h"
#include "router/match/matcher.h"

enum { RULES_MAX = 64, GROUPS_MAX = 32, LINE_MAX_BYTES = 1 << 20 };

/* Rules from YAML, one matcher. */
struct table {
	struct tree *tree;
	const struct node *rules;
	struct matcher *matcher;
};

static struct matcher *matcher_of(const struct node *rules)
{
	struct selector selectors[RULES_MAX];
	const struct selector *pointers[RULES_MAX];
	struct problems problems = { 0 };
	struct matcher *m = NULL;
	assert_true(rules && rules->n <= RULES_MAX);
	for (size_t i = 0; i < rules->n; i++) {
		if (!selector_read(&selectors[i], rules->items[i], "rules.yaml", &problems))
			fail_msg("%s", problems.list[0].err.text);
		pointers[i] = &selectors[i];
	}
	assert_int_equal(matcher_create(&m, pointers, rules->n), 0);
	for (size_t i = 0; i < rules->n; i++)
		selector_finish(&selectors[i]);
	return m;
}

static struct table table_of(const char *yaml)
{
	struct table t = { 0 };
	struct err err = { 0 };
	if (tree_parse(&t.tree, "rules.yaml", view_of(yaml), &err) < 0)
		fail_msg("%s", err.text);
	t.rules = tree_root(t.tree);
	if (t.rules->kind == NODE_MAP)
		t.rules = tree_get(t.rules, "rules");
	t.matcher = matcher_of(t.rules);
	return t;
}

static void table_finish(struct table *t)
{
	matcher_destroy(t->matcher);
	tree_close(t->tree);
}

/* An event from JSON; its texts live as long as `json` does. */
struct sample {
	json_t *json;
	struct view groups[GROUPS_MAX];
	struct event event;
	struct attributes attributes;
};

static struct view text_of(const json_t *object, const char *key)
{
	const json_t *text = json_object_get(object, key);
	return (struct view){ json_string_value(text), json_string_length(text) };
}

static void sample_from(struct sample *s, json_t *json)
{
	struct event *e = &s->event;
	const json_t *user = json_object_get(json, "user"), *ref = json_object_get(json, "objectRef"), *group;
	size_t i;
	s->json = json;
	*e = (struct event){ .verb = text_of(json, "verb"), .request_uri = text_of(json, "requestURI"),
		.audit_id = text_of(json, "auditID") };
	e->user.present = user != NULL;
	e->user.username = text_of(user, "username");
	e->user.uid = text_of(user, "uid");
	e->user.groups = s->groups;
	json_array_foreach (json_object_get(user, "groups"), i, group) {
		assert_true(i < GROUPS_MAX);
		s->groups[e->user.n_groups++] = view_of(json_string_value(group));
	}
	e->object_ref.present = ref != NULL;
	e->object_ref.resource = text_of(ref, "resource");
	e->object_ref.subresource = text_of(ref, "subresource");
	e->object_ref.namespace_ = text_of(ref, "namespace");
	e->object_ref.name = text_of(ref, "name");
	e->object_ref.api_group = text_of(ref, "apiGroup");
	attributes_of(e, &s->attributes);
}

static int first(const struct matcher *m, const char *json)
{
	static struct sample s;
	json_error_t error;
	json_t *root = json_loads(json, 0, &error);
	if (!root)
		fail_msg("%s: %s", error.text, json);
	sample_from(&s, root);
	int rule = matcher_first(m, &s.attributes);
	json_decref(root);
	return rule;
}

#define ALICE "'user':{'username':'alice','groups':['devs','system:authenticated']}"

/* The events are in single quotes, for reading. */
struct expectation {
	const char *event;
	int rule;
};

static void check(const char *rules, const struct expectation *expected, size_t n)
{
	struct table t = table_of(rules);
	for (size_t i = 0; i < n; i++) {
		char *event = mem_text(view_of(expected[i].event));
		for (char *c = event; *c; c++)
			if (*c == '\'')
				*c = '"';
		int rule = first(t.matcher, event);
		if (rule != expected[i].rule)
			fail_msg("%s: rule %d, not %d", event, rule, expected[i].rule);
		free(event);
	}
	table_finish(&t);
}

#define CHECK(rules, expected) check(rules, expected, sizeof(expected) / sizeof *(expected))

static void users_groups_and_verbs_are_exact(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get'," ALICE "}", 0 },
		{ "{'verb':'list'," ALICE "}", 1 },
		{ "{'verb':'get','user':{'username':'Alice','groups':['devs']}}", 1 },
		{ "{'verb':'get','user':{'username':'alic','groups':['dev','ops']}}", 3 },
		{ "{'verb':'get','user':{'username':'*'}}", 2 },
		{ "{'verb':'get','user':{}}", 3 },
		{ "{'verb':'*','user':{}}", 3 },
		{ "{'verb':'','user':{'username':'nobody'}}", MATCHER_NONE },
	};
	(void)state;
	CHECK("- {users: [alice], verbs: [get]}\n"
	      "- {userGroups: [devs, admins]}\n"
	      "- {users: ['*']}\n"
	      "- {verbs: [get, '*']}\n",
		expected);
}

/* Without a user (a failed authentication) a list never matches, not even one with an empty name. */
static void nobody_matches_no_list_of_users(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get','user':{}}", 2 },
		{ "{'verb':'get'}", 2 },
		{ "{'verb':'get','user':{'groups':['']}}", 0 },
	};
	(void)state;
	CHECK("- {users: ['']}\n- {userGroups: ['']}\n- {}\n", expected);
}

static void namespaces_say_resource_request(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get','objectRef':{'resource':'nodes','name':'n'}}", 1 },
		{ "{'verb':'list','objectRef':{'resource':'pods'}}", 1 },
		{ "{'verb':'get','objectRef':{'resource':'pods','namespace':'a'}}", 0 },
		{ "{'verb':'get','objectRef':{'resource':'pods','namespace':'c'}}", MATCHER_NONE },
		{ "{'verb':'get','objectRef':{'resource':'namespaces','namespace':'a','name':'a'}}", 0 },
		{ "{'verb':'get','requestURI':'/healthz'}", MATCHER_NONE },
	};
	(void)state;
	CHECK("- {namespaces: [a, b, '*']}\n- {namespaces: ['']}\n", expected);
}

static void resources_and_subresources(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get','objectRef':{'resource':'pods'}}", 0 },
		{ "{'verb':'get','objectRef':{'resource':'pods','subresource':'log'}}", 1 },
		{ "{'verb':'get','objectRef':{'resource':'pods','subresource':'exec'}}", 3 },
		{ "{'verb':'get','objectRef':{'resource':'things','subresource':'status'}}", 2 },
		{ "{'verb':'get','objectRef':{'resource':'services'}}", 3 },
		{ "{'verb':'get','objectRef':{'resource':'services','subresource':'proxy'}}", 3 },
		{ "{'verb':'get','objectRef':{'resource':'deployments','apiGroup':'apps'}}", 4 },
		{ "{'verb':'get','objectRef':{'resource':'deployments','apiGroup':'apps','subresource':'scale'}}", 4 },
		{ "{'verb':'get','objectRef':{'resource':'pods','apiGroup':'apps'}}", 4 },
		{ "{'verb':'get','objectRef':{'resource':'jobs','apiGroup':'batch'}}", 5 },
		{ "{'verb':'get','objectRef':{'resource':'jobs','apiGroup':'batch','subresource':'x'}}", 5 },
		{ "{'verb':'get','objectRef':{'resource':'x','apiGroup':'other'}}", 6 },
		{ "{'verb':'get','objectRef':{'resource':'*','subresource':'x','apiGroup':'other'}}", 6 },
		{ "{'verb':'get','objectRef':{'resource':'y','subresource':'*','apiGroup':'other'}}", 6 },
		{ "{'verb':'get','objectRef':{'resource':'y','subresource':'x','apiGroup':'other'}}", MATCHER_NONE },
		{ "{'verb':'get','requestURI':'/apis/apps'}", MATCHER_NONE },
	};
	(void)state;
	CHECK("- {resources: [{resources: [pods]}]}\n"
	      "- {resources: [{group: '', resources: [pods/log]}]}\n"
	      "- {resources: [{group: '', resources: ['*/status']}]}\n"
	      "- {resources: [{group: '', resources: [services/*, pods/*]}]}\n"
	      "- {resources: [{group: apps}]}\n"
	      "- {resources: [{group: batch, resources: ['*']}]}\n"
	      "- {resources: [{group: '*', resources: ['*/*', x]}]}\n",
		expected);
}

static void names_belong_to_their_entry(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get','objectRef':{'resource':'secrets','name':'a'}}", 0 },
		{ "{'verb':'get','objectRef':{'resource':'secrets','name':'b'}}", MATCHER_NONE },
		{ "{'verb':'get','objectRef':{'resource':'configmaps','name':'b'}}", 0 },
		{ "{'verb':'list','objectRef':{'resource':'configmaps'}}", MATCHER_NONE },
		{ "{'verb':'list','objectRef':{'resource':'pods'}}", 1 },
	};
	(void)state;
	CHECK("- resources:\n"
	      "  - {resources: [secrets], resourceNames: [a]}\n"
	      "  - {resources: [configmaps], resourceNames: [b]}\n"
	      "- {resources: [{resources: [pods], resourceNames: ['']}]}\n",
		expected);
}

static void urls_are_decoded_paths(void **state)
{
	static const struct expectation expected[] = {
		{ "{'verb':'get','requestURI':'/healthz'}", 0 },
		{ "{'verb':'get','requestURI':'/healthz?verbose'}", 0 },
		{ "{'verb':'get','requestURI':'/healthz/ping'}", 0 },
		{ "{'verb':'get','requestURI':'/healthzfoo'}", 0 },
		{ "{'verb':'get','requestURI':'//healthz'}", 4 },
		{ "{'verb':'get','requestURI':'/%68ealthz'}", 0 },
		{ "{'verb':'get','requestURI':'/logs'}", 4 },
		{ "{'verb':'get','requestURI':'/logs/'}", 1 },
		{ "{'verb':'get','requestURI':'/a%20b?x=%zz'}", 2 },
		{ "{'verb':'get','requestURI':'/a+b'}", 4 },
		{ "{'verb':'get','requestURI':'/a%2'}", 4 },
		{ "{'verb':'get','requestURI':'/what%3f'}", 3 },
		{ "{'verb':'get','requestURI':'/what?'}", 4 },
		{ "{'verb':'get','requestURI':''}", 4 },
		{ "{'verb':'get'}", 4 },
		{ "{'verb':'get','requestURI':'/healthz','objectRef':{'resource':'x'}}", 5 },
	};
	(void)state;
	CHECK("- {nonResourceURLs: ['/healthz*']}\n"
	      "- {nonResourceURLs: ['/logs/*']}\n"
	      "- {nonResourceURLs: ['/a b']}\n"
	      "- {nonResourceURLs: ['/what?']}\n"
	      "- {nonResourceURLs: ['*']}\n"
	      "- {}\n",
		expected);
}

/* objectRef was filled in from the body: for create and update the URL tells what the server knew when it decided. */
static void create_and_update_are_seen_as_the_server_saw_them(void **state)
{
	static const struct {
		const char *verb, *uri, *namespace_, *name;
	} cases[] = {
		{ "create", "/api/v1/namespaces/x/configmaps?a=b", "x", "" },
		{ "create", "/api/v1/namespaces/x/pods/p/binding", "x", "p" },
		{ "create", "/api/v1/namespaces/x/pods/p/proxy/a/b", "x", "p" },
		{ "create", "/api/v1/namespaces", "", "" },
		{ "update", "/api/v1/namespaces/n", "n", "n" },
		{ "update", "/api/v1/namespaces/n/finalize", "n", "n" },
		{ "update", "/api/v1/namespaces/n/status/", "n", "n" },
		{ "update", "/apis/apps/v1/namespaces/n/deployments/d", "n", "d" },
		{ "create", "/apis/batch/v1/namespaces/n/jobs", "n", "" },
		{ "update", "/api/v1/nodes/a%2Db", "", "a-b" },
		{ "update", "/api/v1/nodes/a%2Fstatus", "", "a" },
		{ "create", "//api/v1/nodes//", "", "" },
		{ "get", "/api/v1/namespaces/x/configmaps/c", "ns", "name" },
		{ "create", "/api/v1", "ns", "name" },
		{ "create", "/apis/apps/v1", "ns", "name" },
		{ "create", "/other/v1/pods/p", "ns", "name" },
		{ "create", "", "ns", "name" },
		{ "create", NULL, "ns", "name" },
	};
	static struct attributes a;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct event e = { .verb = view_of(cases[i].verb), .request_uri = view_of(cases[i].uri) };
		e.object_ref.present = true;
		e.object_ref.namespace_ = VIEW("ns");
		e.object_ref.name = VIEW("name");
		attributes_of(&e, &a);
		if (!view_eq(a.namespace_, view_of(cases[i].namespace_)) || !view_eq(a.name, view_of(cases[i].name)))
			fail_msg("%s %s: %.*s/%.*s", cases[i].verb, cases[i].uri, VIEW_ARGS(a.namespace_),
				VIEW_ARGS(a.name));
	}
}

static void a_path_longer_than_its_room_is_cut(void **state)
{
	static char uri[3 * ATTRIBUTES_PATH_MAX + 3];
	static struct attributes a;
	(void)state;
	uri[0] = '/';
	for (size_t i = 1; i + 3 <= sizeof uri; i += 3)
		memcpy(uri + i, "%41", 3);
	struct event e = { .verb = VIEW("get"), .request_uri = { uri, sizeof uri - 2 } };
	attributes_of(&e, &a);
	assert_int_equal(a.path.len, ATTRIBUTES_PATH_MAX);
	assert_true(a.path.ptr[0] == '/' && a.path.ptr[1] == 'A' && a.path.ptr[ATTRIBUTES_PATH_MAX - 1] == 'A');
}

static struct matcher *matcher_of_one(const struct selector *s)
{
	struct matcher *m = NULL;
	assert_int_equal(matcher_create(&m, &s, 1), 0);
	return m;
}

static void extensions_restrict_too(void **state)
{
	static struct attributes a;
	struct code_range codes[] = { { 400, 499 }, { 503, 503 } };
	struct selector s = { .n_codes = 2, .stages = 1u << STAGE_PANIC | 1u << STAGE_RESPONSE_COMPLETE };
	(void)state;
	s.codes = codes;
	strings_add(&s.clusters, VIEW("prod"));
	strings_add(&s.users, VIEW("bob"));
	strings_add(&s.user_patterns, VIEW("system:*:a*c"));
	strings_add(&s.namespaces, VIEW(""));
	strings_add(&s.namespace_patterns, VIEW("team-*"));
	struct matcher *m = matcher_of_one(&s);
	const struct attributes good = { .has_user = true, .user = VIEW("bob"), .namespace_ = VIEW("team-"), .code = 404,
		.is_resource = true, .stage = STAGE_PANIC, .cluster = VIEW("prod") };
	a = good;
	assert_int_equal(matcher_first(m, &a), 0);
	a.user = VIEW("system:x:y:abcac");
	a.namespace_ = (struct view){ 0 };
	a.code = 503;
	assert_int_equal(matcher_first(m, &a), 0);
	a.user = VIEW("system:x:abd");
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.has_user = false;
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.code = 502;
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.stage = STAGE_REQUEST_RECEIVED;
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.cluster = VIEW("test");
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.namespace_ = VIEW("Team-a");
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	a = good;
	a.is_resource = false; /* a pattern for namespaces asks for a resource as their names do */
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	matcher_destroy(m);
	s.codes = NULL;
	selector_finish(&s);
}

/* The choice is by auditID alone: all stages of a request, and every run, agree. */
static void a_sample_is_one_in_so_many(void **state)
{
	static struct attributes a;
	struct selector s = { .sample = 8 };
	struct matcher *m = matcher_of_one(&s);
	unsigned taken = 0;
	(void)state;
	for (unsigned i = 0; i < 8000; i++) {
		char id[32];
		a.audit_id = (struct view){ id, (size_t)snprintf(id, sizeof id, "%08x-0000", i) };
		int rule = matcher_first(m, &a);
		assert_int_equal(matcher_first(m, &a), rule);
		taken += rule == 0;
	}
	assert_in_range(taken, 850, 1150);
	a.audit_id = VIEW("4abe3c7b-be86-436d-b3a2-52fe87a725ee");
	assert_int_equal(matcher_first(m, &a), 0);
	a.audit_id = VIEW("6b7877b2-1009-4373-88ff-a1bfff7bf2ea");
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	matcher_destroy(m);
}

static void a_resource_of_absurd_length_is_matched_all_the_same(void **state)
{
	static char longest[2000];
	static struct attributes a;
	struct group_resources entry = { .group = VIEW("") };
	struct selector s = { .resources = &entry, .n_resources = 1 };
	(void)state;
	memset(longest, 'r', sizeof longest);
	memcpy(longest + 998, "/s", 2);
	strings_add(&entry.resources, (struct view){ longest, 1000 });
	strings_add(&entry.resources, VIEW("*/x"));
	struct matcher *m = matcher_of_one(&s);
	a.is_resource = true;
	a.resource = (struct view){ longest, 998 };
	a.subresource = VIEW("s");
	assert_int_equal(matcher_first(m, &a), 0);
	a.subresource = VIEW("x");
	assert_int_equal(matcher_first(m, &a), 0);
	a.subresource = VIEW("t");
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	matcher_destroy(m);
	strings_finish(&entry.resources);
}

static void too_many_terms_are_refused(void **state)
{
	static const struct selector *pointers[MATCHER_TERMS_MAX + 1];
	static struct attributes a;
	struct selector any = { 0 }, never = { 0 };
	struct matcher *m = NULL;
	(void)state;
	strings_add(&never.verbs, VIEW("never"));
	for (size_t i = 0; i <= MATCHER_TERMS_MAX; i++)
		pointers[i] = &never;
	assert_int_equal(matcher_create(&m, pointers, MATCHER_TERMS_MAX + 1), -E2BIG);
	assert_null(m);
	pointers[MATCHER_TERMS_MAX - 1] = &any;
	assert_int_equal(matcher_create(&m, pointers, MATCHER_TERMS_MAX), 0);
	assert_int_equal(matcher_first(m, &a), MATCHER_TERMS_MAX - 1);
	a.verb = VIEW("never");
	assert_int_equal(matcher_first(m, &a), 0);
	matcher_destroy(m);
	assert_int_equal(matcher_create(&m, pointers, 0), 0);
	assert_int_equal(matcher_first(m, &a), MATCHER_NONE);
	matcher_destroy(m);
	selector_finish(&never);
}

static const char *level_decided(const struct table *t, const struct attributes *a)
{
	int rule = matcher_first(t->matcher, a);
	return rule == MATCHER_NONE ? "None" : tree_get(t->rules->items[rule], "level")->text.ptr;
}

/* Policies and events with the level that kube-apiserver 1.36 and its policy package decided on. */
static void every_decision_is_the_servers(void **state)
{
	static char line[LINE_MAX_BYTES];
	static struct sample s;
	struct table t = { 0 };
	unsigned policies = 0, events = 0;
	char *path = mem_textf("%s/tests/data/policy-decisions.ndjson.gz", getenv("AUDIT_ROUTER_SOURCE"));
	gzFile f = gzopen(path, "re");
	(void)state;
	assert_non_null(f);
	while (gzgets(f, line, sizeof line)) {
		json_error_t error;
		json_t *json = json_loads(line, JSON_ALLOW_NUL, &error);
		assert_non_null(json);
		if (json_object_get(json, "policy")) {
			table_finish(&t);
			t = table_of(text_of(json, "policy").ptr);
			policies++;
		} else {
			sample_from(&s, json);
			const char *level = level_decided(&t, &s.attributes);
			if (strcmp(level, text_of(json, "want").ptr) != 0)
				fail_msg("policy %u, event %u: %s: %s", policies, events, level, line);
			events++;
		}
		json_decref(json);
	}
	assert_int_equal(policies, 81);
	assert_int_equal(events, 13000);
	table_finish(&t);
	gzclose(f);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_groups_and_verbs_are_exact),
		cmocka_unit_test(nobody_matches_no_list_of_users),
		cmocka_unit_test(namespaces_say_resource_request),
		cmocka_unit_test(resources_and_subresources),
		cmocka_unit_test(names_belong_to_their_entry),
		cmocka_unit_test(urls_are_decoded_paths),
		cmocka_unit_test(create_and_update_are_seen_as_the_server_saw_them),
		cmocka_unit_test(a_path_longer_than_its_room_is_cut),
		cmocka_unit_test(extensions_restrict_too),
		cmocka_unit_test(a_sample_is_one_in_so_many),
		cmocka_unit_test(a_resource_of_absurd_length_is_matched_all_the_same),
		cmocka_unit_test(too_many_terms_are_refused),
		cmocka_unit_test(every_decision_is_the_servers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
