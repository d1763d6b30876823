/* The spool on real files, on a simulated disk where a test needs a bad one, and by two threads. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/io.h"
#include "router/lane/spool.h"
#include "router/lane/spool_priv.h"
#include "router/lane/spool_segment.h"
#include "tests/tools/sim_disk.h"

enum { RECORD = sizeof(struct record_header), SEGMENT = sizeof(struct segment_header) };

struct fixture {
	char folder[64];
	struct spool_options options;
};

static int setup(void **state)
{
	struct fixture *f = mem_zero(1, sizeof *f);
	/* Where an fsync costs nothing: what it is worth is property_spool's subject. */
	const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(f->folder, sizeof f->folder, "%s/audit-router-spool-XXXXXX", where);
	assert_non_null(mkdtemp(f->folder));
	f->options = (struct spool_options){ .folder = f->folder, .bytes_max = 1 << 20, .segment_bytes = 1000 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	(void)umount2(f->folder, MNT_DETACH); /* of a test that failed half-way */
	char *command = mem_textf("rm -r %s", f->folder);
	assert_int_equal(system(command), 0);
	free(command);
	free(f);
	return 0;
}

static struct spool *open_spool(const struct spool_options *options)
{
	struct spool *s = NULL;
	struct err err = { 0 };
	int r = spool_open(&s, options, &err);
	if (r < 0)
		print_error("%s: %s\n", err.file, err.text);
	assert_int_equal(r, 0);
	return s;
}

static struct spool *open_sim(const struct spool_options *options, struct sim_disk *disk)
{
	struct spool *s = NULL;
	struct err err = { 0 };
	struct spool_files files = sim_disk_files(disk);
	assert_int_equal(spool_open_files(&s, options, &files, &err), 0);
	return s;
}

/* 100 bytes on disk. */
static int append(struct spool *s, uint64_t seq, uint64_t *ret_position)
{
	char event[128];
	int len = snprintf(event, sizeof event, "{\"n\":%-*llu}", 100 - RECORD - 6 - 15, (unsigned long long)seq);
	struct spool_record r = {
		.seq = seq,
		.class_ = (uint8_t)(seq % 4),
		.rule = VIEW("rules"),
		.input = VIEW("input"),
		.cluster = VIEW("clust"),
		.event = { event, (size_t)len },
	};
	return spool_append(s, &r, ret_position);
}

static void append_many(struct spool *s, uint64_t from, uint64_t to)
{
	uint64_t position;
	for (; from < to; from++)
		assert_int_equal(append(s, from, &position), 0);
}

static uint64_t take(struct spool *s, uint64_t seq)
{
	struct spool_record r;
	uint64_t position = 0;
	assert_int_equal(spool_next(s, &r, &position), 0);
	assert_int_equal(r.seq, seq);
	assert_int_equal(r.class_, seq % 4);
	assert_true(view_eq(r.rule, VIEW("rules")));
	assert_true(view_eq(r.input, VIEW("input")));
	assert_true(view_eq(r.cluster, VIEW("clust")));
	assert_int_equal(r.event.len + 15 + RECORD, 100);
	assert_int_equal(r.event.ptr[r.event.len - 1], '}');
	return position;
}

static void at_end(struct spool *s)
{
	struct spool_record r;
	uint64_t position;
	assert_int_equal(spool_next(s, &r, &position), -EAGAIN);
}

/* Records from .. to-1 are all that is left; closes it. */
static void take_rest(struct spool *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		take(s, i);
	at_end(s);
	spool_close(s);
}

static void damaged(struct spool *s)
{
	struct spool_record r;
	uint64_t position;
	assert_int_equal(spool_next(s, &r, &position), -EBADMSG);
}

/* Changes a byte of the record that starts there; `first` is its segment's. */
static void rot(const struct fixture *f, uint64_t first, uint64_t position, uint64_t byte)
{
	char name[SEGMENT_NAME_ROOM], c;
	segment_name(first, name);
	char *path = io_join(f->folder, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t offset = (off_t)(SEGMENT + position - first + byte);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, offset), 1);
	c ^= 0x40;
	assert_int_equal(pwrite(fd, &c, 1, offset), 1);
	close(fd);
	free(path);
}

