/* Policies as they are read, checked, linted and printed: what the recorded bundles of tests/conformance do not hold. */
#include "tests/unit/cm.h"

#include <errno.h>

#include "router/event/decode.h"
#include "router/event/edit.h"
#include "router/policy/policy.h"

struct fixture {
	struct problems problems;
	struct policy *policy;
	struct buf text;
};

static int set_up(void **state)
{
	*state = mem_zero(1, sizeof(struct fixture));
	return 0;
}

static void forget(struct fixture *f)
{
	problems_finish(&f->problems);
	policy_close(f->policy);
	f->policy = NULL;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	forget(f);
	buf_finish(&f->text);
	free(f);
	return 0;
}

static int parse(struct fixture *f, const char *text)
{
	forget(f);
	return policy_parse(&f->policy, "p", view_of(text), &f->problems);
}

/* Rules in YAML flow, behind the usual head. */
static int parse_rules(struct fixture *f, const char *rules)
{
	char text[8192];
	assert_true(snprintf(text, sizeof text, "apiVersion: audit.k8s.io/v1\nkind: Policy\n%s\n", rules) < (int)sizeof text);
	return parse(f, text);
}

static bool told(const struct fixture *f, enum problem_weight weight, unsigned line, unsigned column, const char *begin)
{
	for (size_t i = 0; i < f->problems.n; i++) {
		const struct problem *p = &f->problems.list[i];
		if (p->weight == weight && p->err.line == line && p->err.column == column &&
			strncmp(p->err.text, begin, strlen(begin)) == 0)
			return true;
	}
	return false;
}

static const char *printed(struct fixture *f)
{
	buf_clear(&f->text);
	policy_print(f->policy, &f->text);
	return buf_text(&f->text);
}

static void plain_scalars_are_what_go_yaml_makes_of_them(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *scalar, *type; /* NULL: text */
	} cases[] = {
		{ "n", "bool" }, { "Yes", "bool" }, { "OFF", "bool" }, { "nO", NULL }, { "tRue", NULL }, { "1", "number" },
		{ "-1", "number" }, { "+1_000", "number" }, { "0x1F", "number" }, { "0o17", "number" }, { "0b101", "number" },
		{ "017", "number" }, { "08", "number" }, { "1.5", "number" }, { ".5", "number" }, { "1e3", "number" }, { "1.", "number" },
		{ "1e999", NULL }, { "1:30", NULL }, { "1.2.3", NULL }, { "0x", NULL }, { "-", NULL }, { "2026-01-01", NULL },
		{ "1a", NULL }, { ".", NULL }, { "._5", NULL }, { "123456789012345678901234567890", "number" }, { "'1'", NULL },
		{ "!!str 1", NULL }, { "!!int '1'", "number" }, { "!other 1", NULL }, { "[a]", "array" }, { "{a: b}", "object" },
		{ "!!bool 'y'", "bool" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rules[256], want[256];
		(void)snprintf(rules, sizeof rules, "rules:\n- level: None\n  users: [%s]", cases[i].scalar);
		(void)snprintf(want, sizeof want,
			"failed decoding: json: cannot unmarshal %s into Go struct field PolicyRule.rules.users of type string",
			cases[i].type ? cases[i].type : "");
		int r = parse_rules(f, rules);
		if ((r < 0) != (cases[i].type != NULL) || (r < 0 && !told(f, PROBLEM_ERROR, 5, 11, want)))
			fail_msg("%s: %s", cases[i].scalar, f->problems.n ? f->problems.list[0].err.text : "taken");
	}
	assert_int_equal(parse_rules(f, "rules: [{level: None, users: [.inf]}]"), -EINVAL);
	assert_int_equal(parse_rules(f, "rules: [{level: None, users: [!!int abc]}]"), -EINVAL);
}

static void merges_count_at_their_place(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse_rules(f, "rules:\n- &a {level: None, users: [x]}\n- {level: Metadata, <<: *a}\n- {<<: *a, level: Request}"), 0);
	assert_non_null(strstr(printed(f), "\"rules\":[{\"level\":\"None\",\"users\":[\"x\"]},{\"level\":\"None\",\"users\":[\"x\"]},"
		"{\"level\":\"Request\",\"users\":[\"x\"]}]"));
}

