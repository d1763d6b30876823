#include "router/event/decode.h"

#include <stdlib.h>
#include <string.h>

#include "router/event/scan.h"
#include "router/event/scan_fields.h"
#include "router/event/text.h"

/* What a giant event made grow past this is given back at the next one. */
enum { TEXTS_ROOM_KEPT = 64 * 1024, SCRATCH_BYTES_KEPT = 1024 * 1024 };

static const struct scan_kind *find_kind(enum decode_vectors vectors)
{
	if (vectors == DECODE_PLAIN)
		return &scan_plain;
#if defined(__x86_64__)
	if (vectors == DECODE_SSE2)
		return &scan_sse2;
	if (vectors == DECODE_AVX2 || vectors == DECODE_BEST) {
		if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
			return &scan_avx2;
		return vectors == DECODE_BEST ? &scan_sse2 : NULL;
	}
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
	if (vectors == DECODE_NEON || vectors == DECODE_BEST)
		return &scan_neon;
#endif
	return vectors == DECODE_BEST ? &scan_plain : NULL;
}

struct decoder *decode_create(enum decode_vectors vectors)
{
	const struct scan_kind *kind = find_kind(vectors);
	if (!kind)
		return NULL;
	struct decoder *d = mem_zero(1, sizeof *d);
	d->kind = kind;
	for (int object = 0; object < SCAN_OBJECTS; object++) {
		struct scan_fields_of fields = scan_fields_of[object];
		d->guess_first[object] = fields.first;
		for (uint8_t f = fields.first; f <= fields.last; f++)
			d->guess_after[f] = f < fields.last ? (uint8_t)(f + 1) : fields.first;
	}
	return d;
}

void decode_destroy(struct decoder *d)
{
	if (!d)
		return;
	for (int i = 0; i < SCAN_LISTS; i++)
		free(d->texts[i].list);
	buf_finish(&d->scratch);
	free(d);
}

const char *decode_vectors_name(const struct decoder *d)
{
	return d->kind->name;
}

const char *decode_result_text(enum decode_result result)
{
	static const char *const texts[] = {
		[DECODE_OK] = "an audit event",
		[DECODE_LIST] = "a list of audit events",
		[DECODE_NOT_EVENT] = "not an audit event",
		[DECODE_TRUNCATED] = "truncated JSON",
		[DECODE_BAD] = "not JSON",
		[DECODE_DEEP] = "JSON nested too deep",
		[DECODE_EMPTY] = "empty",
	};
	return texts[result];
}

static void reset(struct decoder *d, struct view bytes)
{
	for (int i = 0; i < SCAN_LISTS; i++) {
		struct scan_texts *texts = &d->texts[i];
		texts->n = 0;
		if (texts->room > TEXTS_ROOM_KEPT) {
			free(texts->list);
			*texts = (struct scan_texts){ 0 };
		}
	}
	buf_clear(&d->scratch);
	if (d->scratch.room > SCRATCH_BYTES_KEPT)
		buf_finish(&d->scratch);
	d->begin = bytes.ptr;
	d->end = bytes.ptr + bytes.len;
	d->items = d->items_api_version = (struct view){ 0 };
	d->flags = 0;
	d->repeated = 0;
	d->escaped_bytes = 0;
}

static void unescape(struct decoder *d, struct view *text)
{
	if (!(text->len & SCAN_ESCAPED))
		return;
	char *out = d->scratch.ptr + d->scratch.len;
	text->len = text_unescape((struct view){ text->ptr, text->len & ~SCAN_ESCAPED }, out);
	text->ptr = out;
	d->scratch.len += text->len;
}

static void unescape_fields(struct decoder *d, void *fields, enum scan_object object)
{
	for (enum scan_field f = scan_fields_of[object].first; f <= scan_fields_of[object].last; f++)
		if (scan_fields[f].kind == FIELD_TEXT)
			unescape(d, (struct view *)((char *)fields + scan_fields[f].offset));
}

/* All texts that the event keeps. Room is made once for all of them, so that none moves. */
static void unescape_texts(struct decoder *d, struct event *event)
{
	buf_reserve(&d->scratch, d->escaped_bytes);
	unescape_fields(d, event, SCAN_EVENT);
	unescape_fields(d, &event->user, SCAN_USER);
	unescape_fields(d, &event->impersonated_user, SCAN_USER);
	unescape_fields(d, &event->object_ref, SCAN_OBJECT_REF);
	unescape_fields(d, &event->response_status, SCAN_STATUS);
	for (int i = 0; i < SCAN_LISTS; i++)
		for (uint32_t j = 0; j < d->texts[i].n; j++)
			unescape(d, &d->texts[i].list[j]);
}

