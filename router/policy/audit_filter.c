/*
 * AuditFilter, our own kind: what its rules have beside a Policy's.
 *
 *   verdict: drop | keep      or   level: Metadata      what becomes of an event; one of the two
 *   users, namespaces         an entry with * in it is a pattern: * stands for any text; so are all of userPatterns and
 *                             namespacePatterns
 *   codes                     [403, "4xx", "500-599"] of the answer
 *   stages, clusters          of the event
 *   sample: 1/100             of what else matches one in so many, by hash of the auditID
 */

#include "router/base/buf.h"
#include "router/policy/policy_private.h"

struct filter_reader {
	const struct policy *policy;
	struct problems *problems;
	size_t index;
	bool good;
};

#define COMPLAIN(r, at, format, ...)                                                                                     \
	do {                                                                                                             \
		(r)->good = false;                                                                                       \
		policy_problem((r)->policy, (r)->problems, PROBLEM_ERROR, at, "rules[%zu]." format, (r)->index, ##__VA_ARGS__); \
	} while (0)

static void read_level(struct filter_reader *r, const struct value *level, struct policy_rule *rule)
{
	rule->level = event_level_parse(level->text);
	if (rule->level == LEVEL_UNKNOWN)
		COMPLAIN(r, level, "level: \"%.*s\" is none of None, Metadata, Request, RequestResponse", VIEW_ARGS(level->text));
}

static void read_verdict(struct filter_reader *r, const struct value *said, struct policy_rule *rule)
{
	const struct value *verdict = value_get(said, "verdict"), *level = value_get(said, "level");
	bool is_level = verdict && view_eq(verdict->text, VIEW("level"));
	rule->level = LEVEL_REQUEST_RESPONSE;
	if ((verdict && verdict->kind != VALUE_STRING) || (level && level->kind != VALUE_STRING)) {
		r->good = false;
	} else if (!verdict && !level) {
		COMPLAIN(r, said, "verdict: say drop, keep, or a level");
	} else if (verdict && !is_level && level) {
		COMPLAIN(r, level, "level: stands beside a verdict; a rule has one of the two");
	} else if (is_level && !level) {
		COMPLAIN(r, verdict, "verdict: level needs a level beside it");
	} else if (level) {
		read_level(r, level, rule);
	} else if (view_eq(verdict->text, VIEW("drop"))) {
		rule->level = LEVEL_NONE;
	} else if (!view_eq(verdict->text, VIEW("keep"))) {
		COMPLAIN(r, verdict, "verdict: \"%.*s\" is none of drop, keep, level", VIEW_ARGS(verdict->text));
	}
}

/* Entries with a star go to the patterns. */
static void split_patterns(struct strings *texts, struct strings *patterns, const struct value *more)
{
	struct strings exact = { 0 };
	for (size_t i = 0; i < texts->n; i++) {
		struct view text = texts->list[i];
		strings_add(text.len && memchr(text.ptr, '*', text.len) ? patterns : &exact, text);
	}
	policy_take_texts(patterns, more);
	strings_finish(texts);
	*texts = exact;
}

static bool read_digits(struct view *text, int32_t *ret)
{
	size_t n = 0;
	*ret = 0;
	for (; n < text->len && n < 3 && text->ptr[n] >= '0' && text->ptr[n] <= '9'; n++)
		*ret = *ret * 10 + text->ptr[n] - '0';
	text->ptr += n;
	text->len -= n;
	return n == 3;
}

/* 403, 4xx, 500-599 */
static bool read_code(struct view text, struct code_range *ret)
{
	if (text.len == 3 && text.ptr[0] >= '1' && text.ptr[0] <= '9' && (text.ptr[1] | 0x20) == 'x' && (text.ptr[2] | 0x20) == 'x') {
		ret->first = (text.ptr[0] - '0') * 100;
		ret->last = ret->first + 99;
		return true;
	}
	if (!read_digits(&text, &ret->first))
		return false;
	ret->last = ret->first;
	if (!text.len)
		return true;
	if (text.ptr[0] != '-')
		return false;
	text.ptr++;
	text.len--;
	return read_digits(&text, &ret->last) && !text.len && ret->last >= ret->first;
}

static void read_codes(struct filter_reader *r, const struct value *list, struct selector *s)
{
	if (!list || list->kind != VALUE_LIST || !list->n)
		return;
	s->codes = mem_zero(list->n, sizeof *s->codes);
	for (size_t i = 0; i < list->n; i++) {
		const struct value *code = list->items[i];
		bool text = code->kind == VALUE_STRING || code->kind == VALUE_NUMBER;
		if (text && read_code(code->text, &s->codes[s->n_codes]))
			s->n_codes++;
		else
			COMPLAIN(r, code, "codes[%zu]: write 403, 4xx or 500-599", i);
	}
}

static void read_stages(struct filter_reader *r, const struct value *list, struct selector *s)
{
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++) {
		const struct value *item = list->items[i];
		enum event_stage stage = item->kind == VALUE_STRING ? event_stage_parse(item->text) : STAGE_UNKNOWN;
		if (stage == STAGE_UNKNOWN)
			COMPLAIN(r, item, "stages[%zu]: allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic", i);
		else
			s->stages |= 1u << stage;
	}
}

static void read_sample(struct filter_reader *r, const struct value *said, struct selector *s)
{
	if (!said || said->kind == VALUE_NULL)
		return;
	struct view text = said->kind == VALUE_STRING || said->kind == VALUE_NUMBER ? said->text : VIEW("");
	uint64_t n = 0;
	bool good = view_starts(text, VIEW("1/")) && text.len > 2 && text.len <= 11;
	for (size_t i = 2; good && i < text.len; i++) {
		good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
		n = n * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	if (good && n)
		s->sample = (uint32_t)n;
	else if (!view_eq(text, VIEW("1")))
		COMPLAIN(r, said, "sample: write 1/N, as in 1/100");
}

bool audit_filter_rule(const struct policy *p, const struct value *said, size_t index, struct policy_rule *rule,
	struct problems *problems)
{
	struct filter_reader r = { p, problems, index, true };
	struct selector *s = &rule->selector;
	read_verdict(&r, said, rule);
	split_patterns(&s->users, &s->user_patterns, value_get(said, "userPatterns"));
	split_patterns(&s->namespaces, &s->namespace_patterns, value_get(said, "namespacePatterns"));
	policy_take_texts(&s->clusters, value_get(said, "clusters"));
	read_codes(&r, value_get(said, "codes"), s);
	read_stages(&r, value_get(said, "stages"), s);
	read_sample(&r, value_get(said, "sample"), s);
	return r.good;
}