static void json_repeats_are_decoded_into_what_is_there(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f, "{\"apiVersion\":\"audit.k8s.io/v1\",\"rules\":[{\"level\":\"None\",\"users\":[\"a\",\"b\"]}],"
		"\n \"rules\":[{\"level\":null,\"verbs\":[\"get\"],\"users\":[null]},{\"level\":\"Request\"}]}"), 0);
	assert_true(told(f, PROBLEM_WARNING, 2, 2, "strict decoding error: duplicate field \"rules\""));
	assert_non_null(strstr(printed(f), "\"rules\":[{\"level\":\"None\",\"users\":[\"a\"],\"verbs\":[\"get\"]},{\"level\":\"Request\"}]"));
}

static void json_is_go_json(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "{apiVersion: x}", "invalid character 'a' looking for beginning of object key string" },
		{ "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
		{ "{\"a\" 1}", "invalid character '1' after object key" },
		{ "{\"a\":01}", "invalid character '1' after object key:value pair" },
		{ "{\"a\":[1 2]}", "invalid character '2' after array element" },
		{ "{\"a\":[1,]}", "invalid character ']' looking for beginning of value" },
		{ "{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')" },
		{ "{\"a\":\"\\x\"}", "invalid character 'x' in string escape code" },
		{ "{\"a\":\"\\u12g4\"}", "invalid character 'g' in \\u hexadecimal character escape" },
		{ "{\"a\":-}", "invalid character '}' in numeric literal" },
		{ "{\"a\":1.}", "invalid character '}' after decimal point in numeric literal" },
		{ "{\"a\":1e}", "invalid character '}' in exponent of numeric literal" },
		{ "{\"a\":", "unexpected end of JSON input" },
		{ "{} x", "invalid character 'x' after top-level value" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(parse(f, cases[i][0]), -EINVAL);
		if (!strstr(f->problems.list[0].err.text, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], f->problems.list[0].err.text);
	}
}

static void versions_and_kinds(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "apiVersion: audit.k8s.io/v1beta1\nkind: Policy",
			"failed decoding: no kind \"Policy\" is registered for version \"audit.k8s.io/v1beta1\" in scheme \"pkg/runtime/scheme.go:111\"" },
		{ "kind: Policy", "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy" },
		{ "apiVersion: /\nkind: Policy", "unknown group version field audit.k8s.io/__internal, Kind=Policy in policy" },
		{ "apiVersion: v1\nkind: Policy", "failed decoding: no kind \"Policy\" is registered for version \"v1\" in scheme" },
		{ "apiVersion: audit.k8s.io/v1\nkind: EventList", "failed decoding: converting (v1.EventList) to (audit.Policy): unknown conversion" },
		{ "apiVersion: audit.k8s.io/v1\nkind: Foo", "failed decoding: no kind \"Foo\" is registered for version \"audit.k8s.io/v1\" in scheme" },
		{ "apiVersion: a/b/c\nkind: Policy", "failed decoding: unexpected GroupVersion string: a/b/c" },
		{ "apiVersion: 1\nkind: Policy", "failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal number into "
			"Go struct field .apiVersion of type string" },
		{ "- a", "failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(parse(f, cases[i][0]), -EINVAL);
		if (strncmp(f->problems.list[0].err.text, cases[i][1], strlen(cases[i][1])) != 0)
			fail_msg("%s: %s", cases[i][0], f->problems.list[0].err.text);
	}
	assert_int_equal(parse(f, "APIVERSION: audit.k8s.io/v1\nkInd: Policy\nrules: [{level: None}]"), 0);
	assert_true(told(f, PROBLEM_WARNING, 1, 1, "strict decoding error: unknown field \"APIVERSION\""));
	assert_true(told(f, PROBLEM_WARNING, 2, 1, "strict decoding error: unknown field \"kInd\""));
}

