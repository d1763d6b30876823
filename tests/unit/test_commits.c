/* What exactly-once outputs keep of their inputs: texts in pieces, states of files that are merged, how far lanes reach. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <string.h>

#include "router/base/base64.h"
#include "router/base/cleanup.h"
#include "router/input/file_state.h"
#include "router/input/input.h"
#include "router/instance.h"
#include "router/lane/ledger.h"
#include "router/output/kafka_commit.h"
#include "tests/unit/folder.h"

/* ---- base64 ---- */

static void base64_comes_back(void **state)
{
	static const struct {
		const char *plain, *coded;
	} known[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "\xff\xfe\xfd\xfc", "//79/A==" } };
	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		cleanup(buf_finish) struct buf coded = { 0 }, plain = { 0 };
		base64_add(&coded, view_of(known[i].plain));
		assert_string_equal(buf_text(&coded), known[i].coded);
		assert_true(base64_decode(&plain, buf_view(&coded)));
		assert_string_equal(buf_text(&plain), known[i].plain);
	}
}

static void what_is_no_base64_is_refused(void **state)
{
	static const char *const bad[] = { "Z", "Zg=", "Zg", "Zg==Zg==", "Z===", "====", "Zm9\n", "Zm9-" };
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cleanup(buf_finish) struct buf out = { 0 };
		assert_false(base64_decode(&out, view_of(bad[i])));
	}
}

/* ---- texts ---- */

static rd_kafka_topic_partition_list_t *slots(int n)
{
	char name[16];
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof name, "t%d", i);
		rd_kafka_topic_partition_list_add(list, name, 0);
	}
	return list;
}

/* Bytes that do not compress. */
static char *noise(size_t len)
{
	char *text = mem_alloc(len + 1);
	uint32_t x = 1;
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = (char)(1 + (x >> 24) % 255);
	}
	text[len] = 0;
	return text;
}

static void texts_come_back_in_pieces(void **state)
{
	static const struct {
		size_t len;
		int pieces;
	} cases[] = { { 0, 1 }, { 100, 1 }, { 2900, 1 }, { 3100, 2 }, { 11000, 4 } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_free_ char *text = noise(cases[i].len), *back = NULL;
		rd_kafka_topic_partition_list_t *list = slots(4);
		assert_int_equal(kafka_commit_pack(list, text, 4711), 0);
		assert_int_equal(list->cnt, cases[i].pieces);
		for (int k = 0; k < list->cnt; k++) {
			assert_in_range(list->elems[k].metadata_size, 1, 4096);
			assert_int_equal(list->elems[k].offset, 4711);
		}
		assert_int_equal(kafka_commit_unpack(list, &back), 0);
		assert_string_equal(back, text);
		rd_kafka_topic_partition_list_destroy(list);
	}
}

static void a_text_that_is_too_long_is_told(void **state)
{
	_free_ char *text = noise(20000);
	rd_kafka_topic_partition_list_t *list = slots(4);
	(void)state;
	assert_int_equal(kafka_commit_pack(list, text, 1), -E2BIG);
	assert_int_equal(list->cnt, 4);
	rd_kafka_topic_partition_list_destroy(list);
}

static void set(rd_kafka_topic_partition_list_t *list, int i, const char *metadata, int64_t offset)
{
	free(list->elems[i].metadata);
	list->elems[i].metadata = strdup(metadata);
	list->elems[i].metadata_size = strlen(metadata);
	list->elems[i].offset = offset;
}

static void what_is_no_text_of_ours_is_refused(void **state)
{
	_free_ char *text = noise(7000);
	char *back = NULL;
	(void)state;
	rd_kafka_topic_partition_list_t *list = slots(3);
	list->elems[0].offset = RD_KAFKA_OFFSET_INVALID;
	assert_int_equal(kafka_commit_unpack(list, &back), 0);
	assert_null(back); /* nothing was committed */
	static const char *const bad[] = { "", "x", "1:", "1:1/", "1:1/1:", "2:1/1:AAAA", "1:2/2:AAAA", "1:1/1:AAAA" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		set(list, 0, bad[i], 5);
		assert_int_equal(kafka_commit_unpack(list, &back), -EBADMSG);
	}
	assert_int_equal(kafka_commit_pack(list, text, 9), 0);
	assert_int_equal(list->cnt, 3);
	list->elems[1].offset = 8; /* of another commit */
	assert_int_equal(kafka_commit_unpack(list, &back), -EBADMSG);
	rd_kafka_topic_partition_list_destroy(list);
}

