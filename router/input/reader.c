#include "router/input/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"

enum {
	PACKED_BYTES = 128 * 1024,
	MAGIC_BYTES = 4,
	GZIP_WRAPPER = 16, /* zlib: windowBits + 16 is a gzip header and trailer, nothing else */
	ZSTD_WINDOW_LOG_MAX = 27,
};

enum packing { UNKNOWN, PLAIN, GZIP, ZSTD };

struct reader {
	char *name;
	int fd, wake_fd;
	bool waits;
	bool ended;    /* read() has returned 0 */
	bool inside;   /* a gzip member or zstd frame has begun and not ended */
	bool padding;  /* zero bytes follow the last gzip member, as tapes have them */
	enum packing packing;
	int failed;    /* -errno that stays */
	struct err why;
	_Atomic uint64_t done;
	uint64_t total;
	z_stream gzip;
	ZSTD_DStream *zstd;
	char *packed;  /* bytes that were read and not unpacked yet: [at, len) */
	size_t at, len;
};

static int open_failed(struct err *err, const char *name, int code)
{
	(void)err_at(err, name, 0, 0, "cannot be read: %s", strerror(-code));
	return code;
}

/* For good: the stream cannot be continued. */
static int fail(struct reader *r, int code, const char *sentence)
{
	r->failed = code;
	(void)err_at(&r->why, r->name, 0, 0, "%s", sentence);
	return code;
}

int reader_open_fd(struct reader **ret_reader, int fd, const char *name, struct err *err)
{
	struct stat st;
	int code = fstat(fd, &st) ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
	if (code < 0) {
		(void)close(fd);
		return open_failed(err, name, code);
	}
	struct reader *r = mem_zero(1, sizeof *r);
	r->name = mem_text(view_of(name));
	r->fd = fd;
	r->wake_fd = -1;
	r->waits = !S_ISREG(st.st_mode);
	r->total = r->waits || st.st_size < 0 ? 0 : (uint64_t)st.st_size;
	r->packed = mem_alloc(PACKED_BYTES);
	*ret_reader = r;
	return 0;
}

