/* Twice 16 bytes at once; every x86-64 has SSE2. */
#include "router/event/scan.h"

#if defined(__x86_64__)
#include <emmintrin.h>

enum { BLOCK = 32, BLOCK_BITS = 1 };
typedef uint32_t block_mask;

static inline size_t block_first(block_mask mask)
{
	return (size_t)__builtin_ctz(mask);
}

static inline __m128i load(const char *at)
{
	return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline block_mask mask_of(__m128i first, __m128i second)
{
	return (block_mask)_mm_movemask_epi8(first) | (block_mask)_mm_movemask_epi8(second) << 16;
}

static inline __m128i specials(__m128i x)
{
	__m128i quotes = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
	__m128i backslashes = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
	__m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
	return _mm_or_si128(_mm_or_si128(quotes, backslashes), controls);
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	__m128i first = load(at), second = load(at + 16);
	*ret_above = mask_of(first, second);
	return mask_of(specials(first), specials(second));
}

static inline __m128i stops(__m128i x)
{
	__m128i quotes = _mm_cmpeq_epi8(x, load(scan_bytes.quotes));
	__m128i backslashes = _mm_cmpeq_epi8(x, load(scan_bytes.backslashes));
	/* Signed: below the space are the control bytes and all above 0x7f. */
	__m128i others = _mm_cmplt_epi8(x, load(scan_bytes.spaces));
	return _mm_or_si128(_mm_or_si128(quotes, backslashes), others);
}

static inline uint64_t window_stops(const char *at)
{
	return mask_of(stops(load(at)), stops(load(at + 16))) | (uint64_t)mask_of(stops(load(at + 32)), stops(load(at + 48))) << 32;
}

static inline __m128i at_least(__m128i x, uint8_t byte)
{
	return _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8((char)byte)), x);
}

static inline block_mask block_at_least(const char *at, uint8_t byte)
{
	return mask_of(at_least(load(at), byte), at_least(load(at + 16), byte));
}

static inline block_mask block_equal(const char *at, uint8_t byte)
{
	__m128i bytes = _mm_set1_epi8((char)byte);
	return mask_of(_mm_cmpeq_epi8(load(at), bytes), _mm_cmpeq_epi8(load(at + 16), bytes));
}

static inline bool same_32(const char *a, const char *b, const char *mask)
{
	__m128i first = _mm_and_si128(_mm_xor_si128(load(a), load(b)), load(mask));
	__m128i second = _mm_and_si128(_mm_xor_si128(load(a + 16), load(b + 16)), load(mask + 16));
	return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(first, second), _mm_setzero_si128())) == 0xffff;
}

#include "router/event/scan_pass.inc"

const struct scan_kind scan_sse2 = { "sse2", pass };
#endif
