#pragma once
/*
 * checkpoint -- what must survive a restart beside spools and dead letters: how far each input and each lane has come.
 *
 * File:    STATE_DIR/checkpoint.json, written whole to a new file, fsynced, renamed (io_replace). A reader finds the old one
 *          or the new one. What is in it is older than or equal to what is settled: after kill -9 events are sent again,
 *          never skipped.
 * State:   an input says in JSON of its own what it needs to go on from a position (file: device, inode, fingerprint and
 *          offset of each file); the checkpoint keeps it as it is, for the input and for each lane that is ahead of it.
 * Run:     each start draws a number and writes it here before anything is read: what else is kept of that run (progress.h) has
 *          it too, and counts beside this checkpoint only.
 * Keeps:   inputs and lanes that are not in today's configuration stay in the file: an output that is taken out for a day
 *          goes on where it was.
 * Damage:  a file that cannot be read, is damaged or of a newer version is an error that names it: never a silent start from
 *          zero.
 * Lock:    STATE_DIR/lock is held (flock) from open to close: a second process is refused with the holder's pid.
 * Threads: main's.
 */
#include <stddef.h>
#include <stdint.h>

#include "router/base/err.h"

struct checkpoint;

/*
 * Counted over all runs, by lane. `received` is without what the lane holds: a restart receives that anew, from the source or
 * from the spool.
 */
struct checkpoint_totals {
	uint64_t received, delivered, dead, dropped;
};

struct checkpoint_lane {
	const char *output; /* its name */
	const char *class_; /* "ADMIN_READ" */
	const char *state;  /* of the input at this lane's position; NULL: the same as the input's */
	uint64_t position, seq;
};

struct checkpoint_input {
	const char *name;
	const char *state;  /* JSON of the input's own; NULL: none */
	uint64_t position;
	const struct checkpoint_lane *lanes;
	size_t n_lanes;
};

/*
 * Takes the lock, and reads the file where there is one. -EBUSY: another process holds the lock. -EBADMSG: damaged, or of a
 * newer version. *err says which file, and what.
 */
int checkpoint_open(struct checkpoint **ret_checkpoint, const char *state_dir, struct err *err);
void checkpoint_close(struct checkpoint *); /* NULL is fine; gives the lock back */
/* Is the folder still where it was opened, with the lock in it? Else the next start would find nothing of what is in it. */
bool checkpoint_in_place(const struct checkpoint *);

/* Of the run that wrote the file; 0: there is no file, or it does not say. */
uint64_t checkpoint_run(const struct checkpoint *);
/*
 * A run begins, and its positions go on from each input's: so those of all lanes are the same as their input's now, and a lane
 * that is ahead has a state of its own that says so. Then checkpoint_write, before the first position of this run is settled.
 */
void checkpoint_begin(struct checkpoint *, uint64_t run);

/* What the file said, or was last told, of this input; NULL: nothing. Valid until the next checkpoint_set_*. */
const struct checkpoint_input *checkpoint_find_input(struct checkpoint *, const char *name);
/* All zero when nothing is known of this lane. */
struct checkpoint_totals checkpoint_find_totals(struct checkpoint *, const char *output, const char *class_);

/* Replaces what is known of the input (all is copied). Lanes that `input` does not name stay as they are. */
void checkpoint_set_input(struct checkpoint *, const struct checkpoint_input *input);
void checkpoint_set_totals(struct checkpoint *, const char *output, const char *class_, const struct checkpoint_totals *);
/* Writes it if anything was set since the last write. -errno: the old file stands. */
int checkpoint_write(struct checkpoint *);
