/*
 * file -- events as lines of NDJSON, appended to files; a path by class, day, hour, cluster and input.
 *
 * What put() takes is written at once, records that stand side by side in the chunk in one piece. What cannot be written
 * is kept and tried again by wait(); of a write that got in partly, the part of a line is cut off again, so that a line
 * is in the file whole and once, or not at all.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/lane/chunk.h"
#include "router/lane/lane.h"
#include "router/output/file_path.h"
#include "router/output/file_table.h"
#include "router/output/file_tails.h"
#include "router/output/output.h"

enum {
	PARTS_MAX = IOV_MAX,
	GROUP_MAX = 4096, /* records of one writev */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	TEXT_ROOM = 512,
};

enum sync_when { SYNC_CHECKPOINT, SYNC_NEVER };

struct file_settings {
	char *path;
	int sync; /* enum sync_when */
};

/* The next records for one file, ready to be written. */
struct group {
	struct iovec parts[PARTS_MAX];
	int n_parts;
	uint32_t records[GROUP_MAX]; /* indexes into the batch, rising */
	uint32_t n;
};

struct sink {
	struct sink_options options;
	const struct file_settings *own;
	struct file_table *table;
	struct buf path;     /* of the group */
	struct group group;
	struct batch *batch; /* records [first, end) were taken, `left` of them have no outcome; NULL: none */
	uint32_t first, end, left;
	bool tails_cut; /* what a predecessor's crash left was looked for */
	bool troubled;
	int64_t retry_at_ms;
	int backoff_ms;
};

static const char *const sync_choices[] = { "checkpoint", "never", NULL };

static const struct setting rows[] = {
	{
		.key = "path",
		.type = SETTING_PATH,
		.required = true,
		.offset = offsetof(struct file_settings, path),
		.help = "Where to, such as `archive/{class}/{date}.ndjson`. `{class}` is lower case; `{date}` (2026-11-21) and "
			"`{hour}` (21) are UTC of requestReceivedTimestamp, `unknown` where an event has none; `{cluster}` and "
			"`{input}` with other characters than letters, digits, `.`, `_` and `-` replaced by `_`, and one of more than "
			"120 bytes cut, with a checksum. Missing folders are made; files are appended to.",
	},
	{
		.key = "sync",
		.type = SETTING_CHOICE,
		.offset = offsetof(struct file_settings, sync),
		.initial = "checkpoint",
		.choices = sync_choices,
		.help = "When files are forced to the disk: before a checkpoint or the end passes their events, or never: then "
			"a power cut may lose events, a crash of the program still does not.",
	},
	{ .key = NULL },
};

static const struct section settings = {
	.name = "output.file",
	.help = "Appends events to files, one a line.",
	.size = sizeof(struct file_settings),
	.rows = rows,
};

static void check(struct settings_reader *reader, const struct config *config, const struct config_output *output,
	const struct node *map)
{
	const struct file_settings *own = output->own;
	struct err err;
	(void)config;
	if (own->path && file_path_check(own->path, &err) < 0)
		settings_problem(reader, tree_get(map, "path"), "%s", err.text);
}

static void describe(const struct config *config, const struct config_output *output, enum audit_class class_,
	char *text, size_t room)
{
	const struct file_settings *own = output->own;
	struct buf path = { 0 };
	(void)config;
	file_path_add_class(&path, own->path, class_);
	(void)snprintf(text, room, "%s", buf_text(&path));
	buf_finish(&path);
}

static int open_sink(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	const struct file_settings *own = options->output->own;
	int r = file_path_check(own->path, err);
	if (r < 0)
		return r;
	struct sink *s = mem_zero(1, sizeof *s);
	s->options = *options;
	s->own = own;
	s->table = file_table_create(own->sync == SYNC_CHECKPOINT);
	*ret_sink = s;
	return 0;
}

static void close_sink(struct sink *s)
{
	file_table_destroy(s->table);
	buf_finish(&s->path);
	free(s);
}

/* ---- groups ---- */

static void add_part(struct group *g, const char *bytes, size_t len)
{
	struct iovec *last = g->n_parts ? &g->parts[g->n_parts - 1] : NULL;
	if (last && (const char *)last->iov_base + last->iov_len == bytes)
		last->iov_len += len;
	else
		g->parts[g->n_parts++] = (struct iovec){ (void *)bytes, len };
}

/* The record's bytes and a newline: the one that follows it in the chunk, where there is one. */
static void add_record(struct group *g, const struct chunk *chunk, struct view bytes)
{
	static const char newline = '\n';
	const char *end = bytes.ptr + bytes.len;
	bool followed = chunk && bytes.ptr >= chunk->bytes && end < chunk->bytes + chunk->len && *end == '\n';
	add_part(g, bytes.ptr, bytes.len + followed);
	if (!followed)
		add_part(g, &newline, 1);
}

