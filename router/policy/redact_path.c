/*
 * Own rules: a path into the event, and what becomes of the values that it leads to.
 *
 * A path into a body is looked for in the items of a list and the rows of a Table too, in what kubectl keeps of the object
 * as text, and in JSON patches, by their pointers: a secret does not leave by the verb that it came with.
 */
#include <stdlib.h>

#include "router/event/text.h"
#include "router/policy/redact_private.h"

enum { PATHS_SAID_MAX = 4 }; /* of one operation of a JSON patch */

/* ---- paths as text: requestObject.spec["a.b"][*].value ---- */

static bool add_step(struct redact_path *p, struct redact_step step, const char **ret_why)
{
	if (p->n == REDACT_STEPS_MAX) {
		*ret_why = "it has more than 32 parts";
		free((char *)step.key.ptr);
		return false;
	}
	p->steps[p->n++] = step;
	return true;
}

static struct redact_step key_step(struct view key)
{
	return (struct redact_step){ .key = { mem_text(key), key.len }, .any = view_eq(key, VIEW("*")) };
}

static bool parse_name(struct redact_path *p, struct view *rest, const char **ret_why)
{
	size_t n = 0;
	while (n < rest->len && rest->ptr[n] != '.' && rest->ptr[n] != '[' && rest->ptr[n] != ']' && rest->ptr[n] != '"')
		n++;
	struct view name = { rest->ptr, n };
	*rest = (struct view){ rest->ptr + n, rest->len - n };
	if (!n) {
		*ret_why = "a name is missing";
		return false;
	}
	return add_step(p, key_step(name), ret_why);
}

static bool parse_index(struct view digits, uint32_t *ret)
{
	uint32_t value = 0;
	if (!digits.len || digits.len > 9)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(digits.ptr[i] - '0');
	}
	*ret = value;
	return true;
}

/* [*], [3] or ["any key"] */
static bool parse_bracket(struct redact_path *p, struct view *rest, const char **ret_why)
{
	const char *at = rest->ptr + 1, *end = rest->ptr + rest->len;
	bool quoted = at < end && *at == '"';
	const char *stop = memmem(at + quoted, (size_t)(end - at - quoted), quoted ? "\"]" : "]", quoted ? 2 : 1);
	if (!stop) {
		*ret_why = "a bracket is not closed";
		return false;
	}
	struct view inside = { at + quoted, (size_t)(stop - at - quoted) };
	const char *behind = stop + 1 + quoted;
	*rest = (struct view){ behind, (size_t)(end - behind) };
	struct redact_step step = { .index = REDACT_ANY, .any = true };
	if (quoted) {
		step = key_step(inside);
		step.any = false;
	} else if (!view_eq(inside, VIEW("*"))) {
		step.any = false;
		if (!parse_index(inside, &step.index)) {
			*ret_why = "brackets hold *, a number, or a key in double quotes";
			return false;
		}
	}
	return add_step(p, step, ret_why);
}

bool redact_path_parse(struct redact_path *ret, struct view text, const char **ret_why)
{
	struct view rest = text;
	*ret = (struct redact_path){ 0 };
	if (!parse_name(ret, &rest, ret_why))
		return false;
	while (rest.len) {
		bool good = false;
		if (rest.ptr[0] == '[') {
			good = parse_bracket(ret, &rest, ret_why);
		} else if (rest.ptr[0] == '.') {
			rest = (struct view){ rest.ptr + 1, rest.len - 1 };
			good = parse_name(ret, &rest, ret_why);
		} else {
			*ret_why = "parts are joined by a dot";
		}
		if (!good)
			return false;
	}
	return true;
}

void redact_path_finish(struct redact_path *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		free((char *)p->steps[i].key.ptr);
	*p = (struct redact_path){ 0 };
}

/* ---- a rule at work ---- */

struct hand {
	const struct redact_rule *rule;
	struct redact_work *work;
	struct redact_sink *sink;
};

static bool is_kept(const struct redact_rule *rule, struct view text)
{
	for (size_t i = 0; i < rule->keep.n; i++)
		if (view_starts(text, rule->keep.list[i]))
			return true;
	return false;
}

static void mask(const struct hand *h, struct view value)
{
	redact_sink_value(h->sink, value, VIEW(REDACT_MARK), h->rule->pseudonym ? REDACT_PSEUDONYM : REDACT_OWN);
}

