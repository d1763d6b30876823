#pragma once
/* route_private -- what route.c, route_join.c and route_ahead.c share; private to this folder. */
#include "router/route.h"

/* The plan as it is now; the caller releases it. */
struct plan *route_plan(struct routing *);
/*
 * A span of what is sorted between the two. `end` is its position in the source. -ESHUTDOWN: stopping, or given up; the span is over
 * all the same.
 */
void span_begin(struct feed *, struct chunk *, uint64_t start); /* position where it starts */
int span_end(struct feed *, uint64_t end);
/* A span of a stretch that was sorted before: all of it before `end`, on from where the last one ended. */
int span_of(struct feed *, struct stretch *, uint64_t end);
/* feed_chunk, by who has the feed's mutex. */
int64_t route_lines(struct feed *, struct chunk *, struct view bytes, uint64_t end, const struct feed_origin *);

/* A part of a log entry: kept until the others are there, or routed. */
void route_part(struct feed *, const struct event *, const struct log_entry_split *);
/* Lets go what is held for too long already. In a span; in one of another cluster than the input's own it does nothing. */
void route_due(struct feed *);
bool join_holds(struct feed *); /* Is any part held? The input's thread. */
void join_start(struct feed *);
void join_end(struct feed *);

void ahead_destroy(struct ahead *); /* ends its thread; NULL is fine */
