/* Eight bytes at once in a plain integer, for every machine. */
#include <string.h>

#include "router/event/scan.h"

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

static inline uint64_t load(const char *at)
{
	uint64_t x;
	memcpy(&x, at, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	uint64_t x = load(at);
	*ret_above = x & HIGHS;
	return zero_bytes(x ^ ONES * '"') | zero_bytes(x ^ ONES * '\\') | zero_bytes(x & ONES * 0xe0);
}

/* Above 0x7f only: with the high bit off, the rest is compared by a carry into it. */
static inline block_mask block_at_least(const char *at, uint8_t byte)
{
	uint64_t x = load(at);
	return x & ((x & ~HIGHS) + ONES * (0x80 - (byte & 0x7f))) & HIGHS;
}

static inline block_mask block_equal(const char *at, uint8_t byte)
{
	return zero_bytes(load(at) ^ ONES * byte);
}

/* A bit for each byte of eight: the product moves the high bits, none over another, to its highest byte. */
static inline uint64_t bits_of(block_mask mask)
{
	return (mask >> 7) * 0x0102040810204080 >> 56;
}

static inline uint64_t window_stops(const char *at)
{
	uint64_t stops = 0;
	for (int i = 0; i < WINDOW; i += BLOCK) {
		block_mask above, specials = block_specials(at + i, &above);
		stops |= bits_of(specials | above) << i;
	}
	return stops;
}

static inline bool same_32(const char *a, const char *b, const char *mask)
{
	uint64_t differ = 0;
	for (int i = 0; i < 32; i += 8)
		differ |= (load(a + i) ^ load(b + i)) & load(mask + i);
	return differ == 0;
}

#include "router/event/scan_pass.inc"

const struct scan_kind scan_plain = { "plain", pass };
