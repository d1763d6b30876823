#pragma once
/*
 * pipeline -- the running router: inputs, lanes, and what main does between them.
 *
 * pipeline_start opens everything and starts the threads; pipeline_run_once / pipeline_run wait; pipeline_end stops and
 * frees. The way of an event (route.c) is decode, classify, data_access, and then lane by lane; it runs in the input's
 * thread and has no allocation, lock or log an event.
 *
 * Threads: all functions by main.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "router/base/err.h"

struct pipeline;

enum pipeline_result {
	PIPELINE_DONE,   /* all delivered, or dropped by rule */
	PIPELINE_WRONG,  /* something was dead-lettered, refused, unreadable or left */
};

int pipeline_start(struct pipeline **ret_pipeline, const struct config *, bool once, struct err *);
/* Until every input is at its end and all is delivered, a lane is stuck for once_wait, or SIGTERM or SIGINT came. */
enum pipeline_result pipeline_run_once(struct pipeline *);
/* Until SIGTERM or SIGINT. */
enum pipeline_result pipeline_run(struct pipeline *);
/* The table of classes: events, bytes, where to, free or billed; drops by rule; dead letters. To stderr. */
void pipeline_print_table(const struct pipeline *);
void pipeline_end(struct pipeline *);
