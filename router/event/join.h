#pragma once
/*
 * join -- the parts of log entries that Cloud Logging has split, kept until all of them are there.
 *
 * An entry that is too long for Cloud Logging is split: every part is a LogEntry of its own, with all fields but pieces of request,
 * response and metadata alike, and split.uid, index and totalSplits (cloud.google.com/logging/docs/audit/split-logs). Putting
 * the pieces together would make bytes that nobody wrote; what is joined here is the way they go: side by side, in order, as one, each
 * with the bytes that it came with. A reader joins them with one look ahead.
 *
 * Parts may come in any order, far apart, twice (both are kept), or never. What is waited for is bounded in parts, bytes, lines
 * and time; a group that is over it is given back as far as it came, the oldest first.
 *
 * Pure: time and lines are the caller's. Memory: what is held, at most bytes_max and parts_max of it, and as much again of the last
 * part. Threads: one owner.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/view.h"
#include "router/event/log_entry.h"

struct join;

enum { JOIN_UID_MAX = 256 };

struct join_limits {
	uint32_t parts_max;
	uint64_t bytes_max;
	uint64_t lines_max; /* that come after a group's first part */
	int64_t wait_ms;    /* after it */
};

struct join_part {
	struct join_part *next;
	uint32_t index;
	struct view bytes;
	void *tag; /* the caller's, from mem_alloc: join_group_free frees it */
	char room[];
};

struct join_group {
	struct join_group *next;
	struct join_part *parts, *last; /* in order; of one index as they came */
	uint32_t n, distinct, total;    /* complete: distinct == total */
	uint64_t bytes, hash, line;
	int64_t since_ms;
	struct view uid;
	char room[];
};

struct join *join_create(const struct join_limits *);
void join_destroy(struct join *); /* NULL is fine; what it holds goes with it */

/* May it be waited for at all? */
bool join_can(const struct join *, const struct log_entry_split *, size_t bytes);
/*
 * Takes a part (join_can) and the tag; the bytes are copied. Returns the group that it completes, which is the caller's now, or
 * NULL. join_due should be asked after.
 */
struct join_group *join_add(struct join *, const struct log_entry_split *, struct view bytes, void *tag, uint64_t line, int64_t now_ms);
/* The oldest group, where it or all together are over a limit, or with `all`: the caller's now. NULL: none is. */
struct join_group *join_due(struct join *, uint64_t line, int64_t now_ms, bool all);
/* Parts that are held. */
uint64_t join_parts(const struct join *);
/* How long until time alone makes one due; -1: nothing is held. */
int64_t join_wait_ms(const struct join *, int64_t now_ms);
void join_group_free(struct join_group *);
