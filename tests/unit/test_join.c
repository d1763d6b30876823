/* join: parts in any order, twice, from many entries at once, and never. */
#include "tests/unit/cm.h"

#include "router/base/buf.h"
#include "router/event/join.h"
#include "tests/tools/random.h"

static const struct join_limits limits = { .parts_max = 8, .bytes_max = 100, .lines_max = 50, .wait_ms = 1000 };

static struct join_group *add(struct join *j, const char *uid, uint32_t index, uint32_t total, const char *bytes)
{
	const struct log_entry_split split = { view_of(uid), index, total };
	char *tag = mem_text(view_of(bytes));
	assert_true(join_can(j, &split, strlen(bytes)));
	return join_add(j, &split, view_of(bytes), tag, 0, 0);
}

/* Its parts' bytes, one behind the other; freed. */
static void holds(struct join_group *g, const char *want)
{
	struct buf got = { 0 };
	assert_non_null(g);
	for (const struct join_part *p = g->parts; p; p = p->next) {
		assert_true(view_eq(p->bytes, view_of(p->tag)));
		buf_add_view(&got, p->bytes);
	}
	assert_string_equal(buf_text(&got), want);
	buf_finish(&got);
	join_group_free(g);
}

static void parts_come_in_any_order(void **state)
{
	struct join *j = join_create(&limits);
	(void)state;
	assert_null(add(j, "u", 2, 3, "c"));
	assert_null(add(j, "u", 0, 3, "a"));
	assert_null(add(j, "v", 1, 2, "y")); /* another one between them */
	holds(add(j, "u", 1, 3, "b"), "abc");
	holds(add(j, "v", 0, 2, "x"), "xy");
	assert_int_equal(join_wait_ms(j, 0), -1);
	assert_null(join_due(j, 1000, 100000, true));
	join_destroy(j);
}

static void a_part_that_comes_twice_is_there_twice(void **state)
{
	struct join *j = join_create(&limits);
	(void)state;
	assert_null(add(j, "u", 0, 2, "1"));
	assert_null(add(j, "u", 0, 2, "2"));
	holds(add(j, "u", 1, 2, "3"), "123");
	assert_null(add(j, "u", 1, 2, "4")); /* after the group: one of its own */
	assert_null(add(j, "u", 1, 3, "5")); /* another total: another entry */
	holds(join_due(j, 0, 0, true), "4");
	holds(join_due(j, 0, 0, true), "5");
	join_destroy(j);
}

static void what_never_completes_is_given_back(void **state)
{
	struct join *j = join_create(&limits);
	(void)state;
	assert_null(add(j, "u", 1, 3, "b"));
	assert_null(add(j, "u", 0, 3, "a"));
	assert_null(add(j, "v", 0, 3, "x"));
	assert_int_equal(join_wait_ms(j, 0), 1000);
	assert_null(join_due(j, 50, 999, false));
	holds(join_due(j, 51, 999, false), "ab"); /* lines */
	assert_null(join_due(j, 50, 999, false));
	assert_int_equal(join_wait_ms(j, 1001), 0);
	holds(join_due(j, 50, 1000, false), "x"); /* time */
	for (uint32_t i = 0; i < 8; i++) {
		char uid[] = { 'a', (char)('0' + i), 0 };
		assert_null(add(j, uid, 0, 2, uid));
		assert_null(join_due(j, 0, 0, false));
	}
	assert_null(add(j, "more", 0, 2, "z"));
	holds(join_due(j, 0, 0, false), "a0"); /* count: the oldest */
	assert_null(join_due(j, 0, 0, false));
	for (int i = 0; i < 8; i++)
		join_group_free(join_due(j, 0, 0, true));
	assert_null(add(j, "u", 0, 2, "0123456789012345678901234567890123456789012345678901234567890"));
	assert_null(add(j, "v", 0, 2, "0123456789012345678901234567890123456789012345678901234567890"));
	holds(join_due(j, 0, 0, false), "0123456789012345678901234567890123456789012345678901234567890"); /* bytes */
	assert_null(join_due(j, 0, 0, false));
	join_destroy(j); /* with something in it */
}

static void what_can_never_be_whole_is_not_taken(void **state)
{
	struct join *j = join_create(&limits);
	struct log_entry_split split = { VIEW("u"), 0, 8 };
	char uid[JOIN_UID_MAX + 2];
	(void)state;
	assert_true(join_can(j, &split, 100));
	assert_false(join_can(j, &split, 101));
	split.total = 9;
	assert_false(join_can(j, &split, 1));
	memset(uid, 'u', sizeof uid);
	split = (struct log_entry_split){ { uid, JOIN_UID_MAX + 1 }, 0, 2 };
	assert_false(join_can(j, &split, 1));
	join_destroy(j);
}

/* Parts of 40 entries, shuffled: every group comes out once, whole and in order. */
static void groups_come_out_whole(void **state)
{
	enum { GROUPS = 40, PARTS = 7 };
	static const struct join_limits wide = { .parts_max = 1000, .bytes_max = 1 << 20, .lines_max = 1000, .wait_ms = 1000 };
	struct join *j = join_create(&wide);
	unsigned order[GROUPS * PARTS], whole = 0;
	struct random random = { 7 };
	(void)state;
	for (unsigned i = 0; i < GROUPS * PARTS; i++) {
		unsigned k = (unsigned)random_below(&random, i + 1);
		order[i] = order[k];
		order[k] = i;
	}
	for (unsigned i = 0; i < GROUPS * PARTS; i++) {
		char uid[16], bytes[16], want[16] = "ABCDEFG";
		(void)snprintf(uid, sizeof uid, "u%u", order[i] / PARTS);
		(void)snprintf(bytes, sizeof bytes, "%c", 'A' + (int)(order[i] % PARTS));
		struct join_group *g = add(j, uid, order[i] % PARTS, PARTS, bytes);
		if (g) {
			assert_true(view_eq(g->uid, view_of(uid)));
			holds(g, want);
			whole++;
		}
	}
	assert_int_equal(whole, GROUPS);
	assert_null(join_due(j, 0, 0, true));
	join_destroy(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_come_in_any_order),
		cmocka_unit_test(a_part_that_comes_twice_is_there_twice),
		cmocka_unit_test(what_never_completes_is_given_back),
		cmocka_unit_test(what_can_never_be_whole_is_not_taken),
		cmocka_unit_test(groups_come_out_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
