/* A line an event, the event's own bytes. */
#include "router/format/format.h"

extern const struct format_ops format_ndjson;

/*
 * Between two tokens JSON may have line breaks (an item of a hand-made EventList), and there alone: inside a string they
 * are escaped. As a space each means the same and no longer ends the line.
 */
static void join_lines(char *at, size_t len)
{
	char *end = at + len;
	while ((at = memchr(at, '\n', (size_t)(end - at))))
		*at++ = ' ';
}

static void ndjson_add(struct buf *body, const struct format_context *context, const struct batch *batch,
	uint32_t index)
{
	(void)context;
	struct view event = batch->records[index].bytes;
	buf_add_view(body, event);
	join_lines(body->ptr + body->len - event.len, event.len);
}

const struct format_ops format_ndjson = {
	.name = "ndjson",
	.help = "A line an event, byte for byte as it came.",
	.content_type = "application/x-ndjson",
	.between = { "\n", 1 },
	.tail = { "\n", 1 },
	.add = ndjson_add,
	.verbatim = true,
	.mend = join_lines,
};
