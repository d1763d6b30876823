#pragma once
/*
 * redact_scan -- private to redact: the next place where two bytes stand at a distance, which is rare if they are well
 * chosen. Sixteen places at a time, in the compiler's vectors (SSE2, NEON, or what the machine has).
 */
#include <stdint.h>
#include <string.h>

#include "router/base/view.h"

typedef uint8_t scan_bytes __attribute__((vector_size(16)));

static inline scan_bytes scan_load(const char *at)
{
	scan_bytes bytes;
	memcpy(&bytes, at, sizeof bytes);
	return bytes;
}

static inline bool scan_any(scan_bytes hits)
{
	uint64_t halves[2];
	memcpy(halves, &hits, sizeof halves);
	return (halves[0] | halves[1]) != 0;
}

/* The first place of a hit; there is one. Hits are bytes of 0xff among zeros. */
static inline unsigned scan_first(scan_bytes hits)
{
	uint64_t halves[2];
	memcpy(halves, &hits, sizeof halves);
	uint64_t half = halves[0] ? halves[0] : halves[1];
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	unsigned bits = (unsigned)__builtin_ctzll(half);
#else
	unsigned bits = (unsigned)__builtin_clzll(half);
#endif
	return (halves[0] ? 0 : 8) + bits / 8;
}

/*
 * The first p in at..end with p[0] == first and p[distance] == second, after `fold` (0, or 0x20: letters of both cases) was
 * set in both. NULL: none.
 */
static inline const char *scan_pair(const char *at, const char *end, char first, unsigned distance, char second, uint8_t fold)
{
	enum { STEP = sizeof(scan_bytes), BLOCK = 4 * STEP };
	const scan_bytes folds = (scan_bytes){ 0 } + fold, ones = (scan_bytes){ 0 } + (uint8_t)first,
			 twos = (scan_bytes){ 0 } + (uint8_t)second;
	while (end - at >= (ptrdiff_t)(BLOCK + distance)) {
		scan_bytes hits = { 0 };
		for (unsigned i = 0; i < BLOCK; i += STEP)
			hits |= (scan_bytes)((scan_load(at + i) | folds) == ones) &
				(scan_bytes)((scan_load(at + distance + i) | folds) == twos);
		if (scan_any(hits))
			break;
		at += BLOCK;
	}
	for (; end - at >= (ptrdiff_t)(STEP + distance); at += STEP) {
		scan_bytes hits = (scan_bytes)((scan_load(at) | folds) == ones) &
				  (scan_bytes)((scan_load(at + distance) | folds) == twos);
		if (scan_any(hits))
			return at + scan_first(hits);
	}
	for (; end - at > (ptrdiff_t)distance; at++)
		if (((uint8_t)*at | fold) == (uint8_t)first && ((uint8_t)at[distance] | fold) == (uint8_t)second)
			return at;
	return NULL;
}
