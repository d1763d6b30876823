#include "router/event/ladder.h"

static const struct view truncated = { "audit.k8s.io/truncated", 22 };

static bool fits(struct edits *e, const struct event *event, size_t bytes_max)
{
	return edits_length(e, event->bytes) <= bytes_max;
}

enum ladder_step ladder_fit(struct edits *e, const struct event *event, size_t bytes_max)
{
	if (fits(e, event, bytes_max))
		return LADDER_FITS;
	edits_set_annotation(e, event, truncated, VIEW("true"));
	if (edits_cut_managed_fields(e, event->request_object) + edits_cut_managed_fields(e, event->response_object) &&
		fits(e, event, bytes_max))
		return LADDER_MANAGED_FIELDS;
	if (edits_cut_bodies(e, event, EDIT_RESPONSE) && fits(e, event, bytes_max))
		return LADDER_RESPONSE_OBJECT;
	if (edits_cut_bodies(e, event, EDIT_REQUEST) && fits(e, event, bytes_max))
		return LADDER_REQUEST_OBJECT;
	return LADDER_TOO_LARGE;
}
