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

struct post {
	const char *text;
	uint32_t body;
	int64_t now_ms;
	bool seen;
};

/* A hundred texts are remembered, for a second. */
static void check_posts(const struct post *posts, size_t n)
{
	struct webhook_dedup *d = dedup_create(100, 1000);
	for (size_t i = 0; i < n; i++)
		if (seen(d, posts[i].text, posts[i].body, posts[i].now_ms) != posts[i].seen)
			fail_msg("post %zu of \"%s\": seen is not %d", i, posts[i].text, posts[i].seen);
	dedup_destroy(d);
}
#define CHECK_POSTS(posts) check_posts(posts, sizeof(posts) / sizeof *(posts))

static void test_once(void **state)
{
	static const struct post posts[] = {
		{ "a", 1, 0, false },
		{ "b", 1, 0, false },
		{ "a", 2, 10, true },
		{ "b", 3, 20, true },
		{ "ab", 3, 20, false },
		{ "", 3, 20, false },
	};
	(void)state;
	CHECK_POSTS(posts);
}

/* An event that stands in one body twice is two events; posted again, none; cut after the first, the second is missing. */
static void test_twins(void **state)
{
	static const struct post posts[] = {
		{ "twin", 1, 0, false },
		{ "twin", 1, 0, false },
		{ "twin", 2, 0, true },
		{ "twin", 2, 0, true },
		{ "twin", 2, 0, false },
		{ "cut", 3, 0, false },
		{ "cut", 4, 0, true },
		{ "cut", 4, 0, false },
	};
	(void)state;
	CHECK_POSTS(posts);
}

static void test_window(void **state)
{
	static const struct post posts[] = {
		{ "a", 1, 0, false },
		{ "b", 1, 500, false },
		{ "a", 2, 999, true },
		{ "a", 3, 1000, false },
		{ "b", 3, 1000, true },
	};
	(void)state;
	CHECK_POSTS(posts);
}

static void test_find(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(100, 1000);
	assert_false(seen(d, "b", 1, 0));
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
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
