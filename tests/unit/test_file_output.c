#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/lane/batch.h"
#include "router/lane/chunk.h"
#include "router/output/output.h"
#include "tests/unit/folder.h"

extern const struct output_ops output_file;

static const int64_t HOUR_US = 3600000000;

/* A sink on FOLDER/template. */
struct fixture {
	char own[64]; /* the struct of the settings, whatever it is called */
	char *path;
	struct config_input inputs[2];
	struct config config;
	struct config_output output;
	struct budget *budget;
	struct sink *sink;
	int wake_fd;
};

static void set(struct fixture *f, const char *key, const void *value, size_t len)
{
	const struct setting *row = output_file.settings->rows;
	while (strcmp(row->key, key) != 0)
		row++;
	memcpy(f->own + row->offset, value, len);
}

static void fixture_open(struct fixture *f, const char *template)
{
	struct err err;
	*f = (struct fixture){ .wake_fd = eventfd(0, EFD_CLOEXEC), .path = io_join(folder, template) };
	assert_true(output_file.settings->size <= sizeof f->own);
	set(f, "path", &f->path, sizeof f->path);
	f->inputs[0] = (struct config_input){ .name = (char *)"api" };
	f->inputs[1] = (struct config_input){ .name = (char *)"hook", .cluster = (char *)"test" };
	f->config = (struct config){ .cluster = (char *)"prod", .inputs = f->inputs, .n_inputs = 2 };
	f->output.own = f->own;
	f->output.ops = &output_file;
	assert_int_equal(budget_create(&f->budget, 1 << 20), 0);
	struct sink_options options = { .config = &f->config, .output = &f->output, .class_ = DATA_READ, .wake_fd = f->wake_fd,
		.open_bytes_max = 1 << 20 };
	assert_int_equal(f->output.ops->open(&f->sink, &options, &err), 0);
}

static void fixture_close(struct fixture *f)
{
	f->output.ops->close(f->sink);
	assert_int_equal(budget_used(f->budget), 0);
	budget_destroy(f->budget);
	(void)close(f->wake_fd);
	free(f->path);
}

/* A batch over a chunk that holds `text`: a record for each of its lines; the times go on from start_us in steps. */
static struct batch *make_batch(struct fixture *f, struct view text, int64_t start_us, int64_t step_us)
{
	struct chunk *c;
	assert_int_equal(chunk_create(&c, f->budget, text.len), 0);
	memcpy(c->bytes, text.ptr, text.len);
	c->len = text.len;
	struct batch *b = batch_create(f->budget, c);
	for (size_t at = 0; at < c->len; start_us += start_us == BATCH_NO_TIME ? 0 : step_us) {
		const char *newline = memchr(c->bytes + at, '\n', c->len - at);
		size_t len = newline ? (size_t)(newline - c->bytes) - at : c->len - at;
		struct record *r = batch_add(b);
		r->bytes = (struct view){ c->bytes + at, len };
		r->received_us = start_us;
		b->bytes += len;
		at += len + 1;
	}
	b->input = "api";
	b->cluster = "prod";
	chunk_release(c);
	return b;
}

static void put(struct fixture *f, struct batch *b)
{
	uint32_t n = b->n;
	assert_int_equal(f->output.ops->put(f->sink, b, 0), n);
}

static void expect(const char *name, struct view text)
{
	_free_ char *path = io_join(folder, name);
	cleanup(buf_finish) struct buf bytes = { 0 };
	assert_int_equal(io_read_whole(path, 1 << 28, &bytes), 0);
	if (!view_eq(buf_view(&bytes), text))
		fail_msg("%s holds %zu bytes, expected %zu: %.200s", name, bytes.len, text.len, buf_text(&bytes));
}

static void lines_are_appended_in_order(void **state)
{
	struct fixture f;
	struct stat st;
	(void)state;
	for (int round = 0; round < 2; round++) {
		fixture_open(&f, "append/{class}/{cluster}-{input}.ndjson");
		put(&f, make_batch(&f, VIEW("{1}\n{22}\n{333}\n"), 0, 0));
		put(&f, make_batch(&f, VIEW("{4}"), 0, 0)); /* nothing follows it in the chunk */
		put(&f, make_batch(&f, VIEW("{5}\r\n{6}\n"), 0, 0));
		assert_int_equal(f.output.ops->sync(f.sink), 0);
		fixture_close(&f);
	}
	expect("append/data_read/prod-api.ndjson", VIEW("{1}\n{22}\n{333}\n{4}\n{5}\r\n{6}\n"
							"{1}\n{22}\n{333}\n{4}\n{5}\r\n{6}\n"));
	_free_ char *file = io_join(folder, "append/data_read/prod-api.ndjson"), *made = io_join(folder, "append/data_read");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0750, 0);
}

