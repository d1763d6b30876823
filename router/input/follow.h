#pragma once
/*
 * follow -- reads a log as it grows and is rotated, from where the last run ended: which file is read next, and what is told of
 * files that vanish.
 *
 * Order:    the files of a log in the order of their writing, each to its end before the next.
 * Last line: without a newline it is held back in a file that may yet grow, and handed over when the run ends at the end, or in one
 *           that is rotated and was not written to for two seconds: its writer may not have opened the new log yet. The new one is
 *           read meanwhile.
 * Vanished: a file that is gone before all of it was read is a gap: told, and marked in the dead letters. While it is read, or may
 *           grow, its descriptor is held, so that this takes a router that was not running, or one that is far behind, or more logs
 *           than may be held. One that was read is held for a minute after it was last written to, for its writer may go on.
 *           Where nothing of its log is there any more, the whole folder may be away: it is no gap for a minute.
 * Held:     a quarter of the descriptors that the process may have, 16 at least, are for files: those that are not read to their
 *           ends, then those that were written to last. The others are opened when they have grown. A live one of these that
 *           loses its last name is a gap, be it of no bytes: what it got just before is not known.
 * Absence:  only what can be looked for and is not there has vanished. An error (no descriptor or memory left, a folder that may
 *           not be read) is told, and all stays as it was until a look without it.
 * Waiting:  until inotify tells of a change, and a second at most.
 * Threads:  follow_run by the input's thread; follow_settled and follow_state by main's.
 */
#include "router/input/source.h"

struct follow;

struct follow_options {
	struct source *source; /* borrowed */
	const char *pattern;   /* a path, or a pattern of paths */
	bool from_end;         /* on a first start: what is there now is passed over */
};

/* The state and lanes are those of source->options. -EBADMSG with *err: damaged. */
int follow_create(struct follow **ret_follow, const struct follow_options *, struct err *);
void follow_destroy(struct follow *); /* NULL is fine */
/* Until the source is stopped; once: until the end of what is there. */
void follow_run(struct follow *);
void follow_settled(struct follow *, uint64_t position);
/* NULL until the first look: a start that goes on from less than that would take what is there for new. */
char *follow_state(struct follow *, uint64_t position, int lane);
