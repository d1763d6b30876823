/* The file and stdin inputs against a feed that only writes down what it is given. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/input.h"
#include "router/lane/chunk.h"
#include "tests/unit/folder.h"

struct feed {
	struct buf text;    /* all lines; "<N>" stands for a line that was too long, of N bytes */
	struct buf origins; /* FILE:LINE of each chunk, a line each */
	struct buf troubles;
	uint64_t end;
	int stop_after;     /* -ESHUTDOWN from that chunk on; 0: never */
	_Atomic int chunks;
	struct chunk *ahead; /* NULL: none is */
	uint64_t ahead_end;
	struct feed_origin ahead_origin, *live_origin;
	bool stopped;
};

int64_t feed_chunk(struct feed *f, struct chunk *chunk, struct view bytes, uint64_t end,
	const struct feed_origin *origin)
{
	int64_t n = 0;
	assert_true(bytes.ptr >= chunk->bytes && bytes.ptr + bytes.len <= chunk->bytes + chunk->len);
	assert_true(end > f->end);
	if (++f->chunks == f->stop_after)
		return -ESHUTDOWN;
	f->end = end;
	buf_add_view(&f->text, bytes);
	buf_addf(&f->origins, "%s:%llu\n", strrchr(origin->file, '/') ? strrchr(origin->file, '/') + 1 : origin->file,
		(unsigned long long)origin->first_line);
	for (size_t i = 0; i < bytes.len; i++)
		n += bytes.ptr[i] == '\n' || i + 1 == bytes.len;
	return n;
}

/* What is ahead is one chunk, which the next one or a wait routes: the input may rely on no more. */
int feed_ahead(struct feed *f, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	int r = feed_catch_up(f);
	f->ahead = chunk_hold(chunk);
	f->ahead_end = end;
	f->ahead_origin = *origin;
	f->live_origin = origin;
	return r;
}

int feed_now(struct feed *f, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	int r = feed_ahead(f, chunk, end, origin);
	return r < 0 ? r : feed_catch_up(f);
}

int feed_catch_up(struct feed *f)
{
	struct chunk *c = f->ahead;
	f->ahead = NULL;
	if (!c)
		return f->stopped ? -ESHUTDOWN : 0;
	f->ahead_origin.first_line = f->live_origin->first_line;
	int64_t n = feed_chunk(f, c, (struct view){ c->bytes, c->len }, f->ahead_end, &f->ahead_origin);
	chunk_release(c);
	f->stopped = n < 0;
	f->live_origin->first_line += n < 0 ? 0 : (uint64_t)n;
	return n < 0 ? (int)n : 0;
}

int feed_too_long(struct feed *f, struct view head, uint64_t bytes_total, uint64_t end, const struct feed_origin *origin)
{
	(void)head;
	assert_null(f->ahead);
	assert_true(end > f->end);
	f->end = end;
	buf_addf(&f->text, "<%llu>", (unsigned long long)bytes_total);
	buf_addf(&f->origins, "%s:%llu\n", strrchr(origin->file, '/') + 1, (unsigned long long)origin->first_line);
	return 0;
}

int feed_gap(struct feed *f, const char *file, uint64_t bytes, const char *what, uint64_t end)
{
	(void)what;
	assert_null(f->ahead);
	assert_true(end > f->end);
	f->end = end;
	buf_addf(&f->text, "<gap %llu>", (unsigned long long)bytes);
	buf_addf(&f->origins, "%s\n", strrchr(file, '/') + 1);
	return 0;
}

uint64_t feed_taken(struct feed *f)
{
	(void)f;
	return 0;
}

void feed_mark(struct feed *f, uint64_t position, struct view text)
{
	(void)f;
	(void)position;
	(void)text;
}

uint64_t feed_broken(const struct feed *f)
{
	(void)f;
	return 0;
}

void feed_trouble(struct feed *f, const char *format, ...)
{
	va_list args;
	char text[2000];
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_addf(&f->troubles, "%s\n", text);
}

