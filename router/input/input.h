#pragma once
/*
 * input -- a kind of source of events. Each is one file of this folder with one `const struct input_ops`, and one row of
 * registry.c.
 *
 * An input reads bytes into chunks and hands them to its feed, span by span, in the order of the source. It learns
 * through settled() how far everything is safe, and does what its protocol means by it: file: checkpoint; Kafka: commit;
 * webhook: answer 200. It decides nothing about events.
 *
 * Threads: run() has a thread of its own; stop() and settled() are called by main while it runs.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/err.h"
#include "router/base/view.h"

struct budget;
struct chunk;
struct commit_point;
struct config;
struct config_input;
struct feed;
struct input;

struct input_options {
	const struct config *config;
	const struct config_input *input; /* ->own is the struct of the ops' settings */
	struct budget *budget;
	struct feed *feed;
	bool once; /* end at the end of what is there now */
	bool exactly_once; /* some output is: it commits how far this input has come, with commit_point or state */

	/* From the checkpoint: what ops->state gave for the settled position, which positions go on from. NULL: a first start. */
	const char *state;
	uint64_t position;
	/* By lane: the same for a lane that is ahead of the input; NULL: it is not. Valid during open(). */
	const char *const *lane_states;
	/* By lane: the name of its output. Valid during open(). */
	const char *const *lane_outputs;
	unsigned n_lanes;
};

/*
 * What is known of one lane's way through an input, from two places. Both say the truth, of which the further one counts: all
 * that one of them calls settled is settled. What the output kept may be of a state_dir that was lost; its numbers of files
 * then mean nothing here.
 */
struct input_merge {
	const char *committed;     /* the state that the output kept; NULL: it kept nothing, and the rest is what is known */
	bool same_line;            /* that was made with this state_dir: its numbers are the same */
	const char *mine;          /* the lane's state in the checkpoint; NULL: none */
	const char *const *known;  /* all states that the checkpoint has of the input, and those merged before for other lanes */
	size_t n_known;
};

/* What an input left of itself at a position (feed_mark). */
struct input_mark {
	uint64_t position;
	struct view text; /* absent: it was too long to be kept */
};

struct input_ops {
	const char *name; /* as in `type:` */
	const char *help;
	const struct section *settings;
	bool never_ends;  /* run --once refuses it (webhook) */
	bool epochs;      /* its positions begin anew with each start: sequence numbers carry an epoch (seq.h); has no state() */
	bool prompt;      /* settled() is called within milliseconds: somebody waits for it (webhook) */

	/* Optional. Cold, opens nothing. */
	void (*check)(struct settings_reader *, const struct config *, const struct config_input *,
		const struct node *map);
	/* Mandatory. Main's thread. */
	int (*open)(struct input **ret_input, const struct input_options *, struct err *);
	/*
	 * Mandatory. Its own thread: reads and feeds until the end (once) or stop(). What was wrong with single sources (an
	 * unreadable file among many) is told to feed_trouble and does not end the others.
	 */
	void (*run)(struct input *);
	/*
	 * Mandatory. Any thread: run() returns soon, even out of a wait. Called once more when shutdown_wait is over: an input that
	 * still waits to hear what became of its bytes gives that up then.
	 */
	void (*stop)(struct input *);
	/* Optional. Main's thread: all before `position` is delivered, dead-lettered, dropped by rule or spooled. */
	void (*settled)(struct input *, uint64_t position);
	/*
	 * Optional. Main's thread: JSON text that says what the source looks like at `position`, so that the next start can go on
	 * from there (the caller frees). Asked for positions of spans between the last settled one and what was fed. `lane` < 0: for
	 * all of the input; else for this lane, which may have more from before the start (lane_skip). NULL: this input has nothing
	 * to remember.
	 */
	char *(*state)(struct input *, uint64_t position, int lane);
	/*
	 * Optional, with `state`: where a lane goes on whose output keeps the lane's state in its own transactions. See input_merge.
	 * The caller frees. NULL with *err: what was committed cannot be read.
	 */
	char *(*merge)(const struct input_merge *, struct err *);
	/* Optional, with `state`: the same state less so many of what it can best do without, oldest first. The caller frees. */
	char *(*shorten)(const char *state, unsigned n);
	/*
	 * Optional. Any lane's worker, until close(): what an exactly-once output commits when all before `from`, the end of a span, is
	 * in its transaction, and all before `to` may be: offsets and the group's metadata, for the last position between that they
	 * can be said for (ret_point->position). Then the input never commits by itself (input_options.exactly_once), and run()
	 * gives partitions back only when what it fed of them is settled. -ERANGE: there is no such position. -ESTALE: some of the
	 * partitions are no longer this member's. -EAGAIN: it is in no group now.
	 */
	int (*commit_point)(struct input *, uint64_t from, uint64_t to, struct commit_point *ret_point);
	/*
	 * Optional. Main's thread, before open(), after a kill -9: what `state`, which is of position `from`, is at the later position
	 * `to`, by the marks that the killed run made, oldest first (the caller frees). `state` NULL: that run was the first, and no
	 * state of it was kept. NULL: that cannot be told; it never guesses.
	 */
	char *(*advance)(const char *state, uint64_t from, uint64_t to, const struct input_mark *marks, size_t n_marks);
	/* Optional, for progress: bytes done and in all (0: unknown). Any thread. */
	void (*progress)(const struct input *, uint64_t *ret_done, uint64_t *ret_total);
	/* Mandatory. After run() has returned. */
	void (*close)(struct input *);
};