static void pseudonym(const struct hand *h, struct view string)
{
	struct buf *small = &h->work->small;
	char name[REDACT_PSEUDONYM_LEN];
	buf_clear(small);
	buf_reserve(small, string.len);
	small->len = text_unescape((struct view){ string.ptr + 1, string.len - 2 }, small->ptr);
	struct view text = buf_view(small);
	/* Twice is once: dead letters are sent through here again. */
	if (!text.len || is_kept(h->rule, text) || redact_is_pseudonym(text) || view_eq(text, VIEW(REDACT_MARK)))
		return;
	redact_pseudonym(h->rule->key, text, name);
	redact_sink_value(h->sink, string, (struct view){ name, sizeof name }, REDACT_PSEUDONYM);
}

static void take(const struct hand *h, struct view value)
{
	struct text_walk walk = text_walk_start(value);
	struct text_member m;
	if (value.ptr[0] == 'n') /* null */
		return;
	if (!h->rule->pseudonym) {
		mask(h, value);
	} else if (value.ptr[0] == '"') {
		pseudonym(h, value);
	} else if (value.ptr[0] == '[') {
		while (text_walk_next(&walk, &m)) {
			if (m.value.ptr[0] == '"')
				pseudonym(h, m.value);
			else if (m.value.ptr[0] != 'n')
				mask(h, m.value);
		}
	} else {
		mask(h, value);
	}
}

static bool step_fits(const struct redact_step *step, bool object, struct view raw_key, uint32_t index)
{
	if (!object)
		return !step->key.ptr ? step->any || step->index == index : step->any;
	return step->key.ptr && (step->any || text_key_is(raw_key, step->key));
}

/* As deep as a path has steps. */
static void follow(const struct hand *h, struct view value, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(value);
	struct text_member m;
	bool object = value.ptr[0] == '{';
	if (!n) {
		take(h, value);
		return;
	}
	for (uint32_t i = 0; text_walk_next(&walk, &m); i++)
		if (step_fits(steps, object, m.key, i))
			follow(h, m.value, steps + 1, n - 1);
}

/* ---- JSON patches ---- */

static bool token_fits(const struct redact_step *step, struct view token)
{
	if (step->key.ptr)
		return step->any || view_eq(step->key, token);
	uint32_t index;
	return step->any || view_eq(token, VIEW("-")) || (parse_index(token, &index) && index == step->index);
}

/* The value stands where the pointer leads: above the path, on it, or inside what the path leads to. */
static void follow_pointer(const struct hand *h, struct view pointer, struct view value, const struct redact_step *steps,
	uint32_t n)
{
	struct view token;
	while (pointer.len) {
		char *room = (char *)pointer.ptr; /* the scratch is ours, and a token is never longer than what it stood for */
		if (!n)
			break;
		if (!redact_pointer_next(&pointer, room, &token) || !token_fits(steps, token))
			return;
		steps++;
		n--;
	}
	follow(h, value, steps, n);
}

/* The values of an operation whose path is `pointer`, raw; absent: nobody can tell which path counts. */
static void take_values(const struct hand *h, struct view operation, struct view pointer, const struct redact_step *steps,
	uint32_t n)
{
	struct text_walk walk = text_walk_start(operation);
	struct text_member m;
	while (text_walk_next(&walk, &m)) {
		struct buf *small = &h->work->small;
		if (!text_key_is(m.key, VIEW("value")))
			continue;
		if (!pointer.ptr) {
			mask(h, m.value);
			continue;
		}
		buf_clear(small);
		buf_reserve(small, pointer.len + 1);
		small->len = text_unescape(pointer, small->ptr);
		follow_pointer(h, buf_view(small), m.value, steps, n);
	}
}

static void take_operation(const struct hand *h, struct view operation, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(operation);
	struct text_member m;
	unsigned said = 0;
	if (operation.ptr[0] != '{')
		return;
	while (said < PATHS_SAID_MAX && text_walk_next(&walk, &m)) {
		if (!text_key_is(m.key, VIEW("path")) || m.value.ptr[0] != '"')
			continue;
		take_values(h, operation, (struct view){ m.value.ptr + 1, m.value.len - 2 }, steps, n);
		said++;
	}
	if (said == PATHS_SAID_MAX)
		take_values(h, operation, (struct view){ 0 }, steps, n);
}

