#pragma once
/*
 * unwrap_oracle -- what unwrap finds in a line, and what is then done to it, against jansson: texts are the strings that jansson
 * reads, fields of a LogEntry are where jansson finds them, and what cuts, ladder and redaction leave is that LogEntry still. For
 * fuzz_frame and property_unwrap.
 */
#include "router/event/join.h"
#include "router/event/ladder.h"
#include "router/event/unwrap.h"
#include "router/redaction.h"
#include "tests/tools/redact_oracle.h"

struct unwrap_oracle {
	struct redact_oracle redact;
	struct decoder *outer, *inner;
	struct unwrap unwrap, again;
	struct edits edits;
	struct redaction redaction, twice;
	struct attributes attributes;
	_Atomic uint64_t counts[REDACT_KINDS];
	uint64_t texts, entries; /* that were found */
};

static inline void unwrap_oracle_init(struct unwrap_oracle *o)
{
	*o = (struct unwrap_oracle){ .redact = redact_oracle_create(), .outer = decode_create(DECODE_BEST), .inner = decode_create(DECODE_BEST) };
}

static inline void unwrap_oracle_finish(struct unwrap_oracle *o)
{
	redact_oracle_finish(&o->redact);
	decode_destroy(o->outer);
	decode_destroy(o->inner);
	unwrap_finish(&o->unwrap);
	unwrap_finish(&o->again);
	edits_finish(&o->edits);
	redaction_finish(&o->redaction);
	redaction_finish(&o->twice);
}

