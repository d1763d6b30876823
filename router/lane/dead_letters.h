#pragma once
/*
 * dead_letters -- what can never be delivered, kept with the reason: one NDJSON file for each output, one for the inputs.
 *
 * A line:  {"time":"...","reason":"...","code":"...","input":"...","cluster":"...","output":"...","class":"...","event":{...}}
 *          `event` is the event as it is; bytes that are no JSON object stand as base64 in `bytes` instead, at most the
 *          first 64 KiB, with `bytes_total` when there was more. `where` is FILE:LINE of a broken line.
 * Durable: dead_letters_sync makes all that was added so far survive power loss; the ledger's closing of a span waits
 *          for nothing, but a checkpoint syncs first (as with file outputs).
 * Limit:   bytes_max; above it, and on a full disk, dead_letters_add returns -ENOSPC: the caller holds the event and
 *          tries again, never drops it. A torn last line is cut at open.
 * Cleared: the file may be moved, removed or cut at any time. Whatever adds or syncs looks first whether the path still is the file
 *          that is open, and as long as it was; else it opens what is there now, or makes it. So a full file takes letters again.
 *          A letter that was added and not yet synced: where the file was moved, it is synced there. Where it was removed, or another
 *          put in its place, it is written again to the new one, and as long as that cannot be done syncing fails, so no
 *          checkpoint passes it; kill -9 before that loses it with the file. Where it was cut, it is gone with what was cut, as
 *          is whatever was synced before a file was removed.
 * Threads: any, one mutex; a dead letter is rare.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/base/err.h"
#include "router/base/view.h"

struct dead_letters;

struct dead_letter {
	const char *reason;  /* a sentence, never content */
	const char *code;    /* a word: "not_json", "not_an_event", "too_long", "http_400", "too_large", "gap" (no event: `where` is gone) */
	const char *input;   /* name, or NULL */
	const char *cluster; /* the source's, or NULL, or "" */
	const char *output;  /* name, or NULL */
	const char *where;   /* FILE:LINE, or NULL */
	bool has_class;
	enum audit_class class_;
	bool is_json;        /* bytes are one JSON object */
	struct view bytes;   /* the event, or the first part of what was no event */
	uint64_t bytes_total; /* of the original; 0: bytes.len */
};

/* FOLDER/NAME.ndjson; folders are made, 0700. */
int dead_letters_open(struct dead_letters **ret, const char *folder, const char *name, uint64_t bytes_max,
	struct err *);
/* -ENOSPC; other -errno of opening and writing, as long as they last. */
int dead_letters_add(struct dead_letters *, const struct dead_letter *);
/* Also -ENOSPC: the file was removed, and what is at its path now has no room. What fdatasync says stays. */
int dead_letters_sync(struct dead_letters *);
uint64_t dead_letters_count(const struct dead_letters *); /* added since open */
const char *dead_letters_path(const struct dead_letters *);
void dead_letters_close(struct dead_letters *); /* NULL is fine; syncs */
