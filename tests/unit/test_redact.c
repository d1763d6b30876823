/* redact: what of an event goes, and what stays to the byte. The places where secrets are: tests/integration/test_canary.py too. */
#include "tests/unit/cm.h"

#include <unistd.h>

#include "router/base/cleanup.h"
#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/policy/redact.h"

/* Reads `yaml`; what was wrong goes to `said`. */
static struct redactor *read_redactor(const char *yaml, struct buf *said)
{
	struct problems problems = { 0 };
	struct settings_reader reader = { "f", "/nowhere", &problems };
	struct tree *tree;
	struct err err = { 0 };
	struct redactor *r = NULL;
	assert_int_equal(tree_parse(&tree, "f", view_of(yaml), &err), 0);
	bool good = redactor_read(&r, &reader, tree_root(tree));
	assert_int_equal(good, problems.errors == 0);
	for (size_t i = 0; i < problems.n; i++)
		buf_addf(said, "%u:%u: %s\n", problems.list[i].err.line, problems.list[i].err.column, problems.list[i].err.text);
	tree_close(tree);
	problems_finish(&problems);
	return r;
}

static uint64_t counts[REDACT_KINDS];

static char *redact(const char *yaml, const char *line)
{
	static struct attributes attributes;
	struct buf said = { 0 }, out = { 0 };
	struct redactor *r = read_redactor(yaml, &said);
	struct decoder *decoder = decode_create(DECODE_BEST);
	struct redact_scratch scratch = { 0 };
	cleanup(unwrap_finish) struct unwrap unwrap = { 0 };
	struct edits edits = { 0 };
	struct event e;
	size_t end;
	if (said.len)
		fail_msg("%s", buf_text(&said));
	assert_int_equal(unwrap_decode(&unwrap, decoder, view_of(line), &e, &end), DECODE_OK);
	attributes_of(&e, &attributes);
	memset(counts, 0, sizeof counts);
	redact_edit(r, &e, &attributes, &edits, &scratch, counts);
	buf_reserve(&out, edits_length(&edits, e.bytes) + 1);
	out.len = edits_apply(&edits, e.bytes, out.ptr);
	(void)buf_text(&out);
	redactor_destroy(r);
	decode_destroy(decoder);
	redact_scratch_finish(&scratch);
	edits_finish(&edits);
	buf_finish(&said);
	return out.ptr;
}

#define EVENT(resource, more) \
	"{\"stage\":\"ResponseComplete\",\"verb\":\"get\",\"objectRef\":{\"resource\":\"" resource "\"}," more "}"

