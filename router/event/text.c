#include "router/event/text.h"

#include "router/event/utf8.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

static unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a' + 10);
}

static unsigned hex4(const char *p)
{
	return hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]);
}

/* UTF-8, and for surrogates the same scheme: WTF-8. */
static size_t encode(unsigned code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* The escape at *at (a backslash), with both halves of a surrogate pair; moves *at past it. Returns the bytes of `out`. */
static size_t unescape_one(const char **at, const char *end, char out[4])
{
	const char *p = *at;
	*at = p + 2;
	switch (p[1]) {
	case 'b':
		out[0] = '\b';
		return 1;
	case 'f':
		out[0] = '\f';
		return 1;
	case 'n':
		out[0] = '\n';
		return 1;
	case 'r':
		out[0] = '\r';
		return 1;
	case 't':
		out[0] = '\t';
		return 1;
	case 'u':
		break;
	default: /* quote, backslash, slash */
		out[0] = p[1];
		return 1;
	}
	unsigned code = hex4(p + 2);
	*at = p + 6;
	if (code >= 0xd800 && code < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
		unsigned low = hex4(p + 8);
		if (low >= 0xdc00 && low < 0xe000) {
			*at = p + 12;
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return encode(code, out);
}

size_t text_unescape(struct view raw, char *out)
{
	if (!raw.len)
		return 0;
	const char *at = raw.ptr, *end = raw.ptr + raw.len;
	char *to = out;
	while (at < end) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		size_t plain = (size_t)((escape ? escape : end) - at);
		memcpy(to, at, plain);
		to += plain;
		if (!escape)
			break;
		at = escape;
		to += unescape_one(&at, end, to);
	}
	return (size_t)(to - out);
}

bool text_key_is(struct view raw_key, struct view name)
{
	if (raw_key.len < name.len || raw_key.len > 6 * name.len)
		return false;
	if (raw_key.len == name.len)
		/* An escape is always longer than what it stands for: there is none, or they differ. */
		return view_eq(raw_key, name) && !(name.len && memchr(name.ptr, '\\', name.len));
	const char *at = raw_key.ptr, *end = at + raw_key.len;
	size_t matched = 0;
	while (at < end) {
		char out[4];
		size_t n = 1;
		if (*at == '\\')
			n = unescape_one(&at, end, out);
		else
			out[0] = *at++;
		if (n > name.len - matched || memcmp(out, name.ptr + matched, n))
			return false;
		matched += n;
	}
	return matched == name.len;
}

bool text_is_utf8(struct view bytes)
{
	if (!bytes.len)
		return true;
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	while (at < end) {
		uint64_t eight;
		if (end - at >= 8 && (memcpy(&eight, at, 8), !(eight & 0x8080808080808080))) {
			at += 8;
			continue;
		}
		size_t n = utf8_length(at, end);
		if (!n)
			return false;
		at += n;
	}
	return true;
}

void text_add_clean(struct buf *out, struct view bytes)
{
	if (!bytes.len)
		return;
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len, *good = at;
	while (at < end) {
		size_t n = utf8_length(at, end);
		if (n) {
			at += n;
			continue;
		}
		buf_add(out, good, (size_t)(at - good));
		buf_add(out, REPLACEMENT, 3);
		good = ++at;
	}
	buf_add(out, good, (size_t)(end - good));
}

static void add_escaped(struct buf *out, char c)
{
	static const char letters[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
	buf_add_byte(out, '\\');
	if (c == '"' || c == '\\')
		buf_add_byte(out, c);
	else if ((size_t)c < sizeof letters && letters[(size_t)c])
		buf_add_byte(out, letters[(size_t)c]);
	else
		buf_addf(out, "u%04x", (unsigned)c);
}

void text_add_quoted(struct buf *out, struct view text)
{
	if (!text.ptr)
		text = VIEW("");
	const char *at = text.ptr, *end = text.ptr + text.len, *good = at;
	buf_add_byte(out, '"');
	while (at < end) {
		size_t n = utf8_length(at, end);
		if (n && (uint8_t)*at >= 0x20 && *at != '"' && *at != '\\') {
			at += n;
			continue;
		}
		buf_add(out, good, (size_t)(at - good));
		if (n)
			add_escaped(out, *at);
		else
			buf_add(out, REPLACEMENT, 3);
		good = ++at;
	}
	buf_add(out, good, (size_t)(end - good));
	buf_add_byte(out, '"');
}
