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

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "router/event/decode.h"
#include "tests/tools/straight_gke.h"

static struct classifier *builtin(const char *name)
{
	struct classifier *c = NULL;
	struct problems problems = { 0 };
	assert_int_equal(classifier_load(&c, name, NULL, NULL, 0, &problems), 0);
	assert_int_equal(problems.n, 0);
	return c;
}

static char *data_path(const char *name)
{
	const char *source = getenv("AUDIT_ROUTER_SOURCE");
	assert_non_null(source);
	return mem_textf("%s/tests/data/%s", source, name);
}

static struct view text_of(const json_t *object, const char *key)
{
	return view_of(json_string_value(json_object_get(object, key)));
}

static void attributes_of_case(const json_t *c, struct event *e, char *url, size_t room, struct attributes *ret)
{
	*e = (struct event){ .verb = text_of(c, "verb"), .stage = STAGE_RESPONSE_COMPLETE };
	e->user.present = true;
	e->user.username = text_of(c, "user");
	e->object_ref.present = text_of(c, "resource").len > 0;
	e->object_ref.resource = text_of(c, "resource");
	e->object_ref.subresource = text_of(c, "subresource");
	e->object_ref.api_group = text_of(c, "apiGroup");
	e->object_ref.namespace_ = text_of(c, "namespace");
	if (!e->object_ref.present) {
		struct view name = text_of(c, "resourceName");
		assert_true(name.len > 0);
		(void)snprintf(url, room, "/%s?timeout=1s", name.ptr);
		e->request_uri = view_of(url);
	}
	attributes_of(e, ret);
}

static void every_gke_case_gets_its_class(void **state)
{
	struct classifier *gke = builtin("gke");
	char *path = data_path("gke-cases.ndjson");
	FILE *f = fopen(path, "re");
	size_t cases = 0;
	static struct attributes a;
	(void)state;
	assert_non_null(f);
	for (;;) {
		json_error_t error;
		json_t *c = json_loadf(f, JSON_DISABLE_EOF_CHECK, &error);
		if (!c)
			break;
		struct event e;
		char url[256];
		attributes_of_case(c, &e, url, sizeof url, &a);
		struct verdict v = classifier_classify(gke, &a);
		struct straight expected = straight_gke(&a);
		if (!view_eq(view_of(audit_class_name(v.class_)), text_of(c, "class")) ||
			strcmp(classifier_rule_id(gke, v.rule), expected.rule) != 0)
			fail_msg("%s: %s by %s, not by %s", text_of(c, "name").ptr, audit_class_name(v.class_),
				classifier_rule_id(gke, v.rule), expected.rule);
		cases++;
		json_decref(c);
	}
	assert_int_equal(cases, 74);
	fclose(f);
	free(path);
	classifier_close(gke);
}

enum { LINE_BYTES_MAX = 4 << 20 };

/* What a real server wrote, decoded: every event by the rule and in the class of the straight reading. */
static void a_real_log_is_split_as_the_straight_reading_does(void **state)
{
	static struct attributes a;
	struct classifier *gke = builtin("gke");
	struct decoder *decoder = decode_create(DECODE_BEST);
	char *path = data_path("audit.log.gz"), *line = mem_alloc(LINE_BYTES_MAX);
	gzFile f = gzopen(path, "re");
	unsigned events = 0, classes[AUDIT_CLASSES] = { 0 };
	(void)state;
	assert_non_null(f);
	while (gzgets(f, line, LINE_BYTES_MAX)) {
		struct event e;
		size_t end;
		assert_int_equal(decode_line(decoder, view_of(line), &e, &end), DECODE_OK);
		attributes_of(&e, &a);
		struct verdict v = classifier_classify(gke, &a);
		struct straight expected = straight_gke(&a);
		if (v.class_ != expected.class_ || strcmp(classifier_rule_id(gke, v.rule), expected.rule) != 0)
			fail_msg("event %u: by %s, not by %s", events, classifier_rule_id(gke, v.rule), expected.rule);
		classes[v.class_]++;
		events++;
	}
	assert_int_equal(events, 9000);
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		assert_true(classes[c] > 0);
	gzclose(f);
	free(line);
	free(path);
	decode_destroy(decoder);
	classifier_close(gke);
}

