#include "router/sorter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/event/line.h"
#include "router/lane/chunk.h"
#include "router/lane/record.h"

/* ---- stretches ---- */

void stretch_init(struct stretch *t, const struct stretch_options *options)
{
	memset(t, 0, sizeof *t);
	t->options = options;
	t->cluster = view_of(options->cluster);
	t->input = view_of(options->input->name);
	t->batches = mem_zero(options->n_lanes, sizeof(struct batch *));
	t->drops = mem_zero(options->n_lanes, sizeof *t->drops);
}

void stretch_finish(struct stretch *t)
{
	stretch_forget(t);
	free(t->batches);
	free(t->drops);
	free(t->by_rule);
}

void stretch_origin(struct stretch *t, const struct feed_origin *origin)
{
	t->lane_skip = origin->lane_skip;
	t->event_end = origin->offset;
	t->cluster = view_of(origin->cluster ? origin->cluster : t->options->cluster);
	t->input = view_of(origin->input ? origin->input : t->options->input->name);
}

void stretch_begin(struct stretch *t, struct plan *plan, struct chunk *chunk, uint64_t start)
{
	assert(!t->plan);
	t->plan = plan;
	t->chunk = chunk;
	t->start = start;
	t->line_end = 0;
	if (plan->n_by_rule > t->n_by_rule)
		t->by_rule = mem_resize(t->by_rule, plan->n_by_rule * sizeof *t->by_rule);
	t->n_by_rule = plan->n_by_rule;
	if (t->n_by_rule)
		memset(t->by_rule, 0, t->n_by_rule * sizeof *t->by_rule);
}

static void close_stretch(struct stretch *t)
{
	plan_release(t->plan);
	t->plan = NULL;
	t->chunk = NULL;
}

void stretch_forget(struct stretch *t)
{
	for (unsigned i = 0; i < t->options->n_lanes; i++) {
		batch_free(t->batches[i]);
		t->batches[i] = NULL;
		t->drops[i] = (struct stretch_drops){ 0 };
	}
	memset(&t->counts, 0, sizeof t->counts);
	close_stretch(t);
}

/* Both are nothing but counts of one size. */
static void add_counts(struct sorter_counts *from, struct sorter_counts *to)
{
	static_assert(sizeof *to % sizeof(_Atomic uint64_t) == 0, "all of it are counts");
	_Atomic uint64_t *n = (_Atomic uint64_t *)(void *)from, *sum = (_Atomic uint64_t *)(void *)to;
	for (size_t i = 0; i < sizeof *to / sizeof *sum; i++)
		if (n[i])
			sum[i] += n[i];
	memset(from, 0, sizeof *from);
}

void stretch_end(struct stretch *t, struct sorter_counts *counts)
{
	add_counts(&t->counts, counts);
	plan_count_drops(t->plan, t->by_rule);
	close_stretch(t);
}

/* ---- sorting ---- */

void sorter_init(struct sorter *s)
{
	memset(s, 0, sizeof *s);
	s->decoder = decode_create(DECODE_BEST);
}

void sorter_finish(struct sorter *s)
{
	decode_destroy(s->decoder);
	edits_finish(&s->edits);
	redaction_finish(&s->redaction);
	redaction_finish(&s->lane_redaction);
}

/* Are positions bytes? Then each line ends at one of its own, which the progress knows. */
static bool has_places(const struct stretch *t)
{
	return t->options->input->ops && t->options->input->ops->advance;
}

enum decode_result sorter_decode(struct sorter *s, struct view *rest, uint64_t last, struct view *ret_line, struct event *event,
	size_t *ret_at)
{
	struct stretch *t = s->stretch;
	const size_t before = rest->len;
	enum decode_result result = line_decode(s->decoder, rest, ret_line, event, ret_at);
	const uint64_t end = last - rest->len;
	t->event_end += before - rest->len;
	if (has_places(t))
		t->line_end = end - t->start <= UINT32_MAX ? (uint32_t)(end - t->start) : 0;
	return result;
}

/* One that came with the lines lives as long as the batch. */
static const char *batch_name(struct batch *b, struct view name, const char *own)
{
	if (name.ptr == own)
		return own;
	char *copy = batch_alloc(b, name.len + 1);
	memcpy(copy, name.ptr, name.len + 1);
	return copy;
}

static struct batch *lane_batch(struct stretch *t, unsigned lane)
{
	if (t->batches[lane])
		return t->batches[lane];
	struct batch *b = batch_create(t->options->budget, t->chunk);
	b->plan = plan_hold(t->plan);
	b->release_plan = plan_release;
	b->classifier = t->plan->classifier;
	b->input = batch_name(b, t->input, t->options->input->name);
	b->cluster = batch_name(b, t->cluster, t->options->cluster);
	b->source = t->options->number;
	b->start = t->start;
	return t->batches[lane] = b;
}

/* Redaction or unwrapping made it: its bytes are not the chunk's, and are gone with the next event. */
static bool is_made(const struct sorter *s, const struct event *e)
{
	const struct chunk *c = s->stretch->chunk;
	return !c || e->bytes.ptr < c->bytes || e->bytes.ptr >= c->bytes + c->len;
}

/* What a record keeps of an event beside its bytes. */
static void fill_record(struct sorter *s, struct batch *b, struct record *r, const struct event *e, enum record_key key)
{
	if (!is_made(s, e)) {
		record_fill(b, r, e, &s->attributes, key);
		return;
	}
	struct attributes attributes;
	struct event short_lived = *e;
	attributes_of(e, &attributes);
	short_lived.bytes = (struct view){ 0 }; /* so that the key is copied */
	record_fill(b, r, &short_lived, &attributes, key);
}

