/* Reading one file of a log, from where it was read to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/input/follow_private.h"
#include "router/input/reader.h"

enum {
	BLOCK_BYTES = 64 * 1024,
	END_MS = 2000, /* whoever wrote a part of a line to a file that is rotated since, and never the rest, wrote it so long ago */
};

int follow_open(struct track *t)
{
	struct file_stat st;
	if (t->fd >= 0)
		return 0;
	_close_ int fd = open(t->file.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? -errno : file_stat_fd(&st, fd);
	if (r < 0)
		return r;
	if (st.dev != t->file.dev || st.ino != t->file.ino)
		return -ENOENT;
	t->fd = TAKE_FD(fd);
	return 0;
}

uint64_t follow_last_newline(const char *path, uint64_t size)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_free_ char *block = mem_alloc(BLOCK_BYTES);
	while (fd >= 0 && size) {
		size_t len = size < BLOCK_BYTES ? (size_t)size : BLOCK_BYTES;
		ssize_t n = pread(fd, block, len, (off_t)(size - len));
		if (n != (ssize_t)len)
			return 0;
		const char *newline = memrchr(block, '\n', len);
		if (newline)
			return size - len + (size_t)(newline - block) + 1;
		size -= len;
	}
	return 0;
}

/* It cannot be opened or read: names are looked at where it is another by now, else it is tried again. The others go on. */
static bool put_off(struct follow *f, const struct track *t, int code)
{
	if (code == -ENOENT || code == -ENOTDIR || code == -EISDIR || code == -EINVAL)
		f->look = true;
	else
		follow_tell(f, t->file.path, code);
	return true;
}

bool follow_is_recent(const struct file_stat *st, int64_t ms)
{
	int64_t age_us = clock_now_us() - st->modified_ns / 1000;
	return age_us >= 0 && age_us / 1000 < ms;
}

/* May more of its last line come? A rotated file's writer may have been amid one, and not have opened the new log yet. */
static bool may_grow(const struct follow *f, const struct track *t, const struct file_stat *st)
{
	return !f->source->options.once && (t->newest || follow_is_recent(st, END_MS));
}

/* Is there a newline in [from, to)? True also when that cannot be told. */
static bool has_newline(int fd, uint64_t from, uint64_t to)
{
	_free_ char *block = mem_alloc(BLOCK_BYTES);
	while (from < to) {
		ssize_t n = pread(fd, block, to - from < BLOCK_BYTES ? (size_t)(to - from) : BLOCK_BYTES, (off_t)from);
		if (n <= 0 || memchr(block, '\n', (size_t)n))
			return true;
		from += (uint64_t)n;
	}
	return false;
}

static bool same_moment(const struct file_stat *a, const struct file_stat *b)
{
	return a->ino == b->ino && a->size == b->size && a->modified_ns == b->modified_ns;
}

enum prospect { NOTHING_NEW, SOMETHING_NEW, ANOTHER_FILE, PUT_OFF };

/* Is there more in a file than was read, and is it still that file? */
static enum prospect prospect(struct follow *f, struct track *t, const struct file_stat *st)
{
	struct head head;
	if (t->failed.ino && same_moment(&t->failed, st))
		return NOTHING_NEW;
	if (t->file.packed)
		return t->file.done ? NOTHING_NEW : SOMETHING_NEW;
	if (st->size == t->read)
		return NOTHING_NEW;
	/* It may be filled with a copy of one that was read. There was no line in it at the look, and a run that ends leaves it. */
	if (t->present && !t->compared && !same_moment(&t->seen, st))
		return f->source->options.once ? NOTHING_NEW : ANOTHER_FILE;
	if (st->size < t->read)
		return ANOTHER_FILE;
	int r = head_read(&head, t->fd, t->file.path);
	if (r < 0) {
		(void)put_off(f, t, r);
		return PUT_OFF;
	}
	if (!fingerprint_fits(&t->file.print, &head))
		return ANOTHER_FILE;
	tracks_print(&f->tracks, t, &head); /* now: the next look may find it packed, and nothing else to know it by */
	if (t->no_newline_to > t->read && t->no_newline_to <= st->size && may_grow(f, t, st)) {
		bool more = has_newline(t->fd, t->no_newline_to, st->size);
		t->no_newline_to = st->size;
		return more ? SOMETHING_NEW : NOTHING_NEW;
	}
	return SOMETHING_NEW;
}

/* Rotated files are over at their end; the newest one may grow. */
static void finish(struct follow *f, struct track *t, enum lines_result result, uint64_t size)
{
	if (t->file.packed ? result == LINES_END : !t->newest && t->read >= size)
		tracks_done(&f->tracks, t, true);
	else if (result == LINES_END)
		t->no_newline_to = size;
}

