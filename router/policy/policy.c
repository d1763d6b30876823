#include "router/policy/policy.h"

#include <assert.h>
#include <stdlib.h>

#include "router/event/text.h"
#include "router/policy/policy_private.h"

struct policy_decision policy_decide(const struct policy *p, const struct event *e, const struct attributes *a)
{
	int rule = matcher_first(p->matcher, a);
	if (rule == MATCHER_NONE)
		return (struct policy_decision){
			.level = p->filter ? LEVEL_REQUEST_RESPONSE : LEVEL_NONE,
			.omitted = p->omit_stages >> e->stage & 1,
			.omit_managed_fields = p->omit_managed_fields,
			.rule = -1,
		};
	const struct policy_rule *r = &p->rules[rule];
	return (struct policy_decision){
		.level = r->level,
		.omitted = r->omit_stages >> e->stage & 1,
		.omit_managed_fields = r->omit_managed_fields,
		.rule = rule,
	};
}

struct policy_decision policy_both(struct policy_decision a, struct policy_decision b)
{
	return (struct policy_decision){
		.level = a.level < b.level ? a.level : b.level,
		.omitted = a.omitted || b.omitted,
		.omit_managed_fields = a.omit_managed_fields || b.omit_managed_fields,
		.rule = b.rule,
	};
}

/* The value of `level` with its quotes: where it had escapes, its view lies elsewhere. */
static struct view level_range(const struct event *e)
{
	const char *at = e->level_text.ptr;
	if (at > e->bytes.ptr && at < e->bytes.ptr + e->bytes.len)
		return (struct view){ at - 1, e->level_text.len + 2 };
	return text_get(e->bytes, VIEW("level"));
}

/* A LogEntry has no level to be lowered: what is cut is all that says so. */
static void lower_level(const struct event *e, enum event_level to, struct edits *edits)
{
	static const struct view quoted[] = {
		[LEVEL_UNKNOWN] = { "\"\"", 2 },
		[LEVEL_NONE] = { "\"None\"", 6 },
		[LEVEL_METADATA] = { "\"Metadata\"", 10 },
		[LEVEL_REQUEST] = { "\"Request\"", 9 },
		[LEVEL_REQUEST_RESPONSE] = { "\"RequestResponse\"", 17 },
	};
	if (e->level > to)
		edits_replace(edits, level_range(e), quoted[to]);
}

/* An event without a known level may hold bodies too: they go all the same. */
void policy_edit(struct policy_decision d, const struct event *e, struct edits *edits)
{
	assert(d.level != LEVEL_NONE && d.level != LEVEL_UNKNOWN);
	lower_level(e, d.level, edits);
	unsigned cut = d.level == LEVEL_METADATA ? EDIT_REQUEST | EDIT_RESPONSE : d.level == LEVEL_REQUEST ? EDIT_RESPONSE : 0;
	bool request = e->request_object.len && !(cut & EDIT_REQUEST), response = e->response_object.len && !(cut & EDIT_RESPONSE);
	if ((cut & EDIT_RESPONSE && e->response_object.len) || (cut & EDIT_REQUEST && e->request_object.len))
		(void)edits_cut_bodies(edits, e, cut);
	if (!d.omit_managed_fields)
		return;
	if (request && !view_eq(e->verb, VIEW("patch"))) /* patches are logged as they were sent */
		(void)edits_cut_managed_fields(edits, e->request_object);
	if (response)
		(void)edits_cut_managed_fields(edits, e->response_object);
}

size_t policy_rules(const struct policy *p)
{
	return p->n_rules;
}

bool policy_is_filter(const struct policy *p)
{
	return p->filter;
}

enum event_level policy_rule_level(const struct policy *p, size_t rule)
{
	assert(rule < p->n_rules);
	return p->rules[rule].level;
}

unsigned policy_rule_line(const struct policy *p, size_t rule)
{
	assert(rule < p->n_rules);
	return p->rules[rule].said->line;
}

void policy_close(struct policy *p)
{
	if (!p)
		return;
	matcher_destroy(p->matcher);
	for (size_t i = 0; i < p->n_rules; i++)
		selector_finish(&p->rules[i].selector);
	free(p->rules);
	document_close(p->document);
	free(p->file);
	free(p);
}
