#pragma once
/*
 * format -- how records become the body that a collector wants, and what its answer means. Each is one file of this
 * folder with one `const struct format_ops`, and one row of registry.c.
 *
 * Done at sending time from the event's own bytes, so queues, spools and dead letters hold plain events.
 * Pure: no clock, no I/O, no log. Threads: no state; any number of lanes at once.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/buf.h"
#include "router/lane/batch.h"

struct format_context {
	const struct config_output *output;
};

enum answer {
	ANSWER_DELIVERED, /* the record is stored */
	ANSWER_RETRY,     /* not now */
	ANSWER_DEAD,      /* never */
};

struct format_ops {
	const char *name;         /* as in `format:` */
	const char *help;
	const char *content_type; /* "application/x-ndjson" */
	/* Optional: what stands before the first, between any two, and after the last record. */
	struct view head, between, tail;
	/* Mandatory. Adds one record. */
	void (*add)(struct buf *body, const struct format_context *, const struct batch *, uint32_t index);
	/* add() adds the record's own bytes, no more and no fewer: a body can be sent out of the batches without being gathered. */
	bool verbatim;
	/*
	 * Optional. The meaning of a 2xx answer, record by record (n of them, in the order of add). Without it any 2xx means
	 * that all are delivered. False: the answer makes no sense; the whole request is to be sent again.
	 */
	bool (*answer)(struct view body, uint32_t n, enum answer *ret_answers);
};

extern const struct format_ops *const format_registry[];
const struct format_ops *format_find(const char *name);
