#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/base/tail.h"

/* What is left of `bytes`, and how much went; -errno as tail_cut returns it. */
static void expect(struct view bytes, size_t left, int result)
{
	_close_ int fd = memfd_create("tail", MFD_CLOEXEC);
	uint64_t cut = 12345;
	assert_int_equal(io_write(fd, bytes.ptr, bytes.len), 0);
	assert_int_equal(tail_cut(fd, &cut), result);
	assert_int_equal(lseek(fd, 0, SEEK_END), left);
	assert_int_equal(cut, result == 0 ? bytes.len - left : 12345);
	_free_ char *content = mem_alloc(left);
	assert_int_equal(pread(fd, content, left, 0), left);
	assert_memory_equal(content, bytes.ptr, left);
}

static void what_follows_the_last_newline_is_cut(void **state)
{
	(void)state;
	expect(VIEW(""), 0, 0);
	expect(VIEW("{}\n"), 3, 0);
	expect(VIEW("{}\n{}\n"), 6, 0);
	expect(VIEW("{}\n{"), 3, 0);
	expect(VIEW("{}\n{}"), 3, 0);
	expect(VIEW("{"), 0, 0);
	expect(VIEW("{}\n\0\0\0\0"), 3, 0);
	expect(VIEW("\0\0\0"), 0, 0);
	expect(VIEW("\n"), 1, 0);
}

static void a_long_part_is_cut_too(void **state)
{
	static const size_t lengths[] = { 1, 32767, 32768, 32769, 65536, 300000 };
	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		cleanup(buf_finish) struct buf bytes = { 0 };
		buf_add_view(&bytes, VIEW("{\"a\":1}\n"));
		buf_reserve(&bytes, lengths[i]);
		memset(bytes.ptr + bytes.len, 'x', lengths[i]);
		bytes.len += lengths[i];
		expect(buf_view(&bytes), 8, 0);
		bytes.ptr[7] = ' ';
		expect(buf_view(&bytes), 0, 0);
	}
}

static void a_file_of_somebody_else_is_left_alone(void **state)
{
	(void)state;
	expect(VIEW("PK\003\004 no lines"), 13, -EBADMSG);
	expect(VIEW("text\nwithout an end"), 19, -EBADMSG);
	expect(VIEW("text\n"), 5, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_the_last_newline_is_cut),
		cmocka_unit_test(a_long_part_is_cut_too),
		cmocka_unit_test(a_file_of_somebody_else_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
