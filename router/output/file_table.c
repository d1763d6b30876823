#include "router/output/file_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/tail.h"

static const uint64_t END_UNKNOWN = UINT64_MAX;
enum { FILE_MODE = 0640, FOLDER_MODE = 0750, LOOK_MS = 1000, LOCK_TRIES = 100 };

struct open_file {
	char *path;
	int fd;             /* -1: a free place */
	bool regular;       /* and no device such as /dev/null */
	dev_t device;
	ino_t inode;
	uint64_t end;       /* its size when it was released, all lines whole; at another size its end is looked at */
	bool ragged;        /* a part of a line was written since it was locked, and could not be cut */
	uint64_t used;      /* the table's clock at the last use */
	int64_t looked_ms;  /* when the path was last seen to lead here */
	bool dirty;         /* under the mutex: appended to since the last sync */
};

struct file_table {
	bool durable;
	uint64_t clock;

	/* Changed under the mutex; the worker, who alone changes files and paths, reads these without. */
	pthread_mutex_t mutex;
	struct open_file files[FILE_TABLE_OPEN_MAX];
	char **folders; /* names in them are new since the last sync */
	size_t n_folders;
	int failed;     /* -errno of a failed fdatasync; stays */
};

struct file_table *file_table_create(bool durable)
{
	struct file_table *t = mem_zero(1, sizeof *t);
	t->durable = durable;
	(void)pthread_mutex_init(&t->mutex, NULL);
	for (int i = 0; i < FILE_TABLE_OPEN_MAX; i++)
		t->files[i].fd = -1;
	return t;
}

/* ---- one file ---- */

/*
 * Waits for a write of somebody else, about 100 ms, and no longer: who holds it may have been stopped. On a file system
 * without locks nobody can wait.
 */
static int lock_file(int fd)
{
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0;
		if (i == LOCK_TRIES)
			return -EBUSY;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}

/* Of a regular file, locked: has somebody been there, or is a part of a line left? */
static int look_at_end(const struct open_file *f, uint64_t *ret_cut)
{
	struct stat st;
	if (fstat(f->fd, &st))
		return -errno;
	return (uint64_t)st.st_size == f->end ? 0 : tail_cut(f->fd, ret_cut);
}

void file_table_cut(struct open_file *f, uint64_t bytes)
{
	struct stat st;
	f->ragged = f->regular && (fstat(f->fd, &st) || ftruncate(f->fd, st.st_size - (off_t)bytes));
}

void file_table_release(struct open_file *f)
{
	struct stat st;
	if (!f->regular)
		return;
	f->end = f->ragged || fstat(f->fd, &st) ? END_UNKNOWN : (uint64_t)st.st_size;
	f->ragged = false;
	(void)flock(f->fd, LOCK_UN);
}

static void forget(struct file_table *t, struct open_file *f)
{
	(void)pthread_mutex_lock(&t->mutex);
	struct open_file old = *f;
	*f = (struct open_file){ .fd = -1 };
	(void)pthread_mutex_unlock(&t->mutex);
	(void)close(old.fd);
	free(old.path);
}

/* What could not be cut when it was written: once more, now that the file is let go. */
static void cut_at_last(struct open_file *f)
{
	uint64_t cut;
	if (!f->regular || f->end != END_UNKNOWN || lock_file(f->fd) < 0)
		return;
	(void)look_at_end(f, &cut);
	file_table_release(f);
}

/* Makes it durable first: nobody could do that later. */
static void close_file(struct file_table *t, struct open_file *f)
{
	cut_at_last(f);
	(void)pthread_mutex_lock(&t->mutex);
	bool dirty = f->dirty;
	(void)pthread_mutex_unlock(&t->mutex);
	if (t->durable && dirty && fdatasync(f->fd)) {
		int failed = -errno;
		(void)pthread_mutex_lock(&t->mutex);
		t->failed = failed;
		(void)pthread_mutex_unlock(&t->mutex);
	}
	forget(t, f);
}