int reader_open(struct reader **ret_reader, const char *path, struct err *err)
{
	if (strcmp(path, "-") == 0) {
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? open_failed(err, "-", -errno) : reader_open_fd(ret_reader, fd, "-", err);
	}
	/* O_NONBLOCK: a FIFO without a writer opens at once; the wait for it is in await(), where it can be ended. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? open_failed(err, path, -errno) : reader_open_fd(ret_reader, fd, path, err);
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	if (r->packing == GZIP)
		(void)inflateEnd(&r->gzip);
	(void)ZSTD_freeDStream(r->zstd);
	(void)close(r->fd);
	free(r->packed);
	free(r->name);
	free(r);
}

bool reader_waits(const struct reader *r)
{
	return r->waits;
}

void reader_wake_fd(struct reader *r, int fd)
{
	r->wake_fd = fd;
}

void reader_progress(const struct reader *r, uint64_t *ret_done, uint64_t *ret_total)
{
	*ret_done = r->done;
	*ret_total = r->total;
}

/* Until there is something to read, or the wake descriptor is readable: -ECANCELED. */
static int await(const struct reader *r)
{
	struct pollfd fds[] = { { .fd = r->fd, .events = POLLIN }, { .fd = r->wake_fd, .events = POLLIN } };
	while (poll(fds, 2, r->waits ? -1 : 0) < 0)
		if (errno != EINTR)
			return -errno;
	return fds[1].revents ? -ECANCELED : 0;
}

/* One read(2), after a wait where the source is one that waits. 0: the end. */
static ssize_t read_some(struct reader *r, char *bytes, size_t room)
{
	ssize_t n;
	do {
		int code = r->waits || r->wake_fd >= 0 ? await(r) : 0;
		if (code < 0)
			return code;
		n = io_read(r->fd, bytes, room);
	} while (n == -EAGAIN);
	r->ended = n == 0;
	if (n > 0)
		r->done += (uint64_t)n;
	return n;
}

/* Reads more packed bytes; there is room when some were used up. Returns what read_some does. */
static ssize_t read_packed(struct reader *r)
{
	memmove(r->packed, r->packed + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	ssize_t n = read_some(r, r->packed + r->len, PACKED_BYTES - r->len);
	if (n > 0)
		r->len += (size_t)n;
	return n;
}

/* What the first bytes say; UNKNOWN: they may still become a magic number. */
static enum packing sniff(const char *bytes, size_t len)
{
	static const struct {
		enum packing packing;
		size_t len;
		unsigned char mask0, magic[MAGIC_BYTES];
	} known[] = {
		{ GZIP, 2, 0xff, { 0x1f, 0x8b } },
		{ ZSTD, 4, 0xff, { 0x28, 0xb5, 0x2f, 0xfd } },
		{ ZSTD, 4, 0xf0, { 0x50, 0x2a, 0x4d, 0x18 } }, /* a skippable frame */
	};
	enum packing result = PLAIN;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = 0;
		while (n < len && n < known[i].len &&
			((unsigned char)bytes[n] & (n ? 0xff : known[i].mask0)) == known[i].magic[n])
			n++;
		if (n == known[i].len)
			return known[i].packing;
		if (n == len)
			result = UNKNOWN;
	}
	return result;
}

/* Reads as far as it takes to tell the packing. 0: told, or an empty source. */
static int start(struct reader *r)
{
	while ((r->packing = sniff(r->packed + r->at, r->len - r->at)) == UNKNOWN) {
		ssize_t n = read_packed(r);
		if (n < 0)
			return (int)n;
		if (n == 0) {
			/* A file may yet grow from nothing to anything, but what begins like a magic and ends is text. */
			r->packing = r->len > r->at ? PLAIN : UNKNOWN;
			return 0;
		}
	}
	if (r->packing == GZIP && inflateInit2(&r->gzip, MAX_WBITS + GZIP_WRAPPER) != Z_OK)
		return -ENOMEM;
	if (r->packing == ZSTD) {
		r->zstd = ZSTD_createDStream();
		if (!r->zstd)
			return -ENOMEM;
		(void)ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	return 0;
}

static ssize_t read_plain(struct reader *r, char *bytes, size_t room)
{
	size_t n = r->len - r->at < room ? r->len - r->at : room;
	if (!n)
		return read_some(r, bytes, room);
	memcpy(bytes, r->packed + r->at, n);
	r->at += n;
	return (ssize_t)n;
}

/* After a member: zero bytes to the end are padding; anything else must be the next member. */
static int skip_padding(struct reader *r)
{
	for (; r->at < r->len && r->packed[r->at] == 0; r->at++)
		r->padding = true;
	return r->padding && r->at < r->len ? -EBADMSG : 0;
}

/* One step of unpacking. *ret_made: bytes that came out. */
static int step_gzip(struct reader *r, char *bytes, size_t room, size_t *ret_made)
{
	*ret_made = 0;
	if (!r->inside && skip_padding(r) < 0)
		return fail(r, -EBADMSG, "something that is not gzip follows the gzip data");
	if (!r->inside && r->at == r->len)
		return 0;
	r->inside = true;
	r->gzip.next_in = (unsigned char *)r->packed + r->at;
	r->gzip.avail_in = (unsigned)(r->len - r->at);
	r->gzip.next_out = (unsigned char *)bytes;
	r->gzip.avail_out = room < UINT_MAX ? (unsigned)room : UINT_MAX;
	unsigned offered = r->gzip.avail_out;
	int z = inflate(&r->gzip, Z_NO_FLUSH);
	r->at = r->len - r->gzip.avail_in;
	*ret_made = offered - r->gzip.avail_out;
	if (z == Z_STREAM_END) {
		r->inside = false;
		z = inflateReset(&r->gzip);
	}
	if (z == Z_MEM_ERROR)
		return fail(r, -ENOMEM, "no memory to unpack");
	return z == Z_OK || z == Z_BUF_ERROR ? 0 : fail(r, -EBADMSG, "damaged gzip data");
}

static int step_zstd(struct reader *r, char *bytes, size_t room, size_t *ret_made)
{
	ZSTD_inBuffer in = { r->packed, r->len, r->at };
	ZSTD_outBuffer out = { bytes, room, 0 };
	*ret_made = 0;
	if (!r->inside && r->at == r->len)
		return 0;
	r->inside = true;
	size_t z = ZSTD_decompressStream(r->zstd, &out, &in);
	r->at = in.pos;
	*ret_made = out.pos;
	if (!ZSTD_isError(z)) {
		r->inside = z != 0;
		return 0;
	}
	if (ZSTD_getErrorCode(z) == ZSTD_error_frameParameter_windowTooLarge)
		return fail(r, -EBADMSG, "its zstd window is larger than 128 MiB");
	if (ZSTD_getErrorCode(z) == ZSTD_error_memory_allocation)
		return fail(r, -ENOMEM, "no memory to unpack");
	return fail(r, -EBADMSG, "damaged zstd data");
}

/* Unpacks until `room` is full, or until more would have to be waited for. */
static ssize_t read_unpacked(struct reader *r, char *bytes, size_t room)
{
	size_t total = 0;
	while (total < room) {
		size_t made, before = r->at;
		int code = r->packing == GZIP ? step_gzip(r, bytes + total, room - total, &made) :
						step_zstd(r, bytes + total, room - total, &made);
		total += made;
		if (code < 0)
			break;
		if (made || r->at != before)
			continue;
		if (total && r->waits)
			break;
		ssize_t n = r->ended ? 0 : read_packed(r);
		if (n < 0) {
			if (!total)
				return n;
			break; /* comes again by the next call */
		}
		if (n == 0) {
			if (r->inside)
				(void)fail(r, -EBADMSG,
					r->packing == GZIP ? "gzip data is cut short" : "zstd data is cut short");
			break;
		}
	}
	return total ? (ssize_t)total : r->failed;
}

ssize_t reader_read(struct reader *r, char *bytes, size_t room, struct err *err)
{
	int code = 0;
	ssize_t n = r->failed;
	if (!n && r->packing == UNKNOWN)
		code = start(r);
	if (!n && code == 0)
		n = r->packing == UNKNOWN ? 0 :
			r->packing == PLAIN ? read_plain(r, bytes, room) :
					      read_unpacked(r, bytes, room);
	if (code < 0)
		n = code;
	if (n == -ECANCELED)
		(void)err_at(err, r->name, 0, 0, "stopped");
	else if (n < 0 && !r->failed)
		(void)fail(r, (int)n, strerror((int)-n));
	if (n < 0 && n != -ECANCELED)
		*err = r->why;
	return n;
}

static int seek(struct reader *r, uint64_t bytes, struct err *err)
{
	if (bytes > INT64_MAX || lseek(r->fd, (off_t)bytes, SEEK_SET) < 0)
		return err_at(err, r->name, 0, 0, "cannot be read from byte %llu on", (unsigned long long)bytes);
	r->at = r->len = 0;
	r->ended = false;
	r->done = bytes;
	return 0;
}

int reader_skip(struct reader *r, uint64_t bytes, struct err *err)
{
	_free_ char *scratch = NULL;
	int code = bytes && r->packing == UNKNOWN && !r->failed ? start(r) : 0;
	if (!bytes)
		return 0;
	if (code == 0 && r->packing == PLAIN && !r->waits)
		return seek(r, bytes, err);
	scratch = mem_alloc(PACKED_BYTES);
	while (bytes) {
		ssize_t n = reader_read(r, scratch, bytes < PACKED_BYTES ? (size_t)bytes : PACKED_BYTES, err);
		if (n == 0)
			(void)err_at(err, r->name, 0, 0, "is shorter than what was read of it before");
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

bool reader_packed(const struct reader *r)
{
	return r->packing == GZIP || r->packing == ZSTD;
}
