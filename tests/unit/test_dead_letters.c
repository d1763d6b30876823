#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/lane/dead_letters.h"
#include "tests/unit/folder.h"
#include "tests/unit/syncs.h"

enum { NO_LIMIT = 1 << 30 };

static struct dead_letters *open_letters(const char *sub, const char *name, uint64_t bytes_max)
{
	struct dead_letters *d;
	struct err err;
	_free_ char *path = mem_textf("%s/%s", folder, sub);
	assert_int_equal(dead_letters_open(&d, path, name, bytes_max, &err), 0);
	return d;
}

/* The only line of the file, as JSON; the file is emptied. */
static json_t *take_line(const struct dead_letters *d)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	assert_int_equal(io_read_whole(dead_letters_path(d), NO_LIMIT, &bytes), 0);
	assert_true(bytes.len > 1);
	assert_ptr_equal(memchr(bytes.ptr, '\n', bytes.len), bytes.ptr + bytes.len - 1);
	json_t *line = json_loadb(bytes.ptr, bytes.len - 1, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	return line;
}

static const char *text_of(json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

static void an_event_stands_as_it_is_with_its_reason(void **state)
{
	struct dead_letters *d = open_letters("a/b", "siem", NO_LIMIT);
	struct stat st;
	int64_t at;
	(void)state;
	struct dead_letter letter = {
		.reason = "the collector said \"no\": 400",
		.code = "http_400",
		.input = "api",
		.output = "siem",
		.has_class = true,
		.class_ = DATA_READ,
		.is_json = true,
		.bytes = VIEW("{\"auditID\":\"x\", \"v\":2.0}"),
	};
	assert_int_equal(dead_letters_add(d, &letter), 0);
	assert_int_equal(dead_letters_count(d), 1);
	assert_int_equal(dead_letters_sync(d), 0);
	cleanup(buf_finish) struct buf bytes = { 0 };
	assert_int_equal(io_read_whole(dead_letters_path(d), NO_LIMIT, &bytes), 0);
	assert_non_null(strstr(buf_text(&bytes), "\"event\":{\"auditID\":\"x\", \"v\":2.0}}\n"));
	cleanup(json_decrefp) json_t *line = take_line(d);
	assert_string_equal(text_of(line, "reason"), letter.reason);
	assert_string_equal(text_of(line, "code"), "http_400");
	assert_string_equal(text_of(line, "input"), "api");
	assert_string_equal(text_of(line, "output"), "siem");
	assert_string_equal(text_of(line, "class"), "DATA_READ");
	assert_true(clock_parse(view_of(text_of(line, "time")), &at));
	assert_true(at > clock_now_us() - 60000000 && at <= clock_now_us());
	assert_null(json_object_get(line, "where"));
	assert_null(json_object_get(line, "bytes"));
	assert_int_equal(stat(dead_letters_path(d), &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	_free_ char *path = mem_textf("%s/a/b", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	dead_letters_close(d);
}

static void newlines_inside_an_event_do_not_tear_the_line(void **state)
{
	struct dead_letters *d = open_letters(".", "pretty", NO_LIMIT);
	(void)state;
	struct dead_letter letter = { .reason = "r", .code = "c", .is_json = true, .bytes = VIEW("{\n  \"a\": 1\n}") };
	assert_int_equal(dead_letters_add(d, &letter), 0);
	cleanup(json_decrefp) json_t *line = take_line(d);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(line, "event"), "a")), 1);
	assert_null(json_object_get(line, "class"));
	dead_letters_close(d);
}

/* A straight decoder as the oracle. */
static size_t decode_base64(const char *text, unsigned char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;
	unsigned value = 0, bits = 0;
	for (; *text && *text != '='; text++) {
		value = value << 6 | (unsigned)(strchr(digits, *text) - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (unsigned char)(value >> bits);
		}
	}
	return n;
}

static void what_is_no_json_stands_as_base64(void **state)
{
	enum { ALL = 256 };
	unsigned char bytes[ALL], back[ALL + 3];
	(void)state;
	for (unsigned i = 0; i < ALL; i++)
		bytes[i] = (unsigned char)(i * 7 + 3);
	for (size_t len = 0; len <= ALL; len += len < 6 ? 1 : 50) {
		_free_ char *name = mem_textf("raw%zu", len);
		struct dead_letters *d = open_letters(".", name, NO_LIMIT);
		struct dead_letter letter = {
			.reason = "not JSON", .code = "not_json", .where = "audit.log:17", .bytes = { (char *)bytes, len }
		};
		assert_int_equal(dead_letters_add(d, &letter), 0);
		cleanup(json_decrefp) json_t *line = take_line(d);
		const char *text = text_of(line, "bytes");
		assert_int_equal(strlen(text), (len + 2) / 3 * 4);
		assert_int_equal(decode_base64(text, back), len);
		assert_memory_equal(back, bytes, len);
		assert_string_equal(text_of(line, "where"), "audit.log:17");
		assert_null(json_object_get(line, "event"));
		assert_null(json_object_get(line, "bytes_total"));
		dead_letters_close(d);
	}
}

static void only_the_first_64_kib_are_kept(void **state)
{
	enum { LEN = 100000, KEPT = 65536 };
	struct dead_letters *d = open_letters(".", "long", NO_LIMIT);
	_free_ char *bytes = mem_zero(1, LEN);
	(void)state;
	struct dead_letter letter = { .reason = "r", .code = "too_long", .bytes = { bytes, LEN } };
	assert_int_equal(dead_letters_add(d, &letter), 0);
	cleanup(json_decrefp) json_t *line = take_line(d);
	assert_int_equal(strlen(text_of(line, "bytes")), (KEPT + 2) / 3 * 4);
	assert_int_equal(json_integer_value(json_object_get(line, "bytes_total")), LEN);
	dead_letters_close(d);

	d = open_letters(".", "longer", NO_LIMIT);
	letter.bytes.len = 10;
	letter.bytes_total = 70000000;
	assert_int_equal(dead_letters_add(d, &letter), 0);
	cleanup(json_decrefp) json_t *second = take_line(d);
	assert_int_equal(json_integer_value(json_object_get(second, "bytes_total")), 70000000);
	dead_letters_close(d);
}

static void a_torn_line_is_cut_and_whole_ones_stay(void **state)
{
	struct dead_letter letter = { .reason = "r", .code = "c", .is_json = true, .bytes = VIEW("{}") };
	struct stat before, after;
	(void)state;
	struct dead_letters *d = open_letters(".", "torn", NO_LIMIT);
	_free_ char *path = mem_text(view_of(dead_letters_path(d)));
	assert_int_equal(dead_letters_add(d, &letter), 0);
	dead_letters_close(d);
	assert_int_equal(stat(path, &before), 0);
	_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(io_write(fd, "{\"time\":\"20", 11), 0);
	d = open_letters(".", "torn", NO_LIMIT);
	assert_int_equal(dead_letters_count(d), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(dead_letters_add(d, &letter), 0);
	dead_letters_close(d);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(2 * before.st_size, after.st_size);
}

static void above_the_limit_nothing_is_added(void **state)
{
	struct dead_letter letter = { .reason = "r", .code = "c", .is_json = true, .bytes = VIEW("{\"a\":1}") };
	struct stat st;
	unsigned n = 0;
	int r;
	(void)state;
	struct dead_letters *d = open_letters(".", "limit", 1000);
	while ((r = dead_letters_add(d, &letter)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(dead_letters_count(d), n);
	assert_int_equal(stat(dead_letters_path(d), &st), 0);
	assert_true(st.st_size <= 1000 && st.st_size + st.st_size / n > 1000);
	dead_letters_close(d);
	/* What is in the file counts after a restart too. */
	d = open_letters(".", "limit", 1000);
	assert_int_equal(dead_letters_add(d, &letter), -ENOSPC);
	dead_letters_close(d);
}

static void a_full_disk_leaves_whole_lines(void **state)
{
	_free_ char *disk = mem_textf("%s/disk", folder), *filler = mem_textf("%s/disk/filler", folder);
	(void)state;
	assert_int_equal(mkdir(disk, 0700), 0);
	if (mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
		skip();
	struct dead_letters *d = open_letters("disk", "full", NO_LIMIT);
	_free_ char *bytes = mem_zero(1, 3000);
	struct dead_letter letter = { .reason = "r", .code = "c", .bytes = { bytes, 3000 } };
	_close_ int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(io_write(fd, bytes, 3000), 0);
	while (dead_letters_add(d, &letter) == 0)
		;
	assert_int_equal(dead_letters_add(d, &letter), -ENOSPC);
	uint64_t n = dead_letters_count(d);
	assert_int_equal(unlink(filler), 0);
	assert_int_equal(close(TAKE_FD(fd)), 0);
	assert_int_equal(dead_letters_add(d, &letter), 0);
	cleanup(buf_finish) struct buf content = { 0 };
	assert_int_equal(io_read_whole(dead_letters_path(d), NO_LIMIT, &content), 0);
	uint64_t lines = 0;
	for (size_t at = 0; at < content.len; lines++) {
		const char *newline = memchr(content.ptr + at, '\n', content.len - at);
		assert_non_null(newline);
		cleanup(json_decrefp) json_t *line = json_loadb(content.ptr + at, (size_t)(newline - content.ptr) - at, 0, NULL);
		assert_non_null(line);
		at = (size_t)(newline - content.ptr) + 1;
	}
	assert_int_equal(lines, n + 1);
	dead_letters_close(d);
	assert_int_equal(umount(disk), 0);
}

static void bad_places_are_refused(void **state)
{
	struct dead_letters *d = NULL;
	struct err err = { 0 };
	(void)state;
	assert_int_equal(dead_letters_open(&d, folder, "../escape", NO_LIMIT, &err), -EINVAL);
	_free_ char *path = mem_textf("%s/other.ndjson", folder);
	assert_int_equal(io_replace(path, VIEW("no lines of JSON"), 0600), 0);
	assert_int_equal(dead_letters_open(&d, folder, "other", NO_LIMIT, &err), -EBADMSG);
	assert_string_equal(err.file, path);
	assert_int_equal(dead_letters_open(&d, path, "x", NO_LIMIT, &err), -ENOTDIR);
	assert_null(d);
	dead_letters_close(NULL);
}

static void *add_many(void *pointer)
{
	struct dead_letter letter = { .reason = "r", .code = "c", .is_json = true, .bytes = VIEW("{\"a\":1}") };
	for (int i = 0; i < 100; i++)
		assert_int_equal(dead_letters_add(pointer, &letter), 0);
	return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
	pthread_t threads[3];
	struct dead_letters *d = open_letters(".", "threads", NO_LIMIT);
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, d), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(dead_letters_sync(d), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(dead_letters_count(d), 300);
	cleanup(buf_finish) struct buf content = { 0 };
	assert_int_equal(io_read_whole(dead_letters_path(d), NO_LIMIT, &content), 0);
	const char *at = buf_text(&content);
	for (int i = 0; i < 300; i++) {
		const char *newline = strchr(at, '\n');
		assert_non_null(newline);
		cleanup(json_decrefp) json_t *line = json_loadb(at, (size_t)(newline - at), 0, NULL);
		assert_non_null(line);
		at = newline + 1;
	}
	assert_int_equal(*at, 0);
	dead_letters_close(d);
}

/* ---- the file is moved, removed or cut while it is open ---- */

static const struct dead_letter small = { .reason = "r", .code = "c", .is_json = true, .bytes = { "{\"a\":1}", 7 } };

/* -1: the file is not there. All of them are whole. */
static int lines_of(const char *path)
{
	cleanup(buf_finish) struct buf content = { 0 };
	int n = 0;
	if (io_read_whole(path, NO_LIMIT, &content) < 0)
		return -1;
	for (const char *at = buf_text(&content), *newline; *at; at = newline + 1, n++) {
		newline = strchr(at, '\n');
		assert_non_null(newline);
		cleanup(json_decrefp) json_t *line = json_loadb(at, (size_t)(newline - at), 0, NULL);
		assert_non_null(line);
	}
	return n;
}

static void add_some(struct dead_letters *d, int n)
{
	while (n--)
		assert_int_equal(dead_letters_add(d, &small), 0);
}

static int fill(struct dead_letters *d)
{
	int n = 0, r;
	while ((r = dead_letters_add(d, &small)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	return n;
}

static void behind_a_moved_file_a_new_one_begins(void **state)
{
	struct dead_letters *d = open_letters(".", "moved", NO_LIMIT);
	_free_ char *moved = mem_textf("%s/moved.1", folder);
	(void)state;
	add_some(d, 2); /* not yet synced: that is done before it is let go */
	assert_int_equal(rename(dead_letters_path(d), moved), 0);
	add_some(d, 3);
	assert_int_equal(lines_of(moved), 2);
	assert_int_equal(lines_of(dead_letters_path(d)), 3);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(dead_letters_count(d), 5);
	dead_letters_close(d);
	assert_int_equal(lines_of(moved), 2);
}

static void what_was_not_synced_outlives_its_file(void **state)
{
	struct dead_letters *d = open_letters(".", "removed", NO_LIMIT);
	const char *path = dead_letters_path(d);
	(void)state;
	add_some(d, 3);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), 3);
	/* What was synced went with the file. */
	add_some(d, 2);
	assert_int_equal(unlink(path), 0);
	add_some(d, 2);
	assert_int_equal(lines_of(path), 4);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), -1);
	add_some(d, 1);
	assert_int_equal(lines_of(path), 1);
	assert_int_equal(dead_letters_count(d), 8);
	dead_letters_close(d);
}

static void a_new_file_gets_what_was_not_synced_behind_what_it_holds(void **state)
{
	struct dead_letters *d = open_letters(".", "replaced", NO_LIMIT);
	const char *path = dead_letters_path(d);
	(void)state;
	add_some(d, 2);
	assert_int_equal(io_replace(path, VIEW("{\"a\":1}\n{\"a\":2}\n{\"to"), 0600), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), 4);
	add_some(d, 1);
	assert_int_equal(lines_of(path), 5);
	dead_letters_close(d);
}

/* What it brings along counts, and no more: the last line that fits does. */
static void a_new_file_is_as_full_as_what_goes_on_in_it(void **state)
{
	struct dead_letters *d = open_letters(".", "half", 1000);
	const char *path = dead_letters_path(d);
	(void)state;
	const int n = fill(d);
	assert_int_equal(truncate(path, 0), 0);
	add_some(d, n / 2);
	assert_int_equal(dead_letters_sync(d), 0);
	add_some(d, n - n / 2);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), n - n / 2);
	assert_int_equal(fill(d), n / 2);
	dead_letters_close(d);
}

