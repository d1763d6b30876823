/* A line an event, the event's own bytes. */
#include "router/format/format.h"

extern const struct format_ops format_ndjson;

/*
 * Between two tokens JSON may have line breaks (an item of a hand-made EventList), and there alone: inside a string they
 * are escaped. As a space each means the same and no longer ends the line.
 */
static void join_lines(char *at, char *end)
{
	while ((at = memchr(at, '\n', (size_t)(end - at))))
		*at++ = ' ';
}

static void ndjson_add(struct buf *body, const struct format_context *context, const struct batch *batch,
	uint32_t index)
{
	(void)context;
	struct view event = batch->records[index].bytes;
	buf_reserve(body, event.len + 1);
	char *at = body->ptr + body->len;
	memcpy(at, event.ptr, event.len);
	join_lines(at, at + event.len);
	at[event.len] = '\n';
	body->len += event.len + 1;
}

const struct format_ops format_ndjson = {
	.name = "ndjson",
	.help = "A line an event, byte for byte as it came.",
	.content_type = "application/x-ndjson",
	.add = ndjson_add,
};
