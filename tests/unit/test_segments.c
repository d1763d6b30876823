/* Positions and what they stand for, against a table of every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/input/segments.h"

static void offsets_follow_the_reading(void **state)
{
	struct segments s = { 0 };
	uint64_t file, offset;
	(void)state;
	assert_int_equal(segments_offset(&s, 100, 1, 7), 7);
	segments_begin(&s, 100, 1, 0);
	segments_begin(&s, 150, 1, 50); /* goes on */
	assert_int_equal(s.n, 1);
	segments_begin(&s, 200, 2, 1000);
	segments_begin(&s, 210, SEGMENT_NO_FILE, 0);
	segments_begin(&s, 211, 1, 100);
	assert_int_equal(segments_offset(&s, 100, 1, 0), 0);
	assert_int_equal(segments_offset(&s, 130, 1, 0), 30);
	assert_int_equal(segments_offset(&s, 211, 1, 0), 100);
	assert_int_equal(segments_offset(&s, 221, 1, 0), 110);
	assert_int_equal(segments_offset(&s, 200, 2, 1000), 1000);
	assert_int_equal(segments_offset(&s, 500, 2, 1000), 1010);
	assert_int_equal(segments_offset(&s, 500, 3, 42), 42);
	assert_true(segments_settle(&s, 120, &file, &offset));
	assert_int_equal(file, 1);
	assert_int_equal(offset, 20);
	assert_false(segments_settle(&s, 120, &file, &offset));
	assert_int_equal(segments_offset(&s, 130, 1, 20), 30);
	segments_finish(&s);
}

enum { FILES = 4, STEPS = 60, BYTES_MAX = STEPS * 20 };

/* Random reading and settling: each answer is that of a table that keeps, for each position, how far each file was. */
static void random_reading(void **state)
{
	unsigned seed = (unsigned)getpid();
	(void)state;
	print_message("# seed %u\n", seed);
	for (int round = 0; round < 300; round++) {
		static uint64_t at[BYTES_MAX + 1][FILES];
		struct segments s = { 0 };
		uint64_t known[FILES] = { 0 }, position = 0, settled = 0, file, offset;
		for (int i = 0; i < FILES; i++)
			at[0][i] = 0;
		for (int step = 0; step < STEPS; step++) {
			uint64_t f = (uint64_t)(rand_r(&seed) % FILES), n = (uint64_t)(rand_r(&seed) % 20);
			segments_begin(&s, position, f, at[position][f]);
			for (; n; n--, position++) {
				for (int i = 0; i < FILES; i++)
					at[position + 1][i] = at[position][i];
				at[position + 1][f]++;
			}
			if (rand_r(&seed) % 3 == 0) {
				settled += (uint64_t)rand_r(&seed) % (position - settled + 1);
				while (segments_settle(&s, settled, &file, &offset))
					known[file] = offset;
			}
			for (uint64_t p = settled; p <= position; p++)
				for (uint64_t i = 0; i < FILES; i++)
					assert_int_equal(segments_offset(&s, p, i, known[i]), at[p][i]);
		}
		segments_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets_follow_the_reading),
		cmocka_unit_test(random_reading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
