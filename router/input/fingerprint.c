#include "router/input/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "router/base/crc32c.h"
#include "router/input/reader.h"

enum { BLOCK_BYTES = 16 * 1024 };

/* FNV-1a */
static uint64_t hash(const char *bytes, uint32_t len)
{
	uint64_t h = 0xcbf29ce484222325;
	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return h;
}

static uint32_t zeros_in_front(const char *bytes, uint32_t len)
{
	uint32_t n = 0;
	while (n < len && !bytes[n])
		n++;
	return n;
}

/* To the first byte, past a hole; where there is nothing but a hole, to its end. */
static int seek_start(int fd)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	if (lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO && lseek(fd, 0, SEEK_END) < 0)
		return -errno;
	return 0;
}

/* The line that the head begins, to its end. 0, or as reader_read. */
static ssize_t read_line(struct reader *reader, struct head *h, struct err *err)
{
	char block[BLOCK_BYTES];
	const char *bytes = h->bytes;
	size_t n = h->len;
	uint64_t len = 0;
	uint32_t crc = 0;
	for (;;) {
		const char *newline = memchr(bytes, '\n', n);
		n = newline ? (size_t)(newline + 1 - bytes) : n;
		n = n < HEAD_LINE_MAX - len ? n : HEAD_LINE_MAX - len;
		crc = crc32c_add(crc, bytes, n);
		len += n;
		if (newline || len == HEAD_LINE_MAX) {
			h->line = len << 32 | crc;
			return 0;
		}
		ssize_t r = h->len < HEAD_MAX ? 0 : reader_read(reader, block, sizeof block, err);
		if (r <= 0)
			return r;
		bytes = block;
		n = (size_t)r;
	}
}

int head_read(struct head *ret_head, int fd, const char *path)
{
	struct reader *reader;
	struct err err;
	int own = seek_start(fd) < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	int r = reader_open_fd(&reader, own, path, &err);
	if (r < 0)
		return r;
	ret_head->len = 0;
	ret_head->line = 0;
	ssize_t n = 0;
	while (ret_head->len < HEAD_MAX &&
		(n = reader_read(reader, ret_head->bytes + ret_head->len, HEAD_MAX - ret_head->len, &err)) > 0) {
		char *more = ret_head->bytes + ret_head->len;
		uint32_t zeros = ret_head->len ? 0 : zeros_in_front(more, (uint32_t)n);
		memmove(more, more + zeros, (size_t)n - zeros);
		ret_head->len += (uint32_t)n - zeros;
	}
	if (n >= 0)
		n = read_line(reader, ret_head, &err);
	ret_head->packed = reader_packed(reader);
	ret_head->damaged = n < 0;
	reader_close(reader);
	return n < 0 && n != -EBADMSG ? (int)n : 0;
}

struct fingerprint fingerprint_of(const struct head *h)
{
	uint32_t len = h->len;
	if (len < HEAD_TELLING)
		while (len && h->bytes[len - 1] != '\n')
			len--;
	return (struct fingerprint){ hash(h->bytes, len), len, h->line };
}

bool fingerprint_grows(const struct fingerprint *f, const struct head *h)
{
	return h->len > f->bytes || (h->line && !f->line);
}

bool fingerprint_fits(const struct fingerprint *f, const struct head *h)
{
	if (f->line && f->line != h->line && !(h->damaged && !h->line))
		return false;
	return f->bytes <= h->len && hash(h->bytes, f->bytes) == f->hash;
}

bool fingerprint_equals(const struct fingerprint *a, const struct fingerprint *b)
{
	return a->bytes == b->bytes && a->hash == b->hash && (!a->line || !b->line || a->line == b->line);
}
