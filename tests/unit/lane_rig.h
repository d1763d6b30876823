#pragma once
/*
 * lane_rig -- a lane with a sink of the test's own: what it takes, when, and in which order outcomes come is the test's to say.
 *
 * Threads: the sink runs in the lane's worker; the rest is the test's.
 */
#include "tests/unit/cm.h"

#include <stdatomic.h>

#include "config/config.h"
#include "router/lane/dead_letters.h"
#include "router/lane/lane.h"
#include "router/lane/ledger.h"

/* What the test tells its sink to do; read by the worker. */
extern struct play {
	_Atomic bool blocked;      /* takes nothing */
	_Atomic bool refuse;       /* refuses instead of delivering */
	_Atomic bool late;         /* takes a batch, and tells its outcomes only when the test no longer says so */
	_Atomic bool sleeps;       /* waits for as long as the lane says, and does not look what the test says */
	_Atomic uint32_t at_once;  /* most records a put takes */
	_Atomic int pause_ms;      /* how long a put takes */
	_Atomic uint64_t stop_at;  /* takes nothing once it took so many; 0: goes on */
	_Atomic bool stopped;      /* it did, and all outcomes so far were told */
	_Atomic int wait_ms;       /* how long the lane said last */
	_Atomic unsigned waits;    /* how often it waited */
	_Atomic uint64_t taken;
	_Atomic uint64_t flushed;
	char order[4096];          /* first byte of each record, as delivered */
	uint64_t numbers[4096];    /* and its sequence number */
} play;

struct rig {
	struct config config;
	struct config_output output;
	struct budget *budget;
	struct dead_letters *dead;
	struct ledger *ledger;
	struct lane *lane;
	struct patience patience;
	uint64_t next_seq;         /* of the next event that is pushed */
	const uint32_t *ends;      /* of the records that are pushed; NULL: they have none */
	bool main_away;            /* nobody makes durable what was delivered; else rig_wait does, as main */
	char folder[64];
	char spool[80];
};

/* Without a spool, or with one of at most spool_max bytes; `share` is of its queue. */
void rig_setup(struct rig *, uint64_t share, int guarantee);
void rig_setup_spool(struct rig *, uint64_t share, int guarantee, uint64_t spool_max);
/* The lane alone, once more. */
void rig_start(struct rig *, uint64_t share);
void rig_teardown(struct rig *);

/* A batch of records that each are one character of `text`, in a span of its own, with a chunk of 100 bytes behind it. */
int rig_push(struct rig *, const char *text);
/* The same with one misfit behind the records; text may be "". */
int rig_push_misfit(struct rig *, const char *text, const char *misfit);

/* Fails after two minutes. */
void rig_wait(bool (*done)(struct rig *), struct rig *);
bool rig_idle(struct rig *);
bool rig_settled(struct rig *);
bool rig_full(struct rig *); /* its trouble is that the spool is */
