#pragma once
/* follow_private -- what follow.c (looking, waiting), follow_read.c (reading one file) and follow_hold.c (descriptors) share. */
#include <stdatomic.h>

#include "router/input/follow.h"
#include "router/input/tracks.h"
#include "router/input/watch.h"

/* A file that the last look found and could not read. */
struct unread {
	char *path;
	int code; /* -errno */
};

struct follow {
	struct follow_options options;
	struct source *source;
	struct tracks tracks;
	struct watch *watch;
	bool pattern;            /* the path is one */
	atomic_bool first;       /* nothing is known of an earlier run, and not all was looked at: read by main too */
	bool look;               /* names must be looked at before more is read */
	size_t n_open;           /* descriptors held by tracks */
	size_t most_open;        /* as many may be, but that none is closed whose file has no name; as of the last look */
	int64_t looked_ms;       /* when names were last looked at */
	int64_t missing_ms;      /* since when the file itself has been missing; 0: it is there */
	int64_t told_ms;         /* when that was last told */
	int partial;             /* -errno: the last look could not list all; or 0 */
	struct unread *unread;
	size_t n_unread;
	int64_t unreadable_ms;   /* when it was last told that files cannot be read */
	bool seen;               /* the file itself was there once */
};

/* follow_read.c: reads on to the file's end as of now. False: stopped. Sets ->look where names must be looked at first. */
bool follow_read(struct follow *, struct track *);
/* Tells that a file, or the pattern, cannot be read now: at times, but always of a run that ends. */
void follow_tell(struct follow *, const char *path, int code);
/* follow_hold.c: after a look. Opens what is not read to its end or may grow, as much of it as may be open, and closes the rest. */
void follow_hold(struct follow *);
void follow_hold_begin(void); /* an input begins; each has its part of the descriptors */
void follow_hold_end(void);
void follow_close(struct track *);
/* The same file as before is opened, if it is not open; -errno. */
int follow_open(struct track *);
/* Was it written to in the last so many milliseconds? False where its time is ahead of ours: another machine's clock tells nothing. */
bool follow_is_recent(const struct file_stat *, int64_t ms);
/* How far a file that is there at a first start is passed over: up to its last whole line. */
uint64_t follow_last_newline(const char *path, uint64_t size);