static void what_is_not_all_there_is_nothing(void **state)
{
	_free_ char *text = noise(6000), *back = NULL;
	(void)state;
	rd_kafka_topic_partition_list_t *list = slots(3);
	assert_int_equal(kafka_commit_pack(list, text, 9), 0);
	assert_int_equal(list->cnt, 3);
	list->elems[2].offset = RD_KAFKA_OFFSET_INVALID; /* its topic was deleted */
	assert_int_equal(kafka_commit_unpack(list, &back), 0);
	assert_null(back);
	(void)rd_kafka_topic_partition_list_del_by_idx(list, 2); /* or is none of the output's now */
	assert_int_equal(kafka_commit_unpack(list, &back), 0);
	assert_null(back);
	rd_kafka_topic_partition_list_destroy(list);
}

/* ---- states of files ---- */

static struct file_record file(uint64_t id, uint64_t ino, uint64_t hash, uint64_t offset, bool done)
{
	return (struct file_record){ .id = id, .path = (char *)"/a", .dev = 1, .ino = ino, .print = { hash, hash ? 1024 : 0 },
		.offset = offset, .size = 1000, .done = done };
}

static char *text_of(uint64_t next_id, struct file_record *files, size_t n)
{
	return file_state_print(&(struct file_state){ .next_id = next_id, .files = files, .n = n });
}

static struct file_state merged(const struct input_merge *m)
{
	struct err err = { 0 };
	struct file_state s;
	_free_ char *text = file_state_merge(m, &err);
	assert_non_null(text);
	assert_int_equal(file_state_parse(&s, text, &err), 0);
	return s;
}

static const struct file_record *by_hash(const struct file_state *s, uint64_t hash)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i].print.hash == hash)
			return &s->files[i];
	return NULL;
}

static void without_a_checkpoint_what_was_committed_counts(void **state)
{
	struct file_record files[] = { file(4, 10, 77, 500, false), file(2, 11, 78, 1000, true) };
	_free_ char *committed = text_of(5, files, 2);
	cleanup(file_state_finish) struct file_state s = merged(&(struct input_merge){ .committed = committed });
	(void)state;
	assert_int_equal(s.n, 2);
	assert_int_equal(by_hash(&s, 77)->offset, 500);
	assert_true(by_hash(&s, 78)->done);
	assert_true(s.next_id >= 5);
}

static void an_older_checkpoint_gives_way(void **state)
{
	struct file_record old[] = { file(0, 10, 77, 100, false) };
	struct file_record new[] = { file(0, 10, 77, 1000, true), file(1, 11, 78, 300, false) };
	_free_ char *known = text_of(1, old, 1), *committed = text_of(2, new, 2);
	const char *all[] = { known };
	const struct input_merge m = { .committed = committed, .same_line = true, .mine = known, .known = all, .n_known = 1 };
	cleanup(file_state_finish) struct file_state s = merged(&m);
	(void)state;
	assert_int_equal(s.n, 2);
	assert_int_equal(by_hash(&s, 77)->offset, 1000);
	assert_int_equal(by_hash(&s, 77)->id, 0);
	assert_true(by_hash(&s, 77)->done);
	assert_int_equal(by_hash(&s, 78)->offset, 300);
}

/* The lane got nothing of what was read last: only the checkpoint knows that it is past it. */
static void the_further_one_counts(void **state)
{
	struct file_record old[] = { file(0, 10, 77, 100, false) };
	struct file_record new[] = { file(0, 10, 77, 900, false), file(1, 11, 78, 40, false) };
	_free_ char *known = text_of(2, new, 2), *committed = text_of(1, old, 1);
	const char *all[] = { known };
	const struct input_merge m = { .committed = committed, .same_line = true, .mine = known, .known = all, .n_known = 1 };
	cleanup(file_state_finish) struct file_state s = merged(&m);
	(void)state;
	assert_int_equal(by_hash(&s, 77)->offset, 900);
	assert_int_equal(by_hash(&s, 78)->offset, 40);
	assert_int_equal(s.next_id, 2);
}

