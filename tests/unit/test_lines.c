#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/lines.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"

enum { BUDGET = 64 << 20 };

/* A reader of a file in memory, or of a pipe that a thread fills in small pieces. */
struct source {
	struct reader *reader;
	pthread_t writer;
	int write_fd; /* -1: a file */
	struct view bytes;
	size_t piece;
};

static void *write_pieces(void *pointer)
{
	struct source *s = pointer;
	for (size_t at = 0; at < s->bytes.len; at += s->piece) {
		size_t len = s->bytes.len - at < s->piece ? s->bytes.len - at : s->piece;
		if (io_write(s->write_fd, s->bytes.ptr + at, len) < 0)
			break;
	}
	(void)close(s->write_fd);
	return NULL;
}

static void source_open(struct source *s, struct view bytes, size_t piece)
{
	struct err err;
	int ends[2];
	*s = (struct source){ .write_fd = -1, .bytes = bytes, .piece = piece };
	if (piece) {
		assert_int_equal(pipe(ends), 0);
		s->write_fd = ends[1];
		assert_int_equal(pthread_create(&s->writer, NULL, write_pieces, s), 0);
	} else {
		ends[0] = memfd_create("lines", MFD_CLOEXEC);
		assert_int_equal(io_write(ends[0], bytes.ptr, bytes.len), 0);
		assert_int_equal(lseek(ends[0], 0, SEEK_SET), 0);
	}
	assert_int_equal(reader_open_fd(&s->reader, ends[0], "source", &err), 0);
}

static void source_close(struct source *s)
{
	reader_close(s->reader);
	if (s->piece)
		assert_int_equal(pthread_join(s->writer, NULL), 0);
}

/*
 * What must be true of any source: the chunks and long lines together are the bytes, in order; a chunk ends after a
 * newline or at the end; exactly the lines that are longer than line_max are passed over. Returns how many those were.
 */
static unsigned check_lines(struct view bytes, uint64_t line_max, size_t piece, enum lines_result end)
{
	struct source s;
	struct budget *budget;
	struct chunk *c;
	struct err err;
	unsigned n_long = 0;
	size_t at = 0;
	enum lines_result result;
	assert_int_equal(budget_create(&budget, BUDGET), 0);
	source_open(&s, bytes, piece);
	struct lines *l = lines_create(s.reader, budget, line_max);
	while ((result = lines_next(l, &c, &err)) == LINES_SOME || result == LINES_TOO_LONG) {
		assert_true(c->len <= bytes.len - at);
		assert_memory_equal(c->bytes, bytes.ptr + at, c->len);
		size_t len = result == LINES_SOME ? c->len : lines_long_total(l);
		const char *newline = result == LINES_SOME ? NULL : memchr(bytes.ptr + at, '\n', bytes.len - at);
		if (result == LINES_TOO_LONG) {
			assert_true(len > line_max);
			assert_int_equal(c->len, len < LINES_HEAD_MAX ? len : LINES_HEAD_MAX);
			assert_int_equal(len, newline ? (size_t)(newline - bytes.ptr) - at : bytes.len - at);
			len += newline != NULL;
			n_long++;
		} else {
			assert_true(c->len > 0);
			assert_true(at + len == bytes.len || bytes.ptr[at + len - 1] == '\n');
			for (size_t i = 0, start = 0; i < c->len; i++) {
				if (c->bytes[i] == '\n')
					start = i + 1;
				else
					assert_true(i + 1 - start <= line_max);
			}
		}
		at += len;
		assert_int_equal(lines_position(l), at);
		chunk_release(c);
	}
	assert_int_equal(result, end);
	assert_int_equal(lines_next(l, &c, &err), end);
	assert_int_equal(at, bytes.len);
	lines_destroy(l);
	source_close(&s);
	assert_int_equal(budget_used(budget), 0);
	budget_destroy(budget);
	return n_long;
}

static void add_line(struct buf *out, size_t len, bool newline)
{
	for (size_t i = 0; i < len; i++)
		buf_add_byte(out, (char)('a' + (i + len) % 26));
	if (newline)
		buf_add_byte(out, '\n');
}

static void small_sources(void **state)
{
	static const char *const texts[] = { "", "\n", "a", "a\n", "\n\n\n", "a\nb", "ab\ncd\n\nef\n", "abcdef\nabc\nabcdefg\n",
		"abcdefgh", "abcdefgh\n" };
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (uint64_t line_max = 1; line_max < 10; line_max++)
			for (size_t piece = 0; piece < 4; piece++)
				(void)check_lines(view_of(texts[i]), line_max, piece, LINES_END);
	assert_int_equal(check_lines(VIEW("abc\nabcd\nab\nabcd"), 3, 0, LINES_END), 2);
	assert_int_equal(check_lines(VIEW("abc\nabcd\nab\nabcd"), 3, 2, LINES_END), 2);
}