static void some_records_of_a_chunk(void **state)
{
	struct fixture f;
	(void)state;
	fixture_open(&f, "some");
	struct batch *b = make_batch(&f, VIEW("{1}\n{2}\n{3}\n{4}\n{5}\n"), 0, 0);
	/* as a lane of which 2 and 4 are not, and 5 was edited */
	b->records[1] = b->records[2];
	b->records[2] = b->records[4];
	b->records[2].bytes = (struct view){ memcpy(batch_alloc(b, 7), "{5,new}", 7), 7 };
	b->n = b->open = 3;
	put(&f, b);
	b = make_batch(&f, VIEW("{6}\n{7}\n{8}\n"), 0, 0);
	batch_detach(b);
	put(&f, b);
	fixture_close(&f);
	expect("some", VIEW("{1}\n{3}\n{5,new}\n{6}\n{7}\n{8}\n"));
}

/* A sink may be given the rest of a batch. */
static void a_part_of_a_batch(void **state)
{
	struct fixture f;
	(void)state;
	fixture_open(&f, "part");
	struct batch *b = make_batch(&f, VIEW("{1}\n{2}\n{3}\n"), 0, 0);
	batch_delivered(b, 0, 1);
	assert_int_equal(f.output.ops->put(f.sink, b, 1), 2);
	fixture_close(&f);
	expect("part", VIEW("{2}\n{3}\n"));
}

static void events_go_to_the_file_of_their_hour(void **state)
{
	struct fixture f;
	int64_t start;
	(void)state;
	assert_true(clock_parse(VIEW("2026-12-31T22:10:00Z"), &start));
	fixture_open(&f, "hours/{date}/{hour}");
	put(&f, make_batch(&f, VIEW("{1}\n{2}\n{3}\n{4}\n"), start, HOUR_US / 2));
	/* out of order, and one without a time */
	struct batch *b = make_batch(&f, VIEW("{5}\n{6}\n{7}\n{8}\n"), start, 2 * HOUR_US);
	b->records[2].received_us = start;
	b->records[3].received_us = BATCH_NO_TIME;
	put(&f, b);
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
	expect("hours/2026-12-31/22", VIEW("{1}\n{2}\n{5}\n{7}\n"));
	expect("hours/2026-12-31/23", VIEW("{3}\n{4}\n"));
	expect("hours/2027-01-01/00", VIEW("{6}\n"));
	expect("hours/unknown/unknown", VIEW("{8}\n"));
}

static void more_files_than_may_be_open(void **state)
{
	enum { HOURS = 30, ROUNDS = 3 };
	struct fixture f;
	cleanup(buf_finish) struct buf text = { 0 };
	int64_t start;
	(void)state;
	assert_true(clock_parse(VIEW("2026-01-01T00:00:00Z"), &start));
	fixture_open(&f, "many/{date}-{hour}");
	for (int i = 0; i < HOURS; i++)
		buf_addf(&text, "{%d}\n", i);
	for (int i = 0; i < ROUNDS; i++)
		put(&f, make_batch(&f, buf_view(&text), start, HOUR_US));
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
	for (int i = 0; i < HOURS; i++) {
		_free_ char *name = mem_textf("many/2026-01-%02d-%02d", 1 + i / 24, i % 24);
		_free_ char *lines = mem_textf("{%d}\n{%d}\n{%d}\n", i, i, i);
		expect(name, view_of(lines));
	}
}

static uint64_t write_calls(void)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	unsigned long long n = 0;
	if (io_read_whole("/proc/self/io", 4096, &bytes) < 0)
		skip();
	const char *line = strstr(buf_text(&bytes), "syscw: ");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "syscw: %llu", &n), 1);
	return n;
}

