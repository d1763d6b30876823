#include "router/input/lines.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"

struct lines {
	struct reader *reader;
	struct budget *budget;
	uint64_t line_max;
	struct buf carry; /* read and not handed over yet: [at, carry.len) */
	size_t at;
	bool whole;       /* the carry holds at least one whole line */
	uint64_t position, long_total;
	uint64_t zeros;   /* passed over in front of what is handed over next */
	enum lines_result end; /* LINES_SOME: not yet at the end */
	enum lines_hold hold;
	bool damaged;          /* LINES_FAILED by -EBADMSG: the start of a line before the damage is handed over */
	struct err err;        /* of LINES_FAILED */
	void (*before_wait)(void *context); /* NULL: nobody wants to know */
	void *context;
};

struct lines *lines_create(struct reader *reader, struct budget *budget, uint64_t line_max)
{
	struct lines *l = mem_zero(1, sizeof *l);
	assert(line_max < UINT64_MAX / 4);
	l->reader = reader;
	l->budget = budget;
	l->line_max = line_max;
	return l;
}

void lines_destroy(struct lines *l)
{
	if (!l)
		return;
	buf_finish(&l->carry);
	free(l);
}

void lines_hold(struct lines *l, enum lines_hold hold)
{
	l->hold = hold;
}

void lines_before_wait(struct lines *l, void (*call)(void *context), void *context)
{
	l->before_wait = call;
	l->context = context;
}

static void tell_wait(const struct lines *l)
{
	if (l->before_wait)
		l->before_wait(l->context);
}

static int make_chunk(const struct lines *l, struct chunk **ret_chunk, size_t room)
{
	int r = chunk_try(ret_chunk, l->budget, room);
	if (r != -EAGAIN)
		return r;
	tell_wait(l);
	return chunk_create(ret_chunk, l->budget, room);
}

static int grow_chunk(const struct lines *l, struct chunk *c, size_t room)
{
	int r = chunk_try_grow(c, room);
	if (r != -EAGAIN)
		return r;
	tell_wait(l);
	return chunk_grow(c, room);
}

uint64_t lines_long_total(const struct lines *l)
{
	return l->long_total;
}

uint64_t lines_position(const struct lines *l)
{
	return l->position;
}

static struct view carried(const struct lines *l)
{
	return (struct view){ buf_view(&l->carry).ptr + l->at, l->carry.len - l->at };
}

static void set_carry(struct lines *l, const char *bytes, size_t len)
{
	buf_clear(&l->carry);
	buf_add(&l->carry, bytes, len);
	l->at = 0;
	l->whole = len && memchr(bytes, '\n', len);
}

/* The length of the lines at the start of `bytes`, which ends after a newline, that are not too long. */
static size_t good_lines(const struct lines *l, struct view bytes)
{
	if (bytes.len <= l->line_max)
		return bytes.len;
	for (size_t at = 0; at < bytes.len;) {
		size_t len = (size_t)((char *)memchr(bytes.ptr + at, '\n', bytes.len - at) - bytes.ptr) - at;
		if (len > l->line_max)
			return at;
		at += len + 1;
	}
	return bytes.len;
}

/* Gives back what a chunk that is less than half full does not need. */
static void trim(struct chunk *c)
{
	if (c->len >= c->room / 2)
		return;
	size_t room = c->len ? c->len : 1;
	c->bytes = mem_resize(c->bytes, room);
	budget_give(c->budget, c->room - room);
	c->room = room;
}

static enum lines_result hand_over(struct lines *l, struct chunk *c, size_t consumed, enum lines_result result,
	struct chunk **ret_chunk)
{
	trim(c);
	l->position += l->zeros + consumed;
	l->zeros = 0;
	*ret_chunk = c;
	return result;
}

/* A new chunk out of the first `len` bytes of the carry, of which `consumed` are then done with. */
static enum lines_result chunk_of_carry(struct lines *l, size_t len, size_t consumed, enum lines_result result,
	struct chunk **ret_chunk)
{
	struct chunk *c;
	if (make_chunk(l, &c, len ? len : 1) < 0)
		return LINES_STOPPED;
	memcpy(c->bytes, carried(l).ptr, len);
	c->len = len;
	l->at += consumed;
	return hand_over(l, c, consumed, result, ret_chunk);
}

/* The carry holds whole lines: as many as may go, or the one at its start that is too long. */
static enum lines_result lines_of_carry(struct lines *l, struct chunk **ret_chunk)
{
	struct view v = carried(l);
	const char *newline = memrchr(v.ptr, '\n', v.len);
	v.len = (size_t)(newline - v.ptr) + 1;
	size_t good = good_lines(l, v), first;
	enum lines_result result;
	if (good) {
		result = chunk_of_carry(l, good, good, LINES_SOME, ret_chunk);
	} else {
		first = (size_t)((char *)memchr(v.ptr, '\n', v.len) - v.ptr);
		l->long_total = first;
		result = chunk_of_carry(l, first < LINES_HEAD_MAX ? first : LINES_HEAD_MAX, first + 1, LINES_TOO_LONG,
			ret_chunk);
	}
	l->whole = memchr(carried(l).ptr, '\n', carried(l).len) != NULL;
	return result;
}

/* Reads; notes why there will be no more when it returns 0. */
static size_t read_more(struct lines *l, char *bytes, size_t room)
{
	if (l->end != LINES_SOME)
		return 0;
	ssize_t n = reader_read(l->reader, bytes, room, &l->err);
	if (n > 0)
		return (size_t)n;
	l->end = n == 0 ? LINES_END : n == -ECANCELED ? LINES_STOPPED : LINES_FAILED;
	l->damaged = n == -EBADMSG;
	return 0;
}

