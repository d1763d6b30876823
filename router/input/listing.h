#pragma once
/*
 * listing -- which files there are for a path or pattern, and beside them: one look at the file system.
 *
 * Consistent: a log that was rotated while its folder was read is looked at anew, so that no file is missed or seen twice
 *             under two names.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/input/chain.h"

/* What tells a file and its state apart from another. */
struct file_stat {
	uint64_t dev, ino;
	uint64_t size;
	int64_t changed_ns, modified_ns;
};

struct listed {
	char *path;
	struct chain_name name; /* of path */
	struct file_stat stat;
	int code;   /* -errno: it was asked for, but cannot be looked at, or is neither a regular file nor a folder; or 0 */
	bool asked; /* the path itself, or fits the pattern; the others are rotated files of the logs of these */
};

/* Zero is a valid empty one. */
struct listing {
	struct listed *list; /* in the order of chain_compare; of two equal ones the plain one first */
	size_t n, room;
};

/* Regular files alone. -errno of the file. */
int file_stat_path(struct file_stat *ret, const char *path);
int file_stat_fd(struct file_stat *ret, int fd);

/*
 * `pattern`, where it is one, is expanded, and a file that is literally named like it is one of those asked for. `logs`: live
 * paths of logs whose rotated files are wanted too, beside those of the files that were asked for. -errno: not all could be
 * looked up, and what is not listed may be there. A folder that one may not read, and a file that one may not look at, is no
 * reason for that.
 */
int listing_take(struct listing *, const char *pattern, const char *const *logs, size_t n_logs);
bool listing_is_pattern(const char *path); /* it has one of *?[, whatever files there are */
bool listing_scarce(int code); /* this -errno says that the process or the machine had no more descriptors or memory */
void listing_finish(struct listing *);