/* Nobody may take them for durable until they are; once there is a place again, they are. */
static void without_a_new_file_the_sync_fails(void **state)
{
	struct dead_letters *d = open_letters("gone", "x", NO_LIMIT);
	_free_ char *sub = mem_textf("%s/gone", folder);
	(void)state;
	add_some(d, 2);
	assert_int_equal(unlink(dead_letters_path(d)), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(io_replace(sub, VIEW("in the way"), 0600), 0);
	assert_int_equal(dead_letters_sync(d), -ENOTDIR);
	assert_int_equal(dead_letters_add(d, &small), -ENOTDIR);
	assert_int_equal(dead_letters_sync(d), -ENOTDIR);
	assert_int_equal(unlink(sub), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(dead_letters_path(d)), 2);
	assert_int_equal(dead_letters_count(d), 2);
	dead_letters_close(d);
}

/* The same where the new file has no room for them: what was written of them there is taken back. */
static void without_room_in_the_new_file_the_sync_fails(void **state)
{
	struct dead_letters *d = open_letters(".", "no-room", 1000);
	const char *path = dead_letters_path(d);
	_free_ char *full = mem_textf("%s/full-one", folder);
	(void)state;
	const int n = fill(d);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(rename(path, full), 0);
	add_some(d, 2);
	assert_int_equal(rename(full, path), 0); /* over what was not synced */
	assert_int_equal(dead_letters_sync(d), -ENOSPC);
	assert_int_equal(dead_letters_add(d, &small), -ENOSPC);
	assert_int_equal(lines_of(path), n);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), 2);
	assert_int_equal(fill(d), n - 2);
	dead_letters_close(d);
}

