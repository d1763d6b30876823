#pragma once
/*
 * webhook_scan -- private to webhook_body: where an item of a list ends, 64 bytes at a time.
 *
 * As the byte machine of webhook_body.c it looks at brackets and strings alone. A block in which
 * something is odd (a backslash outside of strings, a newline inside of one) is left to that
 * machine, so that both see the same in all bytes.
 */
#include <stdbool.h>
#include <stddef.h>

#include "router/base/view.h"

enum { ITEM_BLOCK = 64 };

struct item_scan {
	unsigned depth; /* open brackets */
	bool in_string;
	bool escaped;    /* the next byte is, by a backslash in a string */
	bool newline;    /* there was one between tokens */
	bool maybe_kind; /* some text at the item's own level may be "kind": item_has_kind() knows
			  */
};

/* Passes over whole blocks. Returns how many bytes it is past; *ret_ended: they end with the item's
 * last bracket. */
size_t item_scan(struct item_scan *, const char *bytes, size_t len, bool *ret_ended);
/* The same without what only some processors have, which is asked for at each call. */
size_t item_scan_plain(struct item_scan *, const char *bytes, size_t len, bool *ret_ended);
/* Has the item, an object that is whole, a text under the key kind, which is not written with
 * escapes? */
bool item_has_kind(struct view item);
/* The next quote, backslash or newline, or the end. */
const char *string_stop(const char *at, const char *end);