/* One event a row: "VERB GROUP RESOURCE[/SUB]" or "VERB /path", core is "-". */
static struct verdict classify(const struct classifier *c, const char *verb, const char *group, const char *resource,
	const char *sub)
{
	static struct attributes a;
	a = (struct attributes){ .verb = view_of(verb), .is_resource = group != NULL };
	if (group) {
		a.api_group = view_of(group);
		a.resource = view_of(resource);
		a.subresource = view_of(sub);
	} else {
		a.path = view_of(resource);
	}
	return classifier_classify(c, &a);
}

struct row {
	const char *verb, *group, *resource, *sub, *rule;
	enum audit_class class_;
};

static void check_rows(const char *name, const struct row *rows, size_t n)
{
	struct classifier *c = builtin(name);
	assert_string_equal(classifier_name(c), name);
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		struct verdict v = classify(c, r->verb, r->group, r->resource, r->sub);
		if (strcmp(classifier_rule_id(c, v.rule), r->rule) != 0 || v.class_ != r->class_)
			fail_msg("%s: row %zu: %s by %s", name, i, audit_class_name(v.class_),
				classifier_rule_id(c, v.rule));
	}
	classifier_close(c);
}

static void gke_decides_by_the_rule_that_the_table_names(void **state)
{
	static const struct row rows[] = {
		{ "get", "", "pods", "exec", "connect", ADMIN_ACTIVITY },
		{ "get", "metrics.k8s.io", "pods", "exec", "read", ADMIN_READ },
		{ "create", "authorization.k8s.io", "selfsubjectrulesreviews", "", "access-review", ADMIN_READ },
		{ "delete", "authorization.k8s.io", "subjectaccessreviews", "", "write", ADMIN_ACTIVITY },
		{ "create", "authentication.k8s.io", "tokenreviews", "", "authentication-review", ADMIN_READ },
		{ "patch", "batch", "cronjobs", "status", "status-write", DATA_WRITE },
		{ "get", "batch", "cronjobs", "status", "read", ADMIN_READ },
		{ "get", "", "pods", "log", "pod-log", DATA_READ },
		{ "create", "", "serviceaccounts", "token", "write", ADMIN_ACTIVITY },
		{ "deletecollection", "example.com", "things", "", "write", ADMIN_ACTIVITY },
		{ "get", NULL, "/healthz", NULL, "url-read", ADMIN_READ },
		{ "head", NULL, "/", NULL, "url-read", ADMIN_READ },
		{ "delete", NULL, "/x", NULL, "url-write", ADMIN_ACTIVITY },
		{ "", NULL, "", NULL, "url-write", ADMIN_ACTIVITY },
		{ "watch", "", "secrets", "", "secret-reads", ADMIN_READ },
		{ "list", "", "pods", "", "read", ADMIN_READ },
		{ "proxy", "", "pods", "", "unknown", ADMIN_ACTIVITY },
		{ "", "", "", "", "unknown", ADMIN_ACTIVITY },
		{ "GET", "", "pods", "", "unknown", ADMIN_ACTIVITY },
	};
	(void)state;
	check_rows("gke", rows, sizeof rows / sizeof *rows);
}

