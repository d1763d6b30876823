/* 16 bytes at once; every 64-bit ARM has NEON. */
#include "router/event/scan.h"

#if defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>

enum { BLOCK = 16, BLOCK_BITS = 4 };
typedef uint64_t block_mask;

static inline size_t block_first(block_mask mask)
{
	return (size_t)__builtin_ctzll(mask) / 4;
}

/* NEON has no movemask: narrowing by a shift leaves four bits of each byte. */
static inline block_mask mask_of(uint8x16_t bytes)
{
	return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(bytes), 4)), 0);
}

static inline uint8x16_t load(const char *at)
{
	return vld1q_u8((const uint8_t *)at);
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	uint8x16_t x = load(at);
	uint8x16_t quotes = vceqq_u8(x, vdupq_n_u8('"'));
	uint8x16_t backslashes = vceqq_u8(x, vdupq_n_u8('\\'));
	uint8x16_t controls = vcltq_u8(x, vdupq_n_u8(' '));
	*ret_above = mask_of(vcgeq_u8(x, vdupq_n_u8(0x80)));
	return mask_of(vorrq_u8(vorrq_u8(quotes, backslashes), controls));
}

static inline block_mask block_at_least(const char *at, uint8_t byte)
{
	return mask_of(vcgeq_u8(load(at), vdupq_n_u8(byte)));
}

static inline block_mask block_equal(const char *at, uint8_t byte)
{
	return mask_of(vceqq_u8(load(at), vdupq_n_u8(byte)));
}

static inline uint8x16_t stops(const char *at)
{
	const uint8x16_t bits = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
	uint8x16_t x = load(at);
	uint8x16_t quotes = vceqq_u8(x, vdupq_n_u8('"'));
	uint8x16_t backslashes = vceqq_u8(x, vdupq_n_u8('\\'));
	/* Signed: below the space are the control bytes and all above 0x7f. */
	uint8x16_t others = vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(' '));
	return vandq_u8(vorrq_u8(vorrq_u8(quotes, backslashes), others), bits);
}

/* A byte of each has a bit of its own in its eight: three sums of neighbours leave eight bytes of eight bits. */
static inline uint64_t window_stops(const char *at)
{
	uint8x16_t low = vpaddq_u8(stops(at), stops(at + 16)), high = vpaddq_u8(stops(at + 32), stops(at + 48));
	uint8x16_t sums = vpaddq_u8(low, high);
	return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static inline bool same_32(const char *a, const char *b, const char *mask)
{
	uint8x16_t first = vandq_u8(veorq_u8(load(a), load(b)), load(mask));
	uint8x16_t second = vandq_u8(veorq_u8(load(a + 16), load(b + 16)), load(mask + 16));
	return vmaxvq_u8(vorrq_u8(first, second)) == 0;
}

#include "router/event/scan_pass.inc"

const struct scan_kind scan_neon = { "neon", pass };
#endif
