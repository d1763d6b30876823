#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/event/text.h"
#include "tests/tools/real_log.h"
#include "tests/tools/tame.h"

enum { KINDS_MAX = 4 };
static struct decoder *decoders[KINDS_MAX];
static size_t n_decoders;

static int setup(void **state)
{
	(void)state;
	for (enum decode_vectors vectors = DECODE_PLAIN; vectors <= DECODE_NEON; vectors++) {
		struct decoder *d = decode_create(vectors);
		if (d)
			decoders[n_decoders++] = d;
	}
	assert_true(n_decoders > 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_decoders; i++)
		decode_destroy(decoders[i]);
	return 0;
}

/* The bytes at the end of an allocation of their own, so that a sanitizer sees every byte read too much. */
static char *exact_copy(struct view bytes)
{
	char *copy = mem_alloc(bytes.len);
	if (bytes.len)
		memcpy(copy, bytes.ptr, bytes.len);
	return copy;
}

static void check_line(struct view line, enum decode_result result, size_t end)
{
	char *copy = exact_copy(line);
	for (size_t i = 0; i < n_decoders; i++) {
		struct event event;
		size_t got_end;
		enum decode_result got = decode_line(decoders[i], (struct view){ copy, line.len }, &event, &got_end);
		if (got != result || got_end != end)
			fail_msg("%s, %.200s: %s at %zu, not %s at %zu", decode_vectors_name(decoders[i]), line.ptr,
				decode_result_text(got), got_end, decode_result_text(result), end);
	}
	free(copy);
}

/* As a line by itself, and deep in the fields of an event, in front of every length of text. */
static void check_value(struct view value, enum decode_result result, size_t end)
{
	static const char *const around[][2] = {
		{ "{\"stage\":\"\",\"verb\":\"\",\"requestObject\":", "}" },
		{ "{\"stage\":\"\",\"verb\":\"\",\"user\":{\"uid\":", "}}" },
		{ "{\"stage\":\"\",\"verb\":\"\",\"userAgent\":", "}" },
		{ "{\"stage\":\"\",\"verb\":\"\",\"x\":[[{\"\":[1,", "]}]]}" },
		{ "{\"stage\":\"\",\"verb\":\"\",\"user\":{\"groups\":[\"a\",", "]}}" },
		{ "{\"stage\":\"\",\"verb\":\"\",\"responseStatus\":{\"code\":", "}}" },
	};
	check_line(value, result == DECODE_OK ? DECODE_NOT_EVENT : result, end);
	for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
		struct buf line = { 0 };
		buf_addf(&line, "%s", around[i][0]);
		size_t before = line.len;
		buf_add_view(&line, value);
		/* What is cut goes on to be cut, or, with something behind it, is bad at some byte or other. */
		if (result == DECODE_TRUNCATED)
			check_line(buf_view(&line), result, line.len);
		buf_addf(&line, "%s", around[i][1]);
		size_t value_end = line.len;
		buf_addf(&line, "%*s", 70, "");
		if (result == DECODE_OK)
			check_line(buf_view(&line), result, value_end);
		else if (result == DECODE_BAD)
			check_line(buf_view(&line), result, before + end);
		buf_finish(&line);
	}
}

