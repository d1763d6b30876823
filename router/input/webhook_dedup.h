#pragma once
/*
 * webhook_dedup -- which events of a webhook came already: kube-apiserver posts a whole batch again when the answer to it
 * was late or lost.
 *
 * An event is known by a 128-bit hash of its bytes, made of SipHashes under a key drawn at start, so that no client can make
 * two events look alike. Not by auditID: a client may choose that (the Audit-ID header), and one request has several events under it.
 * Within one body every copy counts: an event that stands in it twice is delivered twice, and neither once more when the
 * body is posted again.
 *
 * Memory:  45 bytes an event, its bucket included, at most events_max of them, the oldest going first; kept for window_ms.
 * Threads: one owner.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/view.h"

struct webhook_dedup;

enum { DEDUP_BATCH = 16, EVENT_HASH_MIN = 256, EVENT_HASH_LANES = 4 };

struct dedup_entry {
	uint64_t hash[2];
	int64_t since_ms;
	uint32_t body;      /* the last one that had it */
	uint16_t in_body;   /* copies in that one so far */
	uint16_t delivered; /* copies that went on */
	uint32_t next;      /* in its bucket */
	bool broken;        /* it was no event */
};

struct webhook_dedup *dedup_create(uint32_t events_max, int64_t window_ms);
void dedup_destroy(struct webhook_dedup *); /* NULL is fine */

/*
 * The event as it stands in body number `body`. True: it went on already. The entry, never NULL, is valid until the next
 * call.
 */
bool dedup_seen(struct webhook_dedup *, struct view event, uint32_t body, int64_t now_ms, struct dedup_entry **ret_entry);
/*
 * The same in two steps, for up to DEDUP_BATCH events: their hashes, and what is looked up under them on its way into the
 * cache; then one by one.
 */
void dedup_hash(struct webhook_dedup *, const struct view *events, size_t n, uint64_t (*ret_hashes)[2]);
bool dedup_seen_hash(struct webhook_dedup *, const uint64_t hash[2], uint32_t body, int64_t now_ms, struct dedup_entry **ret_entry);
/* The entry of an event that dedup_seen was asked for; NULL: forgotten meanwhile. */
struct dedup_entry *dedup_find(struct webhook_dedup *, struct view event);

/* SipHash-1-3 with an output of 128 bits. */
void siphash128(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2]);
/*
 * What an event is known by. From EVENT_HASH_MIN bytes on: EVENT_HASH_LANES SipHashes of 256 bits of state side by side, each
 * of every fourth word of 8 bytes, and the siphash128 of all their states and the bytes that are no whole stripe.
 */
void event_hash(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2]);
/* The same without what only some processors have. */
void event_hash_plain(const uint64_t key[2], struct view bytes, uint64_t ret_hash[2]);
