/* 32 bytes at once. Compiled for AVX2 whatever the rest of the program is compiled for; decode.c asks the processor. */
#include "router/event/scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2")
#endif

enum { BLOCK = 32, BLOCK_BITS = 1 };
typedef uint32_t block_mask;

static inline size_t block_first(block_mask mask)
{
	return (size_t)__builtin_ctz(mask);
}

static inline __m256i load(const char *at)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

static inline block_mask block_specials(const char *at, block_mask *ret_above)
{
	__m256i x = load(at);
	__m256i quotes = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('"'));
	__m256i backslashes = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\'));
	__m256i controls = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(0x1f)), x);
	*ret_above = (block_mask)_mm256_movemask_epi8(x);
	return (block_mask)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quotes, backslashes), controls));
}

static inline block_mask block_at_least(const char *at, uint8_t byte)
{
	__m256i x = load(at);
	return (block_mask)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8((char)byte)), x));
}

static inline block_mask block_equal(const char *at, uint8_t byte)
{
	__m256i x = load(at);
	return (block_mask)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_set1_epi8((char)byte)));
}

static inline uint64_t stops(const char *at)
{
	__m256i x = load(at);
	__m256i quotes = _mm256_cmpeq_epi8(x, load(scan_bytes.quotes));
	__m256i backslashes = _mm256_cmpeq_epi8(x, load(scan_bytes.backslashes));
	/* Signed: below the space are the control bytes and all above 0x7f. */
	__m256i others = _mm256_cmpgt_epi8(load(scan_bytes.spaces), x);
	return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quotes, backslashes), others));
}

static inline uint64_t window_stops(const char *at)
{
	return stops(at) | stops(at + 32) << 32;
}

static inline bool same_32(const char *a, const char *b, const char *mask)
{
	__m256i differ = _mm256_xor_si256(load(a), load(b));
	return _mm256_testz_si256(differ, load(mask));
}

#include "router/event/scan_pass.inc"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct scan_kind scan_avx2 = { "avx2", pass };
#endif
