#include "router/input/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "router/input/reader.h"

/* FNV-1a */
static uint64_t hash(const char *bytes, uint32_t len)
{
	uint64_t h = 0xcbf29ce484222325;
	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return h;
}

int head_read(struct head *ret_head, int fd, const char *path)
{
	struct reader *reader;
	struct err err;
	int own = lseek(fd, 0, SEEK_SET) < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	int r = reader_open_fd(&reader, own, path, &err);
	if (r < 0)
		return r;
	ret_head->len = 0;
	ssize_t n;
	while ((n = reader_read(reader, ret_head->bytes + ret_head->len, HEAD_MAX - ret_head->len, &err)) > 0 &&
		(ret_head->len += (uint32_t)n) < HEAD_MAX)
		continue;
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
	return (struct fingerprint){ hash(h->bytes, len), len };
}

bool fingerprint_fits(const struct fingerprint *f, const struct head *h)
{
	return f->bytes <= h->len && hash(h->bytes, f->bytes) == f->hash;
}