struct row {
	const char *yaml, *before, *after; /* after NULL: as before */
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *after = redact(rows[i].yaml, rows[i].before);
		if (strcmp(after, rows[i].after ? rows[i].after : rows[i].before))
			fail_msg("%s\n%s\nbecame\n%s\nnot\n%s", rows[i].yaml, rows[i].before, after,
				rows[i].after ? rows[i].after : "(as before)");
		free(after);
	}
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void secrets_go_and_the_rest_stays(void **state)
{
	static const struct row rows[] = {
		{ "secrets", EVENT("pods", "\"requestObject\":{\"kind\":\"Secret\" , \"data\" : {\"a\" : \"x\",\"b\":null}, \"n\":1.0}"),
			EVENT("pods", "\"requestObject\":{\"kind\":\"Secret\" , \"data\" : {\"a\" : \"[redacted]\",\"b\":null}, \"n\":1.0}") },
		{ "secrets", EVENT("pods", "\"requestObject\":{\"data\":{\"a\":\"x\"},\"data\":\"y\",\"kind\":\"S\\u0065cret\"}"),
			EVENT("pods", "\"requestObject\":{\"data\":{\"a\":\"[redacted]\"},\"data\":\"[redacted]\",\"kind\":\"S\\u0065cret\"}") },
		{ "secrets", EVENT("pods", "\"requestObject\":{\"kind\":\"Pod\",\"data\":{\"a\":\"x\"},\"b\":\"Secret\"}"), NULL },
		{ "secrets", EVENT("pods", "\"requestObject\":{\"kind\":\"Pod\",\"data\":{\"a\":\"x\"},\"b\":{\"kind\":\"Secret\"}}"), NULL },
		{ "secrets", EVENT("secrets", "\"requestObject\":{\"metadata\":{\"labels\":{\"data\":\"x\"}},\"data\":{\"a\":[1,{}]}}"),
			EVENT("secrets",
				"\"requestObject\":{\"metadata\":{\"labels\":{\"data\":\"x\"}},\"data\":{\"a\":\"[redacted]\"}}") },
		{ "secrets", EVENT("secrets", "\"requestObject\":{\"data\":{\"a\":1}},\"requestObject\":{}"),
			EVENT("secrets", "\"requestObject\":{\"data\":{\"a\":\"[redacted]\"}},\"requestObject\":{}") },
		{ "tokens", EVENT("secrets", "\"requestObject\":{\"kind\":\"Secret\",\"data\":{\"a\":\"x\"}}"), NULL },
		{ "configmaps", EVENT("configmaps", "\"requestObject\":{\"stringData\":{\"a\":\"x\"},\"binaryData\":{\"a\":\"x\"}}"),
			EVENT("configmaps", "\"requestObject\":{\"stringData\":{\"a\":\"x\"},\"binaryData\":{\"a\":\"[redacted]\"}}") },
		/* managedFields name the keys; that is no secret */
		{ "secrets", EVENT("secrets",
				     "\"requestObject\":{\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:data\":{\".\":{},\"f:a\":{}}}}]}}"),
			NULL },
		{ "secrets", EVENT("secrets",
				     "\"requestObject\":{\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:data\":{\"f:a\":\"x\"}}}]}}"),
			EVENT("secrets", "\"requestObject\":{\"metadata\":{\"managedFields\":[{\"fieldsV1\":{\"f:data\":\"[redacted]\"}}]}}") },
		/* said twice: which objectRef counts is the reader's choice */
		{ "secrets", EVENT("secrets", "\"requestObject\":{\"data\":{\"a\":1}},\"objectRef\":null"),
			EVENT("secrets", "\"requestObject\":{\"data\":{\"a\":\"[redacted]\"}},\"objectRef\":null") },
		{ "secrets", EVENT("secrets", "\"responseStatus\":{\"code\":400,\"message\":\"e\\u0072ror\\u0020found in #1|x|\"}"),
			EVENT("secrets", "\"responseStatus\":{\"code\":400,\"message\":\"[redacted]\"}") },
		{ "secrets", EVENT("secrets", "\"responseStatus\":{\"code\":400,\"message\":\"error found in #1|x|\",\"code\":200}"),
			EVENT("secrets", "\"responseStatus\":{\"code\":400,\"message\":\"[redacted]\",\"code\":200}") },
		{ "secrets", EVENT("secrets", "\"annotations\":{\"web\\u0068ook\":\"{\\\"patch\\\":[{\\\"path\\\":\\\"/data/a\\\",\\\"value\\\":1}]}\"}"),
			EVENT("secrets", "\"annotations\":{\"web\\u0068ook\":\"{\\\"patch\\\":[{\\\"path\\\":\\\"/data/a\\\",\\\"value\\\":\\\"[redacted]\\\"}]}\"}") },
		/* a patch that is none: nobody knows where its value was to go */
		{ "secrets", EVENT("secrets", "\"requestObject\":[{\"op\":\"add\",\"path\":\"data/x\",\"value\":\"v\"}]"),
			EVENT("secrets", "\"requestObject\":[{\"op\":\"add\",\"path\":\"data/x\",\"value\":\"[redacted]\"}]") },
		{ "secrets", EVENT("secrets", "\"requestObject\":[{\"op\":\"add\",\"path\":\"/metadata/labels/data\",\"value\":\"v\"}]"),
			NULL },
		/* ~1 is a slash within a key, ~0 a tilde, and any other tilde itself */
		{ "secrets", EVENT("secrets", "\"requestObject\":[{\"path\":\"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration\","
					      "\"value\":\"{\\\"data\\\":{\\\"a\\\":\\\"x\\\"}}\"}]"),
			EVENT("secrets", "\"requestObject\":[{\"path\":\"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration\","
					 "\"value\":\"{\\\"data\\\":{\\\"a\\\":\\\"[redacted]\\\"}}\"}]") },
		{ "secrets", EVENT("secrets", "\"requestObject\":[{\"path\":\"/data~0\",\"value\":1},{\"path\":\"/data~1a\",\"value\":1},"
					      "{\"path\":\"/~data\",\"value\":1},{\"path\":\"/data/~\",\"value\":1}]"),
			EVENT("secrets", "\"requestObject\":[{\"path\":\"/data~0\",\"value\":1},{\"path\":\"/data~1a\",\"value\":1},"
					 "{\"path\":\"/~data\",\"value\":1},{\"path\":\"/data/~\",\"value\":\"[redacted]\"}]") },
		{ "secrets", EVENT("secrets", "\"requestObject\":[{\"path\":\"/metadata/labels\",\"value\":1,\"data\":{\"a\":\"x\"}}]"), NULL },
		/* as long as the word, and it begins like it */
		{ "secrets", EVENT("secrets", "\"requestObject\":{\"date\":{\"a\":\"x\"},\"stringDate\":{\"a\":\"x\"}}"), NULL },
		/* text that keeps its escapes as they were */
		{ "secrets", EVENT("pods",
				     "\"responseObject\":{\"x\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"n\\\":\\\"\\\\u003c\\u003c\\/\\\","
				     "\\\"data\\\":{\\\"a\\\":\\\"\\\\\\\"\\ud83d\\ude00\\\",\\\"b\\\":2}}\\n\"}"),
			EVENT("pods",
				"\"responseObject\":{\"x\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"n\\\":\\\"\\\\u003c\\u003c\\/\\\","
				"\\\"data\\\":{\\\"a\\\":\\\"[redacted]\\\",\\\"b\\\":\\\"[redacted]\\\"}}\\n\"}") },
	};
	(void)state;
	CHECK(rows);
}

