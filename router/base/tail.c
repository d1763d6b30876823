#include "router/base/tail.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_BYTES = 32 * 1024 };

/* Exactly `len` bytes at `at`: the file is ours, nobody shortens it meanwhile. */
static int read_at(int fd, char *bytes, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pread(fd, bytes, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* The offset just past the last newline; 0 when there is none. */
static int find_end(int fd, uint64_t size, uint64_t *ret_end)
{
	char bytes[STEP_BYTES];
	while (size) {
		/* The last byte alone first: nearly always it is the newline. */
		size_t len = 1;
		int r = read_at(fd, bytes, 1, size - 1);
		if (r == 0 && bytes[0] != '\n') {
			len = size < STEP_BYTES ? (size_t)size : STEP_BYTES;
			r = read_at(fd, bytes, len, size - len);
		}
		if (r < 0)
			return r;
		const char *newline = memrchr(bytes, '\n', len);
		size -= len;
		if (newline) {
			size += (uint64_t)(newline - bytes) + 1;
			break;
		}
	}
	*ret_end = size;
	return 0;
}

int tail_cut(int fd, uint64_t *ret_bytes)
{
	struct stat st;
	uint64_t end;
	char first;
	if (fstat(fd, &st))
		return -errno;
	uint64_t size = (uint64_t)st.st_size;
	int r = find_end(fd, size, &end);
	if (r < 0)
		return r;
	if (end < size) {
		r = read_at(fd, &first, 1, 0);
		if (r == 0 && first != '{' && first != 0)
			r = -EBADMSG;
		if (r == 0 && ftruncate(fd, (off_t)end))
			r = -errno;
		if (r < 0)
			return r;
	}
	*ret_bytes = size - end;
	return 0;
}
