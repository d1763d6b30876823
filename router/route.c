#include "router/route_private.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/log.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/lane/progress.h"
#include "router/lane/record.h"
#include "router/event/line.h"

enum {
	DEAD_LETTER_HEAD = 64 * 1024,
	DEAD_LETTER_RETRY_MS = 500,
	TROUBLE_ROOM = 512,
};

int feed_create(struct feed **ret_feed, struct routing *routing, const struct config_input *input, unsigned n_lanes,
	void (*news)(void *context), void *context)
{
	struct feed *f = mem_zero(1, sizeof *f);
	f->routing = routing;
	f->input = input;
	f->has_places = input->ops && input->ops->advance;
	f->cluster = input->cluster ? input->cluster : routing->plan->config->cluster;
	if (!f->cluster)
		f->cluster = "";
	f->cluster_view = view_of(f->cluster);
	f->decoder = decode_create(DECODE_BEST);
	f->item_decoder = decode_create(DECODE_BEST);
	f->next_seq = mem_zero(n_lanes, sizeof *f->next_seq);
	f->batches = mem_zero(n_lanes, sizeof(struct batch *));
	f->pushes = mem_zero(n_lanes, sizeof(struct batch *));
	while (f->number < routing->plan->config->n_inputs && &routing->plan->config->inputs[f->number] != input)
		f->number++;
	f->drops = mem_zero(n_lanes, sizeof *f->drops);
	join_start(f);
	*ret_feed = f;
	return ledger_create(&f->ledger, n_lanes, news, context);
}

void feed_destroy(struct feed *f)
{
	if (!f)
		return;
	join_end(f);
	decode_destroy(f->decoder);
	decode_destroy(f->item_decoder);
	unwrap_finish(&f->unwrap);
	ledger_destroy(f->ledger);
	free(f->next_seq);
	free(f->batches);
	free(f->pushes);
	free(f->drops);
	edits_finish(&f->edits);
	redaction_finish(&f->redaction);
	redaction_finish(&f->lane_redaction);
	free(f);
}

/* ---- spans ---- */

static struct plan *current_plan(struct routing *routing)
{
	(void)pthread_mutex_lock(&routing->plan_mutex);
	struct plan *plan = plan_hold(routing->plan);
	(void)pthread_mutex_unlock(&routing->plan_mutex);
	return plan;
}

void span_begin(struct feed *f, struct chunk *chunk, uint64_t start)
{
	assert(!f->span);
	f->chunk = chunk;
	f->start = start;
	f->line_end = 0;
	f->plan = current_plan(f->routing);
	f->span = ledger_open(f->ledger, f->next_seq);
}

/* One that came with the lines lives as long as the batch. */
static const char *batch_cluster(const struct feed *f, struct batch *b)
{
	if (f->cluster_view.ptr == f->cluster)
		return f->cluster;
	char *copy = batch_alloc(b, f->cluster_view.len + 1);
	memcpy(copy, f->cluster_view.ptr, f->cluster_view.len + 1);
	return copy;
}

static struct batch *lane_batch(struct feed *f, unsigned lane)
{
	if (f->batches[lane])
		return f->batches[lane];
	struct batch *b = batch_create(f->routing->budget, f->chunk);
	b->plan = plan_hold(f->plan);
	b->release_plan = plan_release;
	b->classifier = f->plan->classifier;
	b->input = f->input->name;
	b->cluster = batch_cluster(f, b);
	b->span = f->span;
	b->source = f->number;
	b->start = f->start;
	b->first_seq = f->next_seq[lane];
	ledger_join(f->span, lane);
	return f->batches[lane] = b;
}