static void ten_mistakes_are_told_with_their_places(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f,
		"apiVersion: audit.k8s.io/v1\n"                 /* 1 */
		"kind: Policy\n"
		"omitStages: [Received]\n"                      /* 3 */
		"rules:\n"
		"- user: [alice]\n"                             /* 5: unknown, and no level */
		"- level: metadata\n"                           /* 6 */
		"  verbs: [on]\n"                               /* 7 */
		"  nonResourceURLs: [healthz, /a*b]\n"          /* 8: two */
		"- level: Request\n"
		"  resources:\n"
		"  - group: apps/v1\n"                          /* 11 */
		"    resourceNames: [x]\n"                      /* 12 */
		"  omitStages: [panic]\n"                       /* 13 */
		"  users: alice\n"                              /* 14 */
		"  omitManagedFields: 1\n"), -EINVAL);          /* 15 */
	static const struct {
		unsigned line, column;
		const char *begin;
	} errors[] = {
		{ 3, 14, "omitStages[0]: Invalid value: \"Received\": allowed stages are" },
		{ 5, 3, "rules[0].level: Required value" },
		{ 6, 10, "rules[1].level: Unsupported value: \"metadata\": supported values: \"None\"" },
		{ 7, 11, "failed decoding: json: cannot unmarshal bool into Go struct field PolicyRule.rules.verbs of type string" },
		{ 8, 21, "rules[1].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin with" },
		{ 8, 30, "rules[1].nonResourceURLs[1]: Invalid value: \"/a*b\": non-resource URL wildcards" },
		{ 11, 12, "rules[2].resources.group: Invalid value: \"apps/v1\": a lowercase RFC 1123 subdomain" },
		{ 12, 20, "rules[2].resources.resourceNames: Invalid value: [\"x\"]: using resourceNames requires" },
		{ 13, 16, "rules[2].omitStages[0]: Invalid value: \"panic\": allowed stages are" },
		{ 14, 10, "failed decoding: json: cannot unmarshal string into Go struct field PolicyRule.rules.users of type []string" },
		{ 15, 22, "failed decoding: json: cannot unmarshal number into Go struct field PolicyRule.rules.omitManagedFields of type bool" },
	};
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (!told(f, PROBLEM_ERROR, errors[i].line, errors[i].column, errors[i].begin))
			fail_msg("not told: %s", errors[i].begin);
	assert_int_equal(f->problems.errors, sizeof errors / sizeof *errors);
	assert_true(told(f, PROBLEM_WARNING, 5, 3, "strict decoding error: unknown field \"rules[0].user\"; did you mean \"users\"?"));
}

static void values_are_quoted_as_go_quotes(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse_rules(f, "rules: [{level: \"a<\\\"\\n\"}, {level: None, resources: [{group: \"\\x01\\t\\u00e9\\u200b\\\\\"}]}]"), -EINVAL);
	assert_true(told(f, PROBLEM_ERROR, 3, 17, "rules[0].level: Unsupported value: \"a\\u003c\\\"\\n\": supported"));
	assert_true(told(f, PROBLEM_ERROR, 3, 62, "rules[1].resources.group: Invalid value: \"\\x01\\t\xc3\xa9\\u200b\\\\\": a lower"));
}

static size_t linted(struct fixture *f, const char *rules)
{
	assert_int_equal(parse_rules(f, rules), 0);
	policy_lint(f->policy, &f->problems);
	assert_int_equal(f->problems.errors, 0);
	return f->problems.warnings;
}