static const struct {
	const char *text;
	enum decode_result result;
	int end; /* -1: all of it */
} grammar[] = {
	{ "{}", DECODE_OK, -1 },
	{ "[]", DECODE_OK, -1 },
	{ "\"\"", DECODE_OK, -1 },
	{ "true", DECODE_OK, -1 },
	{ "false", DECODE_OK, -1 },
	{ "null", DECODE_OK, -1 },
	{ "0", DECODE_OK, -1 },
	{ "-0", DECODE_OK, -1 },
	{ "-0.0e-0", DECODE_OK, -1 },
	{ "1E+00", DECODE_OK, -1 },
	{ "123456789012345678901234567890123456789012345678901234567890", DECODE_OK, -1 },
	{ "1e99999", DECODE_OK, -1 },
	{ "0.000000000000000000000000000000000000001", DECODE_OK, -1 },
	{ "[ 1 ,\t2\r,\n3 ]", DECODE_OK, -1 },
	{ "{ \"a\" : 1 , \"b\" : { } , \"c\" : [ ] }", DECODE_OK, -1 },
	{ "[[],{},[[[{\"\":{}}]]]]", DECODE_OK, -1 },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\"", DECODE_OK, -1 },
	{ "\"\\ud83d\\ude00\\ud800\\udc00\"", DECODE_OK, -1 },
	{ "\"\\ud83d\"", DECODE_OK, -1 },
	{ "\"\\ude00\\ud83d\"", DECODE_OK, -1 },
	{ "\"\x7f\"", DECODE_OK, -1 },
	{ "\"\xff\xc0\xed\xa0\x80\"", DECODE_OK, -1 },
	{ "\"\xe2\x82\xac\xf0\x9f\x98\x80\"", DECODE_OK, -1 },
	{ "{\"a\":1,\"a\":1}", DECODE_OK, -1 },
	{ "[1,]", DECODE_BAD, 3 },
	{ "[,1]", DECODE_BAD, 1 },
	{ "[1 2]", DECODE_BAD, 3 },
	{ "[1}", DECODE_BAD, 2 },
	{ "{]", DECODE_BAD, 1 },
	{ "{\"a\":1]", DECODE_BAD, 6 },
	{ "{\"a\"}", DECODE_BAD, 4 },
	{ "{\"a\",1}", DECODE_BAD, 4 },
	{ "{\"a\":}", DECODE_BAD, 5 },
	{ "{\"a\":1,}", DECODE_BAD, 7 },
	{ "{,\"a\":1}", DECODE_BAD, 1 },
	{ "{a:1}", DECODE_BAD, 1 },
	{ "{1:1}", DECODE_BAD, 1 },
	{ "{'a':1}", DECODE_BAD, 1 },
	{ "{\"a\":1 \"b\":2}", DECODE_BAD, 7 },
	{ "{\"a\"::1}", DECODE_BAD, 5 },
	{ "{\"a\":1,,\"b\":1}", DECODE_BAD, 7 },
	{ "{{}:1}", DECODE_BAD, 1 },
	{ "[\"a\":1]", DECODE_BAD, 4 },
	{ "]", DECODE_BAD, 0 },
	{ "}", DECODE_BAD, 0 },
	{ ",", DECODE_BAD, 0 },
	{ ":", DECODE_BAD, 0 },
	{ "tru ", DECODE_BAD, 3 },
	{ "True", DECODE_BAD, 0 },
	{ "nul1", DECODE_BAD, 3 },
	{ "falsy", DECODE_BAD, 4 },
	{ "NaN", DECODE_BAD, 0 },
	{ "Infinity", DECODE_BAD, 0 },
	{ "-Infinity", DECODE_BAD, 1 },
	{ "+1", DECODE_BAD, 0 },
	{ ".5", DECODE_BAD, 0 },
	{ "--1", DECODE_BAD, 1 },
	{ "1.e5", DECODE_BAD, 2 },
	{ "1e+ ", DECODE_BAD, 3 },
	{ "1ex", DECODE_BAD, 2 },
	{ "// comment", DECODE_BAD, 0 },
	{ "/**/1", DECODE_BAD, 0 },
	{ "\"\t\"", DECODE_BAD, 1 },
	{ "\"\n\"", DECODE_BAD, 1 },
	{ "\"\x1f\"", DECODE_BAD, 1 },
	{ "\"\\x\"", DECODE_BAD, 2 },
	{ "\"\\'\"", DECODE_BAD, 2 },
	{ "\"\\U0041\"", DECODE_BAD, 2 },
	{ "\"\\u00g0\"", DECODE_BAD, 5 },
	{ "\"\\u004\"", DECODE_BAD, 6 },
	{ "\"\\ud83d\\u00\"", DECODE_BAD, 11 },
	{ "\"\\ud83d\\x\"", DECODE_BAD, 8 },
	{ "\xef\xbb\xbf{}", DECODE_BAD, 0 },
	{ "\xc2\xa0{}", DECODE_BAD, 0 },
	{ "\v1", DECODE_BAD, 0 },
	{ "'a'", DECODE_BAD, 0 },
	{ "\\\"\"", DECODE_BAD, 0 },
	{ "[", DECODE_TRUNCATED, -1 },
	{ "[1", DECODE_TRUNCATED, -1 },
	{ "[1,", DECODE_TRUNCATED, -1 },
	{ "[1, ", DECODE_TRUNCATED, -1 },
	{ "{", DECODE_TRUNCATED, -1 },
	{ "{\"", DECODE_TRUNCATED, -1 },
	{ "{\"a\"", DECODE_TRUNCATED, -1 },
	{ "{\"a\":", DECODE_TRUNCATED, -1 },
	{ "{\"a\":{}", DECODE_TRUNCATED, -1 },
	{ "{\"a\":1,", DECODE_TRUNCATED, -1 },
	{ "t", DECODE_TRUNCATED, -1 },
	{ "fals", DECODE_TRUNCATED, -1 },
	{ "-", DECODE_TRUNCATED, -1 },
	{ "1.", DECODE_TRUNCATED, -1 },
	{ "1e", DECODE_TRUNCATED, -1 },
	{ "1e-", DECODE_TRUNCATED, -1 },
	{ "\"", DECODE_TRUNCATED, -1 },
	{ "\"\\", DECODE_TRUNCATED, -1 },
	{ "\"\\\"", DECODE_TRUNCATED, -1 },
	{ "\"\\u", DECODE_TRUNCATED, -1 },
	{ "\"\\u123", DECODE_TRUNCATED, -1 },
	{ "\"\\ud83d\\u12", DECODE_TRUNCATED, -1 },
	{ "\"0123456789abcdef0123456789abcdef", DECODE_TRUNCATED, -1 },
};

static void grammar_is_that_of_rfc_8259(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof grammar / sizeof *grammar; i++) {
		struct view text = view_of(grammar[i].text);
		check_value(text, grammar[i].result, grammar[i].end < 0 ? text.len : (size_t)grammar[i].end);
	}
}

static void zero_bytes_stand_nowhere(void **state)
{
	(void)state;
	check_value(VIEW("\0"), DECODE_BAD, 0);
	check_value(VIEW("[\0]"), DECODE_BAD, 1);
	check_value(VIEW("\"\0\""), DECODE_BAD, 1);
	check_value(VIEW("1\0"), DECODE_BAD, 1);
	check_value(VIEW("{\"a\0\":1}"), DECODE_BAD, 3);
}

static void numbers_do_not_go_on(void **state)
{
	static const char *const numbers[] = { "01", "-01", "00", "1a", "0x1", "1.5.2", "1e5.2", "0-", "1_000", "1e5e5" };
	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct event event;
		size_t end;
		assert_int_equal(decode_line(decoders[0], view_of(numbers[i]), &event, &end), DECODE_BAD);
		check_line(view_of(numbers[i]), DECODE_BAD, end);
		/* decode_value reads the number and leaves the rest. */
		size_t value_end;
		assert_int_equal(decode_value(decoders[0], view_of(numbers[i]), &event, &value_end), DECODE_NOT_EVENT);
		assert_int_equal(value_end, end);
	}
}

