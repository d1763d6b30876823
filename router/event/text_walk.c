/* The walking half of text.h: members of values that decode has accepted, so that nothing needs to be checked again. */
#include "router/event/text.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	return at;
}

/* `at` is behind the opening quote; returns the closing one. */
static const char *find_quote(const char *at, const char *end)
{
	while (at < end) {
		const char *quote = memchr(at, '"', (size_t)(end - at));
		if (!quote)
			return end;
		/* An even number of backslashes in front leaves it a quote. */
		const char *before = quote;
		while (before > at && before[-1] == '\\')
			before--;
		if ((quote - before) % 2 == 0)
			return quote;
		at = quote + 1;
	}
	return end;
}

static const char *skip_string(const char *at, const char *end)
{
	const char *quote = find_quote(at + 1, end);
	return quote < end ? quote + 1 : end;
}

const char *text_skip(const char *at, const char *end)
{
	size_t depth = 0;
	for (; at < end; at++) {
		switch (*at) {
		case '"':
			at = skip_string(at, end);
			if (!depth)
				return at;
			at--;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (!depth)
				return at;
			if (!--depth)
				return at + 1;
			break;
		case ',':
		case ' ':
		case '\n':
		case '\r':
		case '\t':
			if (!depth) /* behind a number, true, false or null */
				return at;
			break;
		default:
			break;
		}
	}
	return at;
}

struct text_walk text_walk_start(struct view value)
{
	if (value.len < 2 || (*value.ptr != '{' && *value.ptr != '['))
		return (struct text_walk){ value.ptr, value.ptr };
	return (struct text_walk){ value.ptr + 1, value.ptr + value.len };
}

static const char *value_end_of(const char *at, const char *end, const struct view *known, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (known[i].ptr == at && known[i].len)
			return at + known[i].len;
	return text_skip(at, end);
}

bool text_walk_next(struct text_walk *w, struct text_member *ret_member)
{
	return text_walk_next_past(w, ret_member, NULL, 0);
}

bool text_walk_next_past(struct text_walk *w, struct text_member *ret_member, const struct view *known, size_t n)
{
	const char *at = skip_space(w->at, w->end), *first;
	if (at < w->end && *at == ',')
		at = skip_space(at + 1, w->end);
	if (at >= w->end || *at == '}' || *at == ']') {
		w->at = w->end;
		return false;
	}
	first = at;
	struct view key = { at, 0 };
	/* The walk does not know what it walks: a text with a colon behind it is a key, and only in objects is there one. */
	const char *value = at, *value_end = text_skip(at, w->end);
	if (*at == '"') {
		const char *colon = skip_space(value_end, w->end);
		if (colon < w->end && *colon == ':') {
			key = (struct view){ at + 1, (size_t)(value_end - at) - 2 };
			value = skip_space(colon + 1, w->end);
			value_end = value_end_of(value, w->end, known, n);
		}
	}
	*ret_member = (struct text_member){
		.key = key,
		.value = { value, (size_t)(value_end - value) },
		.whole = { first, (size_t)(value_end - first) },
	};
	w->at = value_end;
	return true;
}

struct view text_get(struct view object, struct view name)
{
	struct view found = { 0 };
	if (!object.len || *object.ptr != '{')
		return found;
	struct text_walk walk = text_walk_start(object);
	for (struct text_member member; text_walk_next(&walk, &member);)
		if (text_key_is(member.key, name))
			found = member.value;
	return found;
}
