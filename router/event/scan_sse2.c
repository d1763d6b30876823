/* 16 bytes at once; every x86-64 has SSE2. */
#include "router/event/scan.h"

#if defined(__x86_64__)
#include <emmintrin.h>

enum { BLOCK = 16, BLOCK_BITS = 1 };
typedef uint32_t block_mask;

static inline size_t block_first(block_mask mask)
{
	return (size_t)__builtin_ctz(mask);
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i quotes = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
	__m128i backslashes = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
	__m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
	*ret_above = (block_mask)_mm_movemask_epi8(x);
	return (block_mask)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls));
}

static inline block_mask block_stops(const char *at)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i quotes = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
	__m128i backslashes = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
	/* Signed: below the space are the control bytes and all above 0x7f. */
	__m128i others = _mm_cmplt_epi8(x, _mm_set1_epi8(' '));
	return (block_mask)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), others));
}

#include "router/event/scan_pass.inc"

const struct scan_kind scan_sse2 = { "sse2", pass };
#endif
