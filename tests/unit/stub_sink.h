#pragma once
/*
 * stub_sink -- what sinks of a test's own have alike: they open nothing, wait for their wake-up alone, and are called "test".
 * The test adds put, and what else it plays.
 */
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/output/output.h"

struct sink {
	int wake_fd;
	const struct config_output *output;
};

static inline int stub_sink_open(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	(void)err;
	*ret_sink = mem_zero(1, sizeof **ret_sink);
	**ret_sink = (struct sink){ options->wake_fd, options->output };
	return 0;
}

static inline void stub_sink_wait(struct sink *sink, int timeout_ms)
{
	output_wait_fd(sink->wake_fd, timeout_ms);
}

static inline void stub_sink_close(struct sink *sink)
{
	free(sink);
}

static inline void stub_sink_describe(const struct config *c, const struct config_output *o, enum audit_class k, char *text,
	size_t room)
{
	(void)c, (void)o, (void)k;
	(void)snprintf(text, room, "test");
}