static unsigned count_segments(const struct fixture *f, uint64_t up_to)
{
	unsigned n = 0;
	for (uint64_t first = 0; first <= up_to; first += 100) {
		char name[SEGMENT_NAME_ROOM];
		segment_name(first, name);
		char *path = io_join(f->folder, name);
		n += access(path, F_OK) == 0;
		free(path);
	}
	return n;
}

static void records_come_out_as_they_went_in(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	at_end(s);
	append_many(s, 0, 50);
	for (uint64_t i = 0; i < 50; i++)
		take(s, i);
	at_end(s);
	append_many(s, 50, 60);
	take(s, 50);
	spool_rewind(s);
	take(s, 0);
	assert_int_equal(spool_state(s).records, 60);
	assert_int_equal(spool_state(s).bytes, 6000);
	spool_close(s);
	spool_close(NULL);
}

static void forgetting_is_kept_by_sync_and_frees_segments(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	uint64_t position = 0;
	append_many(s, 0, 50);
	assert_int_equal(count_segments(f, 5000), 5);
	for (uint64_t i = 0; i < 35; i++)
		position = take(s, i);
	assert_int_equal(spool_sync(s), 0);
	spool_forget(s, position);
	assert_int_equal(count_segments(f, 5000), 2);
	assert_int_equal(spool_state(s).records, 15);
	assert_int_equal(spool_sync(s), 0);
	spool_forget(s, take(s, 35)); /* not synced: comes again */
	spool_close(s);

	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).records, 15);
	assert_int_equal(spool_state(s).bytes, 1500);
	for (uint64_t i = 35; i < 50; i++)
		position = take(s, i);
	at_end(s);
	spool_forget(s, position);
	spool_forget(s, position);
	assert_int_equal(spool_state(s).records, 0);
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);

	s = open_spool(&f->options);
	uint64_t next;
	at_end(s);
	assert_int_equal(append(s, 50, &next), 0);
	assert_true(next > position);
	take(s, 50);
	spool_close(s);
}

static void forgetting_less_than_was_read_counts_right(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	uint64_t positions[30];
	append_many(s, 0, 30);
	for (uint64_t i = 0; i < 30; i++)
		positions[i] = take(s, i);
	for (uint64_t i = 0; i < 30; i += 7) {
		spool_forget(s, positions[i]);
		assert_int_equal(spool_state(s).records, 29 - i);
		assert_int_equal(spool_state(s).bytes, (29 - i) * 100);
	}
	spool_rewind(s);
	take(s, 29);
	spool_close(s);
}

static void one_process_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options), *other;
	struct err err = { 0 };
	char pid[32];
	(void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
	assert_int_equal(spool_open(&other, &f->options, &err), -EBUSY);
	assert_non_null(strstr(err.text, pid));
	assert_non_null(strstr(err.file, f->folder));
	spool_close(s);
	spool_close(open_spool(&f->options));
}

static void a_torn_tail_is_cut_and_counted(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 5);
	spool_close(s);
	char *path = mem_textf("%s/%020d.segment", f->folder, 0);
	assert_int_equal(truncate(path, SEGMENT + 430), 0);
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).torn_bytes, 30);
	assert_int_equal(spool_state(s).damaged, 0);
	assert_int_equal(spool_state(s).records, 4);
	append_many(s, 4, 6);
	take_rest(s, 0, 6);
	free(path);
}

/* Nothing says that the two were fsynced: the first damaged one ends the prefix. */
static void an_unsynced_hole_ends_what_is_kept(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 5);
	spool_close(s);
	rot(f, 0, 300, 80);
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).torn_bytes, 200);
	assert_int_equal(spool_state(s).records, 3);
	spool_close(s);
}

/* A crash tore one of the segments that were not synced: what comes after it cannot be told from what never was. */
static void an_unsynced_hole_ends_the_segments_after_it(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 10);
	assert_int_equal(spool_sync(s), 0);
	append_many(s, 10, 35);
	spool_close(s);
	rot(f, 1000, 1500, 80);
	s = open_spool(&f->options);
	assert_int_equal(count_segments(f, 5000), 2);
	assert_int_equal(spool_state(s).torn_bytes, 2000);
	assert_int_equal(spool_state(s).damaged, 0);
	append_many(s, 15, 30);
	take_rest(s, 0, 30);
}