static void white_space_around_is_fine_and_alone_is_empty(void **state)
{
	(void)state;
	check_line(VIEW(""), DECODE_EMPTY, 0);
	check_line((struct view){ NULL, 0 }, DECODE_EMPTY, 0);
	check_line(VIEW(" \t\r\n"), DECODE_EMPTY, 4);
	check_line(VIEW(" {} \t\r\n"), DECODE_NOT_EVENT, 3);
	check_line(VIEW("{}{}"), DECODE_BAD, 2);
	check_line(VIEW("{} x"), DECODE_BAD, 3);
	check_line(VIEW("{}\0"), DECODE_BAD, 2);
	struct event event;
	size_t end;
	assert_int_equal(decode_value(decoders[0], VIEW(" {} x"), &event, &end), DECODE_NOT_EVENT);
	assert_int_equal(end, 3);
	assert_int_equal(event.bytes.len, 2);
}

/* Strings whose end, escape or bad byte falls on every place of a block, and of the end of the bytes. */
static void strings_of_every_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < 140; len++) {
		struct buf line = { 0 };
		buf_addf(&line, "\"%.*s\"", (int)len,
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"0123456789012345678901234567890123456789012345678901234567890123456789");
		check_value(buf_view(&line), DECODE_OK, line.len);
		check_value((struct view){ line.ptr, line.len - 1 }, DECODE_TRUNCATED, line.len - 1);
		if (len >= 2) {
			memcpy(line.ptr + len - 1, "\\\"", 2);
			check_value(buf_view(&line), DECODE_OK, line.len);
			memcpy(line.ptr + len - 1, "\\\\", 2);
			check_value(buf_view(&line), DECODE_OK, line.len);
			memcpy(line.ptr + len - 1, "xx", 2);
		}
		if (len >= 1) {
			line.ptr[len] = 0x1f;
			check_value(buf_view(&line), DECODE_BAD, len);
			line.ptr[len] = (char)0x80;
			check_value(buf_view(&line), DECODE_OK, line.len);
			line.ptr[len] = '\\';
			check_value(buf_view(&line), DECODE_TRUNCATED, line.len);
		}
		buf_finish(&line);
	}
}

static void nesting(struct buf *line, size_t levels, const char *open, const char *close)
{
	for (size_t i = 0; i < levels; i++)
		buf_addf(line, "%s", open);
	for (size_t i = 0; i < levels; i++)
		buf_addf(line, "%s", close);
}

static void depth_ends_at_its_limit(void **state)
{
	static const struct {
		const char *before, *open, *close, *after;
		size_t levels_before;
	} cases[] = {
		{ "", "[", "]", "", 0 },
		{ "", "{\"a\":", "}", "", 0 },
		{ "{\"x\":", "[", "]", "}", 1 },
		{ "{\"requestObject\":", "[", "]", "}", 1 },
		{ "{\"user\":{\"extra\":{\"\":", "[", "]", "}}}", 3 },
		{ "{\"user\":{\"groups\":[", "[", "]", "]}}", 3 },
		{ "{\"responseStatus\":{\"code\":", "[", "]", "}}", 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t over = 0; over < 2; over++) {
			struct buf line = { 0 };
			bool objects = *cases[i].open == '{';
			size_t levels = DECODE_DEPTH_MAX - cases[i].levels_before + over;
			buf_addf(&line, "%s", cases[i].before);
			if (objects) {
				for (size_t level = 0; level < levels; level++)
					buf_addf(&line, "%s", cases[i].open);
				buf_addf(&line, "1");
				for (size_t level = 0; level < levels; level++)
					buf_addf(&line, "%s", cases[i].close);
			} else {
				nesting(&line, levels, cases[i].open, cases[i].close);
			}
			buf_addf(&line, "%s", cases[i].after);
			check_line(buf_view(&line), over ? DECODE_DEEP : DECODE_NOT_EVENT,
				over ? strlen(cases[i].before) + (levels - 1) * strlen(cases[i].open) : line.len);
			buf_finish(&line);
		}
	}
}

/* Closers are checked against what was opened, beyond the 64 levels that fit a register too. */
static void every_level_is_remembered(void **state)
{
	(void)state;
	for (size_t levels = 60; levels < 200; levels++) {
		struct buf line = { 0 };
		for (size_t i = 0; i < levels; i++)
			buf_addf(&line, i * 7 % 3 ? "[" : "{\"a\":");
		buf_addf(&line, "0");
		size_t middle = line.len;
		for (size_t i = levels; i-- > 0;)
			buf_add_byte(&line, i * 7 % 3 ? ']' : '}');
		check_line(buf_view(&line), DECODE_NOT_EVENT, line.len);
		for (size_t i = middle; i < line.len; i += 13) {
			line.ptr[i] ^= ']' ^ '}';
			check_line(buf_view(&line), DECODE_BAD, i);
			line.ptr[i] ^= ']' ^ '}';
		}
		buf_finish(&line);
	}
}

static struct event decode(struct decoder *d, const char *text, enum decode_result result)
{
	struct event event;
	size_t end;
	enum decode_result got = decode_line(d, view_of(text), &event, &end);
	if (got != result)
		fail_msg("%s: %s, not %s", text, decode_result_text(got), decode_result_text(result));
	return event;
}

static void check_text(struct view got, const char *want)
{
	assert_int_equal(got.ptr != NULL, want != NULL);
	if (want && !view_eq(got, view_of(want)))
		fail_msg("%.*s, not %s", VIEW_ARGS(got), want);
}

