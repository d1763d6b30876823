/*
 * One walk over a value, without recursion: a frame a level. What is to go is found when its value ends; where the kind of
 * the object decides, which may stand behind it, when the object ends.
 */
#include <assert.h>
#include <stdlib.h>

#include "router/event/text.h"
#include "router/policy/redact_private.h"

struct walk {
	const struct redact_target *target;
	struct redact_work *work;
	struct redact_sink *sink;
	uint32_t base;  /* frames below are another walk's */
	bool inside;    /* a text that stood in a string */
};

static struct redact_find *push(struct redact_finds *s)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->list = mem_resize(s->list, s->room * sizeof *s->list);
	}
	return &s->list[s->n++];
}

static struct redact_frame *top(struct walk *w)
{
	return &w->work->frames[w->work->n_frames - 1];
}

static bool is_word(struct view value)
{
	return value.len && (value.ptr[0] == 'n' || value.ptr[0] == 't' || value.ptr[0] == 'f');
}

/* ---- what a value is ---- */

/* "v:..." and "k:..." are values as keys, and every value here is an empty object where nothing is hidden. */
static bool fields_hold_values(struct view fields)
{
	struct text_walk walk = text_walk_start(fields);
	struct text_member m;
	if (fields.ptr[0] != '{')
		return !is_word(fields);
	while (text_walk_next(&walk, &m)) {
		bool name = (m.key.len > 1 && m.key.ptr[0] == 'f' && m.key.ptr[1] == ':') || view_eq(m.key, VIEW("."));
		struct text_walk below = text_walk_start(m.value);
		struct text_member ignored;
		if (!name || m.value.ptr[0] != '{' || text_walk_next(&below, &ignored))
			return true;
	}
	return false;
}

static void add_pending(struct walk *w, struct view value, unsigned kinds, uint32_t levels_up, bool members)
{
	int64_t owner = (int64_t)w->work->n_frames - 1 - levels_up;
	if (owner >= w->base)
		*push(&w->work->pending) = (struct redact_find){ value.ptr, value.ptr + value.len, (int32_t)owner,
			(uint8_t)kinds, members, false };
}

static void add_found(struct walk *w, struct view value, unsigned kinds, bool members)
{
	if (kinds)
		*push(&w->work->found) = (struct redact_find){ value.ptr, value.ptr + value.len, 0,
			(uint8_t)(kinds & -kinds), members, false };
}

static void take_kind(struct walk *w, struct redact_frame *f, struct view value)
{
	static const struct {
		struct view name;
		enum redact_kind kind;
		bool list;
	} kinds[] = {
		{ { "Secret", 6 }, REDACT_SECRETS, false },
		{ { "SecretList", 10 }, REDACT_SECRETS, true },
		{ { "ConfigMap", 9 }, REDACT_CONFIGMAPS, false },
		{ { "ConfigMapList", 13 }, REDACT_CONFIGMAPS, true },
		{ { "TokenReview", 11 }, REDACT_TOKENS, false },
		{ { "TokenRequest", 12 }, REDACT_TOKENS, false },
	};
	(void)w;
	if (value.ptr[0] != '"')
		return;
	struct view raw = { value.ptr + 1, value.len - 2 };
	const char *dot = raw.len ? memrchr(raw.ptr, '.', raw.len) : NULL;
	if (dot)
		raw = (struct view){ dot + 1, (size_t)(raw.ptr + raw.len - dot) - 1 };
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (!text_key_is(raw, kinds[i].name))
			continue;
		if (kinds[i].list)
			f->list_kinds |= (uint8_t)(1u << kinds[i].kind);
		else
			f->kinds |= (uint8_t)(1u << kinds[i].kind);
	}
}

/* Servers before 1.23 quote the body that they could not read: "..., error found in #10 byte of ...|BODY|...". */
static bool quotes_body(struct redact_work *work, struct view value)
{
	static const struct view words = { "error found in #", 16 };
	struct buf *small = &work->small;
	if (value.ptr[0] != '"')
		return false;
	buf_clear(small);
	buf_reserve(small, value.len);
	small->len = text_unescape((struct view){ value.ptr + 1, value.len - 2 }, small->ptr);
	return memmem(small->ptr, small->len, words.ptr, words.len);
}

