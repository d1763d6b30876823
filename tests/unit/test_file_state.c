/* The JSON of a file input's checkpoint, and what lanes have of files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/file_state.h"

static struct file_record file(uint64_t id, uint64_t offset, bool done)
{
	return (struct file_record){ .id = id, .path = (char *)"/a", .offset = offset, .done = done };
}

static void what_is_printed_comes_back(void **state)
{
	struct file_record files[] = {
		{ .id = 3, .path = (char *)"/var/log/audit.log", .dev = 1, .ino = UINT64_MAX, .size = 9, .offset = INT64_MAX, .done = true,
			.print = { 0xfedcba9876543210, 1024 }, .packed = true },
		{ .id = 0, .path = (char *)"/\xff\xfe 100%\n\"\\\x01/\xc3\xa9" },
	};
	const struct file_state s = { .next_id = 4, .files = files, .n = 2 };
	struct file_state back;
	struct err err;
	(void)state;
	_free_ char *text = file_state_print(&s);
	assert_int_equal(file_state_parse(&back, text, &err), 0);
	assert_int_equal(back.next_id, 4);
	assert_int_equal(back.n, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct file_record *a = &files[i], *b = &back.files[i];
		assert_string_equal(a->path, b->path);
		assert_true(a->id == b->id && a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->offset == b->offset);
		assert_true(a->done == b->done && a->packed == b->packed);
		assert_true(a->print.hash == b->print.hash && a->print.bytes == b->print.bytes);
	}
	_free_ char *again = file_state_print(&back);
	assert_string_equal(text, again);
	file_state_finish(&back);
}

static void damage_is_refused(void **state)
{
	static const char *const changes[][2] = {
		{ "\"version\":1", "\"version\":2" }, { "\"version\":1", "\"version\":\"1\"" }, { "\"id\":3", "\"id\":4" },
		{ "\"id\":3", "\"id\":-1" }, { "\"offset\":5", "\"offset\":-5" }, { "\"size\":", "\"siz\":" }, { "%FF", "%F" },
		{ "%FF", "%00" }, { "0000000000000007", "000000000000000g" }, { "0000000000000007", "7" },
		{ "\"hash_bytes\":9", "\"hash_bytes\":1025" }, { "[{", "[7,{" }, { "}]", "}" },
	};
	struct file_record f = { .id = 3, .path = (char *)"/\xff", .offset = 5, .print = { 7, 9 } };
	const struct file_state s = { .next_id = 4, .files = &f, .n = 1 };
	struct file_state back;
	struct err err;
	(void)state;
	_free_ char *text = file_state_print(&s);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const char *at = strstr(text, changes[i][0]);
		assert_non_null(at);
		_free_ char *bad = mem_textf("%.*s%s%s", (int)(at - text), text, changes[i][1], at + strlen(changes[i][0]));
		assert_int_equal(file_state_parse(&back, bad, &err), -EBADMSG);
	}
	for (size_t len = 0; len < strlen(text); len++) {
		_free_ char *cut = mem_textf("%.*s", (int)len, text);
		assert_int_equal(file_state_parse(&back, cut, &err), -EBADMSG);
	}
	assert_int_equal(file_state_parse(&back, "[]", &err), -EBADMSG);
}

static void lanes_know_what_they_have(void **state)
{
	struct file_record files[] = { file(2, 100, false), file(5, 7, true) };
	const struct file_state s = { .next_id = 6, .files = files, .n = 2 };
	(void)state;
	assert_int_equal(file_state_of(&s, 2).offset, 100);
	assert_false(file_state_of(&s, 2).done);
	assert_true(file_state_of(&s, 5).done);
	assert_int_equal(file_state_of(&s, 3).offset, UINT64_MAX); /* settled and forgotten */
	assert_int_equal(file_state_of(&s, 6).offset, 0); /* later */
}

static void states_are_joined(void **state)
{
	struct file_record old[] = { file(1, 5, false), file(2, 0, false) }, new[] = { file(2, 9, true), file(4, 3, false) };
	const struct file_state a = { .next_id = 3, .files = old, .n = 2 }, b = { .next_id = 5, .files = new, .n = 2 };
	struct file_state all = { 0 };
	(void)state;
	file_state_join(&all, &b);
	file_state_join(&all, &a);
	assert_int_equal(all.next_id, 5);
	assert_int_equal(all.n, 3);
	assert_int_equal(all.files[0].offset, 9);
	assert_int_equal(all.files[2].id, 1);
	file_state_finish(&all);
}

/* ---- advance ---- */

static char *state_text(uint64_t next_id, struct file_record *files, size_t n)
{
	return file_state_print(&(struct file_state){ .next_id = next_id, .files = files, .n = n });
}

static struct input_mark mark(uint64_t position, enum file_mark kind, uint64_t id, uint64_t offset)
{
	struct file_record f = file(id, offset, kind != FILE_MARK_BEGIN);
	return (struct input_mark){ position, view_of(file_mark_print(kind, &(struct file_state){ .next_id = id + 1, .files = &f, .n = 1 })) };
}

static void free_marks(struct input_mark *marks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)marks[i].text.ptr);
}

static void assert_offset(const char *state, uint64_t id, uint64_t offset, bool done)
{
	struct file_state s;
	struct err err;
	assert_non_null(state);
	assert_int_equal(file_state_parse(&s, state, &err), 0);
	struct lane_offset o = file_state_of(&s, id);
	assert_true(o.offset == offset);
	assert_int_equal(o.done, done);
	file_state_finish(&s);
}

