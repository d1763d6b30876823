#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/audit_class.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/err.h"
#include "router/base/file_mark.h"
#include "router/base/io.h"
#include "router/base/units.h"
#include "tests/unit/syncs.h"

static void sizes_need_units(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes;
	} cases[] = {
		{ "0", true, 0 },
		{ "64MiB", true, 64ull << 20 },
		{ "1kB", true, 1000 },
		{ "7B", true, 7 },
		{ "8388608TiB", true, 1ull << 63 },
		{ "64", false, 0 },
		{ "64 MiB", false, 0 },
		{ "64mib", false, 0 },
		{ "-1B", false, 0 },
		{ "", false, 0 },
		{ "1MiB2B", false, 0 },
		{ "99999999999999999999B", false, 0 },
		{ "16777216TiB", false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t bytes = 1;
		assert_int_equal(units_parse_size(view_of(cases[i].text), &bytes), cases[i].good);
		assert_true(!cases[i].good || bytes == cases[i].bytes);
	}
}

static void durations_join(void **state)
{
	int64_t ms;
	char text[UNITS_TEXT_ROOM];
	(void)state;
	assert_true(units_parse_duration(VIEW("1h30m"), &ms) && ms == 5400000);
	assert_true(units_parse_duration(VIEW("400d"), &ms) && ms == 34560000000);
	assert_true(units_parse_duration(VIEW("0"), &ms) && ms == 0);
	assert_false(units_parse_duration(VIEW("5"), &ms));
	assert_false(units_parse_duration(VIEW("5s "), &ms));
	assert_false(units_parse_duration(VIEW("s"), &ms));
	assert_string_equal(units_human_size(26515568, text), "26.5 MB");
	assert_string_equal(units_human_size(999, text), "999 B");
}

static void times_of_every_form_are_read(void **state)
{
	int64_t us;
	char text[CLOCK_TEXT_ROOM];
	(void)state;
	assert_true(clock_parse(VIEW("2026-11-21T21:01:59.952957Z"), &us));
	assert_true(us == 1795294919952957);
	assert_string_equal(clock_print(us, text), "2026-11-21T21:01:59.952957Z");
	assert_true(clock_parse(VIEW("2026-11-21T22:01:59.952957123+01:00"), &us) && us == 1795294919952957);
	assert_true(clock_parse(VIEW("1970-01-01T00:00:00Z"), &us) && us == 0);
	assert_true(clock_parse(VIEW("1969-12-31T23:59:59.5Z"), &us) && us == -500000);
	assert_string_equal(clock_print(us, text), "1969-12-31T23:59:59.500000Z");
	assert_true(clock_parse(VIEW("2000-02-29T12:00:00Z"), &us));
	assert_string_equal(clock_print(us, text), "2000-02-29T12:00:00.000000Z");
	assert_false(clock_parse(VIEW("2026-11-21"), &us));
	assert_false(clock_parse(VIEW("2026-13-21T21:01:59Z"), &us));
	assert_false(clock_parse(VIEW("2026-11-21T21:01:59.Z"), &us));
	assert_false(clock_parse(VIEW("2026-11-21T21:01:59Zx"), &us));
}

/* The form of the apiserver has a way of its own; with a small z it goes the general one. Any byte of it may be wrong. */
static void the_usual_form_is_read_as_any_other(void **state)
{
	static const char usual[] = "2026-11-21T21:01:59.952957Z", bytes[] = "0123456789-:.TtZz+ /";
	(void)state;
	for (size_t i = 0; i + 1 < sizeof usual - 1; i++) {
		for (size_t j = 0; j < sizeof bytes; j++) { /* the NUL too */
			char text[sizeof usual];
			int64_t special = -1, general = -1;
			memcpy(text, usual, sizeof usual);
			text[i] = bytes[j];
			bool good = clock_parse((struct view){ text, sizeof usual - 1 }, &special);
			text[sizeof usual - 2] = 'z';
			assert_int_equal(clock_parse((struct view){ text, sizeof usual - 1 }, &general), good);
			assert_true(special == general);
		}
	}
}

static void the_nearest_name_is_near(void **state)
{
	static const char *const names[] = { "inputs", "outputs", "classifier", "state_dir", NULL };
	(void)state;
	assert_string_equal(nearest_name("ouputs", names), "outputs");
	assert_string_equal(nearest_name("statedir", names), "state_dir");
	assert_string_equal(nearest_name("iputns", names), "inputs");
	assert_string_equal(nearest_name("classifeir", names), "classifier");
	assert_null(nearest_name("password", names));
	assert_null(nearest_name("x", names));
}

static void problems_keep_counting_past_their_limit(void **state)
{
	struct problems p = { 0 };
	(void)state;
	for (int i = 0; i < PROBLEMS_MAX + 5; i++)
		problem_at(&p, PROBLEM_ERROR, "f", 1, 1, "number %d", i);
	assert_int_equal(p.n, PROBLEMS_MAX);
	assert_int_equal(p.errors, PROBLEMS_MAX + 5);
	problems_finish(&p);
}

