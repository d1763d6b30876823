#pragma once
/*
 * file_table -- the few files that a file output has open: found by path, opened and made where missing, cut where a
 * crash left a part of a line, closed when others are needed more, and made durable.
 *
 * Failure:  a failed fdatasync stays an error of file_table_sync for good: the kernel forgets what it could not write,
 *           so nothing that was written since the last good sync may count as safe.
 * Shared:   another process may append to the same files, as replay does beside run: between open and release a file is
 *           locked (flock), so that neither sees, or cuts, a part of what the other is writing.
 * Moved:    a file that was renamed or deleted under us is left, and its path made anew, within a second.
 * Threads:  file_table_sync by main while everything else runs in the worker's thread. A mutex over the table, held
 *           briefly: the slow part of a sync is outside it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct file_table;
struct open_file;

enum { FILE_TABLE_OPEN_MAX = 16 };

struct file_table *file_table_create(bool durable); /* not durable: file_table_sync does nothing, and is 0 */
void file_table_destroy(struct file_table *);       /* NULL is fine; does not sync */

/*
 * The file at `path`, locked until file_table_release, and valid until the next call. *ret_cut: bytes of a torn line that
 * were cut from its end now. -EBADMSG: it ends in the middle of a line and does not look like a file of ours. -ESPIPE: not a
 * regular file. -EBUSY: somebody else keeps it locked for longer than a write takes.
 */
int file_table_open(struct file_table *, const char *path, struct open_file **ret_file, uint64_t *ret_cut);
void file_table_release(struct open_file *);

/* Appends all of the parts. On -errno, *ret_written bytes did get in: file_table_cut takes off what is no whole line. */
int file_table_append(struct file_table *, struct open_file *, struct iovec *parts, int n, uint64_t *ret_written);
/* Takes so many bytes off the end, before file_table_release or, where that fails, before anything else is appended. */
void file_table_cut(struct open_file *, uint64_t bytes);

/* Everything appended so far survives power loss when this returns 0, the names of new files included. */
int file_table_sync(struct file_table *);
