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

/*
 * Of another program, written from the paper, which agrees with the reference's vectors for 2-4 rounds: keys and bytes count from 0.
 * Rounds that mix less make no test of single bytes fail, but two events the same for who may choose them.
 */
static void test_vectors(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash[2];
	} vectors[] = {
		{ 0, { 0xbea58827b2bc7ee7, 0x013030dd6adb62fd } },
		{ 1, { 0xa8edd36004376ffc, 0x63f02f2bcc73055e } },
		{ 8, { 0xb4dae3d5e1fe12aa, 0x99c7f935ab164f72 } },
		{ 15, { 0x6c52bdb205557ec1, 0x09017e1eeccd2129 } },
		{ 63, { 0x6f42fe4ee300584c, 0xad6052a70a6b9f07 } },
	};
	char bytes[64];
	const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)i;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint64_t hash[2];
		siphash128(key, (struct view){ bytes, vectors[i].len }, hash);
		assert_memory_equal(hash, vectors[i].hash, sizeof hash);
	}
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

/* The same of long events, whichever way they are hashed. */
static void test_event_hash(void **state)
{
	(void)state;
	enum { LONGEST = EVENT_HASH_MIN + 70 };
	const uint64_t key[2] = { 1, 2 }, other_key[2] = { 1, 3 };
	uint64_t all[LONGEST][2], other[2];
	char bytes[LONGEST] = { 0 };
	for (size_t len = 0; len < LONGEST; len++) {
		event_hash(key, (struct view){ bytes, len }, all[len]);
		event_hash_plain(key, (struct view){ bytes, len }, other);
		assert_memory_equal(other, all[len], sizeof other);
		for (size_t i = 0; i < len; i++) {
			assert_true(all[i][0] != all[len][0] && all[i][1] != all[len][1]);
			bytes[i] = 1;
			event_hash(key, (struct view){ bytes, len }, other);
			bytes[i] = 0;
			assert_true(other[0] != all[len][0] && other[1] != all[len][1]);
		}
		event_hash(other_key, (struct view){ bytes, len }, other);
		assert_true(other[0] != all[len][0] && other[1] != all[len][1]);
	}
	/* Where words stand counts, in a lane and between lanes. */
	for (size_t from = 0; from + 8 < EVENT_HASH_MIN; from += 8) {
		uint64_t moved[2];
		bytes[from] = 1;
		event_hash(key, (struct view){ bytes, EVENT_HASH_MIN }, other);
		bytes[from] = 0;
		bytes[from + 8] = 1;
		event_hash(key, (struct view){ bytes, EVENT_HASH_MIN }, moved);
		bytes[from + 8] = 0;
		assert_true(moved[0] != other[0] && moved[1] != other[1]);
	}
}

/* A batch of hashes finds what single events do, however full it is. */
static void test_batch(void **state)
{
	(void)state;
	struct webhook_dedup *d = dedup_create(20, 1000);
	struct dedup_entry *entry;
	for (unsigned round = 0; round < 50; round++) {
		char texts[DEDUP_BATCH][8];
		struct view events[DEDUP_BATCH];
		uint64_t hashes[DEDUP_BATCH][2];
		for (unsigned i = 0; i < DEDUP_BATCH; i++) {
			(void)snprintf(texts[i], sizeof texts[i], "%u", round / 2 * DEDUP_BATCH + i);
			events[i] = view_of(texts[i]);
		}
		dedup_hash(d, events, DEDUP_BATCH, hashes);
		for (unsigned i = 0; i < DEDUP_BATCH; i++) {
			assert_int_equal(dedup_seen_hash(d, hashes[i], round + 1, 0, &entry), round % 2);
			assert_ptr_equal(dedup_find(d, events[i]), entry);
		}
	}
	dedup_destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_event_hash),
		cmocka_unit_test(test_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
