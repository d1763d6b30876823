/* unwrap and log_entry: what is found in the lines that other clouds' exports write, and what is said of those without events. */
#include "tests/unit/cm.h"

#include "classifiers/classifier.h"
#include "router/event/ladder.h"
#include "router/event/unwrap.h"
#include "router/policy/policy.h"

struct rig {
	struct decoder *outer, *inner;
	struct unwrap unwrap;
	struct event e;
	struct attributes attributes;
};

static int setup(void **state)
{
	struct rig *r = mem_zero(1, sizeof *r);
	r->outer = decode_create(DECODE_BEST);
	r->inner = decode_create(DECODE_BEST);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	decode_destroy(r->outer);
	decode_destroy(r->inner);
	unwrap_finish(&r->unwrap);
	free(r);
	return 0;
}

static enum unwrap_kind unwrap(struct rig *r, const char *line)
{
	size_t end;
	enum decode_result result = decode_line(r->outer, view_of(line), &r->e, &end);
	assert_int_not_equal(result, DECODE_OK);
	return unwrap_line(&r->unwrap, view_of(line), result, r->inner, &r->e);
}

static void is(struct view got, const char *want)
{
	if (!want ? got.ptr != NULL : !view_eq(got, view_of(want)) || !got.ptr)
		fail_msg("\"%.*s\" instead of %s", VIEW_ARGS(got), want ? want : "nothing");
}

#define EVENT_TEXT(uri) "{\"kind\":\"Event\",\"stage\":\"ResponseComplete\",\"verb\":\"get\",\"requestURI\":\"" uri "\"}"
#define ESCAPED(uri) \
	"\"{\\\"kind\\\":\\\"Event\\\",\\\"stage\\\":\\\"ResponseComplete\\\",\\\"verb\\\":\\\"get\\\",\\\"requestURI\\\":\\\"" uri "\\\"}\""

/* ---- texts ---- */

