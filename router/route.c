#include "router/route_private.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/lane/progress.h"
#include "router/event/line.h"

enum {
	DEAD_LETTER_RETRY_MS = 500,
	TROUBLE_ROOM = 512,
};

int feed_create(struct feed **ret_feed, struct routing *routing, const struct config_input *input, unsigned n_lanes,
	void (*news)(void *context), void *context)
{
	struct feed *f = mem_zero(1, sizeof *f);
	f->routing = routing;
	f->input = input;
	f->cluster = input->cluster ? input->cluster : routing->plan->config->cluster;
	if (!f->cluster)
		f->cluster = "";
	while (f->number < routing->plan->config->n_inputs && &routing->plan->config->inputs[f->number] != input)
		f->number++;
	f->options = (struct stretch_options){ input, f->number, f->cluster, routing->budget, n_lanes };
	sorter_init(&f->sorter);
	stretch_init(&f->stretch, &f->options);
	f->item_decoder = decode_create(DECODE_BEST);
	f->next_seq = mem_zero(n_lanes, sizeof *f->next_seq);
	f->pushes = mem_zero(n_lanes, sizeof(struct batch *));
	join_start(f);
	*ret_feed = f;
	return ledger_create(&f->ledger, n_lanes, news, context);
}

void feed_destroy(struct feed *f)
{
	if (!f)
		return;
	ahead_destroy(f->ahead);
	join_end(f);
	stretch_finish(&f->stretch);
	sorter_finish(&f->sorter);
	decode_destroy(f->item_decoder);
	unwrap_finish(&f->unwrap);
	ledger_destroy(f->ledger);
	free(f->next_seq);
	free(f->pushes);
	free(f);
}

/* ---- spans ---- */

struct plan *route_plan(struct routing *routing)
{
	(void)pthread_mutex_lock(&routing->plan_mutex);
	struct plan *plan = plan_hold(routing->plan);
	(void)pthread_mutex_unlock(&routing->plan_mutex);
	return plan;
}

void span_begin(struct feed *f, struct chunk *chunk, uint64_t start)
{
	assert(!f->span);
	stretch_begin(&f->stretch, route_plan(f->routing), chunk, start);
	sorter_take(&f->sorter, &f->stretch);
	f->span = ledger_open(f->ledger, f->next_seq);
}

/* In the order of the lanes: last in the list of those that go into one queue together. */
static void collect(struct feed *f, unsigned lane, struct batch *b, uint64_t end)
{
	struct batch **last = &f->pushes[f->routing->leaders ? f->routing->leaders[lane] : lane];
	b->span = f->span;
	ledger_join(f->span, lane);
	b->first_seq = f->next_seq[lane];
	f->next_seq[lane] += b->n;
	b->end = end;
	b->lane = f->routing->lanes[lane];
	for (uint32_t i = 0; f->gave_up && i < b->n; i++)
		b->records[i].end = 0; /* not even a part of the span is behind us */
	batch_detach_if_small(b);
	while (*last)
		last = &(*last)->next;
	*last = b;
}

/* Takes what was sorted for each lane. */
static void collect_all(struct feed *f, struct stretch *t, uint64_t end)
{
	for (unsigned i = 0; i < f->routing->n_lanes; i++) {
		struct batch *b = t->batches[i];
		if (t->drops[i].events)
			lane_drop(f->routing->lanes[i], t->drops[i].events, t->drops[i].bytes);
		if (t->drops[i].had_events)
			lane_had(f->routing->lanes[i], t->drops[i].had_events);
		t->drops[i] = (struct stretch_drops){ 0 };
		t->batches[i] = NULL;
		if (b)
			collect(f, i, b, end);
	}
	stretch_end(t, &f->counters.sorted);
}

/*
 * Hands the batches to their lanes. A lane that was given up on leaves its events open: the source has them. So does a span
 * of which something is kept nowhere.
 */
static int close_span(struct feed *f, struct stretch *t, uint64_t end)
{
	collect_all(f, t, end);
	for (unsigned i = 0; i < f->routing->n_lanes; i++) {
		uint32_t n = 0;
		struct batch *list = f->pushes[i];
		f->pushes[i] = NULL;
		for (const struct batch *b = list; b; b = b->next)
			n += batch_events(b);
		if (list && lane_push(f->routing->lanes[i], list, &f->patience) < 0)
			f->counters.left += n;
	}
	if (!f->gave_up)
		ledger_commit(f->span, end, f->next_seq);
	f->end = end;
	f->span = NULL;
	return f->routing->stopping || f->gave_up ? -ESHUTDOWN : 0;
}

int span_end(struct feed *f, uint64_t end)
{
	return close_span(f, &f->stretch, end);
}

int span_of(struct feed *f, struct stretch *t, uint64_t end)
{
	assert(!f->span);
	f->span = ledger_open(f->ledger, f->next_seq);
	return close_span(f, t, end);
}

/* ---- what is no event ---- */