/* What was settled and forgotten when it was committed must not come again from an older checkpoint. */
static void what_was_forgotten_stays_so(void **state)
{
	struct file_record old[] = { file(0, 10, 77, 100, false), file(1, 11, 78, 0, false) };
	struct file_record new[] = { file(2, 12, 79, 5, false) };
	_free_ char *known = text_of(2, old, 2), *committed = text_of(3, new, 1);
	const char *all[] = { known };
	struct input_merge m = { .committed = committed, .same_line = true, .mine = known, .known = all, .n_known = 1 };
	(void)state;
	{
		cleanup(file_state_finish) struct file_state s = merged(&m);
		assert_int_equal(s.n, 1);
		assert_true(file_state_of(&s, 0).done && file_state_of(&s, 1).done);
	}
	m.same_line = false; /* of another state_dir the numbers say nothing: what is not known is read */
	cleanup(file_state_finish) struct file_state s = merged(&m);
	assert_int_equal(s.n, 3);
	assert_int_equal(by_hash(&s, 77)->offset, 100);
	assert_int_equal(by_hash(&s, 78)->offset, 0);
}

/* The same numbers mean other files there: each file keeps what was committed of it, none gets what was of another. */
static void numbers_of_another_state_dir_are_given_anew(void **state)
{
	struct file_record here[] = { file(0, 20, 90, 600, false), file(1, 10, 77, 10, false) };
	struct file_record there[] = { file(0, 10, 77, 400, false), file(1, 30, 91, 50, false) };
	_free_ char *known = text_of(2, here, 2), *committed = text_of(2, there, 2);
	const char *all[] = { known };
	const struct input_merge m = { .committed = committed, .known = all, .n_known = 1 };
	cleanup(file_state_finish) struct file_state s = merged(&m);
	(void)state;
	assert_int_equal(s.n, 3);
	assert_int_equal(by_hash(&s, 77)->id, 1);
	assert_int_equal(by_hash(&s, 77)->offset, 400);
	assert_true(by_hash(&s, 91)->id >= 2);
	assert_int_equal(by_hash(&s, 91)->offset, 50);
	assert_int_equal(by_hash(&s, 90)->id, 0);
	assert_int_equal(by_hash(&s, 90)->offset, 0); /* nothing is known of this lane there */
}

/* All lanes of an output have one text. Where state_dir was lost, the second gives an empty file the number that the first gave it. */
static void an_empty_file_is_one_for_all_lanes(void **state)
{
	struct file_record there[] = { file(7, 10, 77, 400, false), file(8, 11, 0, 0, false) };
	_free_ char *committed = text_of(9, there, 2), *first = NULL, *second = NULL;
	struct err err = { 0 };
	(void)state;
	assert_non_null(first = file_state_merge(&(struct input_merge){ .committed = committed }, &err));
	const char *all[] = { first };
	assert_non_null(second = file_state_merge(&(struct input_merge){ .committed = committed, .known = all, .n_known = 1 }, &err));
	assert_string_equal(first, second);
}

/* What an empty one was later is known elsewhere: the lane goes on where that says. */
static void what_is_known_of_an_inode_counts_where_it_was_empty(void **state)
{
	struct file_record here[] = { file(0, 10, 77, 600, false) }, there[] = { file(5, 10, 0, 0, false) };
	_free_ char *filled = text_of(1, here, 1), *empty = text_of(6, there, 1);
	const char *all[] = { filled }, *none[] = { empty };
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct input_merge m = { .committed = i ? filled : empty, .mine = i ? empty : filled, .known = i ? none : all, .n_known = 1 };
		cleanup(file_state_finish) struct file_state s = merged(&m);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.files[0].id, i ? 5 : 0);
		assert_int_equal(s.files[0].offset, 600);
		assert_int_equal(s.files[0].print.hash, 77);
	}
}

static void a_state_is_shortened_by_its_oldest_finished_files(void **state)
{
	struct file_record files[] = { file(0, 1, 1, 10, false), file(2, 2, 2, 20, true), file(1, 3, 3, 30, true), file(3, 4, 4, 40, true) };
	_free_ char *whole = text_of(4, files, 4), *two = file_state_shorten(whole, 2), *all = file_state_shorten(whole, 100);
	cleanup(file_state_finish) struct file_state s = { 0 }, least = { 0 };
	struct err err;
	(void)state;
	assert_int_equal(file_state_parse(&s, two, &err), 0);
	assert_int_equal(s.n, 2);
	assert_non_null(by_hash(&s, 1));
	assert_non_null(by_hash(&s, 4));
	assert_int_equal(s.next_id, 4);
	assert_int_equal(file_state_parse(&least, all, &err), 0);
	assert_int_equal(least.n, 1); /* what is not finished stays */
}

