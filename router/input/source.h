#pragma once
/*
 * source -- what file and stdin inputs have in common: feed the lines of a reader, stop when told to.
 *
 * Positions: unpacked bytes of all sources so far, on from where the last run ended, so they never step back.
 * Threads:   source_feed, source_read and source_wait by the input's thread; source_stop by any; source_progress by any.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/input/input.h"
#include "router/input/lines.h"

struct reader;

struct source {
	struct input_options options;
	int stop_fd;          /* an eventfd: readable once source_stop was called */
	uint64_t position;
	uint64_t packed_before; /* packed bytes of the sources that were read to their ends */
	_Atomic uint64_t done, total; /* packed bytes, for progress; total 0: unknown */
};

int source_init(struct source *, const struct input_options *, struct err *);
void source_finish(struct source *);

/*
 * Feeds the lines of `reader` from where it stands to its end, and moves origin's offset and line number on, chunk by chunk.
 * LINES_END, LINES_STOPPED, or LINES_FAILED, which was told to feed_trouble.
 */
enum lines_result source_feed(struct source *, struct reader *, enum lines_hold, struct feed_origin *origin);
/* Reads `path` ("-": standard input) and feeds it. What is wrong with it is told to feed_trouble. False: stopped. */
bool source_read(struct source *, const char *path);
/* Tells feed_trouble. */
void source_trouble(struct source *, const struct err *);
/* Until source_stop. */
void source_wait(struct source *);
bool source_stopped(const struct source *);
void source_stop(struct source *);
void source_progress(const struct source *, uint64_t *ret_done, uint64_t *ret_total);