/* ---- JSON that is kept as text ---- */

/* Does the string hold what begins like an object or array? */
static bool looks_like_json(struct view string)
{
	const char *at = string.ptr + 1, *end = string.ptr + string.len - 1;
	if (view_starts((struct view){ at, (size_t)(end - at) }, VIEW(REDACT_MARK)))
		return false; /* our own */
	while (at < end) {
		if (*at == ' ')
			at++;
		else if (end - at > 1 && *at == '\\' && (at[1] == 'n' || at[1] == 't' || at[1] == 'r'))
			at += 2;
		else if (end - at > 5 && *at == '\\' && at[1] == 'u' && at[2] == '0' && at[3] == '0')
			return at[4] == '7' || at[4] == '5' || at[4] == '2' || at[4] == '0';
		else
			return *at == '{' || *at == '[';
	}
	return false;
}

static void walk_value(struct walk *w, struct view value, struct redact_role role);

static void look_inside(struct walk *w, struct view string, struct redact_role role)
{
	struct redact_work *work = w->work;
	bool applied = role.name == ROLE_LAST_APPLIED;
	struct event ignored;
	size_t end;
	if (string.ptr[0] != '"' || (!applied && !looks_like_json(string)))
		return;
	if (!applied && !(role.name == ROLE_WEBHOOK && w->target->kinds) && !redact_hint(string, w->target->wanted))
		return;
	if (w->inside) {
		add_found(w, string, w->target->wanted, false);
		return;
	}
	struct redact_sink sink = redact_sink_inside(w->sink, string, &work->text);
	if (redact_is_pseudonym(sink.text))
		return; /* cut by an own rule, of this router or of one before it */
	if (!work->decoder)
		work->decoder = decode_create(DECODE_BEST);
	enum decode_result r = decode_line(work->decoder, sink.text, &ignored, &end);
	if (r != DECODE_OK && r != DECODE_NOT_EVENT && r != DECODE_LIST) {
		if (r != DECODE_EMPTY)
			add_found(w, string, w->target->wanted, false);
		return;
	}
	struct walk inner = *w;
	struct view text = sink.text;
	inner.sink = &sink;
	inner.inside = true;
	inner.base = work->n_frames;
	while (text.len && (*text.ptr == ' ' || *text.ptr == '\n' || *text.ptr == '\r' || *text.ptr == '\t')) {
		text.ptr++;
		text.len--;
	}
	struct redact_role root = { .name = ROLE_OBJECT, .target = applied };
	if (role.name == ROLE_WEBHOOK)
		root = (struct redact_role){ .name = ROLE_WEBHOOK, .target = true };
	walk_value(&inner, text, root);
}

/* ---- values ---- */

static void value_ends(struct walk *w, struct redact_role role, struct view value)
{
	struct redact_frame *f = top(w);
	if (is_word(value))
		return; /* null and booleans are no secrets; an object has none of its own */
	switch (role.name) {
	case ROLE_CUT:
		add_found(w, value, role.kinds, false);
		break;
	case ROLE_CUT_MEMBERS:
		add_found(w, value, role.kinds, true);
		break;
	case ROLE_MAYBE_DATA:
		add_pending(w, value, role.kinds, 0, true);
		break;
	case ROLE_MAYBE_TOKEN:
		add_pending(w, value, role.kinds, 1, false);
		break;
	case ROLE_MAYBE_FIELDS: /* object, metadata, managedFields, its entry, fieldsV1 */
		if (fields_hold_values(value)) {
			if (w->target->kinds & role.kinds)
				add_found(w, value, w->target->kinds & role.kinds, false);
			else
				add_pending(w, value, role.kinds, 4, false);
		}
		break;
	case ROLE_KIND:
		take_kind(w, f, value);
		break;
	case ROLE_MESSAGE:
		if (w->target->kinds && quotes_body(w->work, value))
			add_found(w, value, w->target->kinds, false);
		break;
	default:
		break;
	}
	look_inside(w, value, role);
}

