#pragma once
/*
 * reader -- the bytes of a file, or of standard input, plain or unpacked from gzip or zstd (told by its first bytes, not
 * by its name; several members or frames one after another are one stream).
 *
 * Limits:  output is streamed, so a compression bomb costs time, not memory; a zstd window above 128 MiB is refused.
 * Threads: one owner.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "router/base/err.h"

struct reader;

/* "-" is standard input. -errno with *err set. Folders are refused with -EISDIR. */
int reader_open(struct reader **ret_reader, const char *path, struct err *);
/* The same on an open descriptor, which the reader then owns; `name` is for messages. */
int reader_open_fd(struct reader **ret_reader, int fd, const char *name, struct err *);
void reader_close(struct reader *); /* NULL is fine */

/* A pipe, terminal or socket: reader_read may wait for whoever writes. */
bool reader_waits(const struct reader *);
/* From now on reader_read returns -ECANCELED, even out of a wait, while this descriptor is readable. Not owned. */
void reader_wake_fd(struct reader *, int fd);

/*
 * Up to `room` bytes. 0: the end; a plain file that has grown since is read on by the next call. -errno with *err set:
 * cannot be read; -EBADMSG: not what its first bytes promised, or cut short (all that was good has been returned by
 * earlier calls). An error stays: every later call returns it again.
 */
ssize_t reader_read(struct reader *, char *bytes, size_t room, struct err *);
/*
 * Before the first read: passes over so many unpacked bytes. 0, or as reader_read; -ENODATA: there are fewer. A plain file
 * costs nothing.
 */
int reader_skip(struct reader *, uint64_t bytes, struct err *);
bool reader_packed(const struct reader *); /* gzip or zstd; false before the first bytes were read */

/* Packed bytes consumed so far, and in all (0: unknown), for progress. Any thread. */
void reader_progress(const struct reader *, uint64_t *ret_done, uint64_t *ret_total);
