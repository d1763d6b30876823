#pragma once
/*
 * fingerprint -- the first bytes of a file, unpacked: which log this is, whatever it is called and wherever it lies.
 *
 * An audit log's first kilobyte has ids and times in it that no other has. A file that was shorter when its fingerprint was
 * taken is told by as many bytes as there were, but of so few that they may be the same in each (the start of a first event)
 * only whole lines count. A fingerprint of no bytes fits every file. Zero bytes in front are passed over, for they are the
 * same in each: a writer that does not append leaves as many as it wrote before, when its file is cut.
 */
#include <stdbool.h>
#include <stdint.h>

enum { HEAD_MAX = 1024, HEAD_TELLING = 160 };

struct fingerprint {
	uint64_t hash;
	uint32_t bytes;
};

struct head {
	char bytes[HEAD_MAX];
	uint32_t len;
	bool packed;
	bool damaged; /* packed, and less of it could be unpacked than is there: perhaps it is still being written */
};

/* The first bytes of the open regular file; it is left positioned anywhere. -errno: cannot be read. */
int head_read(struct head *ret_head, int fd, const char *path);
struct fingerprint fingerprint_of(const struct head *);
/* Begins the head with what the fingerprint was taken of? True of an empty fingerprint. */
bool fingerprint_fits(const struct fingerprint *, const struct head *);