static void every_field_is_found(void **state)
{
	static const char line[] =
		"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"id\","
		"\"stage\":\"ResponseComplete\",\"requestURI\":\"/x?a=1\\u0026b=2\",\"verb\":\"create\","
		"\"user\":{\"username\":\"u\",\"uid\":\"1\",\"groups\":[\"g\",\"h\"],\"extra\":{\"k\":[\"v\"]}},"
		"\"impersonatedUser\":{\"username\":\"i\",\"groups\":[\"j\"]},"
		"\"authenticationMetadata\":{\"impersonationConstraint\":\"c\"},"
		"\"sourceIPs\":[\"10.0.0.1\",\"::1\"],\"userAgent\":\"a\\\\b\","
		"\"objectRef\":{\"resource\":\"pods\",\"namespace\":\"n\",\"name\":\"m\",\"uid\":\"2\",\"apiGroup\":\"apps\","
		"\"apiVersion\":\"v1\",\"resourceVersion\":\"7\",\"subresource\":\"log\"},"
		"\"responseStatus\":{\"metadata\":{},\"status\":\"Failure\",\"message\":\"bad\",\"reason\":\"NotFound\","
		"\"details\":{\"name\":\"q\"},\"code\":404},"
		"\"requestObject\":{\"a\":2.0},\"responseObject\":[1, 2],"
		"\"requestReceivedTimestamp\":\"2026-01-02T03:04:05.000006Z\","
		"\"stageTimestamp\":\"2026-01-02T03:04:05.000007Z\",\"annotations\":{\"x\":\"y\"}}";
	(void)state;
	for (size_t i = 0; i < n_decoders; i++) {
		struct event e = decode(decoders[i], line, DECODE_OK);
		check_text(e.bytes, line);
		check_text(e.kind, "Event");
		check_text(e.api_version, "audit.k8s.io/v1");
		check_text(e.level_text, "RequestResponse");
		assert_int_equal(e.level, LEVEL_REQUEST_RESPONSE);
		check_text(e.audit_id, "id");
		check_text(e.stage_text, "ResponseComplete");
		assert_int_equal(e.stage, STAGE_RESPONSE_COMPLETE);
		check_text(e.request_uri, "/x?a=1&b=2");
		check_text(e.verb, "create");
		assert_true(e.user.present && e.impersonated_user.present);
		check_text(e.user.username, "u");
		check_text(e.user.uid, "1");
		assert_int_equal(e.user.n_groups, 2);
		check_text(e.user.groups[1], "h");
		check_text(e.user.extra, "{\"k\":[\"v\"]}");
		check_text(e.impersonated_user.username, "i");
		check_text(e.impersonated_user.uid, NULL);
		assert_int_equal(e.impersonated_user.n_groups, 1);
		check_text(e.impersonated_user.groups[0], "j");
		check_text(e.authentication_metadata, "{\"impersonationConstraint\":\"c\"}");
		assert_int_equal(e.n_source_ips, 2);
		check_text(e.source_ips[1], "::1");
		check_text(e.user_agent, "a\\b");
		assert_true(e.object_ref.present);
		check_text(e.object_ref.resource, "pods");
		check_text(e.object_ref.namespace_, "n");
		check_text(e.object_ref.name, "m");
		check_text(e.object_ref.uid, "2");
		check_text(e.object_ref.api_group, "apps");
		check_text(e.object_ref.api_version, "v1");
		check_text(e.object_ref.resource_version, "7");
		check_text(e.object_ref.subresource, "log");
		assert_true(e.response_status.present);
		check_text(e.response_status.status, "Failure");
		check_text(e.response_status.message, "bad");
		check_text(e.response_status.reason, "NotFound");
		assert_int_equal(e.response_status.code, 404);
		check_text(e.response_status.raw, "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"bad\","
						  "\"reason\":\"NotFound\",\"details\":{\"name\":\"q\"},\"code\":404}");
		check_text(e.request_object, "{\"a\":2.0}");
		check_text(e.response_object, "[1, 2]");
		check_text(e.request_received, "2026-01-02T03:04:05.000006Z");
		check_text(e.stage_timestamp, "2026-01-02T03:04:05.000007Z");
		check_text(e.annotations, "{\"x\":\"y\"}");
		assert_int_equal(e.flags, 0);
	}
}

#define SV "\"stage\":\"Panic\",\"verb\":\"get\""

static void what_is_an_event(void **state)
{
	static const struct {
		const char *line;
		enum decode_result result;
	} cases[] = {
		{ "{" SV "}", DECODE_OK },
		{ "{\"kind\":\"Event\"," SV "}", DECODE_OK },
		{ "{\"kind\":\"Event\\u0073\"," SV "}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"\\u0045vent\"," SV "}", DECODE_OK },
		{ "{\"kind\":1," SV "}", DECODE_OK },
		{ "{\"kind\":null," SV "}", DECODE_OK },
		{ "{\"kind\":\"\"," SV "}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"event\"," SV "}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"Pod\"," SV "}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"Pod\"," SV ",\"kind\":\"Event\"}", DECODE_OK },
		{ "{\"kind\":\"Event\"," SV ",\"kind\":\"Pod\"}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"Pod\"," SV ",\"kind\":2}", DECODE_OK },
		{ "{\"stage\":\"\",\"verb\":\"\"}", DECODE_OK },
		{ "{\"stage\":\"a\"}", DECODE_NOT_EVENT },
		{ "{\"verb\":\"a\"}", DECODE_NOT_EVENT },
		{ "{\"stage\":1,\"verb\":\"a\"}", DECODE_NOT_EVENT },
		{ "{" SV ",\"verb\":null}", DECODE_NOT_EVENT },
		{ "{\"Stage\":\"a\",\"verb\":\"a\"}", DECODE_NOT_EVENT },
		{ "{\"st\\u0061ge\":\"a\",\"\\u0076er\\u0062\":\"a\"}", DECODE_OK },
		{ "[{" SV "}]", DECODE_NOT_EVENT },
		{ "\"Event\"", DECODE_NOT_EVENT },
		{ "{\"kind\":\"EventList\",\"items\":[]}", DECODE_LIST },
		{ "{\"items\":[],\"kind\":\"EventList\"}", DECODE_LIST },
		{ "{\"items\":[]," SV "}", DECODE_OK },
		{ "{\"kind\":\"EventList\",\"items\":{}}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"EventList\",\"items\":null," SV "}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"EventList\",\"items\":[],\"items\":1}", DECODE_NOT_EVENT },
		{ "{\"kind\":\"EventList\",\"items\":[1,]}", DECODE_BAD },
		{ "{\"kind\":\"EventList\",\"items\":[{}", DECODE_TRUNCATED },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t j = 0; j < n_decoders; j++)
			decode(decoders[j], cases[i].line, cases[i].result);
}

