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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_comes_back),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(lanes_know_what_they_have),
		cmocka_unit_test(states_are_joined),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