/* Lines of random lengths around every limit there is. */
static void lines_of_all_lengths(void **state)
{
	static const size_t around[] = { 1, 300, LINES_HEAD_MAX, LINES_CHUNK_BYTES, 2 * LINES_CHUNK_BYTES };
	unsigned seed = (unsigned)getpid();
	(void)state;
	print_message("# seed %u\n", seed);
	for (int round = 0; round < 12; round++) {
		cleanup(buf_finish) struct buf text = { 0 };
		uint64_t line_max = around[(size_t)rand_r(&seed) % 5] + (size_t)rand_r(&seed) % 3;
		for (int i = 0; i < 40; i++) {
			size_t len = around[(size_t)rand_r(&seed) % 5] + (size_t)rand_r(&seed) % 4;
			add_line(&text, rand_r(&seed) % 8 ? len % 400 : len - 1, i < 39 || rand_r(&seed) % 2);
		}
		unsigned n = check_lines(buf_view(&text), line_max, 0, LINES_END);
		assert_int_equal(check_lines(buf_view(&text), line_max, 60000, LINES_END), n);
	}
}

static void a_long_line_costs_only_itself(void **state)
{
	cleanup(buf_finish) struct buf text = { 0 };
	(void)state;
	add_line(&text, 10, true);
	add_line(&text, 3 << 20, true);
	add_line(&text, (3 << 20) + 1, true);
	add_line(&text, 11, false);
	assert_int_equal(check_lines(buf_view(&text), 3 << 20, 0, LINES_END), 1);
	assert_int_equal(check_lines(buf_view(&text), 3 << 20, 65536, LINES_END), 1);
	assert_int_equal(check_lines(buf_view(&text), (3 << 20) - 1, 0, LINES_END), 2);
	assert_int_equal(check_lines(buf_view(&text), (3 << 20) + 1, 0, LINES_END), 0);
}

/* Many lines over a small limit must not cost a copy of all that was read ahead each. */
static void many_long_lines_are_linear(void **state)
{
	cleanup(buf_finish) struct buf text = { 0 };
	(void)state;
	for (int i = 0; i < 20000; i++)
		add_line(&text, 50 + (size_t)i % 2, true);
	assert_int_equal(check_lines(buf_view(&text), 50, 0, LINES_END), 10000);
}

static void a_pipe_is_passed_on_line_by_line(void **state)
{
	struct budget *budget;
	struct reader *r;
	struct chunk *c;
	struct err err;
	int ends[2];
	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(budget_create(&budget, BUDGET), 0);
	assert_int_equal(reader_open_fd(&r, ends[0], "pipe", &err), 0);
	struct lines *l = lines_create(r, budget, 1000);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(io_write(ends[1], "{}\n{", 4), 0);
		assert_int_equal(lines_next(l, &c, &err), LINES_SOME);
		assert_int_equal(c->len, i ? 4 : 3);
		assert_int_equal(budget_used(budget), c->len); /* not a whole chunk for a few bytes */
		chunk_release(c);
	}
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(lines_next(l, &c, &err), LINES_SOME);
	assert_int_equal(c->len, 1);
	chunk_release(c);
	assert_int_equal(lines_next(l, &c, &err), LINES_END);
	lines_destroy(l);
	reader_close(r);
	budget_destroy(budget);
}

