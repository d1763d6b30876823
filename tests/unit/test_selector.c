#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "router/match/selector.h"

static bool read_yaml(const char *yaml, struct selector *ret, struct problems *problems)
{
	struct tree *tree = NULL;
	struct err err = { 0 };
	assert_int_equal(tree_parse(&tree, "s.yaml", view_of(yaml), &err), 0);
	bool good = selector_read(ret, tree_root(tree), "s.yaml", problems);
	tree_close(tree); /* the selector owns its texts */
	return good;
}

static void all_lists_are_read(void **state)
{
	struct selector s;
	struct problems problems = { 0 };
	(void)state;
	assert_true(read_yaml("users: [a, 'on', 12]\nuserGroups: [g]\nverbs: [get]\nnamespaces: ['', default]\n"
			      "resources:\n- {group: apps, resources: [a, b], resourceNames: [c]}\n- {}\n"
			      "id: not-ours\nverdict: [drop]\n",
		&s, &problems));
	assert_int_equal(s.users.n, 3);
	assert_true(strings_have(&s.users, VIEW("on")) && strings_have(&s.users, VIEW("12")));
	assert_false(strings_have(&s.users, VIEW("1")));
	assert_true(strings_have(&s.user_groups, VIEW("g")) && strings_have(&s.verbs, VIEW("get")));
	assert_true(strings_have(&s.namespaces, VIEW("")));
	assert_int_equal(s.n_resources, 2);
	assert_true(view_eq(s.resources[0].group, VIEW("apps")) && s.resources[0].resource_names.n == 1);
	assert_true(view_eq(s.resources[1].group, VIEW("")) && s.resources[1].resources.n == 0);
	assert_false(selector_is_empty(&s));
	selector_finish(&s);
	assert_true(selector_is_empty(&s));
	assert_int_equal(problems.n, 0);
}

static void empty_and_null_lists_do_not_restrict(void **state)
{
	struct selector s;
	struct problems problems = { 0 };
	(void)state;
	assert_true(read_yaml("users: []\nverbs: null\nresources: ~\nnonResourceURLs: []\nnamespaces:\n", &s, &problems));
	assert_true(selector_is_empty(&s));
	selector_finish(&s);
	assert_true(read_yaml("nonResourceURLs: ['*', '/x', /y*]\n", &s, &problems));
	assert_int_equal(s.non_resource_urls.n, 3);
	selector_finish(&s);
}

static void every_mistake_has_its_place(void **state)
{
	static const struct {
		const char *yaml, *problem;
		size_t n;
	} cases[] = {
		{ "[x]", "1:1: a selector is a mapping (users, userGroups, verbs, namespaces, ...)", 1 },
		{ "users: alice\n", "1:8: users takes a list of texts", 1 },
		{ "verbs: [get, {a: b}]\n", "1:14: verbs takes text", 1 },
		{ "namespaces: [n, ~]\n",
			"1:14: namespaces takes text; put quotes around what YAML reads as something else", 2 },
		{ "resources: pods\n", "1:12: resources takes a list of mappings (group, resources, resourceNames)", 1 },
		{ "resources: [pods]\n",
			"1:13: an entry of resources is a mapping of group, resources and resourceNames", 1 },
		{ "resources: [{resource: [pods]}]\n", "1:14: unknown key \"resource\"; did you mean resources?", 1 },
		{ "resources: [{zzz: 1}]\n", "1:14: unknown key \"zzz\"", 1 },
		{ "resources: [{group: [a]}]\n", "1:21: group takes text", 1 },
		{ "resources: [{resourceNames: [a]}]\n", "1:29: resourceNames needs resources beside it", 1 },
		{ "resources: [{group: a, group: b}]\n", "1:24: group stands here twice", 1 },
		{ "verbs: [a]\nverbs: [b]\n", "2:1: verbs stands here twice", 1 },
		{ "nonResourceURLs: [x]\n",
			"1:19: \"x\" is no URL path: begin it with /, or say \"*\" for all", 1 },
		{ "nonResourceURLs: ['']\n", "1:19: \"\" is no URL path: begin it with /, or say \"*\" for all", 1 },
		{ "nonResourceURLs: [/a*b]\n", "1:19: in \"/a*b\" the * must be the last character", 1 },
		{ "nonResourceURLs: [/a]\nnamespaces: [b]\n",
			"1:18: a rule is about resources and namespaces or about nonResourceURLs, not both", 1 },
		{ "nonResourceURLs: [/a]\nresources: [{}]\nusers: {}\n",
			"3:8: users takes a list of texts", 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct selector s;
		struct problems problems = { 0 };
		char got[ERR_TEXT_MAX + 64] = "nothing";
		assert_false(read_yaml(cases[i].yaml, &s, &problems));
		if (problems.n)
			(void)snprintf(got, sizeof got, "%u:%u: %s", problems.list[0].err.line,
				problems.list[0].err.column, problems.list[0].err.text);
		if (problems.errors != cases[i].n || strcmp(got, cases[i].problem) != 0)
			fail_msg("%zu problems: %s\n  instead of %zu: %s", problems.errors, got, cases[i].n,
				cases[i].problem);
		selector_finish(&s);
		problems_finish(&problems);
	}
}

static void lists_grow(void **state)
{
	struct strings s = { 0 };
	char text[16];
	(void)state;
	for (int i = 0; i < 1000; i++)
		strings_add(&s, (struct view){ text, (size_t)snprintf(text, sizeof text, "%d", i) });
	assert_int_equal(s.n, 1000);
	assert_true(strings_have(&s, VIEW("0")) && strings_have(&s, VIEW("999")));
	assert_false(strings_have(&s, VIEW("1000")));
	strings_finish(&s);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lists_are_read),
		cmocka_unit_test(empty_and_null_lists_do_not_restrict),
		cmocka_unit_test(every_mistake_has_its_place),
		cmocka_unit_test(lists_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
