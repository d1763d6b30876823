#pragma once
/*
 * sim_disk -- a disk in memory for struct spool_files, whose power can be taken away.
 *
 * It logs every change and every sync. sim_disk_cut() builds the disk as it is when power fails during any of them and
 * nothing was reordered; sim_disk_lose() builds one of the others that the rules of spool_files.h allow: what was not
 * synced may be there or not, sector by sector and name by name, and where it is not there may be zeros or rubbish.
 * Deterministic by the seed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/lane/spool_files.h"

struct sim_disk;

struct sim_disk *sim_disk_create(void);
void sim_disk_destroy(struct sim_disk *);
/* leave() closes the files that are left open, the disk stays. */
struct spool_files sim_disk_files(struct sim_disk *);

void sim_disk_set_room(struct sim_disk *, uint64_t bytes); /* for all files together; UINT64_MAX at first */
/* Every sync is -EIO, and what it should have made durable can be read, but is never made durable by a later one. */
void sim_disk_fail_syncs(struct sim_disk *, bool fail);
/* Writes to that file are -ENOSPC, also where it has bytes already, as on a file system that writes elsewhere; NULL: none. */
void sim_disk_fill(struct sim_disk *, const char *name);
/* Called in the appender's place just before records are written, to do what another thread might do then. NULL: nothing. */
void sim_disk_before_records(struct sim_disk *, void (*call)(void *context), void *context);

uint64_t sim_disk_bytes_read(const struct sim_disk *);     /* so far */

size_t sim_disk_log_length(const struct sim_disk *);
/* Bytes that entry of the log writes; 0 when it writes none. */
size_t sim_disk_log_bytes(const struct sim_disk *, size_t entry);
/* The entries before `entry`, and of that one its first `bytes`. */
struct sim_disk *sim_disk_cut(const struct sim_disk *, size_t entry, size_t bytes);
/* The entries before `entry`, less some of what was not synced. */
struct sim_disk *sim_disk_lose(const struct sim_disk *, size_t entry, uint64_t *seed);

/* For tests that damage files: the content of a file, which may be changed; NULL when there is none. */
char *sim_disk_bytes(struct sim_disk *, const char *name, size_t *ret_len);
/* A file as a test wants it, durable. */
void sim_disk_put(struct sim_disk *, const char *name, const void *bytes, size_t len);

/* The tests' generator of numbers: xorshift, so that a seed means the same everywhere. Never 0. */
uint64_t sim_random(uint64_t *seed);
