#pragma once
/* pipeline_state -- what pipeline.c and summary.c share; private to this folder. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "config/config.h"
#include "router/input/input.h"
#include "router/lane/lane.h"
#include "router/route.h"

struct dead_letters;

struct pipeline_input {
	struct pipeline *pipeline;
	const struct config_input *config;
	struct feed *feed;
	struct input *input;
	pthread_t thread;
	bool started;
	_Atomic bool ended;
	uint64_t settled;    /* what settled() was last told */
};

struct pipeline {
	const struct config *config;
	bool once;
	struct budget *budget;
	struct routing routing;
	struct lane **lanes;              /* by lane number */
	bool *abandoned;                  /* by lane number: made no progress for once_wait */
	unsigned n_lanes;
	struct dead_letters **dead;       /* by output */
	struct pipeline_input *inputs;
	int news_fd;                      /* eventfd: an input ended, or a position moved */
	int signal_fd;
	sigset_t signals_before;
	int64_t started_ms;
	bool wrong;                       /* something besides the counters makes the exit code 1 */
};

/* A line on the terminal while it runs; nothing where stderr is no terminal. */
void progress_show(struct pipeline *);
void progress_clear(struct pipeline *);