static void a_missing_first_segment_that_was_not_forgotten_ends_all(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 25);
	spool_close(s);
	char *path = mem_textf("%s/%020d.segment", f->folder, 0);
	assert_int_equal(unlink(path), 0);
	free(path);
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).records, 0);
	append_many(s, 0, 2);
	take(s, 0);
	take(s, 1);
	at_end(s);
	spool_close(s);
}

/* Unsynced segments outlive the process: nothing of them is missed by one that is killed. */
static void what_was_not_synced_survives_a_kill(void **state)
{
	struct fixture *f = *state;
	f->options.segment_bytes = 300;
	struct spool *s = open_spool(&f->options);
	uint64_t position = 0;
	append_many(s, 0, 40);
	for (uint64_t i = 0; i < 14; i++)
		position = take(s, i);
	spool_forget(s, position);
	spool_close(s);
	f->options.forgotten = position; /* as the progress has it */
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).records, 26);
	assert_int_equal(spool_state(s).torn_bytes, 0);
	take_rest(s, 14, 40);
}

/* An appender syncs by itself only where a bound number of segments waits for that. */
static void a_new_segment_waits_for_no_disk(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	uint64_t position;
	sim_disk_fail_syncs(disk, true);
	append_many(s, 0, 125);
	assert_int_equal(spool_state(s).records, 125);
	uint64_t n = 125;
	while (append(s, n, &position) == 0)
		n++;
	assert_in_range(n, 126, 140);
	spool_close(s);
	sim_disk_fail_syncs(disk, false);
	s = open_sim(&f->options, disk);
	take_rest(s, 0, n);
	sim_disk_destroy(disk);
}

static void rot_of_a_body_costs_that_record(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 5);
	assert_int_equal(spool_sync(s), 0);
	append_many(s, 5, 30);
	spool_close(s);
	rot(f, 0, 300, 80);     /* an older segment */
	rot(f, 2000, 2200, 70); /* the newest, where nothing says that it was fsynced */
	s = open_spool(&f->options);
	assert_int_equal(spool_sync(s), 0);
	append_many(s, 30, 31);
	assert_int_equal(spool_state(s).torn_bytes, 800);
	spool_close(s);
	s = open_spool(&f->options);
	for (uint64_t i = 0; i < 3; i++)
		spool_forget(s, take(s, i));
	damaged(s);
	assert_int_equal(spool_state(s).damaged, 1);
	take(s, 4);
	spool_rewind(s);
	take(s, 4); /* what is damaged was skipped with all before it forgotten: it is forgotten too */
	assert_int_equal(spool_state(s).damaged, 1);
	assert_int_equal(spool_state(s).records, 23 - 4);
	for (uint64_t i = 5; i < 22; i++)
		take(s, i);
	take(s, 30);
	at_end(s);
	spool_close(s);
}

static void a_spool_that_is_written_fast_wants_a_sync_in_time(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	unsigned wanted = 0;
	for (uint64_t i = 0; i < 1000; i++) {
		append_many(s, i, i + 1);
		if (!spool_wants_sync(s))
			continue;
		wanted++;
		assert_int_equal(spool_sync(s), 0);
		assert_false(spool_wants_sync(s));
	}
	/* Of some hundred segments several wait each time, and never so many that an append has to sync. */
	assert_in_range(wanted, 100 / (SPOOL_PENDING_MAX - 1), 100 / 2);
	spool_close(s);
}

static void rot_is_no_torn_tail_where_an_fsync_is_known(void **state)
{
	struct fixture *f = *state;
	f->options.segment_bytes = 100000;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 5);
	assert_int_equal(spool_sync(s), 0);
	append_many(s, 5, 8);
	spool_close(s);
	rot(f, 0, 200, 80);
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).torn_bytes, 0);
	take(s, 0);
	uint64_t position = take(s, 1);
	damaged(s);
	take(s, 3);
	spool_rewind(s);
	take(s, 0);
	take(s, 1);
	damaged(s);
	assert_int_equal(spool_state(s).damaged, 1); /* once */
	spool_forget(s, position);
	assert_int_equal(spool_state(s).records, 5); /* the damaged one went with it */
	for (uint64_t i = 3; i < 8; i++)
		take(s, i);
	spool_close(s);
}

