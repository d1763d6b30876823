#pragma once
/* real_log -- tests/data/audit.log.gz, unpacked. Where it cannot be read the program ends. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "router/base/buf.h"

static inline void real_log_read(struct buf *bytes)
{
	const char *source = getenv("AUDIT_ROUTER_SOURCE");
	char *path = mem_textf("%s/tests/data/audit.log.gz", source ? source : ".");
	gzFile file = gzopen(path, "rb");
	if (!file) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	for (int n = 1; n > 0; bytes->len += (size_t)n) {
		buf_reserve(bytes, 1 << 20);
		n = gzread(file, bytes->ptr + bytes->len, 1 << 20);
		assert(n >= 0);
	}
	gzclose(file);
	free(path);
}