static void lint_names_what_is_likely_a_mistake(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(linted(f, "rules: [{level: Metadata}]"), 0);
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, verbs: [get]}"), 1);
	assert_true(told(f, PROBLEM_WARNING, 4, 3, "no rule catches the rest"));
	assert_int_equal(linted(f, "rules:\n- level: Metadata\n- {level: None, users: [a]}"), 1);
	assert_true(told(f, PROBLEM_WARNING, 5, 3, "rules[1]: never decides: rules[0], line 4, matches all that it matches"));
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, verbs: [get, list]}\n- {level: Metadata, verbs: [watch]}\n"
		"- {level: None, verbs: [list, watch]}\n- level: Metadata"), 1);
	assert_true(told(f, PROBLEM_WARNING, 6, 3, "rules[2]: never decides: the rules above it together"));
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, resources: [{group: core, resources: [pods]}]}\n- level: Metadata"), 1);
	assert_true(told(f, PROBLEM_WARNING, 4, 41, "rules[0]: no API group is called \"core\""));
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, resources: [{group: apps, resources: [deployments, pods/log]}]}\n- level: Metadata"), 1);
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, resources: [{group: apps}, {group: batch}]}\n- level: Metadata"), 1);
	assert_int_equal(linted(f, "rules:\n- {level: None, verbs: [get, list, watch]}\n- level: Metadata"), 1);
	assert_true(told(f, PROBLEM_WARNING, 4, 3, "rules[0]: hides kubectl exec"));
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, resources: [{resources: [pods/exec, pods/attach, pods/portforward]}]}\n"
		"- {level: None, verbs: [get, list, watch]}\n- level: Metadata"), 0);
	assert_int_equal(linted(f, "rules:\n- {level: None, users: ['system:kube-proxy'], verbs: [get]}\n- level: Metadata"), 0);
	assert_int_equal(linted(f, "rules:\n- {level: Request, verbs: [update]}\n- level: Metadata"), 1);
	assert_true(told(f, PROBLEM_WARNING, 4, 3, "rules[0]: logs bodies of secrets"));
	assert_int_equal(linted(f, "rules:\n- {level: Request, verbs: [get, delete]}\n- level: Metadata"), 0);
	assert_int_equal(linted(f, "omitStages: [ResponseStarted]\nrules:\n- {level: Metadata, omitStages: [ResponseStarted]}"), 2);
	assert_true(told(f, PROBLEM_WARNING, 3, 13, "omitStages: without ResponseStarted"));
	assert_int_equal(linted(f, "rules:\n- {level: Metadata, omitStages: [ResponseStarted], users: [a]}\n- level: Metadata"), 0);
	assert_int_equal(linted(f, "rules:\n- {level: None, users: ['system:*'], verbs: ['*', exec]}\n- level: Metadata"), 3);
}

static int decided(struct fixture *f, const struct attributes *a, enum event_level *ret_level)
{
	const struct event e = { .stage = a->stage };
	struct policy_decision d = policy_decide(f->policy, &e, a);
	*ret_level = d.level;
	return d.rule;
}

static void audit_filter(void **state)
{
	struct fixture *f = *state;
	static struct attributes a;
	enum event_level level;
	assert_int_equal(parse(f, "apiVersion: audit-router/v1\nkind: AuditFilter\nrules:\n"
		"- {verdict: keep, codes: [4xx, 500, '502-504']}\n"
		"- {verdict: drop, users: ['system:serviceaccount:*:default', bob], namespaces: ['kube-*']}\n"
		"- {level: Metadata, clusters: [c1], stages: [Panic]}\n"
		"- {verdict: drop, userPatterns: ['x*'], sample: 1/1}\n"), 0);
	a = (struct attributes){ .stage = STAGE_RESPONSE_COMPLETE, .code = 503, .has_user = true, .user = VIEW("bob"),
		.is_resource = true, .namespace_ = VIEW("kube-system") };
	assert_int_equal(decided(f, &a, &level), 0);
	assert_int_equal(level, LEVEL_REQUEST_RESPONSE);
	a.code = 501;
	assert_int_equal(decided(f, &a, &level), 1);
	assert_int_equal(level, LEVEL_NONE);
	a.user = VIEW("system:serviceaccount:a:default");
	assert_int_equal(decided(f, &a, &level), 1);
	a.namespace_ = VIEW("default");
	assert_int_equal(decided(f, &a, &level), -1);
	assert_int_equal(level, LEVEL_REQUEST_RESPONSE); /* no hidden default */
	a.cluster = VIEW("c1");
	a.stage = STAGE_PANIC;
	assert_int_equal(decided(f, &a, &level), 2);
	assert_int_equal(level, LEVEL_METADATA);
	a.cluster = VIEW("c2");
	a.user = VIEW("xy");
	assert_int_equal(decided(f, &a, &level), 3);
}