static void write_file(const char *name, struct view bytes)
{
	_free_ char *path = mem_textf("%s/%s", folder, name);
	assert_int_equal(io_make_parents(path, 0700), 0);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(io_write(fd, bytes.ptr, bytes.len), 0);
}

static void write_gzip(const char *name, struct view bytes, size_t cut)
{
	_free_ char *path = mem_textf("%s/%s", folder, name);
	struct stat st;
	assert_int_equal(io_make_parents(path, 0700), 0);
	gzFile f = gzopen(path, "w");
	assert_int_equal(gzwrite(f, bytes.ptr, (unsigned)bytes.len), bytes.len);
	assert_int_equal(gzclose(f), Z_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - (off_t)cut), 0);
}

/* An open input and all that it needs. */
struct fixture {
	struct config config;
	struct config_input input_config;
	struct {
		char *path;
		int from;
	} settings; /* as in file.c */
	struct budget *budget;
	struct feed feed;
	struct input *input;
	const struct input_ops *ops;
};

/* It goes on at the state, if that is not NULL. */
static void fixture_open_at(struct fixture *f, const char *type, const char *pattern, bool once, bool from_end,
	uint64_t position, const char *state)
{
	struct err err;
	*f = (struct fixture){ .config = { .max_event_bytes = 1000 }, .ops = input_find(type) };
	f->settings.from = from_end;
	f->settings.path = pattern ? mem_textf("%s/%s", folder, pattern) : NULL;
	f->input_config.own = &f->settings;
	assert_int_equal(budget_create(&f->budget, 1 << 20), 0);
	struct input_options options = { &f->config, &f->input_config, f->budget, &f->feed, once };
	options.position = f->feed.end = position;
	options.state = state;
	assert_int_equal(f->ops->open(&f->input, &options, &err), 0);
}

static void fixture_open(struct fixture *f, const char *type, const char *pattern, bool once)
{
	fixture_open_at(f, type, pattern, once, false, 0, NULL);
}

static void fixture_close(struct fixture *f)
{
	f->ops->close(f->input);
	assert_int_equal(budget_used(f->budget), 0);
	budget_destroy(f->budget);
	buf_finish(&f->feed.text);
	buf_finish(&f->feed.origins);
	buf_finish(&f->feed.troubles);
	free(f->settings.path);
}

/* Runs over what fits the pattern and compares: text, origins, whether that is in a trouble (NULL: none). */
static void expect(const char *pattern, const char *text, const char *origins, const char *trouble)
{
	struct fixture f;
	uint64_t done, total;
	fixture_open(&f, "file", pattern, true);
	f.ops->run(f.input);
	assert_string_equal(buf_text(&f.feed.text), text);
	assert_string_equal(buf_text(&f.feed.origins), origins);
	if (!trouble)
		assert_string_equal(buf_text(&f.feed.troubles), "");
	else
		assert_non_null(strstr(buf_text(&f.feed.troubles), trouble));
	f.ops->progress(f.input, &done, &total);
	assert_true(done <= total);
	fixture_close(&f);
}

static void files_come_in_the_order_of_their_names(void **state)
{
	(void)state;
	write_file("order/audit.log", VIEW("{3}\n"));
	write_gzip("order/audit-2026-01-02.log.gz", VIEW("{2}\n{2}\n"), 0);
	write_file("order/audit-2026-01-01.log", VIEW("{1}\n"));
	write_file("order/audit-folder.log/x", VIEW("{}\n"));
	write_file("order/other", VIEW("{}\n"));
	expect("order/audit*.log*", "{1}\n{2}\n{2}\n{3}\n", "audit-2026-01-01.log:1\naudit-2026-01-02.log.gz:1\naudit.log:1\n",
		NULL);
	expect("order/audit.log", "{3}\n", "audit.log:1\n", NULL);
}

