/*
 * k8s.io/apiserver/pkg/apis/audit/validation: what is wrong with a policy that could be decoded, in upstream's order and
 * words. What was of the wrong type was told by the decoder and is passed over here.
 */
#include <stdio.h>

#include "router/event/text.h"
#include "router/policy/policy_private.h"

enum { PATH_ROOM = 96, SUBDOMAIN_MAX = 253 };

static const char subdomain_rule[] =
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
	"alphanumeric character (e.g. 'example.com', regex used for validation is "
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

struct validation {
	const struct policy *policy;
	struct problems *problems;
	struct buf text;
};

static size_t utf8_next(struct view text, size_t at, uint32_t *ret)
{
	unsigned char c = (unsigned char)text.ptr[at];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	*ret = n == 1 ? c : c & (0x7fu >> n);
	for (size_t i = 1; i < n && at + i < text.len; i++)
		*ret = *ret << 6 | ((unsigned char)text.ptr[at + i] & 0x3f);
	return n;
}

/* strconv.IsPrint, as far as characters go that somebody may type: spaces, marks of direction and private use are not. */
static bool is_printable(uint32_t c)
{
	static const uint32_t not[][2] = { { 0, 0x1f }, { 0x7f, 0xa0 }, { 0xad, 0xad }, { 0x1680, 0x1680 }, { 0x2000, 0x200f },
		{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xe000, 0xf8ff }, { 0xfeff, 0xfeff },
		{ 0xfff0, 0xfffb }, { 0xe0000, 0x10ffff } };
	for (size_t i = 0; i < sizeof not / sizeof *not; i++)
		if (c >= not[i][0] && c <= not[i][1])
			return false;
	return true;
}

