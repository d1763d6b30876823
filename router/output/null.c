/* null -- takes everything, keeps nothing: for measuring. */
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/output/output.h"

struct sink {
	int wake_fd;
};

static const struct setting rows[] = { { .key = NULL } };
static const struct section settings = {
	.name = "output.null",
	.help = "Takes every event and keeps none: for measuring.",
	.size = 1,
	.rows = rows,
};

static void describe(const struct config *config, const struct config_output *output, enum audit_class class_,
	char *text, size_t room)
{
	(void)config, (void)output, (void)class_;
	(void)snprintf(text, room, "nowhere");
}

static int open_sink(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	(void)err;
	*ret_sink = mem_zero(1, sizeof **ret_sink);
	(*ret_sink)->wake_fd = options->wake_fd;
	return 0;
}

static uint32_t put(struct sink *sink, struct batch *batch, uint32_t first)
{
	uint32_t n = batch->n - first;
	(void)sink;
	batch_delivered(batch, first, n);
	return n;
}

static void wait_(struct sink *sink, int timeout_ms)
{
	output_wait_fd(sink->wake_fd, timeout_ms);
}

static void close_sink(struct sink *sink)
{
	free(sink);
}

const struct output_ops output_null = {
	.name = "null",
	.help = "Takes every event and keeps none: for measuring.",
	.settings = &settings,
	.describe = describe,
	.open = open_sink,
	.put = put,
	.wait = wait_,
	.close = close_sink,
};
