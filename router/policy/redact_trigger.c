#include "router/policy/redact_trigger.h"

#include <stdint.h>
#include <string.h>

enum { REACH = 2, BEARER_R = 3, BEARER = 6 };

static bool is_bearer(const char *at)
{
	static const char word[BEARER] = { 'b', 'e', 'a', 'r', 'e', 'r' };
	for (size_t i = 0; i < BEARER; i++)
		if ((at[i] | 0x20) != word[i])
			return false;
	return true;
}

/* Is one of the places from `at` to `stop` where "eyJ" begins, or "rer" of "bearer"? REACH bytes follow each of them. */
static bool is_in_block(struct view bytes, const char *at, const char *stop)
{
	const char *begin = bytes.ptr, *end = begin + bytes.len;
	for (; at < stop; at++) {
		if (at[0] == 'e' && at[1] == 'y' && at[2] == 'J')
			return true;
		if ((at[0] | 0x20) == 'r' && at - begin >= BEARER_R && end - at >= BEARER - BEARER_R && is_bearer(at - BEARER_R))
			return true;
	}
	return false;
}

static bool plain(struct view bytes)
{
	return bytes.len > REACH && is_in_block(bytes, bytes.ptr, bytes.ptr + bytes.len - REACH);
}

typedef uint8_t bytes_16 __attribute__((vector_size(16)));
#define SCAN  narrow
#define BYTES bytes_16
#define LEAVE() ((void)0)
#include "router/policy/redact_trigger.inc"
#undef SCAN
#undef BYTES
#undef LEAVE

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
typedef uint8_t bytes_32 __attribute__((vector_size(32)));
#define SCAN  wide
#define BYTES bytes_32
#define LEAVE() _mm256_zeroupper()
#include "router/policy/redact_trigger.inc"
#undef SCAN
#undef BYTES
#undef LEAVE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

bool redact_trigger(struct view bytes)
{
	return __builtin_cpu_supports("avx2") ? wide(bytes) : narrow(bytes);
}

struct redact_trigger_ways redact_trigger_ways(void)
{
	return (struct redact_trigger_ways){ plain, narrow, __builtin_cpu_supports("avx2") ? wide : NULL };
}
#else
bool redact_trigger(struct view bytes)
{
	return narrow(bytes);
}

struct redact_trigger_ways redact_trigger_ways(void)
{
	return (struct redact_trigger_ways){ plain, narrow, NULL };
}
#endif