/* strconv.Quote, which is what %q prints. */
static void add_quoted(struct buf *out, struct view text)
{
	static const char short_for[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";
	buf_add_byte(out, '"');
	for (size_t i = 0, n; i < text.len; i += n) {
		uint32_t c;
		n = utf8_next(text, i, &c);
		const char *named = NULL;
		for (const char *s = short_for; *s && !named; s += 2)
			named = (uint32_t)(unsigned char)*s == c ? s + 1 : NULL;
		if (named)
			buf_addf(out, "\\%c", *named);
		else if (is_printable(c))
			buf_add(out, text.ptr + i, n);
		else
			buf_addf(out, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	buf_add_byte(out, '"');
}

/* As encoding/json, which also escapes what HTML minds. */
static void add_json_text(struct buf *out, struct view text)
{
	struct buf plain = { 0 };
	text_add_quoted(&plain, text);
	for (size_t i = 0; i < plain.len; i++) {
		if (strchr("<>&", plain.ptr[i]) && plain.ptr[i])
			buf_addf(out, "\\u%04x", plain.ptr[i]);
		else
			buf_add_byte(out, plain.ptr[i]);
	}
	buf_finish(&plain);
}

static void add_json_list(struct buf *out, const struct value *list)
{
	buf_add_byte(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_json_text(out, list->items[i]->kind == VALUE_STRING ? list->items[i]->text : VIEW(""));
	}
	buf_add_byte(out, ']');
}

/* "PATH: Invalid value: VALUE: WHY"; v->text holds the value. */
static void invalid(struct validation *v, const struct value *at, const char *path, const char *why)
{
	policy_problem(v->policy, v->problems, PROBLEM_ERROR, at, "%s: Invalid value: %s: %s", path, buf_text(&v->text), why);
	buf_clear(&v->text);
}

static void invalid_text(struct validation *v, const struct value *text, const char *path, const char *why)
{
	add_quoted(&v->text, text->text);
	invalid(v, text, path, why);
}

static bool is_list(const struct value *v)
{
	return v && v->kind == VALUE_LIST && v->n;
}

static void check_stages(struct validation *v, const struct value *list, const char *path)
{
	for (size_t i = 0; is_list(list) && i < list->n; i++) {
		char item[PATH_ROOM];
		if (list->items[i]->kind != VALUE_STRING || event_stage_parse(list->items[i]->text) != STAGE_UNKNOWN)
			continue;
		(void)snprintf(item, sizeof item, "%s[%zu]", path, i);
		invalid_text(v, list->items[i], item, "allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic");
	}
}

static void check_level(struct validation *v, const struct value *rule, const struct value *level, size_t index)
{
	if (level && level->kind != VALUE_STRING)
		return;
	if (!level || !level->text.len) {
		policy_problem(v->policy, v->problems, PROBLEM_ERROR, level ? level : rule, "rules[%zu].level: Required value", index);
	} else if (event_level_parse(level->text) == LEVEL_UNKNOWN) {
		add_json_text(&v->text, level->text);
		policy_problem(v->policy, v->problems, PROBLEM_ERROR, level,
			"rules[%zu].level: Unsupported value: %s: supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\"",
			index, buf_text(&v->text));
		buf_clear(&v->text);
	}
}

static void check_urls(struct validation *v, const struct value *urls, size_t index)
{
	for (size_t i = 0; is_list(urls) && i < urls->n; i++) {
		const struct value *url = urls->items[i];
		char path[PATH_ROOM];
		if (url->kind != VALUE_STRING || view_eq(url->text, VIEW("*")))
			continue;
		(void)snprintf(path, sizeof path, "rules[%zu].nonResourceURLs[%zu]", index, i);
		if (!view_starts(url->text, VIEW("/")))
			invalid_text(v, url, path, "non-resource URL rules must begin with a '/' character");
		if (url->text.len && memchr(url->text.ptr, '*', url->text.len - 1))
			invalid_text(v, url, path, "non-resource URL wildcards '*' must be the final character of the rule");
	}
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of a-z, 0-9 and, not at their ends, `-`, with dots between. */
static bool is_subdomain(struct view text)
{
	bool after = false; /* the last character was alphanumeric */
	for (size_t i = 0; i < text.len; i++) {
		bool alphanumeric = is_alphanumeric(text.ptr[i]), start = i == 0 || text.ptr[i - 1] == '.';
		if (text.ptr[i] == '.' ? !after : text.ptr[i] == '-' ? start : !alphanumeric)
			return false;
		after = alphanumeric;
	}
	return after;
}

static void check_resources(struct validation *v, const struct value *list, size_t index)
{
	for (size_t i = 0; is_list(list) && i < list->n; i++) {
		const struct value *entry = list->items[i], *group = value_get(entry, "group");
		const struct value *resources = value_get(entry, "resources"), *names = value_get(entry, "resourceNames");
		char path[PATH_ROOM];
		if (group && group->kind == VALUE_STRING && group->text.len && !view_eq(group->text, VIEW("*"))) {
			bool too_long = group->text.len > SUBDOMAIN_MAX, bad = !is_subdomain(group->text);
			char why[sizeof subdomain_rule + 64];
			(void)snprintf(why, sizeof why, "%s%s%s", too_long ? "must be no more than 253 characters" : "",
				too_long && bad ? "," : "", bad ? subdomain_rule : "");
			(void)snprintf(path, sizeof path, "rules[%zu].resources.group", index);
			if (too_long || bad)
				invalid_text(v, group, path, why);
		}
		if (is_list(names) && !is_list(resources) && !(resources && resources->kind == VALUE_BROKEN)) {
			(void)snprintf(path, sizeof path, "rules[%zu].resources.resourceNames", index);
			add_json_list(&v->text, names);
			invalid(v, names, path, "using resourceNames requires at least one resource");
		}
	}
}

static void check_both(struct validation *v, const struct value *rule, size_t index)
{
	const struct value *urls = value_get(rule, "nonResourceURLs");
	char path[PATH_ROOM];
	bool regular = is_list(value_get(rule, "resources")) || is_list(value_get(rule, "namespaces")) ||
		       is_list(value_get(rule, "namespacePatterns"));
	if (!is_list(urls) || !regular)
		return;
	(void)snprintf(path, sizeof path, "rules[%zu].nonResourceURLs", index);
	add_json_list(&v->text, urls);
	invalid(v, urls, path, "rules cannot apply to both regular resources and non-resource URLs");
}

void policy_validate(const struct policy *p, struct problems *problems)
{
	struct validation v = { .policy = p, .problems = problems };
	const struct value *rules = value_get(p->said, "rules");
	check_stages(&v, value_get(p->said, "omitStages"), "omitStages");
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct value *rule = rules->items[i];
		char path[PATH_ROOM];
		if (rule->kind != VALUE_MAP)
			continue;
		if (!p->filter)
			check_level(&v, rule, value_get(rule, "level"), i);
		check_urls(&v, value_get(rule, "nonResourceURLs"), i);
		check_resources(&v, value_get(rule, "resources"), i);
		(void)snprintf(path, sizeof path, "rules[%zu].omitStages", i);
		check_stages(&v, value_get(rule, "omitStages"), path);
		check_both(&v, rule, i);
	}
	buf_finish(&v.text);
}
