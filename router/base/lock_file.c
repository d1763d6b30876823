#include "router/base/lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/base/units.h"

enum { PID_ROOM = 32 };

static int say_held(int fd, const char *path, struct err *err)
{
	char text[PID_ROOM];
	int64_t pid;
	ssize_t n = pread(fd, text, sizeof text, 0);
	const char *end = n > 0 ? memchr(text, '\n', (size_t)n) : NULL;
	if (end && units_parse_number((struct view){ text, (size_t)(end - text) }, &pid))
		(void)err_at(err, path, 0, 0, "is held by process %lld: only one at a time may use this folder",
			(long long)pid);
	else
		(void)err_at(err, path, 0, 0, "is held by another process: only one at a time may use this folder");
	return -EBUSY;
}

int lock_file_take(int *ret_fd, const char *path, struct err *err)
{
	_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		int r = -errno;
		(void)err_at(err, path, 0, 0, "cannot be opened: %s", strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int r = -errno;
		if (r == -EWOULDBLOCK)
			return say_held(fd, path, err);
		(void)err_at(err, path, 0, 0, "cannot be locked: %s", strerror(-r));
		return r;
	}
	char text[PID_ROOM];
	int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	/* The id is only for a message: a full disk must not keep the program from starting. */
	if (ftruncate(fd, 0) == 0)
		(void)io_write(fd, text, (size_t)len);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