static void lines_are_numbered_and_long_ones_told(void **state)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	(void)state;
	buf_add_view(&bytes, VIEW("{1}\n{2}\n"));
	for (int i = 0; i < 1001; i++)
		buf_add_byte(&bytes, 'x');
	buf_add_view(&bytes, VIEW("\n{4}"));
	write_file("long/a", buf_view(&bytes));
	write_file("long/b", VIEW("{b}\n"));
	expect("long/*", "{1}\n{2}\n<1001>{4}{b}\n", "a:1\na:3\na:4\nb:1\n", NULL);
}

static void a_file_that_is_named_like_the_pattern_is_read_too(void **state)
{
	(void)state;
	write_file("names/a[1].log", VIEW("{1}\n"));
	expect("names/a[1].log", "{1}\n", "a[1].log:1\n", NULL);
	write_file("names/a1.log", VIEW("{2}\n"));
	expect("names/a[1].log", "{2}\n{1}\n", "a1.log:1\na[1].log:1\n", NULL);
	expect("names/a?.log", "{2}\n", "a1.log:1\n", NULL);
	write_file("names/a?.log", VIEW("{3}\n"));
	expect("names/a?.log", "{2}\n{3}\n", "a1.log:1\na?.log:1\n", NULL);
	expect("names/a[[]1].log", "{1}\n", "a[1].log:1\n", NULL);
}

static void one_bad_file_does_not_end_the_others(void **state)
{
	(void)state;
	write_gzip("bad/a.gz", VIEW("{1}\n{1}\n"), 6);
	write_file("bad/b", VIEW("{2}\n"));
	_free_ char *path = mem_textf("%s/bad/a0", folder);
	assert_int_equal(symlink("/nonexistent", path), 0);
	expect("bad/*", "{1}\n{1}\n{2}\n", "a.gz:1\nb:1\n", "a.gz: gzip data is cut short");
	expect("bad/*", "{1}\n{1}\n{2}\n", "a.gz:1\nb:1\n", "a0: cannot be read: No such file");
}

static void nothing_to_read_is_trouble(void **state)
{
	(void)state;
	expect("missing", "", "", "missing: cannot be read");
	expect("missing*", "", "", "missing*: no file fits");
	write_file("folders/sub/x", VIEW("{}\n"));
	expect("folders/*", "", "", "folders/*: no file fits");
	expect("folders", "", "", "folders: cannot be read: Is a directory");
	write_file("empty", VIEW(""));
	expect("empty", "", "", NULL);
}

static void limit_files(struct rlimit *limit, rlim_t n)
{
	limit->rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, limit), 0);
}

/* Runs `pattern` to its end from the state on, with so few descriptors. Returns the state then. */
static char *run_limited(const char *pattern, uint64_t *position, const char *state, rlim_t n, const char *text)
{
	struct fixture f;
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const rlim_t before = limit.rlim_cur;
	fixture_open_at(&f, "file", pattern, true, false, *position, state);
	limit_files(&limit, n < before ? n : before);
	f.ops->run(f.input);
	limit_files(&limit, before);
	assert_string_equal(buf_text(&f.feed.text), text);
	assert_true(!strstr(buf_text(&f.feed.troubles), "Too many open files") == (n > 0));
	*position = f.feed.end;
	f.ops->settled(f.input, f.feed.end);
	char *after = f.ops->state(f.input, f.feed.end, -1);
	fixture_close(&f);
	return after;
}

static void no_descriptors_is_no_absence(void **unused)
{
	static const char *const paths[] = { "scarce/a.log", "scarce/*.log" };
	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		uint64_t position = 0;
		write_file("scarce/a.log", VIEW("{\"a\": \"some bytes that tell it\"}\n"));
		_free_ char *first = run_limited(paths[i], &position, NULL, RLIM_INFINITY, "{\"a\": \"some bytes that tell it\"}\n");
		write_file("scarce/a.log", VIEW("{\"a\": \"some bytes that tell it\"}\n{2}\n"));
		_free_ char *second = run_limited(paths[i], &position, first, 0, "");
		assert_string_equal(first, second);
		_free_ char *third = run_limited(paths[i], &position, second, RLIM_INFINITY, "{2}\n");
	}
}

