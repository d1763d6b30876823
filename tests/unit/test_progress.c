#include "tests/unit/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/crc32c.h"
#include "router/base/io.h"
#include "router/lane/ledger.h"
#include "router/lane/progress.h"

enum { RUN = 4711 };

static const char *const inputs[] = { "log", "other" };
static const char *const lanes[] = { "siem/ADMIN_READ", "archive/ADMIN_READ" };
static const struct progress_names names = { inputs, 2, lanes, 2, 3 };

static char folder[] = "/tmp/test-progress-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	_free_ char *path = mem_textf("%s/progress", folder);
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static struct progress *create(void)
{
	struct progress *p;
	assert_int_equal(progress_create(&p, folder, RUN, &names), 0);
	return p;
}

static struct buf read_file(void)
{
	struct buf bytes = { 0 };
	_free_ char *path = mem_textf("%s/progress", folder);
	assert_int_equal(io_read_whole(path, 1 << 30, &bytes), 0);
	return bytes;
}

static void write_file(const char *bytes, size_t len)
{
	_free_ char *path = mem_textf("%s/progress", folder);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write(fd, bytes, len), 0);
}

static struct progress_point lane_point(const struct progress_past *past, const char *input, const char *lane)
{
	struct progress_point p = { 0 };
	assert_true(progress_past_lane(past, input, lane, &p));
	return p;
}

static void what_was_stored_is_read_by_name(void **state)
{
	struct progress *p = create();
	struct progress_point point;
	uint64_t position;
	(void)state;
	for (uint64_t i = 1; i <= 5; i++) {
		progress_settle(p, 1, 0, i * 100, i);
		progress_settle(p, 1, 1, i * 10, i * 2);
	}
	progress_settle(p, 1, 2, 7, 0);
	progress_spool(p, 1, 12345);
	/* Read while the run that writes still lives: a kill leaves nothing else behind. */
	struct progress_past *past = progress_read(folder, RUN);
	assert_non_null(past);
	point = lane_point(past, "other", lanes[0]);
	assert_int_equal(point.position, 500);
	assert_int_equal(point.seq, 5);
	assert_int_equal(lane_point(past, "other", lanes[1]).position, 50);
	assert_false(progress_past_lane(past, "log", lanes[0], &point)); /* never stored */
	assert_false(progress_past_lane(past, "no such", lanes[0], &point));
	assert_false(progress_past_lane(past, "other", "log", &point));
	assert_true(progress_past_input(past, "other", &position));
	assert_int_equal(position, 7); /* the lane without a name counts too */
	assert_false(progress_past_input(past, "log", &position));
	assert_true(progress_past_spool(past, lanes[1], &position));
	assert_int_equal(position, 12345);
	assert_false(progress_past_spool(past, lanes[0], &position));
	progress_past_free(past);
	progress_destroy(p);
}

static void only_its_own_run_reads_it(void **state)
{
	struct progress *p = create();
	(void)state;
	assert_null(progress_read(folder, RUN + 1));
	assert_null(progress_read(folder, 0));
	assert_null(progress_read("/nonexistent", RUN));
	struct progress_past *past = progress_read(folder, RUN);
	assert_non_null(past);
	progress_past_free(past);
	progress_distrust(p);
	assert_null(progress_read(folder, RUN));
	progress_destroy(p);
}

enum { NAMES_BYTES_AT = 76, CRC_AT = 84, HEADER_BYTES = 88 };

static void sign(struct buf *bytes)
{
	uint32_t names_bytes, crc;
	memcpy(&names_bytes, bytes->ptr + NAMES_BYTES_AT, sizeof names_bytes);
	crc = crc32c_add(crc32c_add(0, bytes->ptr, CRC_AT), bytes->ptr + HEADER_BYTES, names_bytes);
	memcpy(bytes->ptr + CRC_AT, &crc, sizeof crc);
}

