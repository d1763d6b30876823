/* Which files of a log stay open, and how much of one a first start passes over. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/follow_private.h"
#include "tests/unit/cm.h"
#include "tests/unit/folder.h"

enum { BYTES = 10, BLOCK = 64 * 1024 };

static void append(const char *path, size_t bytes)
{
	_free_ char *text = mem_alloc(bytes);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	memset(text, 'x', bytes);
	assert_int_equal(io_write(fd, text, bytes), 0);
}

/* It was written to so many seconds ago. */
static void age(int fd, time_t seconds)
{
	const struct timespec at[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - seconds } };
	assert_int_equal(futimens(fd, at), 0);
}

/* Looks at what fits the pattern. */
static void look(struct follow *f, const char *name)
{
	const struct tracks_news quiet = { 0 };
	_free_ char *pattern = mem_textf("%s/%s", folder, name);
	struct listing l = { 0 };
	assert_int_equal(listing_take(&l, pattern, NULL, 0), 0);
	assert_true(tracks_match(&f->tracks, &l, &quiet));
	listing_finish(&l);
	tracks_sort(&f->tracks);
}

static void make(struct follow *f, const char *sub, int n)
{
	struct err err;
	_free_ char *pattern = mem_textf("%s/*.log", sub), *parent = mem_textf("%s/%s/", folder, sub);
	assert_int_equal(io_make_parents(parent, 0700), 0);
	memset(f, 0, sizeof *f);
	follow_hold_begin();
	assert_int_equal(tracks_init(&f->tracks, 0, NULL, NULL, 0, &err), 0);
	for (int i = 0; i < n; i++) {
		_free_ char *path = mem_textf("%s/%s/%02d.log", folder, sub, i);
		append(path, BYTES);
	}
	look(f, pattern);
	assert_int_equal(f->tracks.n, n);
}

static void finish(struct follow *f)
{
	tracks_finish(&f->tracks);
	follow_hold_end();
}

static void a_file_is_open_until_it_is_done_and_when_it_grows(void **unused)
{
	struct follow f;
	(void)unused;
	make(&f, "done", 1);
	struct track *t = f.tracks.list[0];
	follow_hold(&f);
	assert_true(t->fd >= 0 && f.n_open == 1);
	tracks_read(&f.tracks, t, BYTES, false);
	tracks_done(&f.tracks, t, true);
	follow_hold(&f);
	assert_true(t->fd < 0 && f.n_open == 0 && t->file.done);
	append(t->file.path, 1);
	look(&f, "done/*.log");
	follow_hold(&f);
	assert_true(t->fd >= 0 && !t->file.done);
	finish(&f);
}

