#pragma once
/*
 * http_pack -- compresses request bodies. The states of zlib and zstd are made once and used again for each body.
 *
 * Threads: one owner.
 */
#include "router/base/buf.h"
#include "router/output/http_settings.h"

struct http_pack;

/* NULL for HTTP_PLAIN. */
struct http_pack *http_pack_create(enum http_compression);
void http_pack_destroy(struct http_pack *); /* NULL is fine */
/* Replaces what `packed` holds. */
void http_pack_body(struct http_pack *, struct view body, struct buf *packed);
/* Value of Content-Encoding. */
const char *http_pack_name(enum http_compression);
