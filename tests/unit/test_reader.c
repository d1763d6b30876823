#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/reader.h"
#include "tests/unit/folder.h"

static char *write_file(struct view bytes)
{
	char *path = mem_textf("%s/file", folder);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(io_write(fd, bytes.ptr, bytes.len), 0);
	return path;
}

static void add_gzip(struct buf *out, struct view text)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	buf_reserve(out, deflateBound(&z, text.len));
	z.next_in = (unsigned char *)text.ptr;
	z.avail_in = (unsigned)text.len;
	z.next_out = (unsigned char *)out->ptr + out->len;
	z.avail_out = (unsigned)(out->room - out->len);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	(void)deflateEnd(&z);
}

static void add_zstd(struct buf *out, struct view text)
{
	buf_reserve(out, ZSTD_compressBound(text.len));
	out->len += ZSTD_compress(out->ptr + out->len, out->room - out->len, text.ptr, text.len, 3);
}

/* Reads to the end in steps of `step`; returns 0, or the error of reader_read. */
static int read_all(const char *path, size_t step, struct buf *out, struct err *err)
{
	struct reader *r;
	ssize_t n = reader_open(&r, path, err);
	if (n < 0)
		return (int)n;
	do {
		buf_reserve(out, step);
		n = reader_read(r, out->ptr + out->len, step, err);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	/* The end stays the end, an error stays that error. */
	char more[8];
	assert_int_equal(reader_read(r, more, sizeof more, err), n);
	reader_close(r);
	return (int)n;
}

static void expect(struct view packed, struct view text, int result)
{
	static const size_t steps[] = { 1, 7, 4096, 1 << 20 };
	_free_ char *path = write_file(packed);
	for (size_t i = text.len > 100000 ? 2 : 0; i < sizeof steps / sizeof *steps; i++) {
		cleanup(buf_finish) struct buf out = { 0 };
		struct err err = { 0 };
		assert_int_equal(read_all(path, steps[i], &out, &err), result);
		assert_int_equal(out.len, text.len);
		assert_memory_equal(buf_view(&out).ptr, text.ptr, text.len);
		if (result < 0)
			assert_string_equal(err.file, path);
	}
}

/* Half compressible text of about `len` bytes. */
static void make_text(struct buf *out, size_t len)
{
	for (unsigned i = 1; out->len < len; i++)
		buf_addf(out, "{\"auditID\":\"%08x\",\"n\":%u}\n", i * 2654435761u, i);
}

static void plain_files_come_as_they_are(void **state)
{
	(void)state;
	expect(VIEW(""), VIEW(""), 0);
	expect(VIEW("{}\n"), VIEW("{}\n"), 0);
	expect(VIEW("\x1f"), VIEW("\x1f"), 0);
	expect(VIEW("\x28\xb5\x2f"), VIEW("\x28\xb5\x2f"), 0);
	expect(VIEW("\x28\xb5\x2f text"), VIEW("\x28\xb5\x2f text"), 0);
	expect(VIEW("P*M"), VIEW("P*M"), 0);
	expect(VIEW("no\0text"), VIEW("no\0text"), 0);
}

static void members_and_frames_are_one_stream(void **state)
{
	void (*const add[])(struct buf *, struct view) = { add_gzip, add_zstd };
	cleanup(buf_finish) struct buf text = { 0 };
	(void)state;
	make_text(&text, 400000);
	struct view whole = buf_view(&text), first = { whole.ptr, 1000 }, second = { whole.ptr + 1000, whole.len - 1000 };
	for (size_t i = 0; i < 2; i++) {
		cleanup(buf_finish) struct buf packed = { 0 };
		add[i](&packed, first);
		add[i](&packed, VIEW(""));
		add[i](&packed, second);
		expect(buf_view(&packed), whole, 0);
	}
}

static void zero_padding_after_gzip_is_no_error_but_rubbish_is(void **state)
{
	cleanup(buf_finish) struct buf packed = { 0 };
	static const char zeros[1024];
	(void)state;
	add_gzip(&packed, VIEW("a\nb\n"));
	size_t clean = packed.len;
	buf_add(&packed, zeros, sizeof zeros);
	expect(buf_view(&packed), VIEW("a\nb\n"), 0);
	buf_add(&packed, "x", 1);
	expect(buf_view(&packed), VIEW("a\nb\n"), -EBADMSG);
	packed.len = clean;
	buf_add(&packed, "{}\n", 3);
	expect(buf_view(&packed), VIEW("a\nb\n"), -EBADMSG);
}

static void skippable_zstd_frames_are_skipped(void **state)
{
	cleanup(buf_finish) struct buf packed = { 0 };
	(void)state;
	buf_add(&packed, "\x53\x2a\x4d\x18\x03\0\0\0abc", 11);
	add_zstd(&packed, VIEW("{}\n"));
	buf_add(&packed, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	expect(buf_view(&packed), VIEW("{}\n"), 0);
}

/* Cut at every byte: an error, and what did come is a prefix; all of it once only the trailer is missing. */
static void a_cut_file_gives_what_was_good_and_an_error(void **state)
{
	void (*const add[])(struct buf *, struct view) = { add_gzip, add_zstd };
	cleanup(buf_finish) struct buf text = { 0 };
	(void)state;
	make_text(&text, 3000);
	for (size_t i = 0; i < 2; i++) {
		cleanup(buf_finish) struct buf packed = { 0 };
		size_t longest = 0;
		add[i](&packed, buf_view(&text));
		for (size_t len = 4; len < packed.len; len++) {
			cleanup(buf_finish) struct buf out = { 0 };
			struct err err;
			_free_ char *path = write_file((struct view){ packed.ptr, len });
			assert_int_equal(read_all(path, 4096, &out, &err), -EBADMSG);
			assert_true(out.len <= text.len);
			assert_memory_equal(buf_view(&out).ptr, text.ptr, out.len);
			longest = out.len > longest ? out.len : longest;
		}
		if (add[i] == add_gzip)
			assert_int_equal(longest, text.len);
	}
}

static void damage_is_an_error(void **state)
{
	cleanup(buf_finish) struct buf packed = { 0 };
	(void)state;
	add_gzip(&packed, VIEW("hello, hello, hello\n"));
	packed.ptr[packed.len - 6] ^= 1; /* the CRC */
	expect(buf_view(&packed), VIEW("hello, hello, hello\n"), -EBADMSG);
	packed.ptr[2] = 9; /* no such method */
	expect(buf_view(&packed), VIEW(""), -EBADMSG);
}

static void a_zstd_window_that_is_too_large_is_refused(void **state)
{
	cleanup(buf_finish) struct buf packed = { 0 };
	struct err err = { 0 };
	(void)state;
	/* magic; descriptor: no content size, no checksum; window 2^(10+18) = 256 MiB; an empty last raw block */
	buf_add(&packed, "\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00", 9);
	_free_ char *path = write_file(buf_view(&packed));
	cleanup(buf_finish) struct buf out = { 0 };
	assert_int_equal(read_all(path, 100, &out, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "128 MiB"));
	packed.ptr[5] = (char)0x88; /* 2^27 */
	expect(buf_view(&packed), VIEW(""), 0);
}

static void folders_and_missing_files_are_refused(void **state)
{
	struct reader *r = NULL;
	struct err err = { 0 };
	(void)state;
	assert_int_equal(reader_open(&r, folder, &err), -EISDIR);
	assert_string_equal(err.file, folder);
	assert_int_equal(reader_open(&r, "/nonexistent/file", &err), -ENOENT);
	assert_non_null(strstr(err.text, "No such file"));
	assert_null(r);
}

static void a_file_that_grows_is_read_on(void **state)
{
	struct reader *r;
	struct err err;
	char bytes[16];
	(void)state;
	_free_ char *path = write_file(VIEW(""));
	_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(reader_open(&r, path, &err), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 0);
	assert_int_equal(io_write(fd, "one", 3), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 3);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 0);
	assert_int_equal(io_write(fd, "two", 3), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 3);
	assert_memory_equal(bytes, "two", 3);
	reader_close(r);
}

static void progress_counts_packed_bytes(void **state)
{
	cleanup(buf_finish) struct buf text = { 0 }, packed = { 0 }, out = { 0 };
	struct reader *r;
	struct err err;
	uint64_t done, total;
	(void)state;
	make_text(&text, 10000);
	add_zstd(&packed, buf_view(&text));
	_free_ char *path = write_file(buf_view(&packed));
	assert_int_equal(reader_open(&r, path, &err), 0);
	assert_false(reader_waits(r));
	reader_progress(r, &done, &total);
	assert_int_equal(done, 0);
	assert_int_equal(total, packed.len);
	buf_reserve(&out, 20000);
	assert_int_equal(reader_read(r, out.ptr, 20000, &err), text.len);
	reader_progress(r, &done, &total);
	assert_int_equal(done, packed.len);
	reader_close(r);
}

static void reading_goes_on_after_a_skip(void **state)
{
	cleanup(buf_finish) struct buf text = { 0 };
	struct buf packed[3] = { 0 };
	(void)state;
	make_text(&text, 300000);
	buf_add_view(&packed[0], buf_view(&text));
	add_gzip(&packed[1], buf_view(&text));
	add_zstd(&packed[2], buf_view(&text));
	/* What follows in a plain file may look like anything. */
	memcpy(packed[0].ptr + 5000, "\x1f\x8b\x08", 3);
	for (int i = 0; i < 3; i++) {
		static const size_t skips[] = { 0, 1, 5000, 200000, 299999 };
		_free_ char *path = write_file(buf_view(&packed[i]));
		for (size_t k = 0; k < sizeof skips / sizeof *skips; k++) {
			struct reader *r;
			struct err err;
			char bytes[100];
			assert_int_equal(reader_open(&r, path, &err), 0);
			assert_int_equal(reader_skip(r, skips[k], &err), 0);
			ssize_t n = reader_read(r, bytes, sizeof bytes, &err);
			assert_true(n > 0);
			assert_memory_equal(bytes, (i ? text.ptr : packed[0].ptr) + skips[k], n);
			assert_int_equal(reader_packed(r), i > 0);
			reader_close(r);
		}
		struct reader *r;
		struct err err;
		assert_int_equal(reader_open(&r, path, &err), 0);
		assert_int_equal(reader_skip(r, text.len + 1, &err), i ? -ENODATA : 0);
		reader_close(r);
	}
	for (int i = 0; i < 3; i++)
		buf_finish(&packed[i]);
}

static void *wake_later(void *fd)
{
	(void)usleep(30000);
	uint64_t one = 1;
	assert_int_equal(io_write(*(int *)fd, &one, sizeof one), 0);
	return NULL;
}

static void a_wait_for_a_pipe_can_be_ended(void **state)
{
	_free_ char *path = mem_textf("%s/fifo", folder);
	struct reader *r;
	struct err err;
	char bytes[16];
	pthread_t thread;
	_close_ int wake = eventfd(0, EFD_CLOEXEC);
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(reader_open(&r, path, &err), 0); /* nobody writes: does not wait */
	assert_true(reader_waits(r));
	reader_wake_fd(r, wake);
	assert_int_equal(pthread_create(&thread, NULL, wake_later, &wake), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), -ECANCELED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	uint64_t count;
	assert_int_equal(io_read(wake, &count, sizeof count), sizeof count);
	_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_write(fd, "x", 1), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 1);
	assert_int_equal(close(TAKE_FD(fd)), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 0);
	reader_close(r);
}