static void the_last_of_duplicates_counts_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_decoders; i++) {
		struct event e = decode(decoders[i],
			"{" SV ",\"user\":{\"username\":\"a\",\"groups\":[\"g\"],\"extra\":{}},\"user\":{\"uid\":\"1\"},"
			"\"objectRef\":{\"name\":\"n\"},\"objectRef\":\"text\",\"sourceIPs\":[\"a\"],\"sourceIPs\":{},"
			"\"responseStatus\":{\"code\":1,\"code\":2},\"requestObject\":1,\"requestObject\":[2],"
			"\"impersonatedUser\":{\"groups\":[\"x\",\"y\"],\"gro\\u0075ps\":[\"z\"],\"extra\":{},\"extra\":[]},"
			"\"auditID\":\"a\",\"audit\\u0049D\":\"b\",\"verb\":\"\\u0000\"}",
			DECODE_OK);
		assert_true(e.user.present);
		check_text(e.user.username, NULL);
		check_text(e.user.uid, "1");
		check_text(e.user.extra, NULL);
		assert_int_equal(e.user.n_groups, 0);
		assert_false(e.object_ref.present);
		check_text(e.object_ref.name, NULL);
		assert_int_equal(e.n_source_ips, 0);
		assert_int_equal(e.response_status.code, 2);
		check_text(e.request_object, "[2]");
		assert_int_equal(e.impersonated_user.n_groups, 1);
		check_text(e.impersonated_user.groups[0], "z");
		check_text(e.impersonated_user.extra, NULL);
		check_text(e.audit_id, "b");
		assert_int_equal(e.verb.len, 1);
		assert_int_equal(e.verb.ptr[0], 0);
	}
}

static void wrong_types_are_absent(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_decoders; i++) {
		struct event e = decode(decoders[i],
			"{" SV ",\"level\":1,\"auditID\":null,\"user\":[],\"sourceIPs\":[1,\"a\",null,[\"b\"],{\"c\":\"d\"},\"e\"],"
			"\"userAgent\":{},\"objectRef\":{\"resource\":5,\"name\":\"\"},\"responseStatus\":true,"
			"\"annotations\":null,\"requestReceivedTimestamp\":null}",
			DECODE_OK);
		check_text(e.level_text, NULL);
		assert_int_equal(e.level, LEVEL_UNKNOWN);
		check_text(e.audit_id, NULL);
		assert_false(e.user.present);
		assert_int_equal(e.n_source_ips, 2);
		check_text(e.source_ips[0], "a");
		check_text(e.source_ips[1], "e");
		check_text(e.user_agent, NULL);
		assert_true(e.object_ref.present);
		check_text(e.object_ref.resource, NULL);
		check_text(e.object_ref.name, "");
		assert_false(e.response_status.present);
		check_text(e.annotations, "null");
		check_text(e.request_received, NULL);
	}
}

