#pragma once
/*
 * redaction -- an event without its secrets, as an event of its own: its bytes, decoded anew, so that nothing that comes
 * after (keys, formats, spools, dead letters) can see what was cut.
 *
 * Cost:    nothing beyond redact_edit where nothing is cut, which is nearly always; else a copy and a decode.
 * Threads: one owner.
 */
#include <stdatomic.h>

#include "router/event/decode.h"
#include "router/event/unwrap.h"
#include "router/policy/redact.h"

/* All zero is valid. */
struct redaction {
	struct redact_scratch scratch;
	struct edits edits;
	struct buf bytes;
	struct decoder *decoder;
	struct unwrap unwrap;
	struct event event;
};

void redaction_finish(struct redaction *);

/*
 * The event as it may leave: `e` itself, or one that is valid until the next call. `r` may be NULL. `attributes` are those of
 * the event as it came. `counts` (of REDACT_KINDS) grow.
 */
const struct event *redaction_event(struct redaction *, const struct redactor *r, const struct event *e,
	const struct attributes *, _Atomic uint64_t *counts);
/* The same for a line that is no event. True: something was cut, and it is no JSON any more. */
bool redaction_line(struct redaction *, const struct redactor *r, struct view line, struct view *ret_line,
	_Atomic uint64_t *counts);
