#pragma once
/* route_private -- what route.c and route_join.c share; private to this folder. */
#include "router/route.h"

/* A span: what is routed between the two. `end` is its position in the source. -ESHUTDOWN: stopping; the span is over all the same. */
void span_begin(struct feed *, struct chunk *, uint64_t start); /* position where it starts */
int span_end(struct feed *, uint64_t end);

/* Classifies (unless `given` says what it is), filters and redacts it, and adds it to the lanes' batches. */
struct verdict route_event(struct feed *, const struct event *, const struct verdict *given);

/* A part of a log entry: kept until the others are there, or routed. */
void route_part(struct feed *, const struct event *, const struct log_entry_split *);
/* Lets go what is held for too long already. In a span; in one of another cluster than the input's own it does nothing. */
void route_due(struct feed *);
void join_start(struct feed *);
void join_end(struct feed *);
