#pragma once
/*
 * tame -- JSON that decode takes and jansson does not, changed so that jansson takes it too and still says no to
 * everything else. Shares no code with the program.
 *
 * jansson 2.14 refuses, and the tamed bytes have instead:
 *   bytes in a string that are no UTF-8    '?' for each; a surrogate in UTF-8's scheme (WTF-8) a private character
 *   lone surrogates                        the private character U+E000 + (surrogate - 0xd800)
 *   \u0000 in a key                        \u0001
 *   integers beyond 64 bits                4611686018427387904 (all above 18 digits become it)
 *   reals beyond a double                  1.5 (all reals that are long or have large exponents become it)
 * jansson takes a NUL byte behind a number, which decode refuses: outside of strings it becomes another control byte.
 * Nesting beyond 2048 levels has no such remedy: `depth` tells.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/view.h"

enum { JANSSON_DEPTH_MAX = 2048 };

struct tame {
	struct buf bytes;
	size_t depth;        /* most brackets open at once, outside of strings */
	bool bad_utf8;       /* in some string */
	bool lone_surrogate;
};

static inline bool tame_follows(const uint8_t *p, const uint8_t *end, size_t n)
{
	if ((size_t)(end - p) <= n)
		return false;
	for (size_t i = 1; i <= n; i++)
		if (p[i] >> 6 != 2)
			return false;
	return true;
}

/* The character at p (above 0x7f): its bytes, or 0. `*ret_code` may be a surrogate. */
static inline size_t tame_character(const uint8_t *p, const uint8_t *end, uint32_t *ret_code)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	for (size_t n = 1; n <= 3; n++) {
		if ((*p & forms[n - 1].mask) != forms[n - 1].lead || !tame_follows(p, end, n))
			continue;
		uint32_t code = (uint8_t)(*p & ~forms[n - 1].mask);
		for (size_t i = 1; i <= n; i++)
			code = code << 6 | (p[i] & 0x3f);
		*ret_code = code;
		return code >= forms[n - 1].least && code <= 0x10ffff ? n + 1 : 0;
	}
	return 0;
}

/* One byte or character of text from `*p` on. Returns whether it was good UTF-8. */
static inline bool tame_add_character(struct buf *out, const uint8_t **p, const uint8_t *end)
{
	uint32_t code = 0;
	size_t n = **p < 0x80 ? 1 : tame_character(*p, end, &code);
	bool surrogate = code >= 0xd800 && code < 0xe000;
	if (surrogate) {
		char private[] = { (char)0xee, (char)(0x80 | ((code - 0xd800) >> 6)), (char)(*p)[2] };
		buf_add(out, private, 3);
	} else if (n) {
		buf_add(out, *p, n);
	} else {
		buf_add_byte(out, '?');
	}
	*p += n ? n : 1;
	return n && !surrogate;
}

/* The value of four hexadecimal digits behind a \u at p, or -1. */
static inline int tame_escape(const uint8_t *p, const uint8_t *end)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	int code = 0;
	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		const char *digit = memchr(digits, p[i], 32);
		if (!digit)
			return -1;
		code = code * 16 + (int)(digit - digits) % 16;
	}
	return code;
}

/* The string at p, its quotes included. `nul` is where its first \u0000 went in `out`, or 0. */
static inline const uint8_t *tame_string(struct tame *t, const uint8_t *p, const uint8_t *end)
{
	bool has_nul = false;
	size_t start = t->bytes.len;
	buf_add_byte(&t->bytes, (char)*p++);
	while (p < end && *p != '"') {
		int code = tame_escape(p, end), next = code < 0 ? -1 : tame_escape(p + 6, end);
		if (code >= 0xd800 && code < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
			buf_add(&t->bytes, p, 12);
			p += 12;
		} else if (code >= 0xd800 && code < 0xe000) {
			t->lone_surrogate = true;
			buf_addf(&t->bytes, "\\u%04x", (unsigned)code - 0xd800 + 0xe000);
			p += 6;
		} else if (code >= 0) {
			has_nul |= code == 0;
			buf_add(&t->bytes, p, 6);
			p += 6;
		} else if (*p == '\\' && end - p >= 2 && p[1] < 0x80) {
			buf_add(&t->bytes, p, 2);
			p += 2;
		} else {
			t->bad_utf8 |= !tame_add_character(&t->bytes, &p, end);
		}
	}
	if (p == end)
		return p;
	buf_add_byte(&t->bytes, (char)*p++);
	const uint8_t *behind = p;
	while (behind < end && memchr(" \t\r\n", *behind, 4))
		behind++;
	if (has_nul && behind < end && *behind == ':')
		for (char *c = t->bytes.ptr + start; c < t->bytes.ptr + t->bytes.len - 6; c++) {
			if (memcmp(c, "\\u0000", 6) == 0)
				c[5] = '1';
			c += *c == '\\';
		}
	return p;
}

/* The grammar of a number, as a pattern: digits, then '.', then 'e', each part optional as RFC 8259 has it. */
static inline const uint8_t *tame_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static inline const uint8_t *tame_number(struct tame *t, const uint8_t *start, const uint8_t *end)
{
	const uint8_t *p = start + (*start == '-'), *whole = p, *whole_end = tame_digits(p, end), *run = whole_end;
	bool good = whole_end > whole && (*whole != '0' || whole_end - whole == 1), real = false, large = whole_end - whole > 100;
	while (run < end && *run && strchr("+-.eE0123456789", *run))
		run++;
	p = whole_end;
	if (p < run && *p == '.') {
		const uint8_t *fraction = ++p;
		p = tame_digits(p, run);
		good &= p > fraction;
		real = true;
	}
	if (p < run && (*p | 0x20) == 'e') {
		p++;
		p += p < run && (*p == '+' || *p == '-');
		const uint8_t *exponent = p;
		p = tame_digits(p, run);
		good &= p > exponent;
		large |= p - exponent > 2;
		real = true;
	}
	if (!good || p != run)
		buf_add(&t->bytes, start, (size_t)(run - start));
	else if (real && large)
		buf_addf(&t->bytes, "1.5");
	else if (!real && whole_end - whole > 18)
		buf_addf(&t->bytes, "%s4611686018427387904", *start == '-' ? "-" : "");
	else
		buf_add(&t->bytes, start, (size_t)(run - start));
	return run;
}

static inline struct tame tame_json(struct view json)
{
	struct tame t = { 0 };
	const uint8_t *p = (const uint8_t *)json.ptr, *end = p + json.len;
	size_t depth = 0;
	while (p < end) {
		if (*p == '"') {
			p = tame_string(&t, p, end);
			continue;
		}
		if (*p == '-' || (*p >= '0' && *p <= '9')) {
			p = tame_number(&t, p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		if ((*p == '}' || *p == ']') && depth)
			depth--;
		if (depth > t.depth)
			t.depth = depth;
		buf_add_byte(&t.bytes, *p ? (char)*p : 1);
		p++;
	}
	return t;
}

/* What tame_json made of a text, done to its unescaped form. */
static inline void tame_text(struct buf *out, struct view text)
{
	const uint8_t *p = (const uint8_t *)text.ptr, *end = text.ptr ? p + text.len : p;
	while (p < end)
		(void)tame_add_character(out, &p, end);
}