#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dGVzdC1fLXNpZw"

static void tokens_are_known_by_their_looks(void **state)
{
	static const struct row rows[] = {
		{ "tokens", EVENT("pods", "\"x\":\"a " JWT ". b\""), EVENT("pods", "\"x\":\"a [redacted]. b\"") },
		{ "tokens", EVENT("pods", "\"x\":\"" JWT "\\n\",\"" JWT "\":1"), EVENT("pods", "\"x\":\"[redacted]\\n\",\"[redacted]\":1") },
		{ "tokens", EVENT("pods", "\"x\":\"eyJhbGciOiJIUzI1NiJ9\""), NULL },
		{ "tokens", EVENT("pods", "\"x\":\"eyJ.a.b\""), NULL },
		{ "tokens", EVENT("pods", "\"x\":\"eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn\""), EVENT("pods", "\"x\":\"[redacted]\"") },
		{ "tokens", EVENT("pods", "\"x\":\"eyJhbGciOiJIUzI1NiJ9.eyJzdWI...TRUNCATED\""),
			EVENT("pods", "\"x\":\"[redacted]...TRUNCATED\"") },
		{ "tokens", EVENT("pods", "\"x\":\"BEARER  abc.def-123 x\""), EVENT("pods", "\"x\":\"BEARER  [redacted] x\"") },
		{ "tokens", EVENT("pods", "\"x\":\"no bearer token; Bearer authentication\""), NULL },
		{ "tokens", EVENT("pods", "\"requestURI\":\"/x?a=token\\u0026to%6ben=b\\u0026key=\\u0026watch=1#key=1\""),
			EVENT("pods", "\"requestURI\":\"/x?a=token\\u0026to%6ben=[redacted]\\u0026key=\\u0026watch=1#key=[redacted]\"") },
		{ "secrets", EVENT("pods", "\"requestURI\":\"/x?token=a\""), NULL },
		{ "tokens", EVENT("pods", "\"requestURI\":\"/x?token=a\",\"requestURI\":\"/y\""),
			EVENT("pods", "\"requestURI\":\"/x?token=[redacted]\",\"requestURI\":\"/y\"") },
		{ "tokens", EVENT("pods", "\"userAgent\":\"\\u0042earer 0123456789\""), EVENT("pods", "\"userAgent\":\"\\u0042earer [redacted]\"") },
		{ "tokens", EVENT("pods", "\"requestObject\":{\"a\":\"\\u0065yJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln\"}"),
			EVENT("pods", "\"requestObject\":{\"a\":\"[redacted]\"}") },
		{ "tokens", EVENT("pods", "\"requestObject\":{\"status\":{\"token\":\"t\"},\"kind\":\"TokenRequest\",\"token\":1}"),
			EVENT("pods", "\"requestObject\":{\"status\":{\"token\":\"[redacted]\"},\"kind\":\"TokenRequest\",\"token\":1}") },
	};
	(void)state;
	CHECK(rows);
}

