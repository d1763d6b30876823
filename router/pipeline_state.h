#pragma once
/* pipeline_state -- what pipeline.c and summary.c share; private to this folder. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "config/config.h"
#include "router/input/input.h"
#include "router/lane/checkpoint.h"
#include "router/lane/lane.h"
#include "router/lane/ledger.h"
#include "router/lane/progress.h"
#include "router/route.h"

struct commits;
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
	char **states;       /* that a start made of what was committed and of the checkpoint */
	size_t n_states;
	_Atomic uint64_t others_durable; /* all before it is, for the lanes that are in no transaction (commits.h) */
	struct ledger_lane *synced; /* by lane: how far it had come when all of that was last durable */
};

/* How far an input is safe, at one moment. */
struct settlement {
	uint64_t position;
	struct ledger_lane *lanes; /* by lane number */
};

struct pipeline {
	const struct config *config;
	bool once;
	struct budget *budget;
	struct spool_total spool_total;
	struct routing routing;
	struct lane **lanes;              /* by lane number */
	bool *abandoned;                  /* by lane number: made no progress for once_wait */
	unsigned n_lanes;
	unsigned *leaders;                /* by lane number: of its group */
	struct commits **commits;         /* by output; NULL: it is not exactly-once */
	char *instance;                   /* NULL: no output needs it */
	struct dead_letters **dead;       /* by output */
	struct checkpoint *checkpoint;
	struct progress *progress;        /* NULL: none can be had */
	struct progress_past *past;       /* of a run that was killed; until the lanes are open */
	bool written;                     /* the last settlement is in the checkpoint */
	struct checkpoint_totals *totals_before; /* by lane: of earlier runs */
	struct pipeline_input *inputs;
	_Atomic bool told;                /* something stands in news_fd, or is about to */
	int news_fd;                      /* eventfd: an input ended, or a position moved */
	int signal_fd;
	sigset_t signals_before;
	int64_t started_ms;
	int64_t settle_due_ms;
	int64_t prompt_due_ms;            /* when inputs with `prompt` may be told again */
	_Atomic bool running;             /* all was started */
	_Atomic bool failed;              /* an exactly-once output cannot go on */
	_Atomic bool commits_wanted;      /* main is asked for what is durable */
	bool wrong;                       /* something besides the counters makes the exit code 1 */
};

/* settle.c: tells inputs and checkpoint how far everything is safe: at once; when it is time, since what was delivered meanwhile comes again after a crash. */
void settle_all(struct pipeline *);
void settle_if_due(struct pipeline *);
/* The same in a hurry, for inputs whose clients wait, and for transactions that do; nothing is written down. */
void settle_prompt(struct pipeline *);
void settle_commits(struct pipeline *);
/*
 * Between two of these: what the last took, at most this. One sync serves all that came meanwhile, and where nothing is to be
 * synced nobody waits.
 */
enum { SETTLE_PROMPT_MS = 10 };

/* reload.c: SIGHUP. What is wrong with the file is said, and then all stays as it was. */
void pipeline_reload(struct pipeline *);

/*
 * resume_progress.c: after a kill -9 brings the checkpoint up to what the progress says; then begins this run, in both. Before
 * the first lane is opened.
 */
void resume_begin(struct pipeline *);
/* Up to where the spool of this lane is delivered; 0: it knows best itself. */
uint64_t resume_spool(const struct pipeline *, const struct plan_lane *);
/* All is over and in the checkpoint: the next start needs no progress. */
void resume_end(struct pipeline *);

/* resume.c: what a start takes from the checkpoint, and what is put there. */
void resume_totals(struct pipeline *);
/* Fills in where the input goes on; the lane states are borrowed, the array is the caller's to free. */
int resume_input(struct pipeline *, struct pipeline_input *, struct input_options *, const char ***ret_states, struct err *);
void checkpoint_inputs(struct pipeline *, const struct settlement *);

/* One logfmt line a lane, of all runs: received = delivered + dropped + dead + held. To stderr. */
void accounts_print(const struct pipeline *);
/* A line on the terminal while it runs; nothing where stderr is no terminal. */
void progress_show(struct pipeline *);
void progress_clear(struct pipeline *);