/* What is kept back is found whole by whoever reads on from lines_position. */
static void an_unfinished_line_is_held_back(void **state)
{
	static const struct {
		const char *text;
		enum lines_hold hold;
		size_t handed; /* bytes */
	} rows[] = {
		{ "{1}\n{2}\n{3", LINES_HOLD_ALL, 8 }, { "{1}\n{2}\n{3", LINES_HOLD_DAMAGED, 10 }, { "{1", LINES_HOLD_ALL, 0 },
		{ "{1}\n", LINES_HOLD_ALL, 4 }, { "{1}\nlonger than ten", LINES_HOLD_ALL, 4 },
		{ "{1}\nlonger than ten", LINES_HOLD_NOTHING, 19 }, { "longer than ten\n{2", LINES_HOLD_ALL, 16 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct budget *budget;
		struct source s;
		struct chunk *c;
		struct err err;
		enum lines_result result;
		assert_int_equal(budget_create(&budget, BUDGET), 0);
		source_open(&s, view_of(rows[i].text), 0);
		struct lines *l = lines_create(s.reader, budget, 10);
		lines_hold(l, rows[i].hold);
		while ((result = lines_next(l, &c, &err)) == LINES_SOME || result == LINES_TOO_LONG)
			chunk_release(c);
		assert_int_equal(result, LINES_END);
		assert_int_equal(lines_position(l), rows[i].handed);
		lines_destroy(l);
		source_close(&s);
		assert_int_equal(budget_used(budget), 0);
		budget_destroy(budget);
	}
}

static void *stop_later(void *budget)
{
	(void)usleep(20000);
	budget_stop(budget);
	return NULL;
}

static void a_stop_ends_waits(void **state)
{
	struct budget *budget;
	struct source s;
	struct chunk *c, *held;
	struct err err;
	pthread_t thread;
	_close_ int wake = eventfd(1, EFD_CLOEXEC);
	(void)state;
	assert_int_equal(budget_create(&budget, 1000), 0);
	assert_int_equal(chunk_create(&held, budget, 1000), 0);
	source_open(&s, VIEW("{}\n{}\n"), 0);
	struct lines *l = lines_create(s.reader, budget, 1000);
	assert_int_equal(pthread_create(&thread, NULL, stop_later, budget), 0);
	assert_int_equal(lines_next(l, &c, &err), LINES_STOPPED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	chunk_release(held);
	lines_destroy(l);
	source_close(&s);
	budget_destroy(budget);

	assert_int_equal(budget_create(&budget, 1000), 0);
	source_open(&s, VIEW("{}\n{}\n"), 0);
	reader_wake_fd(s.reader, wake);
	l = lines_create(s.reader, budget, 1000);
	assert_int_equal(lines_next(l, &c, &err), LINES_STOPPED);
	assert_int_equal(lines_position(l), 0);
	lines_destroy(l);
	source_close(&s);
	assert_int_equal(budget_used(budget), 0);
	budget_destroy(budget);
}

static void damage_comes_after_all_that_was_good(void **state)
{
	struct budget *budget;
	struct source s;
	struct chunk *c;
	struct err err = { 0 };
	unsigned char packed[200];
	z_stream z = { .next_in = (unsigned char *)"one\ntwo\nthr", .avail_in = 11, .next_out = packed, .avail_out = 200 };
	(void)state;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&z);
	assert_int_equal(budget_create(&budget, BUDGET), 0);
	source_open(&s, (struct view){ (char *)packed, z.total_out - 4 }, 0);
	struct lines *l = lines_create(s.reader, budget, 1000);
	assert_int_equal(lines_next(l, &c, &err), LINES_SOME);
	assert_int_equal(c->len, 8);
	chunk_release(c);
	assert_int_equal(lines_next(l, &c, &err), LINES_SOME);
	assert_int_equal(c->len, 3);
	chunk_release(c);
	assert_int_equal(lines_next(l, &c, &err), LINES_FAILED);
	assert_non_null(strstr(err.text, "cut short"));
	lines_destroy(l);
	source_close(&s);
	assert_int_equal(budget_used(budget), 0);
	budget_destroy(budget);
}

/* A source against a budget. */
struct rig {
	struct source source;
	struct budget *budget;
	struct lines *lines;
};

static void rig_open(struct rig *r, struct view bytes, uint64_t budget, uint64_t line_max)
{
	assert_int_equal(budget_create(&r->budget, budget), 0);
	source_open(&r->source, bytes, 0);
	r->lines = lines_create(r->source.reader, r->budget, line_max);
}

static void rig_close(struct rig *r)
{
	lines_destroy(r->lines);
	source_close(&r->source);
	assert_int_equal(budget_used(r->budget), 0);
	budget_destroy(r->budget);
}

/* The next chunk is these lines, and ends there. */
static void assert_next(struct rig *r, struct view lines, uint64_t position)
{
	struct chunk *c;
	struct err err;
	assert_int_equal(lines_next(r->lines, &c, &err), LINES_SOME);
	assert_int_equal(c->len, lines.len);
	assert_memory_equal(c->bytes, lines.ptr, lines.len);
	assert_int_equal(lines_position(r->lines), position);
	chunk_release(c);
}

static void assert_end(struct rig *r)
{
	struct chunk *c;
	struct err err;
	assert_int_equal(lines_next(r->lines, &c, &err), LINES_END);
}

static const size_t holes[] = { 2, 100, LINES_CHUNK_BYTES - 1, LINES_CHUNK_BYTES, LINES_CHUNK_BYTES + 1, 40 * LINES_CHUNK_BYTES };
enum { HOLE_MAX = 40 * LINES_CHUNK_BYTES };

/* As where a log was cut under a writer that does not append: of a hole that is longer than any line, one zero byte is left. */
static void a_hole_in_front_costs_no_line(void **state)
{
	(void)state;
	_free_ char *bytes = mem_zero(HOLE_MAX + 6, 1);
	memcpy(bytes + HOLE_MAX, "a\nbc\nd", 6);
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		struct rig r;
		rig_open(&r, (struct view){ bytes + HOLE_MAX - holes[i], holes[i] + 6 }, BUDGET, 10);
		assert_next(&r, VIEW("\0a\nbc\n"), holes[i] + 5);
		assert_next(&r, VIEW("d"), holes[i] + 6);
		assert_end(&r);
		rig_close(&r);
	}
}