static void a_file_without_a_name_is_held_while_its_writer_may_go_on(void **unused)
{
	struct follow f;
	(void)unused;
	make(&f, "nameless", 1);
	struct track *t = f.tracks.list[0];
	_free_ char *away = mem_textf("%s/away", folder);
	follow_hold(&f);
	_close_ int writer = open(t->file.path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(rename(t->file.path, away), 0);
	look(&f, "nameless/*.log");
	assert_false(t->present);
	tracks_read(&f.tracks, t, BYTES, false);
	tracks_done(&f.tracks, t, true);
	follow_hold(&f);
	assert_true(t->fd >= 0 && t->file.done);
	assert_int_equal(io_write(writer, "more\n", 5), 0);
	follow_hold(&f);
	assert_true(t->fd >= 0 && !t->file.done && t->file.size == BYTES + 5);
	tracks_read(&f.tracks, t, BYTES + 5, false);
	tracks_done(&f.tracks, t, true);
	age(writer, 30);
	follow_hold(&f);
	assert_true(t->fd >= 0);
	age(writer, 70);
	follow_hold(&f);
	assert_true(t->fd < 0 && t->file.done);
	finish(&f);
}

/* What is not read to its end, then what was written to last; what has no name is never closed. */
static void few_descriptors_go_to_those_that_need_them(void **unused)
{
	enum { LIMIT = 64, MAY = 16, FILES = 24, UNREAD = 8 };
	struct follow f;
	struct rlimit limit;
	(void)unused;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	make(&f, "few", FILES);
	follow_hold(&f);
	assert_int_equal(f.n_open, FILES);
	for (int i = 0; i < FILES; i++) {
		if (i >= UNREAD)
			tracks_read(&f.tracks, f.tracks.list[i], BYTES, false);
		age(f.tracks.list[i]->fd, 1000 - i);
	}
	assert_int_equal(unlink(f.tracks.list[UNREAD]->file.path), 0);
	look(&f, "few/*.log");
	const struct rlimit few = { LIMIT, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	follow_hold(&f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(f.most_open, MAY);
	assert_int_equal(f.n_open, MAY);
	for (size_t i = 0; i < f.tracks.n; i++) {
		const struct track *t = f.tracks.list[i];
		assert_int_equal(t->fd >= 0, i <= UNREAD || i >= FILES - (MAY - UNREAD - 1));
	}
	finish(&f);
}

static void inputs_share_the_descriptors(void **unused)
{
	struct follow f;
	struct rlimit limit;
	(void)unused;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const struct rlimit some = { 400, limit.rlim_max };
	make(&f, "share", 1);
	follow_hold_begin();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &some), 0);
	follow_hold(&f);
	assert_int_equal(f.most_open, 50);
	follow_hold_end();
	follow_hold(&f);
	assert_int_equal(f.most_open, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	finish(&f);
}

static void only_the_same_file_is_opened(void **unused)
{
	struct follow f;
	(void)unused;
	make(&f, "same", 1);
	struct track *t = f.tracks.list[0];
	_free_ char *other = mem_textf("%s/same/other", folder);
	append(other, BYTES);
	assert_int_equal(rename(other, t->file.path), 0);
	assert_int_equal(follow_open(t), -ENOENT);
	assert_int_equal(t->fd, -1);
	finish(&f);
}

static void recent_is_what_our_clock_says(void **unused)
{
	const int64_t now_ns = (int64_t)time(NULL) * 1000000000;
	(void)unused;
	assert_true(follow_is_recent(&(struct file_stat){ .modified_ns = now_ns - 5000000000 }, 10000));
	assert_false(follow_is_recent(&(struct file_stat){ .modified_ns = now_ns - 15000000000 }, 10000));
	assert_false(follow_is_recent(&(struct file_stat){ .modified_ns = now_ns + 15000000000 }, 10000));
}

static void what_is_passed_over_ends_with_a_line(void **unused)
{
	static const struct {
		size_t before, after; /* bytes around the newline; before SIZE_MAX: there is none */
	} cases[] = { { 0, 0 }, { 0, 3 }, { 3, 0 }, { 5, BLOCK - 1 }, { 5, BLOCK }, { 5, BLOCK + 1 }, { 5, 3 * BLOCK }, { BLOCK - 1, 0 },
		{ BLOCK, BLOCK }, { SIZE_MAX, 5 }, { SIZE_MAX, 2 * BLOCK } };
	(void)unused;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const bool has = cases[i].before != SIZE_MAX;
		_free_ char *path = mem_textf("%s/lines%zu", folder, i);
		if (has) {
			append(path, cases[i].before + 1);
			_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
			assert_int_equal(pwrite(fd, "\n", 1, (off_t)cases[i].before), 1);
		}
		append(path, cases[i].after);
		const uint64_t size = (has ? cases[i].before + 1 : 0) + cases[i].after;
		assert_int_equal(follow_last_newline(path, size), has ? cases[i].before + 1 : 0);
		append(path, 1);
		_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		assert_int_equal(io_write(fd, "\n", 1), 0); /* came after the look */
		assert_int_equal(follow_last_newline(path, size), has ? cases[i].before + 1 : 0);
	}
	assert_int_equal(follow_last_newline("/nonexistent", 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_open_until_it_is_done_and_when_it_grows),
		cmocka_unit_test(a_file_without_a_name_is_held_while_its_writer_may_go_on),
		cmocka_unit_test(few_descriptors_go_to_those_that_need_them),
		cmocka_unit_test(inputs_share_the_descriptors),
		cmocka_unit_test(only_the_same_file_is_opened),
		cmocka_unit_test(recent_is_what_our_clock_says),
		cmocka_unit_test(what_is_passed_over_ends_with_a_line),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
