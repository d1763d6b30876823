#include "router/event/event.h"

static const struct view level_names[] = {
	[LEVEL_UNKNOWN] = { "", 0 },
	[LEVEL_NONE] = { "None", 4 },
	[LEVEL_METADATA] = { "Metadata", 8 },
	[LEVEL_REQUEST] = { "Request", 7 },
	[LEVEL_REQUEST_RESPONSE] = { "RequestResponse", 15 },
};

static const struct view stage_names[] = {
	[STAGE_UNKNOWN] = { "", 0 },
	[STAGE_REQUEST_RECEIVED] = { "RequestReceived", 15 },
	[STAGE_RESPONSE_STARTED] = { "ResponseStarted", 15 },
	[STAGE_RESPONSE_COMPLETE] = { "ResponseComplete", 16 },
	[STAGE_PANIC] = { "Panic", 5 },
};

/* 0, the unknown one, for every other text. */
static unsigned find(const struct view *names, unsigned n, struct view text)
{
	for (unsigned i = n - 1; i > 0; i--)
		if (view_eq(names[i], text))
			return i;
	return 0;
}

enum event_level event_level_parse(struct view text)
{
	return find(level_names, sizeof level_names / sizeof *level_names, text);
}

enum event_stage event_stage_parse(struct view text)
{
	return find(stage_names, sizeof stage_names / sizeof *stage_names, text);
}

const char *event_level_name(enum event_level level)
{
	return level_names[level].ptr;
}