/* Runs that go on one after the other. */
struct runs {
	uint64_t position;
	char *state;
	bool from_end;
};

/* One more: it ends with this text. */
static void run_on(struct runs *r, const char *pattern, const char *text)
{
	struct fixture f;
	fixture_open_at(&f, "file", pattern, true, r->from_end, r->position, r->state);
	f.ops->run(f.input);
	assert_string_equal(buf_text(&f.feed.text), text);
	r->position = f.feed.end;
	f.ops->settled(f.input, r->position);
	char *state = f.ops->state(f.input, r->position, -1);
	fixture_close(&f);
	free(r->state);
	r->state = state;
}

static void move(const char *from, const char *to)
{
	_free_ char *a = mem_textf("%s/%s", folder, from), *b = mem_textf("%s/%s", folder, to);
	assert_int_equal(rename(a, b), 0);
}

static void remove_file(const char *name)
{
	_free_ char *path = mem_textf("%s/%s", folder, name);
	assert_int_equal(unlink(path), 0);
}

static void a_run_goes_on_through_rotation(void **unused)
{
	struct runs r = { 0 };
	(void)unused;
	write_file("rotated/audit.log.1", VIEW("{0}\n")); /* not asked for */
	write_file("rotated/audit.log", VIEW("{1}\n"));
	run_on(&r, "rotated/audit.log", "{1}\n");
	run_on(&r, "rotated/audit.log", "");
	write_file("rotated/audit.log", VIEW("{1}\n{2}\n"));
	move("rotated/audit.log.1", "rotated/audit.log.2");
	move("rotated/audit.log", "rotated/audit.log.1");
	write_file("rotated/audit.log", VIEW("{3}\n"));
	run_on(&r, "rotated/audit.log", "{2}\n{3}\n");
	/* Still written to, under its new name; and one that came and went between the runs. */
	write_file("rotated/audit.log.1", VIEW("{1}\n{2}\n{2}\n"));
	move("rotated/audit.log", "rotated/audit-2026-01-02T03-04-05.678.log");
	write_file("rotated/audit.log", VIEW("{4}\n"));
	run_on(&r, "rotated/audit.log", "{2}\n{4}\n");
	free(r.state);
}

static void a_file_that_is_gone_is_told_once(void **unused)
{
	struct runs r = { 0 };
	(void)unused;
	write_file("vanished/audit.log", VIEW("{1}\n"));
	write_file("vanished/audit.log.1", VIEW("{0}\n"));
	run_on(&r, "vanished/audit.log*", "{0}\n{1}\n");
	remove_file("vanished/audit.log.1"); /* it was read and rotated: nothing more was to come */
	run_on(&r, "vanished/audit.log*", "");
	remove_file("vanished/audit.log"); /* what it got since the last run nobody knows */
	write_file("vanished/new", VIEW("{2}\n"));
	move("vanished/new", "vanished/audit.log");
	run_on(&r, "vanished/audit.log*", "<gap 0>{2}\n");
	run_on(&r, "vanished/audit.log*", "");
	/* Cut, the same: there may have been more in it. */
	write_file("vanished/audit.log", VIEW("{another}\n"));
	run_on(&r, "vanished/audit.log*", "<gap 0>{another}\n");
	run_on(&r, "vanished/audit.log*", "");
	free(r.state);
}

