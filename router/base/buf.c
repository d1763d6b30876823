#include "router/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_ROOM = 256 };

static _Noreturn void mem_fail(void)
{
	(void)fputs("level=error msg=\"out of memory\"\n", stderr);
	abort();
}

void *mem_alloc(size_t bytes)
{
	void *p = malloc(bytes ? bytes : 1);
	if (!p)
		mem_fail();
	return p;
}

void *mem_zero(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (!p)
		mem_fail();
	return p;
}

void *mem_resize(void *old, size_t bytes)
{
	void *p = realloc(old, bytes ? bytes : 1);
	if (!p)
		mem_fail();
	return p;
}

char *mem_text(struct view v)
{
	char *p = mem_alloc(v.len + 1);
	if (v.len)
		memcpy(p, v.ptr, v.len);
	p[v.len] = 0;
	return p;
}

char *mem_textf(const char *format, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, format);
	int len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		mem_fail();
	return text;
}

void buf_finish(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){ 0 };
}

void buf_reserve(struct buf *b, size_t more)
{
	if (more <= b->room - b->len)
		return;
	if (more > SIZE_MAX / 2 - b->len)
		mem_fail();
	size_t room = b->room ? b->room : BUF_FIRST_ROOM;
	while (room < b->len + more)
		room *= 2;
	b->ptr = mem_resize(b->ptr, room);
	b->room = room;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (!len)
		return;
	buf_reserve(b, len);
	memcpy(b->ptr + b->len, bytes, len);
	b->len += len;
}

void buf_add_view(struct buf *b, struct view v)
{
	buf_add(b, v.ptr, v.len);
}

void buf_add_byte(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->ptr[b->len++] = c;
}

void buf_addf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		mem_fail();
	buf_reserve(b, (size_t)len + 1);
	va_start(args, format);
	(void)vsnprintf(b->ptr + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
}

const char *buf_text(struct buf *b)
{
	buf_reserve(b, 1);
	b->ptr[b->len] = 0;
	return b->ptr;
}
