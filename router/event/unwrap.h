#pragma once
/*
 * unwrap -- audit events that already went through Google, AWS or Azure, found in the lines that their exports write.
 *
 * Asked only for lines that decode says are no events, so that plain events pay nothing. Two things can come of a line:
 *
 *   the line itself is the event    Google's LogEntry (event/log_entry.h), whose own bytes go on; and an event that
 *                                   CloudWatch's export to S3 has put its time and a space in front of
 *   texts in it are events          a string holds the event, escaped: `message` of CloudWatch, `properties.log` of Azure, alone or
 *                                   in a list of them (the rows of unwrap.c). What goes on are the string's own bytes, unescaped,
 *                                   which are those that the API server wrote
 *
 * One level: a text that holds another wrapper or a list is no event. Wrappers that hold something else (a control message,
 * another log of the cluster, another service) are named by unwrap_why, for the dead letter.
 *
 * Memory:  a text that grows with the longest event, and the scratch of log_entry; what a giant made grow is given back.
 * Pure. Threads: one owner.
 */
#include <stdbool.h>
#include <stddef.h>

#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/log_entry.h"
#include "router/event/text.h"

struct unwrap_row;

/* All zero is valid. */
struct unwrap {
	struct log_entry entry;
	struct buf text;             /* of the event in hand, unescaped */
	const struct unwrap_row *row; /* of the line in hand; NULL: it is no wrapper that is known */
	struct text_walk items;      /* of a list: what is left of it */
	struct view item;            /* what comes next; absent: see items */
	const char *why;             /* of the last line or text that is no event */
};

void unwrap_finish(struct unwrap *);

enum unwrap_kind {
	UNWRAP_NONE,  /* nothing that is known, or nothing that holds events: unwrap_why */
	UNWRAP_EVENT, /* *event is filled; its bytes lie in the line */
	UNWRAP_TEXTS, /* call unwrap_next */
};

/*
 * What decode found no event in. `result` and `*event` are what decode_line gave for it; `decoder` is another one than the
 * line's, used for what stands inside.
 */
enum unwrap_kind unwrap_line(struct unwrap *, struct view line, enum decode_result result, struct decoder *decoder,
	struct event *event);

/*
 * The next text of the line. False: there is none. DECODE_OK in *ret_result: an event, in the unwrap's own memory, until the
 * next call. Anything else: *ret_item, raw JSON of the line, holds no event, and unwrap_why says what it is.
 */
bool unwrap_next(struct unwrap *, struct decoder *, struct view *ret_item, enum decode_result *ret_result, struct event *ret_event);

/* The split that the LogEntry found last is a part of; uid is absent when it is whole. */
static inline const struct log_entry_split *unwrap_split(const struct unwrap *u)
{
	return &u->entry.split;
}

/* A sentence on why the line or item found last is no event, without its content; NULL: nothing is known of it. */
static inline const char *unwrap_why(const struct unwrap *u)
{
	return u->why;
}

/* As decode_line for bytes that were once taken for one event: Events and LogEntries. */
enum decode_result unwrap_decode(struct unwrap *, struct decoder *, struct view line, struct event *ret_event, size_t *ret_end);
