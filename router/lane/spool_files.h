#pragma once
/*
 * spool_files -- private to the spool: all that it asks of a disk, so that a test can be the disk and take its power
 * away between any two bytes.
 *
 * What the spool relies on: once sync has returned 0, the bytes written to that file and its length are durable; once
 *           sync_names has, so are the names that were made and removed. Nothing else: unsynced writes may be lost in
 *           any part, in any order.
 * Names:    of files inside one folder. A file is a small number >= 0, as a descriptor is.
 * Errors:   -errno; -EDQUOT comes as -ENOSPC.
 * Threads:  any; different files at the same time, and one reader and one writer of the same.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "router/base/err.h"

struct spool_options;
struct spool;

struct spool_files {
	void *disk; /* first argument of all below */

	int (*open)(void *disk, const char *name, bool create); /* create: made new, -EEXIST if it is there */
	void (*close)(void *disk, int file);
	/* Fewer bytes than `room` at the file's end only. */
	ssize_t (*read)(void *disk, int file, void *bytes, size_t room, uint64_t offset);
	/* All; on failure any part may be written. Changes `parts`. */
	int (*write)(void *disk, int file, struct iovec *parts, int n, uint64_t offset);
	int (*cut)(void *disk, int file, uint64_t bytes); /* the file ends there */
	int (*sync)(void *disk, int file);
	int (*sync_names)(void *disk);
	int (*remove)(void *disk, const char *name);
	int (*list)(void *disk, void (*found)(void *context, const char *name, uint64_t bytes), void *context);
	void (*leave)(void *disk); /* unlocks and frees the disk */
};

/* The real one: makes the folder (0700) and locks it. -EBUSY as spool_open. */
int spool_files_enter(struct spool_files *ret_files, const char *folder, struct err *err);

/* spool_open on any disk. Takes `files` over, also when it fails. options->folder is only a name for messages. */
int spool_open_files(struct spool **ret_spool, const struct spool_options *, const struct spool_files *files,
	struct err *err);