/* The event's bytes as this lane gets them: as they came, or edited into the batch's arena. */
static struct view lane_bytes(struct sorter *s, struct batch *b, const struct event *e)
{
	if (edits_none(&s->edits) && !is_made(s, e))
		return e->bytes;
	size_t len = edits_length(&s->edits, e->bytes);
	char *bytes = batch_alloc(b, len);
	return (struct view){ bytes, edits_apply(&s->edits, e->bytes, bytes) };
}

/* At its smallest the event is still more than the collector takes: the lane makes a dead letter of it, whole. */
static void refuse(struct sorter *s, unsigned lane, const struct event *e)
{
	struct batch *b = lane_batch(s->stretch, lane);
	struct view bytes = e->bytes;
	if (is_made(s, e)) {
		char *copy = batch_alloc(b, bytes.len);
		memcpy(copy, bytes.ptr, bytes.len);
		bytes.ptr = copy;
	}
	batch_add_misfit(b, bytes);
	b->bytes += bytes.len;
}

/* `d` is what all policies together leave of the event. */
static void add_to_lane(struct sorter *s, const struct plan_lane *lane, const struct event *e, struct verdict v,
	struct policy_decision d)
{
	e = redaction_event(&s->lane_redaction, lane->output->common.redact, e, &s->attributes, s->stretch->counts.redacted);
	edits_clear(&s->edits);
	policy_edit(d, e, &s->edits);
	if (lane->max_event_bytes && e->bytes.len > lane->max_event_bytes) {
		enum ladder_step step = ladder_fit(&s->edits, e, lane->max_event_bytes);
		s->stretch->counts.cut[step]++;
		if (step == LADDER_TOO_LARGE) {
			refuse(s, lane->number, e);
			return;
		}
	}
	struct batch *b = lane_batch(s->stretch, lane->number);
	struct record *r = batch_add(b);
	r->bytes = lane_bytes(s, b, e);
	r->rule = v.rule;
	r->class_ = (uint8_t)v.class_;
	r->end = s->stretch->line_end;
	b->bytes += r->bytes.len;
	fill_record(s, b, r, e, lane->key);
}

static bool lane_wants(const struct plan_lane *lane, const struct attributes *a)
{
	return (!lane->only || matcher_first(lane->only, a) != MATCHER_NONE) &&
	       (!lane->except || matcher_first(lane->except, a) == MATCHER_NONE);
}

static void drop_from_lane(struct stretch *t, unsigned lane, size_t bytes)
{
	t->drops[lane].events++;
	t->drops[lane].bytes += bytes;
}

static bool dropped(struct sorter *s, enum audit_class c, size_t bytes)
{
	struct stretch *t = s->stretch;
	switch (data_access_decide(&t->plan->config->data_access, c, &s->attributes)) {
	case DATA_ACCESS_OFF:
		t->counts.off_events[c]++;
		t->counts.off_bytes[c] += bytes;
		return true;
	case DATA_ACCESS_EXEMPT:
		t->counts.exempt_events[c]++;
		t->counts.exempt_bytes[c] += bytes;
		return true;
	case DATA_ACCESS_KEEP:
		break;
	}
	return false;
}

static struct policy_decision decide(struct sorter *s, const struct plan_policy *p, const struct event *e)
{
	struct policy_decision d = policy_decide(p->policy, e, &s->attributes);
	if (!policy_keeps(d))
		s->stretch->by_rule[p->first_by_rule + (d.rule < 0 ? policy_rules(p->policy) : (size_t)d.rule)]++;
	return d;
}

static void route_to_lane(struct sorter *s, const struct plan_lane *lane, const struct event *e, struct verdict v,
	struct policy_decision d)
{
	bool wanted = lane_wants(lane, &s->attributes);
	if (wanted && lane->policy) {
		struct policy_decision own = decide(s, lane->policy, e);
		wanted = policy_keeps(own);
		d = policy_both(d, own);
	}
	if (wanted)
		add_to_lane(s, lane, e, v, d);
	else
		drop_from_lane(s->stretch, lane->number, e->bytes.len);
}

/* Before the restart this lane had the event in hand. */
static bool lane_has_it(const struct stretch *t, unsigned lane)
{
	if (t->part_skip)
		return t->part_skip[lane / 64] >> (lane % 64) & 1;
	return t->lane_skip && t->event_end <= t->lane_skip[lane];
}

struct verdict sorter_add(struct sorter *s, const struct event *e, const struct verdict *given)
{
	struct stretch *t = s->stretch;
	struct policy_decision d = { .level = LEVEL_REQUEST_RESPONSE };
	attributes_of(e, &s->attributes);
	s->attributes.cluster = t->cluster;
	struct verdict v = given ? *given : classifier_classify(t->plan->classifier, &s->attributes);
	t->counts.class_events[v.class_]++;
	t->counts.class_bytes[v.class_] += e->bytes.len;
	if (dropped(s, v.class_, e->bytes.len))
		return v;
	if (t->plan->policy.policy)
		d = decide(s, &t->plan->policy, e);
	if (!policy_keeps(d)) {
		t->counts.policy_events[v.class_]++;
		t->counts.policy_bytes[v.class_] += e->bytes.len;
		return v;
	}
	e = redaction_event(&s->redaction, t->plan->config->redact, e, &s->attributes, t->counts.redacted);
	for (unsigned i = t->plan->class_first[v.class_]; i < t->plan->class_first[v.class_ + 1]; i++) {
		const struct plan_lane *lane = &t->plan->lanes[i];
		if (lane_has_it(t, lane->number))
			t->drops[lane->number].had_events++;
		else
			route_to_lane(s, lane, e, v, d);
	}
	return v;
}