#define RULE(path) "[{rule: r, path: '" path "'}]"
#define PSEUDONYM(path) "[{rule: r, path: '" path "', action: pseudonym, key: key-of-16-bytes-}]"

static void own_rules_follow_their_paths(void **state)
{
	static const struct row rows[] = {
		{ RULE("requestObject.a[*].b"), EVENT("x", "\"requestObject\":{\"a\":[{\"b\":1},{\"c\":2,\"b\":[3]}]}"),
			EVENT("x", "\"requestObject\":{\"a\":[{\"b\":\"[redacted]\"},{\"c\":2,\"b\":\"[redacted]\"}]}") },
		{ RULE("requestObject.a[1]"), EVENT("x", "\"requestObject\":{\"a\":[1,2,3]}"),
			EVENT("x", "\"requestObject\":{\"a\":[1,\"[redacted]\",3]}") },
		{ RULE("requestObject.*.b"), EVENT("x", "\"requestObject\":{\"a\":{\"b\":1},\"c\":{\"b\":1},\"b\":1}"),
			EVENT("x", "\"requestObject\":{\"a\":{\"b\":\"[redacted]\"},\"c\":{\"b\":\"[redacted]\"},\"b\":1}") },
		{ RULE("annotations[\"a.b/c\"]"), EVENT("x", "\"annotations\":{\"a.b/c\":\"s\",\"a\":\"t\"}"),
			EVENT("x", "\"annotations\":{\"a.b/c\":\"[redacted]\",\"a\":\"t\"}") },
		{ RULE("requestObject.spec.p"),
			EVENT("x", "\"requestObject\":[{\"path\":\"/spec\",\"value\":{\"p\":1}},{\"path\":\"/spec/p/q\",\"value\":2},"
				   "{\"path\":\"\",\"value\":{\"spec\":{\"p\":3}}},{\"path\":\"/spec/q\",\"value\":4}]"),
			EVENT("x", "\"requestObject\":[{\"path\":\"/spec\",\"value\":{\"p\":\"[redacted]\"}},{\"path\":\"/spec/p/q\",\"value\":"
				   "\"[redacted]\"},{\"path\":\"\",\"value\":{\"spec\":{\"p\":\"[redacted]\"}}},{\"path\":\"/spec/q\",\"value\":4}]") },
		{ RULE("requestObject.p"),
			EVENT("x", "\"requestObject\":{\"metadata\":{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":"
				   "\"{\\\"p\\\":\\\"s\\\"}\"}}}"),
			EVENT("x", "\"requestObject\":{\"metadata\":{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":"
				   "\"{\\\"p\\\":\\\"[redacted]\\\"}\"}}}") },
		{ "[{rule: r, path: requestObject.a, resources: [{group: g}]}]", EVENT("x", "\"requestObject\":{\"a\":1}"), NULL },
		/* HMAC-SHA256 of "alice", by openssl dgst -sha256 -hmac key-of-16-bytes- */
		{ PSEUDONYM("user.username"), EVENT("x", "\"user\":{\"username\":\"al\\u0069ce\",\"groups\":[\"g\"]}"),
			EVENT("x", "\"user\":{\"username\":\"hmac:1b3a53448a13574b7173dd6ff8e40470\",\"groups\":[\"g\"]}") },
		{ PSEUDONYM("user.username"), EVENT("x", "\"user\":{\"username\":\"system:node:n1\"}"), NULL },
		{ PSEUDONYM("user.username"), EVENT("x", "\"user\":{\"username\":\"hmac:0123456789abcdef0123456789abcdef\"}"), NULL },
		{ PSEUDONYM("sourceIPs"), EVENT("x", "\"sourceIPs\":[\"alice\",null,\"system:x\"]"),
			EVENT("x", "\"sourceIPs\":[\"hmac:1b3a53448a13574b7173dd6ff8e40470\",null,\"system:x\"]") },
	};
	(void)state;
	CHECK(rows);
}