static void another_boot_is_passed_over(void **state)
{
	struct progress *p = create();
	(void)state;
	progress_settle(p, 0, 0, 1, 1);
	struct buf bytes = read_file(), id = { 0 };
	assert_int_equal(io_read_whole("/proc/sys/kernel/random/boot_id", 64, &id), 0);
	char *at = memmem(bytes.ptr, bytes.len, id.ptr, id.len);
	assert_non_null(at);
	for (int other = 0; other < 2; other++) { /* the same again with the right one, so that it is not the checksum that tells */
		at[0] = other ? (char)(at[0] == '0' ? '1' : '0') : at[0];
		sign(&bytes);
		write_file(bytes.ptr, bytes.len);
		struct progress_past *past = progress_read(folder, RUN);
		assert_true(other ? !past : past != NULL);
		progress_past_free(past);
	}
	buf_finish(&bytes);
	buf_finish(&id);
	progress_destroy(p);
}

/* Whatever a crash of something else did to the file: it is read as it was, as it was a store before, or not at all. */
static void damage_is_never_believed(void **state)
{
	struct progress *p = create();
	(void)state;
	progress_settle(p, 0, 0, 100, 10);
	progress_settle(p, 0, 0, 200, 20);
	progress_mark(p, 0, 0, VIEW("first"));
	progress_mark(p, 0, 50, VIEW("second"));
	struct buf bytes = read_file();
	for (size_t i = 0; i < bytes.len; i++) {
		struct progress_marked marks[PROGRESS_MARKS];
		struct progress_point point;
		if (!bytes.ptr[i] && i % 16381) /* most of it is nothing */
			continue;
		bytes.ptr[i] ^= 0x10;
		write_file(bytes.ptr, bytes.len);
		bytes.ptr[i] ^= 0x10;
		struct progress_past *past = progress_read(folder, RUN);
		if (past && progress_past_lane(past, "log", lanes[0], &point))
			assert_true((point.position == 100 && point.seq == 10) || (point.position == 200 && point.seq == 20));
		size_t n = past ? progress_past_marks(past, "log", marks) : 0;
		assert_true(n <= 2);
		if (n)
			assert_true(marks[n - 1].position == (n == 2 || view_eq(marks[n - 1].text, VIEW("second")) ? 50 : 0));
		progress_past_free(past);
	}
	for (size_t len = 0; len < bytes.len; len = len * 2 + 1) {
		write_file(bytes.ptr, len);
		assert_null(progress_read(folder, RUN));
	}
	buf_finish(&bytes);
	progress_destroy(p);
}

static void marks_come_back_in_order_the_last_ones(void **state)
{
	struct progress *p = create();
	struct progress_marked marks[PROGRESS_MARKS];
	char text[PROGRESS_MARK_BYTES + 1];
	(void)state;
	for (uint64_t i = 0; i < PROGRESS_MARKS * 3 + 5; i++) {
		(void)snprintf(text, sizeof text, "mark %llu", (unsigned long long)i);
		progress_mark(p, 1, i * 3, view_of(text));
	}
	struct progress_past *past = progress_read(folder, RUN);
	assert_int_equal(progress_past_marks(past, "log", marks), 0);
	assert_int_equal(progress_past_marks(past, "other", marks), PROGRESS_MARKS);
	for (uint64_t i = 0; i < PROGRESS_MARKS; i++) {
		uint64_t number = PROGRESS_MARKS * 2 + 5 + i;
		(void)snprintf(text, sizeof text, "mark %llu", (unsigned long long)number);
		assert_int_equal(marks[i].position, number * 3);
		assert_true(view_eq(marks[i].text, view_of(text)));
	}
	progress_past_free(past);
	progress_destroy(p);
}