/* The kernel says yes to the next one without having written anything. */
static void a_failed_sync_stays(void **state)
{
	struct dead_letters *d = open_letters(".", "sync", NO_LIMIT);
	(void)state;
	add_some(d, 1);
	syncs = SYNCS_FAIL_FILES;
	assert_int_equal(dead_letters_sync(d), -EIO);
	syncs = SYNCS_GOOD;
	assert_int_equal(dead_letters_sync(d), -EIO);
	add_some(d, 1);
	assert_int_equal(dead_letters_sync(d), -EIO);
	assert_int_equal(lines_of(dead_letters_path(d)), 2);
	dead_letters_close(d);
}

/* The same where the file is synced because another one is at its path now: it is not let go, and nothing is lost with it. */
static void a_file_that_cannot_be_synced_is_not_let_go(void **state)
{
	struct dead_letters *d = open_letters(".", "moved-unsynced", NO_LIMIT);
	_free_ char *moved = mem_textf("%s/moved-unsynced.1", folder);
	(void)state;
	add_some(d, 1);
	assert_int_equal(rename(dead_letters_path(d), moved), 0);
	syncs = SYNCS_FAIL_FILES;
	assert_int_equal(dead_letters_add(d, &small), -EIO);
	syncs = SYNCS_GOOD;
	assert_int_equal(dead_letters_sync(d), -EIO);
	dead_letters_close(d);
}