static void events_are_written_together(void **state)
{
	enum { N = 10000 };
	struct fixture f;
	cleanup(buf_finish) struct buf text = { 0 }, odd = { 0 };
	(void)state;
	for (int i = 0; i < N; i++) {
		buf_addf(&text, "{%d}\n", i);
		if (i % 2)
			buf_addf(&odd, "{%d}\n", i);
	}
	fixture_open(&f, "together/all");
	struct batch *b = make_batch(&f, buf_view(&text), 0, 0);
	uint64_t before = write_calls();
	put(&f, b);
	assert_in_range(write_calls() - before, 1, 4);
	fixture_close(&f);
	expect("together/all", buf_view(&text));

	fixture_open(&f, "together/odd");
	b = make_batch(&f, buf_view(&text), 0, 0);
	for (uint32_t i = 0; i < N / 2; i++)
		b->records[i] = b->records[2 * i + 1];
	b->n = b->open = N / 2;
	before = write_calls();
	put(&f, b);
	assert_in_range(write_calls() - before, 5, 10);
	fixture_close(&f);
	expect("together/odd", buf_view(&odd));
}

static void write_file(const char *name, struct view bytes)
{
	_free_ char *path = io_join(folder, name), *parent = mem_textf("%.*s", (int)(strrchr(path, '/') - path), path);
	assert_int_equal(io_make_folders(parent, 0700), 0);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(io_write(fd, bytes.ptr, bytes.len), 0);
}

static void a_torn_line_is_cut_before_anything_is_added(void **state)
{
	struct fixture f;
	(void)state;
	write_file("torn", VIEW("{1}\n{2}\n{3, and then the li"));
	fixture_open(&f, "torn");
	put(&f, make_batch(&f, VIEW("{3}\n"), 0, 0));
	fixture_close(&f);
	expect("torn", VIEW("{1}\n{2}\n{3}\n"));
}

