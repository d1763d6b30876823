#pragma once
/*
 * value_map -- texts to sets of terms: one dimension of a matcher. Private to router/match.
 *
 * Open addressing, at most half full; keys and sets are the map's own. Filled once by value_map_set, then only read.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "router/base/view.h"

struct value_slot {
	uint64_t hash;
	const char *key; /* NULL: free */
	uint32_t len;
	uint32_t row;
};

struct value_map {
	struct value_slot *slots;
	uint64_t *rows; /* n sets of `words` words each */
	uint32_t mask;  /* slots less one; 0: no slots */
	uint32_t n, room;
	uint32_t words;
	uint32_t len_max; /* of any key: what is longer is not hashed */
	uint64_t lens;    /* bit i: some key has i bytes; bit 63: 63 or more */
	size_t bytes;     /* allocated */
	bool full;        /* a set was left out, since bytes is past bytes_max */
};

/* `words` must be set before. */
void value_map_set(struct value_map *, struct view key, uint32_t term, size_t bytes_max);
void value_map_set_all(struct value_map *, const uint64_t *open);       /* adds `open` to every set */
void value_map_finish(struct value_map *);

static inline uint64_t value_load(const char *at, size_t bytes)
{
	uint64_t v = 0;
	memcpy(&v, at, bytes);
	return v;
}

static inline uint64_t value_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

/* Up to 8 bytes two different texts of one length never have one hash: every step is a bijection. */
static inline uint64_t value_hash(struct view key)
{
	const char *at = key.ptr;
	size_t left = key.len;
	uint64_t h = 0x2545f4914f6cdd1du + left;
	if (left >= 8) {
		for (; left > 8; left -= 8, at += 8)
			h = value_mix(h, value_load(at, 8));
		return value_mix(h, value_load(at + left - 8, 8));
	}
	if (left >= 4)
		return value_mix(h, value_load(at, 4) | value_load(at + left - 4, 4) << 32);
	if (left)
		return value_mix(h, (uint64_t)(unsigned char)at[0] | (uint64_t)(unsigned char)at[left / 2] << 8 |
					    (uint64_t)(unsigned char)at[left - 1] << 16);
	return h;
}

/* For texts of one length and one hash. */
static inline bool value_same(const char *a, const char *b, size_t len)
{
	if (len <= 8)
		return true;
	for (size_t i = 0; i + 8 < len; i += 8)
		if (value_load(a + i, 8) != value_load(b + i, 8))
			return false;
	return value_load(a + len - 8, 8) == value_load(b + len - 8, 8);
}

/* The set of that key, or NULL. */
static inline const uint64_t *value_map_find(const struct value_map *m, struct view key)
{
	if (key.len > m->len_max || !(m->lens >> (key.len < 63 ? key.len : 63) & 1))
		return NULL;
	uint64_t hash = value_hash(key);
	for (uint32_t i = (uint32_t)hash & m->mask;; i = (i + 1) & m->mask) {
		const struct value_slot *s = &m->slots[i];
		if (!s->key)
			return NULL;
		if (s->hash == hash && s->len == key.len && value_same(s->key, key.ptr, key.len))
			return m->rows + (size_t)s->row * m->words;
	}
}