/* The group of the first record without an outcome, and of those after it that go to the same file. */
static void gather(struct sink *s)
{
	struct batch *b = s->batch;
	struct group *g = &s->group;
	int64_t first_us, last_us;
	g->n_parts = 0;
	g->n = 0;
	while (b->records[s->first].outcome != RECORD_OPEN)
		s->first++;
	assert(s->first < s->end);
	struct file_path_values values = { s->options.class_, b->cluster, b->input, b->records[s->first].received_us };
	buf_clear(&s->path);
	file_path_add(&s->path, s->own->path, &values);
	file_path_span(s->own->path, values.received_us, &first_us, &last_us);
	for (uint32_t i = s->first; i < s->end && g->n < GROUP_MAX && g->n_parts + 2 <= PARTS_MAX; i++) {
		struct record *r = &b->records[i];
		if (r->outcome != RECORD_OPEN || r->received_us < first_us || r->received_us > last_us)
			continue;
		add_record(g, b->chunk, r->bytes);
		g->records[g->n++] = i;
	}
}

/* How many records of the group `written` bytes hold whole; the bytes of what follows them in *ret_torn. */
static uint32_t count_whole(const struct sink *s, uint64_t written, uint64_t *ret_torn)
{
	uint32_t n = 0;
	for (; n < s->group.n; n++) {
		uint64_t line = s->batch->records[s->group.records[n]].bytes.len + 1;
		if (line > written)
			break;
		written -= line;
	}
	*ret_torn = written;
	return n;
}

/* The first n records of the group are in the file. The last outcome may free the batch. */
static void deliver(struct sink *s, uint32_t n)
{
	const uint32_t *records = s->group.records;
	struct batch *b = s->batch;
	s->left -= n;
	if (!s->left)
		s->batch = NULL;
	for (uint32_t i = 0, start = 0; i < n; i++) {
		if (i + 1 < n && records[i + 1] == records[i] + 1)
			continue;
		batch_delivered(b, records[start], i + 1 - start);
		start = i + 1;
	}
}

/* ---- writing ---- */

static void report_cut(void *context, const char *path, uint64_t cut)
{
	struct sink *s = context;
	char text[TEXT_ROOM];
	(void)snprintf(text, sizeof text, "%s ended in the middle of a line: %llu bytes cut", path, (unsigned long long)cut);
	lane_report(s->options.lane, text);
	if (!s->troubled)
		lane_report(s->options.lane, NULL);
}

/* Before the first write of all: a part of a line that this sink leaves is known to its table. */
static void cut_tails(struct sink *s)
{
	if (!s->tails_cut)
		file_tails_cut(s->own->path, s->options.class_, s->options.config, report_cut, s);
	s->tails_cut = true;
}

static int write_group(struct sink *s)
{
	struct open_file *file;
	uint64_t cut, written, torn;
	int r = file_table_open(s->table, buf_text(&s->path), &file, &cut);
	if (r < 0)
		return r;
	if (cut)
		report_cut(s, buf_text(&s->path), cut);
	r = file_table_append(s->table, file, s->group.parts, s->group.n_parts, &written);
	uint32_t whole = r == 0 ? s->group.n : count_whole(s, written, &torn);
	if (r < 0 && torn)
		file_table_cut(file, torn);
	file_table_release(file);
	if (whole)
		deliver(s, whole);
	return r;
}

static void report_failure(struct sink *s, int code)
{
	char text[TEXT_ROOM];
	const char *why = code == -EBADMSG ? "it ends in the middle of a line and is no file of lines of JSON" :
		code == -ESPIPE            ? "not a regular file" :
		code == -EBUSY             ? "another process holds its lock" :
					     strerror(-code);
	(void)snprintf(text, sizeof text, "%s cannot be written: %s", buf_text(&s->path), why);
	lane_report(s->options.lane, text);
}

/* Writes what was taken. What cannot be written stays, and is tried again later. */
static void write_taken(struct sink *s)
{
	while (s->batch) {
		gather(s);
		int r = write_group(s);
		if (r < 0) {
			report_failure(s, r);
			s->backoff_ms = !s->troubled ? BACKOFF_FIRST_MS :
				s->backoff_ms < BACKOFF_MAX_MS / 2 ? s->backoff_ms * 2 :
								     BACKOFF_MAX_MS;
			s->troubled = true;
			s->retry_at_ms = clock_steady_ms() + s->backoff_ms;
			return;
		}
	}
	if (s->troubled)
		lane_report(s->options.lane, NULL);
	s->troubled = false;
}

static uint32_t put(struct sink *s, struct batch *batch, uint32_t first)
{
	uint32_t n = batch->n - first;
	if (s->batch || !n)
		return 0;
	cut_tails(s);
	s->batch = batch;
	s->first = first;
	s->end = batch->n;
	s->left = n;
	write_taken(s);
	return n;
}

static void wait_(struct sink *s, int timeout_ms)
{
	cut_tails(s);
	if (!s->batch) {
		output_wait_fd(s->options.wake_fd, timeout_ms);
		return;
	}
	int64_t left_ms = s->retry_at_ms - clock_steady_ms();
	if (left_ms > 0)
		output_wait_fd(s->options.wake_fd, timeout_ms >= 0 && timeout_ms < left_ms ? timeout_ms : (int)left_ms);
	if (clock_steady_ms() < s->retry_at_ms)
		return;
	lane_count_retry(s->options.lane);
	write_taken(s);
}

static int sync_(struct sink *s)
{
	return file_table_sync(s->table);
}

const struct output_ops output_file = {
	.name = "file",
	.help = "Appends events to files, one a line.",
	.settings = &settings,
	.files = true,
	.check = check,
	.describe = describe,
	.open = open_sink,
	.put = put,
	.wait = wait_,
	.sync = sync_,
	.close = close_sink,
};
