#pragma once
/*
 * decode_oracle -- is what decode says of some bytes what jansson says of them? All kinds of vectors are asked, and must
 * agree in every byte. For fuzz_decode and property_decode: a disagreement is said on stderr and ends the process.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>

#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/event/text.h"
#include "tests/tools/tame.h"

enum { ORACLE_KINDS = 4 };

struct oracle {
	struct decoder *decoders[ORACLE_KINDS], *item_decoder;
	size_t n;
	struct view line; /* what is looked at, for the message */
};

static inline struct oracle oracle_create(void)
{
	struct oracle o = { .item_decoder = decode_create(DECODE_BEST) };
	for (enum decode_vectors vectors = DECODE_PLAIN; vectors <= DECODE_NEON; vectors++) {
		struct decoder *d = decode_create(vectors);
		if (d)
			o.decoders[o.n++] = d;
	}
	return o;
}

static inline void oracle_destroy(struct oracle *o)
{
	for (size_t i = 0; i < o->n; i++)
		decode_destroy(o->decoders[i]);
	decode_destroy(o->item_decoder);
}

static _Noreturn inline void oracle_fail(const struct oracle *o, const char *what)
{
	fprintf(stderr, "\ndecode: %s:\n%.*s\n", what, (int)(o->line.len < 4096 ? o->line.len : 4096), o->line.ptr);
	FILE *f = fopen("decode.failed", "we");
	if (f) {
		fwrite(o->line.ptr, 1, o->line.len, f);
		fclose(f);
	}
	abort();
}

static inline void oracle_check(const struct oracle *o, bool good, const char *what)
{
	if (!good)
		oracle_fail(o, what);
}

