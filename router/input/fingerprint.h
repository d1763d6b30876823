#pragma once
/*
 * fingerprint -- the first bytes of a file, unpacked: which log this is, whatever it is called and wherever it lies.
 *
 * The first kilobyte, and the whole first line: an event begins with what a client may choose (auditID, requestURI), and only its
 * last fields are the apiserver's times, so by the first kilobyte alone a client could make two logs look like one. A file that was
 * shorter when its fingerprint was taken is told by as many bytes as there were, but of so few that they may be the same in each
 * (the start of a first event) only whole lines count. A fingerprint of no bytes fits every file. Zero bytes in front are passed over, for they are the
 * same in each: a writer that does not append leaves as many as it wrote before, when its file is cut.
 */
#include <stdbool.h>
#include <stdint.h>

enum { HEAD_MAX = 1024, HEAD_TELLING = 160, HEAD_LINE_MAX = 32 << 20 };

struct fingerprint {
	uint64_t hash;
	uint32_t bytes;
	uint64_t line; /* of the first line: 2^32 times its length, and its CRC32C; 0: it was not whole */
};

struct head {
	char bytes[HEAD_MAX];
	uint32_t len;
	uint64_t line; /* as a fingerprint's; of a line longer than HEAD_LINE_MAX so many bytes are looked at */
	bool packed;
	bool damaged; /* packed, and less of it could be unpacked than is there: perhaps it is still being written */
};

/* The first bytes of the open regular file; it is left positioned anywhere. -errno: cannot be read. */
int head_read(struct head *ret_head, int fd, const char *path);
struct fingerprint fingerprint_of(const struct head *);
/* Does the head say more than the fingerprint, which fits it? */
bool fingerprint_grows(const struct fingerprint *, const struct head *);
/* Begins the head with what the fingerprint was taken of? True of an empty fingerprint. */
bool fingerprint_fits(const struct fingerprint *, const struct head *);
/* May both be of one file? Where one of the two first lines was not whole, the bytes before decide. */
bool fingerprint_equals(const struct fingerprint *, const struct fingerprint *);