static void audit_filter_is_strict(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "{verdict: drop, user: [a]}", "unknown field \"rules[0].user\"; did you mean \"users\"?" },
		{ "{users: [a]}", "rules[0].verdict: say drop, keep, or a level" },
		{ "{verdict: no}", "rules[0].verdict takes text; put quotes around" },
		{ "{verdict: away}", "rules[0].verdict: \"away\" is none of drop, keep, level" },
		{ "{verdict: drop, level: Metadata}", "rules[0].level: stands beside a verdict" },
		{ "{level: metadata}", "rules[0].level: \"metadata\" is none of" },
		{ "{verdict: level}", "rules[0].verdict: level needs a level beside it" },
		{ "{verdict: drop, codes: [5x]}", "rules[0].codes[0]: write 403, 4xx or 500-599" },
		{ "{verdict: drop, codes: ['599-500']}", "rules[0].codes[0]: write 403, 4xx or 500-599" },
		{ "{verdict: drop, sample: 0.1}", "rules[0].sample: write 1/N" },
		{ "{verdict: drop, sample: 1/0}", "rules[0].sample: write 1/N" },
		{ "{verdict: drop, stages: [End]}", "rules[0].stages[0]: allowed stages are" },
		{ "{verdict: drop, users: bob}", "rules[0].users takes a list of texts" },
		{ "{verdict: drop, nonResourceURLs: [a]}", "rules[0].nonResourceURLs[0]: Invalid value: \"a\"" },
		{ "{verdict: drop, nonResourceURLs: [/a], namespaces: ['*']}", "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		(void)snprintf(text, sizeof text, "apiVersion: audit-router/v1\nkind: AuditFilter\nrules:\n- %s\n", cases[i][0]);
		assert_int_equal(parse(f, text), -EINVAL);
		if (strncmp(f->problems.list[0].err.text, cases[i][1], strlen(cases[i][1])) != 0 || f->problems.list[0].err.line != 4)
			fail_msg("%s: %s", cases[i][0], f->problems.list[0].err.text);
	}
	assert_int_equal(parse(f, "apiVersion: audit.k8s.io/v1\nkind: AuditFilter"), -EINVAL);
	assert_int_equal(parse(f, "apiVersion: audit-router/v1\nkind: AuditFilter"), 0); /* keeps all */
}

/* A patch is logged as it was sent; what it made of the object is not. */
static void patches_keep_their_managed_fields(void **state)
{
#define OBJECT(fields) "{\"metadata\":{" fields "}}"
#define CHANGE(verb, request, response) \
	"{\"level\":\"RequestResponse\",\"stage\":\"ResponseComplete\",\"verb\":\"" verb "\",\"requestObject\":" request \
	",\"responseObject\":" response "}"
#define FULL OBJECT("\"managedFields\":[1]")
	static const char *const rows[][2] = {
		{ CHANGE("update", FULL, FULL), CHANGE("update", OBJECT(""), OBJECT("")) },
		{ CHANGE("patch", FULL, FULL), CHANGE("patch", FULL, OBJECT("")) },
	};
	const struct policy_decision decision = { .level = LEVEL_REQUEST_RESPONSE, .omit_managed_fields = true };
	struct decoder *decoder = decode_create(DECODE_BEST);
	struct edits edits = { 0 };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char after[500];
		struct event e;
		size_t end;
		assert_int_equal(decode_line(decoder, view_of(rows[i][0]), &e, &end), DECODE_OK);
		edits_clear(&edits);
		policy_edit(decision, &e, &edits);
		assert_true(edits_length(&edits, e.bytes) < sizeof after);
		after[edits_apply(&edits, e.bytes, after)] = 0;
		assert_string_equal(after, rows[i][1]);
	}
	edits_finish(&edits);
	decode_destroy(decoder);
}

static void two_policies_make_one_decision(void **state)
{
	(void)state;
	struct policy_decision a = { .level = LEVEL_REQUEST, .omit_managed_fields = true, .rule = 1 };
	struct policy_decision b = { .level = LEVEL_REQUEST_RESPONSE, .omitted = true, .rule = 2 };
	struct policy_decision d = policy_both(a, b);
	assert_int_equal(d.level, LEVEL_REQUEST);
	assert_true(d.omitted && d.omit_managed_fields);
	assert_int_equal(d.rule, 2);
	assert_false(policy_keeps(d));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(plain_scalars_are_what_go_yaml_makes_of_them),
		TEST(merges_count_at_their_place),
		TEST(json_repeats_are_decoded_into_what_is_there),
		TEST(json_is_go_json),
		TEST(versions_and_kinds),
		TEST(ten_mistakes_are_told_with_their_places),
		TEST(values_are_quoted_as_go_quotes),
		TEST(lint_names_what_is_likely_a_mistake),
		TEST(audit_filter),
		TEST(audit_filter_is_strict),
		TEST(patches_keep_their_managed_fields),
		TEST(two_policies_make_one_decision),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
