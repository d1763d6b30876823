#pragma once
/*
 * file_state -- what a checkpoint remembers of a file input: which files there were and how far each was settled.
 *
 * JSON: {"version": 1, "next_id": 7, "files": [{"id": 3, "path": "...", "dev": 1, "ino": 2, "hash": "16 hex digits",
 *       "hash_bytes": 1024, "offset": 4711, "size": 9000, "done": false}]}. Offsets count unpacked bytes; `size` is that of the
 *       file as it was last seen. Bytes of a path other than printable ASCII are written as %XX.
 *
 * Lanes: a lane that is ahead of its input has a state of its own. The files to read are those of all states (file_state_join),
 *        each from the lowest offset that file_state_of says for a lane.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/input/fingerprint.h"
#include "router/input/input.h"

struct file_record {
	uint64_t id;     /* never used twice in the life of an input */
	char *path;      /* as it was last seen */
	uint64_t dev, ino, size;
	struct fingerprint print;
	uint64_t offset; /* all before it is settled */
	bool done;       /* and that was all of it */
	bool packed;
};

/* Zero is a valid empty one. */
struct file_state {
	uint64_t next_id;
	struct file_record *files;
	size_t n;
};

void file_state_finish(struct file_state *);
char *file_state_print(const struct file_state *); /* the caller frees */
/* -EBADMSG with *err: not what file_state_print makes. */
int file_state_parse(struct file_state *ret_state, const char *text, struct err *err);

/* What a lane has of a file. */
struct lane_offset {
	uint64_t offset; /* UINT64_MAX: the file is none of this lane's any more */
	bool done;
};
/*
 * The file `id` in the state of one lane. Absent: it came later, and the lane has nothing of it; or it was forgotten after it
 * had been settled.
 */
struct lane_offset file_state_of(const struct file_state *, uint64_t id);
/* See input_ops of input.h. */
struct input_merge;
char *file_state_merge(const struct input_merge *, struct err *);
/* Less so many finished files, those with the lowest numbers. A lane for which a number is unknown but below next_id is done with it. */
char *file_state_shorten(const char *state, unsigned n);
/* Adds to `all` what only `more` knows; next_id becomes the larger one. */
void file_state_join(struct file_state *all, const struct file_state *more);

/*
 * Marks (feed_mark), for what happens between two checkpoints. Each is a letter, and a state with what it speaks of:
 *   w  a first run, which has no checkpoint before it, begins at that position with the next id of this state, no file in it ...
 *   f  ... and with this file as well
 *   b  from that position on the bytes are those of this file, from its offset on
 *   d  this file is done at its offset
 *   g  this file is gone: from that position on, it is none any more
 * The caller frees.
 */
enum file_mark {
	FILE_MARK_FIRST = 'w',
	FILE_MARK_FILE = 'f',
	FILE_MARK_BEGIN = 'b',
	FILE_MARK_DONE = 'd',
	FILE_MARK_GONE = 'g',
};
char *file_mark_print(enum file_mark, const struct file_state *);
/* input_ops->advance */
char *file_state_advance(const char *state, uint64_t from, uint64_t to, const struct input_mark *marks, size_t n_marks);