void file_table_destroy(struct file_table *t)
{
	if (!t)
		return;
	for (int i = 0; i < FILE_TABLE_OPEN_MAX; i++) {
		if (t->files[i].fd < 0)
			continue;
		cut_at_last(&t->files[i]);
		forget(t, &t->files[i]);
	}
	for (size_t i = 0; i < t->n_folders; i++)
		free(t->folders[i]);
	free(t->folders);
	(void)pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* ---- finding and opening ---- */

/* Under the mutex. */
static void add_folder(struct file_table *t, char *folder)
{
	for (size_t i = 0; i < t->n_folders; i++)
		if (strcmp(t->folders[i], folder) == 0) {
			free(folder);
			return;
		}
	t->folders = mem_resize(t->folders, (t->n_folders + 1) * sizeof *t->folders);
	t->folders[t->n_folders++] = folder;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return mem_text(VIEW("."));
	return slash == path ? mem_text(VIEW("/")) : mem_text((struct view){ path, (size_t)(slash - path) });
}

/* Makes the folders above `path`. Each folder that gets a new name in it is to be synced with the file. */
static int make_parents(struct file_table *t, const char *path)
{
	char *folders[64];
	size_t n = 0;
	struct stat st;
	folders[n++] = folder_of(path);
	while (n < sizeof folders / sizeof *folders && stat(folders[n - 1], &st) && errno == ENOENT) {
		folders[n] = folder_of(folders[n - 1]);
		n++;
	}
	int r = io_make_folders(folders[0], FOLDER_MODE);
	(void)pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < n; i++) {
		if (t->durable && r == 0)
			add_folder(t, folders[i]);
		else
			free(folders[i]);
	}
	(void)pthread_mutex_unlock(&t->mutex);
	return r;
}

/* O_NONBLOCK: nothing here may wait for whoever reads a FIFO; a regular file does not mind. */
static int open_path(struct file_table *t, const char *path)
{
	int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	int r = make_parents(t, path);
	if (r < 0)
		return r;
	fd = open(path, flags | O_CREAT, FILE_MODE);
	return fd < 0 ? -errno : fd;
}

