/*
 * Entries stand in a ring in the order of their first coming, so that the oldest is always at its tail; buckets chain them
 * by hash. Both are taken whole at the start and touched only as far as they are used.
 */
#include "router/input/webhook_dedup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "router/base/buf.h"

struct webhook_dedup {
	uint64_t key[2];
	uint32_t room, first, n; /* entries: a ring */
	int64_t window_ms;
	uint32_t bucket_mask;
	uint32_t *buckets;       /* 1 + index of an entry; 0: none */
	struct dedup_entry *entries;
};

/* ---- SipHash ---- */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static uint64_t sip_end(struct sip *s)
{
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static void sip_start(struct sip *s, const uint64_t key[2])
{
	s->v0 = key[0] ^ 0x736f6d6570736575ull;
	s->v1 = key[1] ^ 0x646f72616e646f6dull ^ 0xee;
	s->v2 = key[0] ^ 0x6c7967656e657261ull;
	s->v3 = key[1] ^ 0x7465646279746573ull;
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* The last bytes, with those before them `total`. */
static void sip_last(struct sip *s, struct view bytes, uint64_t total, uint64_t ret_hash[2])
{
	uint64_t word;
	size_t whole = bytes.len & ~(size_t)7;
	for (size_t i = 0; i < whole; i += sizeof word) {
		memcpy(&word, bytes.ptr + i, sizeof word);
		sip_word(s, word);
	}
	word = 0;
	if (bytes.len > whole)
		memcpy(&word, bytes.ptr + whole, bytes.len - whole);
	sip_word(s, word | total << 56);
	s->v2 ^= 0xee;
	ret_hash[0] = sip_end(s);
	s->v1 ^= 0xdd;
	ret_hash[1] = sip_end(s);
}

void siphash128(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2])
{
	struct sip s;
	sip_start(&s, key);
	sip_last(&s, bytes, bytes.len, ret_hash);
}

/* ---- four of them side by side ---- */

typedef uint64_t lanes __attribute__((vector_size(EVENT_HASH_LANES * sizeof(uint64_t))));

struct lanes_state {
	lanes v0, v1, v2, v3;
};

/* Each lane takes every fourth word; all that they are then is hashed with what is left of the bytes. */
static inline __attribute__((always_inline)) void hash_lanes(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2])
{
	struct lanes_state s;
	struct sip sip;
	sip_start(&sip, key);
	s.v0 = sip.v0 ^ (lanes){ 1, 2, 3, 4 };
	s.v1 = sip.v1 ^ (lanes){ 0 };
	s.v2 = sip.v2 ^ (lanes){ 0 };
	s.v3 = sip.v3 ^ (lanes){ 0 };
	size_t whole = bytes.len & ~(sizeof(lanes) - 1);
	for (size_t i = 0; i < whole; i += sizeof(lanes)) {
		lanes word;
		memcpy(&word, bytes.ptr + i, sizeof word);
		s.v3 ^= word;
		s.v0 += s.v1;
		s.v2 += s.v3;
		s.v1 = (s.v1 << 13 | s.v1 >> 51) ^ s.v0;
		s.v3 = (s.v3 << 16 | s.v3 >> 48) ^ s.v2;
		s.v0 = s.v0 << 32 | s.v0 >> 32;
		s.v2 += s.v1;
		s.v0 += s.v3;
		s.v1 = (s.v1 << 17 | s.v1 >> 47) ^ s.v2;
		s.v3 = (s.v3 << 21 | s.v3 >> 43) ^ s.v0;
		s.v2 = s.v2 << 32 | s.v2 >> 32;
		s.v0 ^= word;
	}
	uint64_t words[sizeof s / sizeof(uint64_t)];
	memcpy(words, &s, sizeof s);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		sip_word(&sip, words[i]);
	sip_last(&sip, (struct view){ bytes.ptr + whole, bytes.len - whole }, bytes.len, ret_hash);
}

void event_hash_plain(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2])
{
	if (bytes.len < EVENT_HASH_MIN)
		siphash128(key, bytes, ret_hash);
	else
		hash_lanes(key, bytes, ret_hash);
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void hash_wide(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2])
{
	hash_lanes(key, bytes, ret_hash);
}
#endif

void event_hash(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2])
{
#if defined(__x86_64__)
	if (bytes.len >= EVENT_HASH_MIN && __builtin_cpu_supports("avx2")) {
		hash_wide(key, bytes, ret_hash);
		return;
	}
#endif
	event_hash_plain(key, bytes, ret_hash);
}

/* ---- the window ---- */