static void codes_are_integers_of_32_bits(void **state)
{
	static const struct {
		const char *text;
		int32_t code;
	} cases[] = {
		{ "200", 200 },
		{ "0", 0 },
		{ "-0", 0 },
		{ "-1", -1 },
		{ "2147483647", INT32_MAX },
		{ "2147483648", 0 },
		{ "-2147483648", INT32_MIN },
		{ "-2147483649", 0 },
		{ "9999999999", 0 },
		{ "4294967496", 0 },
		{ "18446744073709551816", 0 },
		{ "100000000000000000000000000000000000000000000000200", 0 },
		{ "200.0", 0 },
		{ "2e2", 0 },
		{ "\"200\"", 0 },
		{ "null", 0 },
		{ "[200]", 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *line = mem_textf("{" SV ",\"responseStatus\":{\"code\":404,\"code\":%s}}", cases[i].text);
		for (size_t j = 0; j < n_decoders; j++)
			assert_int_equal(decode(decoders[j], line, DECODE_OK).response_status.code, cases[i].code);
		free(line);
	}
}

static void what_the_apiserver_writes_wrong_is_flagged(void **state)
{
	static const struct {
		const char *text;
		unsigned flags;
	} cases[] = {
		{ "\xe2\x82\xac", 0 },
		{ "\xff", EVENT_BAD_UTF8 },
		{ "\xe2\x82", EVENT_BAD_UTF8 },
		{ "\xe2\x82\\u0020\x80", EVENT_BAD_UTF8 },
		{ "\xed\xa0\x80", EVENT_BAD_UTF8 },
		{ "\xc0\x80", EVENT_BAD_UTF8 },
		{ "\xf4\x90\x80\x80", EVENT_BAD_UTF8 },
		{ "\xf4\x8f\xbf\xbf", 0 },
		{ "\\ud800", EVENT_LONE_SURROGATE },
		{ "\\udfff", EVENT_LONE_SURROGATE },
		{ "\\ud800\\ud800\\udc00", EVENT_LONE_SURROGATE },
		{ "\\ud800x\\udc00", EVENT_LONE_SURROGATE },
		{ "\\ud800\\udbff", EVENT_LONE_SURROGATE },
		{ "\\ud800\\ue000", EVENT_LONE_SURROGATE },
		{ "\\uD83D\\uDE00", 0 },
		{ "\\udbff\\udfff", 0 },
		{ "\\ud7ff\\ue000", 0 },
		{ "\\ud800\xff", EVENT_LONE_SURROGATE | EVENT_BAD_UTF8 },
		{ "\\\\ud800", 0 },
		{ "\\u0041", EVENT_HIDDEN_LETTER },
		{ "\\u007A\\ud800", EVENT_HIDDEN_LETTER | EVENT_LONE_SURROGATE },
		{ "\\u0030", EVENT_HIDDEN_LETTER },
		{ "\\u003c\\u003E\\u0026\\u000a\\u0141", 0 },
	};
	static const char *const around[][2] = {
		{ "{" SV ",\"userAgent\":\"", "\"}" },
		{ "{" SV ",\"", "\":1}" },
		{ "{" SV ",\"requestObject\":{\"0123456789012345678901234567890\":[\"01234567", "89\"]},\"auditID\":\"\\u0020\"}" },
		{ "{" SV ",\"user\":{\"groups\":[\"01234567890123456789012345678", "\"]}}" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t j = 0; j < sizeof around / sizeof *around; j++) {
			char *line = mem_textf("%s%s%s", around[j][0], cases[i].text, around[j][1]);
			for (size_t k = 0; k < n_decoders; k++)
				if (decode(decoders[k], line, DECODE_OK).flags != cases[i].flags)
					fail_msg("%s: wrong flags", line);
			free(line);
		}
	}
	/* A good string, then bytes above 0x7f outside of it. */
	check_line(VIEW("{" SV ",\"a\":\"b\"\xff}"), DECODE_BAD, sizeof "{" SV ",\"a\":\"b\"" - 1);
}

static void keys_that_are_there_twice_are_flagged(void **state)
{
	static const struct {
		const char *more;
		bool flagged;
	} cases[] = {
		{ "\"requestURI\":\"/a\",\"requestURI\":null", true },
		{ "\"x\":1,\"requestURI\":\"/a\",\"x\":1,\"request\\u0055RI\":1", true },
		{ "\"verb\":\"get\"", true }, /* SV has one */
		{ "\"annotations\":{\"a\":1,\"a\":1}", false },
		{ "\"objectRef\":{\"resource\":\"secrets\",\"resource\":\"pods\"}", true },
		{ "\"objectRef\":{\"resource\":\"secrets\"},\"objectRef\":{}", true },
		{ "\"responseStatus\":{\"code\":400,\"metadata\":{},\"code\":200}", true },
		{ "\"user\":{\"username\":\"a\"},\"impersonatedUser\":{\"username\":\"a\"},\"x\":1,\"y\":1,\"x\":1", false },
		{ "\"responseStatus\":{\"status\":\"a\"},\"status\":1,\"objectRef\":{\"name\":\"a\",\"apiVersion\":\"v1\"},\"apiVersion\":\"v1\"", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *line = mem_textf("{" SV ",%s}", cases[i].more);
		for (size_t j = 0; j < 2 * n_decoders; j++) { /* the second time with the keys as guesses */
			struct event e = decode(decoders[j % n_decoders], line, DECODE_OK);
			if (!(e.flags & EVENT_REPEATED_KEY) == cases[i].flagged)
				fail_msg("%s", line);
		}
		free(line);
	}
}

/* Bytes from the edges of what UTF-8 allows, at changing places of a text that blocks cover. */
static void utf8_is_judged_alike_at_every_place(void **state)
{
	static const uint8_t edges[] = { 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff };
	enum { N = sizeof edges };
	(void)state;
	for (unsigned i = 0; i < N * N * N * N; i++) {
		char bytes[] = { (char)edges[i % N], (char)edges[i / N % N], (char)edges[i / N / N % N], (char)edges[i / N / N / N], 0 };
		char line[256];
		(void)snprintf(line, sizeof line, "{" SV ",\"a\":\"%.*s%s\xc3\xa9%s\"}", (int)(i % 37),
			"0123456789012345678901234567890123456789", bytes, "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5");
		const uint8_t *p = (const uint8_t *)bytes;
		bool good = true;
		while (p < (const uint8_t *)bytes + 4) {
			struct buf tamed = { 0 };
			good &= tame_add_character(&tamed, &p, (const uint8_t *)bytes + 4);
			buf_finish(&tamed);
		}
		struct event event;
		size_t end;
		for (size_t j = 0; j < n_decoders; j++) {
			assert_int_equal(decode_line(decoders[j], view_of(line), &event, &end), DECODE_OK);
			if (event.flags != (good ? 0 : EVENT_BAD_UTF8))
				fail_msg("%s: %s", decode_vectors_name(decoders[j]), line);
		}
	}
}

static void only_nine_letters_are_escapes(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[] = { '"', '\\', (char)c, '0', '0', '4', '1', '"' };
		bool good = c && strchr("\"\\/bfnrtu", c);
		if (c != '"')
			check_value((struct view){ text, sizeof text }, good ? DECODE_OK : DECODE_BAD, good ? sizeof text : 2);
		else
			check_value((struct view){ text, 3 }, DECODE_TRUNCATED, 3);
	}
}

static void long_escaped_keys_are_no_fields(void **state)
{
	(void)state;
	for (size_t n = 0; n < 400; n++) {
		struct buf line = { 0 };
		buf_addf(&line, "{" SV ",\"verb");
		for (size_t i = 0; i < n; i++)
			buf_addf(&line, "\\u0041");
		buf_addf(&line, "\":\"post\"}");
		for (size_t i = 0; i < n_decoders; i++)
			check_text(decode(decoders[i], buf_text(&line), DECODE_OK).verb, n ? "get" : "post");
		buf_finish(&line);
	}
}

static void lists_give_their_items_in_order(void **state)
{
	static const char line[] =
		" {\"metadata\":{},\"items\": [ {\"level\":\"a\"} ,{\"x\":[{}, \"]\"]},7, \"t\\\"\",[ ] ] ,\"kind\":\"Event\\u004cist\","
		"\"apiVersion\":\"audit.k8s.io\\/v1\"} ";
	static const char *const items[] = { "{\"level\":\"a\"}", "{\"x\":[{}, \"]\"]}", "7", "\"t\\\"\"", "[ ]" };
	(void)state;
	for (size_t i = 0; i < n_decoders; i++) {
		struct list_items list;
		struct view item;
		decode(decoders[i], line, DECODE_LIST);
		decode_list(decoders[i], &list);
		check_text(list.api_version, "audit.k8s.io/v1");
		for (size_t j = 0; j < sizeof items / sizeof *items; j++) {
			assert_true(decode_list_next(&list, &item));
			check_text(item, items[j]);
		}
		assert_false(decode_list_next(&list, &item));
		assert_false(decode_list_next(&list, &item));
		decode(decoders[i], "{\"kind\":\"EventList\",\"items\":[ ]}", DECODE_LIST);
		decode_list(decoders[i], &list);
		check_text(list.api_version, NULL);
		assert_false(decode_list_next(&list, &item));
		/* Whatever is no list has no items. */
		decode(decoders[i], "{\"items\":[1]}", DECODE_NOT_EVENT);
		decode_list(decoders[i], &list);
		assert_false(decode_list_next(&list, &item));
	}
}

static void a_real_log_is_all_events(void **state)
{
	struct buf log = { 0 };
	(void)state;
	real_log_read(&log);
	struct view bytes = buf_view(&log);
	for (size_t i = 0; i < n_decoders; i++) {
		struct view rest = bytes;
		size_t events = 0;
		while (rest.len) {
			struct event event;
			size_t end;
			enum decode_result result = decode_value(decoders[i], rest, &event, &end);
			if (result == DECODE_EMPTY)
				break;
			assert_int_equal(result, DECODE_OK);
			assert_int_equal(rest.ptr[end], '\n');
			check_text(event.kind, "Event");
			assert_true(event.level && event.stage && event.audit_id.len && event.user.present);
			events++;
			rest = (struct view){ rest.ptr + end + 1, rest.len - end - 1 };
		}
		assert_int_equal(events, 9000);
	}
	buf_finish(&log);
}

/* Every prefix of an event is cut, none is bad, and each has its own allocation. */
static void every_truncation_of_a_real_event(void **state)
{
	struct buf log = { 0 };
	(void)state;
	real_log_read(&log);
	struct view bytes = buf_view(&log);
	for (int events = 0; events < 4; events++) {
		const char *newline = memchr(bytes.ptr, '\n', bytes.len);
		size_t len = (size_t)(newline - bytes.ptr);
		for (size_t cut = 1; cut < len; cut++)
			check_line((struct view){ bytes.ptr, cut }, DECODE_TRUNCATED, cut);
		check_line((struct view){ bytes.ptr, len }, DECODE_OK, len);
		/* On to some longer one. */
		for (int i = 0; i < 700; i++) {
			bytes.len -= (size_t)(newline + 1 - bytes.ptr);
			bytes.ptr = newline + 1;
			newline = memchr(bytes.ptr, '\n', bytes.len);
		}
	}
	buf_finish(&log);
}

static void large_arrays_and_texts(void **state)
{
	struct buf line = { 0 };
	(void)state;
	buf_addf(&line, "{" SV ",\"user\":{\"groups\":[");
	for (int i = 0; i < 100000; i++)
		buf_addf(&line, "%s\"g\\u0030%d\"", i ? "," : "", i);
	buf_addf(&line, "]}}");
	for (size_t i = 0; i < n_decoders; i++) {
		struct event e = decode(decoders[i], buf_text(&line), DECODE_OK);
		assert_int_equal(e.user.n_groups, 100000);
		check_text(e.user.groups[0], "g00");
		check_text(e.user.groups[99999], "g099999");
		e = decode(decoders[i], "{" SV ",\"user\":{\"groups\":[\"\\u0061\"]}}", DECODE_OK);
		check_text(e.user.groups[0], "a");
	}
	buf_finish(&line);
}

/* Good ones and others; what is white space within one line ends it here. */
static void lines_are_taken_off_one_by_one(void **state)
{
	static const struct {
		const char *line;
		enum decode_result result;
		size_t end;
	} lines[] = {
		{ "{\"stage\":\"Panic\",\"verb\":\"get\"}", DECODE_OK, 30 },
		{ " {\"stage\":\"Panic\",\"verb\":\"get\"} \r", DECODE_OK, 31 },
		{ "", DECODE_EMPTY, 0 },
		{ " \t\r", DECODE_EMPTY, 3 },
		{ "{\"stage\":\"Panic\",", DECODE_TRUNCATED, 17 },
		{ "\"verb\":\"get\"}", DECODE_BAD, 6 },
		{ "{\"kind\":\"EventList\",\"items\":[]}", DECODE_LIST, 31 },
		{ "[", DECODE_TRUNCATED, 1 },
		{ "]", DECODE_BAD, 0 },
		{ "12", DECODE_NOT_EVENT, 2 },
		{ "{\"a\":\"x", DECODE_TRUNCATED, 7 },
		{ "{\"stage\":\"Panic\",\"verb\":\"get\"}", DECODE_OK, 30 },
	};
	enum { LINES = sizeof lines / sizeof *lines };
	struct buf text = { 0 };
	(void)state;
	for (size_t i = 0; i < LINES; i++)
		buf_addf(&text, "%s%s", i ? "\n" : "", lines[i].line);
	char *copy = exact_copy(buf_view(&text));
	for (size_t k = 0; k < n_decoders; k++) {
		struct view rest = { copy, text.len };
		for (size_t i = 0; i < LINES; i++) {
			struct event event;
			struct view line;
			size_t end;
			assert_true(rest.len);
			assert_int_equal(line_decode(decoders[k], &rest, &line, &event, &end), lines[i].result);
			assert_int_equal(end, lines[i].end);
			assert_true(view_eq(line, view_of(lines[i].line)));
			assert_true((event.verb.ptr != NULL) == (lines[i].result == DECODE_OK));
		}
		assert_false(rest.len);
	}
	free(copy);
	buf_finish(&text);
}

static void zero_bytes_in_front_of_an_event_are_no_part_of_its_line(void **state)
{
	static const char text[] = "\0\0{\"stage\":\"Panic\",\"verb\":\"get\"}\n\0{\"kind\":\"EventList\",\"items\":[]}\n\0\0\n\0{\n{}\0\n";
	const struct {
		struct view line;
		enum decode_result result;
	} lines[] = {
		{ VIEW("{\"stage\":\"Panic\",\"verb\":\"get\"}"), DECODE_OK },
		{ VIEW("{\"kind\":\"EventList\",\"items\":[]}"), DECODE_LIST },
		{ VIEW("\0\0"), DECODE_BAD }, /* what is no event stays as it is, for the dead letters */
		{ VIEW("\0{"), DECODE_BAD },
		{ VIEW("{}\0"), DECODE_BAD },
	};
	(void)state;
	for (size_t k = 0; k < n_decoders; k++) {
		struct view rest = { text, sizeof text - 1 };
		for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
			struct event event;
			struct view line;
			size_t end;
			assert_int_equal(line_decode(decoders[k], &rest, &line, &event, &end), lines[i].result);
			assert_true(view_eq(line, lines[i].line));
		}
		assert_false(rest.len);
	}
}

