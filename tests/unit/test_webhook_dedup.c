#include "cm.h"

#include <stdio.h>

#include "router/input/webhook_dedup.h"

static bool seen(struct webhook_dedup *d, const char *text, uint32_t body, int64_t now_ms)
{
	struct dedup_entry *entry = NULL;
	bool r = dedup_seen(d, view_of(text), body, now_ms, &entry);
	assert_non_null(entry);
	return r;
}

static void test_once(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(100, 1000);
	assert_false(seen(d, "a", 1, 0));
	assert_false(seen(d, "b", 1, 0));
	assert_true(seen(d, "a", 2, 10));
	assert_true(seen(d, "b", 3, 20));
	assert_false(seen(d, "ab", 3, 20));
	assert_false(seen(d, "", 3, 20));
	dedup_destroy(d);
}

/* An event that stands in one body twice is two events; posted again, none; cut after the first, the second is missing. */
static void test_twins(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(100, 1000);
	assert_false(seen(d, "twin", 1, 0));
	assert_false(seen(d, "twin", 1, 0));
	assert_true(seen(d, "twin", 2, 0));
	assert_true(seen(d, "twin", 2, 0));
	assert_false(seen(d, "twin", 2, 0));
	assert_false(seen(d, "cut", 3, 0));
	assert_true(seen(d, "cut", 4, 0));
	assert_false(seen(d, "cut", 4, 0));
	dedup_destroy(d);
}

static void test_window(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(100, 1000);
	assert_false(seen(d, "a", 1, 0));
	assert_false(seen(d, "b", 1, 500));
	assert_true(seen(d, "a", 2, 999));
	assert_false(seen(d, "a", 3, 1000));
	assert_true(seen(d, "b", 3, 1000));
	assert_null(dedup_find(d, VIEW("c")));
	assert_non_null(dedup_find(d, VIEW("b")));
	dedup_destroy(d);
}

static void test_full(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(1000, 1000000);
	char text[32];
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3000; i++) {
			(void)snprintf(text, sizeof text, "%d/%d", round, i);
			assert_false(seen(d, text, 1, i));
		}
		for (int i = 2999; i >= 0; i--) {
			(void)snprintf(text, sizeof text, "%d/%d", round, i);
			assert_int_equal(dedup_find(d, view_of(text)) != NULL, i >= 2000);
		}
	}
	dedup_destroy(d);
	d = dedup_create(1, 1000);
	assert_false(seen(d, "a", 1, 0));
	assert_false(seen(d, "b", 1, 0));
	assert_true(seen(d, "b", 2, 0));
	assert_false(seen(d, "a", 2, 0));
	dedup_destroy(d);
}

/* Every byte, every length and the key count. */
static void test_hash(void **state)
{
	(void)state;
	uint64_t key[2] = { 1, 2 }, all[64][2];
	char bytes[64] = { 0 };
	for (size_t len = 0; len < 64; len++) {
		siphash128(key, (struct view){ bytes, len }, all[len]);
		for (size_t i = 0; i < len; i++) {
			uint64_t other[2];
			assert_true(all[i][0] != all[len][0] && all[i][1] != all[len][1]);
			bytes[i] = 1;
			siphash128(key, (struct view){ bytes, len }, other);
			bytes[i] = 0;
			assert_true(other[0] != all[len][0] && other[1] != all[len][1]);
		}
	}
	uint64_t other_key[2] = { 1, 3 }, other[2];
	siphash128(other_key, (struct view){ bytes, 9 }, other);
	assert_true(other[0] != all[9][0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