#define ENTRY(email, name, request, status, label, ip) \
	"{\"protoPayload\":{\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"k8s.io\"," \
	"\"methodName\":\"io.k8s.core.v1.pods.create\",\"authenticationInfo\":" \
	"{\"principalEmail\":" email "},\"resourceName\":" name ",\"authorizationInfo\":[{\"resource\":" name ",\"granted\":true}]," \
	"\"request\":" request ",\"status\":" status ",\"requestMetadata\":{\"callerIp\":" ip "}},\"labels\":{\"a\":" label "," \
	"\"protoPayload\":\"b\"}}"
#define PLAIN_ENTRY ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":2}]}", "{\"message\":\"m\"}", "\"l\"", "\"1.2.3.4\"")

/* Where a LogEntry has what the path leads to. */
static void own_rules_know_log_entries(void **state)
{
	static const struct row rows[] = {
		{ RULE("requestObject.b[*].c"), PLAIN_ENTRY,
			ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":\"[redacted]\"}]}", "{\"message\":\"m\"}", "\"l\"", "\"1.2.3.4\"") },
		{ RULE("responseStatus.message"), PLAIN_ENTRY,
			ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":2}]}", "{\"message\":\"[redacted]\"}", "\"l\"", "\"1.2.3.4\"") },
		{ RULE("annotations.a"), PLAIN_ENTRY,
			ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":2}]}", "{\"message\":\"m\"}", "\"[redacted]\"", "\"1.2.3.4\"") },
		{ PSEUDONYM("user.username"), PLAIN_ENTRY,
			ENTRY("\"hmac:1b3a53448a13574b7173dd6ff8e40470\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":2}]}",
				"{\"message\":\"m\"}", "\"l\"", "\"1.2.3.4\"") },
		{ RULE("user.groups"), PLAIN_ENTRY, NULL },
		{ RULE("sourceIPs"), PLAIN_ENTRY,
			ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"a\":1,\"b\":[{\"c\":2}]}", "{\"message\":\"m\"}", "\"l\"", "\"[redacted]\"") },
		{ RULE("objectRef.name"), PLAIN_ENTRY,
			ENTRY("\"alice\"", "\"[redacted]\"", "{\"a\":1,\"b\":[{\"c\":2}]}", "{\"message\":\"m\"}", "\"l\"", "\"1.2.3.4\"") },
		{ RULE("requestObject.spec.p"),
			ENTRY("\"alice\"", "\"core/v1/pods/p\"", "{\"@type\":\"k8s.io/Patch\",\"patch\":[{\"path\":\"/spec\",\"value\":{\"p\":1}}]}", "{}", "1",
				"\"i\""),
			ENTRY("\"alice\"", "\"core/v1/pods/p\"",
				"{\"@type\":\"k8s.io/Patch\",\"patch\":[{\"path\":\"/spec\",\"value\":{\"p\":\"[redacted]\"}}]}", "{}", "1", "\"i\"") },
	};
	(void)state;
	CHECK(rows);
}

#define SECRETS_ENTRY(request, status) \
	"{\"protoPayload\":{\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"k8s.io\"," \
	"\"methodName\":\"io.k8s.core.v1.secrets.patch\",\"resourceName\":\"core/v1/namespaces/n/secrets/s\"," \
	"\"request\":" request ",\"status\":" status "},\"labels\":{}}"

