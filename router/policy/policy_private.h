#pragma once
/* policy_private -- what the files of the policy engine share. Private to router/policy. */
#include "router/policy/document.h"
#include "router/policy/policy.h"
#include "router/policy/shape.h"

struct policy_rule {
	struct selector selector;
	const struct value *said;  /* the rule as decoded: a MAP, or BROKEN */
	enum event_level level;    /* drop: NONE; keep: REQUEST_RESPONSE */
	unsigned omit_stages;      /* bits 1 << enum event_stage, the policy's own included */
	bool omit_managed_fields;  /* in force */
	bool wrong;                /* has errors: its selector says nothing */
};

struct policy {
	char *file;
	struct document *document;
	const struct value *said;  /* decoded by shape_policy or shape_audit_filter */
	bool filter;               /* an AuditFilter */
	struct policy_rule *rules;
	size_t n_rules;
	unsigned omit_stages;      /* the policy's own */
	bool omit_managed_fields;
	struct matcher *matcher;
};

/* Which kind of document this is, or why it is none that is known (upstream's words). False: nothing else can be said. */
bool policy_read_kind(const char *file, const struct value *root, struct problems *, bool *ret_filter);

/* What upstream's validation finds, in its order and words; for an AuditFilter what its selectors share with a Policy. */
void policy_validate(const struct policy *, struct problems *);

/* The rules of an AuditFilter: checks and compiles what a Policy has not. False: told. */
bool audit_filter_rule(const struct policy *, const struct value *said, size_t index, struct policy_rule *ret, struct problems *);

/* A list of texts into strings; nothing where it is absent or broken. */
void policy_take_texts(struct strings *, const struct value *list);

/* Adds an error or warning at the place of a value. */
void policy_problem(const struct policy *, struct problems *, enum problem_weight, const struct value *at, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