/* It is a line, though nothing is in it: or who reads would never be at the end. */
static void a_hole_at_the_end_is_a_line(void **state)
{
	(void)state;
	_free_ char *bytes = mem_zero(HOLE_MAX + 2, 1);
	memcpy(bytes, "a\n", 2);
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		struct rig r;
		rig_open(&r, (struct view){ bytes, holes[i] + 2 }, BUDGET, HOLE_MAX * 2);
		assert_next(&r, VIEW("a\n"), 2);
		assert_next(&r, VIEW("\0"), holes[i] + 2);
		assert_end(&r);
		rig_close(&r);
	}
}

static void let_go(void *context)
{
	struct chunk **held = context;
	chunk_release(*held);
	*held = NULL;
}

/* Who holds a chunk while the next is read has to let it go when there is no room for both. */
static void a_wait_for_the_budget_is_told_before(void **state)
{
	struct rig r;
	struct chunk *c, *held = NULL;
	struct err err;
	size_t total = 0;
	(void)state;
	_free_ char *bytes = mem_alloc(4 << 20);
	for (size_t i = 0; i < 4 << 20; i++)
		bytes[i] = i % 100 == 99 || (i % (1 << 20) < LINES_CHUNK_BYTES * 2 && i % 1000 != 999) ? 'x' : '\n'; /* some lines make a chunk grow */
	rig_open(&r, (struct view){ bytes, 4 << 20 }, LINES_CHUNK_BYTES + 1, 4 << 20);
	lines_before_wait(r.lines, let_go, &held);
	while (lines_next(r.lines, &c, &err) == LINES_SOME) {
		total += c->len;
		chunk_release(held);
		held = c;
	}
	assert_int_equal(total, 4 << 20);
	chunk_release(held);
	rig_close(&r);
}

/* Its end may be far, and come late. */
static void the_look_for_the_end_of_a_long_line_is_told_before(void **state)
{
	struct rig r;
	struct chunk *c, *held;
	struct err err;
	(void)state;
	_free_ char *bytes = mem_alloc(LINES_CHUNK_BYTES * 4);
	memset(bytes, 'x', LINES_CHUNK_BYTES * 4);
	memcpy(bytes, "a\n", 2);
	rig_open(&r, (struct view){ bytes, LINES_CHUNK_BYTES * 4 }, BUDGET, LINES_CHUNK_BYTES * 2);
	lines_before_wait(r.lines, let_go, &held);
	assert_int_equal(lines_next(r.lines, &held, &err), LINES_SOME);
	assert_int_equal(lines_next(r.lines, &c, &err), LINES_TOO_LONG);
	assert_null(held);
	chunk_release(c);
	assert_end(&r);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_sources),
		cmocka_unit_test(lines_of_all_lengths),
		cmocka_unit_test(a_long_line_costs_only_itself),
		cmocka_unit_test(many_long_lines_are_linear),
		cmocka_unit_test(a_pipe_is_passed_on_line_by_line),
		cmocka_unit_test(an_unfinished_line_is_held_back),
		cmocka_unit_test(a_stop_ends_waits),
		cmocka_unit_test(damage_comes_after_all_that_was_good),
		cmocka_unit_test(a_hole_in_front_costs_no_line),
		cmocka_unit_test(a_hole_at_the_end_is_a_line),
		cmocka_unit_test(a_wait_for_the_budget_is_told_before),
		cmocka_unit_test(the_look_for_the_end_of_a_long_line_is_told_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