static void aks_and_sensitive_split_as_they_say(void **state)
{
	static const struct row aks[] = {
		{ "get", "", "pods", "exec", "read", ADMIN_READ },
		{ "list", "", "pods", "", "read", ADMIN_READ },
		{ "watch", "", "pods", "", "admin", ADMIN_ACTIVITY },
		{ "get", NULL, "/healthz", NULL, "read", ADMIN_READ },
		{ "create", "", "pods", "", "admin", ADMIN_ACTIVITY },
	};
	static const struct row sensitive[] = {
		{ "get", "", "secrets", "", "secret-reads", DATA_READ },
		{ "watch", "", "configmaps", "", "secret-reads", DATA_READ },
		{ "create", "", "secrets", "", "write", ADMIN_ACTIVITY },
		{ "create", "", "serviceaccounts", "token", "token-request", DATA_READ },
		{ "create", "", "serviceaccounts", "", "write", ADMIN_ACTIVITY },
		{ "create", "authentication.k8s.io", "tokenreviews", "", "token-review", DATA_READ },
		{ "create", "authentication.k8s.io", "selfsubjectreviews", "", "authentication-review", ADMIN_READ },
		{ "get", "", "pods", "exec", "connect", ADMIN_ACTIVITY },
		{ "post", NULL, "/x", NULL, "url-write", ADMIN_ACTIVITY },
		{ "get", "", "nodes", "", "read", ADMIN_READ },
	};
	(void)state;
	check_rows("aks", aks, sizeof aks / sizeof *aks);
	check_rows("sensitive", sensitive, sizeof sensitive / sizeof *sensitive);
}

static void gke_has_the_ids_that_were_promised(void **state)
{
	static const char *const ids[] = { "connect", "access-review", "authentication-review", "status-write", "pod-log",
		"write", "url-read", "url-write", "secret-reads", "read", "unknown" };
	struct classifier *c = builtin("gke");
	(void)state;
	assert_int_equal(classifier_rules(c), sizeof ids / sizeof *ids);
	for (uint16_t i = 0; i < classifier_rules(c); i++)
		assert_string_equal(classifier_rule_id(c, i), ids[i]);
	classifier_close(c);
}

static void an_override_changes_one_rule(void **state)
{
	const struct classifier_override good = { "secret-reads", DATA_READ, "f", 1, 1 };
	const struct classifier_override bad = { "secret-read", DATA_READ, "router.yaml", 7, 15 };
	struct classifier *c = NULL;
	struct problems problems = { 0 };
	(void)state;
	assert_int_equal(classifier_load(&c, "gke", NULL, &good, 1, &problems), 0);
	struct verdict v = classify(c, "get", "", "secrets", "");
	assert_int_equal(v.class_, DATA_READ);
	assert_int_equal(classifier_rule_class(c, v.rule), DATA_READ);
	assert_int_equal(classify(c, "get", "", "pods", "").class_, ADMIN_READ);
	classifier_close(c);

	assert_int_equal(classifier_load(&c, "gke", NULL, &bad, 1, &problems), -EINVAL);
	assert_int_equal(problems.n, 1);
	assert_string_equal(problems.list[0].err.file, "router.yaml");
	assert_int_equal(problems.list[0].err.line, 7);
	assert_string_equal(problems.list[0].err.text, "gke has no rule \"secret-read\"; did you mean secret-reads?");
	problems_finish(&problems);
}

/* The one problem, "LINE:COLUMN: text", that the table has. */
static void has_problem(const char *table, enum problem_weight weight, const char *expected)
{
	struct classifier *c = NULL;
	struct problems problems = { 0 };
	char got[ERR_TEXT_MAX + 64] = "nothing";
	int r = classifier_parse(&c, "t.yaml", view_of(table), NULL, 0, &problems);
	if (problems.n)
		(void)snprintf(got, sizeof got, "%u:%u: %s", problems.list[0].err.line, problems.list[0].err.column,
			problems.list[0].err.text);
	assert_int_equal(r, weight == PROBLEM_ERROR ? -EINVAL : 0);
	if (problems.n != 1 || problems.list[0].weight != weight || strcmp(got, expected) != 0)
		fail_msg("%s\n  instead of %s", got, expected);
	if (!r)
		classifier_close(c);
	problems_finish(&problems);
}

#define LAST "- {id: rest, class: ADMIN_READ}\n"

