/*
 * From bytes to a policy: k8s.io/apiserver/pkg/audit/policy/reader.go, with k8s.io/apimachinery's recognition of
 * apiVersion and kind (runtime/serializer/json/meta.go: encoding/json, which finds both keys in any case).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/base/tree.h"
#include "router/policy/policy_private.h"

#define GROUP "audit.k8s.io"
#define SCHEME "in scheme \"pkg/runtime/scheme.go:111\""

void policy_problem(const struct policy *p, struct problems *problems, enum problem_weight weight, const struct value *at,
	const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problem_at(problems, weight, p->file, at->line, at->column, "%s", text);
}

/* ---- apiVersion and kind ---- */

struct kind_reader {
	const char *file;
	struct problems *problems;
	struct view api_version, kind;
	const struct value *api_version_at, *kind_at;
	bool failed;
};

/* encoding/json folds as Unicode does: the long s and the sign for Kelvin are letters too. */
static bool folds_to(struct view key, const char *name)
{
	size_t i = 0;
	for (; *name && i < key.len; name++) {
		char c = key.ptr[i];
		if (*name == 's' && view_starts((struct view){ key.ptr + i, key.len - i }, VIEW("\u017f")))
			i += 2;
		else if (*name == 'k' && view_starts((struct view){ key.ptr + i, key.len - i }, VIEW("\u212a")))
			i += 3;
		else if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) == *name)
			i++;
		else
			return false;
	}
	return !*name && i == key.len;
}

static void kind_problem(struct kind_reader *r, const struct value *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void kind_problem(struct kind_reader *r, const struct value *at, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problem_at(r->problems, PROBLEM_ERROR, r->file, at->line, at->column, "%s", text);
	r->failed = true;
}

static void take_text(struct kind_reader *r, const struct value *v, const char *name, struct view *text, const struct value **at)
{
	static const char *const types[] = { "", "bool", "number", "", "array", "object", "" };
	if (v->kind == VALUE_NULL)
		return;
	*at = v;
	if (v->kind == VALUE_STRING)
		*text = v->text;
	else
		kind_problem(r, v, "failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go struct "
			"field .%s of type string", types[v->kind], name);
}

static void find_kind(struct kind_reader *r, const struct value *root)
{
	static const char *const types[] = { "", "bool", "number", "string", "array", "", "" };
	if (root->kind != VALUE_MAP && root->kind != VALUE_NULL) {
		kind_problem(r, root, "failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value "
			"of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
			"\"json:\\\"kind,omitempty\\\"\" }", types[root->kind]);
		return;
	}
	for (size_t i = 0; root->kind == VALUE_MAP && i < root->n; i++) {
		const struct member *m = &root->members[i];
		if (folds_to(m->key, "apiversion"))
			take_text(r, m->value, "apiVersion", &r->api_version, &r->api_version_at);
		else if (folds_to(m->key, "kind"))
			take_text(r, m->value, "kind", &r->kind, &r->kind_at);
	}
}

static bool one_of(struct view text, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(text, view_of(*names)))
			return true;
	return false;
}

/* Kinds that upstream's scheme knows beside Policy: of the group's own, and of metav1 in every group and version of it. */
static const char *const group_kinds[] = { "Event", "EventList", "PolicyList", NULL };
static const char *const meta_kinds[] = { "WatchEvent", "ListOptions", "GetOptions", "DeleteOptions", "CreateOptions",
	"UpdateOptions", "PatchOptions", NULL };
static const char *const unversioned_kinds[] = { "Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList", NULL };

/* A kind that is not Policy, or a group and version that upstream does not know. */
static void refuse_kind(struct kind_reader *r, struct view group, struct view version)
{
	bool known_version = view_eq(group, VIEW(GROUP)) && view_eq(version, VIEW("v1"));
	bool internal = view_eq(group, VIEW(GROUP)) && view_eq(version, VIEW("__internal"));
	bool core = !group.len && view_eq(version, VIEW("v1"));
	bool converts = one_of(r->kind, unversioned_kinds) || ((known_version || core) && one_of(r->kind, meta_kinds)) ||
			(known_version && one_of(r->kind, group_kinds));
	const struct value *at = converts && r->kind_at ? r->kind_at : r->api_version_at ? r->api_version_at : r->kind_at;
	if (internal && view_eq(r->kind, VIEW("Policy")))
		kind_problem(r, at, "unknown group version field " GROUP "/__internal, Kind=Policy in policy");
	else if (internal && one_of(r->kind, group_kinds))
		kind_problem(r, at, "failed decoding: converting (audit.%.*s) to (audit.Policy): unknown conversion", VIEW_ARGS(r->kind));
	else if (converts)
		kind_problem(r, at, "failed decoding: converting (v1.%.*s) to (audit.Policy): unknown conversion", VIEW_ARGS(r->kind));
	else if (internal)
		kind_problem(r, at, "failed decoding: no kind \"%.*s\" is registered for the internal version of group \"" GROUP "\" " SCHEME,
			VIEW_ARGS(r->kind));
	else
		kind_problem(r, r->api_version_at && !known_version ? r->api_version_at : at,
			"failed decoding: no kind \"%.*s\" is registered for version \"%.*s%s%.*s\" " SCHEME, VIEW_ARGS(r->kind),
			VIEW_ARGS(group), group.len ? "/" : "", VIEW_ARGS(version));
}