static void letters_need_a_durable_name(void **state)
{
	struct dead_letters *d;
	struct err err;
	(void)state;
	syncs = SYNCS_FAIL_FOLDERS;
	assert_int_equal(dead_letters_open(&d, folder, "name", NO_LIMIT, &err), -EIO);
	syncs = SYNCS_GOOD;
}

static void a_full_file_that_is_cleared_takes_letters_again(void **state)
{
	struct dead_letters *d = open_letters(".", "cleared", 1000);
	const char *path = dead_letters_path(d);
	_free_ char *moved = mem_textf("%s/cleared.1", folder);
	(void)state;
	const int n = fill(d);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(fill(d), n);
	assert_int_equal(lines_of(path), n);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(fill(d), n);
	assert_int_equal(lines_of(moved), n);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fill(d), n);
	assert_int_equal(lines_of(path), n);
	assert_int_equal(dead_letters_count(d), 4 * n);
	dead_letters_close(d);
}

static void a_file_cut_within_a_line_stays_one_of_whole_lines(void **state)
{
	struct dead_letters *d = open_letters(".", "cut", NO_LIMIT);
	const char *path = dead_letters_path(d);
	struct stat st;
	(void)state;
	add_some(d, 3);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0);
	add_some(d, 1);
	assert_int_equal(lines_of(path), 3);
	/* What is left of it is made durable anew, and goes on in a new file where that was not done. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(path), 3);
	dead_letters_close(d);
}

static void *sync_many(void *pointer)
{
	for (int i = 0; i < 50; i++)
		assert_int_equal(dead_letters_sync(pointer), 0);
	return NULL;
}

/* While threads write and sync. */
static void moving_loses_nothing(void **state)
{
	enum { MOVES = 30 };
	pthread_t threads[3];
	struct dead_letters *d = open_letters(".", "moves", NO_LIMIT);
	int lines = 0;
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i ? add_many : sync_many, d), 0);
	for (int i = 0; i < MOVES; i++) {
		_free_ char *moved = mem_textf("%s/moves.%d", folder, i);
		(void)rename(dead_letters_path(d), moved);
		(void)poll(NULL, 0, 1);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i <= MOVES; i++) {
		_free_ char *moved = mem_textf("%s/moves.%d", folder, i);
		int n = lines_of(i < MOVES ? moved : dead_letters_path(d));
		lines += n > 0 ? n : 0;
	}
	assert_int_equal(lines, 200);
	dead_letters_close(d);
}

