#pragma once
/*
 * segments -- which bytes of which files an input's positions stand for.
 *
 * An input that reads many files has one line of positions: byte after byte in the order of reading. A segment says that from a
 * position on the bytes are those of one file from an offset on; it ends where the next one starts. Segments before the
 * settled position are forgotten as their files' offsets are noted elsewhere.
 *
 * Threads: none of its own; the owner locks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment {
	uint64_t start;  /* position */
	uint64_t file;   /* the owner's number of it */
	uint64_t offset; /* of `start` in it */
};

/* All zero is a valid empty table. */
struct segments {
	struct segment *list; /* by start */
	size_t n, room;
};

/* A file that is none: positions of what has no bytes (a gap). */
#define SEGMENT_NO_FILE UINT64_MAX

void segments_finish(struct segments *);
/* From `position` on (never before the last one) it is `file` from `offset` on. False: that is what it was already. */
bool segments_begin(struct segments *, uint64_t position, uint64_t file, uint64_t offset);
/* How far `file` is at `position`; `known` is where it was before the first segment. */
uint64_t segments_offset(const struct segments *, uint64_t position, uint64_t file, uint64_t known);
/*
 * Forgets what is before `position`, one segment a call: true while there was one, with the file and how far it is. The
 * segment that `position` is in stays, shortened.
 */
bool segments_settle(struct segments *, uint64_t position, uint64_t *ret_file, uint64_t *ret_offset);