/* In the order of the lanes: last in the list of those that go into one queue together. */
static void collect(struct feed *f, unsigned lane, struct batch *b, uint64_t end)
{
	struct batch **last = &f->pushes[f->routing->leaders ? f->routing->leaders[lane] : lane];
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

/*
 * Hands the batches to their lanes. A lane that was given up on leaves its events open: the source has them. So does a span
 * of which something is kept nowhere.
 */
int span_end(struct feed *f, uint64_t end)
{
	for (unsigned i = 0; i < f->routing->n_lanes; i++) {
		struct batch *b = f->batches[i];
		if (f->drops[i].events)
			lane_drop(f->routing->lanes[i], f->drops[i].events, f->drops[i].bytes);
		f->drops[i] = (struct feed_drops){ 0 };
		f->batches[i] = NULL;
		if (b)
			collect(f, i, b, end);
	}
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
	plan_release(f->plan);
	f->end = end;
	f->span = NULL;
	f->plan = NULL;
	f->chunk = NULL;
	return f->routing->stopping ? -ESHUTDOWN : 0;
}

/* The lines of this origin come now. */
static void take_origin(struct feed *f, const struct feed_origin *origin)
{
	f->lane_skip = origin->lane_skip;
	f->cluster_view = view_of(origin->cluster ? origin->cluster : f->cluster);
}

/* ---- what is no event ---- */

static void say_where(const struct feed_origin *origin, uint64_t number, char *text)
{
	if (origin->where)
		origin->where(origin, number, text, TROUBLE_ROOM);
	else
		(void)snprintf(text, TROUBLE_ROOM, "%s:%llu", origin->file, (unsigned long long)number);
}

/* Waits while the dead letters have no room: a broken line is never dropped silently. */
static void bury(struct feed *f, const struct dead_letter *letter)
{
	while (dead_letters_add(f->routing->broken, letter) < 0) {
		log_limited(LOG_ERROR, NULL, "the dead letters are full or cannot be written: input %s waits", f->input->name);
		if (f->routing->stopping) {
			f->gave_up = true;
			return;
		}
		(void)poll(NULL, 0, DEAD_LETTER_RETRY_MS);
	}
}

static void broken_line(struct feed *f, struct view line, enum decode_result result, size_t at, const struct feed_origin *origin,
	uint64_t number)
{
	char where[TROUBLE_ROOM], reason[LINE_REASON_ROOM];
	say_where(origin, number, where);
	const char *code = line_diagnose(line, result, at, unwrap_why(&f->unwrap), reason);
	struct view kept;
	bool cut = redaction_line(&f->redaction, f->plan->config->redact, line, &kept, f->counters.redacted);
	struct dead_letter letter = {
		.reason = reason,
		.code = code,
		.input = f->input->name,
		.where = where,
		.is_json = result == DECODE_NOT_EVENT && line.len && line.ptr[0] == '{' && !cut,
		.bytes = kept,
		.bytes_total = cut ? line.len : 0,
	};
	f->counters.broken++;
	log_limited(LOG_WARN, NULL, "%s: %s", where, reason);
	bury(f, &letter);
}

/* ---- one event ---- */

/* Redaction or unwrapping made it: its bytes are not the chunk's, and are gone with the next event. */
static bool is_made(const struct feed *f, const struct event *e)
{
	const struct chunk *c = f->chunk;
	return !c || e->bytes.ptr < c->bytes || e->bytes.ptr >= c->bytes + c->len;
}

/* What a record keeps of an event beside its bytes. */
static void fill_record(struct feed *f, struct batch *b, struct record *r, const struct event *e, enum record_key key)
{
	if (!is_made(f, e)) {
		record_fill(b, r, e, &f->attributes, key);
		return;
	}
	struct attributes attributes;
	struct event short_lived = *e;
	attributes_of(e, &attributes);
	short_lived.bytes = (struct view){ 0 }; /* so that the key is copied */
	record_fill(b, r, &short_lived, &attributes, key);
}

/* The event's bytes as this lane gets them: as they came, or edited into the batch's arena. */
static struct view lane_bytes(struct feed *f, struct batch *b, const struct event *e)
{
	if (edits_none(&f->edits) && !is_made(f, e))
		return e->bytes;
	size_t len = edits_length(&f->edits, e->bytes);
	char *bytes = batch_alloc(b, len);
	return (struct view){ bytes, edits_apply(&f->edits, e->bytes, bytes) };
}

/* At its smallest the event is still more than the collector takes: the lane makes a dead letter of it, whole. */
static void refuse(struct feed *f, unsigned lane, const struct event *e)
{
	struct batch *b = lane_batch(f, lane);
	struct view bytes = e->bytes;
	if (is_made(f, e)) {
		char *copy = batch_alloc(b, bytes.len);
		memcpy(copy, bytes.ptr, bytes.len);
		bytes.ptr = copy;
	}
	batch_add_misfit(b, bytes);
	b->bytes += bytes.len;
}

/* `d` is what all policies together leave of the event. */
static void add_to_lane(struct feed *f, const struct plan_lane *lane, const struct event *e, struct verdict v,
	struct policy_decision d)
{
	e = redaction_event(&f->lane_redaction, lane->output->common.redact, e, &f->attributes, f->counters.redacted);
	edits_clear(&f->edits);
	policy_edit(d, e, &f->edits);
	if (lane->max_event_bytes && e->bytes.len > lane->max_event_bytes) {
		enum ladder_step step = ladder_fit(&f->edits, e, lane->max_event_bytes);
		f->counters.cut[step]++;
		if (step == LADDER_TOO_LARGE) {
			refuse(f, lane->number, e);
			return;
		}
	}
	struct batch *b = lane_batch(f, lane->number);
	struct record *r = batch_add(b);
	r->bytes = lane_bytes(f, b, e);
	r->rule = v.rule;
	r->class_ = (uint8_t)v.class_;
	r->end = f->line_end;
	b->bytes += r->bytes.len;
	fill_record(f, b, r, e, lane->key);
}

static bool lane_wants(const struct plan_lane *lane, const struct attributes *a)
{
	return (!lane->only || matcher_first(lane->only, a) != MATCHER_NONE) &&
	       (!lane->except || matcher_first(lane->except, a) == MATCHER_NONE);
}

static void drop_from_lane(struct feed *f, unsigned lane, size_t bytes)
{
	f->drops[lane].events++;
	f->drops[lane].bytes += bytes;
}

static bool dropped(struct feed *f, enum audit_class c, size_t bytes)
{
	switch (data_access_decide(&f->plan->config->data_access, c, &f->attributes)) {
	case DATA_ACCESS_OFF:
		f->counters.off_events[c]++;
		f->counters.off_bytes[c] += bytes;
		return true;
	case DATA_ACCESS_EXEMPT:
		f->counters.exempt_events[c]++;
		f->counters.exempt_bytes[c] += bytes;
		return true;
	case DATA_ACCESS_KEEP:
		break;
	}
	return false;
}

static struct policy_decision decide(struct feed *f, const struct plan_policy *p, const struct event *e)
{
	struct policy_decision d = policy_decide(p->policy, e, &f->attributes);
	if (!policy_keeps(d))
		p->drops->by_rule[d.rule < 0 ? policy_rules(p->policy) : (size_t)d.rule]++;
	return d;
}

static void route_to_lane(struct feed *f, const struct plan_lane *lane, const struct event *e, struct verdict v,
	struct policy_decision d)
{
	bool wanted = lane_wants(lane, &f->attributes);
	if (wanted && lane->policy) {
		struct policy_decision own = decide(f, lane->policy, e);
		wanted = policy_keeps(own);
		d = policy_both(d, own);
	}
	if (wanted)
		add_to_lane(f, lane, e, v, d);
	else
		drop_from_lane(f, lane->number, e->bytes.len);
}

/* Before the restart this lane had the event in hand. */
static bool lane_has_it(const struct feed *f, unsigned lane)
{
	if (f->part_skip)
		return f->part_skip[lane / 64] >> (lane % 64) & 1;
	return f->lane_skip && f->event_end <= f->lane_skip[lane];
}

struct verdict route_event(struct feed *f, const struct event *e, const struct verdict *given)
{
	struct policy_decision d = { .level = LEVEL_REQUEST_RESPONSE };
	attributes_of(e, &f->attributes);
	f->attributes.cluster = f->cluster_view;
	struct verdict v = given ? *given : classifier_classify(f->plan->classifier, &f->attributes);
	f->counters.class_events[v.class_]++;
	f->counters.class_bytes[v.class_] += e->bytes.len;
	if (dropped(f, v.class_, e->bytes.len))
		return v;
	if (f->plan->policy.policy)
		d = decide(f, &f->plan->policy, e);
	if (!policy_keeps(d)) {
		f->counters.policy_events[v.class_]++;
		f->counters.policy_bytes[v.class_] += e->bytes.len;
		return v;
	}
	e = redaction_event(&f->redaction, f->plan->config->redact, e, &f->attributes, f->counters.redacted);
	for (unsigned i = f->plan->class_first[v.class_]; i < f->plan->class_first[v.class_ + 1]; i++) {
		const struct plan_lane *lane = &f->plan->lanes[i];
		if (!lane_has_it(f, lane->number))
			route_to_lane(f, lane, e, v, d);
	}
	return v;
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
	decode_list(f->decoder, &items);
	line_complete_items(&items, f->item_decoder, &whole);
	struct chunk *chunk = chunk_adopt(f->routing->budget, &whole);
	span_begin(f, chunk, end);
	for (struct view rest = { chunk->bytes, chunk->len }; line_next(&rest, &item);) {
		struct event e;
		size_t at;
		enum decode_result result = decode_line(f->item_decoder, item, &e, &at);
		if (result == DECODE_OK)
			(void)route_event(f, &e, NULL);
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
			(void)route_event(f, &e, NULL);
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
			(void)route_event(f, e, NULL);
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
	enum decode_result result = line_decode(f->decoder, rest, &line, &e, &at);
	const uint64_t end = last - rest->len;
	f->event_end += end - start;
	if (f->has_places)
		f->line_end = end - f->start <= UINT32_MAX ? (uint32_t)(end - f->start) : 0;
	if (result == DECODE_OK) {
		(void)route_event(f, &e, NULL);
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

static int64_t feed_lines(struct feed *f, struct chunk *chunk, struct view bytes, uint64_t end, const struct feed_origin *origin)
{
	const uint64_t start = end - bytes.len;
	struct view rest = bytes;
	int64_t lines = 0;
	int r = 0;
	if (f->gave_up)
		return -ESHUTDOWN;
	take_origin(f, origin);
	f->event_end = origin->offset;
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
	int64_t r = feed_lines(f, chunk, bytes, end, origin);
	(void)pthread_mutex_unlock(&f->mutex);
	return r;
}

/* A dead letter of the input in a span of its own; `redacted` of it are the bytes that it holds. */
static int feed_letter(struct feed *f, struct dead_letter *letter, struct view redacted, uint64_t end)
{
	int r = -ESHUTDOWN;
	(void)pthread_mutex_lock(&f->mutex);
	if (!f->gave_up) {
		span_begin(f, NULL, end);
		(void)redaction_line(&f->redaction, f->plan->config->redact, redacted, &letter->bytes, f->counters.redacted);
		bury(f, letter);
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
		.input = f->input->name,
		.where = where,
		.bytes_total = bytes_total,
	};
	f->counters.lines++;
	f->counters.broken++;
	log_limited(LOG_WARN, NULL, "%s: %s (%llu bytes)", where, letter.reason, (unsigned long long)bytes_total);
	return feed_letter(f, &letter, head, end);
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
		.where = file,
		.bytes_total = bytes,
	};
	f->counters.gaps++;
	log_line(LOG_ERROR, NULL, "input %s: %s %s", f->input->name, file, reason);
	return feed_letter(f, &letter, VIEW(""), end);
}

uint64_t feed_events(const struct feed *f)
{
	uint64_t n = 0;
	for (unsigned c = 0; c < AUDIT_CLASSES; c++)
		n += f->counters.class_events[c];
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