static void say_where(const struct feed_origin *origin, uint64_t number, char *text)
{
	if (origin->where)
		origin->where(origin, number, text, TROUBLE_ROOM);
	else
		(void)snprintf(text, TROUBLE_ROOM, "%s:%llu", origin->file, (unsigned long long)number);
}

/* What had no room for so long is left: stopping, or run --once has waited long enough. */
static bool gives_up(const struct feed *f, int64_t since_ms)
{
	const struct routing *routing = f->routing;
	if (routing->stopping)
		return true;
	if (!routing->once || clock_steady_ms() - since_ms < routing->once_wait_ms)
		return false;
	log_line(LOG_ERROR, NULL, "input %s had no room in %s for %lld s: what is left of it stays at the source",
		f->input->name, dead_letters_path(routing->broken), (long long)(routing->once_wait_ms / 1000));
	return true;
}

/* Waits while the dead letters have no room: a broken line is never dropped silently. One that was left is not counted: it comes again. */
static void bury(struct feed *f, const struct dead_letter *letter, _Atomic uint64_t *counter)
{
	const int64_t since_ms = clock_steady_ms();
	while (!f->gave_up && dead_letters_add(f->routing->broken, letter) < 0) {
		log_limited(LOG_ERROR, NULL, "the dead letters are full or cannot be written: input %s waits", f->input->name);
		f->gave_up = gives_up(f, since_ms);
		if (!f->gave_up)
			(void)poll(NULL, 0, DEAD_LETTER_RETRY_MS);
	}
	*counter += !f->gave_up;
}

static void broken_line(struct feed *f, struct view line, enum decode_result result, size_t at, const struct feed_origin *origin,
	uint64_t number)
{
	char where[TROUBLE_ROOM], reason[LINE_REASON_ROOM];
	say_where(origin, number, where);
	const char *code = line_diagnose(line, result, at, unwrap_why(&f->unwrap), reason);
	struct view kept;
	bool cut = redaction_line(&f->sorter.redaction, f->stretch.plan->config->redact, line, &kept, f->stretch.counts.redacted);
	struct dead_letter letter = {
		.reason = reason,
		.code = code,
		.input = origin->input ? origin->input : f->input->name,
		.cluster = origin->cluster ? origin->cluster : f->cluster,
		.where = where,
		.is_json = result == DECODE_NOT_EVENT && line.len && line.ptr[0] == '{' && !cut,
		.bytes = kept,
		.bytes_total = cut ? line.len : 0,
	};
	log_limited(LOG_WARN, NULL, "%s: %s", where, reason);
	bury(f, &letter, &f->counters.broken);
}

/* ---- lists ---- */

/*
 * The items of an EventList, completed to what the log back end would have written, in a chunk and span of their own. The
 * chunk does not wait for the budget: the list's own bytes are held meanwhile, and waiting for them would be for ever.
 */
static int route_list(struct feed *f, uint64_t end, const struct feed_origin *origin, uint64_t number)
{
	struct list_items items;
	struct view item;
	struct buf whole = { 0 };
	f->unwrap.why = NULL;
	decode_list(f->sorter.decoder, &items);
	line_complete_items(&items, f->item_decoder, &whole);
	struct chunk *chunk = chunk_adopt(f->routing->budget, &whole);
	span_begin(f, chunk, end);
	for (struct view rest = { chunk->bytes, chunk->len }; rest.len;) {
		struct event e;
		size_t at;
		enum decode_result result = line_decode(f->item_decoder, &rest, &item, &e, &at);
		if (result == DECODE_OK)
			(void)sorter_add(&f->sorter, &e, NULL);
		else
			broken_line(f, item, result, at, origin, number);
	}
	int r = span_end(f, end);
	chunk_release(chunk);
	return r;
}

/* ---- what is no event by itself ---- */

/* Each text in a wrapper is an event, or a dead letter of its own. */
static void route_texts(struct feed *f, const struct feed_origin *origin, uint64_t number)
{
	struct view item;
	struct event e;
	enum decode_result result;
	while (unwrap_next(&f->unwrap, f->item_decoder, &item, &result, &e)) {
		if (result == DECODE_OK)
			(void)sorter_add(&f->sorter, &e, NULL);
		else
			broken_line(f, item, DECODE_NOT_EVENT, 0, origin, number);
	}
}

static void route_other(struct feed *f, struct view line, enum decode_result result, size_t at, struct event *e,
	const struct feed_origin *origin, uint64_t number)
{
	switch (unwrap_line(&f->unwrap, line, result, f->item_decoder, e)) {
	case UNWRAP_EVENT:
		if (unwrap_split(&f->unwrap)->uid.ptr)
			route_part(f, e, unwrap_split(&f->unwrap));
		else
			(void)sorter_add(&f->sorter, e, NULL);
		break;
	case UNWRAP_TEXTS:
		route_texts(f, origin, number);
		break;
	case UNWRAP_NONE:
		broken_line(f, line, result, at, origin, number);
		break;
	}
}

/* ---- what inputs call ---- */

