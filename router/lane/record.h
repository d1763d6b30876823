#pragma once
/*
 * record -- what a record carries of its event beside the bytes: its time, and the key that the output asked for.
 *
 * Filled in by whoever adds the record: the route, or the backlog when an event comes back from the spool.
 * Pure but for the batch's arena.
 */
#include "router/event/event.h"
#include "router/lane/batch.h"
#include "router/match/matcher.h"
#include "router/output/output.h"

/* Sets received_us and key. Keys that do not lie in the event's own bytes are copied into the batch's arena. */
void record_fill(struct batch *, struct record *, const struct event *, const struct attributes *, enum record_key);
