#include "router/output/http_pack.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

enum {
	GZIP_LEVEL = 1, /* 96 MB/s where level 6 does 46; the bodies are small beside what they save later */
	ZSTD_LEVEL = 1,
	GZIP_WINDOW = 15 + 16, /* 32 KiB, with a gzip header */
	GZIP_MEMORY = 8,
	GZIP_FRAME_MAX = 64, /* header and trailer, more than deflateBound knows of */
};

struct http_pack {
	enum http_compression kind;
	z_stream gzip;
	ZSTD_CCtx *zstd;
};

struct http_pack *http_pack_create(enum http_compression kind)
{
	if (kind == HTTP_PLAIN)
		return NULL;
	struct http_pack *p = mem_zero(1, sizeof *p);
	p->kind = kind;
	if (kind == HTTP_GZIP) {
		int r = deflateInit2(&p->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY);
		assert(r == Z_OK);
	} else {
		p->zstd = ZSTD_createCCtx();
		assert(p->zstd);
	}
	return p;
}

void http_pack_destroy(struct http_pack *p)
{
	if (!p)
		return;
	if (p->kind == HTTP_GZIP)
		(void)deflateEnd(&p->gzip);
	(void)ZSTD_freeCCtx(p->zstd);
	free(p);
}

static void pack_gzip(z_stream *z, struct view body, struct buf *packed)
{
	int r = deflateReset(z);
	assert(r == Z_OK);
	buf_reserve(packed, deflateBound(z, body.len) + GZIP_FRAME_MAX);
	z->next_in = (Bytef *)body.ptr;
	z->next_out = (Bytef *)packed->ptr;
	size_t in_left = body.len, out_left = packed->room;
	/* zlib counts in unsigned int; a body may be longer. */
	do {
		z->avail_in = in_left < UINT_MAX ? (uInt)in_left : UINT_MAX;
		z->avail_out = out_left < UINT_MAX ? (uInt)out_left : UINT_MAX;
		uInt in = z->avail_in, out = z->avail_out;
		r = deflate(z, in_left == in ? Z_FINISH : Z_NO_FLUSH);
		assert(r == Z_OK || r == Z_STREAM_END);
		in_left -= in - z->avail_in;
		out_left -= out - z->avail_out;
	} while (r != Z_STREAM_END);
	packed->len = packed->room - out_left;
}

static void pack_zstd(ZSTD_CCtx *z, struct view body, struct buf *packed)
{
	buf_reserve(packed, ZSTD_compressBound(body.len));
	size_t len = ZSTD_compressCCtx(z, packed->ptr, packed->room, body.ptr, body.len, ZSTD_LEVEL);
	assert(!ZSTD_isError(len));
	packed->len = len;
}

void http_pack_body(struct http_pack *p, struct view body, struct buf *packed)
{
	buf_clear(packed);
	if (p->kind == HTTP_GZIP)
		pack_gzip(&p->gzip, body, packed);
	else
		pack_zstd(p->zstd, body, packed);
}

const char *http_pack_name(enum http_compression kind)
{
	return kind == HTTP_GZIP ? "gzip" : kind == HTTP_ZSTD ? "zstd" : "identity";
}