static void damaged_states_are_told(void **state)
{
	struct err err = { 0 };
	(void)state;
	assert_null(file_state_merge(&(struct input_merge){ .committed = "{}" }, &err));
	assert_true(err.text[0] != 0);
}

/* ---- how far lanes reach ---- */

static struct span *span(struct ledger *l, uint64_t end, unsigned lane, const uint64_t *seq)
{
	struct span *s = ledger_open(l, seq);
	if (lane < 3)
		ledger_join(s, lane);
	ledger_commit(s, end, seq);
	return s;
}

static void a_lane_reaches_over_what_is_not_its_own(void **state)
{
	enum { NONE = 9 };
	const uint64_t first[LEDGER_LANES_MAX / 64] = { 1 }, two[LEDGER_LANES_MAX / 64] = { 1 | 2 };
	uint64_t seq[3] = { 0 }, after[3] = { 5, 0, 0 }, numbers[3];
	struct ledger *l;
	(void)state;
	assert_int_equal(ledger_create(&l, 3, NULL, NULL), 0);
	assert_int_equal(ledger_reach(l, first, 0), 0);
	struct span *a = ledger_open(l, seq);
	ledger_join(a, 0);
	assert_int_equal(ledger_reach(l, first, 10), 10); /* in hand, but not handed over whole: no further */
	ledger_commit(a, 10, after);
	(void)span(l, 20, NONE, after);
	struct span *c = span(l, 30, 1, after);
	(void)span(l, 40, NONE, after);
	assert_int_equal(ledger_reach(l, first, 0), 0);
	assert_int_equal(ledger_reach(l, first, 10), 40);
	assert_int_equal(ledger_reach(l, two, 10), 20);
	assert_int_equal(ledger_reach(l, two, 30), 40);
	ledger_numbers(l, 10, numbers);
	assert_int_equal(numbers[0], 5);
	ledger_numbers(l, 0, numbers);
	assert_int_equal(numbers[0], 0);
	ledger_close(a, 0);
	assert_int_equal(ledger_reach(l, first, 0), 40);
	ledger_close(c, 1);
	assert_int_equal(ledger_reach(l, two, 0), 40);
	struct span *open = ledger_open(l, after);
	assert_int_equal(ledger_reach(l, two, 0), 40);
	ledger_commit(open, 50, after);
	assert_int_equal(ledger_reach(l, two, 0), 50);
	ledger_numbers(l, 50, numbers);
	assert_int_equal(numbers[0], 5);
	ledger_destroy(l);
}

/* ---- the instance ---- */

static void an_instance_is_drawn_once(void **state)
{
	struct err err = { 0 };
	_free_ char *first = NULL, *again = NULL, *path = mem_textf("%s/instance", folder), *bad = NULL;
	(void)state;
	assert_int_equal(instance_of(folder, &first, &err), 0);
	assert_int_equal(strlen(first), 16);
	assert_int_equal(instance_of(folder, &again, &err), 0);
	assert_string_equal(first, again);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("No Word\n", f);
	(void)fclose(f);
	assert_int_equal(instance_of(folder, &bad, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_comes_back),
		cmocka_unit_test(what_is_no_base64_is_refused),
		cmocka_unit_test(texts_come_back_in_pieces),
		cmocka_unit_test(a_text_that_is_too_long_is_told),
		cmocka_unit_test(what_is_no_text_of_ours_is_refused),
		cmocka_unit_test(what_is_not_all_there_is_nothing),
		cmocka_unit_test(without_a_checkpoint_what_was_committed_counts),
		cmocka_unit_test(an_older_checkpoint_gives_way),
		cmocka_unit_test(the_further_one_counts),
		cmocka_unit_test(what_was_forgotten_stays_so),
		cmocka_unit_test(numbers_of_another_state_dir_are_given_anew),
		cmocka_unit_test(an_empty_file_is_one_for_all_lanes),
		cmocka_unit_test(what_is_known_of_an_inode_counts_where_it_was_empty),
		cmocka_unit_test(a_state_is_shortened_by_its_oldest_finished_files),
		cmocka_unit_test(damaged_states_are_told),
		cmocka_unit_test(a_lane_reaches_over_what_is_not_its_own),
		cmocka_unit_test(an_instance_is_drawn_once),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