/* NULL where jansson does not read what the router does: lone surrogates, bytes that are no UTF-8, huge numbers, deep nesting. */
static inline json_t *unwrap_oracle_json(struct view bytes)
{
	return json_loadb(bytes.ptr, bytes.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

static inline void unwrap_oracle_same(struct view got, const json_t *want)
{
	assert(!got.ptr == !json_is_string(want));
	assert(!got.ptr || (got.len == json_string_length(want) && memcmp(got.ptr, json_string_value(want), got.len) == 0));
}

static inline void unwrap_oracle_same_json(struct view got, const json_t *want)
{
	json_t *json = got.ptr ? unwrap_oracle_json(got) : NULL;
	assert(!got.ptr == !want);
	assert(!json || json_equal(json, want));
	json_decref(json);
}

/* ---- LogEntries ---- */

static inline void unwrap_oracle_fields(const struct event *e, const json_t *entry)
{
	const json_t *payload = json_object_get(entry, "protoPayload"), *operation = json_object_get(entry, "operation");
	const json_t *producer = json_object_get(operation, "producer");
	const char *by = json_string_value(producer);
	assert(strcmp(json_string_value(json_object_get(payload, "serviceName")), "k8s.io") == 0);
	unwrap_oracle_same(e->user.username, json_object_get(json_object_get(payload, "authenticationInfo"), "principalEmail"));
	unwrap_oracle_same(e->user_agent, json_object_get(json_object_get(payload, "requestMetadata"), "callerSuppliedUserAgent"));
	unwrap_oracle_same(e->n_source_ips ? e->source_ips[0] : (struct view){ 0 },
		json_object_get(json_object_get(payload, "requestMetadata"), "callerIp"));
	unwrap_oracle_same(e->request_received, json_object_get(entry, "timestamp"));
	unwrap_oracle_same(e->audit_id, by && json_string_length(producer) == 6 && memcmp(by, "k8s.io", 6) == 0 ? json_object_get(operation, "id") : NULL);
	unwrap_oracle_same_json(e->request_object, json_object_get(payload, "request"));
	unwrap_oracle_same_json(e->response_object, json_object_get(payload, "response"));
	unwrap_oracle_same_json(e->annotations, json_object_get(entry, "labels"));
}

/* What the edits leave. The caller frees. */
static inline struct buf unwrap_oracle_edited(struct unwrap_oracle *o, const struct event *e)
{
	struct buf out = { 0 };
	buf_reserve(&out, edits_length(&o->edits, e->bytes) + 1);
	out.len = edits_apply(&o->edits, e->bytes, out.ptr);
	edits_clear(&o->edits);
	return out;
}

/* It is a LogEntry still, and what jansson reads of it is `want` (NULL: not known). */
static inline void unwrap_oracle_is(struct unwrap_oracle *o, struct view bytes, const json_t *want)
{
	struct event e;
	size_t end;
	enum decode_result result = unwrap_decode(&o->again, o->inner, bytes, &e, &end);
	assert(result == DECODE_OK && e.form == EVENT_LOG_ENTRY);
	json_t *json = want ? unwrap_oracle_json(bytes) : NULL;
	assert(!want || (json && json_equal(json, want)));
	json_decref(json);
}

static inline void unwrap_oracle_cuts(struct unwrap_oracle *o, const struct event *e, json_t *entry)
{
	json_t *copy = entry ? json_deep_copy(entry) : NULL, *payload = json_object_get(copy, "protoPayload");
	(void)edits_cut_bodies(&o->edits, e, EDIT_RESPONSE);
	struct buf out = unwrap_oracle_edited(o, e);
	if (payload)
		(void)json_object_del(payload, "response");
	unwrap_oracle_is(o, buf_view(&out), copy);
	buf_finish(&out);
	(void)edits_cut_bodies(&o->edits, e, EDIT_REQUEST | EDIT_RESPONSE);
	out = unwrap_oracle_edited(o, e);
	if (payload)
		(void)json_object_del(payload, "request");
	unwrap_oracle_is(o, buf_view(&out), copy);
	buf_finish(&out);
	if (e->bytes.len > 8 && ladder_fit(&o->edits, e, e->bytes.len - 8) != LADDER_TOO_LARGE) {
		assert(edits_length(&o->edits, e->bytes) <= e->bytes.len - 8);
		out = unwrap_oracle_edited(o, e);
		unwrap_oracle_is(o, buf_view(&out), NULL);
		buf_finish(&out);
	}
	edits_clear(&o->edits);
	json_decref(copy);
}

static inline void unwrap_oracle_redact(struct unwrap_oracle *o, const struct event *e)
{
	for (int i = 0; i < REDACT_ORACLES; i++) {
		attributes_of(e, &o->attributes);
		const struct event *once = redaction_event(&o->redaction, o->redact.redactors[i], e, &o->attributes, o->counts);
		unwrap_oracle_is(o, once->bytes, NULL);
		attributes_of(once, &o->attributes);
		const struct event *twice = redaction_event(&o->twice, o->redact.redactors[i], once, &o->attributes, o->counts);
		assert(view_eq(once->bytes, twice->bytes));
	}
}

/* ---- texts ---- */

static inline const json_t *unwrap_oracle_string(const json_t *item)
{
	const json_t *log = json_object_get(json_object_get(item, "properties"), "log");
	return json_is_string(log) ? log : json_object_get(item, "message");
}

static inline bool unwrap_oracle_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The event is the string, but for white space around it and newlines. */
static inline void unwrap_oracle_text(const struct event *e, struct view item)
{
	json_t *json = unwrap_oracle_json(item);
	const json_t *string = unwrap_oracle_string(json);
	if (json && json_is_string(string)) {
		const char *at = json_string_value(string), *end = at + json_string_length(string);
		while (at < end && unwrap_oracle_space(*at))
			at++;
		while (end > at && unwrap_oracle_space(end[-1]))
			end--;
		/* Of two strings that could be it, the list decides: then nothing is known here. */
		bool both = json_is_string(json_object_get(json, "message")) && json_is_string(json_object_get(json_object_get(json, "properties"), "log"));
		assert(both || e->bytes.len == (size_t)(end - at));
		for (size_t i = 0; !both && i < e->bytes.len; i++)
			assert(e->bytes.ptr[i] == (at[i] == '\n' ? ' ' : at[i]));
	}
	json_decref(json);
}

/* A line without a newline. */
static inline void unwrap_oracle_line(struct unwrap_oracle *o, struct view line)
{
	struct event e;
	size_t end;
	struct view item;
	enum decode_result result = decode_line(o->outer, line, &e, &end);
	if (result == DECODE_OK || result == DECODE_LIST || result == DECODE_EMPTY)
		return;
	switch (unwrap_line(&o->unwrap, line, result, o->inner, &e)) {
	case UNWRAP_EVENT:
		assert(e.bytes.ptr >= line.ptr && e.bytes.ptr + e.bytes.len <= line.ptr + line.len);
		if (e.form == EVENT_LOG_ENTRY) {
			json_t *json = unwrap_oracle_json(e.bytes);
			o->entries++;
			if (json)
				unwrap_oracle_fields(&e, json);
			unwrap_oracle_cuts(o, &e, json);
			unwrap_oracle_redact(o, &e);
			json_decref(json);
		}
		break;
	case UNWRAP_TEXTS:
		while (unwrap_next(&o->unwrap, o->inner, &item, &result, &e)) {
			assert(item.ptr >= line.ptr && item.ptr + item.len <= line.ptr + line.len);
			assert((result == DECODE_OK) == !unwrap_why(&o->unwrap));
			if (result != DECODE_OK)
				continue;
			o->texts++;
			assert(!memchr(e.bytes.ptr, '\n', e.bytes.len));
			unwrap_oracle_text(&e, item);
		}
		break;
	case UNWRAP_NONE:
		break;
	}
}