/*
 * An operation of a JSON patch: what its value is, as its path has it. The path may stand behind the value, so it is looked
 * up first; one that is said more than a few times is not worth telling apart.
 */
static struct redact_role patch_value_role(struct walk *w, struct view object, struct redact_role of)
{
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	struct redact_role role = { .name = ROLE_OBJECT, .target = of.target }, start = role;
	unsigned paths = 0;
	while (text_walk_next(&walk, &m)) {
		if (redact_word_of_key(m.key) != WORD_PATH || m.value.ptr[0] != '"')
			continue;
		struct buf *small = &w->work->small;
		buf_clear(small);
		buf_reserve(small, m.value.len);
		small->len = text_unescape((struct view){ m.value.ptr + 1, m.value.len - 2 }, small->ptr);
		role = redact_role_pointer(w->target, start, buf_view(small));
		paths++;
	}
	if (paths > 1 && of.target && w->target->kinds) /* which of them counts is the reader's choice */
		return (struct redact_role){ .name = ROLE_CUT, .kinds = w->target->kinds };
	return role;
}

static struct redact_role role_of_value(struct walk *w)
{
	if (w->work->n_frames == w->base)
		return (struct redact_role){ 0 };
	struct redact_frame *f = top(w);
	if (!f->object)
		return redact_role_element(f->role);
	struct redact_role role = redact_role_member(w->target, f->role, f->word);
	return role.name == ROLE_PATCH_VALUE ? f->value_role : role;
}

/* ---- objects and arrays ---- */

static void open_container(struct walk *w, const char *at, const char *end, struct redact_role role)
{
	struct redact_work *work = w->work;
	if (work->n_frames == work->frames_room) {
		work->frames_room = work->frames_room ? work->frames_room * 2 : 64;
		work->frames = mem_resize(work->frames, work->frames_room * sizeof *work->frames);
	}
	struct redact_frame *f = &work->frames[work->n_frames++];
	*f = (struct redact_frame){ .begin = at, .pending_base = work->pending.n, .role = role, .object = *at == '{' };
	if (f->object && role.name == ROLE_PATCH_OP) {
		struct redact_role value_role =
			patch_value_role(w, (struct view){ at, (size_t)(text_skip(at, end) - at) }, role);
		top(w)->value_role = value_role;
	}
}

/* The object ends: what waited for its kind is decided. An item of a list may have its kind from the list. */
static void decide_pending(struct walk *w, const struct redact_frame *f, int32_t self)
{
	struct redact_finds *pending = &w->work->pending;
	uint32_t kept = f->pending_base;
	for (uint32_t i = f->pending_base; i < pending->n; i++) {
		struct redact_find find = pending->list[i];
		if (find.owner != self) {
			pending->list[kept++] = find;
			continue;
		}
		unsigned kinds = find.kinds & (find.list ? f->list_kinds : f->kinds);
		if (kinds) {
			add_found(w, (struct view){ find.begin, (size_t)(find.end - find.begin) }, kinds, find.members);
		} else if (!find.list && f->role.name == ROLE_ITEM && self - 2 >= (int32_t)w->base) {
			find.owner = self - 2;
			find.list = true;
			pending->list[kept++] = find;
		}
	}
	pending->n = kept;
}

static void close_container(struct walk *w, const char *end)
{
	struct redact_frame f = *top(w);
	if (f.object)
		decide_pending(w, &f, (int32_t)w->work->n_frames - 1);
	w->work->n_frames--;
	if (w->work->n_frames > w->base)
		value_ends(w, role_of_value(w), (struct view){ f.begin, (size_t)(end - f.begin) });
}

/* ---- the walk ---- */

