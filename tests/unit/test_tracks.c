/* Which listed files are which known ones, and what a checkpoint says of them at each position. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/tracks.h"
#include "tests/unit/folder.h"

static const struct tracks_news quiet;

/* A file of that name whose content is one long line of `c`. */
static char *write_file(const char *name, char c)
{
	char *path = mem_textf("%s/%s", folder, name);
	_free_ char *bytes = mem_alloc(2000);
	assert_int_equal(io_make_parents(path, 0700), 0);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	memset(bytes, c, 1999);
	bytes[1999] = '\n';
	assert_int_equal(io_write(fd, bytes, 2000), 0);
	return path;
}

static struct fingerprint print_of(const char *path)
{
	struct head head;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(head_read(&head, fd, path), 0);
	return fingerprint_of(&head);
}

/* A state of one file, 1000 bytes of which are settled. */
static char *state_of(const char *path, uint64_t dev, uint64_t ino, struct fingerprint print)
{
	struct file_record f = { .id = 0, .path = (char *)path, .dev = dev, .ino = ino, .size = 2000, .print = print, .offset = 1000 };
	return file_state_print(&(struct file_state){ .next_id = 1, .files = &f, .n = 1 });
}

/* Looks at what fits the name. Returns how many tracks are there then. */
static size_t look_again(struct tracks *ts, const char *name)
{
	_free_ char *pattern = mem_textf("%s/%s", folder, name);
	struct listing l = { 0 };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(listing_take(&l, pattern, NULL, 0), 0);
		if (tracks_match(ts, &l, &quiet))
			break;
	}
	listing_finish(&l);
	tracks_sort(ts);
	return ts->n;
}

/* The same; the tracks are those of the state. */
static size_t look(struct tracks *ts, const char *state, const char *name)
{
	struct err err;
	assert_int_equal(tracks_init(ts, 0, state, NULL, 0, &err), 0);
	return look_again(ts, name);
}

static void a_known_file_is_read_on(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("known/audit.log", 'a');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *same = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(look(&ts, same, "known/audit.log"), 1);
	assert_true(ts.list[0]->present && ts.list[0]->read == 1000);
	tracks_finish(&ts);
	/* After a restart of the machine, or a copy of the folder, the numbers are others. */
	_free_ char *moved = state_of(path, st.dev + 1, st.ino + 1, print_of(path));
	assert_int_equal(look(&ts, moved, "known/audit.log"), 1);
	assert_true(ts.list[0]->present && ts.list[0]->read == 1000 && ts.list[0]->file.ino == st.ino);
	tracks_finish(&ts);
}

static void an_inode_that_comes_again_is_another_file(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("reuse/audit.log", 'b'), *other = write_file("elsewhere", 'x');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(other));
	assert_int_equal(look(&ts, state, "reuse/audit.log"), 2);
	assert_false(ts.list[0]->present);
	assert_false(ts.list[0]->cut);
	assert_int_equal(ts.list[0]->read, 1000);
	assert_true(ts.list[1]->present && ts.list[1]->read == 0 && ts.list[1]->file.id == 1);
	tracks_finish(&ts);
}

static void a_renamed_file_stays_itself_and_comes_first(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("renamed/audit.log", 'c');
	_free_ char *to = mem_textf("%s/renamed/audit-2026-01-02T03-04-05.678.log", folder);
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(rename(path, to), 0);
	free(write_file("renamed/audit.log", 'd'));
	free(write_file("renamed/audit-2026-01-01T03-04-05.678.log", 'e'));
	assert_int_equal(look(&ts, state, "renamed/audit.log"), 3);
	assert_string_equal(ts.list[1]->file.path, to);
	assert_int_equal(ts.list[1]->read, 1000);
	assert_true(!ts.list[0]->newest && !ts.list[1]->newest && ts.list[2]->newest);
	tracks_finish(&ts);
}

static void a_copy_is_left_alone_while_the_first_is_there(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("copy/audit.log", 'f'), *copy = write_file("copy/audit.log.1", 'f');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(look(&ts, state, "copy/audit.log"), 1);
	assert_string_equal(ts.list[0]->file.path, path);
	tracks_finish(&ts);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(look(&ts, state, "copy/audit.log"), 1);
	assert_string_equal(ts.list[0]->file.path, copy);
	assert_int_equal(ts.list[0]->read, 1000);
	tracks_finish(&ts);
}

static size_t count_readable(const struct tracks *ts)
{
	size_t n = 0;
	for (size_t i = 0; i < ts->n; i++)
		n += ts->list[i]->present && !ts->list[i]->file.done;
	return n;
}

