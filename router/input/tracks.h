#pragma once
/*
 * tracks -- the files of a log that a file input knows: which each one is, how far it is read and how far it is settled.
 *
 * A file is known by device, inode and the fingerprint of its first bytes, not by its name: rotation renames it, packing gives
 * it another inode, and a deleted file's inode may come again as another file. tracks_match says which of the listed files
 * are which known ones:
 *   same inode, fitting first bytes   the same file, whatever it is called now
 *   same inode, other first bytes     another file (the inode came again), or it was cut and written anew
 *   other inode, same first bytes     where its name is of the same log: packed, or copied before it was cut. While both are
 *                                     there, the second is left alone
 * All others are new.
 *
 * Threads: the input's thread owns it and changes it under the mutex; tracks_state and tracks_settled are main's, and lock.
 */
#include <pthread.h>

#include "router/input/file_state.h"
#include "router/input/listing.h"
#include "router/input/segments.h"

struct track {
	struct file_record file;  /* .offset: settled; main's, under the mutex */
	struct chain_name name;   /* of file.path */
	struct file_stat seen;    /* as of the last look at its first bytes; zero: not yet */
	uint64_t read;            /* up to here it was read; unpacked bytes; changed under the mutex */
	uint64_t *lane_skip;      /* by lane, or NULL */
	bool *lane_done;          /* the same */
	uint64_t gone_at;         /* from this position on it is no more: a gap says why; UINT64_MAX */
	bool present;             /* it has a name as of the last look */
	bool unreadable;          /* the last look could not read its first bytes */
	bool newest;              /* nothing newer of its log is there: it may grow */
	bool cut;                 /* it lost its bytes by truncation */
	bool compared;            /* a look has compared its first bytes with those of the others, and it is none of them */
	int64_t missing_ms;       /* since when it has had no name, and no descriptor; 0: it has */
	int fd;                   /* held so that it can neither vanish nor be another (follow_hold); or -1 */
	uint64_t no_newline_to;   /* there is none between `read` and here */
	struct file_stat failed;  /* as it was when reading it failed: it is tried again when it is another */
	uint64_t lines, lines_from; /* lines counted by this process, from that offset on */
};

/* A listed file that has the content of a track which is elsewhere. */
struct twin {
	char *path;
	struct file_stat stat;
};

struct tracks {
	pthread_mutex_t mutex;
	struct track **list;      /* in the order of reading */
	size_t n;
	uint64_t next_id;
	struct segments segments;
	uint64_t settled;
	unsigned n_lanes;
	struct twin *twins;
	size_t n_twins;
	void (*mark)(void *context, uint64_t position, struct view text); /* optional: hears of each file_mark; the input's thread */
	void *mark_context;
	uint64_t marked;          /* position of the newest mark */
};

/* `state` and the lanes' (entries NULL: the same) as of options.position; all NULL: nothing is known. -EBADMSG with *err. */
int tracks_init(struct tracks *, uint64_t position, const char *state, const char *const *lane_states, unsigned n_lanes,
	struct err *);
void tracks_finish(struct tracks *);

struct tracks_news {
	/* Optional, each called in the input's thread without the mutex. */
	void (*added)(void *context, struct track *, bool asked); /* a new file; may set .read and file.offset, .done */
	void (*cut)(void *context, const struct track *);         /* its bytes are no more; what is in its place is new */
	void (*unreadable)(void *context, const char *path, int code); /* -errno; at each look */
	void *context;
};
/* False: a file was found to be another than it was; list them anew and match again. */
bool tracks_match(struct tracks *, const struct listing *, const struct tracks_news *);
/* Files of one log in the order of their writing; those that lost their name are between the rotated ones and the live one. */
void tracks_sort(struct tracks *);

/* Reading goes on in this file at its .read, from `position` on. Before anything of it is fed. */
void tracks_begin(struct tracks *, const struct track *, uint64_t position);
/* It was read up to `offset`. */
void tracks_read(struct tracks *, struct track *, uint64_t offset, bool packed);
/* Nothing more is expected in it. */
void tracks_done(struct tracks *, struct track *, bool done);
void tracks_print(struct tracks *, struct track *, const struct head *); /* a longer fingerprint of it */
void tracks_size(struct tracks *, struct track *, uint64_t size); /* as it is now */
/* The byte of positions at `position` stands for its end: behind it, it is no more. */
void tracks_gone(struct tracks *, struct track *, uint64_t position);
/* On a first run, after the first look: all that is known, before anything is read (FILE_MARK_FIRST). */
void tracks_mark_first(struct tracks *, uint64_t position);
/* Forgets what is gone or done, has had no name since `since_ms`, and is settled. */
void tracks_forget(struct tracks *, int64_t since_ms);

void tracks_settled(struct tracks *, uint64_t position);
/* See input_ops; lane < 0: the input's own. */
char *tracks_state(struct tracks *, uint64_t position, int lane);