/* Of a source that is waited for: the carry grows, so that no share of the budget is held while waiting. */
static void fill_carry(struct lines *l)
{
	struct view rest = carried(l);
	if (l->at)
		memmove(l->carry.ptr, rest.ptr, rest.len);
	l->carry.len = rest.len;
	l->at = 0;
	buf_reserve(&l->carry, LINES_CHUNK_BYTES);
	size_t n = read_more(l, l->carry.ptr + l->carry.len, LINES_CHUNK_BYTES);
	l->whole = n && memchr(l->carry.ptr + l->carry.len, '\n', n);
	l->carry.len += n;
}

/* What follows the last newline is not handed over. */
static bool keeps_back(const struct lines *l)
{
	return l->end == LINES_STOPPED || (l->end == LINES_FAILED && (!l->damaged || l->hold != LINES_HOLD_NOTHING)) ||
	       (l->end == LINES_END && l->hold == LINES_HOLD_ALL);
}

/* The chunk holds the start of a line that is longer than line_max: keeps its head, reads on to its end. */
static enum lines_result skip_long(struct lines *l, struct chunk *c, struct chunk **ret_chunk)
{
	tell_wait(l);
	uint64_t total = c->len;
	char *scratch = c->bytes + LINES_HEAD_MAX, *newline = NULL;
	size_t head = c->len < LINES_HEAD_MAX ? c->len : LINES_HEAD_MAX, room = c->room - LINES_HEAD_MAX;
	while (l->end == LINES_SOME && !newline) {
		size_t n = read_more(l, scratch, room);
		newline = n ? memchr(scratch, '\n', n) : NULL;
		total += newline ? (size_t)(newline - scratch) : n;
		if (newline)
			set_carry(l, newline + 1, (size_t)(scratch + n - newline - 1));
	}
	if (!newline && (l->end == LINES_STOPPED || (l->hold != LINES_HOLD_NOTHING && keeps_back(l)))) {
		chunk_release(c);
		return l->end;
	}
	c->len = head;
	l->long_total = total;
	return hand_over(l, c, total + (newline != NULL), LINES_TOO_LONG, ret_chunk);
}

/* The source is at its end, and the chunk holds what follows its last newline. */
static enum lines_result last_line(struct lines *l, struct chunk *c, struct chunk **ret_chunk)
{
	if (!c->len || keeps_back(l)) {
		chunk_release(c);
		return l->end;
	}
	if (c->len <= l->line_max)
		return hand_over(l, c, c->len, LINES_SOME, ret_chunk);
	size_t len = c->len;
	l->long_total = len;
	c->len = len < LINES_HEAD_MAX ? len : LINES_HEAD_MAX;
	return hand_over(l, c, len, LINES_TOO_LONG, ret_chunk);
}

/* Of the zero bytes in front of a line all but one are passed over. */
static void pass_zeros(struct lines *l, struct chunk *c)
{
	size_t n = 0;
	while (n < c->len && !c->bytes[n])
		n++;
	if (n < 2)
		return;
	c->len -= n - 1;
	memmove(c->bytes, c->bytes + n - 1, c->len);
	l->zeros += n - 1;
}

/* Reads into a chunk, which begins with the carry, up to and past a newline; what is past the last one is carried. */
static enum lines_result lines_of_chunk(struct lines *l, struct chunk **ret_chunk)
{
	struct view start = carried(l);
	struct chunk *c;
	if (make_chunk(l, &c, start.len < LINES_CHUNK_BYTES ? LINES_CHUNK_BYTES : start.len) < 0)
		return LINES_STOPPED;
	memcpy(c->bytes, start.ptr, start.len);
	c->len = start.len;
	pass_zeros(l, c);
	set_carry(l, "", 0);
	for (const char *newline = NULL; !newline;) {
		if (c->len == c->room) {
			size_t room = c->room * 2 < l->line_max + 1 ? c->room * 2 : (size_t)l->line_max + 1;
			if (c->len > l->line_max)
				return skip_long(l, c, ret_chunk);
			if (grow_chunk(l, c, room) < 0) {
				chunk_release(c);
				return LINES_STOPPED;
			}
		}
		size_t n = read_more(l, c->bytes + c->len, c->room - c->len);
		if (!n)
			return last_line(l, c, ret_chunk);
		c->len += n;
		pass_zeros(l, c);
		n = n < c->len ? n : c->len;
		newline = memrchr(c->bytes + c->len - n, '\n', n);
		if (!newline)
			continue;
		size_t whole = (size_t)(newline - c->bytes) + 1;
		size_t good = good_lines(l, (struct view){ c->bytes, whole });
		set_carry(l, c->bytes + good, c->len - good);
		c->len = good;
	}
	if (c->len)
		return hand_over(l, c, c->len, LINES_SOME, ret_chunk);
	chunk_release(c);
	return lines_of_carry(l, ret_chunk);
}

enum lines_result lines_next(struct lines *l, struct chunk **ret_chunk, struct err *err)
{
	while (!l->whole && l->end == LINES_SOME && reader_waits(l->reader) && carried(l).len < LINES_CHUNK_BYTES)
		fill_carry(l);
	enum lines_result result = l->end;
	if (l->whole)
		result = lines_of_carry(l, ret_chunk);
	else if (carried(l).len || l->end == LINES_SOME)
		result = lines_of_chunk(l, ret_chunk);
	if (result == LINES_FAILED)
		*err = l->err;
	return result;
}
