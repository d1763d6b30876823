#include "router/event/edit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/event/text.h"

enum { SORT_BY_HAND = 24 };

void edits_finish(struct edits *e)
{
	free(e->list);
	free(e->resolved);
	buf_finish(&e->text);
	*e = (struct edits){ 0 };
}

static void add(struct edits *e, const char *begin, const char *end, size_t text_at)
{
	if (e->n == e->room) {
		e->room = e->room ? e->room * 2 : 16;
		e->list = mem_resize(e->list, e->room * sizeof *e->list);
	}
	e->list[e->n] = (struct edit){ begin, end, text_at, e->text.len - text_at, e->n, false };
	e->n++;
}

void edits_replace(struct edits *e, struct view range, struct view replacement)
{
	size_t at = e->text.len;
	buf_add_view(&e->text, replacement);
	add(e, range.ptr, range.ptr + range.len, at);
}

static bool is_one_of(struct view key, const struct view *names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (text_key_is(key, names[i]))
			return true;
	return false;
}

static uint32_t cut_members(struct edits *e, struct view object, const struct view *names, uint32_t n_names,
	const struct view *known, size_t n_known)
{
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	uint32_t count = 0;
	if (!object.len || object.ptr[0] != '{')
		return 0;
	while (text_walk_next_past(&walk, &m, known, n_known)) {
		if (!is_one_of(m.key, names, n_names))
			continue;
		add(e, m.whole.ptr, m.whole.ptr + m.whole.len, e->text.len);
		e->list[e->n - 1].member = true;
		count++;
	}
	return count;
}

uint32_t edits_cut_members(struct edits *e, struct view object, const struct view *names, uint32_t n_names)
{
	return cut_members(e, object, names, n_names, NULL, 0);
}

uint32_t edits_cut_bodies(struct edits *e, const struct event *event, unsigned bodies)
{
	static const struct view names[][2] = {
		[EVENT_PLAIN] = { { "requestObject", 13 }, { "responseObject", 14 } },
		[EVENT_LOG_ENTRY] = { { "request", 7 }, { "response", 8 } },
	};
	const struct view known[] = { event->request_object, event->response_object, event->annotations, event->response_status.raw };
	const struct view *first = names[event->form] + !(bodies & EDIT_REQUEST);
	uint32_t n = !!(bodies & EDIT_REQUEST) + !!(bodies & EDIT_RESPONSE), count = 0;
	if (event->form == EVENT_PLAIN)
		return cut_members(e, event->bytes, first, n, known, sizeof known / sizeof *known);
	struct text_walk walk = text_walk_start(event->bytes);
	struct text_member m;
	while (text_walk_next_past(&walk, &m, known, sizeof known / sizeof *known))
		if (text_key_is(m.key, VIEW("protoPayload")))
			count += cut_members(e, m.value, first, n, known, sizeof known / sizeof *known);
	return count;
}

static const struct view metadata = { "metadata", 8 }, managed_fields = { "managedFields", 13 };

/* Every `metadata` of the object, should there be two: the last counts for readers, but bytes of the first are secrets too. */
static uint32_t cut_of_object(struct edits *e, struct view object)
{
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	uint32_t count = 0;
	if (!object.len || object.ptr[0] != '{')
		return 0;
	while (text_walk_next(&walk, &m))
		if (text_key_is(m.key, metadata))
			count += edits_cut_members(e, m.value, &managed_fields, 1);
	return count;
}

static uint32_t cut_of_rows(struct edits *e, struct view rows)
{
	struct text_walk walk = text_walk_start(rows), row;
	struct text_member item, m;
	uint32_t count = 0;
	while (text_walk_next(&walk, &item))
		for (row = text_walk_start(item.value); text_walk_next(&row, &m);)
			if (text_key_is(m.key, VIEW("object")))
				count += cut_of_object(e, m.value);
	return count;
}

static uint32_t cut_of_items(struct edits *e, struct view items)
{
	struct text_walk walk = text_walk_start(items);
	struct text_member item;
	uint32_t count = 0;
	while (text_walk_next(&walk, &item))
		count += cut_of_object(e, item.value);
	return count;
}

uint32_t edits_cut_managed_fields(struct edits *e, struct view object)
{
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	uint32_t count = 0;
	if (!object.len || object.ptr[0] != '{')
		return 0;
	while (text_walk_next(&walk, &m)) {
		bool array = m.value.ptr[0] == '[';
		if (text_key_is(m.key, metadata))
			count += edits_cut_members(e, m.value, &managed_fields, 1);
		else if (array && text_key_is(m.key, VIEW("items")))
			count += cut_of_items(e, m.value);
		else if (array && text_key_is(m.key, VIEW("rows")))
			count += cut_of_rows(e, m.value);
	}
	return count;
}

/* `"NAME":"VALUE"` as the replacement that starts at text_at. */
static void add_pair(struct edits *e, struct view name, struct view value)
{
	text_add_quoted(&e->text, name);
	buf_add_byte(&e->text, ':');
	text_add_quoted(&e->text, value);
}

