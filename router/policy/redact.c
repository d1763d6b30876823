/* An event: which of its parts are looked into. Most have none of them, and cost no more than the look. */
#include "router/policy/redact.h"

#include <stdlib.h>

#include "router/base/clock.h"
#include "router/event/text.h"
#include "router/policy/redact_private.h"
#include "router/policy/redact_scan.h"

enum { TEXT_BYTES_KEPT = 1 << 20, STACK_KEPT = 1 << 14 };

const char *const redact_kind_names[REDACT_KINDS] = {
	[REDACT_SECRETS] = "secrets",
	[REDACT_TOKENS] = "tokens",
	[REDACT_ENV] = "env",
	[REDACT_CONFIGMAPS] = "configmaps",
	[REDACT_OWN] = "own rules",
	[REDACT_PSEUDONYM] = "pseudonyms",
};

/* ---- scratch ---- */

static struct redact_work *work_of(struct redact_scratch *s)
{
	if (!s->work)
		s->work = mem_zero(1, sizeof *s->work);
	return s->work;
}

static void forget_stack(struct redact_finds *stack, uint32_t kept)
{
	stack->n = 0;
	if (stack->room <= kept)
		return;
	free(stack->list);
	*stack = (struct redact_finds){ 0 };
}

static void finish_work(struct redact_work *w)
{
	decode_destroy(w->decoder);
	free(w->frames);
	forget_stack(&w->pending, 0);
	forget_stack(&w->found, 0);
	buf_finish(&w->text);
	buf_finish(&w->small);
	free(w);
}

void redact_scratch_finish(struct redact_scratch *s)
{
	if (s->work)
		finish_work(s->work);
	s->work = NULL;
}

/* One huge event must not be remembered for ever. */
static void trim(struct redact_work *w)
{
	forget_stack(&w->pending, STACK_KEPT);
	forget_stack(&w->found, STACK_KEPT);
	if (w->text.room > TEXT_BYTES_KEPT)
		buf_finish(&w->text);
	if (w->small.room > TEXT_BYTES_KEPT)
		buf_finish(&w->small);
}

/* ---- hints ---- */

bool redact_has_hidden(struct view bytes)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	for (; (at = scan_pair(at, end, '\\', 1, 'u', 0)); at++) {
		if (end - at < 6)
			break;
		char high = at[4], low = (char)(at[5] | 0x20);
		if (at[2] != '0' || at[3] != '0' || high < '2' || high > '7')
			continue;
		/* What Go itself escapes (< > &) hides no word; quotes, slashes and dots do not either. */
		if (high >= '4' || (high == '3' && low <= '9'))
			return true;
	}
	return false;
}

/* WORD behind which its string ends, plainly or in JSON kept as text, or that goes on with "List". */
static bool has_kind(struct view bytes, struct view word, unsigned distance)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	for (; (at = scan_pair(at, end, word.ptr[0], distance, word.ptr[distance], 0)); at++) {
		if ((size_t)(end - at) <= word.len || memcmp(at, word.ptr, word.len))
			continue;
		const char *behind = at + word.len;
		if (*behind == '"' || *behind == '\\' || (end - behind >= 4 && memcmp(behind, "List", 4) == 0))
			return true;
	}
	return false;
}

static bool has_word(struct view bytes, struct view word, unsigned distance)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	for (; (at = scan_pair(at, end, word.ptr[0], distance, word.ptr[distance], 0)); at++)
		if ((size_t)(end - at) >= word.len && memcmp(at, word.ptr, word.len) == 0)
			return true;
	return false;
}

/* A key, plainly or in JSON kept as text, or a part of a pointer. */
static bool has_env(struct view bytes)
{
	return has_word(bytes, VIEW("env\""), 3) || has_word(bytes, VIEW("env\\"), 3) || has_word(bytes, VIEW("env/"), 3);
}