static void removing_loses_nothing_that_was_not_synced(void **state)
{
	pthread_t threads[2];
	struct dead_letters *d = open_letters(".", "removes", NO_LIMIT);
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, d), 0);
	for (int i = 0; i < 30; i++) {
		(void)unlink(dead_letters_path(d));
		(void)poll(NULL, 0, 1);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)unlink(dead_letters_path(d));
	assert_int_equal(dead_letters_sync(d), 0);
	assert_int_equal(lines_of(dead_letters_path(d)), 200);
	dead_letters_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_stands_as_it_is_with_its_reason),
		cmocka_unit_test(newlines_inside_an_event_do_not_tear_the_line),
		cmocka_unit_test(what_is_no_json_stands_as_base64),
		cmocka_unit_test(only_the_first_64_kib_are_kept),
		cmocka_unit_test(a_torn_line_is_cut_and_whole_ones_stay),
		cmocka_unit_test(above_the_limit_nothing_is_added),
		cmocka_unit_test(a_full_disk_leaves_whole_lines),
		cmocka_unit_test(bad_places_are_refused),
		cmocka_unit_test(threads_do_not_mix_their_lines),
		cmocka_unit_test(behind_a_moved_file_a_new_one_begins),
		cmocka_unit_test(what_was_not_synced_outlives_its_file),
		cmocka_unit_test(a_new_file_gets_what_was_not_synced_behind_what_it_holds),
		cmocka_unit_test(a_new_file_is_as_full_as_what_goes_on_in_it),
		cmocka_unit_test(without_a_new_file_the_sync_fails),
		cmocka_unit_test(without_room_in_the_new_file_the_sync_fails),
		cmocka_unit_test(a_failed_sync_stays),
		cmocka_unit_test(a_file_that_cannot_be_synced_is_not_let_go),
		cmocka_unit_test(letters_need_a_durable_name),
		cmocka_unit_test(a_full_file_that_is_cleared_takes_letters_again),
		cmocka_unit_test(a_file_cut_within_a_line_stays_one_of_whole_lines),
		cmocka_unit_test(moving_loses_nothing),
		cmocka_unit_test(removing_loses_nothing_that_was_not_synced),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