/* `inside`: the member is put into an object of its own, of this name. Absent: it is not. */
static void add_member_at_end(struct edits *e, struct view object, struct view name, struct view value, struct view inside)
{
	const char *brace = object.ptr + object.len - 1;
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	size_t at = e->text.len;
	if (text_walk_next(&walk, &m))
		buf_add_byte(&e->text, ',');
	if (inside.ptr) {
		text_add_quoted(&e->text, inside);
		buf_add_view(&e->text, VIEW(":{"));
	}
	add_pair(e, name, value);
	if (inside.ptr)
		buf_add_byte(&e->text, '}');
	add(e, brace, brace, at);
}

void edits_set_annotation(struct edits *e, const struct event *event, struct view name, struct view value)
{
	struct view annotations = event->annotations;
	if (!annotations.len || annotations.ptr[0] != '{') {
		/* Where `annotations` is no object, a second one after it wins, as every reader of JSON has it. */
		add_member_at_end(e, event->bytes, name, value,
			event->form == EVENT_LOG_ENTRY ? VIEW("labels") : VIEW("annotations"));
		return;
	}
	struct view present = text_get(annotations, name);
	if (!present.len) {
		add_member_at_end(e, annotations, name, value, (struct view){ 0 });
		return;
	}
	size_t at = e->text.len;
	text_add_quoted(&e->text, value);
	add(e, present.ptr, present.ptr + present.len, at);
}

/* By begin; at one begin the longer first, so that what lies inside comes after; then as added. */
static int by_place(const void *left, const void *right)
{
	const struct edit *a = left, *b = right;
	if (a->begin != b->begin)
		return a->begin < b->begin ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void sort(struct edit *list, uint32_t n)
{
	if (n > SORT_BY_HAND) {
		qsort(list, n, sizeof *list, by_place);
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		struct edit moved = list[i];
		uint32_t j = i;
		for (; j && by_place(&list[j - 1], &moved) > 0; j--)
			list[j] = list[j - 1];
		list[j] = moved;
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The last byte before `at`, or the first from it on, that is no white space. An object's members have both. */
static const char *byte_before(const char *at)
{
	do
		at--;
	while (is_space(*at));
	return at;
}

static const char *byte_from(const char *at)
{
	while (is_space(*at))
		at++;
	return at;
}

/*
 * Joins members that stand side by side, and takes the comma that would be left over: the one before them, or, where they
 * are their object's first, the one behind them.
 */
static uint32_t take_commas(struct edit *list, uint32_t n)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct edit edit = list[i];
		for (; edit.member && i + 1 < n && list[i + 1].member; i++) {
			const char *comma = byte_from(edit.end);
			if (*comma != ',' || byte_from(comma + 1) != list[i + 1].begin)
				break;
			edit.end = list[i + 1].end;
		}
		if (edit.member) {
			const char *before = byte_before(edit.begin), *behind = byte_from(edit.end);
			if (*before == ',')
				edit.begin = before;
			else if (*behind == ',')
				edit.end = byte_from(behind + 1);
		}
		list[kept++] = edit;
	}
	return kept;
}

/* In order, without what vanishes inside another, commas settled. */
static void resolve(struct edits *e)
{
	uint32_t kept = 0;
	if (e->resolved_room < e->n) {
		e->resolved_room = e->room;
		e->resolved = mem_resize(e->resolved, e->resolved_room * sizeof *e->resolved);
	}
	if (e->n)
		memcpy(e->resolved, e->list, e->n * sizeof *e->list);
	sort(e->resolved, e->n);
	for (uint32_t i = 0; i < e->n; i++) {
		const struct edit *last = kept ? &e->resolved[kept - 1] : NULL;
		if (!last || e->resolved[i].begin >= last->end)
			e->resolved[kept++] = e->resolved[i];
	}
	e->n_resolved = take_commas(e->resolved, kept);
}

size_t edits_length(struct edits *e, struct view bytes)
{
	size_t len = bytes.len;
	resolve(e);
	for (uint32_t i = 0; i < e->n_resolved; i++)
		len = len - (size_t)(e->resolved[i].end - e->resolved[i].begin) + e->resolved[i].text_len;
	return len;
}

size_t edits_apply(struct edits *e, struct view bytes, char *out)
{
	const char *from = bytes.ptr, *end = bytes.ptr + bytes.len;
	char *to = out;
	resolve(e);
	for (uint32_t i = 0; i < e->n_resolved; i++) {
		const struct edit *edit = &e->resolved[i];
		size_t before = (size_t)(edit->begin - from);
		assert(edit->begin >= from && edit->end <= end);
		memcpy(to, from, before);
		to += before;
		if (edit->text_len)
			memcpy(to, e->text.ptr + edit->text_at, edit->text_len);
		to += edit->text_len;
		from = edit->end;
	}
	memcpy(to, from, (size_t)(end - from));
	return (size_t)(to - out) + (size_t)(end - from);
}