static void secrets_of_log_entries_go(void **state)
{
	static const struct row rows[] = {
		{ "secrets", SECRETS_ENTRY("{\"data\":{\"a\":\"x\"},\"metadata\":{\"name\":\"s\"}}", "{}"),
			SECRETS_ENTRY("{\"data\":{\"a\":\"[redacted]\"},\"metadata\":{\"name\":\"s\"}}", "{}") },
		{ "secrets", SECRETS_ENTRY("{\"@type\":\"k8s.io/Patch\",\"data\":{\"a\":\"x\"}}", "{}"),
			SECRETS_ENTRY("{\"@type\":\"k8s.io/Patch\",\"data\":{\"a\":\"[redacted]\"}}", "{}") },
		{ "secrets", SECRETS_ENTRY("{\"@type\":\"k8s.io/Patch\",\"patch\":[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"x\"},"
					   "{\"op\":\"add\",\"path\":\"/type\",\"value\":\"x\"}]}", "{}"),
			SECRETS_ENTRY("{\"@type\":\"k8s.io/Patch\",\"patch\":[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"[redacted]\"},"
				      "{\"op\":\"add\",\"path\":\"/type\",\"value\":\"x\"}]}", "{}") },
	};
	(void)state;
	CHECK(rows);
}

/* A body that is text or a number holds something that nobody can tell. */
static void bodies_without_members_go_whole(void **state)
{
	static const struct row rows[] = {
		{ "secrets", EVENT("secrets", "\"requestObject\":\"x\""), EVENT("secrets", "\"requestObject\":\"[redacted]\"") },
		{ "secrets", EVENT("secrets", "\"requestObject\":17"), EVENT("secrets", "\"requestObject\":\"[redacted]\"") },
		{ "secrets", EVENT("secrets", "\"requestObject\":null,\"responseObject\":true"), NULL },
		{ "secrets", EVENT("pods", "\"requestObject\":\"x\""), NULL },
	};
	(void)state;
	CHECK(rows);
}

static void cuts_are_counted_by_kind(void **state)
{
	(void)state;
	free(redact("[secrets, tokens, env]",
		EVENT("secrets", "\"requestObject\":{\"data\":{\"a\":1,\"b\":2}},\"userAgent\":\"" JWT "\","
				 "\"responseObject\":{\"containers\":[{\"env\":[{\"value\":1}]}]}")));
	assert_int_equal(counts[REDACT_SECRETS], 2);
	assert_int_equal(counts[REDACT_TOKENS], 1);
	assert_int_equal(counts[REDACT_ENV], 1);
	assert_int_equal(counts[REDACT_OWN], 0);
}

/* As deep as an event may be, and no slower for it. */
static void depth_is_no_matter(void **state)
{
	struct buf line = { 0 };
	(void)state;
	buf_addf(&line, "{\"stage\":\"x\",\"verb\":\"y\",\"objectRef\":{\"resource\":\"secrets\"},\"requestObject\":");
	for (int i = 0; i < DECODE_DEPTH_MAX - 2; i++)
		buf_addf(&line, "{\"kind\":\"Secret\",\"data\":");
	buf_addf(&line, "{\"a\":\"hidden\"}");
	for (int i = 0; i < DECODE_DEPTH_MAX - 2; i++)
		buf_add_byte(&line, '}');
	buf_add_byte(&line, '}');
	char *after = redact("[secrets, {rule: r, path: 'requestObject.data.data.kind'}]", buf_text(&line));
	assert_null(strstr(after, "hidden"));
	free(after);
	buf_finish(&line);
}