/* "GROUP/VERSION", "VERSION", or nothing at all for "" and "/". */
static bool split_version(struct kind_reader *r, struct view *ret_group, struct view *ret_version)
{
	struct view v = r->api_version;
	*ret_group = *ret_version = VIEW("");
	if (!v.len || view_eq(v, VIEW("/")))
		return true;
	const char *slash = memchr(v.ptr, '/', v.len);
	if (!slash) {
		*ret_version = v;
		return true;
	}
	*ret_group = (struct view){ v.ptr, (size_t)(slash - v.ptr) };
	*ret_version = (struct view){ slash + 1, v.len - ret_group->len - 1 };
	if (!memchr(ret_version->ptr, '/', ret_version->len))
		return true;
	kind_problem(r, r->api_version_at, "failed decoding: unexpected GroupVersion string: %.*s", VIEW_ARGS(v));
	return false;
}

bool policy_read_kind(const char *file, const struct value *root, struct problems *problems, bool *ret_filter)
{
	struct kind_reader r = { .file = file, .problems = problems, .api_version = VIEW(""), .kind = VIEW("") };
	struct view group, version;
	*ret_filter = false;
	find_kind(&r, root);
	if (r.failed)
		return root->kind == VALUE_MAP;
	bool our_version = view_eq(r.api_version, VIEW("audit-router/v1")), our_kind = view_eq(r.kind, VIEW("AuditFilter"));
	if (our_version || our_kind) {
		*ret_filter = true;
		if (!our_version)
			kind_problem(&r, r.api_version_at ? r.api_version_at : r.kind_at, "an AuditFilter begins with apiVersion: audit-router/v1");
		else if (!our_kind && r.kind.len)
			kind_problem(&r, r.kind_at, "audit-router/v1 has one kind: AuditFilter");
		return true;
	}
	if (!r.kind.len)
		r.kind = VIEW("Policy");
	if (!split_version(&r, &group, &version))
		return true;
	if (!version.len && (!group.len || view_eq(group, VIEW(GROUP)))) {
		group = VIEW(GROUP);
		version = VIEW("__internal");
	}
	if (!r.api_version_at)
		r.api_version_at = root;
	bool policy = view_eq(r.kind, VIEW("Policy"));
	if (!version.len)
		kind_problem(&r, r.api_version_at, "failed decoding: Object 'apiVersion' is missing: \"%.*s\" names no version",
			VIEW_ARGS(r.api_version));
	else if (!policy || !view_eq(group, VIEW(GROUP)) || !view_eq(version, VIEW("v1")))
		refuse_kind(&r, group, version);
	return policy;
}

/* ---- a policy of it ---- */

void policy_take_texts(struct strings *to, const struct value *list)
{
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++)
		if (list->items[i]->kind == VALUE_STRING)
			strings_add(to, list->items[i]->text);
}

static void take_resources(struct selector *s, const struct value *list)
{
	if (!list || list->kind != VALUE_LIST || !list->n)
		return;
	s->resources = mem_zero(list->n, sizeof *s->resources);
	s->n_resources = list->n;
	for (size_t i = 0; i < list->n; i++) {
		struct group_resources *entry = &s->resources[i];
		const struct value *group = value_get(list->items[i], "group");
		struct view text = group && group->kind == VALUE_STRING ? group->text : VIEW("");
		entry->group = (struct view){ mem_text(text), text.len };
		policy_take_texts(&entry->resources, value_get(list->items[i], "resources"));
		policy_take_texts(&entry->resource_names, value_get(list->items[i], "resourceNames"));
	}
}

static unsigned stages_of(const struct value *list)
{
	unsigned bits = 0;
	for (size_t i = 0; list && list->kind == VALUE_LIST && i < list->n; i++) {
		enum event_stage stage = list->items[i]->kind == VALUE_STRING ? event_stage_parse(list->items[i]->text) : STAGE_UNKNOWN;
		if (stage != STAGE_UNKNOWN)
			bits |= 1u << stage;
	}
	return bits;
}

