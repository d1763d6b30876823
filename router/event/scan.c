#include "router/event/scan.h"

#include <string.h>

enum { TEXTS_ROOM_FIRST = 16 };

const char *scan_trouble(struct decoder *d, const char *at)
{
	d->trouble = at;
	d->result = at == d->end ? DECODE_TRUNCATED : DECODE_BAD;
	return NULL;
}

const char *scan_deep(struct decoder *d, const char *at)
{
	d->trouble = at;
	d->result = DECODE_DEEP;
	return NULL;
}

const char *scan_space(const struct decoder *d, const char *at)
{
	while (at < d->end && (*at == ' ' || *at == '\t' || *at == '\r' || (*at == '\n' && !d->one_line)))
		at++;
	return at;
}

const struct scan_bytes scan_bytes = {
	.quotes = "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"",
	.backslashes = "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
	.spaces = "                                ",
};

const bool scan_short_escapes[256] = {
	['"'] = true,
	['\\'] = true,
	['/'] = true,
	['b'] = true,
	['f'] = true,
	['n'] = true,
	['r'] = true,
	['t'] = true,
};

static const bool hex_digits[256] = {
	['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true,
	['8'] = true, ['9'] = true, ['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true, ['e'] = true, ['f'] = true,
	['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true,
};

static bool is_hex(char c)
{
	return hex_digits[(uint8_t)c];
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Is this \uDC00..\uDFFF? Whatever else it is, the scanner will see to it. */
static bool is_low_surrogate(const char *at, const char *end)
{
	return end - at >= 6 && at[0] == '\\' && at[1] == 'u' && (at[2] | 0x20) == 'd' &&
	       ((at[3] | 0x20) >= 'c' && (at[3] | 0x20) <= 'f') && is_hex(at[4]) && is_hex(at[5]);
}

size_t scan_escape(struct decoder *d, const char *at)
{
	const char *p = at + 1;
	if (p == d->end || *p != 'u') {
		if (p == d->end || !scan_short_escapes[(uint8_t)*p]) {
			scan_trouble(d, p);
			return 0;
		}
		return 2;
	}
	for (int i = 0; i < 4; i++) {
		p++;
		if (p == d->end || !is_hex(*p)) {
			scan_trouble(d, p);
			return 0;
		}
	}
	/* What Go itself escapes (< > &) is none of these; \u005b and its neighbours count too. */
	if (at[2] == '0' && at[3] == '0' && ((at[4] >= '4' && at[4] <= '7') || (at[4] == '3' && is_digit(at[5]))))
		d->flags |= EVENT_HIDDEN_LETTER;
	if ((at[2] | 0x20) != 'd' || at[3] < '8')
		return 6;
	bool high = at[3] <= '9' || (at[3] | 0x20) <= 'b';
	if (high && is_low_surrogate(at + 6, d->end))
		return 12;
	d->flags |= EVENT_LONE_SURROGATE;
	return 6;
}

/* One digit or more, or NULL after scan_trouble. */
static const char *digits(struct decoder *d, const char *p)
{
	if (p == d->end || !is_digit(*p))
		return scan_trouble(d, p);
	do
		p++;
	while (p < d->end && is_digit(*p));
	return p;
}

const char *scan_number(struct decoder *d, const char *p)
{
	if (*p == '-')
		p++;
	if (p < d->end && *p == '0')
		p++;
	else if (!(p = digits(d, p)))
		return NULL;
	if (p < d->end && *p == '.' && !(p = digits(d, p + 1)))
		return NULL;
	if (p < d->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < d->end && (*p == '+' || *p == '-'))
			p++;
		p = digits(d, p);
	}
	return p;
}

const char *scan_word(struct decoder *d, const char *p)
{
	const char *word = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
	if (d->end - p > 4 && memcmp(p, word, 4) == 0 && *p != 'f')
		return p + 4;
	for (; *word; word++, p++)
		if (p == d->end || *p != *word)
			return scan_trouble(d, p);
	return p;
}

void scan_add_text(struct scan_texts *texts, struct view text)
{
	if (texts->n == texts->room) {
		/* Slowly: an event of nothing but empty texts makes this list longer than itself. */
		texts->room += texts->room / 4 + TEXTS_ROOM_FIRST;
		texts->list = mem_resize(texts->list, texts->room * sizeof *texts->list);
	}
	texts->list[texts->n++] = text;
}

int32_t scan_int32(struct view number)
{
	size_t i = number.ptr[0] == '-';
	int64_t value = 0;
	for (size_t first = i; i < number.len; i++) {
		if (!is_digit(number.ptr[i]) || i - first >= 10)
			return 0;
		value = value * 10 + (number.ptr[i] - '0');
	}
	if (number.ptr[0] == '-')
		value = -value;
	return value >= INT32_MIN && value <= INT32_MAX ? (int32_t)value : 0;
}