bool redact_hint(struct view bytes, unsigned kinds)
{
	return (kinds & 1u << REDACT_SECRETS && has_kind(bytes, VIEW("Secret"), 5)) ||
	       (kinds & 1u << REDACT_TOKENS && has_word(bytes, VIEW("TokenRe"), 5)) ||
	       (kinds & 1u << REDACT_CONFIGMAPS && has_kind(bytes, VIEW("ConfigMap"), 6)) ||
	       (kinds & 1u << REDACT_ENV && has_env(bytes)) ||
	       redact_has_hidden(bytes);
}

/* ---- the parts of an event, in either form ---- */

enum part { PART_OTHER, PART_BODY, PART_ANNOTATIONS, PART_STATUS, PART_URI };

struct part_walk {
	struct text_walk outer, inner; /* inner: of a LogEntry's protoPayload */
	bool log_entry;
};

static struct part_walk part_walk_start(const struct event *e)
{
	return (struct part_walk){ .outer = text_walk_start(e->bytes), .log_entry = e->form == EVENT_LOG_ENTRY };
}

static enum part part_of_key(const struct part_walk *w, struct view key, bool inner)
{
	static const struct {
		struct view plain, entry, payload;
		enum part part;
	} rows[] = {
		{ { "requestObject", 13 }, { NULL, 0 }, { "request", 7 }, PART_BODY },
		{ { "responseObject", 14 }, { NULL, 0 }, { "response", 8 }, PART_BODY },
		{ { "annotations", 11 }, { "labels", 6 }, { NULL, 0 }, PART_ANNOTATIONS },
		{ { "responseStatus", 14 }, { NULL, 0 }, { "status", 6 }, PART_STATUS },
		{ { "requestURI", 10 }, { NULL, 0 }, { "resourceName", 12 }, PART_URI },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct view name = !w->log_entry ? rows[i].plain : inner ? rows[i].payload : rows[i].entry;
		if (name.ptr && text_key_is(key, name))
			return rows[i].part;
	}
	return PART_OTHER;
}

/* Every member, also those of a name that is said twice: the last counts for readers, but the bytes of the others leave too. */
static bool part_walk_next(struct part_walk *w, enum part *ret_part, struct text_member *ret)
{
	if (text_walk_next(&w->inner, ret)) {
		*ret_part = part_of_key(w, ret->key, true);
		return true;
	}
	if (!text_walk_next(&w->outer, ret))
		return false;
	if (w->log_entry && text_key_is(ret->key, VIEW("protoPayload")) && ret->value.ptr[0] == '{') {
		w->inner = text_walk_start(ret->value);
		return part_walk_next(w, ret_part, ret);
	}
	*ret_part = part_of_key(w, ret->key, false);
	return true;
}

/* ---- an event ---- */

/* What the request is about, whatever its bodies say of themselves; which of two objectRefs counts is the reader's choice. */
static unsigned kinds_of_ref(const struct event *e)
{
	const struct event_object_ref *o = &e->object_ref;
	if (e->flags & EVENT_REPEATED_KEY)
		return 1u << REDACT_SECRETS | 1u << REDACT_CONFIGMAPS | 1u << REDACT_TOKENS;
	if (!o->present)
		return 0;
	switch (o->resource.len) {
	case 7:
		return view_eq(o->resource, VIEW("secrets")) ? 1u << REDACT_SECRETS : 0;
	case 10:
		return view_eq(o->resource, VIEW("configmaps")) ? 1u << REDACT_CONFIGMAPS : 0;
	case 12:
		return view_eq(o->resource, VIEW("tokenreviews")) ? 1u << REDACT_TOKENS : 0;
	case 15:
		return view_eq(o->resource, VIEW("serviceaccounts")) && view_eq(o->subresource, VIEW("token")) ?
			       1u << REDACT_TOKENS :
			       0;
	default:
		return 0;
	}
}

static bool has_webhook_patch(const struct event *e)
{
	return e->annotations.len > 32 && has_word(e->annotations, VIEW("webhook"), 6);
}

