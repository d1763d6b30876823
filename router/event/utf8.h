#pragma once
/*
 * utf8 -- private to this folder: the one place that knows what well-formed UTF-8 is (RFC 3629, table 3-7 of Unicode).
 */
#include <stddef.h>
#include <stdint.h>

/*
 * The bytes (1 to 4) of the well-formed character at `at`, or 0: what stands there is none. Surrogates, overlong forms
 * and everything above U+10FFFF are none.
 */
static inline size_t utf8_length(const char *at, const char *end)
{
	const uint8_t *p = (const uint8_t *)at;
	size_t room = (size_t)(end - at);
	uint8_t lead = p[0];
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return room >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (lead < 0xf0) {
		uint8_t low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
		return room >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (lead < 0xf5) {
		uint8_t low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
		return room >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 ? 4 : 0;
	}
	return 0;
}
