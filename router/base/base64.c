#include "router/base/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, struct view bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.ptr;
	buf_reserve(out, (bytes.len + 2) / 3 * 4);
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		unsigned group = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
		buf_add_byte(out, digits[group >> 18]);
		buf_add_byte(out, digits[group >> 12 & 63]);
		buf_add_byte(out, n > 1 ? digits[group >> 6 & 63] : '=');
		buf_add_byte(out, n > 2 ? digits[group & 63] : '=');
	}
}

bool base64_decode(struct buf *out, struct view text)
{
	if (text.len % 4)
		return false;
	for (size_t i = 0; i < text.len; i += 4) {
		const char *four = text.ptr + i;
		int pad = i + 4 < text.len || four[3] != '=' ? 0 : four[2] == '=' ? 2 : 1;
		uint32_t group = 0;
		for (int k = 0; k < 4; k++) {
			const char *digit = k < 4 - pad ? memchr(digits, four[k], sizeof digits - 1) : digits;
			if (!digit)
				return false;
			group = group << 6 | (uint32_t)(digit - digits);
		}
		for (int k = 0; k < 3 - pad; k++)
			buf_add_byte(out, (char)(group >> (16 - 8 * k)));
	}
	return true;
}