static void a_mistake_is_named_with_its_place(void **state)
{
	static const struct {
		const char *table, *problem;
	} cases[] = {
		{ "", "0:0: a classifier table is a mapping of name and rules" },
		{ "[]", "1:1: a classifier table is a mapping of name and rules" },
		{ "name: x\n", "1:1: a table needs rules" },
		{ "rules: []\n", "1:8: rules takes a list of at least one rule" },
		{ "rule:\n" LAST "rules:\n" LAST, "1:1: unknown key \"rule\"; did you mean rules?" },
		{ "rules:\n- {id: a, class: ADMIN_READ, verb: [get]}\n" LAST,
			"2:30: unknown key \"verb\"; did you mean verbs?" },
		{ "rules:\n- {id: a, class: ADMIN_READS}\n" LAST,
			"2:18: unknown class \"ADMIN_READS\"; did you mean ADMIN_READ?" },
		{ "rules:\n- {id: a, class: x}\n" LAST,
			"2:18: unknown class \"x\"; the classes are ADMIN_ACTIVITY, ADMIN_READ, DATA_READ, DATA_WRITE" },
		{ "rules:\n- {id: a}\n" LAST, "2:3: a rule needs a class" },
		{ "rules:\n- {class: DATA_READ}\n" LAST, "2:3: a rule needs an id" },
		{ "rules:\n- {id: A, class: DATA_READ}\n" LAST, "2:8: an id is 1 to 63 of a-z, 0-9 and -" },
		{ "rules:\n- {id: rest, class: DATA_READ, verbs: [x]}\n" LAST,
			"3:8: a rule above has the id \"rest\" already" },
		{ "rules:\n- {id: a, id: b, class: DATA_READ, verbs: [x]}\n" LAST, "2:11: id stands here twice" },
		{ "rules:\n- {id: a, class: DATA_READ, verbs: [x]}\n",
			"2:3: the last rule must match everything: give it an id and a class, nothing else" },
		{ "rules:\n- no\n" LAST, "2:3: a rule is a mapping of id, class and what it matches" },
		{ "name: [x]\nrules:\n" LAST, "1:7: a name is 1 to 63 of a-z, 0-9 and -" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		has_problem(cases[i].table, PROBLEM_ERROR, cases[i].problem);
	has_problem("rules:\n- {id: a, class: DATA_READ}\n- {id: b, class: DATA_READ, verbs: [x]}\n" LAST, PROBLEM_WARNING,
		"3:3: never reached: rule \"a\" above matches everything");
}

static void unknown_names_are_explained(void **state)
{
	struct classifier *c = NULL;
	struct problems problems = { 0 };
	(void)state;
	assert_int_equal(classifier_load(&c, "gkee", NULL, NULL, 0, &problems), -EINVAL);
	assert_string_equal(problems.list[0].err.text, "no classifier is called \"gkee\"; did you mean gke?");
	assert_int_equal(classifier_load(&c, NULL, "/nonexistent.yaml", NULL, 0, &problems), -EINVAL);
	assert_int_equal(problems.n, 2);
	assert_null(c);
	problems_finish(&problems);
}

static void a_file_is_a_table_like_the_built_in_ones(void **state)
{
	struct classifier *c = NULL;
	struct problems problems = { 0 };
	const char *source = getenv("AUDIT_ROUTER_SOURCE");
	(void)state;
	for (size_t i = 0; classifier_builtin_names[i]; i++) {
		char *path = mem_textf("%s/classifiers/%s.yaml", source, classifier_builtin_names[i]);
		struct classifier *same = builtin(classifier_builtin_names[i]);
		assert_int_equal(classifier_load(&c, NULL, path, NULL, 0, &problems), 0);
		assert_string_equal(classifier_name(c), classifier_builtin_names[i]);
		assert_int_equal(classifier_rules(c), classifier_rules(same));
		classifier_close(same);
		classifier_close(c);
		free(path);
	}
	assert_int_equal(problems.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_gke_case_gets_its_class),
		cmocka_unit_test(a_real_log_is_split_as_the_straight_reading_does),
		cmocka_unit_test(gke_decides_by_the_rule_that_the_table_names),
		cmocka_unit_test(aks_and_sensitive_split_as_they_say),
		cmocka_unit_test(gke_has_the_ids_that_were_promised),
		cmocka_unit_test(an_override_changes_one_rule),
		cmocka_unit_test(a_mistake_is_named_with_its_place),
		cmocka_unit_test(unknown_names_are_explained),
		cmocka_unit_test(a_file_is_a_table_like_the_built_in_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