/* What a pipe holds is handed on before the next of it is waited for, packed or not. */
static void a_pipe_is_passed_on_as_it_comes(void **state)
{
	cleanup(buf_finish) struct buf packed = { 0 };
	int ends[2];
	struct reader *r;
	struct err err;
	char bytes[100];
	(void)state;
	add_gzip(&packed, VIEW("{}\n"));
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(io_write(ends[1], packed.ptr, packed.len), 0);
	assert_int_equal(reader_open_fd(&r, ends[0], "pipe", &err), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 3);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(reader_read(r, bytes, sizeof bytes, &err), 0);
	reader_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_files_come_as_they_are),
		cmocka_unit_test(members_and_frames_are_one_stream),
		cmocka_unit_test(zero_padding_after_gzip_is_no_error_but_rubbish_is),
		cmocka_unit_test(skippable_zstd_frames_are_skipped),
		cmocka_unit_test(a_cut_file_gives_what_was_good_and_an_error),
		cmocka_unit_test(damage_is_an_error),
		cmocka_unit_test(a_zstd_window_that_is_too_large_is_refused),
		cmocka_unit_test(folders_and_missing_files_are_refused),
		cmocka_unit_test(a_file_that_grows_is_read_on),
		cmocka_unit_test(reading_goes_on_after_a_skip),
		cmocka_unit_test(progress_counts_packed_bytes),
		cmocka_unit_test(a_wait_for_a_pipe_can_be_ended),
		cmocka_unit_test(a_pipe_is_passed_on_as_it_comes),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
