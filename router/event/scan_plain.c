/* Eight bytes at once in a plain integer, for every machine. */
#include <stdint.h>
#include <string.h>

enum { BLOCK = 8, BLOCK_BITS = 8 };
typedef uint64_t block_mask;

static const uint64_t ONES = 0x0101010101010101, HIGHS = 0x8080808080808080;

static inline size_t block_first(block_mask mask)
{
	return (size_t)__builtin_ctzll(mask) / 8;
}

/* The high bit of each byte that is zero; exact for every byte, not only for the first. */
static inline uint64_t zero_bytes(uint64_t x)
{
	return ~(((x & ~HIGHS) + ~HIGHS) | x | ~HIGHS);
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	uint64_t x;
	memcpy(&x, at, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	*ret_above = x & HIGHS;
	return zero_bytes(x ^ ONES * '"') | zero_bytes(x ^ ONES * '\\') | zero_bytes(x & ONES * 0xe0);
}

static inline block_mask block_stops(const char *at)
{
	block_mask above, specials = block_specials(at, &above);
	return specials | above;
}

#include "router/event/scan_pass.inc"

const struct scan_kind scan_plain = { "plain", pass };
