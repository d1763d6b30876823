#include "router/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/base/cleanup.h"

enum { READ_STEP = 64 * 1024, WRITER_WAIT_MS = 5000 };

int io_write(int fd, const void *bytes, size_t len)
{
	struct iovec part = { (void *)bytes, len };
	return io_writev(fd, &part, 1);
}

void io_advance(struct iovec **parts, int *n, size_t done)
{
	for (; *n > 0 && done >= (*parts)->iov_len; (*parts)++, (*n)--)
		done -= (*parts)->iov_len;
	if (*n > 0) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + done;
		(*parts)->iov_len -= done;
	}
}

int io_writev(int fd, struct iovec *parts, int n)
{
	while (n > 0) {
		ssize_t done = writev(fd, parts, n < IOV_MAX ? n : IOV_MAX);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		io_advance(&parts, &n, (size_t)done);
	}
	return 0;
}

ssize_t io_read(int fd, void *bytes, size_t room)
{
	ssize_t n;
	do
		n = read(fd, bytes, room);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int io_read_whole(const char *path, size_t bytes_max, struct buf *out)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO that nobody writes to has an end */
	if (fd < 0)
		return -errno;
	for (;;) {
		buf_reserve(out, READ_STEP);
		ssize_t n = io_read(fd, out->ptr + out->len, READ_STEP);
		if (n == -EAGAIN) {
			struct pollfd writer = { .fd = fd, .events = POLLIN };
			if (poll(&writer, 1, WRITER_WAIT_MS) == 0)
				return -ETIMEDOUT;
			continue;
		}
		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
		if (out->len > bytes_max)
			return -EFBIG;
	}
}

static int make_folder(const char *path, mode_t mode)
{
	struct stat st;
	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int io_make_folders(const char *path, mode_t mode)
{
	_free_ char *copy = mem_text(view_of(path));
	for (char *slash = copy; *slash && (slash = strchr(slash + 1, '/'));) {
		*slash = 0;
		int r = make_folder(copy, mode | S_IRWXU);
		if (r < 0)
			return r;
		*slash = '/';
	}
	return make_folder(copy, mode);
}

int io_make_parents(const char *path, mode_t mode)
{
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	_free_ char *folder = mem_text((struct view){ path, (size_t)(slash - path) });
	return io_make_folders(folder, mode);
}

int io_sync_folder(const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return -errno;
	return 0;
}

void io_sync_parents(const char *path)
{
	_free_ char *copy = mem_text(view_of(path));
	for (char *slash = strrchr(copy, '/'); slash; slash = strrchr(copy, '/')) {
		*slash = 0;
		(void)io_sync_folder(*copy ? copy : "/");
	}
	if (path[0] != '/')
		(void)io_sync_folder(".");
}

static int write_new(const char *path, struct view bytes, mode_t mode)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	int r = io_write(fd, bytes.ptr, bytes.len);
	if (r == 0 && fsync(fd))
		r = -errno;
	return r;
}

int io_replace(const char *path, struct view bytes, mode_t mode)
{
	_free_ char *temporary = mem_textf("%s.new", path);
	int r = write_new(temporary, bytes, mode);
	if (r == 0 && rename(temporary, path))
		r = -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}
	const char *slash = strrchr(path, '/');
	_free_ char *folder = !slash ? mem_text(VIEW(".")) :
		slash == path        ? mem_text(VIEW("/")) :
				       mem_text((struct view){ path, (size_t)(slash - path) });
	return io_sync_folder(folder);
}

char *io_join(const char *folder, const char *path)
{
	return path[0] == '/' || !folder || !*folder ? mem_text(view_of(path)) : mem_textf("%s/%s", folder, path);
}

void io_want_files(uint64_t more)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return;
	limit.rlim_cur += more;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