static bool ends_scalar(char c)
{
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A scalar at `at`: a key, where one is expected, or a value. Returns its end. */
static const char *take_scalar(struct walk *w, const char *at, const char *end, bool is_key)
{
	const char *stop = at;
	if (*at == '"')
		stop = text_skip(at, end);
	else
		while (stop < end && !ends_scalar(*stop))
			stop++;
	if (is_key)
		top(w)->word = (uint8_t)redact_word_of_key((struct view){ at + 1, (size_t)(stop - at) - 2 });
	else
		value_ends(w, role_of_value(w), (struct view){ at, (size_t)(stop - at) });
	return stop;
}

static void walk_containers(struct walk *w, struct view value, struct redact_role role)
{
	const char *at = value.ptr, *end = value.ptr + value.len;
	bool is_key = false;
	open_container(w, at, end, role);
	is_key = top(w)->object;
	for (at++; at < end && w->work->n_frames > w->base;) {
		switch (*at) {
		case '{':
		case '[':
			open_container(w, at, end, role_of_value(w));
			is_key = top(w)->object;
			at++;
			break;
		case '}':
		case ']':
			close_container(w, ++at);
			break;
		case ',':
			is_key = top(w)->object;
			at++;
			break;
		case ':':
			is_key = false;
			at++;
			break;
		case ' ':
		case '\n':
		case '\r':
		case '\t':
			at++;
			break;
		default:
			at = take_scalar(w, at, end, is_key);
			break;
		}
	}
}

/* By begin, the longer first, so that what lies inside comes after. */
static int by_place(const void *left, const void *right)
{
	const struct redact_find *a = left, *b = right;
	if (a->begin != b->begin)
		return a->begin < b->begin ? -1 : 1;
	return a->end > b->end ? -1 : a->end < b->end;
}

static enum redact_kind kind_of(const struct redact_find *find)
{
	return (enum redact_kind)__builtin_ctz(find->kinds);
}

static void emit(struct redact_sink *sink, const struct redact_find *find)
{
	struct view value = { find->begin, (size_t)(find->end - find->begin) };
	struct text_walk walk = text_walk_start(value);
	struct text_member m;
	if (!find->members || value.ptr[0] != '{') {
		redact_sink_value(sink, value, VIEW(REDACT_MARK), kind_of(find));
		return;
	}
	while (text_walk_next(&walk, &m))
		if (m.value.ptr[0] != 'n')
			redact_sink_value(sink, m.value, VIEW(REDACT_MARK), kind_of(find));
}

static void emit_found(struct walk *w, uint32_t from)
{
	struct redact_finds *found = &w->work->found;
	const char *end = NULL;
	if (found->n > from)
		qsort(found->list + from, found->n - from, sizeof *found->list, by_place);
	for (uint32_t i = from; i < found->n; i++) {
		if (end && found->list[i].begin < end)
			continue;
		emit(w->sink, &found->list[i]);
		end = found->list[i].end;
	}
	found->n = from;
}

static void walk_value(struct walk *w, struct view value, struct redact_role role)
{
	struct redact_work *work = w->work;
	uint32_t found = work->found.n, pending = work->pending.n;
	if (value.ptr[0] != '{' && value.ptr[0] != '[')
		return;
	if (value.ptr[0] == '[' && role.name == ROLE_OBJECT)
		role.name = ROLE_PATCH;
	walk_containers(w, value, role);
	work->pending.n = pending;
	assert(work->n_frames == w->base);
	emit_found(w, found);
}

void redact_find(const struct redact_target *target, struct redact_work *work, struct redact_sink *sink, struct view value,
	struct redact_role role)
{
	struct walk w = { target, work, sink, work->n_frames, false };
	walk_value(&w, value, role);
}

void redact_find_text(const struct redact_target *target, struct redact_work *work, struct redact_sink *sink,
	struct view string)
{
	struct walk w = { target, work, sink, work->n_frames, false };
	uint32_t found = work->found.n;
	look_inside(&w, string, (struct redact_role){ .name = ROLE_WEBHOOK });
	emit_found(&w, found);
}