struct webhook_dedup *dedup_create(uint32_t events_max, int64_t window_ms)
{
	struct webhook_dedup *d = mem_zero(1, sizeof *d);
	uint32_t buckets = 16;
	assert(events_max > 0 && events_max < UINT32_MAX / 4);
	while (buckets < events_max)
		buckets *= 2;
	d->room = events_max;
	d->window_ms = window_ms;
	d->bucket_mask = buckets - 1;
	d->buckets = mem_zero(buckets, sizeof *d->buckets);
	d->entries = mem_zero(events_max, sizeof *d->entries);
	/* Asked for so few bytes the kernel answers whole, once it has any at all; then it waits. */
	ssize_t got = getrandom(d->key, sizeof d->key, 0);
	assert(got == (ssize_t)sizeof d->key);
	return d;
}

void dedup_destroy(struct webhook_dedup *d)
{
	if (!d)
		return;
	free(d->buckets);
	free(d->entries);
	free(d);
}

static uint32_t *bucket_of(struct webhook_dedup *d, const struct dedup_entry *e)
{
	return &d->buckets[(uint32_t)e->hash[0] & d->bucket_mask];
}

static void forget_oldest(struct webhook_dedup *d)
{
	struct dedup_entry *oldest = &d->entries[d->first];
	uint32_t *link = bucket_of(d, oldest);
	while (*link != d->first + 1)
		link = &d->entries[*link - 1].next;
	*link = oldest->next;
	d->first = (d->first + 1) % d->room;
	d->n--;
}

static struct dedup_entry *find(struct webhook_dedup *d, const uint64_t hash[2])
{
	for (uint32_t i = d->buckets[(uint32_t)hash[0] & d->bucket_mask]; i; i = d->entries[i - 1].next) {
		struct dedup_entry *e = &d->entries[i - 1];
		if (e->hash[0] == hash[0] && e->hash[1] == hash[1])
			return e;
	}
	return NULL;
}

static struct dedup_entry *add(struct webhook_dedup *d, const uint64_t hash[2], int64_t now_ms)
{
	if (d->n == d->room)
		forget_oldest(d);
	uint32_t at = (d->first + d->n) % d->room;
	struct dedup_entry *e = &d->entries[at];
	*e = (struct dedup_entry){ .hash = { hash[0], hash[1] }, .since_ms = now_ms };
	uint32_t *bucket = bucket_of(d, e);
	e->next = *bucket;
	*bucket = at + 1;
	d->n++;
	return e;
}

void dedup_hash(struct webhook_dedup *d, const struct view *events, size_t n, uint64_t (*ret_hashes)[2])
{
	assert(n <= DEDUP_BATCH);
	for (size_t i = 0; i < n; i++) {
		event_hash(d->key, events[i], ret_hashes[i]);
		__builtin_prefetch(&d->buckets[(uint32_t)ret_hashes[i][0] & d->bucket_mask]);
		if (d->n == d->room) /* each may push one out */
			__builtin_prefetch(bucket_of(d, &d->entries[(d->first + i) % d->room]));
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t at = d->buckets[(uint32_t)ret_hashes[i][0] & d->bucket_mask];
		if (at)
			__builtin_prefetch(&d->entries[at - 1]);
		at = d->n == d->room ? *bucket_of(d, &d->entries[(d->first + i) % d->room]) : 0;
		if (at)
			__builtin_prefetch(&d->entries[at - 1]);
	}
}

bool dedup_seen_hash(struct webhook_dedup *d, const uint64_t hash[2], uint32_t body, int64_t now_ms, struct dedup_entry **ret_entry)
{
	while (d->n && now_ms - d->entries[d->first].since_ms >= d->window_ms)
		forget_oldest(d);
	struct dedup_entry *e = find(d, hash);
	if (!e)
		e = add(d, hash, now_ms);
	*ret_entry = e;
	if (e->body != body) {
		e->body = body;
		e->in_body = 0;
	}
	if (e->in_body < e->delivered) {
		e->in_body++;
		return true;
	}
	if (e->delivered < UINT16_MAX)
		e->in_body = ++e->delivered;
	return false;
}

bool dedup_seen(struct webhook_dedup *d, struct view event, uint32_t body, int64_t now_ms, struct dedup_entry **ret_entry)
{
	uint64_t hash[2];
	event_hash(d->key, event, hash);
	return dedup_seen_hash(d, hash, body, now_ms, ret_entry);
}

struct dedup_entry *dedup_find(struct webhook_dedup *d, struct view event)
{
	uint64_t hash[2];
	event_hash(d->key, event, hash);
	return find(d, hash);
}
