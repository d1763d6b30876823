#pragma once
/*
 * buf -- bytes that grow, owned by whoever holds the struct. All zero is a valid empty buf.
 *
 * Memory:  a failed allocation ends the process (mem_fail): every growth here is bounded by a setting, so
 *          running out means the host is out, and a crash is safe (see lane/ledger.h).
 * Threads: one owner at a time.
 */
#include "router/base/view.h"

struct buf {
	char *ptr;
	size_t len;
	size_t room; /* bytes allocated */
};

void buf_finish(struct buf *);                             /* frees; the buf is empty and usable again */
void buf_reserve(struct buf *, size_t more);               /* room for so many more bytes */
void buf_add(struct buf *, const void *bytes, size_t len);
void buf_add_view(struct buf *, struct view);
void buf_add_byte(struct buf *, char);
void buf_addf(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *buf_text(struct buf *);                        /* adds a terminator that len does not count */

static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

static inline struct view buf_view(const struct buf *b)
{
	return (struct view){ b->ptr ? b->ptr : "", b->len };
}

/* Never NULL; the caller frees. Out of memory ends the process with one line on stderr and abort(). */
void *mem_alloc(size_t bytes);                             /* not zeroed */
void *mem_zero(size_t count, size_t size);
void *mem_resize(void *, size_t bytes);
char *mem_text(struct view);                               /* a terminated copy */
char *mem_textf(const char *format, ...) __attribute__((format(printf, 1, 2)));
