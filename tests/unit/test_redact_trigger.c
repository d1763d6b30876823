/* redact_trigger and redact_scan: every width of vectors finds what a search byte by byte finds, and reads nothing else. */
#include "tests/unit/cm.h"

#include "router/base/buf.h"
#include "router/policy/redact_scan.h"
#include "router/policy/redact_trigger.h"
#include "tests/tools/random.h"

enum { ROUNDS = 20000, LENGTH_MAX = 700 };

static bool folded_has(struct view bytes, const char *word)
{
	size_t n = strlen(word);
	for (size_t at = 0; at + n <= bytes.len; at++) {
		size_t same = 0;
		while (same < n && (bytes.ptr[at + same] | 0x20) == word[same])
			same++;
		if (same == n)
			return true;
	}
	return false;
}

static bool has_trigger(struct view bytes)
{
	return (bytes.len && memmem(bytes.ptr, bytes.len, "eyJ", 3)) || folded_has(bytes, "bearer");
}

static void check_all_ways(struct view bytes)
{
	struct redact_trigger_ways ways = redact_trigger_ways();
	bool (*const all[])(struct view) = { ways.plain, ways.narrow, ways.wide, redact_trigger };
	bool there = has_trigger(bytes);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] && all[i](bytes) != there)
			fail_msg("way %zu says %d of %zu bytes: %.*s", i, !there, bytes.len, (int)bytes.len, bytes.ptr);
}

/* A copy that ends where its memory ends, for AddressSanitizer. */
static char *exactly(const char *bytes, size_t len)
{
	char *copy = mem_zero(len ? len : 1, 1);
	memcpy(copy, bytes, len);
	return copy;
}

/* Among bytes that make hits of half of it everywhere. */
static void words_are_found_at_every_place(void **state)
{
	static const char *const words[] = { "eyJ", "bearer", "BEARER", "bEaReR", "eyj", "EyJ", "earer", "beare", "b?arer", "bear?r", "r?r", "e?J" };
	static const char fills[] = { '.', 'r', 'e', 'J' };
	(void)state;
	for (size_t w = 0; w < sizeof words / sizeof *words; w++)
		for (size_t len = strlen(words[w]); len < 280; len += len < 150 ? 1 : 13)
			for (size_t at = 0; at + strlen(words[w]) <= len; at++) {
				char *bytes = mem_zero(len, 1);
				memset(bytes, fills[(at + len) % sizeof fills], len);
				memcpy(bytes + at, words[w], strlen(words[w]));
				check_all_ways((struct view){ bytes, len });
				free(bytes);
			}
	check_all_ways((struct view){ 0 });
}

static size_t make_text(struct random *r, const char *letters, char text[static LENGTH_MAX])
{
	size_t len = random_below(r, LENGTH_MAX), n = strlen(letters);
	for (size_t i = 0; i < len; i++)
		text[i] = letters[random_below(r, n)];
	return len;
}

static void random_texts_have_what_they_have(void **state)
{
	static const char *const letters[] = { "eyJ.............", "bear", "beaRBEAr", "eyJr......", "e..J..r..b..a..." };
	char text[LENGTH_MAX];
	struct random_run run = { ROUNDS, 1 };
	(void)state;
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		size_t len = make_text(&r, letters[i % (sizeof letters / sizeof *letters)], text);
		char *bytes = exactly(text, len);
		check_all_ways((struct view){ bytes, len });
		free(bytes);
	}
}

static const char *find_pair(const char *at, const char *end, char first, unsigned distance, char second, uint8_t fold)
{
	for (; end - at > (ptrdiff_t)distance; at++)
		if ((at[0] | fold) == first && (at[distance] | fold) == second)
			return at;
	return NULL;
}

static void pairs_are_found_where_they_are_first(void **state)
{
	char text[LENGTH_MAX];
	struct random_run run = { ROUNDS, 2 };
	(void)state;
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		size_t len = make_text(&r, "bB......................................r.R.........", text);
		unsigned distance = (unsigned)random_below(&r, 14);
		uint8_t fold = i % 2 ? 0x20 : 0;
		char *bytes = exactly(text, len);
		const char *at = bytes, *end = bytes + len;
		do {
			const char *found = scan_pair(at, end, 'b', distance, 'r', fold);
			assert_ptr_equal(found, find_pair(at, end, 'b', distance, 'r', fold));
			at = found ? found + 1 : NULL;
		} while (at);
		free(bytes);
	}
}

static void the_first_hit_is_named(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 16; first++)
		for (unsigned other = first; other < 16; other++) {
			scan_bytes hits = { 0 };
			hits[first] = hits[other] = 0xff;
			assert_int_equal(scan_first(hits), first);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found_at_every_place),
		cmocka_unit_test(random_texts_have_what_they_have),
		cmocka_unit_test(pairs_are_found_where_they_are_first),
		cmocka_unit_test(the_first_hit_is_named),
	};
	return cmocka_run_group_tests_name("redact_trigger", tests, NULL, NULL);
}