/* File 0 from 100 to 150 (position 1000 on), rotated: then file 1, new, to its end, file 2, new, and 0 once more. */
static void a_state_moves_on_by_marks(void **state)
{
	struct file_record files[] = { file(0, 100, false) };
	struct input_mark marks[] = {
		mark(1000, FILE_MARK_BEGIN, 0, 100),
		mark(1000, FILE_MARK_DONE, 0, 150),
		mark(1050, FILE_MARK_BEGIN, 2, 0),
		mark(1060, FILE_MARK_BEGIN, 1, 5),
		mark(1080, FILE_MARK_BEGIN, 0, 150),
	};
	_free_ char *known = state_text(1, files, 1);
	(void)state;
	_free_ char *in_first = file_state_advance(known, 1000, 1020, marks, 5);
	assert_offset(in_first, 0, 120, false);
	assert_offset(in_first, 1, 5, false); /* known, and not begun */
	assert_offset(in_first, 2, 0, false);
	_free_ char *at_end = file_state_advance(known, 1000, 1050, marks, 5);
	assert_offset(at_end, 0, 150, true);
	assert_offset(at_end, 2, 0, false);
	_free_ char *in_third = file_state_advance(known, 1010, 1070, marks, 5);
	assert_offset(in_third, 0, 150, true);
	assert_offset(in_third, 2, 10, false);
	assert_offset(in_third, 1, 15, false);
	_free_ char *grown = file_state_advance(known, 1000, 1090, marks, 5);
	assert_offset(grown, 0, 160, false);
	assert_offset(grown, 1, 25, false);
	free_marks(marks, 5);
}

static void a_lane_that_was_ahead_stays_ahead(void **state)
{
	struct file_record files[] = { file(0, 180, false) };
	struct input_mark marks[] = { mark(1000, FILE_MARK_BEGIN, 0, 100), mark(1200, FILE_MARK_BEGIN, 1, 0) };
	_free_ char *known = state_text(3, files, 1); /* file 1 was none of this lane's any more */
	(void)state;
	_free_ char *behind = file_state_advance(known, 1000, 1020, marks, 2);
	assert_offset(behind, 0, 180, false);
	_free_ char *beyond = file_state_advance(known, 1000, 1250, marks, 2);
	assert_offset(beyond, 0, 300, false);
	assert_offset(beyond, 1, UINT64_MAX, true);
	free_marks(marks, 2);
}

static void a_file_that_is_gone_is_none_any_more(void **state)
{
	struct file_record files[] = { file(0, 100, false), file(1, 0, false) };
	struct input_mark marks[] = { mark(1000, FILE_MARK_GONE, 0, 100), mark(1001, FILE_MARK_BEGIN, 1, 0) };
	_free_ char *known = state_text(2, files, 2);
	(void)state;
	_free_ char *before = file_state_advance(known, 1000, 1000, marks, 2);
	assert_offset(before, 0, 100, false);
	_free_ char *after = file_state_advance(known, 1000, 1011, marks, 2);
	assert_offset(after, 0, UINT64_MAX, true);
	assert_offset(after, 1, 10, false);
	free_marks(marks, 2);
}

/* Nothing is guessed: a first mark that is behind `from`, one that was too long or is damaged, positions that step back. */
static void what_the_marks_do_not_cover_is_not_told(void **state)
{
	struct file_record files[] = { file(0, 100, false) };
	struct input_mark marks[] = { mark(1000, FILE_MARK_BEGIN, 0, 100), mark(1050, FILE_MARK_BEGIN, 0, 0) };
	struct input_mark changed[2];
	static const char *const damaged[] = { "", "b", "x{}", "b{\"version\":1}", "b{\"version\":1,\"next_id\":1,\"files\":[]}" };
	_free_ char *known = state_text(1, files, 1);
	(void)state;
	assert_null(file_state_advance(known, 999, 1010, marks, 2));
	assert_null(file_state_advance(known, 1010, 1009, marks, 2));
	assert_null(file_state_advance(known, 1000, 1010, marks, 0));
	assert_null(file_state_advance(NULL, 1000, 1010, marks, 2));
	assert_null(file_state_advance("{}", 1000, 1010, marks, 2));
	memcpy(changed, marks, sizeof marks);
	changed[1].text = (struct view){ 0 };
	assert_null(file_state_advance(known, 1000, 1010, changed, 2));
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		changed[1].text = view_of(damaged[i]);
		assert_null(file_state_advance(known, 1000, 1010, changed, 2));
	}
	changed[1] = marks[1];
	changed[1].position = 900;
	assert_null(file_state_advance(known, 1000, 1010, changed, 2));
	free_marks(marks, 2);
}

static void a_first_run_has_its_state_in_a_mark(void **state)
{
	struct input_mark marks[] = {
		{ 0, VIEW("w{\"version\":1,\"next_id\":2,\"files\":[]}") },
		mark(0, FILE_MARK_FILE, 0, 77),
		mark(0, FILE_MARK_FILE, 1, 5),
		mark(0, FILE_MARK_BEGIN, 2, 0),
	};
	(void)state;
	_free_ char *advanced = file_state_advance(NULL, 0, 30, marks, 4);
	assert_offset(advanced, 0, 77, true);
	assert_offset(advanced, 1, 5, true);
	assert_offset(advanced, 2, 30, false);
	assert_null(file_state_advance(NULL, 0, 30, marks + 1, 3)); /* the ring went round: nobody knows what is missing */
	free_marks(marks + 1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_comes_back),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(lanes_know_what_they_have),
		cmocka_unit_test(states_are_joined),
		cmocka_unit_test(a_state_moves_on_by_marks),
		cmocka_unit_test(a_lane_that_was_ahead_stays_ahead),
		cmocka_unit_test(a_file_that_is_gone_is_none_any_more),
		cmocka_unit_test(what_the_marks_do_not_cover_is_not_told),
		cmocka_unit_test(a_first_run_has_its_state_in_a_mark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
