#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "router/base/crc32c.h"

typedef uint32_t add_f(uint32_t crc, const void *bytes, size_t len);
static add_f *const both[] = { crc32c_add, crc32c_add_by_table };

/* RFC 3720, appendix B.4, and the check value that catalogues of CRCs give. */
static void known_values(void **state)
{
	unsigned char bytes[32];
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(both[i](0, "123456789", 9), 0xe3069283);
		memset(bytes, 0, sizeof bytes);
		assert_int_equal(both[i](0, bytes, sizeof bytes), 0x8a9136aa);
		memset(bytes, 0xff, sizeof bytes);
		assert_int_equal(both[i](0, bytes, sizeof bytes), 0x62a8ab43);
		for (unsigned b = 0; b < sizeof bytes; b++)
			bytes[b] = (unsigned char)b;
		assert_int_equal(both[i](0, bytes, sizeof bytes), 0x46dd794e);
		assert_int_equal(both[i](7, bytes, 0), 7);
	}
}

/* The definition, a bit at a time. */
static uint32_t plain(uint32_t crc, const unsigned char *bytes, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void same_as_plain(const unsigned char *bytes, size_t len)
{
	uint32_t wanted = plain(5, bytes, len);
	for (int i = 0; i < 2; i++) {
		size_t half = len / 3;
		uint32_t crc = both[i](5, bytes, half);
		assert_int_equal(both[i](5, bytes, len), wanted);
		assert_int_equal(both[i](crc, bytes + half, len - half), wanted);
	}
}

static void every_length_alignment_and_split(void **state)
{
	unsigned char bytes[128];
	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	for (size_t from = 0; from < 9; from++)
		for (size_t len = 0; len + from <= sizeof bytes; len++)
			same_as_plain(bytes + from, len);
}

/* Long ones are added up in parts. */
static void around_the_lengths_of_parts(void **state)
{
	unsigned char bytes[4096];
	uint32_t seed = 1;
	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (unsigned char)(seed >> 24);
	}
	for (size_t len = 512; len <= sizeof bytes - 8; len += len % 256 < 240 && len % 256 > 16 ? 13 : 1)
		same_as_plain(bytes + len % 9, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(every_length_alignment_and_split),
		cmocka_unit_test(around_the_lengths_of_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
