#pragma once
/*
 * lines -- whole lines in chunks, out of a reader: what file and stdin inputs, and the commands that read FILEs, have in
 * common.
 *
 * A chunk begins at the start of a line and ends after a newline, or at the end of the source. A part of a line at the
 * end of a read is carried over to the next chunk. A line longer than a chunk makes the chunk grow; one longer than
 * `line_max` (without its newline) is passed over, and costs only itself. Of a damaged stream the part of a line before
 * the damage is handed over as the last line; of one that cannot be read on, it is not. lines_hold says of sources that may
 * yet grow what of that is kept back instead.
 *
 * Of the zero bytes that a source, or a line longer than a read, begins with, one is left: a log that is cut under a writer that does
 * not append begins with a hole, which may be longer than any line. The one is event/line.h's.
 *
 * Memory: chunks count against the budget; while a pipe or terminal is waited for, nothing of the budget is held.
 * Threads: one owner.
 */
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/view.h"

struct budget;
struct chunk;
struct lines;
struct reader;

enum lines_result {
	LINES_SOME,     /* *ret_chunk holds whole lines: the caller releases it */
	LINES_TOO_LONG, /* *ret_chunk holds the first LINES_HEAD_MAX bytes of a line of lines_long_total() bytes */
	LINES_END,      /* no more; the last line may have had no newline */
	LINES_FAILED,   /* *err is set; what was good came before */
	LINES_STOPPED,  /* the budget was stopped, or the reader woken (reader_wake_fd) */
};
enum { LINES_HEAD_MAX = 64 * 1024, LINES_CHUNK_BYTES = 256 * 1024 };

/* What becomes of a part of a line at the source's end that has no newline. Kept back: never handed over, and not counted by
 * lines_position; whoever reads the source again from there finds it whole. */
enum lines_hold {
	LINES_HOLD_NOTHING, /* it is the last line */
	LINES_HOLD_DAMAGED, /* kept back where the source is damaged: it may have been read while it was being written */
	LINES_HOLD_ALL,     /* kept back */
};

struct lines *lines_create(struct reader *, struct budget *, uint64_t line_max); /* the reader stays the caller's */
void lines_destroy(struct lines *);
void lines_hold(struct lines *, enum lines_hold); /* LINES_HOLD_NOTHING at first */
/* `call` is called before lines_next waits for the budget, and before it looks for the end of a line that is too long. */
void lines_before_wait(struct lines *, void (*call)(void *context), void *context);
enum lines_result lines_next(struct lines *, struct chunk **ret_chunk, struct err *);
uint64_t lines_long_total(const struct lines *);
uint64_t lines_position(const struct lines *); /* unpacked bytes up to the end of what lines_next last returned */
