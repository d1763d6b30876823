#pragma once
/*
 * line -- what the commands and the pipeline do alike with lines of input: cut them, complete the items of a list, and
 * say what is wrong with one that is no event.
 *
 * Pure. Threads: no state.
 */
#include <stdbool.h>

#include "router/base/buf.h"
#include "router/base/view.h"
#include "router/event/decode.h"

/* The next line of `*rest` without its newline (a \r before it is white space to JSON); moves on. False: none left. */
bool line_next(struct view *rest, struct view *ret_line);

/*
 * line_next and decode_line in one, for a `*rest` that is not empty: the end of a line that is good is found by decoding it, so
 * that its bytes are looked at once. Zero bytes in front of an event are no part of its line: a log that was cut under a writer that
 * does not append goes on behind a hole, and so may one after a power cut.
 */
enum decode_result line_decode(struct decoder *, struct view *rest, struct view *ret_line, struct event *ret_event,
	size_t *ret_end);

/*
 * Adds each item of an EventList as a line of its own, completed to what the log back end writes: items have no kind and
 * apiVersion in a list (k8s.io/apiserver/plugin/pkg/audit/webhook), so `"kind":"Event"` and the list's apiVersion come in
 * front. An item that has a kind of its own, or is no object, stays as it is.
 */
void line_complete_items(struct list_items *, struct decoder *item_decoder, struct buf *out);

enum { LINE_REASON_ROOM = 256 };
/*
 * Why this line is no event: a sentence (never its content) into `reason`, a word for scripts as the result. Recognises
 * what people feed by mistake: pretty-printed JSON, objects side by side, the apiserver's legacy format, UTF-16. `why` is what
 * unwrap_why said, or NULL.
 */
const char *line_diagnose(struct view line, enum decode_result, size_t at, const char *why, char *reason);
