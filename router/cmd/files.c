#include "router/cmd/files.h"

#include <stdio.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/units.h"
#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/input/lines.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"
#include "router/event/line.h"

enum { PROGRESS_AFTER_MS = 1000, PROGRESS_EVERY_MS = 200 };

static const uint64_t line_max = 64ull << 20, memory_max = 256ull << 20;

struct files {
	struct decoder *decoder, *item_decoder;
	struct unwrap unwrap;
	struct budget *budget;
	struct files_result result;
	bool (*visit)(void *context, const struct event *);
	void *context;
	const char *name;
	uint64_t line;
	int64_t started_ms, shown_ms;
	bool stopped, terminal;
};

static void say_broken(struct files *f, struct view line, enum decode_result result, size_t at)
{
	char reason[LINE_REASON_ROOM];
	(void)line_diagnose(line, result, at, unwrap_why(&f->unwrap), reason);
	(void)fprintf(stderr, "%s:%llu: %s\n", f->name, (unsigned long long)f->line, reason);
	f->result.broken++;
}

static void visit_event(struct files *f, const struct event *e)
{
	f->result.events++;
	f->stopped = !f->visit(f->context, e);
}

static void visit_list(struct files *f)
{
	struct list_items items;
	struct buf whole = { 0 };
	struct view item;
	f->unwrap.why = NULL;
	decode_list(f->decoder, &items);
	line_complete_items(&items, f->item_decoder, &whole);
	for (struct view rest = buf_view(&whole); !f->stopped && line_next(&rest, &item);) {
		struct event e;
		size_t at;
		enum decode_result result = decode_line(f->item_decoder, item, &e, &at);
		if (result == DECODE_OK)
			visit_event(f, &e);
		else
			say_broken(f, item, result, at);
	}
	buf_finish(&whole);
}

static void visit_other(struct files *f, struct view line, enum decode_result result, size_t at, struct event *e)
{
	struct view item;
	switch (unwrap_line(&f->unwrap, line, result, f->item_decoder, e)) {
	case UNWRAP_EVENT:
		visit_event(f, e);
		break;
	case UNWRAP_TEXTS:
		while (!f->stopped && unwrap_next(&f->unwrap, f->item_decoder, &item, &result, e)) {
			if (result == DECODE_OK)
				visit_event(f, e);
			else
				say_broken(f, item, DECODE_NOT_EVENT, 0);
		}
		break;
	case UNWRAP_NONE:
		say_broken(f, line, result, at);
		break;
	}
}

static void visit_lines(struct files *f, struct view bytes)
{
	while (!f->stopped && bytes.len) {
		struct event e;
		struct view line;
		size_t at;
		enum decode_result result = line_decode(f->decoder, &bytes, &line, &e, &at);
		f->line++;
		if (result == DECODE_OK)
			visit_event(f, &e);
		else if (result == DECODE_LIST)
			visit_list(f);
		else if (result != DECODE_EMPTY)
			visit_other(f, line, result, at, &e);
	}
}

static void show_progress(struct files *f, const struct reader *reader)
{
	int64_t now = clock_steady_ms();
	uint64_t done, total;
	char done_text[UNITS_TEXT_ROOM], total_text[UNITS_TEXT_ROOM];
	if (!f->terminal || now - f->started_ms < PROGRESS_AFTER_MS || now - f->shown_ms < PROGRESS_EVERY_MS)
		return;
	f->shown_ms = now;
	reader_progress(reader, &done, &total);
	(void)fprintf(stderr, "\r%s: %s%s%s, %llu events\033[K", f->name, units_human_size(done, done_text),
		total ? " of " : "", total ? units_human_size(total, total_text) : "",
		(unsigned long long)f->result.events);
}

/* False: no more of this file. */
static bool visit_chunk(struct files *f, struct lines *lines)
{
	struct chunk *chunk = NULL;
	struct err err = { 0 };
	switch (lines_next(lines, &chunk, &err)) {
	case LINES_SOME:
		visit_lines(f, (struct view){ chunk->bytes, chunk->len });
		break;
	case LINES_TOO_LONG:
		f->line++;
		f->result.broken++;
		(void)fprintf(stderr, "%s:%llu: the line is longer than 64MiB\n", f->name, (unsigned long long)f->line);
		break;
	case LINES_FAILED:
		(void)fprintf(stderr, "%s: %s\n", f->name, err.text);
		f->result.failed = true;
		return false;
	case LINES_END:
	case LINES_STOPPED:
		return false;
	}
	chunk_release(chunk);
	return !f->stopped;
}

static void visit_file(struct files *f, const char *path)
{
	struct reader *reader;
	struct err err = { 0 };
	f->name = path;
	f->line = 0;
	if (reader_open(&reader, path, &err) < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, err.text);
		f->result.failed = true;
		return;
	}
	struct lines *lines = lines_create(reader, f->budget, line_max);
	while (visit_chunk(f, lines))
		show_progress(f, reader);
	lines_destroy(lines);
	reader_close(reader);
	if (f->shown_ms)
		(void)fputs("\r\033[K", stderr);
	f->shown_ms = 0;
}

struct files_result files_visit(char *const *paths, int n, bool (*visit)(void *context, const struct event *), void *context)
{
	struct files f = {
		.decoder = decode_create(DECODE_BEST),
		.item_decoder = decode_create(DECODE_BEST),
		.visit = visit,
		.context = context,
		.started_ms = clock_steady_ms(),
		.terminal = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO),
	};
	(void)budget_create(&f.budget, memory_max);
	if (n == 0)
		visit_file(&f, "-");
	for (int i = 0; i < n && !f.stopped; i++)
		visit_file(&f, paths[i]);
	budget_destroy(f.budget);
	decode_destroy(f.decoder);
	decode_destroy(f.item_decoder);
	unwrap_finish(&f.unwrap);
	return f.result;
}