/* The first line of `*rest`, which ends at position `last`. -ESHUTDOWN: no span is open, and a list may not have been routed. */
static int route_line(struct feed *f, struct chunk *chunk, struct view *rest, uint64_t last, const struct feed_origin *origin,
	uint64_t number)
{
	struct event e;
	struct view line;
	size_t at;
	int r = 0;
	const uint64_t start = last - rest->len;
	enum decode_result result = sorter_decode(&f->sorter, rest, last, &line, &e, &at);
	const uint64_t end = last - rest->len;
	if (result == DECODE_OK) {
		(void)sorter_add(&f->sorter, &e, NULL);
	} else if (result == DECODE_LIST) {
		r = span_end(f, start);
		if (r == 0)
			r = route_list(f, end, origin, number);
		if (r == 0)
			span_begin(f, chunk, end);
	} else if (result != DECODE_EMPTY) {
		route_other(f, line, result, at, &e, origin, number);
	}
	return r;
}

int64_t route_lines(struct feed *f, struct chunk *chunk, struct view bytes, uint64_t end, const struct feed_origin *origin)
{
	const uint64_t start = end - bytes.len;
	struct view rest = bytes;
	int64_t lines = 0;
	int r = 0;
	if (f->gave_up || f->left_some)
		return -ESHUTDOWN;
	stretch_origin(&f->stretch, origin);
	span_begin(f, chunk, start);
	while (r == 0 && rest.len) {
		r = route_line(f, chunk, &rest, end, origin, origin->first_line + (uint64_t)lines);
		lines++;
	}
	f->counters.lines += (uint64_t)lines;
	if (r == 0) {
		route_due(f);
		r = span_end(f, start + (bytes.len - rest.len));
	}
	return r < 0 ? r : lines;
}

int64_t feed_chunk(struct feed *f, struct chunk *chunk, struct view bytes, uint64_t end, const struct feed_origin *origin)
{
	(void)pthread_mutex_lock(&f->mutex);
	int64_t r = route_lines(f, chunk, bytes, end, origin);
	(void)pthread_mutex_unlock(&f->mutex);
	return r;
}

/* A dead letter of the input in a span of its own, counted; `redacted` of it are the bytes that it holds. */
static int feed_letter(struct feed *f, struct dead_letter *letter, _Atomic uint64_t *counter, struct view redacted, uint64_t end)
{
	int r = -ESHUTDOWN;
	(void)pthread_mutex_lock(&f->mutex);
	if (!f->gave_up && !f->left_some) {
		span_begin(f, NULL, end);
		(void)redaction_line(&f->sorter.redaction, f->stretch.plan->config->redact, redacted, &letter->bytes,
			f->stretch.counts.redacted);
		bury(f, letter, counter);
		r = span_end(f, end);
	}
	(void)pthread_mutex_unlock(&f->mutex);
	return r;
}

int feed_too_long(struct feed *f, struct view head, uint64_t bytes_total, uint64_t end, const struct feed_origin *origin)
{
	char where[TROUBLE_ROOM];
	say_where(origin, origin->first_line, where);
	struct dead_letter letter = {
		.reason = "the line is longer than max_event_bytes",
		.code = "too_long",
		.input = origin->input ? origin->input : f->input->name,
		.cluster = origin->cluster ? origin->cluster : f->cluster,
		.where = where,
		.bytes_total = bytes_total,
	};
	f->counters.lines++;
	log_limited(LOG_WARN, NULL, "%s: %s (%llu bytes)", where, letter.reason, (unsigned long long)bytes_total);
	return feed_letter(f, &letter, &f->counters.broken, head, end);
}

int feed_gap(struct feed *f, const char *file, uint64_t bytes, const char *what, uint64_t end)
{
	char reason[TROUBLE_ROOM];
	(void)snprintf(reason, sizeof reason, bytes ? "%s: at least %llu bytes of it are lost" : "%s: how much is lost is unknown", what,
		(unsigned long long)bytes);
	struct dead_letter letter = {
		.reason = reason,
		.code = "gap",
		.input = f->input->name,
		.cluster = f->cluster,
		.where = file,
		.bytes_total = bytes,
	};
	log_line(LOG_ERROR, NULL, "input %s: %s %s", f->input->name, file, reason);
	return feed_letter(f, &letter, &f->counters.gaps, VIEW(""), end);
}

uint64_t feed_events(const struct feed *f)
{
	uint64_t n = 0;
	for (unsigned c = 0; c < AUDIT_CLASSES; c++)
		n += f->counters.sorted.class_events[c];
	return n;
}

void feed_mark(struct feed *f, uint64_t position, struct view text)
{
	progress_mark(f->routing->progress, f->number, position, text);
}

uint64_t feed_broken(const struct feed *f)
{
	return f->counters.broken;
}

void feed_trouble(struct feed *f, const char *format, ...)
{
	char text[TROUBLE_ROOM * 2];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	f->counters.troubles++;
	log_line(LOG_ERROR, NULL, "input %s: %s", f->input->name, text);
}
