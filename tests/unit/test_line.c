#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "router/event/line.h"
#include "router/event/unwrap.h"

/* As the route does it: decoded, unwrapped, and what is neither is named. */
static const char *diagnose(struct view line, char *reason)
{
	struct decoder *outer = decode_create(DECODE_BEST), *inner = decode_create(DECODE_BEST);
	struct unwrap u = { 0 };
	struct event e;
	size_t at;
	enum decode_result result = decode_line(outer, line, &e, &at);
	assert_int_not_equal(result, DECODE_OK);
	assert_int_equal(unwrap_line(&u, line, result, inner, &e), UNWRAP_NONE);
	const char *code = line_diagnose(line, result, at, unwrap_why(&u), reason);
	unwrap_finish(&u);
	decode_destroy(outer);
	decode_destroy(inner);
	return code;
}

static void what_people_feed_by_mistake_is_named(void **state)
{
	const struct {
		struct view line;
		const char *code, *says;
	} rows[] = {
		/* k8s.io/apiserver/pkg/audit/format.go; the file back end puts no time in front, a syslog or a copy of one may */
		{ VIEW("2026-11-21T20:54:23.486190393Z AUDIT: id=\"7f\" stage=\"ResponseComplete\""), "not_json", "--audit-log-format=json" },
		{ VIEW("2026-11-21T20:54:23Z AUDIT: id=\"7f\" stage=\"Panic\""), "not_json", "--audit-log-format=json" },
		{ VIEW("2026-11-21T20:54:23.4+01:00 AUDIT: id=\"7f\""), "not_json", "--audit-log-format=json" },
		{ VIEW("2026-11-21T20:54:23.486Z I1121 started"), "not_an_event", "CloudWatch" },
		{ VIEW("\xef\xbb\xbf{\"kind\":\"Event\"}"), "not_json", "byte order mark" },
		{ VIEW("\xff\xfe{\0\"\0"), "not_json", "UTF-16" },
		{ VIEW("{\0\"\0k\0"), "not_json", "UTF-16" },
		{ VIEW("  \"verb\": \"get\","), "not_json", "jq -c" },
		{ VIEW("{"), "not_json", "jq -c" },
		{ VIEW("    },"), "not_json", "jq -c" },
		{ VIEW("{\"kind\":\"Pod\"}"), "not_an_event", "not an audit event" },
		{ VIEW("17"), "not_an_event", "not an audit event" },
		{ VIEW("{\"a\":tru}"), "not_json", "at byte 9" },
		{ VIEW("{\"a\":\"}\"}{\"b\":1}"), "not_json", "line of its own" },
		{ VIEW(" {\"a\":1} \r{\"b\""), "not_json", "line of its own" },
		{ VIEW("{\"a\":1}}"), "not_json", "at byte 8" },
		{ VIEW("{\"a\":[{}{}]}"), "not_json", "at byte 9" },
		{ VIEW("[{}{}]"), "not_json", "at byte 4" },
		{ VIEW("{{}}"), "not_json", "at byte 2" },
		{ VIEW("{\"a\":"), "not_json", "truncated JSON, at byte 6" },
	};
	char reason[LINE_REASON_ROOM];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *code = diagnose(rows[i].line, reason);
		if (strcmp(code, rows[i].code) != 0 || !strstr(reason, rows[i].says))
			fail_msg("row %zu: %s, %s", i, code, reason);
	}
}

/* A reason goes into logs and dead letters: never what the line holds. */
static void a_reason_holds_nothing_of_the_line(void **state)
{
	const struct view lines[] = {
		VIEW("{\"token\":\"hunter2\",}"),
		VIEW("hunter2"),
		VIEW("  \"password\": \"hunter2\","),
		VIEW("{\"message\":hunter2}"),
	};
	char reason[LINE_REASON_ROOM];
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		(void)diagnose(lines[i], reason);
		assert_null(strstr(reason, "hunter2"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_people_feed_by_mistake_is_named),
		cmocka_unit_test(a_reason_holds_nothing_of_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
