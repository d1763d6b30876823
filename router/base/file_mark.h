#pragma once
/*
 * file_mark -- has a file of the user's (a secret, a certificate) changed since it was looked at last?
 *
 * It goes by all that stat(2) says: another file under the name, however old; its length and times; who may read it. A FIFO
 * is always as it was: what it held went to who read it.
 */
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* All zero: no file was seen. */
struct file_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

/* True: it has changed, appeared or vanished, and the mark is renewed. `path` NULL: there is no file. */
bool file_mark_look(struct file_mark *, const char *path);