static int open_new(struct file_table *t, const char *path, struct open_file *place, uint64_t *ret_cut)
{
	struct stat st;
	_close_ int fd = open_path(t, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return -ESPIPE;
	int r = S_ISREG(st.st_mode) ? lock_file(fd) : 0;
	if (r == 0 && S_ISREG(st.st_mode))
		r = tail_cut(fd, ret_cut);
	if (r < 0)
		return r; /* closed, and so released */
	(void)pthread_mutex_lock(&t->mutex);
	*place = (struct open_file){
		.path = mem_text(view_of(path)),
		.fd = TAKE_FD(fd),
		.regular = S_ISREG(st.st_mode),
		.device = st.st_dev,
		.inode = st.st_ino,
		.looked_ms = clock_steady_ms(),
		.dirty = *ret_cut > 0,
	};
	(void)pthread_mutex_unlock(&t->mutex);
	return 0;
}

static struct open_file *find(struct file_table *t, const char *path)
{
	for (int i = 0; i < FILE_TABLE_OPEN_MAX; i++)
		if (t->files[i].fd >= 0 && strcmp(t->files[i].path, path) == 0)
			return &t->files[i];
	return NULL;
}

/* A free place; the file that was not used for the longest time is closed if there is none. */
static struct open_file *make_place(struct file_table *t)
{
	struct open_file *oldest = &t->files[0];
	for (int i = 0; i < FILE_TABLE_OPEN_MAX; i++) {
		struct open_file *f = &t->files[i];
		if (f->fd < 0)
			return f;
		if (f->used < oldest->used)
			oldest = f;
	}
	close_file(t, oldest);
	return oldest;
}

/* Does the path still lead to this file? One that was removed is seen at once, one that was moved (it keeps what comes) within LOOK_MS. */
static bool is_in_place(struct open_file *f)
{
	struct stat st;
	int64_t now = clock_steady_ms();
	if (fstat(f->fd, &st) == 0 && st.st_nlink == 0)
		return false;
	if (now - f->looked_ms < LOOK_MS)
		return true;
	f->looked_ms = now;
	return stat(f->path, &st) == 0 && st.st_dev == f->device && st.st_ino == f->inode;
}

static int lock_open(struct open_file *f, uint64_t *ret_cut)
{
	int r = f->regular ? lock_file(f->fd) : 0;
	if (r == 0 && f->regular)
		r = look_at_end(f, ret_cut);
	if (r < 0)
		(void)flock(f->fd, LOCK_UN);
	return r;
}

int file_table_open(struct file_table *t, const char *path, struct open_file **ret_file, uint64_t *ret_cut)
{
	struct open_file *f = find(t, path);
	*ret_cut = 0;
	if (f && !is_in_place(f)) {
		close_file(t, f);
		f = NULL;
	}
	int r;
	if (f) {
		r = lock_open(f, ret_cut);
	} else {
		f = make_place(t);
		r = open_new(t, path, f, ret_cut);
	}
	if (r < 0)
		return r;
	f->used = ++t->clock;
	*ret_file = f;
	return 0;
}

/* ---- writing ---- */

int file_table_append(struct file_table *t, struct open_file *f, struct iovec *parts, int n, uint64_t *ret_written)
{
	*ret_written = 0;
	int r = 0;
	while (r == 0 && n > 0) {
		ssize_t done = writev(f->fd, parts, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			r = done < 0 ? -errno : -EIO;
			break;
		}
		*ret_written += (uint64_t)done;
		for (; n > 0 && (size_t)done >= parts->iov_len; parts++, n--)
			done -= (ssize_t)parts->iov_len;
		if (n > 0) {
			parts->iov_base = (char *)parts->iov_base + done;
			parts->iov_len -= (size_t)done;
		}
	}
	(void)pthread_mutex_lock(&t->mutex);
	f->dirty = f->dirty || (f->regular && *ret_written);
	(void)pthread_mutex_unlock(&t->mutex);
	return r;
}

/* ---- syncing: main's thread ---- */

/* What was written since the last sync, as descriptors of our own. */
struct unsynced {
	int fds[FILE_TABLE_OPEN_MAX];
	int n;
	char **folders;
	size_t n_folders;
};

static int take_unsynced(struct file_table *t, struct unsynced *u)
{
	*u = (struct unsynced){ 0 };
	(void)pthread_mutex_lock(&t->mutex);
	int r = t->failed;
	for (int i = 0; i < FILE_TABLE_OPEN_MAX && r == 0; i++) {
		struct open_file *f = &t->files[i];
		int fd = f->dirty ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : -1;
		if (f->dirty && fd < 0)
			r = -errno;
		if (fd < 0)
			continue;
		u->fds[u->n++] = fd;
		f->dirty = false;
	}
	if (r == 0) {
		u->folders = TAKE_PTR(t->folders);
		u->n_folders = t->n_folders;
		t->n_folders = 0;
	}
	(void)pthread_mutex_unlock(&t->mutex);
	return r;
}

/* A folder that could not be synced comes again with the next sync; one that is gone took its names with it. */
static int sync_folders(struct file_table *t, struct unsynced *u)
{
	int r = 0;
	for (size_t i = 0; i < u->n_folders; i++) {
		int one = io_sync_folder(u->folders[i]);
		if (one == 0 || one == -ENOENT) {
			free(u->folders[i]);
			continue;
		}
		r = one;
		(void)pthread_mutex_lock(&t->mutex);
		add_folder(t, u->folders[i]);
		(void)pthread_mutex_unlock(&t->mutex);
	}
	free(u->folders);
	return r;
}

int file_table_sync(struct file_table *t)
{
	struct unsynced u;
	if (!t->durable)
		return 0;
	int r = take_unsynced(t, &u), failed = 0;
	for (int i = 0; i < u.n; i++) {
		if (fdatasync(u.fds[i]))
			failed = -errno;
		(void)close(u.fds[i]);
	}
	int folders = sync_folders(t, &u);
	if (failed) {
		(void)pthread_mutex_lock(&t->mutex);
		t->failed = failed;
		(void)pthread_mutex_unlock(&t->mutex);
	}
	return failed ? failed : r ? r : folders;
}
