#pragma once
/*
 * source -- what file and stdin inputs have in common: read named sources one after the other to their ends, feed their
 * lines, stop when told to.
 *
 * Positions: unpacked bytes of all sources so far, so they never step back within a run.
 * Threads:   source_read and source_wait by the input's thread; source_stop by any; source_progress by any.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/input/input.h"

struct source {
	struct input_options options;
	int stop_fd;          /* an eventfd: readable once source_stop was called */
	uint64_t position;
	uint64_t packed_before; /* packed bytes of the sources that were read to their ends */
	_Atomic uint64_t done, total; /* packed bytes, for progress; total 0: unknown */
};

int source_init(struct source *, const struct input_options *, struct err *);
void source_finish(struct source *);

/* Reads `path` ("-": standard input) and feeds it. What is wrong with it is told to feed_trouble. False: stopped. */
bool source_read(struct source *, const char *path);
/* Until source_stop. */
void source_wait(struct source *);
bool source_stopped(const struct source *);
void source_stop(struct source *);
void source_progress(const struct source *, uint64_t *ret_done, uint64_t *ret_total);