/* Seen when it was made and before it was filled, and its first bytes by its reader too. */
static void a_copy_is_left_alone_that_was_empty_when_it_was_listed(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	struct head head;
	(void)unused;
	_free_ char *path = write_file("filled/audit.log", 'g'), *copy = mem_textf("%s/filled/audit.log.1", folder);
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	_close_ int fd = open(copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(look(&ts, state, "filled/audit.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	assert_string_equal(ts.list[0]->file.path, copy);
	free(write_file("filled/audit.log.1", 'g'));
	assert_int_equal(head_read(&head, fd, copy), 0);
	tracks_print(&ts, ts.list[0], &head);
	(void)look_again(&ts, "filled/audit.log");
	assert_int_equal(count_readable(&ts), 1);
	/* The first is cut: what is left of it to read is in the copy. */
	free(write_file("filled/audit.log", 'h'));
	(void)look_again(&ts, "filled/audit.log");
	assert_int_equal(count_readable(&ts), 2);
	for (size_t i = 0; i < ts.n; i++)
		if (ts.list[i]->present)
			assert_int_equal(ts.list[i]->read, strcmp(ts.list[i]->file.path, copy) == 0 ? 1000 : 0);
	tracks_finish(&ts);
}

/* Two logs that were empty when they were listed, and have other bytes in them now, are two. */
static void a_file_that_was_empty_is_its_own(void **unused)
{
	struct tracks ts;
	(void)unused;
	free(write_file("two/audit.log", 'i'));
	free(write_file("two/audit.log.1", 'j'));
	_free_ char *path = mem_textf("%s/two/audit.log", folder), *older = mem_textf("%s/two/audit.log.1", folder);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(older, 0), 0);
	assert_int_equal(look(&ts, NULL, "two/audit.log"), 2);
	assert_false(ts.list[0]->compared || ts.list[1]->compared);
	free(write_file("two/audit.log", 'i'));
	free(write_file("two/audit.log.1", 'j'));
	assert_int_equal(look_again(&ts, "two/audit.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	assert_true(ts.list[0]->compared && ts.list[1]->compared);
	tracks_finish(&ts);
}

/* Both filled with the same before the next look: one of them is read. */
static void of_two_that_were_empty_and_are_the_same_one_is_left(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("both/audit.log", 'k'), *copy = write_file("both/audit.log.1", 'k');
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(copy, 0), 0);
	assert_int_equal(look(&ts, NULL, "both/audit.log"), 2);
	free(write_file("both/audit.log", 'k'));
	free(write_file("both/audit.log.1", 'k'));
	for (size_t i = 0; i < 2; i++) {
		struct head head;
		_close_ int fd = open(ts.list[i]->file.path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(head_read(&head, fd, ts.list[i]->file.path), 0);
		tracks_print(&ts, ts.list[i], &head);
	}
	(void)look_again(&ts, "both/audit.log");
	assert_int_equal(count_readable(&ts), 1);
	tracks_finish(&ts);
}

static uint64_t offset_in(struct tracks *ts, uint64_t position, int lane)
{
	struct file_state s;
	struct err err;
	_free_ char *text = tracks_state(ts, position, lane);
	assert_int_equal(file_state_parse(&s, text, &err), 0);
	uint64_t offset = s.n ? s.files[0].offset : UINT64_MAX;
	file_state_finish(&s);
	return offset;
}

static void a_lane_keeps_what_it_has(void **unused)
{
	struct tracks ts;
	struct err err;
	(void)unused;
	struct file_record f = { .path = (char *)"/a", .offset = 1000 }, g = { .path = (char *)"/a", .offset = 1500 };
	_free_ char *state = file_state_print(&(struct file_state){ .next_id = 1, .files = &f, .n = 1 });
	_free_ char *ahead = file_state_print(&(struct file_state){ .next_id = 1, .files = &g, .n = 1 });
	const char *lanes[] = { NULL, ahead };
	assert_int_equal(tracks_init(&ts, 77, state, lanes, 2, &err), 0);
	assert_int_equal(ts.list[0]->read, 1000);
	assert_int_equal(ts.list[0]->lane_skip[0], 1000);
	assert_int_equal(ts.list[0]->lane_skip[1], 1500);
	/* Before anything was read, while it is, and when it has come past the lane that was ahead. */
	assert_int_equal(offset_in(&ts, 77, -1), 1000);
	assert_int_equal(offset_in(&ts, 77, 1), 1500);
	tracks_begin(&ts, ts.list[0], 77);
	assert_int_equal(offset_in(&ts, 177, 0), 1100);
	assert_int_equal(offset_in(&ts, 177, 1), 1500);
	assert_int_equal(offset_in(&ts, 777, 1), 1700);
	tracks_settled(&ts, 177);
	assert_int_equal(offset_in(&ts, 177, -1), 1100);
	assert_int_equal(offset_in(&ts, 777, -1), 1700);
	tracks_read(&ts, ts.list[0], 1700, false);
	tracks_gone(&ts, ts.list[0], 777);
	assert_int_equal(offset_in(&ts, 777, -1), 1700);
	assert_int_equal(offset_in(&ts, 778, -1), UINT64_MAX); /* told */
	tracks_settled(&ts, 778);
	tracks_forget(&ts, 0);
	assert_int_equal(ts.n, 0);
	tracks_finish(&ts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_file_is_read_on),
		cmocka_unit_test(an_inode_that_comes_again_is_another_file),
		cmocka_unit_test(a_renamed_file_stays_itself_and_comes_first),
		cmocka_unit_test(a_copy_is_left_alone_while_the_first_is_there),
		cmocka_unit_test(a_copy_is_left_alone_that_was_empty_when_it_was_listed),
		cmocka_unit_test(a_file_that_was_empty_is_its_own),
		cmocka_unit_test(of_two_that_were_empty_and_are_the_same_one_is_left),
		cmocka_unit_test(a_lane_keeps_what_it_has),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