static void rot_of_a_header_costs_the_rest_of_the_segment(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 30);
	uint64_t position = 0;
	rot(f, 0, 400, 9);
	rot(f, 2000, 2500, 33); /* the active one: the reader goes on where the appender is */
	for (uint64_t i = 0; i < 4; i++)
		take(s, i);
	damaged(s);
	for (uint64_t i = 10; i < 25; i++)
		position = take(s, i);
	spool_forget(s, position);
	damaged(s);
	at_end(s);
	assert_int_equal(spool_state(s).damaged, 2);
	assert_int_equal(spool_state(s).records, 0);
	append_many(s, 30, 32);
	take(s, 30);
	take(s, 31);
	spool_close(s);
}

static void a_missing_segment_is_counted(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 30);
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	char *path = mem_textf("%s/%020d.segment", f->folder, 1000);
	assert_int_equal(unlink(path), 0);
	free(path);
	s = open_spool(&f->options);
	for (uint64_t i = 0; i < 10; i++)
		take(s, i);
	damaged(s);
	take(s, 20);
	assert_int_equal(spool_state(s).damaged, 1);
	spool_close(s);
}

static void it_holds_no_more_than_bytes_max(void **state)
{
	struct fixture *f = *state;
	f->options.bytes_max = 4200;
	struct spool *s = open_spool(&f->options);
	uint64_t position, n = 0;
	while (append(s, n, &position) == 0)
		n++;
	assert_in_range(n, 39, 41);
	assert_int_equal(append(s, n, &position), -ENOSPC);
	for (uint64_t i = 0; i < 11; i++)
		position = take(s, i);
	assert_int_equal(append(s, n, &position), -ENOSPC);
	spool_forget(s, 1100); /* a whole segment and some */
	append_many(s, n, n + 5);
	for (uint64_t i = 11; i < n + 5; i++)
		take(s, i);
	spool_close(s);
}

static void a_record_that_never_fits_is_refused_for_ever(void **state)
{
	struct fixture *f = *state;
	f->options.bytes_max = 150;
	struct spool *s = open_spool(&f->options);
	char big[200] = { 0 };
	uint64_t position;
	struct spool_record r = { .event = { big, sizeof big } };
	append_many(s, 0, 1);
	spool_forget(s, take(s, 0));
	assert_int_equal(spool_append(s, &r, &position), -ENOSPC);
	append_many(s, 1, 2); /* in the room of what was forgotten */
	spool_forget(s, take(s, 1));
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	s = open_spool(&f->options);
	append_many(s, 2, 3);
	spool_close(s);
}

static void a_full_disk_leaves_nothing_half_written(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	uint64_t position = 0, n = 0, read = 0;
	for (int round = 0; round < 20; round++) {
		/* The cursor, and in turn several segments or not quite one. */
		sim_disk_set_room(disk, CURSOR_SLOT_STEP + sizeof(struct cursor_slot) + (round % 2 ? 5050 : 990));
		int r;
		while ((r = append(s, n, &position)) == 0)
			n++;
		assert_int_equal(r, -ENOSPC);
		assert_true(n > read);
		for (; read < n; read++)
			position = take(s, read);
		at_end(s);
		spool_forget(s, position); /* all of it, on a disk without a byte to spare */
		assert_int_equal(spool_sync(s), 0);
	}
	spool_close(s);
	s = open_sim(&f->options, disk);
	assert_int_equal(spool_state(s).torn_bytes, 0);
	assert_int_equal(spool_state(s).records, 0);
	spool_close(s);
	sim_disk_destroy(disk);
}

static void a_failed_fsync_is_final(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	uint64_t position;
	append_many(s, 0, 3);
	sim_disk_fail_syncs(disk, true);
	assert_int_equal(spool_sync(s), -EIO);
	sim_disk_fail_syncs(disk, false);
	assert_int_equal(spool_sync(s), -EIO);
	assert_int_equal(append(s, 3, &position), -EIO);
	take(s, 0);
	spool_close(s);
	s = open_sim(&f->options, disk);
	append_many(s, 3, 4);
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	sim_disk_destroy(disk);
}

/* Main's sync, in another thread, between the begin of a segment and its first record. */
static void sync_once(void *context)
{
	struct spool **s = context, *spool = *s;
	*s = NULL;
	if (spool)
		assert_int_equal(spool_sync(spool), 0);
}