static bool look_worth_it(const struct event *e, const struct redact_target *t)
{
	bool bodies = e->request_object.len || e->response_object.len, patch = has_webhook_patch(e);
	if (e->flags & (EVENT_HIDDEN_LETTER | EVENT_REPEATED_KEY))
		return true;
	if (t->kinds)
		return bodies || patch || e->response_status.code >= 400 ||
		       (e->form == EVENT_LOG_ENTRY && e->response_status.message.len);
	return (bodies || patch) && redact_hint(e->bytes, t->wanted);
}

/* Texts whose letters are escaped hide tokens from the look at the raw bytes. */
static void find_hidden_tokens(struct redact_work *w, struct redact_sink *sink, struct view value)
{
	const char *at = value.ptr, *end = value.ptr + value.len;
	while (at < end && (at = memchr(at, '"', (size_t)(end - at)))) {
		const char *stop = text_skip(at, end);
		struct view string = { at, (size_t)(stop - at) };
		if (string.len > 2 && redact_has_hidden(string)) {
			struct redact_sink inside = redact_sink_inside(sink, string, &w->text);
			redact_tokens(&inside, inside.text);
		}
		at = stop;
	}
}

static void look_into_annotations(const struct redact_target *t, struct redact_work *w, struct redact_sink *sink,
	struct view annotations)
{
	struct text_walk walk = text_walk_start(annotations);
	struct text_member m;
	while (text_walk_next(&walk, &m))
		redact_find_text(t, w, sink, m.value);
}

static void look_into_body(const struct redact_target *t, struct redact_work *w, struct redact_sink *sink, struct view body)
{
	char first = body.ptr[0];
	if (first == '{' || first == '[')
		redact_find(t, w, sink, body, (struct redact_role){ .name = ROLE_OBJECT, .target = true });
	else if (t->kinds && first != 'n' && first != 't' && first != 'f')
		redact_sink_value(sink, body, VIEW(REDACT_MARK), (enum redact_kind)__builtin_ctz(t->kinds));
}

/* A LogEntry's body is always an object: what Google calls a k8s.io/Patch may hold a JSON patch as a member. */
static void look_into_patch(const struct redact_target *t, struct redact_work *w, struct redact_sink *sink, struct view body)
{
	struct view type = text_get(body, VIEW("@type"));
	struct text_walk walk = text_walk_start(body);
	struct text_member m;
	if (!view_eq(type, VIEW("\"k8s.io/Patch\"")))
		return;
	while (text_walk_next(&walk, &m))
		if (m.value.ptr[0] == '[')
			look_into_body(t, w, sink, m.value);
}

static void look_into(const struct redact_target *t, struct redact_work *w, struct redact_sink *sink, const struct event *e)
{
	struct part_walk walk = part_walk_start(e);
	struct text_member m;
	enum part part;
	bool hidden = t->wanted & 1u << REDACT_TOKENS && redact_has_hidden(e->bytes);
	while (part_walk_next(&walk, &part, &m)) {
		if (part == PART_BODY) {
			look_into_body(t, w, sink, m.value);
			if (walk.log_entry)
				look_into_patch(t, w, sink, m.value);
		} else if (part == PART_ANNOTATIONS) {
			look_into_annotations(t, w, sink, m.value);
		} else if (part == PART_STATUS) {
			redact_find(t, w, sink, m.value, (struct redact_role){ .name = ROLE_OBJECT });
		}
		if (hidden)
			find_hidden_tokens(w, sink, m.value);
	}
}

static void look_into_urls(struct redact_work *w, struct redact_sink *sink, const struct event *e)
{
	struct part_walk walk = part_walk_start(e);
	struct text_member m;
	enum part part;
	while (part_walk_next(&walk, &part, &m)) {
		if (part != PART_URI || m.value.ptr[0] != '"')
			continue;
		struct redact_sink inside = redact_sink_inside(sink, m.value, &w->text);
		redact_url(&inside, inside.text);
	}
}