extern const struct input_ops *const input_registry[];
const struct input_ops *input_find(const char *name);

/* ---- what the pipeline gives an input (implemented in router/route.c and route_ahead.c) ---- */

struct feed_origin {
	const char *file;    /* for messages: FILE:LINE */
	uint64_t first_line; /* number of the chunk's first line, from 1 */
	uint64_t offset;     /* of the chunk's first byte in its source */
	/* By lane: events that end at or before this offset of the source are settled for it already. NULL: none is. */
	const uint64_t *lane_skip;
	/*
	 * The source cluster of all of these lines, and the name of the input that they came in by at first; NULL: this input's own.
	 * Valid during the call; at most 255 bytes each.
	 */
	const char *cluster, *input;
	/* Writes where line `number` stands, for messages, where FILE:LINE would say nothing. NULL: FILE:LINE. */
	void (*where)(const struct feed_origin *, uint64_t number, char *text, size_t room);
};

/*
 * Routes the whole lines (or single values) in `bytes`, which lie in `chunk` (held by the caller, who releases it after),
 * as the span that ends at position `end`. Waits where a lane without room must be waited for. Returns the number of
 * lines. -ESHUTDOWN: stopping, or what belongs into the dead letters had no room there for too long; the span stays open, and run()
 * returns.
 */
int64_t feed_chunk(struct feed *, struct chunk *, struct view bytes, uint64_t end, const struct feed_origin *);
/*
 * feed_chunk for the chunks of a file, one behind the other: the chunk may be routed later, in its order, while the caller reads on.
 * Adds the number of its lines to origin->first_line then, so *origin, and what it points to, must stay until feed_catch_up; it has
 * no cluster or input of its own. -ESHUTDOWN: as above; the spans of this one and perhaps of some before stay open, and nothing more can be fed.
 */
int feed_ahead(struct feed *, struct chunk *, uint64_t end, struct feed_origin *);
/* The same at once, behind all that is ahead: for who may have to wait for the next one. */
int feed_now(struct feed *, struct chunk *, uint64_t end, struct feed_origin *);
/*
 * Routes what feed_ahead has not yet. Before anything else is fed, and before the caller waits for something (the budget: what is ahead
 * has a share of it).
 */
int feed_catch_up(struct feed *);
/* A line that could not be taken up (longer than max_event_bytes): `head` is its first part. A span of its own. */
int feed_too_long(struct feed *, struct view head, uint64_t bytes_total, uint64_t end, const struct feed_origin *);
/*
 * Some of the source vanished before it was read: logged, counted, and marked in the dead letters. `bytes`: how much at least; `what`
 * happened to `file` ("vanished before all of it was read"). A span of its own that ends at `end`.
 */
int feed_gap(struct feed *, const char *file, uint64_t bytes, const char *what, uint64_t end);
/*
 * How many events there were so far, kept or dropped by a rule, or held until their other parts come. The input's thread; it may have to
 * wait as feed_chunk does.
 */
uint64_t feed_taken(struct feed *);
/*
 * Positions from `position` on mean something that ops->state has not said yet: `text` is of ops->advance's own language.
 * Before anything from there on is fed.
 */
void feed_mark(struct feed *, uint64_t position, struct view text);
/* How many of the lines so far were no events and became dead letters. Any thread. */
uint64_t feed_broken(const struct feed *);
/* Something is wrong with a source: logged, and `run --once` will end with 1. */
void feed_trouble(struct feed *, const char *format, ...) __attribute__((format(printf, 2, 3)));