static void a_text_is_the_event(void **state)
{
	static const char *const lines[] = {
		"{\"timestamp\":1,\"message\":" ESCAPED("/a") "}",
		" { \"message\" : " ESCAPED("/a") " , \"ingestionTime\":2 } ",
		"{\"message\":\"x\",\"message\":" ESCAPED("/a") "}",
		"{\"m\\u0065ssage\":" ESCAPED("/a") "}",
		"{\"time\":\"t\",\"category\":\"kube-audit\",\"properties\":{\"log\":" ESCAPED("/a") ",\"stream\":\"stdout\",\"pod\":\"p\"}}",
		"{\"records\":[{\"category\":\"kube-audit\",\"properties\":{\"log\":" ESCAPED("/a") "}}]}",
		"{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"id\":\"1\",\"timestamp\":1,\"message\":" ESCAPED("/a") "}]}",
		"{\"events\":[{\"logStreamName\":\"s\",\"message\":" ESCAPED("/a") "}]}",
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct view item;
		enum decode_result result;
		assert_int_equal(unwrap(r, lines[i]), UNWRAP_TEXTS);
		assert_true(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
		assert_int_equal(result, DECODE_OK);
		is(r->e.bytes, EVENT_TEXT("/a"));
		is(r->e.request_uri, "/a");
		assert_null(unwrap_why(&r->unwrap));
		assert_false(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
	}
}

/* The time in front of CloudWatch's export to S3: what follows is the event, where it stands. */
static void a_time_in_front_is_passed_over(void **state)
{
	struct rig *r = *state;
	static const char line[] = "2026-11-21T20:54:23.486Z " EVENT_TEXT("/a");
	assert_int_equal(unwrap(r, line), UNWRAP_EVENT);
	is(r->e.bytes, EVENT_TEXT("/a"));
	assert_ptr_equal(r->e.bytes.ptr, line + 25);
	assert_int_equal(unwrap(r, "2026-11-21T20:54:23.486Z I1121 some other log"), UNWRAP_NONE);
	assert_non_null(unwrap_why(&r->unwrap));
	assert_int_equal(unwrap(r, "2026-11-21T20:54:23.486 " EVENT_TEXT("/a")), UNWRAP_NONE);
	assert_null(unwrap_why(&r->unwrap));
}

static void every_item_is_one_of_its_own(void **state)
{
	struct rig *r = *state;
	struct view item;
	enum decode_result result;
	assert_int_equal(unwrap(r, "{\"logEvents\":[{\"message\":" ESCAPED("/a") "},7,{\"message\":\"plain text\"},{\"message\":"
		ESCAPED("/b") "},{}]}"), UNWRAP_TEXTS);
	static const struct {
		const char *item, *uri;
	} rows[] = { { NULL, "/a" }, { "7", NULL }, { "{\"message\":\"plain text\"}", NULL }, { NULL, "/b" }, { "{}", NULL } };
	for (size_t i = 0; i < 5; i++) {
		assert_true(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
		assert_int_equal(result == DECODE_OK, rows[i].uri != NULL);
		assert_int_equal(unwrap_why(&r->unwrap) == NULL, rows[i].uri != NULL);
		if (rows[i].uri)
			is(r->e.request_uri, rows[i].uri);
		else
			is(item, rows[i].item);
	}
	assert_false(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
}

static void a_text_with_newlines_is_one_line(void **state)
{
	struct rig *r = *state;
	struct view item;
	enum decode_result result;
	assert_int_equal(unwrap(r, "{\"message\":\"\\n{\\\"stage\\\":\\\"s\\\",\\n\\\"verb\\\":\\\"\\\\n\\\"}\\n\"}"), UNWRAP_TEXTS);
	assert_true(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
	assert_int_equal(result, DECODE_OK);
	is(r->e.bytes, "{\"stage\":\"s\", \"verb\":\"\\n\"}");
	is(r->e.verb, "\n");
}

static void what_holds_no_event_is_named(void **state)
{
	static const struct {
		const char *line, *why; /* of the line, or of its only item */
	} rows[] = {
		{ "{\"a\":1}", NULL },
		{ "[1]", NULL },
		{ "{\"kind\":\"Status\",\"message\":" ESCAPED("/a") "}", NULL }, /* says what it is */
		{ "{\"message\":{\"stage\":\"s\"}}", NULL },
		{ "{\"records\":{},\"properties\":{}}", NULL },
		{ "{\"message\":\"CWL CONTROL MESSAGE\"}", "CloudWatch" },
		{ "{\"message\":\"\"}", "CloudWatch" },
		{ "{\"message\":\"{\\\"stage\\\":\\\"s\\\",\\\"ver[Truncated...]\"}", "CloudWatch" },
		{ "{\"message\":\"{\\\"stage\\\":\\\"s\\\",\\\"verb\\\":\\\"a\\nb\\\"}\"}", "CloudWatch" }, /* a newline in a text */
		{ "{\"message\":\"{\\\"stage\\\":\\\"s\\\",\\\"verb\\\":\\\"\\\"}\\u0000\"}", "CloudWatch" },
		/* one level */
		{ "{\"message\":\"{\\\"message\\\":\\\"{}\\\"}\"}", "CloudWatch" },
		{ "{\"message\":\"{\\\"kind\\\":\\\"EventList\\\",\\\"items\\\":[]}\"}", "CloudWatch" },
		{ "{\"properties\":{\"log\":\"I0101 started\"}}", "Azure" },
		{ "{\"records\":[{\"properties\":{\"message\":\"x\"}}]}", "Azure" },
		{ "{\"logName\":\"x\",\"textPayload\":\"hello\"}", "Google" },
		{ "{\"logName\":\"x\",\"jsonPayload\":{\"message\":\"{}\"}}", "Google" },
		{ "{\"protoPayload\":{\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"container.googleapis.com\"}}",
			"serviceName" },
		{ "{\"protoPayload\":{\"@type\":\"x\",\"serviceName\":\"k8s.io\"}}", "AuditLog" },
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct view item;
		enum decode_result result = DECODE_OK;
		enum unwrap_kind kind = unwrap(r, rows[i].line);
		assert_int_not_equal(kind, UNWRAP_EVENT);
		if (kind == UNWRAP_TEXTS) {
			assert_true(unwrap_next(&r->unwrap, r->inner, &item, &result, &r->e));
			assert_int_not_equal(result, DECODE_OK);
		}
		const char *why = unwrap_why(&r->unwrap);
		if (!why != !rows[i].why || (why && !strstr(why, rows[i].why)))
			fail_msg("%s: %s", rows[i].line, why ? why : "(nothing)");
	}
}

/* ---- LogEntries ---- */

#define TYPE      "\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"k8s.io\""
#define LOG(name) "\"logName\":\"projects/p/logs/cloudaudit.googleapis.com/" name "\""

static void methods_and_resources_are_requests(void **state)
{
	static const struct {
		const char *method, *resource;                                 /* NULL: absent */
		const char *verb, *group, *of, *sub, *namespace_, *name, *uri; /* NULL: unset */
	} rows[] = {
		{ "io.k8s.core.v1.pods.create", "core/v1/namespaces/n/pods/p", "create", "", "pods", NULL, "n", "p", NULL },
		{ "io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec/p", "create", "", "pods", "exec", "n", "p", NULL },
		{ "io.k8s.core.v1.pods.list", "core/v1/namespaces/n/pods", "list", "", "pods", NULL, "n", NULL, NULL },
		{ "io.k8s.core.v1.pods.list", "core/v1/pods", "list", "", "pods", NULL, NULL, NULL, NULL },
		{ "io.k8s.core.v1.nodes.proxy.get", "core/v1/nodes/x/proxy/metrics/cadvisor", "get", "", "nodes", "proxy", NULL, "x", NULL },
		{ "io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/n", "delete", "", "namespaces", NULL, "n", "n", NULL },
		{ "io.k8s.core.v1.namespaces.create", "core/v1/namespaces/n", "create", "", "namespaces", NULL, NULL, "n", NULL },
		{ "io.k8s.core.v1.namespaces.finalize.update", "core/v1/namespaces/n/finalize", "update", "", "namespaces", "finalize", "n", "n", NULL },
		{ "io.k8s.authorization.rbac.v1.clusterroles.patch", "rbac.authorization.k8s.io/v1/clusterroles/system:x", "patch",
			"rbac.authorization.k8s.io", "clusterroles", NULL, NULL, "system:x", NULL },
		{ "com.coreos.database.etcd.v1beta2.etcdbackups.create", "etcd.database.coreos.com/v1beta2/namespaces/n/etcdbackups", "create",
			"etcd.database.coreos.com", "etcdbackups", NULL, "n", NULL, NULL },
		{ "io.k8s.apps.v1.deployments.scale.update", "apps/v1/namespaces/n/deployments/d/scale", "update", "apps", "deployments", "scale",
			"n", "d", NULL },
		/* without a resourceName, or with one that is of something else */
		{ "io.k8s.apps.v1.deployments.patch", NULL, "patch", "apps", "deployments", NULL, NULL, NULL, NULL },
		{ "io.k8s.storage.v1beta1.storageclasses.patch", NULL, "patch", "storage.k8s.io", "storageclasses", NULL, NULL, NULL, NULL },
		{ "io.gke.networking.v1.managedcertificates.get", "core/v1/pods/x", "get", "networking.gke.io", "managedcertificates", NULL, NULL,
			NULL, NULL },
		{ "io.k8s.core.v1.pods.get", "core/v1/namespaces/n/services/p", "get", "", "pods", NULL, NULL, NULL, NULL },
		/* a version that looks like none, as in a POST to a path that only looks like a resource's */
		{ "io.k8s.core.templates.preview.create", "core/templates/preview", "create", "", "preview", NULL, NULL, NULL, NULL },
		{ "io.k8s.get", "readyz", "get", NULL, NULL, NULL, NULL, NULL, "/readyz" },
		{ "io.k8s.get", "api/v1", "get", NULL, NULL, NULL, NULL, NULL, "/api/v1" },
		{ "io.k8s.post", NULL, "post", NULL, NULL, NULL, NULL, NULL, NULL },
		/* nothing to be told */
		{ "", "core/v1/pods", NULL, NULL, NULL, NULL, NULL, NULL, NULL },
		{ NULL, "core/v1/pods", NULL, NULL, NULL, NULL, NULL, NULL, NULL },
		{ "io.k8s.core.v1.pods", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL },
		{ "io.k8s.core.v1.a.b.c.d", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL },
		{ "v1.pods.get", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL },
		{ "....", "//", NULL, NULL, NULL, NULL, NULL, NULL, NULL },
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf line = { 0 };
		const struct event_object_ref *o = &r->e.object_ref;
		buf_addf(&line, "{\"protoPayload\":{" TYPE);
		if (rows[i].method)
			buf_addf(&line, ",\"methodName\":\"%s\"", rows[i].method);
		if (rows[i].resource)
			buf_addf(&line, ",\"resourceName\":\"%s\"", rows[i].resource);
		buf_addf(&line, "}}");
		assert_int_equal(unwrap(r, buf_text(&line)), UNWRAP_EVENT);
		is(r->e.verb, rows[i].verb);
		assert_int_equal(o->present, rows[i].of != NULL);
		is(o->api_group, rows[i].group);
		is(o->resource, rows[i].of);
		is(o->subresource, rows[i].sub);
		is(o->namespace_, rows[i].namespace_);
		is(o->name, rows[i].name);
		is(r->e.request_uri, rows[i].uri);
		buf_finish(&line);
	}
}

static const char entry[] = "{\"protoPayload\":{" TYPE ",\"authenticationInfo\":{\"principalEmail\":\"a\\u0040b\"},"
	"\"requestMetadata\":{\"callerIp\":\"1.2.3.4\",\"callerSuppliedUserAgent\":\"kubectl\"},\"resourceName\":\"core/v1/namespaces/n/pods/p\","
	"\"methodName\":\"io.k8s.core.v1.pods.create\",\"status\":{\"code\":7,\"message\":\"no\"},\"request\":{\"@type\":\"core.k8s.io/v1.Pod\"},"
	"\"response\":{\"@type\":\"core.k8s.io/v1.Status\",\"code\":422,\"reason\":\"Invalid\"}},\"insertId\":\"i\","
	"\"operation\":{\"id\":\"the-id\",\"producer\":\"k8s.io\",\"first\":true,\"last\":true},\"labels\":{\"authorization.k8s.io/decision\":\"forbid\"},"
	"\"timestamp\":\"2026-01-11T00:43:35.887545Z\"," LOG("activity") "}";

static void an_entry_tells_what_it_can(void **state)
{
	struct rig *r = *state;
	assert_int_equal(unwrap(r, entry), UNWRAP_EVENT);
	is(r->e.bytes, entry);
	assert_int_equal(r->e.form, EVENT_LOG_ENTRY);
	assert_int_equal(r->e.log, EVENT_LOG_ACTIVITY);
	is(r->e.audit_id, "the-id");
	is(r->e.user.username, "a@b");
	assert_int_equal(r->e.user.n_groups, 0);
	assert_int_equal(r->e.n_source_ips, 1);
	is(r->e.source_ips[0], "1.2.3.4");
	is(r->e.user_agent, "kubectl");
	is(r->e.request_object, "{\"@type\":\"core.k8s.io/v1.Pod\"}");
	is(r->e.annotations, "{\"authorization.k8s.io/decision\":\"forbid\"}");
	assert_int_equal(r->e.response_status.code, 422);
	is(r->e.response_status.message, "no");
	is(r->e.response_status.reason, "Invalid");
	is(r->e.request_received, "2026-01-11T00:43:35.887545Z");
	is(r->e.level_text, NULL);
	is(r->e.stage_text, NULL);
	assert_int_equal(unwrap_split(&r->unwrap)->total, 0);
	/* The name of a create comes from its body: no policy of the server's has seen it. */
	attributes_of(&r->e, &r->attributes);
	is(r->attributes.name, NULL);
	is(r->attributes.namespace_, "n");
	/* Nothing of it is left behind by an entry with less. */
	assert_int_equal(unwrap(r, "{\"protoPayload\":{" TYPE ",\"authenticationInfo\":{},\"status\":{\"code\":16}},"
		"\"operation\":{\"id\":\"x\",\"producer\":\"other\"},\"logName\":\"x\"}"), UNWRAP_EVENT);
	assert_true(r->e.user.present);
	is(r->e.user.username, NULL);
	assert_int_equal(r->e.n_source_ips, 0);
	assert_int_equal(r->e.response_status.code, 401);
	is(r->e.audit_id, NULL);
	assert_int_equal(r->e.log, EVENT_LOG_UNKNOWN);
}

static void splits_are_known(void **state)
{
	static const struct {
		const char *split, *uid;
		unsigned index, total;
	} rows[] = {
		{ "{\"uid\":\"u\",\"index\":1,\"totalSplits\":3}", "u", 1, 3 },
		{ "{\"uid\":\"u\",\"totalSplits\":3}", "u", 0, 3 },
		{ "{\"uid\":\"u\",\"index\":\"1\",\"totalSplits\":\"3\"}", "u", 1, 3 },
		{ "{\"uid\":\"u\",\"index\":3,\"totalSplits\":3}", NULL, 0, 0 },
		{ "{\"uid\":\"u\",\"index\":0,\"totalSplits\":1}", NULL, 0, 0 },
		{ "{\"uid\":\"\",\"index\":0,\"totalSplits\":2}", NULL, 0, 0 },
		{ "{\"uid\":\"u\",\"index\":-1,\"totalSplits\":2}", NULL, 0, 0 },
		{ "{\"uid\":\"u\",\"index\":0,\"totalSplits\":4294967298}", NULL, 0, 0 },
		{ "{\"index\":0,\"totalSplits\":2}", NULL, 0, 0 },
		{ "[]", NULL, 0, 0 },
	};
	struct rig *r = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char line[512];
		(void)snprintf(line, sizeof line, "{\"protoPayload\":{" TYPE "},\"split\":%s}", rows[i].split);
		assert_int_equal(unwrap(r, line), UNWRAP_EVENT);
		is(unwrap_split(&r->unwrap)->uid, rows[i].uid);
		assert_int_equal(unwrap_split(&r->unwrap)->index, rows[i].index);
		assert_int_equal(unwrap_split(&r->unwrap)->total, rows[i].total);
	}
}

/* The log that Google put it in decides between ADMIN_ACTIVITY and the others, and says so. */
static void the_log_has_the_last_word(void **state)
{
	static const struct {
		const char *method, *log, *rule;
		enum audit_class class_;
	} rows[] = {
		{ "io.k8s.core.v1.pods.create", "activity", "write", ADMIN_ACTIVITY },
		{ "io.k8s.core.v1.pods.list", "activity", "gcp-activity", ADMIN_ACTIVITY },
		{ "io.k8s.core.v1.pods.list", "data_access", "read", ADMIN_READ },
		{ "io.k8s.core.v1.pods.status.patch", "data_access", "status-write", DATA_WRITE },
		{ "io.k8s.core.v1.pods.status.patch", "activity", "gcp-activity", ADMIN_ACTIVITY },
		{ "io.k8s.core.v1.pods.log.get", "data_access", "pod-log", DATA_READ },
		{ "io.k8s.core.v1.pods.exec.get", "data_access", "gcp-data-access-read", ADMIN_READ },
		{ "io.k8s.core.v1.pods.create", "data_access", "gcp-data-access-write", DATA_WRITE },
		{ "unheard.of", "data_access", "gcp-data-access-read", ADMIN_READ },
		{ "unheard.of", "activity", "url-write", ADMIN_ACTIVITY },
		{ "io.k8s.core.v1.pods.list", "system_event", "read", ADMIN_READ },
	};
	struct rig *r = *state;
	struct classifier *c;
	struct problems problems = { 0 };
	assert_int_equal(classifier_load(&c, "gke", NULL, NULL, 0, &problems), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char line[512];
		(void)snprintf(line, sizeof line, "{\"protoPayload\":{" TYPE ",\"methodName\":\"%s\"}," LOG("%s") "}", rows[i].method, rows[i].log);
		assert_int_equal(unwrap(r, line), UNWRAP_EVENT);
		attributes_of(&r->e, &r->attributes);
		struct verdict v = classifier_classify(c, &r->attributes);
		assert_string_equal(classifier_rule_id(c, v.rule), rows[i].rule);
		assert_int_equal(v.class_, rows[i].class_);
		assert_int_equal(classifier_rule_class(c, v.rule), rows[i].class_);
	}
	classifier_close(c);
}

/* ---- edits ---- */

static char *edited(struct rig *r, struct edits *edits)
{
	struct buf out = { 0 };
	buf_reserve(&out, edits_length(edits, r->e.bytes) + 1);
	out.len = edits_apply(edits, r->e.bytes, out.ptr);
	(void)buf_text(&out);
	edits_finish(edits);
	return out.ptr;
}

#define SMALL(payload, more) "{\"protoPayload\":{" TYPE payload "}" more "}"

static void policies_cut_bodies_where_an_entry_has_them(void **state)
{
	static const char line[] = SMALL(",\"methodName\":\"io.k8s.core.v1.pods.create\",\"request\":{\"a\":1},\"response\":{\"b\":2}", ",\"request\":5");
	struct rig *r = *state;
	struct edits edits = { 0 };
	assert_int_equal(unwrap(r, line), UNWRAP_EVENT);
	policy_edit((struct policy_decision){ .level = LEVEL_REQUEST }, &r->e, &edits);
	char *got = edited(r, &edits);
	assert_string_equal(got, SMALL(",\"methodName\":\"io.k8s.core.v1.pods.create\",\"request\":{\"a\":1}", ",\"request\":5"));
	free(got);
	policy_edit((struct policy_decision){ .level = LEVEL_METADATA }, &r->e, &edits);
	got = edited(r, &edits);
	assert_string_equal(got, SMALL(",\"methodName\":\"io.k8s.core.v1.pods.create\"", ",\"request\":5"));
	free(got);
}

static void the_ladder_goes_down_an_entry(void **state)
{
	static const char line[] = SMALL(",\"request\":{\"metadata\":{\"managedFields\":[1,2,3]}},\"response\":{\"b\":\"0123456789012345678901234567890123456789\"}", "");
	struct rig *r = *state;
	struct edits edits = { 0 };
	assert_int_equal(unwrap(r, line), UNWRAP_EVENT);
	assert_int_equal(ladder_fit(&edits, &r->e, 130), LADDER_TOO_LARGE);
	edits_clear(&edits);
	assert_int_equal(ladder_fit(&edits, &r->e, 190), LADDER_RESPONSE_OBJECT);
	char *got = edited(r, &edits);
	const size_t len = strlen(got);
	assert_string_equal(got, SMALL(",\"request\":{\"metadata\":{}}", ",\"labels\":{\"audit.k8s.io/truncated\":\"true\"}"));
	free(got);
	/* To the byte. */
	edits_clear(&edits);
	assert_int_equal(ladder_fit(&edits, &r->e, sizeof line - 1), LADDER_FITS);
	assert_int_equal(ladder_fit(&edits, &r->e, sizeof line - 2), LADDER_RESPONSE_OBJECT); /* the annotation takes more than they did */
	edits_clear(&edits);
	assert_int_equal(ladder_fit(&edits, &r->e, len), LADDER_RESPONSE_OBJECT);
	edits_clear(&edits);
	assert_int_equal(ladder_fit(&edits, &r->e, len - 1), LADDER_REQUEST_OBJECT);
	edits_finish(&edits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_text_is_the_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_time_in_front_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(every_item_is_one_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_text_with_newlines_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(what_holds_no_event_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(methods_and_resources_are_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(an_entry_tells_what_it_can, setup, teardown),
		cmocka_unit_test_setup_teardown(splits_are_known, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_has_the_last_word, setup, teardown),
		cmocka_unit_test_setup_teardown(policies_cut_bodies_where_an_entry_has_them, setup, teardown),
		cmocka_unit_test_setup_teardown(the_ladder_goes_down_an_entry, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
