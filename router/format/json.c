/* One JSON array a body, the events' own bytes as its elements. */
#include "router/format/format.h"

extern const struct format_ops format_json;

static void json_add(struct buf *body, const struct format_context *context, const struct batch *batch,
	uint32_t index)
{
	(void)context;
	buf_add_view(body, batch->records[index].bytes);
}

const struct format_ops format_json = {
	.name = "json",
	.help = "A JSON array of events, each byte for byte as it came.",
	.content_type = "application/json",
	.head = { "[", 1 },
	.between = { ",", 1 },
	.tail = { "]", 1 },
	.add = json_add,
	.verbatim = true,
};
