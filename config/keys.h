#pragma once
/*
 * keys -- what a mapping of the configuration says, key by key: merged pairs (<<) that an own key or a nearer merge
 * replaces are left out, repeated keys are told.
 *
 * Cost: n log n of the keys, so that a hostile file costs no more than its size.
 */
#include "config/settings.h"

struct keys {
	struct key {
		const struct pair *pair;
		const struct node *first; /* the key is repeated: where it stood first; else NULL */
	} *list;                          /* in the order of the file */
	size_t n;
};

/* `map` may be NULL or no mapping: no keys. Keys that are lists or mappings are kept, and never repeated. */
void keys_of(const struct node *map, struct keys *ret);
void keys_finish(struct keys *);

/* Reports a key that is no text, or repeated, and returns false then. */
bool keys_good(struct settings_reader *, const struct key *);

/* An error that names the nearest of `names` (NULL-terminated), or all of them where none is near. */
void keys_unknown(struct settings_reader *, const struct node *at, const char *what, const char *wrong,
	const char *const *names);

/* Text from the file for a message: at most SHOWN_MAX bytes, without control characters. Returns `text`. */
enum { SHOWN_MAX = 60, SHOWN_ROOM = SHOWN_MAX + 4 };
const char *shown(struct view, char text[SHOWN_ROOM]);
