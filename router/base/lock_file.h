#pragma once
/*
 * lock_file -- a folder is one process's at a time: an flock()ed file in it, which holds the holder's process id for
 * the message that the next one gets. The kernel lets go of it however the process ends, so nothing is ever stale.
 */
#include "router/base/err.h"

/* The lock is held until the descriptor is closed. -EBUSY: another has it, *err names it; other -errno with *err. */
int lock_file_take(int *ret_fd, const char *path, struct err *err);
