#pragma once
/*
 * io -- files as this program needs them: whole writes, durable replacement, folders made on the way.
 *
 * All return 0 or -errno, set no errno for the caller to read, retry EINTR, and open with O_CLOEXEC.
 */
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "router/base/buf.h"

int io_write(int fd, const void *bytes, size_t len);              /* all of it */
int io_writev(int fd, struct iovec *parts, int n);                /* all of it; changes parts */
void io_advance(struct iovec **parts, int *n, size_t done);        /* past the first `done` bytes of them */
ssize_t io_read(int fd, void *bytes, size_t room);                /* one read; 0 at the end */
/* -EFBIG above bytes_max; -ETIMEDOUT: a FIFO whose writer says nothing for seconds. */
int io_read_whole(const char *path, size_t bytes_max, struct buf *);

int io_make_folders(const char *path, mode_t);                    /* path and its parents; existing is fine */
int io_make_parents(const char *path, mode_t);                    /* the folders above path */
int io_sync_folder(const char *path);                             /* fsync of a folder: names in it are durable */
void io_sync_parents(const char *path);                           /* of all above path that may be opened */

/*
 * Puts `bytes` at `path` so that after a return of 0, and whatever happens meanwhile, a reader finds the old or
 * the new content, whole: temporary file beside it, fsync, rename, fsync of the folder.
 */
int io_replace(const char *path, struct view bytes, mode_t);

/* `path`, or `folder`/`path` where path is relative. The caller frees. */
char *io_join(const char *folder, const char *path);

/* Raises how many files this process may have open by `more`, as far as it may. */
void io_want_files(uint64_t more);