static enum lines_hold hold(const struct follow *f, const struct track *t, const struct file_stat *st)
{
	if (f->source->options.once)
		return LINES_HOLD_NOTHING;
	return t->file.packed ? LINES_HOLD_DAMAGED : may_grow(f, t, st) ? LINES_HOLD_ALL : LINES_HOLD_NOTHING;
}

static enum lines_result feed(struct follow *f, struct track *t, struct reader *reader, const struct file_stat *st)
{
	_free_ char *label = t->lines_from ?
		mem_textf("%s from byte %llu", t->file.path, (unsigned long long)t->lines_from) : mem_text(view_of(t->file.path));
	struct feed_origin origin = {
		.file = label,
		.first_line = t->lines + 1,
		.offset = t->read,
		.lane_skip = t->lane_skip,
	};
	tracks_begin(&f->tracks, t, f->source->position);
	enum lines_result result = source_feed(f->source, reader, hold(f, t, st), &origin);
	struct head head;
	const struct fingerprint *print = &t->file.print;
	if ((!print->line || (print->bytes < HEAD_MAX && origin.offset > print->bytes)) && head_read(&head, t->fd, t->file.path) == 0 &&
		fingerprint_fits(&t->file.print, &head))
		tracks_print(&f->tracks, t, &head); /* no offset without a fingerprint of the file that it is in */
	t->lines = origin.first_line - 1;
	tracks_read(&f->tracks, t, origin.offset, reader_packed(reader));
	return result;
}

static bool read_new(struct follow *f, struct track *t, const struct file_stat *st)
{
	struct reader *reader;
	struct err err;
	enum lines_result result = LINES_FAILED;
	int fd = lseek(t->fd, 0, SEEK_SET) < 0 ? -1 : fcntl(t->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return put_off(f, t, -errno);
	if (reader_open_fd(&reader, fd, t->file.path, &err) < 0) {
		f->look = true;
		return true;
	}
	reader_wake_fd(reader, f->source->stop_fd);
	int r = reader_skip(reader, t->read, &err);
	if (r == 0)
		result = feed(f, t, reader, st);
	else if (r == -ECANCELED)
		result = LINES_STOPPED;
	else
		source_trouble(f->source, &err);
	reader_close(reader);
	if (result == LINES_FAILED)
		t->failed = *st;
	else if (result == LINES_END)
		finish(f, t, result, st->size);
	return result != LINES_STOPPED;
}

/* Has a file that is not held open nothing new? Then it need not be opened. False also where that cannot be told. */
static bool is_idle(const struct follow *f, const struct track *t, struct file_stat *st)
{
	if (t->file.packed || file_stat_path(st, t->file.path) < 0 || st->dev != t->file.dev || st->ino != t->file.ino)
		return false;
	if (t->failed.ino)
		return same_moment(&t->failed, st);
	return st->size == t->read || (t->no_newline_to > t->read && t->no_newline_to == st->size && may_grow(f, t, st));
}

static bool read_open(struct follow *f, struct track *t)
{
	struct file_stat st;
	int r = follow_open(t);
	if (r == 0)
		r = file_stat_fd(&st, t->fd);
	if (r < 0)
		return put_off(f, t, r);
	switch (prospect(f, t, &st)) {
	case NOTHING_NEW:
		if (!t->failed.ino && !t->file.packed)
			finish(f, t, LINES_END, st.size);
		return true;
	case ANOTHER_FILE:
		t->seen.changed_ns = -1; /* so that the next look sees it too */
		f->look = true;
		return true;
	case PUT_OFF:
		return true;
	case SOMETHING_NEW:
		break;
	}
	tracks_size(&f->tracks, t, st.size);
	return read_new(f, t, &st);
}

bool follow_read(struct follow *f, struct track *t)
{
	struct file_stat st;
	if (t->file.done || t->gone_at != UINT64_MAX || (!t->present && t->fd < 0))
		return true;
	if (t->unreadable && (t->fd < 0 || !t->compared))
		return true; /* until a look can read it; the others need not wait for that */
	if (t->fd >= 0)
		return read_open(f, t);
	if (is_idle(f, t, &st)) {
		if (!t->failed.ino)
			finish(f, t, LINES_END, st.size);
		return true;
	}
	bool going_on = read_open(f, t);
	if (f->n_open >= f->most_open)
		follow_close(t);
	f->n_open += t->fd >= 0;
	return going_on;
}