void redact_edit(const struct redactor *r, const struct event *e, const struct attributes *a, struct edits *edits,
	struct redact_scratch *scratch, uint64_t counts[REDACT_KINDS])
{
	struct redact_sink sink = { .edits = edits, .counts = counts };
	if (!r)
		return;
	const struct redact_target target = { (uint8_t)r->kinds, (uint8_t)(kinds_of_ref(e) & r->kinds) };
	if (r->kinds & 1u << REDACT_TOKENS) {
		if (e->flags & EVENT_REPEATED_KEY || redact_url_has_secret(e->request_uri))
			look_into_urls(work_of(scratch), &sink, e);
		redact_tokens(&sink, e->bytes);
	}
	if (r->kinds && look_worth_it(e, &target))
		look_into(&target, work_of(scratch), &sink, e);
	if (r->n_rules)
		redact_rules(r, e, a, work_of(scratch), &sink);
	if (scratch->work)
		trim(scratch->work);
}

/* ---- what is no JSON ---- */

/* What follows white space, zero bytes and a byte order mark. */
static struct view skip_blanks(struct view line)
{
	while (line.len && (unsigned char)*line.ptr <= ' ')
		line = (struct view){ line.ptr + 1, line.len - 1 };
	return view_starts(line, VIEW("\xef\xbb\xbf")) ? (struct view){ line.ptr + 3, line.len - 3 } : line;
}

/*
 * Is it a piece out of the middle of an event: of pretty-printed JSON, or what is left behind a gap? It may be data all through.
 * A beginning is an object's, or the time that exports and the legacy format have in front.
 */
static bool is_piece(struct view line)
{
	struct view text = skip_blanks(line);
	int64_t ignored;
	if (!text.len || *text.ptr == '{' || !memchr(text.ptr, '"', text.len))
		return false;
	const char *space = memchr(text.ptr, ' ', text.len);
	return !space || !clock_parse((struct view){ text.ptr, (size_t)(space - text.ptr) }, &ignored);
}

/* No words are found in what is not bytes of text, as UTF-16. */
static bool is_binary(struct view line)
{
	struct view text = skip_blanks(line);
	return text.len && memchr(text.ptr, 0, text.len);
}

/* Where the first body, or data, may begin. */
static size_t safe_length(const struct redactor *r, struct view line)
{
	static const struct view words[] = {
		{ "requestObject", 13 },
		{ "responseObject", 14 },
		{ "annotations", 11 },
		{ "ata\"", 4 }, /* data, stringData, binaryData */
		{ "ata\\", 4 },
		{ "oken\"", 5 },
		{ "oken\\", 5 },
		{ "env\"", 4 },
		{ "env\\", 4 },
		{ "value\"", 6 },
		{ "value\\", 6 },
		{ "Payload", 7 }, /* of a LogEntry */
		{ "error found in", 14 }, /* what quotes a body, see redact_find.c */
	};
	if (r->n_rules || redact_has_hidden(line) || is_piece(line) || is_binary(line))
		return 0;
	size_t len = line.len;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		const char *at = len ? memmem(line.ptr, len, words[i].ptr, words[i].len) : NULL;
		if (at)
			len = (size_t)(at - line.ptr);
	}
	return len;
}

void redact_broken(const struct redactor *r, struct view line, struct buf *out, uint64_t counts[REDACT_KINDS])
{
	if (!r || !line.len) {
		buf_add_view(out, line);
		return;
	}
	struct edits edits = { 0 };
	struct redact_sink sink = { .edits = &edits, .counts = counts };
	size_t safe = safe_length(r, line);
	if (r->kinds & 1u << REDACT_TOKENS) {
		redact_tokens(&sink, (struct view){ line.ptr, safe });
		redact_loose_urls(&sink, (struct view){ line.ptr, safe });
	}
	if (safe < line.len) {
		edits_replace(&edits, (struct view){ line.ptr + safe, line.len - safe }, VIEW(REDACT_MARK));
		counts[r->n_rules ? REDACT_OWN : (unsigned)__builtin_ctz(r->kinds)]++;
	}
	size_t len = edits_length(&edits, line);
	buf_reserve(out, len);
	out->len += edits_apply(&edits, line, out->ptr + out->len);
	edits_finish(&edits);
}
