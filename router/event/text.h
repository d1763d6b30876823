#pragma once
/*
 * text -- JSON strings and members outside the hot scanner: unescape, escape, walk an object that is known to be valid.
 *
 * All of it is for bytes that decode has accepted. Pure; no allocation but what a buf grows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/buf.h"
#include "router/base/view.h"

/*
 * Unescapes what stands between the quotes into `out` (raw.len bytes of room are always enough). Returns the length.
 * A lone surrogate becomes its three bytes in WTF-8, so that two different texts stay different; sinks that need clean
 * UTF-8 use text_add_clean.
 */
size_t text_unescape(struct view raw, char *out);

/* Adds a quoted JSON string. Bytes that are no UTF-8 become U+FFFD, one for each byte of a broken sequence, as Go does. */
void text_add_quoted(struct buf *, struct view text);

/* Bytes that are no UTF-8 become U+FFFD; nothing else changes. */
void text_add_clean(struct buf *, struct view bytes);
/* Is it all UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, no overlong forms)? */
bool text_is_utf8(struct view bytes);

/*
 * Walks the members of an object or the elements of an array. Start with the raw value ({...} or [...]); each call
 * moves on. `key` is the raw text between its quotes (empty for arrays); `whole` runs from the key's quote (or the
 * element) to the end of the value.
 */
struct text_walk {
	const char *at, *end;
};
struct text_member {
	struct view key;   /* raw, between the quotes; compare with text_key_is */
	struct view value; /* raw JSON value */
	struct view whole;
};
struct text_walk text_walk_start(struct view value); /* of a scalar: a walk without members */
bool text_walk_next(struct text_walk *, struct text_member *ret_member);
/* The same; members whose values are known already, as raw JSON values of the very bytes, are not scanned for their ends. */
bool text_walk_next_past(struct text_walk *, struct text_member *ret_member, const struct view *known, size_t n);
/* Is this raw key, unescaped, that name? */
bool text_key_is(struct view raw_key, struct view name);
/* The last member with that name (an empty view when there is none or `object` is no object). */
struct view text_get(struct view object, struct view name);
/* The end of the valid value that starts at `at`. */
const char *text_skip(const char *at, const char *end);
