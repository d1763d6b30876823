#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/lane/batch.h"
#include "router/output/file_path.h"

static void expect(const char *template, const struct file_path_values *values, const char *path)
{
	cleanup(buf_finish) struct buf out = { 0 };
	struct err err;
	assert_int_equal(file_path_check(template, &err), 0);
	file_path_add(&out, template, values);
	assert_string_equal(buf_text(&out), path);
}

static void placeholders_are_filled_in(void **state)
{
	struct file_path_values v = { ADMIN_READ, "prod-eu1", "api", 0 };
	(void)state;
	assert_true(clock_parse(VIEW("2026-11-21T23:30:00.5+01:00"), &v.received_us));
	expect("/a/{class}/{date}.ndjson", &v, "/a/admin_read/2026-11-21.ndjson");
	expect("{date}T{hour}", &v, "2026-11-21T22");
	expect("/{cluster}/{input}-{class}{class}", &v, "/prod-eu1/api-admin_readadmin_read");
	expect("/plain", &v, "/plain");
	v.received_us = -1;
	expect("{date}-{hour}", &v, "1969-12-31-23");
	v.received_us = BATCH_NO_TIME;
	expect("{date}/{hour}", &v, "unknown/unknown");
}

static void names_cannot_leave_their_folder(void **state)
{
	static const struct {
		const char *name, *path;
	} cases[] = {
		{ "../../etc/passwd", "/a/_._.._etc_passwd/x" },
		{ "..", "/a/_./x" },
		{ ".", "/a/_/x" },
		{ "", "/a/unknown/x" },
		{ NULL, "/a/unknown/x" },
		{ "a/b c\n{class}", "/a/a_b_c__class_/x" },
		{ "arn:aws:eks", "/a/arn_aws_eks/x" },
		{ "caf\xc3\xa9.eu", "/a/caf\xc3\xa9.eu/x" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct file_path_values v = { ADMIN_READ, cases[i].name, cases[i].name, 0 };
		expect("/a/{cluster}/x", &v, cases[i].path);
		expect("/a/{input}/x", &v, cases[i].path);
	}
	struct file_path_values dots = { ADMIN_READ, ".", ".", 0 };
	expect("/a/{cluster}{input}/x", &dots, "/a/__/x");
}

/* As cloud providers give them, and as somebody might who wants to stop a lane: the path can be opened, and is one name's. */
static void long_names_become_short_ones(void **state)
{
	char text[256], near[256];
	struct file_path_values v = { .cluster = text };
	struct file_path_values n = { .cluster = near };
	(void)state;
	for (size_t len = 1; len < sizeof text; len++) {
		cleanup(buf_finish) struct buf one = { 0 }, other = { 0 };
		memset(text, 'x', len);
		text[len] = 0;
		memcpy(near, text, sizeof near);
		near[len - 1] = 'y';
		file_path_add(&one, "{cluster}", &v);
		file_path_add(&other, "{cluster}", &n);
		assert_int_equal(one.len, len < FILE_PATH_NAME_MAX ? len : FILE_PATH_NAME_MAX);
		assert_string_not_equal(buf_text(&one), buf_text(&other));
	}
	text[0] = 'a';
	for (size_t i = 1; i < 251; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[251] = 0;
	cleanup(buf_finish) struct buf out = { 0 };
	file_path_add(&out, "{cluster}", &v);
	const char *dash = strchr(buf_text(&out), '-');
	assert_true(dash && (dash - out.ptr) % 2 == 1); /* no half of a character */
}

static void mistakes_are_told(void **state)
{
	static const struct {
		const char *template, *sentence;
	} cases[] = {
		{ "/a/{clas}", "unknown placeholder {clas}, did you mean {class}?" },
		{ "/a/{Date}", "unknown placeholder {Date}, did you mean {date}?" },
		{ "/a/{something}", "unknown placeholder {something}; known are" },
		{ "/a/{}", "unknown placeholder {}" },
		{ "/a/{class", "\"{\" without" },
		{ "/a/{class/b}", "\"{\" without" },
		{ "/a/class}", "\"}\" without" },
		{ "/a/{{class}}", "unknown placeholder {{class}, did you mean {class}?" },
		{ "/a/{class}/", "a file's name must follow" },
		{ "", "a file's name must follow" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		assert_int_equal(file_path_check(cases[i].template, &err), -EINVAL);
		if (!strstr(err.text, cases[i].sentence))
			fail_msg("%s: %s", cases[i].template, err.text);
	}
}

/* A pattern takes the path of any time, and of nothing else. */
static void patterns_take_any_time(void **state)
{
	static const char template[] = "{class}*[a]/{cluster}?\\-{input}/{date}T{hour}";
	static const struct file_path_values v = { ADMIN_READ, "a/*", "[b]", 0 };
	cleanup(buf_finish) struct buf pattern = { 0 };
	(void)state;
	file_path_add_pattern(&pattern, template, &v);
	assert_string_equal(buf_text(&pattern), "admin_read\\*\\[a]/a__\\?\\\\-_b_/"
		"{[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9],unknown}T{[0-9][0-9],unknown}");
}

/* Two times are in one span exactly when they lead to one path. */
static void spans_agree_with_paths(void **state)
{
	static const char *const templates[] = { "{class}", "{date}", "{hour}{date}", "{date}/{hour}" };
	unsigned seed = (unsigned)time(NULL);
	(void)state;
	print_message("# seed %u\n", seed);
	for (int i = 0; i < 4000; i++) {
		const char *template = templates[i % 4];
		int64_t a = (int64_t)(rand_r(&seed) % 2000000000 - 1000000000) * 1000000 + rand_r(&seed) % 1000000, first, last;
		int64_t b = a + ((int64_t)(rand_r(&seed) % 4000) - 2000) * 60000000;
		if (i % 50 == 0)
			b = BATCH_NO_TIME;
		if (i % 100 == 0)
			a = BATCH_NO_TIME;
		cleanup(buf_finish) struct buf of_a = { 0 }, of_b = { 0 };
		file_path_add(&of_a, template, &(struct file_path_values){ ADMIN_READ, "", "", a });
		file_path_add(&of_b, template, &(struct file_path_values){ ADMIN_READ, "", "", b });
		file_path_span(template, a, &first, &last);
		assert_true(first <= a && a <= last);
		assert_int_equal(b >= first && b <= last, view_eq(buf_view(&of_a), buf_view(&of_b)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placeholders_are_filled_in),
		cmocka_unit_test(names_cannot_leave_their_folder),
		cmocka_unit_test(long_names_become_short_ones),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(patterns_take_any_time),
		cmocka_unit_test(spans_agree_with_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