static void vectors_are_chosen_and_named(void **state)
{
	struct decoder *d = decode_create(DECODE_BEST);
	(void)state;
	assert_non_null(d);
	assert_true(strlen(decode_vectors_name(d)) > 0);
	decode_destroy(d);
	assert_string_equal(decode_vectors_name(decoders[0]), "plain");
#if defined(__x86_64__)
	assert_true(n_decoders >= 2);
	assert_string_equal(decode_vectors_name(decoders[1]), "sse2");
	assert_null(decode_create(DECODE_NEON));
#endif
	decode_destroy(NULL);
}

static void levels_and_stages_have_names(void **state)
{
	(void)state;
	for (enum event_level level = LEVEL_NONE; level <= LEVEL_REQUEST_RESPONSE; level++)
		assert_int_equal(event_level_parse(view_of(event_level_name(level))), level);
	assert_int_equal(event_stage_parse(VIEW("RequestReceived")), STAGE_REQUEST_RECEIVED);
	assert_int_equal(event_stage_parse(VIEW("ResponseStarted")), STAGE_RESPONSE_STARTED);
	assert_int_equal(event_stage_parse(VIEW("ResponseComplete")), STAGE_RESPONSE_COMPLETE);
	assert_int_equal(event_stage_parse(VIEW("Panic")), STAGE_PANIC);
	assert_int_equal(event_level_parse(VIEW("metadata")), LEVEL_UNKNOWN);
	assert_int_equal(event_level_parse((struct view){ 0 }), LEVEL_UNKNOWN);
	assert_int_equal(event_stage_parse(VIEW("")), STAGE_UNKNOWN);
	assert_string_equal(event_level_name(LEVEL_UNKNOWN), "");
	assert_string_equal(event_level_name(LEVEL_METADATA), "Metadata");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar_is_that_of_rfc_8259),
		cmocka_unit_test(zero_bytes_stand_nowhere),
		cmocka_unit_test(numbers_do_not_go_on),
		cmocka_unit_test(white_space_around_is_fine_and_alone_is_empty),
		cmocka_unit_test(strings_of_every_length),
		cmocka_unit_test(depth_ends_at_its_limit),
		cmocka_unit_test(every_level_is_remembered),
		cmocka_unit_test(every_field_is_found),
		cmocka_unit_test(what_is_an_event),
		cmocka_unit_test(the_last_of_duplicates_counts_whole),
		cmocka_unit_test(wrong_types_are_absent),
		cmocka_unit_test(codes_are_integers_of_32_bits),
		cmocka_unit_test(what_the_apiserver_writes_wrong_is_flagged),
		cmocka_unit_test(keys_that_are_there_twice_are_flagged),
		cmocka_unit_test(utf8_is_judged_alike_at_every_place),
		cmocka_unit_test(only_nine_letters_are_escapes),
		cmocka_unit_test(long_escaped_keys_are_no_fields),
		cmocka_unit_test(lists_give_their_items_in_order),
		cmocka_unit_test(a_real_log_is_all_events),
		cmocka_unit_test(every_truncation_of_a_real_event),
		cmocka_unit_test(large_arrays_and_texts),
		cmocka_unit_test(lines_are_taken_off_one_by_one),
		cmocka_unit_test(zero_bytes_in_front_of_an_event_are_no_part_of_its_line),
		cmocka_unit_test(vectors_are_chosen_and_named),
		cmocka_unit_test(levels_and_stages_have_names),
	};
	return cmocka_run_group_tests_name("decode", tests, setup, teardown);
}