static void take_patch(const struct hand *h, struct view patch, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(patch);
	struct text_member m;
	while (text_walk_next(&walk, &m))
		take_operation(h, m.value, steps, n);
}

/* ---- bodies ---- */

/* What kubectl keeps of the object as text. */
static void take_text(const struct hand *h, struct view string, const struct redact_step *steps, uint32_t n)
{
	struct redact_work *work = h->work;
	struct event ignored;
	size_t end;
	if (string.ptr[0] != '"')
		return;
	struct redact_sink sink = redact_sink_inside(h->sink, string, &work->text);
	struct hand inside = { h->rule, work, &sink };
	if (!work->decoder)
		work->decoder = decode_create(DECODE_BEST);
	enum decode_result r = decode_line(work->decoder, sink.text, &ignored, &end);
	if (r == DECODE_OK || r == DECODE_NOT_EVENT || r == DECODE_LIST) {
		struct view text = { sink.text.ptr, end };
		while (text.len && *text.ptr != '{' && *text.ptr != '[' && *text.ptr != '"') {
			text.ptr++;
			text.len--;
		}
		if (text.len)
			follow(&inside, text, steps, n);
	} else if (r != DECODE_EMPTY) {
		mask(h, string);
	}
}

static void take_object(const struct hand *h, struct view object, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(object), metadata, annotations;
	struct text_member m, a, t;
	follow(h, object, steps, n);
	if (object.ptr[0] != '{')
		return;
	while (text_walk_next(&walk, &m)) {
		if (redact_word_of_key(m.key) != WORD_METADATA)
			continue;
		for (metadata = text_walk_start(m.value); text_walk_next(&metadata, &a);)
			if (text_key_is(a.key, VIEW("annotations")))
				for (annotations = text_walk_start(a.value); text_walk_next(&annotations, &t);)
					if (redact_word_of_key(t.key) == WORD_LAST_APPLIED)
						take_text(h, t.value, steps, n);
	}
}

static void take_rows(const struct hand *h, struct view rows, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(rows), row;
	struct text_member item, m;
	while (text_walk_next(&walk, &item))
		for (row = text_walk_start(item.value); text_walk_next(&row, &m);)
			if (redact_word_of_key(m.key) == WORD_OBJECT)
				take_object(h, m.value, steps, n);
}

static void take_body(const struct hand *h, struct view body, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(body), items;
	struct text_member m, item;
	take_object(h, body, steps, n);
	if (!n)
		return;
	if (body.ptr[0] == '[')
		take_patch(h, body, steps, n);
	if (body.ptr[0] != '{')
		return;
	while (text_walk_next(&walk, &m)) {
		enum redact_word word = redact_word_of_key(m.key);
		if (m.value.ptr[0] == '[' && word == WORD_ITEMS)
			for (items = text_walk_start(m.value); text_walk_next(&items, &item);)
				take_object(h, item.value, steps, n);
		else if (m.value.ptr[0] == '[' && word == WORD_ROWS)
			take_rows(h, m.value, steps, n);
	}
}

/* ---- LogEntries ---- */

/* Where a LogEntry has what a path of an Event leads to. Several rows of a name: all of these places. */
static const struct entry_row {
	struct view name, second; /* first key of the path; the second one, absent: any */
	struct view places[3];    /* keys from the entry down */
	uint32_t taken;           /* so many steps of the path stand for that place (those that it has) */
} entry_rows[] = {
#define TEXT(literal) { literal, sizeof(literal) - 1 }
	{ TEXT("requestObject"), { 0 }, { TEXT("protoPayload"), TEXT("request") }, 1 },
	{ TEXT("responseObject"), { 0 }, { TEXT("protoPayload"), TEXT("response") }, 1 },
	{ TEXT("responseStatus"), { 0 }, { TEXT("protoPayload"), TEXT("status") }, 1 },
	{ TEXT("annotations"), { 0 }, { TEXT("labels") }, 1 },
	{ TEXT("user"), TEXT("username"), { TEXT("protoPayload"), TEXT("authenticationInfo"), TEXT("principalEmail") }, 2 },
	{ TEXT("sourceIPs"), { 0 }, { TEXT("protoPayload"), TEXT("requestMetadata"), TEXT("callerIp") }, 2 },
	{ TEXT("userAgent"), { 0 }, { TEXT("protoPayload"), TEXT("requestMetadata"), TEXT("callerSuppliedUserAgent") }, 1 },
	/* The path and what objectRef has of it are one text there, which goes as a whole. */
	{ TEXT("requestURI"), { 0 }, { TEXT("protoPayload"), TEXT("resourceName") }, REDACT_STEPS_MAX },
	{ TEXT("requestURI"), { 0 }, { TEXT("protoPayload"), TEXT("authorizationInfo"), TEXT("resource") }, REDACT_STEPS_MAX },
	{ TEXT("objectRef"), { 0 }, { TEXT("protoPayload"), TEXT("resourceName") }, REDACT_STEPS_MAX },
	{ TEXT("objectRef"), { 0 }, { TEXT("protoPayload"), TEXT("authorizationInfo"), TEXT("resource") }, REDACT_STEPS_MAX },
#undef TEXT
};