/* Of two segments that were forgotten the second one's removal survived a power cut, the first one's did not. */
static void a_forgotten_segment_that_came_back_ends_nothing(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk), *to_sync = s;
	uint64_t position = 0;
	char name[SEGMENT_NAME_ROOM];
	size_t len;
	append_many(s, 0, 20);
	sim_disk_before_records(disk, sync_once, &to_sync);
	append_many(s, 20, 23);
	sim_disk_before_records(disk, NULL, NULL);
	assert_int_equal(spool_sync(s), 0); /* 20 to 22 are settled */
	segment_name(0, name);
	struct buf first = { 0 };
	const char *bytes = sim_disk_bytes(disk, name, &len);
	buf_add(&first, bytes, len);
	for (uint64_t i = 0; i < 20; i++)
		position = take(s, i);
	spool_forget(s, position);
	assert_null(sim_disk_bytes(disk, name, &len));
	spool_close(s);
	sim_disk_put(disk, name, first.ptr, first.len);
	s = open_sim(&f->options, disk);
	struct spool_record r;
	uint64_t last = 0;
	int got;
	while ((got = spool_next(s, &r, &position)) != -EAGAIN)
		last = got == 0 ? r.seq : last;
	assert_int_equal(last, 22);
	spool_close(s);
	buf_finish(&first);
	sim_disk_destroy(disk);
}

static bool has_segment(struct sim_disk *disk, uint64_t first)
{
	char name[SEGMENT_NAME_ROOM];
	size_t len;
	segment_name(first, name);
	return sim_disk_bytes(disk, name, &len);
}

static void append_synced(struct spool *s, uint64_t from, uint64_t to)
{
	append_many(s, from, to);
	assert_int_equal(spool_sync(s), 0);
}

/* A file system that writes elsewhere is full: what was forgotten goes, as far as what stays says that it was durable. */
static void a_cursor_without_room_ends_nothing(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	uint64_t position = 0;
	sim_disk_fill(disk, "cursor");
	append_synced(s, 0, 25);
	for (uint64_t i = 0; i < 20; i++)
		position = take(s, i);
	spool_forget(s, position);
	spool_close(s); /* a kill */
	s = open_sim(&f->options, disk);
	assert_in_range(spool_state(s).records, 5, 25);
	struct spool_record r;
	while (spool_next(s, &r, &position) == 0)
		if (r.seq < 20)
			spool_forget(s, position);
	assert_int_equal(r.seq, 24);
	append_synced(s, 25, 26);
	assert_false(has_segment(disk, 0)); /* its room is had again */
	spool_close(s);
	sim_disk_fill(disk, NULL);
	s = open_sim(&f->options, disk);
	assert_int_equal(spool_state(s).damaged, 0);
	assert_int_equal(spool_state(s).records, 6);
	take_rest(s, 20, 26);
	sim_disk_destroy(disk);
}

/* The same after a start: what the records say is enough. */
static void a_start_without_room_for_the_cursor_gets_room_back(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	uint64_t position = 0;
	sim_disk_fill(disk, "cursor");
	append_synced(s, 0, 20);
	append_many(s, 20, 25);
	spool_close(s);
	s = open_sim(&f->options, disk);
	for (uint64_t i = 0; i < 20; i++)
		position = take(s, i);
	spool_forget(s, position);
	assert_false(has_segment(disk, 0));
	assert_false(has_segment(disk, 1000));
	spool_close(s);
	s = open_sim(&f->options, disk);
	take_rest(s, 20, 25);
	sim_disk_destroy(disk);
}

/* After a failed fsync the kernel says yes without writing: a new start must not take its word for what it reads. */
static void what_a_failed_fsync_dropped_is_written_again(void **state)
{
	struct fixture *f = *state;
	f->options.segment_bytes = 100000;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	append_many(s, 0, 5);
	sim_disk_fail_syncs(disk, true);
	assert_int_equal(spool_sync(s), -EIO);
	spool_close(s);
	sim_disk_fail_syncs(disk, false);
	s = open_sim(&f->options, disk);
	append_many(s, 5, 8);
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	for (uint64_t seed = 1; seed < 50; seed++) {
		uint64_t used = seed;
		struct sim_disk *image = sim_disk_lose(disk, sim_disk_log_length(disk), &used);
		s = open_sim(&f->options, image);
		for (uint64_t i = 0; i < 8; i++)
			take(s, i);
		spool_close(s);
		sim_disk_destroy(image);
	}
	sim_disk_destroy(disk);
}