static void replace_leaves_old_or_new(void **state)
{
	char folder[] = "/tmp/audit-router-io-XXXXXX";
	struct buf content = { 0 };
	(void)state;
	assert_non_null(mkdtemp(folder));
	char *path = mem_textf("%s/a/b/file", folder);
	assert_int_equal(io_make_parents(path, 0700), 0);
	assert_int_equal(io_replace(path, VIEW("one"), 0600), 0);
	assert_int_equal(io_replace(path, VIEW("two"), 0600), 0);
	assert_int_equal(io_read_whole(path, 10, &content), 0);
	assert_true(view_eq(buf_view(&content), VIEW("two")));
	buf_clear(&content);
	assert_int_equal(io_read_whole(path, 2, &content), -EFBIG);
	assert_int_equal(io_replace("/nonexistent/x", VIEW("one"), 0600), -ENOENT);
	char *command = mem_textf("rm -r %s", folder);
	assert_int_equal(system(command), 0);
	free(command);
	free(path);
	buf_finish(&content);
}

static bool is_told_once(struct file_mark *mark, const char *path)
{
	return file_mark_look(mark, path) && !file_mark_look(mark, path);
}

static void a_mark_sees_whatever_happens_to_a_file(void **state)
{
	(void)state;
	char folder[] = "/tmp/test_base.XXXXXX";
	const struct timespec old[2] = { { 1, 0 }, { 1, 0 } };
	struct file_mark mark = { 0 };
	assert_non_null(mkdtemp(folder));
	_free_ char *path = mem_textf("%s/token", folder);
	_free_ char *other = mem_textf("%s/other", folder);
	assert_false(file_mark_look(&mark, path));
	assert_false(file_mark_look(&mark, NULL));
	assert_int_equal(io_replace(path, VIEW("one"), 0600), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_true(is_told_once(&mark, path));
	/* another file of the same length and time */
	assert_int_equal(io_replace(other, VIEW("two"), 0600), 0);
	assert_int_equal(utimensat(AT_FDCWD, other, old, 0), 0);
	assert_int_equal(rename(other, path), 0);
	assert_true(is_told_once(&mark, path));
	assert_int_equal(truncate(path, 2), 0);
	assert_true(is_told_once(&mark, path));
	assert_int_equal(unlink(path), 0);
	assert_true(is_told_once(&mark, path));
	/* a FIFO has times of its own, which say nothing */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(is_told_once(&mark, path));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_false(file_mark_look(&mark, path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* Nobody may take for kept what is not: neither the bytes before they get the name, nor the name. */
static void replace_says_what_is_not_durable(void **state)
{
	char folder[] = "/tmp/audit-router-io-XXXXXX";
	cleanup(buf_finish) struct buf content = { 0 };
	(void)state;
	assert_non_null(mkdtemp(folder));
	_free_ char *path = mem_textf("%s/file", folder), *temporary = mem_textf("%s.new", path);
	assert_int_equal(io_replace(path, VIEW("one"), 0600), 0);
	syncs = SYNCS_FAIL_FILES;
	assert_int_equal(io_replace(path, VIEW("two"), 0600), -EIO);
	assert_int_equal(io_read_whole(path, 10, &content), 0);
	assert_true(view_eq(buf_view(&content), VIEW("one")));
	assert_int_equal(access(temporary, F_OK), -1);
	syncs = SYNCS_FAIL_FOLDERS;
	assert_int_equal(io_replace(path, VIEW("two"), 0600), -EIO);
	syncs = SYNCS_GOOD;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void class_names_are_exact(void **state)
{
	enum audit_class c;
	(void)state;
	assert_true(audit_class_parse(VIEW("DATA_WRITE"), &c) && c == DATA_WRITE);
	assert_false(audit_class_parse(VIEW("data_write"), &c));
	assert_string_equal(audit_class_lower(ADMIN_ACTIVITY), "admin_activity");
}

static void as_many_files_as_there_may_be(void **state)
{
	struct rlimit before, limit;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){ 64, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	io_want_files(100);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 164);
	io_want_files((uint64_t)1 << 40);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_max == RLIM_INFINITY || limit.rlim_cur == limit.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_need_units),
		cmocka_unit_test(durations_join),
		cmocka_unit_test(times_of_every_form_are_read),
		cmocka_unit_test(the_usual_form_is_read_as_any_other),
		cmocka_unit_test(the_nearest_name_is_near),
		cmocka_unit_test(problems_keep_counting_past_their_limit),
		cmocka_unit_test(replace_leaves_old_or_new),
		cmocka_unit_test(a_mark_sees_whatever_happens_to_a_file),
		cmocka_unit_test(replace_says_what_is_not_durable),
		cmocka_unit_test(class_names_are_exact),
		cmocka_unit_test(as_many_files_as_there_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