/* What Google calls a k8s.io/Patch is an object, which may hold a JSON patch as a member. */
static void take_entry_body(const struct hand *h, struct view body, const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(body);
	struct text_member m;
	take_body(h, body, steps, n);
	if (!n || !view_eq(text_get(body, VIEW("@type")), VIEW("\"k8s.io/Patch\"")))
		return;
	while (text_walk_next(&walk, &m))
		if (m.value.ptr[0] == '[')
			take_body(h, m.value, steps, n);
}

static void go_to_place(const struct hand *h, struct view value, const struct entry_row *row, unsigned depth,
	const struct redact_step *steps, uint32_t n)
{
	struct text_walk walk = text_walk_start(value);
	struct text_member m;
	if (depth == 3 || !row->places[depth].ptr) {
		if (view_eq(row->places[1], VIEW("request")) || view_eq(row->places[1], VIEW("response")))
			take_entry_body(h, value, steps, n);
		else
			follow(h, value, steps, n);
		return;
	}
	bool array = value.ptr[0] == '['; /* its elements: as deep as this goes, authorizationInfo */
	while (text_walk_next(&walk, &m))
		if (!array && text_key_is(m.key, row->places[depth]))
			go_to_place(h, m.value, row, depth + 1, steps, n);
		else if (array && m.value.ptr[0] == '{')
			go_to_place(h, m.value, row, depth, steps, n);
}

static void apply_to_entry(const struct hand *h, const struct event *e, const struct redact_path *path)
{
	for (size_t i = 0; i < sizeof entry_rows / sizeof *entry_rows; i++) {
		const struct entry_row *row = &entry_rows[i];
		const struct redact_step *second = path->n > 1 ? &path->steps[1] : NULL;
		uint32_t taken = row->taken < path->n ? row->taken : path->n;
		if (!view_eq(path->steps[0].key, row->name))
			continue;
		if (row->second.ptr && second && !second->any && !view_eq(second->key, row->second))
			continue;
		go_to_place(h, e->bytes, row, 0, path->steps + taken, path->n - taken);
	}
}

static void apply_path(const struct hand *h, const struct event *e, const struct redact_path *path)
{
	if (e->form == EVENT_LOG_ENTRY) {
		apply_to_entry(h, e, path);
		return;
	}
	struct text_walk walk = text_walk_start(e->bytes);
	struct text_member m;
	const struct redact_step *first = &path->steps[0];
	bool body = view_eq(first->key, VIEW("requestObject")) || view_eq(first->key, VIEW("responseObject"));
	while (text_walk_next(&walk, &m)) {
		if (!text_key_is(m.key, first->key))
			continue;
		if (body)
			take_body(h, m.value, first + 1, path->n - 1);
		else
			follow(h, m.value, first + 1, path->n - 1);
	}
}

void redact_rules(const struct redactor *r, const struct event *e, const struct attributes *a, struct redact_work *work,
	struct redact_sink *sink)
{
	for (uint32_t i = 0; i < r->n_rules; i++) {
		const struct redact_rule *rule = &r->rules[i];
		const struct hand h = { rule, work, sink };
		if (rule->matcher && matcher_first(rule->matcher, a) == MATCHER_NONE)
			continue;
		for (uint32_t j = 0; j < rule->n_paths; j++)
			apply_path(&h, e, &rule->paths[j]);
	}
}
