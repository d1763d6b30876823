/*
 * What was found becomes edits. A range of an unescaped text is brought back to the bytes that it was unescaped from, so
 * that the rest of the text keeps its escapes as they were written.
 */
#include <assert.h>

#include "router/event/text.h"
#include "router/policy/redact_private.h"

struct redact_sink redact_sink_inside(const struct redact_sink *outer, struct view string, struct buf *text)
{
	struct redact_sink sink = *outer;
	assert(!outer->raw.ptr && string.len >= 2);
	sink.raw = (struct view){ string.ptr + 1, string.len - 2 };
	sink.raw_at = sink.text_at = 0;
	buf_clear(text);
	buf_reserve(text, sink.raw.len + 1);
	text->len = text_unescape(sink.raw, text->ptr);
	sink.text = buf_view(text);
	return sink;
}

static unsigned hex4(const char *at)
{
	unsigned code = 0;
	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)at[i];
		code = code << 4 | (c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u);
	}
	return code;
}

/* The raw bytes of the escape at `at` (a backslash), and how many bytes of text it stands for. */
static size_t escape_size(const char *at, size_t left, size_t *ret_text)
{
	*ret_text = 1;
	if (at[1] != 'u')
		return 2;
	unsigned code = hex4(at + 2);
	bool pair = code >= 0xd800 && code < 0xdc00 && left >= 12 && at[6] == '\\' && at[7] == 'u' &&
		    (hex4(at + 8) & 0xfc00) == 0xdc00;
	*ret_text = pair ? 4 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
	return pair ? 12 : 6;
}

/* Where in the raw bytes that offset of the text is. Cheap as long as the offsets grow. */
static const char *raw_place(struct redact_sink *s, size_t offset)
{
	if (offset < s->text_at)
		s->raw_at = s->text_at = 0;
	while (s->text_at < offset && s->raw_at < s->raw.len) {
		const char *at = s->raw.ptr + s->raw_at;
		size_t raw = 1, text = 1;
		if (*at == '\\')
			raw = escape_size(at, s->raw.len - s->raw_at, &text);
		s->raw_at += raw;
		s->text_at += text;
	}
	return s->raw.ptr + s->raw_at;
}

static struct view raw_range(struct redact_sink *s, struct view range)
{
	if (!s->raw.ptr)
		return range;
	size_t offset = (size_t)(range.ptr - s->text.ptr);
	assert(range.ptr >= s->text.ptr && offset + range.len <= s->text.len);
	const char *begin = raw_place(s, offset);
	return (struct view){ begin, (size_t)(raw_place(s, offset + range.len) - begin) };
}

void redact_sink_value(struct redact_sink *s, struct view value, struct view replacement, enum redact_kind kind)
{
	struct view quote = s->raw.ptr ? VIEW("\\\"") : VIEW("\"");
	char text[REDACT_PSEUDONYM_LEN + 4];
	size_t len = 0;
	assert(replacement.len + 2 * quote.len <= sizeof text);
	memcpy(text, quote.ptr, quote.len);
	len += quote.len;
	memcpy(text + len, replacement.ptr, replacement.len);
	len += replacement.len;
	memcpy(text + len, quote.ptr, quote.len);
	len += quote.len;
	edits_replace(s->edits, raw_range(s, value), (struct view){ text, len });
	s->counts[kind]++;
}

void redact_sink_part(struct redact_sink *s, struct view part, enum redact_kind kind)
{
	edits_replace(s->edits, raw_range(s, part), VIEW(REDACT_MARK));
	s->counts[kind]++;
}