static void opening_reads_the_newest_segments_only(void **state)
{
	struct fixture *f = *state;
	struct sim_disk *disk = sim_disk_create();
	struct spool *s = open_sim(&f->options, disk);
	append_many(s, 0, 1005);
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	uint64_t before = sim_disk_bytes_read(disk);
	s = open_sim(&f->options, disk);
	assert_in_range(sim_disk_bytes_read(disk) - before, 500, 4000);
	assert_int_equal(spool_state(s).records, 1005);
	spool_close(s);
	sim_disk_destroy(disk);
}

static void expect_refusal(const struct fixture *f, const char *file)
{
	struct spool *s;
	struct err err = { 0 };
	assert_int_equal(spool_open(&s, &f->options, &err), -EBADMSG);
	assert_non_null(strstr(err.file, file));
	assert_true(err.text[0]);
}

static void what_is_newer_or_foreign_is_refused(void **state)
{
	struct fixture *f = *state;
	char name[SEGMENT_NAME_ROOM];
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 2);
	assert_int_equal(spool_sync(s), 0);
	append_many(s, 2, 3); /* it knows that the two are durable */
	spool_close(s);
	segment_name(0, name);
	char *path = io_join(f->folder, name), *cursor = io_join(f->folder, "cursor");
	struct buf bytes = { 0 };
	assert_int_equal(io_read_whole(path, 1 << 20, &bytes), 0);
	bytes.ptr[8] = 2;
	assert_int_equal(io_replace(path, buf_view(&bytes), 0600), 0);
	expect_refusal(f, name);
	bytes.ptr[8] = 1;
	bytes.ptr[0] = 'x';
	assert_int_equal(io_replace(path, buf_view(&bytes), 0600), 0);
	expect_refusal(f, name);
	bytes.ptr[0] = 'a';
	bytes.ptr[20] ^= 1; /* only its header is damaged */
	assert_int_equal(io_replace(path, buf_view(&bytes), 0600), 0);
	s = open_spool(&f->options);
	for (uint64_t i = 0; i < 3; i++)
		take(s, i);
	spool_close(s);
	buf_clear(&bytes);
	assert_int_equal(io_read_whole(cursor, 1 << 20, &bytes), 0);
	bytes.ptr[8] = 9;
	assert_int_equal(io_replace(cursor, buf_view(&bytes), 0600), 0);
	expect_refusal(f, "cursor");
	buf_finish(&bytes);
	free(path);
	free(cursor);
}

static void without_its_cursor_all_comes_again(void **state)
{
	struct fixture *f = *state;
	struct spool *s = open_spool(&f->options);
	append_many(s, 0, 25);
	for (uint64_t i = 0; i < 12; i++)
		spool_forget(s, take(s, i));
	assert_int_equal(spool_sync(s), 0);
	spool_close(s);
	char *cursor = io_join(f->folder, "cursor");
	assert_int_equal(io_replace(cursor, VIEW("rotten"), 0600), 0);
	s = open_spool(&f->options);
	assert_int_equal(spool_state(s).damaged, 1);
	assert_int_equal(spool_state(s).records, 15);
	take(s, 10); /* of the oldest segment that is left */
	spool_close(s);
	free(cursor);
}

static void large_events_pass(void **state)
{
	struct fixture *f = *state;
	enum { LARGE = 70 << 20 };
	f->options = (struct spool_options){ .folder = f->folder, .bytes_max = 1ull << 30 };
	struct spool *s = open_spool(&f->options);
	char *event = mem_alloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		event[i] = (char)(i ^ i >> 9);
	struct spool_record r = { .seq = 7, .event = { event, LARGE } }, got;
	uint64_t position;
	append_many(s, 0, 1);
	assert_int_equal(spool_append(s, &r, &position), 0);
	append_many(s, 2, 3);
	spool_close(s);
	s = open_spool(&f->options);
	take(s, 0);
	assert_int_equal(spool_next(s, &got, &position), 0);
	assert_true(view_eq(got.event, r.event));
	take(s, 2);
	spool_close(s);
	free(event);
}