static void from_its_end_means_what_was_there_at_the_first_run(void **unused)
{
	struct runs r = { .from_end = true };
	(void)unused;
	write_file("end/audit.log.1", VIEW("{0}\n"));
	write_gzip("end/audit.log.2.gz", VIEW("{-1}\n"), 0);
	write_file("end/audit.log", VIEW("{1}\n{2"));
	run_on(&r, "end/audit.log*", "{2");
	write_file("end/audit.log.1", VIEW("{0}\n{0}\n"));
	write_file("end/audit.log", VIEW("{1}\n{2}\n{3}\n"));
	write_file("end/audit.log.0", VIEW("{new}\n"));
	run_on(&r, "end/audit.log*", "{0}\n{new}\n}\n{3}\n");
	free(r.state);
}

static void *run_input(void *fixture)
{
	struct fixture *f = fixture;
	f->ops->run(f->input);
	return NULL;
}

static void a_stop_ends_a_wait(void **state)
{
	static const char *const patterns[] = { "stop/fifo", "stop/file" };
	_free_ char *fifo = mem_textf("%s/stop/fifo", folder);
	(void)state;
	write_file("stop/file", VIEW("{}\n"));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (int i = 0; i < 2; i++) {
		struct fixture f;
		pthread_t thread;
		fixture_open(&f, "file", patterns[i], false);
		assert_int_equal(pthread_create(&thread, NULL, run_input, &f), 0);
		_close_ int fd = i ? -1 : open(fifo, O_WRONLY | O_CLOEXEC);
		if (!i)
			assert_int_equal(io_write(fd, "{}\n{", 4), 0);
		while (f.feed.chunks == 0)
			(void)usleep(1000);
		f.ops->stop(f.input);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_string_equal(buf_text(&f.feed.text), "{}\n"); /* and not the half line */
		assert_string_equal(buf_text(&f.feed.troubles), "");
		fixture_close(&f);
	}
}

static void a_feed_that_stops_ends_the_run(void **state)
{
	struct fixture f;
	(void)state;
	write_file("feed/a", VIEW("{1}\n"));
	write_file("feed/b", VIEW("{2}\n"));
	write_file("feed/c", VIEW("{3}\n"));
	fixture_open(&f, "file", "feed/*", true);
	f.feed.stop_after = 2;
	f.ops->run(f.input);
	assert_string_equal(buf_text(&f.feed.text), "{1}\n");
	assert_string_equal(buf_text(&f.feed.troubles), "");
	fixture_close(&f);
}

static void standard_input_is_read_to_its_end(void **state)
{
	struct fixture f;
	int ends[2], saved = dup(STDIN_FILENO);
	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(io_write(ends[1], "{1}\n{2}\n", 8), 0);
	assert_int_equal(close(ends[1]), 0);
	fixture_open(&f, "stdin", NULL, true);
	f.ops->run(f.input);
	assert_string_equal(buf_text(&f.feed.text), "{1}\n{2}\n");
	assert_string_equal(buf_text(&f.feed.origins), "stdin:1\n");
	fixture_close(&f);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	(void)close(saved);
	(void)close(ends[0]);
}

static void kinds_are_found_by_name(void **state)
{
	(void)state;
	assert_string_equal(input_find("file")->name, "file");
	assert_string_equal(input_find("stdin")->name, "stdin");
	assert_null(input_find("tape"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_in_the_order_of_their_names),
		cmocka_unit_test(lines_are_numbered_and_long_ones_told),
		cmocka_unit_test(a_file_that_is_named_like_the_pattern_is_read_too),
		cmocka_unit_test(one_bad_file_does_not_end_the_others),
		cmocka_unit_test(nothing_to_read_is_trouble),
		cmocka_unit_test(no_descriptors_is_no_absence),
		cmocka_unit_test(a_run_goes_on_through_rotation),
		cmocka_unit_test(a_file_that_is_gone_is_told_once),
		cmocka_unit_test(from_its_end_means_what_was_there_at_the_first_run),
		cmocka_unit_test(a_stop_ends_a_wait),
		cmocka_unit_test(a_feed_that_stops_ends_the_run),
		cmocka_unit_test(standard_input_is_read_to_its_end),
		cmocka_unit_test(kinds_are_found_by_name),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
