/* A line an event, the event's own bytes. */
#include "router/format/format.h"

extern const struct format_ops format_ndjson;

static void ndjson_add(struct buf *body, const struct format_context *context, const struct batch *batch,
	uint32_t index)
{
	(void)context;
	buf_add_view(body, batch->records[index].bytes);
}

const struct format_ops format_ndjson = {
	.name = "ndjson",
	.help = "A line an event, byte for byte as it came.",
	.content_type = "application/x-ndjson",
	.between = { "\n", 1 },
	.tail = { "\n", 1 },
	.add = ndjson_add,
	.verbatim = true,
};