/* An event that nobody sends again leaves no part of itself: not in the file of another hour, input or cluster either. */
static void torn_lines_are_cut_where_nothing_comes(void **state)
{
	static const char *const ours[] = {
		"tails[1]/data_read/prod-api/2026-11-21T22.ndjson", "tails[1]/data_read/prod-api/2024-01-01T00.ndjson",
		"tails[1]/data_read/test-hook/2026-11-21T22.ndjson", "tails[1]/data_read/test-hook/unknownTunknown.ndjson"
	};
	static const char *const others[] = {
		"tails[1]/data_write/prod-api/2026-11-21T22.ndjson", "tails[1]/data_read/test-api/2026-11-21T22.ndjson",
		"tails[1]/data_read/prod-api/2026-11-21Tnow.ndjson", "tails[1]/data_read/prod-api/2026-11-21T22.ndjson.old",
		"tails1/data_read/prod-api/2026-11-21T22.ndjson"
	};
	struct fixture f;
	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		write_file(ours[i], VIEW("{1}\n{2, and th"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		write_file(others[i], VIEW("{1}\n{2, and th"));
	fixture_open(&f, "tails[1]/{class}/{cluster}-{input}/{date}T{hour}.ndjson");
	f.output.ops->wait(f.sink, 0);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		expect(ours[i], VIEW("{1}\n"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		expect(others[i], VIEW("{1}\n{2, and th"));
	fixture_close(&f);
}

/* What stands at the path may be anything, and be anybody's. */
static void nothing_else_is_cut(void **state)
{
	_free_ char *fifo = io_join(folder, "else-fifo"), *inner = io_join(folder, "else-folder/x");
	struct fixture f;
	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(io_make_folders(inner, 0700), 0);
	write_file("else-empty", VIEW(""));
	write_file("else-other", VIEW("a picture"));
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "else-fifo", "else-folder", "else-empty", "else-other" };
		fixture_open(&f, names[i]);
		f.output.ops->wait(f.sink, 0);
		fixture_close(&f);
	}
	expect("else-empty", VIEW(""));
	expect("else-other", VIEW("a picture"));
}

/* Until the path is free, the events are kept; then they come, once. */
static void wait_until_written(struct fixture *f)
{
	struct batch *probe = make_batch(f, VIEW("{probe}\n"), 0, 0);
	for (int i = 0; f->output.ops->put(f->sink, probe, 0) == 0; i++) {
		assert_true(i < 600);
		f->output.ops->wait(f->sink, 10);
	}
}

static void append(const char *name, struct view bytes)
{
	_free_ char *path = io_join(folder, name);
	_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(io_write(fd, bytes.ptr, bytes.len), 0);
}

static void what_another_process_left_torn_is_cut(void **state)
{
	struct fixture f;
	(void)state;
	fixture_open(&f, "shared");
	put(&f, make_batch(&f, VIEW("{1}\n"), 0, 0));
	append("shared", VIEW("{another's}\n{and then it was kil"));
	put(&f, make_batch(&f, VIEW("{2}\n"), 0, 0));
	fixture_close(&f);
	expect("shared", VIEW("{1}\n{another's}\n{2}\n"));
}

enum { SHARED_ROUNDS = 60, SHARED_LINE = 1 << 16, SHARED_LINES = 8 };

static struct view long_lines(struct buf *text)
{
	for (int i = 0; i < SHARED_LINES; i++) {
		buf_add_byte(text, '{');
		for (int j = 0; j < SHARED_LINE; j++)
			buf_add_byte(text, 'x');
		buf_add_view(text, VIEW("}\n"));
	}
	return buf_view(text);
}

/* What was put is in the file: nothing of it is held any more. */
static void wait_until_empty(struct fixture *f)
{
	for (int i = 0; budget_used(f->budget); i++) {
		assert_true(i < 6000);
		f->output.ops->wait(f->sink, 10);
	}
}

/* As replay does beside run: it looks at the end of a file that another is writing to, again and again. */
static void *open_and_append(void *context)
{
	(void)context;
	for (int i = 0; i < SHARED_ROUNDS; i++) {
		struct fixture f;
		fixture_open(&f, "both");
		put(&f, make_batch(&f, VIEW("{replayed}\n"), 0, 0));
		wait_until_empty(&f);
		fixture_close(&f);
	}
	return NULL;
}

static void two_writers_of_one_file_lose_nothing(void **state)
{
	cleanup(buf_finish) struct buf text = { 0 }, all = { 0 };
	struct view lines = long_lines(&text);
	struct fixture f;
	pthread_t other;
	size_t written = 0, found = 0;
	(void)state;
	fixture_open(&f, "both");
	assert_int_equal(pthread_create(&other, NULL, open_and_append, NULL), 0);
	for (int i = 0; i < SHARED_ROUNDS; i++, written += SHARED_LINES) {
		put(&f, make_batch(&f, lines, 0, 0));
		wait_until_empty(&f);
	}
	assert_int_equal(pthread_join(other, NULL), 0);
	fixture_close(&f);
	_free_ char *path = io_join(folder, "both");
	assert_int_equal(io_read_whole(path, 1 << 28, &all), 0);
	for (size_t at = 0; at < all.len; found++)
		at = (size_t)((const char *)memchr(all.ptr + at, '\n', all.len - at) - all.ptr) + 1;
	assert_int_equal(found, written + SHARED_ROUNDS);
}

/* One that was stopped while it held the lock: told, and gone on with when it lets go. */
static void a_lock_that_stays_is_trouble(void **state)
{
	struct fixture f;
	(void)state;
	write_file("locked", VIEW("{1}\n"));
	_free_ char *path = io_join(folder, "locked");
	_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	fixture_open(&f, "locked");
	put(&f, make_batch(&f, VIEW("{2}\n"), 0, 0));
	expect("locked", VIEW("{1}\n"));
	assert_int_equal(flock(fd, LOCK_UN), 0);
	wait_until_written(&f);
	fixture_close(&f);
	expect("locked", VIEW("{1}\n{2}\n{probe}\n"));
}

static void a_file_of_somebody_else_is_left_alone(void **state)
{
	struct fixture f;
	_free_ char *path = io_join(folder, "other");
	(void)state;
	write_file("other", VIEW("a picture"));
	fixture_open(&f, "other");
	put(&f, make_batch(&f, VIEW("{1}\n{2}\n"), 0, 0));
	struct batch *second = make_batch(&f, VIEW("{3}\n"), 0, 0);
	assert_int_equal(f.output.ops->put(f.sink, second, 0), 0);
	f.output.ops->wait(f.sink, 0);
	expect("other", VIEW("a picture"));
	batch_free(second);
	assert_int_equal(unlink(path), 0);
	wait_until_written(&f);
	fixture_close(&f);
	expect("other", VIEW("{1}\n{2}\n{probe}\n"));
}

static void what_has_no_outcome_stays_so(void **state)
{
	struct fixture f;
	(void)state;
	fixture_open(&f, "/dev/full");
	struct batch *b = make_batch(&f, VIEW("{1}\n{2}\n"), 0, 0);
	put(&f, b);
	for (int i = 0; i < 20; i++)
		f.output.ops->wait(f.sink, 10);
	assert_int_equal(b->open, 2);
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	f.output.ops->close(f.sink);
	batch_free(b);
	struct err err;
	struct sink_options options = { .config = &f.config, .output = &f.output, .wake_fd = f.wake_fd };
	assert_int_equal(f.output.ops->open(&f.sink, &options, &err), 0);
	fixture_close(&f);
}

/* A wake ends a wait between two tries. */
static void a_wait_is_woken(void **state)
{
	struct fixture f;
	uint64_t one = 1;
	(void)state;
	fixture_open(&f, "/dev/full");
	struct batch *b = make_batch(&f, VIEW("{1}\n"), 0, 0);
	put(&f, b);
	for (int i = 0; i < 5; i++)
		f.output.ops->wait(f.sink, 1000); /* it tries again after 100, 200, 400, 800 ms; then after 1600 and more */
	assert_int_equal(io_write(f.wake_fd, &one, sizeof one), 0);
	int64_t before = clock_steady_ms();
	f.output.ops->wait(f.sink, 100000);
	assert_true(clock_steady_ms() - before < 1000);
	f.output.ops->close(f.sink);
	batch_free(b);
	(void)close(f.wake_fd);
	free(f.path);
	budget_destroy(f.budget);
}

/* At once: what goes into a file without a name is lost. */
static void a_removed_file_is_made_anew(void **state)
{
	struct fixture f;
	_free_ char *path = io_join(folder, "removed/now");
	(void)state;
	fixture_open(&f, "removed/now");
	put(&f, make_batch(&f, VIEW("{1}\n"), 0, 0));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(unlink(path), 0);
		put(&f, make_batch(&f, VIEW("{2}\n"), 0, 0));
		expect("removed/now", VIEW("{2}\n"));
	}
	fixture_close(&f);
}

static void a_moved_file_is_made_anew(void **state)
{
	struct fixture f;
	_free_ char *from = io_join(folder, "moved/now"), *to = io_join(folder, "moved/before");
	(void)state;
	fixture_open(&f, "moved/now");
	put(&f, make_batch(&f, VIEW("{1}\n"), 0, 0));
	assert_int_equal(rename(from, to), 0);
	(void)usleep(1050000);
	put(&f, make_batch(&f, VIEW("{2}\n"), 0, 0));
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
	expect("moved/before", VIEW("{1}\n"));
	expect("moved/now", VIEW("{2}\n"));
}

/*
 * Whatever a full disk takes of a write: whole lines, each once, and all of them once there is room, which make_room
 * is to see to.
 */
static void fill_and_go_on(const char *name, void (*make_room)(void))
{
	struct fixture f;
	cleanup(buf_finish) struct buf expected = { 0 }, content = { 0 };
	bool full = false;
	fixture_open(&f, name);
	for (int i = 0; !full; i++) {
		cleanup(buf_finish) struct buf text = { 0 };
		for (int j = 0; j < 7; j++)
			buf_addf(&text, "{%d,%0*d}\n", i, 100 * j, j);
		struct batch *b = make_batch(&f, buf_view(&text), 0, 0);
		full = f.output.ops->put(f.sink, b, 0) == 0;
		if (full)
			batch_free(b);
		else
			buf_add_view(&expected, buf_view(&text));
	}
	assert_int_equal(io_read_whole(f.path, 1 << 20, &content), 0);
	assert_true(content.len < expected.len);
	assert_memory_equal(content.ptr, expected.ptr, content.len);
	assert_int_equal(content.ptr[content.len - 1], '\n');
	f.output.ops->wait(f.sink, 150); /* a try that fails too */
	make_room();
	wait_until_written(&f);
	buf_add_view(&expected, VIEW("{probe}\n"));
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
	expect(name, buf_view(&expected));
}

static void remove_filler(void)
{
	_free_ char *filler = io_join(folder, "disk/filler");
	assert_int_equal(unlink(filler), 0);
}

static void a_full_disk_loses_and_tears_nothing(void **state)
{
	_free_ char *disk = io_join(folder, "disk"), *zeros = mem_zero(1, 100000);
	(void)state;
	assert_int_equal(mkdir(disk, 0700), 0);
	if (mount("tmpfs", disk, "tmpfs", 0, "size=256k"))
		skip();
	write_file("disk/filler", (struct view){ zeros, 100000 });
	fill_and_go_on("disk/out", remove_filler);
	assert_int_equal(umount(disk), 0);
}

static void limit_size(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void lift_limit(void)
{
	limit_size(RLIM_INFINITY);
}

static void so_does_a_limit_of_size(void **state)
{
	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN); /* as main does */
	limit_size(54321);
	fill_and_go_on("limited", lift_limit);
}

struct syncer {
	struct fixture *fixture;
	_Atomic bool done;
};

static void *sync_on(void *pointer)
{
	struct syncer *s = pointer;
	while (!s->done)
		assert_int_equal(s->fixture->output.ops->sync(s->fixture->sink), 0);
	return NULL;
}

static void main_syncs_while_the_worker_writes(void **state)
{
	enum { ROUNDS = 60 };
	struct fixture f;
	struct syncer s = { .fixture = &f };
	pthread_t thread;
	(void)state;
	fixture_open(&f, "sync/{date}-{hour}");
	assert_int_equal(pthread_create(&thread, NULL, sync_on, &s), 0);
	for (int i = 0; i < ROUNDS; i++)
		put(&f, make_batch(&f, VIEW("{1}\n{2}\n{3}\n"), i % 20 * HOUR_US, HOUR_US));
	s.done = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	fixture_close(&f);
	/* hour 2 is the first of rounds 2, the second of 1, the third of 0, in each twenty */
	cleanup(buf_finish) struct buf lines = { 0 };
	for (int i = 0; i < ROUNDS / 20; i++)
		buf_add_view(&lines, VIEW("{3}\n{2}\n{1}\n"));
	expect("sync/1970-01-01-02", buf_view(&lines));
}

static void a_folder_that_is_gone_needs_no_sync(void **state)
{
	struct fixture f;
	_free_ char *command = mem_textf("rm -r %s/gone", folder);
	(void)state;
	fixture_open(&f, "gone/a/b/file");
	put(&f, make_batch(&f, VIEW("{1}\n"), 0, 0));
	assert_int_equal(system(command), 0);
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
}

static void sync_may_be_switched_off(void **state)
{
	struct fixture f;
	int never = 1;
	(void)state;
	fixture_open(&f, "never");
	f.output.ops->close(f.sink);
	set(&f, "sync", &never, sizeof never);
	struct err err;
	struct sink_options options = { .config = &f.config, .output = &f.output, .wake_fd = f.wake_fd };
	assert_int_equal(f.output.ops->open(&f.sink, &options, &err), 0);
	put(&f, make_batch(&f, VIEW("{1}\n"), 0, 0));
	assert_int_equal(f.output.ops->sync(f.sink), 0);
	fixture_close(&f);
	expect("never", VIEW("{1}\n"));
}

static void it_describes_itself(void **state)
{
	struct fixture f;
	char text[200];
	(void)state;
	fixture_open(&f, "/a/{class}/{date}");
	f.output.ops->describe(NULL, &f.output, DATA_WRITE, text, sizeof text);
	assert_string_equal(text, "/a/data_write/{date}");
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_appended_in_order),
		cmocka_unit_test(some_records_of_a_chunk),
		cmocka_unit_test(a_part_of_a_batch),
		cmocka_unit_test(events_go_to_the_file_of_their_hour),
		cmocka_unit_test(more_files_than_may_be_open),
		cmocka_unit_test(events_are_written_together),
		cmocka_unit_test(a_torn_line_is_cut_before_anything_is_added),
		cmocka_unit_test(torn_lines_are_cut_where_nothing_comes),
		cmocka_unit_test(what_another_process_left_torn_is_cut),
		cmocka_unit_test(two_writers_of_one_file_lose_nothing),
		cmocka_unit_test(a_lock_that_stays_is_trouble),
		cmocka_unit_test(nothing_else_is_cut),
		cmocka_unit_test(a_file_of_somebody_else_is_left_alone),
		cmocka_unit_test(what_has_no_outcome_stays_so),
		cmocka_unit_test(a_wait_is_woken),
		cmocka_unit_test(a_removed_file_is_made_anew),
		cmocka_unit_test(a_moved_file_is_made_anew),
		cmocka_unit_test(a_full_disk_loses_and_tears_nothing),
		cmocka_unit_test(so_does_a_limit_of_size),
		cmocka_unit_test(main_syncs_while_the_worker_writes),
		cmocka_unit_test(a_folder_that_is_gone_needs_no_sync),
		cmocka_unit_test(sync_may_be_switched_off),
		cmocka_unit_test(it_describes_itself),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