static void broken_lines_end_before_their_bodies(void **state)
{
	static const struct {
		const char *yaml, *before, *after;
	} rows[] = {
		{ "[secrets]", "{\"user\":1,\"requestObject\":{\"a\":", "{\"user\":1,\"[redacted]" },
		{ "[secrets]", "{\"d\\u0061ta\":1", "[redacted]" },
		{ "[tokens]", "log " JWT " x", "log [redacted] x" },
		{ "[{rule: r, path: userAgent}]", "anything", "[redacted]" },
		{ "[secrets]", "{\"user\":{}}}", "{\"user\":{}}}" },
		/* Go writes & as an escape; and there may be more than one URL */
		{ "[tokens]", "{\"requestURI\":\"/x?a=b\\u0026password=c\\/d\\u003ce\\u0026f=g\",\"verb",
			"{\"requestURI\":\"/x?a=b\\u0026password=[redacted]\\u0026f=g\",\"verb" },
		{ "[tokens]", "{\"message\":\"{\\\"requestURI\\\":\\\"/x?a=b\\\\u0026t%6fken=c\\\",",
			"{\"message\":\"{\\\"requestURI\\\":\\\"/x?a=b\\\\u0026t%6fken=[redacted]\"," },
		{ "[tokens]", "{\"auditID\":\"?\",\"requestURI\":\"/x?a=b\"},{\"requestURI\":\"/y?key=c;key=d#key=e\"",
			"{\"auditID\":\"?\",\"requestURI\":\"/x?a=b\"},{\"requestURI\":\"/y?key=[redacted];key=[redacted]#key=[redacted]\"" },
		{ "[tokens]", "{\"requestURI\":\"/x?token=&watch=1&keys=2&key", "{\"requestURI\":\"/x?token=&watch=1&keys=2&key" },
		{ "[tokens]", "{\"requestURI\":\"/x?token=[redacted]\"", "{\"requestURI\":\"/x?token=[redacted]\"" },
		/* what an old server quotes of a body */
		{ "[secrets]", "{\"message\":\"x, error found in #10 byte of ...|p\":\"q", "{\"message\":\"x, [redacted]" },
		/* pieces out of the middle, and what begins as an event all the same */
		{ "[secrets]", "    \"password\": \"x\",", "[redacted]" },
		{ "[secrets]", "eA==\"},\"type\":\"Opaque\"}", "[redacted]" },
		{ "[secrets]", "2eA==\"}, \"type\":\"Opaque\"}", "[redacted]" },
		{ "[secrets]", "  },", "  }," },
		{ "[secrets]", " \xef\xbb\xbf{\"user\":\"x\",\"requestObject\":1}", " \xef\xbb\xbf{\"user\":\"x\",\"[redacted]" },
		{ "[secrets]", "2026-11-21T20:54:23.486Z AUDIT: id=\"a\"", "2026-11-21T20:54:23.486Z AUDIT: id=\"a\"" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf said = { 0 }, out = { 0 };
		struct redactor *r = read_redactor(rows[i].yaml, &said);
		redact_broken(r, view_of(rows[i].before), &out, counts);
		assert_string_equal(buf_text(&out), rows[i].after);
		redactor_destroy(r);
		buf_finish(&out);
		buf_finish(&said);
	}
}

static void nothing_is_kept_of_utf_16(void **state)
{
	static const char line[] = "\0{\0\"\0p\0\"\0:\0\"\0x\0\"\0}";
	struct buf said = { 0 }, out = { 0 };
	struct redactor *r = read_redactor("[secrets]", &said);
	(void)state;
	redact_broken(r, (struct view){ line, sizeof line - 1 }, &out, counts);
	assert_string_equal(buf_text(&out), "[redacted]");
	buf_clear(&out);
	redact_broken(r, (struct view){ "\0\0{\"a\":1", 8 }, &out, counts); /* zero bytes in front are not that */
	assert_int_equal(out.len, 8);
	redactor_destroy(r);
	buf_finish(&out);
	buf_finish(&said);
}

static void mistakes_are_named_with_their_place(void **state)
{
	static const struct {
		const char *yaml, *said;
	} rows[] = {
		{ "[secrets, tokns]", "1:11: unknown kind of redaction \"tokns\"; did you mean \"tokens\"?\n" },
		{ "[]", "1:1: redact is an empty list; say off for none\n" },
		{ "{secrets: on}", "1:1: redact takes off, or a list of kinds (secrets, tokens, env, configmaps) and own rules\n" },
		{ "[{rule: r, path: requestObject..x}]", "1:18: \"requestObject..x\" is no path: a name is missing\n" },
		{ "[{rule: r, path: 'requestObject.x['}]", "1:18: \"requestObject.x[\" is no path: a bracket is not closed\n" },
		{ "[{rule: r, path: 'requestObject[x]'}]",
			"1:18: \"requestObject[x]\" is no path: brackets hold *, a number, or a key in double quotes\n" },
		{ "[{rule: r, path: requestobject.x}]", "1:18: unknown field \"requestobject\"; did you mean \"requestObject\"?\n" },
		{ "[{rule: r, path: user, verb: [get]}]", "1:24: unknown key \"verb\"; did you mean \"verbs\"?\n" },
		{ "[{rule: r, path: user, action: pseudonym}]", "1:32: a pseudonym needs a key: key_file, or key\n" },
		{ "[{rule: r, path: user, action: pseudonym, key: short}]", "1:48: the key has less than 16 bytes\n" },
		{ "[{rule: r, path: user, key: 0123456789abcdef}]", "1:29: key, key_file and keep are for action: pseudonym\n" },
		{ "[{path: user}]", "1:2: rule is missing\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf said = { 0 };
		assert_null(read_redactor(rows[i].yaml, &said));
		assert_string_equal(buf_text(&said), rows[i].said);
		buf_finish(&said);
	}
}

/* Each name in letters of both sizes, with each letter in turn as a percent escape, behind parameters of all lengths. */
static void parameters_that_hold_secrets_are_known_by_name(void **state)
{
	static const char *const names[] = { "access_token", "accesstoken", "apikey", "api_key", "api-key", "assertion", "auth",
		"auth_token", "authorization", "bearer", "bearer_token", "client_secret", "credential", "credentials", "id_token",
		"idtoken", "jwt", "key", "passwd", "password", "private_key", "refresh_token", "secret", "session_token", "sig",
		"signature", "token", "x-amz-credential", "x-amz-security-token", "x-amz-signature", "x-goog-signature" };
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t escaped = 0; escaped <= strlen(names[i]); escaped++) {
			struct buf name = { 0 }, before = { 0 }, after = { 0 };
			for (size_t j = 0; names[i][j]; j++) {
				char c = names[i][j];
				if (j == escaped)
					buf_addf(&name, "%%%02x", (unsigned)c);
				else
					buf_add_byte(&name, (i + j + escaped) % 2 && c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c);
			}
			for (int behind = 0; behind < 40; behind += 3) {
				static const char format[] = "{\"stage\":\"ResponseComplete\",\"verb\":\"get\",\"requestURI\":"
							     "\"/x?a%.*s=b%c%s=%s%cresourceVersion=1&tokens=2\"}";
				buf_clear(&before);
				buf_clear(&after);
				buf_addf(&before, format, behind, "0123456789012345678901234567890123456789", "&;#"[behind % 3],
					buf_text(&name), "some/thing", "&;#"[i % 3]);
				buf_addf(&after, format, behind, "0123456789012345678901234567890123456789", "&;#"[behind % 3],
					buf_text(&name), "[redacted]", "&;#"[i % 3]);
				char *got = redact("tokens", buf_text(&before));
				assert_string_equal(got, buf_text(&after));
				free(got);
			}
			buf_finish(&name);
			buf_finish(&before);
			buf_finish(&after);
		}
}

static void off_is_nothing_and_unsaid_the_default(void **state)
{
	struct problems problems = { 0 };
	struct settings_reader reader = { "f", "/", &problems };
	struct buf said = { 0 };
	struct redactor *r = NULL;
	(void)state;
	assert_null(read_redactor("off", &said));
	assert_int_equal(said.len, 0);
	assert_true(redactor_read(&r, &reader, NULL));
	assert_non_null(r);
	redactor_destroy(r);
	problems_finish(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_go_and_the_rest_stays),
		cmocka_unit_test(tokens_are_known_by_their_looks),
		cmocka_unit_test(own_rules_follow_their_paths),
		cmocka_unit_test(own_rules_know_log_entries),
		cmocka_unit_test(secrets_of_log_entries_go),
		cmocka_unit_test(bodies_without_members_go_whole),
		cmocka_unit_test(cuts_are_counted_by_kind),
		cmocka_unit_test(depth_is_no_matter),
		cmocka_unit_test(broken_lines_end_before_their_bodies),
		cmocka_unit_test(nothing_is_kept_of_utf_16),
		cmocka_unit_test(mistakes_are_named_with_their_place),
		cmocka_unit_test(parameters_that_hold_secrets_are_known_by_name),
		cmocka_unit_test(off_is_nothing_and_unsaid_the_default),
	};
	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
