#pragma once
/*
 * files -- how commands read FILE... or standard input: event by event, with progress on a terminal.
 *
 * Broken lines are told on stderr (FILE:LINE: why) and counted; they do not end the others. EventLists are read as their
 * completed items, wrappers of other clouds as what they hold (event/unwrap.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/event/event.h"

struct files_result {
	uint64_t events, broken; /* broken: lines that are no event */
	bool failed;             /* a file could not be read; said on stderr */
};

/*
 * Calls `visit` for each event of argv[0 .. n-1] (n == 0: standard input), in order. The event is valid during the call.
 * `visit` returns false to end early (a write error on stdout).
 */
struct files_result files_visit(char *const *paths, int n, bool (*visit)(void *context, const struct event *), void *context);