static void make_rule(struct policy *p, const struct value *said, size_t index, struct problems *problems)
{
	struct policy_rule *rule = &p->rules[index];
	rule->said = said;
	rule->omit_managed_fields = p->omit_managed_fields;
	rule->omit_stages = p->omit_stages;
	if (said->kind != VALUE_MAP) {
		rule->wrong = true;
		return;
	}
	struct selector *s = &rule->selector;
	policy_take_texts(&s->users, value_get(said, "users"));
	policy_take_texts(&s->user_groups, value_get(said, "userGroups"));
	policy_take_texts(&s->verbs, value_get(said, "verbs"));
	policy_take_texts(&s->namespaces, value_get(said, "namespaces"));
	policy_take_texts(&s->non_resource_urls, value_get(said, "nonResourceURLs"));
	take_resources(s, value_get(said, "resources"));
	const struct value *level = value_get(said, "level"), *managed = value_get(said, "omitManagedFields");
	rule->level = level && level->kind == VALUE_STRING ? event_level_parse(level->text) : LEVEL_UNKNOWN;
	rule->omit_stages |= stages_of(value_get(said, "omitStages"));
	if (managed && managed->kind == VALUE_BOOL)
		rule->omit_managed_fields = managed->truth;
	if (p->filter)
		rule->wrong = !audit_filter_rule(p, said, index, rule, problems);
	else
		rule->wrong = rule->level == LEVEL_UNKNOWN;
}

static void make_rules(struct policy *p, struct problems *problems)
{
	const struct value *rules = value_get(p->said, "rules"), *managed = value_get(p->said, "omitManagedFields");
	p->omit_stages = stages_of(value_get(p->said, "omitStages"));
	p->omit_managed_fields = managed && managed->kind == VALUE_BOOL && managed->truth;
	if (!rules || rules->kind != VALUE_LIST)
		return;
	if (rules->n > POLICY_RULES_MAX) {
		policy_problem(p, problems, PROBLEM_ERROR, rules, "more than %d rules", POLICY_RULES_MAX);
		return;
	}
	p->rules = mem_zero(rules->n ? rules->n : 1, sizeof *p->rules);
	p->n_rules = rules->n;
	for (size_t i = 0; i < rules->n; i++)
		make_rule(p, rules->items[i], i, problems);
}

static int compile(struct policy *p, struct problems *problems)
{
	const struct selector **selectors = mem_alloc((p->n_rules + 1) * sizeof *selectors);
	for (size_t i = 0; i < p->n_rules; i++)
		selectors[i] = &p->rules[i].selector;
	int r = matcher_create(&p->matcher, selectors, p->n_rules);
	free(selectors);
	if (r < 0)
		problem_at(problems, PROBLEM_ERROR, p->file, 0, 0, "the rules have more than %d entries, or too many values",
			MATCHER_TERMS_MAX);
	return r;
}

static int read_document(struct policy *p, const struct value *root, struct problems *problems)
{
	const size_t errors = problems->errors;
	struct shape_reader reader = { .document = p->document, .file = p->file, .problems = problems, .struct_name = "" };
	if (!policy_read_kind(p->file, root, problems, &p->filter))
		return -EINVAL;
	reader.ours = p->filter;
	p->said = shape_decode(&reader, p->filter ? &shape_audit_filter : &shape_policy, root);
	make_rules(p, problems);
	policy_validate(p, problems);
	if (!p->n_rules && !p->filter && problems->errors == errors)
		policy_problem(p, problems, PROBLEM_ERROR, p->said ? p->said : root, "loaded illegal policy with 0 rules");
	return problems->errors > errors ? -EINVAL : compile(p, problems);
}

/* *ret_policy is always there, whatever was understood. */
static int examine(struct policy **ret_policy, const char *file, struct view bytes, struct problems *problems)
{
	struct policy *p = mem_zero(1, sizeof *p);
	const struct value *root;
	p->file = mem_text(view_of(file));
	int r = document_parse(&p->document, &root, file, bytes, problems);
	if (r == 0)
		r = read_document(p, root, problems);
	*ret_policy = p;
	return r;
}

int policy_examine(struct policy **ret_policy, const char *path, struct problems *problems)
{
	cleanup(buf_finish) struct buf bytes = { 0 };
	bool from_stdin = strcmp(path, "-") == 0;
	const char *name = from_stdin ? "<stdin>" : path;
	int r = io_read_whole(from_stdin ? "/dev/stdin" : path, TREE_BYTES_MAX, &bytes);
	*ret_policy = NULL;
	if (r == 0)
		return examine(ret_policy, name, buf_view(&bytes), problems);
	if (r == -EFBIG)
		problem_at(problems, PROBLEM_ERROR, name, 0, 0, "longer than %d MiB", TREE_BYTES_MAX >> 20);
	else
		problem_at(problems, PROBLEM_ERROR, name, 0, 0, "cannot be read: %s", strerror(-r));
	return -EINVAL;
}

static int only_good(struct policy **ret_policy, struct policy *p, int r)
{
	if (r < 0) {
		policy_close(p);
		return -EINVAL;
	}
	*ret_policy = p;
	return 0;
}

int policy_parse(struct policy **ret_policy, const char *file, struct view bytes, struct problems *problems)
{
	struct policy *p;
	int r = examine(&p, file, bytes, problems);
	return only_good(ret_policy, p, r);
}

int policy_load(struct policy **ret_policy, const char *path, struct problems *problems)
{
	struct policy *p;
	int r = policy_examine(&p, path, problems);
	return only_good(ret_policy, p, r);
}
