#include "router/redaction.h"

#include <assert.h>

enum { BYTES_KEPT = 1 << 20 };

void redaction_finish(struct redaction *x)
{
	redact_scratch_finish(&x->scratch);
	edits_finish(&x->edits);
	buf_finish(&x->bytes);
	decode_destroy(x->decoder);
	unwrap_finish(&x->unwrap);
	*x = (struct redaction){ 0 };
}

static void count(const uint64_t own[REDACT_KINDS], _Atomic uint64_t *counts)
{
	for (unsigned i = 0; i < REDACT_KINDS; i++)
		if (own[i])
			counts[i] += own[i];
}

static void start(struct redaction *x)
{
	buf_clear(&x->bytes);
	if (x->bytes.room > BYTES_KEPT)
		buf_finish(&x->bytes);
}

const struct event *redaction_event(struct redaction *x, const struct redactor *r, const struct event *e,
	const struct attributes *attributes, _Atomic uint64_t *counts)
{
	uint64_t own[REDACT_KINDS] = { 0 };
	size_t end;
	if (!r)
		return e;
	edits_clear(&x->edits);
	redact_edit(r, e, attributes, &x->edits, &x->scratch, own);
	if (edits_none(&x->edits))
		return e;
	count(own, counts);
	start(x);
	buf_reserve(&x->bytes, edits_length(&x->edits, e->bytes));
	x->bytes.len = edits_apply(&x->edits, e->bytes, x->bytes.ptr);
	if (!x->decoder)
		x->decoder = decode_create(DECODE_BEST);
	enum decode_result result = unwrap_decode(&x->unwrap, x->decoder, buf_view(&x->bytes), &x->event, &end);
	assert(result == DECODE_OK); /* what makes an event one is never cut */
	(void)result;
	return &x->event;
}

bool redaction_line(struct redaction *x, const struct redactor *r, struct view line, struct view *ret_line,
	_Atomic uint64_t *counts)
{
	uint64_t own[REDACT_KINDS] = { 0 };
	*ret_line = line;
	if (!r)
		return false;
	start(x);
	redact_broken(r, line, &x->bytes, own);
	count(own, counts);
	*ret_line = buf_view(&x->bytes);
	return !view_eq(line, *ret_line);
}
