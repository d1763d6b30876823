#include "router/lane/spool_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/base/lock_file.h"

struct disk {
	int folder, lock;
};

static int failure(void)
{
	return errno == EDQUOT ? -ENOSPC : -errno;
}

static int disk_open(void *context, const char *name, bool create)
{
	struct disk *d = context;
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0);
	int fd = openat(d->folder, name, flags, 0600);
	return fd < 0 ? failure() : fd;
}

static void disk_close(void *context, int file)
{
	(void)context;
	(void)close(file);
}

static ssize_t disk_read(void *context, int file, void *bytes, size_t room, uint64_t offset)
{
	size_t done = 0;
	(void)context;
	while (done < room) {
		ssize_t n = pread(file, (char *)bytes + done, room - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failure();
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int disk_write(void *context, int file, struct iovec *parts, int n, uint64_t offset)
{
	(void)context;
	while (n > 0) {
		ssize_t done = pwritev(file, parts, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return failure();
		offset += (uint64_t)done;
		io_advance(&parts, &n, (size_t)done);
	}
	return 0;
}

static int disk_cut(void *context, int file, uint64_t bytes)
{
	(void)context;
	return ftruncate(file, (off_t)bytes) ? failure() : 0;
}

static int disk_sync(void *context, int file)
{
	(void)context;
	return fdatasync(file) ? failure() : 0;
}

static int disk_sync_names(void *context)
{
	struct disk *d = context;
	return fsync(d->folder) ? failure() : 0;
}

static int disk_remove(void *context, const char *name)
{
	struct disk *d = context;
	return unlinkat(d->folder, name, 0) ? failure() : 0;
}

static int disk_list(void *context, void (*found)(void *, const char *, uint64_t), void *found_context)
{
	struct disk *d = context;
	int fd = openat(d->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		int r = failure();
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	for (;;) {
		struct stat st;
		errno = 0;
		const struct dirent *entry = readdir(folder);
		if (!entry)
			break;
		if (fstatat(d->folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			found(found_context, entry->d_name, (uint64_t)st.st_size);
	}
	int r = failure();
	(void)closedir(folder);
	return r;
}

static void disk_leave(void *context)
{
	struct disk *d = context;
	(void)close(d->folder);
	(void)close(d->lock);
	free(d);
}

int spool_files_enter(struct spool_files *ret_files, const char *folder, struct err *err)
{
	int r = io_make_folders(folder, 0700);
	if (r < 0) {
		(void)err_at(err, folder, 0, 0, "cannot be made: %s", strerror(-r));
		return r;
	}
	io_sync_parents(folder);
	_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1;
	if (fd < 0) {
		r = failure();
		(void)err_at(err, folder, 0, 0, "cannot be opened: %s", strerror(-r));
		return r;
	}
	_free_ char *lock_path = mem_textf("%s/lock", folder);
	r = lock_file_take(&lock, lock_path, err);
	if (r < 0)
		return r;
	struct disk *d = mem_alloc(sizeof *d);
	*d = (struct disk){ TAKE_FD(fd), TAKE_FD(lock) };
	*ret_files = (struct spool_files){
		.disk = d,
		.open = disk_open,
		.close = disk_close,
		.read = disk_read,
		.write = disk_write,
		.cut = disk_cut,
		.sync = disk_sync,
		.sync_names = disk_sync_names,
		.remove = disk_remove,
		.list = disk_list,
		.leave = disk_leave,
	};
	return 0;
}
