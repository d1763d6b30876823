#pragma once
/*
 * progress -- how far each lane is, kept where kill -9 does not reach it: beside the checkpoint, and always ahead of it.
 *
 * The checkpoint is fsynced, some times a second; what was delivered since then would come again after every kill -9. Most of it
 * need not: bytes that were written, events that a collector or broker acknowledged and records in a spool are where they are,
 * whatever becomes of this process. STATE_DIR/progress is mapped and shared: a number stored there is in the kernel's memory
 * at once, costs no system call, and is read by the next start.
 *
 * Power:   none of it survives power loss, nor does what it speaks of: it carries the kernel's boot id, and that of another boot
 *          is passed over. Then the fsynced checkpoint counts, alone, as it was fsynced.
 * Belongs: to the checkpoint of the same run (a number that each start draws and writes into both): that of an older run, or
 *          beside a checkpoint that was deleted or put back, is passed over. So is one that is cut short or damaged.
 * Says:    for each input and lane of its ledger a position and the lane's seq from there on; for each lane's spool the position
 *          up to which nothing must come again; for each input the marks that it made: what a position means at the source.
 * Torn:    a slot is two cells that are written in turn, each with a CRC: a kill in the middle of one leaves the other. What is
 *          read is a value that was true, and at most one store old.
 * Threads: a slot has one writer at a time (progress_settle: the ledger's mutex; progress_spool: the lane's worker;
 *          progress_mark: the input's thread). progress_read and progress_create are main's.
 * On disk: drawn in progress.c, above struct header.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/view.h"

struct progress;

struct progress_names {
	const char *const *inputs;
	size_t n_inputs;
	const char *const *lanes; /* by lane number: "siem/ADMIN_READ" */
	unsigned n_lanes;
	unsigned n_slots;         /* lanes of a ledger: those above, and what else has a number in it */
};

/* Replaces what an earlier run left. Nothing in it counts before the checkpoint of `run` is written. -errno: cannot be had. */
int progress_create(struct progress **ret_progress, const char *state_dir, uint64_t run, const struct progress_names *);
void progress_destroy(struct progress *); /* NULL is fine; the file stays */

/*
 * What was told may not be true any more: a file or spool could not be synced, and what the kernel did with its bytes is unknown.
 * From now on, and for good, the checkpoint counts alone. Any thread.
 */
void progress_distrust(struct progress *);

/* All NULL-safe: without a progress nothing is kept. Positions only grow, but for the first of a run. */
void progress_settle(struct progress *, size_t input, unsigned lane, uint64_t position, uint64_t seq);
void progress_spool(struct progress *, unsigned lane, uint64_t position);
/*
 * From `position` on, the input's state needs to know this (the input's own text) as well. Positions of marks never step back.
 * The last PROGRESS_MARKS are kept; of one that is longer than there is room for only the position is.
 */
void progress_mark(struct progress *, size_t input, uint64_t position, struct view text);
enum { PROGRESS_MARKS = 256, PROGRESS_MARK_BYTES = 1000 };

/* ---- what the run before left ---- */

struct progress_past;

struct progress_point {
	uint64_t position, seq;
};

struct progress_marked {
	uint64_t position;
	struct view text; /* absent: it was too long */
};

/* NULL: there is none that belongs to the checkpoint of `run`, or none that is whole, or it is of another boot. */
struct progress_past *progress_read(const char *state_dir, uint64_t run);
void progress_past_free(struct progress_past *); /* NULL is fine */
/* False: nothing is known of it. `lane` as in progress_names. */
bool progress_past_lane(const struct progress_past *, const char *input, const char *lane, struct progress_point *ret);
/* The lowest of all slots of this input. */
bool progress_past_input(const struct progress_past *, const char *input, uint64_t *ret_position);
bool progress_past_spool(const struct progress_past *, const char *lane, uint64_t *ret_position);
/* In the order that they were made, the newest last, none missing between; the views live as long as the past. */
size_t progress_past_marks(const struct progress_past *, const char *input, struct progress_marked ret[PROGRESS_MARKS]);