static void a_mark_without_room_is_a_position_alone(void **state)
{
	struct progress *p = create();
	struct progress_marked marks[PROGRESS_MARKS];
	char text[PROGRESS_MARK_BYTES + 1];
	(void)state;
	memset(text, 'x', sizeof text);
	progress_mark(p, 0, 3, (struct view){ text, PROGRESS_MARK_BYTES });
	progress_mark(p, 0, 4, (struct view){ text, PROGRESS_MARK_BYTES + 1 });
	struct progress_past *past = progress_read(folder, RUN);
	assert_int_equal(progress_past_marks(past, "log", marks), 2);
	assert_int_equal(marks[0].text.len, PROGRESS_MARK_BYTES);
	assert_int_equal(marks[1].position, 4);
	assert_null(marks[1].text.ptr);
	progress_past_free(past);
	progress_destroy(p);
}

static void none_is_as_good_as_one(void **state)
{
	(void)state;
	progress_settle(NULL, 9, 9, 9, 9);
	progress_distrust(NULL);
	progress_spool(NULL, 9, 9);
	progress_mark(NULL, 9, 9, VIEW("x"));
	progress_destroy(NULL);
	progress_past_free(NULL);
}

/* ---- what the ledger tells it ---- */

static struct progress_point told(const char *lane)
{
	struct progress_past *past = progress_read(folder, RUN);
	assert_non_null(past);
	struct progress_point p = lane_point(past, "log", lane);
	progress_past_free(past);
	return p;
}

static void assert_told(const char *lane, uint64_t position, uint64_t seq)
{
	struct progress_point p = told(lane);
	assert_int_equal(p.position, position);
	assert_int_equal(p.seq, seq);
}

static void the_ledger_tells_what_is_kept(void **state)
{
	struct progress *p = create();
	struct ledger *l;
	uint64_t seq[3] = { 10, 20, 30 }, after[3] = { 15, 22, 30 }, last[3] = { 18, 22, 30 };
	struct ledger_lane positions[3];
	(void)state;
	assert_int_equal(ledger_create(&l, 3, NULL, NULL), 0);
	ledger_start(l, 1000, seq);
	ledger_watch(l, p, 0);
	assert_told(lanes[0], 1000, 10);

	struct span *first = ledger_open(l, seq);
	ledger_join(first, 0);
	ledger_join(first, 1);
	ledger_keep_to(first, 0, 1040, 2);
	assert_told(lanes[0], 1040, 12); /* event by event, even before the span has its end */
	ledger_commit(first, 1100, after);
	struct span *second = ledger_open(l, after);
	ledger_join(second, 0);
	ledger_commit(second, 1200, last);

	ledger_keep_to(second, 0, 1120, 1); /* acknowledged before what is older: it waits */
	assert_told(lanes[0], 1040, 12);
	ledger_close(first, 0);
	assert_told(lanes[0], 1120, 16);
	assert_told(lanes[1], 1000, 20);

	assert_int_equal(ledger_positions(l, positions), 1000);
	assert_int_equal(positions[1].position, 1000);
	assert_int_equal(positions[1].seq, 20);
	ledger_close(first, 1);
	assert_int_equal(ledger_positions(l, positions), 1100);
	assert_told(lanes[1], 1200, 22);
	ledger_close(second, 0);
	assert_told(lanes[0], 1200, 18);

	struct span *third = ledger_open(l, last); /* with events for nobody */
	assert_told(lanes[0], 1200, 18);
	ledger_commit(third, 1300, last);
	assert_told(lanes[0], 1300, 18);
	assert_told(lanes[1], 1300, 22);
	ledger_destroy(l);
	progress_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_stored_is_read_by_name),
		cmocka_unit_test(only_its_own_run_reads_it),
		cmocka_unit_test(another_boot_is_passed_over),
		cmocka_unit_test(damage_is_never_believed),
		cmocka_unit_test(marks_come_back_in_order_the_last_ones),
		cmocka_unit_test(a_mark_without_room_is_a_position_alone),
		cmocka_unit_test(none_is_as_good_as_one),
		cmocka_unit_test(the_ledger_tells_what_is_kept),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