static enum decode_result judge(struct decoder *d, const struct event *event)
{
	if (event->kind.ptr && view_eq(event->kind, VIEW("EventList")) && d->items.ptr) {
		d->items_api_version = event->api_version;
		return DECODE_LIST;
	}
	d->items = (struct view){ 0 };
	if (event->kind.ptr && !view_eq(event->kind, VIEW("Event")))
		return DECODE_NOT_EVENT;
	return event->stage_text.ptr && event->verb.ptr ? DECODE_OK : DECODE_NOT_EVENT;
}

/* NO_FIELD is of many keys, and a user's keys are those of two users. */
static const uint64_t repeats_that_matter = ((uint64_t)1 << USER_USERNAME) - 2 +
	((uint64_t)1 << SCAN_FIELDS) - ((uint64_t)1 << REF_RESOURCE);

static enum decode_result finish(struct decoder *d, struct event *event)
{
	if (d->escaped_bytes)
		unescape_texts(d, event);
	event->flags = d->flags | (d->repeated & repeats_that_matter ? EVENT_REPEATED_KEY : 0);
	event->user.groups = d->texts[SCAN_GROUPS].list;
	event->impersonated_user.groups = d->texts[SCAN_IMPERSONATED_GROUPS].list;
	event->source_ips = d->texts[SCAN_SOURCE_IPS].list;
	event->level = event_level_parse(event->level_text);
	event->stage = event_stage_parse(event->stage_text);
	return judge(d, event);
}

static enum decode_result decode(struct decoder *d, struct view bytes, bool one_line, struct event *event, size_t *ret_end)
{
	*event = (struct event){ 0 };
	if (!bytes.len)
		bytes = VIEW("");
	reset(d, bytes);
	d->one_line = one_line;
	const char *start = scan_space(d, d->begin);
	if (start == d->end) {
		*ret_end = bytes.len;
		return DECODE_EMPTY;
	}
	const char *end = d->kind->pass(d, start, event);
	if (!end) {
		*event = (struct event){ 0 };
		d->items = (struct view){ 0 };
		*ret_end = (size_t)(d->trouble - d->begin);
		return d->result;
	}
	*ret_end = (size_t)(end - d->begin);
	if (*start != '{')
		return DECODE_NOT_EVENT;
	event->bytes = (struct view){ start, (size_t)(end - start) };
	return finish(d, event);
}

enum decode_result decode_value(struct decoder *d, struct view bytes, struct event *event, size_t *ret_end)
{
	return decode(d, bytes, false, event, ret_end);
}

enum decode_result decode_value_of_line(struct decoder *d, struct view bytes, struct event *event, size_t *ret_end)
{
	return decode(d, bytes, true, event, ret_end);
}

enum decode_result decode_line(struct decoder *d, struct view line, struct event *event, size_t *ret_end)
{
	enum decode_result result = decode_value(d, line, event, ret_end);
	if (result != DECODE_OK && result != DECODE_NOT_EVENT && result != DECODE_LIST)
		return result;
	const char *rest = scan_space(d, d->begin + *ret_end);
	if (rest == d->end)
		return result;
	*event = (struct event){ 0 };
	d->items = (struct view){ 0 };
	*ret_end = (size_t)(rest - d->begin);
	return DECODE_BAD;
}

void decode_list(const struct decoder *d, struct list_items *ret_items)
{
	struct text_walk walk = text_walk_start(d->items);
	*ret_items = (struct list_items){
		.rest = { walk.at, (size_t)(walk.end - walk.at) },
		.api_version = d->items_api_version,
	};
}

bool decode_list_next(struct list_items *items, struct view *ret_item)
{
	struct text_walk walk = { items->rest.ptr, items->rest.ptr + items->rest.len };
	struct text_member member;
	bool found = text_walk_next(&walk, &member);
	items->rest = (struct view){ walk.at, (size_t)(walk.end - walk.at) };
	if (found)
		*ret_item = member.value;
	return found;
}