/* jansson's value of tamed JSON, or NULL. */
static inline json_t *oracle_load(struct view json, struct tame *ret_tame)
{
	*ret_tame = tame_json(json);
	struct view tamed = buf_view(&ret_tame->bytes);
	return json_loadb(tamed.ptr, tamed.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

static inline void oracle_text(const struct oracle *o, struct view got, const json_t *want, const char *what)
{
	struct buf text = { 0 };
	oracle_check(o, (got.ptr != NULL) == json_is_string(want), what);
	tame_text(&text, got);
	if (got.ptr)
		oracle_check(o, text.len == json_string_length(want) &&
			(!text.len || memcmp(text.ptr, json_string_value(want), text.len) == 0), what);
	buf_finish(&text);
}

static inline void oracle_texts(const struct oracle *o, const struct view *got, uint32_t n, const json_t *want, const char *what)
{
	uint32_t at = 0;
	size_t i;
	json_t *element;
	json_array_foreach(want, i, element) {
		if (!json_is_string(element))
			continue;
		oracle_check(o, at < n, what);
		oracle_text(o, got[at++], element, what);
	}
	oracle_check(o, at == n, what);
}

/* The value that walking with text.h finds, as jansson's; NULL where a walk is not sound. */
static inline json_t *oracle_walk(const struct oracle *o, struct view value)
{
	struct buf text = { 0 };
	json_t *got;
	if (*value.ptr == '"') {
		struct view raw = { value.ptr + 1, value.len - 2 };
		char *plain = mem_alloc(raw.len);
		tame_text(&text, (struct view){ plain, text_unescape(raw, plain) });
		got = json_stringn_nocheck(text.ptr ? text.ptr : "", text.len);
		free(plain);
		buf_finish(&text);
		return got;
	}
	if (*value.ptr != '{' && *value.ptr != '[') {
		struct tame tame;
		got = oracle_load(value, &tame);
		buf_finish(&tame.bytes);
		return got;
	}
	bool object = *value.ptr == '{';
	got = object ? json_object() : json_array();
	struct text_walk walk = text_walk_start(value);
	const char *gap = value.ptr + 1;
	for (struct text_member member; text_walk_next(&walk, &member); gap = member.whole.ptr + member.whole.len) {
		for (; gap < member.whole.ptr; gap++)
			oracle_check(o, memchr(", \t\r\n", *gap, 5), "a walk leaves something out");
		json_t *inner = oracle_walk(o, member.value);
		oracle_check(o, inner, "a member's value is none");
		oracle_check(o, member.value.ptr + member.value.len == member.whole.ptr + member.whole.len, "a member's whole");
		if (!object) {
			oracle_check(o, member.key.len == 0, "an element with a key");
			json_array_append_new(got, inner);
			continue;
		}
		char *plain = mem_alloc(member.key.len);
		struct view key = { plain, text_unescape(member.key, plain) };
		oracle_check(o, text_key_is(member.key, key), "a key is not itself");
		buf_clear(&text);
		tame_text(&text, key);
		for (size_t i = 0; i < text.len; i++)
			if (!text.ptr[i])
				text.ptr[i] = 1; /* as tame_json does */
		json_object_setn_new_nocheck(got, text.ptr ? text.ptr : "", text.len, inner);
		free(plain);
	}
	for (; gap < value.ptr + value.len - 1; gap++)
		oracle_check(o, memchr(" \t\r\n", *gap, 4), "a walk ends too soon");
	buf_finish(&text);
	return got;
}

/* Raw JSON of a value: absent when `want` is NULL, else no byte more or less than the value. */
static inline void oracle_raw(const struct oracle *o, struct view got, const json_t *want, const char *what)
{
	oracle_check(o, (got.ptr != NULL) == (want != NULL), what);
	if (!want)
		return;
	oracle_check(o, got.len && !strchr(" \t\r\n", got.ptr[0]) && !strchr(" \t\r\n", got.ptr[got.len - 1]), what);
	oracle_check(o, text_skip(got.ptr, o->line.ptr + o->line.len) == got.ptr + got.len, what);
	json_t *value = oracle_walk(o, got);
	oracle_check(o, json_equal(value, want), what);
	json_decref(value);
}

/* Members of an object, by their keys. */
static inline void oracle_text_of(const struct oracle *o, struct view got, const json_t *object, const char *key)
{
	oracle_text(o, got, json_object_get(object, key), key);
}

static inline void oracle_raw_of(const struct oracle *o, struct view got, const json_t *object, const char *key)
{
	oracle_raw(o, got, json_object_get(object, key), key);
}

static inline const json_t *oracle_object(const json_t *parent, const char *key)
{
	const json_t *value = json_object_get(parent, key);
	return json_is_object(value) ? value : NULL;
}

static inline void oracle_user(const struct oracle *o, const struct event_user *got, const json_t *want)
{
	oracle_check(o, got->present == (want != NULL), "user");
	oracle_text_of(o, got->username, want, "username");
	oracle_text_of(o, got->uid, want, "uid");
	oracle_texts(o, got->groups, got->n_groups, json_object_get(want, "groups"), "groups");
	oracle_raw(o, got->extra, oracle_object(want, "extra"), "extra");
}

static inline void oracle_object_ref(const struct oracle *o, const struct event_object_ref *got, const json_t *want)
{
	oracle_check(o, got->present == (want != NULL), "objectRef");
	oracle_text_of(o, got->resource, want, "resource");
	oracle_text_of(o, got->namespace_, want, "namespace");
	oracle_text_of(o, got->name, want, "name");
	oracle_text_of(o, got->uid, want, "uid");
	oracle_text_of(o, got->api_group, want, "apiGroup");
	oracle_text_of(o, got->api_version, want, "apiVersion");
	oracle_text_of(o, got->resource_version, want, "resourceVersion");
	oracle_text_of(o, got->subresource, want, "subresource");
}

static inline void oracle_status(const struct oracle *o, const struct event_status *got, const json_t *want)
{
	const json_t *code = json_object_get(want, "code");
	json_int_t number = json_is_integer(code) ? json_integer_value(code) : 0;
	oracle_check(o, got->present == (want != NULL), "responseStatus");
	oracle_text_of(o, got->status, want, "status");
	oracle_text_of(o, got->message, want, "message");
	oracle_text_of(o, got->reason, want, "reason");
	oracle_check(o, got->code == (number >= INT32_MIN && number <= INT32_MAX ? number : 0), "code");
	oracle_raw(o, got->raw, want, "responseStatus.raw");
}

static inline int oracle_named(const char *const *names, int n, const json_t *text)
{
	for (int i = 1; i < n; i++)
		if (json_is_string(text) && json_string_length(text) == strlen(names[i]) &&
			strcmp(json_string_value(text), names[i]) == 0)
			return i;
	return 0;
}

static inline void oracle_event(const struct oracle *o, const struct event *got, const json_t *want)
{
	static const char *const levels[] = { "", "None", "Metadata", "Request", "RequestResponse" };
	static const char *const stages[] = { "", "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic" };
	oracle_text_of(o, got->kind, want, "kind");
	oracle_text_of(o, got->api_version, want, "apiVersion");
	oracle_text_of(o, got->level_text, want, "level");
	oracle_text_of(o, got->audit_id, want, "auditID");
	oracle_text_of(o, got->stage_text, want, "stage");
	oracle_text_of(o, got->request_uri, want, "requestURI");
	oracle_text_of(o, got->verb, want, "verb");
	oracle_text_of(o, got->user_agent, want, "userAgent");
	oracle_check(o, (int)got->level == oracle_named(levels, 5, json_object_get(want, "level")), "level by name");
	oracle_check(o, (int)got->stage == oracle_named(stages, 5, json_object_get(want, "stage")), "stage by name");
	oracle_user(o, &got->user, oracle_object(want, "user"));
	oracle_user(o, &got->impersonated_user, oracle_object(want, "impersonatedUser"));
	oracle_texts(o, got->source_ips, got->n_source_ips, json_object_get(want, "sourceIPs"), "sourceIPs");
	oracle_object_ref(o, &got->object_ref, oracle_object(want, "objectRef"));
	oracle_status(o, &got->response_status, oracle_object(want, "responseStatus"));
	oracle_text_of(o, got->request_received, want, "requestReceivedTimestamp");
	oracle_text_of(o, got->stage_timestamp, want, "stageTimestamp");
	oracle_raw_of(o, got->request_object, want, "requestObject");
	oracle_raw_of(o, got->response_object, want, "responseObject");
	oracle_raw_of(o, got->annotations, want, "annotations");
	oracle_raw_of(o, got->authentication_metadata, want, "authenticationMetadata");
}

static inline enum decode_result oracle_result(const json_t *value)
{
	const json_t *kind = json_object_get(value, "kind");
	const char *text = json_string_value(kind);
	size_t len = json_string_length(kind);
	if (text && len == 9 && memcmp(text, "EventList", 9) == 0 && json_is_array(json_object_get(value, "items")))
		return DECODE_LIST;
	if (text && !(len == 5 && memcmp(text, "Event", 5) == 0))
		return DECODE_NOT_EVENT;
	return json_is_string(json_object_get(value, "stage")) && json_is_string(json_object_get(value, "verb")) ? DECODE_OK
														 : DECODE_NOT_EVENT;
}

static inline void oracle_list(const struct oracle *o, const json_t *value)
{
	const json_t *items = json_object_get(value, "items");
	struct list_items list;
	struct view item;
	decode_list(o->decoders[0], &list);
	oracle_text(o, list.api_version, json_object_get(value, "apiVersion"), "the list's apiVersion");
	for (size_t i = 0; i < json_array_size(items); i++) {
		oracle_check(o, decode_list_next(&list, &item), "an item is missing");
		const json_t *want = json_array_get(items, i);
		oracle_raw(o, item, want, "an item");
		struct event event;
		size_t end;
		enum decode_result result = decode_line(o->item_decoder, item, &event, &end);
		oracle_check(o, result == oracle_result(want) && end == item.len, "an item's result");
		if (json_is_object(want))
			oracle_event(o, &event, want);
	}
	oracle_check(o, !decode_list_next(&list, &item), "an item too many");
}

static inline bool oracle_same_view(const struct oracle *o, struct view a, struct view b)
{
	bool inside = a.ptr >= o->line.ptr && a.ptr < o->line.ptr + o->line.len;
	return (a.ptr == NULL) == (b.ptr == NULL) && view_eq(a, b) && (!inside || !a.len || a.ptr == b.ptr);
}

static inline bool oracle_same_views(const struct oracle *o, const struct view *a, uint32_t n, const struct view *b, uint32_t m)
{
	if (n != m)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!oracle_same_view(o, a[i], b[i]))
			return false;
	return true;
}

static inline void oracle_same_user(const struct oracle *o, const struct event_user *a, const struct event_user *b)
{
	oracle_check(o, a->present == b->present && oracle_same_view(o, a->username, b->username) &&
		oracle_same_view(o, a->uid, b->uid) && oracle_same_view(o, a->extra, b->extra) &&
		oracle_same_views(o, a->groups, a->n_groups, b->groups, b->n_groups), "vectors differ in a user");
}

static inline void oracle_same(const struct oracle *o, const struct event *a, const struct event *b)
{
	const struct event_object_ref *ra = &a->object_ref, *rb = &b->object_ref;
	const struct event_status *sa = &a->response_status, *sb = &b->response_status;
	const struct view as[] = { a->bytes, a->kind, a->api_version, a->level_text, a->audit_id, a->stage_text, a->request_uri,
		a->verb, a->user_agent, ra->resource, ra->namespace_, ra->name, ra->uid, ra->api_group, ra->api_version,
		ra->resource_version, ra->subresource, sa->status, sa->message, sa->reason, sa->raw, a->request_received,
		a->stage_timestamp, a->request_object, a->response_object, a->annotations, a->authentication_metadata };
	const struct view bs[] = { b->bytes, b->kind, b->api_version, b->level_text, b->audit_id, b->stage_text, b->request_uri,
		b->verb, b->user_agent, rb->resource, rb->namespace_, rb->name, rb->uid, rb->api_group, rb->api_version,
		rb->resource_version, rb->subresource, sb->status, sb->message, sb->reason, sb->raw, b->request_received,
		b->stage_timestamp, b->request_object, b->response_object, b->annotations, b->authentication_metadata };
	static_assert(sizeof as == sizeof bs, "the same fields");
	oracle_check(o, oracle_same_views(o, as, sizeof as / sizeof *as, bs, sizeof bs / sizeof *bs), "vectors differ in a view");
	oracle_check(o, a->flags == b->flags && a->level == b->level && a->stage == b->stage && ra->present == rb->present &&
		sa->present == sb->present && sa->code == sb->code, "vectors differ in a number");
	oracle_check(o, oracle_same_views(o, a->source_ips, a->n_source_ips, b->source_ips, b->n_source_ips),
		"vectors differ in sourceIPs");
	oracle_same_user(o, &a->user, &b->user);
	oracle_same_user(o, &a->impersonated_user, &b->impersonated_user);
}

/* Trouble at `end` means: what stands before it could go on, and with the byte there it cannot. */
static inline void oracle_trouble(const struct oracle *o, enum decode_result result, size_t end)
{
	struct event event;
	size_t prefix_end;
	if (result == DECODE_TRUNCATED) {
		oracle_check(o, end == o->line.len, "truncated before the end");
		return;
	}
	oracle_check(o, end < o->line.len, "trouble past the end");
	enum decode_result before = decode_line(o->item_decoder, (struct view){ o->line.ptr, end }, &event, &prefix_end);
	oracle_check(o, before != DECODE_BAD && before != DECODE_DEEP, "trouble before its place");
	enum decode_result with = decode_line(o->item_decoder, (struct view){ o->line.ptr, end + 1 }, &event, &prefix_end);
	oracle_check(o, with == result && prefix_end == end, "trouble behind its place");
}

/* An event or a list does not begin with the zero bytes in front of it. */
static inline struct view oracle_behind_zeros(struct oracle *o, struct view line)
{
	struct event event;
	struct view rest = line;
	size_t end;
	while (rest.len && !*rest.ptr)
		rest.ptr++, rest.len--;
	enum decode_result result = decode_line(o->item_decoder, rest, &event, &end);
	return result == DECODE_OK || result == DECODE_LIST ? rest : line;
}

/* Taking lines off by decoding them is as finding their ends first. `bytes` should be an allocation of exactly its size. */
static inline void oracle_lines(struct oracle *o, struct view bytes)
{
	struct event event, other;
	struct view line, other_line;
	size_t at, other_at;
	o->line = bytes;
	for (size_t i = 0; i < o->n; i++)
		for (struct view rest = bytes, other_rest = bytes; rest.len;) {
			enum decode_result result = line_decode(o->decoders[i], &rest, &line, &event, &at);
			oracle_check(o, line_next(&other_rest, &other_line), "a line too many");
			other_line = oracle_behind_zeros(o, other_line);
			oracle_check(o, line.ptr == other_line.ptr && line.len == other_line.len && rest.ptr == other_rest.ptr &&
				rest.len == other_rest.len, "another line");
			oracle_check(o, decode_line(o->item_decoder, other_line, &other, &other_at) == result, "a line's result");
			oracle_check(o, at == other_at, "a line's end");
			oracle_same(o, &event, &other);
		}
}

/* Everything at once. `line` should be an allocation of exactly its size. */
static inline void oracle_judge(struct oracle *o, struct view line)
{
	struct event event, other;
	size_t end, other_end;
	o->line = line;
	enum decode_result result = decode_line(o->decoders[0], line, &event, &end);
	for (size_t i = 1; i < o->n; i++) {
		oracle_check(o, decode_line(o->decoders[i], line, &other, &other_end) == result, "vectors differ in the result");
		oracle_check(o, other_end == end, "vectors differ in the end");
		oracle_same(o, &event, &other);
	}
	bool accepted = result == DECODE_OK || result == DECODE_LIST || result == DECODE_NOT_EVENT;
	if (!accepted && result != DECODE_EMPTY)
		oracle_trouble(o, result, end);
	if (accepted && *line.ptr == '{' && end == line.len)
		oracle_check(o, event.bytes.ptr == line.ptr && event.bytes.len == end, "bytes");
	struct tame tame;
	json_t *value = oracle_load(line, &tame);
	if (tame.depth <= JANSSON_DEPTH_MAX) {
		oracle_check(o, accepted == (value != NULL), accepted ? "jansson refuses" : "jansson accepts");
		oracle_check(o, result != DECODE_DEEP, "called deep");
	}
	if (accepted && value) {
		oracle_check(o, result == oracle_result(value), "another result");
		if (json_is_object(value)) {
			unsigned flags = (tame.bad_utf8 ? EVENT_BAD_UTF8 : 0) | (tame.lone_surrogate ? EVENT_LONE_SURROGATE : 0);
			oracle_check(o, (event.flags & (EVENT_BAD_UTF8 | EVENT_LONE_SURROGATE)) == flags, "flags");
			oracle_event(o, &event, value);
		}
		if (result == DECODE_LIST)
			oracle_list(o, value);
		struct view whole = { line.ptr, end };
		while (strchr(" \t\r\n", *whole.ptr))
			whole.ptr++, whole.len--;
		oracle_raw(o, whole, value, "the whole");
	}
	json_decref(value);
	buf_finish(&tame.bytes);
	oracle_lines(o, line);
}
