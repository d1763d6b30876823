/*
 * Threads: everything below `mutex` is under it. An fdatasync goes on outside it, so that it holds up no lane, but under
 * `syncing`: a second caller must not return before what the first has taken on is durable.
 */
#include "router/lane/dead_letters.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "router/base/base64.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/tail.h"
#include "router/event/text.h"

enum { PART_MAX = 64 * 1024, FOLDER_MODE = 0700, FILE_MODE = 0640 };

struct dead_letters {
	char *path;
	int fd;
	uint64_t bytes_max;
	pthread_mutex_t syncing;

	pthread_mutex_t mutex;
	uint64_t size;     /* of whole lines */
	uint64_t count;
	bool torn;         /* a part of a line is behind `size` and could not be cut yet */
	bool dirty;        /* written since the last sync */
	int sync_failed;   /* -errno that stays: the kernel forgets what it could not write */
};

static int open_failed(struct err *err, const char *path, int code)
{
	(void)err_at(err, path, 0, 0, "the dead letters cannot be opened: %s",
		code == -EBADMSG ? "it does not hold lines of JSON" : strerror(-code));
	return code;
}

/* Opens the file, cuts a torn line, and makes its name durable. */
static int open_file(struct dead_letters *d, const char *folder)
{
	struct stat st;
	uint64_t cut;
	int r = io_make_folders(folder, FOLDER_MODE);
	if (r < 0)
		return r;
	d->fd = open(d->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (d->fd < 0)
		return -errno;
	r = tail_cut(d->fd, &cut);
	if (r < 0 || (r = io_sync_folder(folder)) < 0)
		return r;
	if (fstat(d->fd, &st))
		return -errno;
	d->size = (uint64_t)st.st_size;
	d->dirty = cut > 0;
	return 0;
}

int dead_letters_open(struct dead_letters **ret, const char *folder, const char *name, uint64_t bytes_max,
	struct err *err)
{
	if (strchr(name, '/'))
		return err_set(err, "a name with a slash in it cannot be a file: %s", name);
	struct dead_letters *d = mem_zero(1, sizeof *d);
	d->path = mem_textf("%s/%s.ndjson", folder, name);
	d->bytes_max = bytes_max;
	d->fd = -1;
	(void)pthread_mutex_init(&d->syncing, NULL);
	(void)pthread_mutex_init(&d->mutex, NULL);
	int r = open_file(d, folder);
	if (r < 0) {
		(void)open_failed(err, d->path, r);
		dead_letters_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

void dead_letters_close(struct dead_letters *d)
{
	if (!d)
		return;
	if (d->fd >= 0) {
		(void)dead_letters_sync(d);
		(void)close(d->fd);
	}
	(void)pthread_mutex_destroy(&d->mutex);
	(void)pthread_mutex_destroy(&d->syncing);
	free(d->path);
	free(d);
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	if (!value)
		return;
	buf_addf(out, "\"%s\":", key);
	text_add_quoted(out, view_of(value));
	buf_add_byte(out, ',');
}

/* The line up to the event, or all of it but the brace and newline where the bytes are no JSON. */
static void print_head(struct buf *out, const struct dead_letter *letter)
{
	char time[CLOCK_TEXT_ROOM];
	buf_addf(out, "{\"time\":\"%s\",", clock_print(clock_now_us(), time));
	add_text(out, "reason", letter->reason);
	add_text(out, "code", letter->code);
	add_text(out, "input", letter->input);
	add_text(out, "output", letter->output);
	add_text(out, "class", letter->has_class ? audit_class_name(letter->class_) : NULL);
	add_text(out, "where", letter->where);
	if (letter->is_json) {
		buf_add_view(out, VIEW("\"event\":"));
		return;
	}
	uint64_t total = letter->bytes_total ? letter->bytes_total : letter->bytes.len;
	struct view part = letter->bytes;
	if (part.len > PART_MAX)
		part.len = PART_MAX;
	if (total > part.len)
		buf_addf(out, "\"bytes_total\":%llu,", (unsigned long long)total);
	buf_add_view(out, VIEW("\"bytes\":\""));
	base64_add(out, part);
	buf_add_byte(out, '"');
}

/* A newline in an event can only be white space between its tokens. */
static struct view on_one_line(struct view event, struct buf *copy)
{
	if (!event.len || !memchr(event.ptr, '\n', event.len))
		return event;
	buf_add_view(copy, event);
	for (size_t i = 0; i < copy->len; i++)
		if (copy->ptr[i] == '\n')
			copy->ptr[i] = ' ';
	return buf_view(copy);
}

/* All or nothing, under the mutex. */
static int append(struct dead_letters *d, struct iovec *parts, int n, uint64_t len)
{
	if (d->torn && ftruncate(d->fd, (off_t)d->size))
		return -errno;
	d->torn = false;
	if (len > d->bytes_max || d->size > d->bytes_max - len)
		return -ENOSPC;
	int r = io_writev(d->fd, parts, n);
	d->dirty = true;
	if (r < 0) {
		d->torn = ftruncate(d->fd, (off_t)d->size) != 0;
		return r;
	}
	d->size += len;
	d->count++;
	return 0;
}

int dead_letters_add(struct dead_letters *d, const struct dead_letter *letter)
{
	cleanup(buf_finish) struct buf head = { 0 }, copy = { 0 };
	struct view event = letter->is_json ? on_one_line(letter->bytes, &copy) : VIEW("");
	print_head(&head, letter);
	struct iovec parts[] = { { head.ptr, head.len }, { (void *)event.ptr, event.len }, { (void *)"}\n", 2 } };
	(void)pthread_mutex_lock(&d->mutex);
	int r = append(d, parts, sizeof parts / sizeof *parts, head.len + event.len + 2);
	(void)pthread_mutex_unlock(&d->mutex);
	return r;
}

int dead_letters_sync(struct dead_letters *d)
{
	(void)pthread_mutex_lock(&d->syncing);
	(void)pthread_mutex_lock(&d->mutex);
	int r = d->sync_failed;
	bool dirty = d->dirty;
	d->dirty = false;
	(void)pthread_mutex_unlock(&d->mutex);
	if (r == 0 && dirty && fdatasync(d->fd)) {
		r = -errno;
		(void)pthread_mutex_lock(&d->mutex);
		d->sync_failed = r;
		(void)pthread_mutex_unlock(&d->mutex);
	}
	(void)pthread_mutex_unlock(&d->syncing);
	return r;
}

uint64_t dead_letters_count(const struct dead_letters *d)
{
	struct dead_letters *locked = (struct dead_letters *)d;
	(void)pthread_mutex_lock(&locked->mutex);
	uint64_t count = d->count;
	(void)pthread_mutex_unlock(&locked->mutex);
	return count;
}

const char *dead_letters_path(const struct dead_letters *d)
{
	return d->path;
}