static void a_real_full_disk(void **state)
{
	struct fixture *f = *state;
	if (mount("tmpfs", f->folder, "tmpfs", 0, "size=1m"))
		skip();
	f->options.bytes_max = 1ull << 30;
	f->options.segment_bytes = 100000;
	struct spool *s = open_spool(&f->options);
	uint64_t position, n = 0, read = 0;
	for (int round = 0; round < 3; round++) {
		int r;
		while ((r = append(s, n, &position)) == 0)
			n++;
		assert_int_equal(r, -ENOSPC);
		assert_true(n - read > 5000);
		assert_int_equal(spool_sync(s), 0);
		spool_close(s);
		s = open_spool(&f->options);
		assert_int_equal(spool_state(s).torn_bytes, 0);
		for (; read < n; read++)
			position = take(s, read);
		at_end(s);
		spool_forget(s, position);
		assert_int_equal(spool_sync(s), 0);
	}
	spool_close(s);
	assert_int_equal(umount(f->folder), 0);
}

struct shared {
	struct spool *spool;
	atomic_bool done;
};
enum { THREAD_RECORDS = 6000 };

static void *append_all(void *context)
{
	struct shared *shared = context;
	uint64_t position;
	for (uint64_t i = 0; i < THREAD_RECORDS; i++) {
		int r;
		while ((r = append(shared->spool, i, &position)) == -ENOSPC)
			(void)sched_yield();
		assert_int_equal(r, 0);
		if (i % 64 == 0)
			assert_int_equal(spool_sync(shared->spool), 0);
	}
	return NULL;
}

static void *sync_often(void *context)
{
	struct shared *shared = context;
	while (!shared->done) {
		assert_int_equal(spool_sync(shared->spool), 0);
		(void)spool_state(shared->spool);
		(void)sched_yield();
	}
	return NULL;
}

static void appender_reader_and_main_on_their_own_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t appender, syncer;
	uint64_t position = 0;
	f->options.bytes_max = 60000;
	f->options.segment_bytes = 4000;
	struct shared shared = { .spool = open_spool(&f->options) };
	assert_int_equal(pthread_create(&appender, NULL, append_all, &shared), 0);
	assert_int_equal(pthread_create(&syncer, NULL, sync_often, &shared), 0);
	for (uint64_t i = 0; i < THREAD_RECORDS;) {
		struct spool_record r;
		int got = spool_next(shared.spool, &r, &position);
		if (got == -EAGAIN) {
			(void)sched_yield();
			continue;
		}
		assert_int_equal(got, 0);
		assert_int_equal(r.seq, i);
		if (++i % 30 == 0)
			spool_forget(shared.spool, position);
		if (i % 1500 == 0) {
			spool_forget(shared.spool, position);
			spool_rewind(shared.spool);
		}
	}
	spool_forget(shared.spool, position);
	shared.done = true;
	pthread_join(appender, NULL);
	pthread_join(syncer, NULL);
	assert_int_equal(spool_state(shared.spool).records, 0);
	spool_close(shared.spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_out_as_they_went_in, setup, teardown),
		cmocka_unit_test_setup_teardown(forgetting_is_kept_by_sync_and_frees_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(forgetting_less_than_was_read_counts_right, setup, teardown),
		cmocka_unit_test_setup_teardown(one_process_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_tail_is_cut_and_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unsynced_hole_ends_what_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unsynced_hole_ends_the_segments_after_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_first_segment_that_was_not_forgotten_ends_all, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_synced_survives_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_segment_waits_for_no_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(rot_of_a_body_costs_that_record, setup, teardown),
		cmocka_unit_test_setup_teardown(a_spool_that_is_written_fast_wants_a_sync_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(rot_is_no_torn_tail_where_an_fsync_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(rot_of_a_header_costs_the_rest_of_the_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_segment_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(it_holds_no_more_than_bytes_max, setup, teardown),
		cmocka_unit_test_setup_teardown(a_record_that_never_fits_is_refused_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_half_written, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_fsync_is_final, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forgotten_segment_that_came_back_ends_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cursor_without_room_ends_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_start_without_room_for_the_cursor_gets_room_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_failed_fsync_dropped_is_written_again, setup, teardown),
		cmocka_unit_test_setup_teardown(opening_reads_the_newest_segments_only, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_newer_or_foreign_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(without_its_cursor_all_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(large_events_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(a_real_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(appender_reader_and_main_on_their_own_threads, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
