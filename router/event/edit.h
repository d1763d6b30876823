#pragma once
/*
 * edit -- cuts and replacements in the bytes of an event: what is not touched keeps every byte.
 *
 * Edits are gathered first, in any order, as ranges of the event's bytes with their replacements, and then applied in one
 * copy. A range inside another vanishes with it; of two equal ranges the first one added wins. Ranges never overlap
 * otherwise: they are values and members of one JSON text. What a cut of a member leaves is valid JSON: its comma goes
 * with it.
 *
 * Used by the policy (levels, managedFields), redaction, and the size ladder.
 * Cost:    no allocation once the lists have grown. Threads: one owner.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/buf.h"
#include "router/base/view.h"
#include "router/event/event.h"

struct edit {
	const char *begin, *end; /* in the event's bytes; equal: an insertion */
	size_t text_at, text_len; /* the replacement, in edits.text */
	uint32_t order;          /* as added */
	bool member;             /* a member of an object that goes with its comma */
};

/* All zero is a valid empty one. */
struct edits {
	struct edit *list;       /* as added */
	uint32_t n, room;
	struct edit *resolved;   /* in order, disjoint, commas included: made by edits_length and edits_apply */
	uint32_t n_resolved, resolved_room;
	struct buf text;         /* the replacements */
};

void edits_finish(struct edits *);

static inline void edits_clear(struct edits *e)
{
	e->n = 0;
	e->text.len = 0;
}

static inline bool edits_none(const struct edits *e)
{
	return e->n == 0;
}

/* Replaces the bytes of `range`, a view into the event. The replacement is copied. */
void edits_replace(struct edits *, struct view range, struct view replacement);

/*
 * Cuts every member of `object` (a raw JSON value inside the event; of what is no object nothing) whose key, unescaped, is
 * one of `names`; all of duplicates. Returns how many it cut. An object that another edit adds a member to keeps one of its
 * own.
 */
uint32_t edits_cut_members(struct edits *, struct view object, const struct view *names, uint32_t n_names);
/*
 * The same for the event's bodies, wherever its form has them (a LogEntry: request and response of protoPayload), without another
 * look into them.
 */
enum edit_body { EDIT_REQUEST = 1, EDIT_RESPONSE = 2 };
uint32_t edits_cut_bodies(struct edits *, const struct event *, unsigned bodies);

/*
 * metadata.managedFields of an object, of a list's items and of a Table's rows (k8s.io/apiserver/pkg/audit/request.go,
 * removeManagedFields). Returns how many it cut.
 */
uint32_t edits_cut_managed_fields(struct edits *, struct view object);

/*
 * Makes annotations.NAME = "VALUE": replaces the value of a present one, adds a member to a present object, adds
 * `annotations` itself as the event's last member where there is none. Once an event and name. Of a LogEntry they are `labels`.
 */
void edits_set_annotation(struct edits *, const struct event *, struct view name, struct view value);

/* The length after all edits so far; more may be added after. */
size_t edits_length(struct edits *, struct view bytes);
/* Copies bytes, edited, to `out`, which has edits_length room. Returns the length. */
size_t edits_apply(struct edits *, struct view bytes, char *out);
