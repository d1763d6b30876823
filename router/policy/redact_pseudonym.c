/* Pseudonyms: the same name under the same key is always the same, and without the key nobody finds the name. */
#include <assert.h>
#include <gnutls/crypto.h>
#include <string.h>

#include "router/policy/redact_private.h"

enum { DIGEST_BYTES = 32, KEPT_BYTES = 16 };

static const struct view prefix = { "hmac:", 5 };

void redact_pseudonym(const char *key, struct view name, char ret[REDACT_PSEUDONYM_LEN])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[DIGEST_BYTES];
	int r = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, strlen(key), name.ptr ? name.ptr : "", name.len, digest);
	assert(r == 0); /* SHA-256 is in every build of it */
	(void)r;
	memcpy(ret, prefix.ptr, prefix.len);
	for (size_t i = 0; i < KEPT_BYTES; i++) {
		ret[prefix.len + 2 * i] = digits[digest[i] >> 4];
		ret[prefix.len + 2 * i + 1] = digits[digest[i] & 15];
	}
}

static bool all_hex(const char *text, size_t n)
{
	while (n && ((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f'))) {
		text++;
		n--;
	}
	return !n;
}

bool redact_is_pseudonym(struct view text)
{
	return text.len == REDACT_PSEUDONYM_LEN && view_starts(text, prefix) &&
	       all_hex(text.ptr + prefix.len, text.len - prefix.len);
}
