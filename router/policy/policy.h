#pragma once
/*
 * policy -- an audit.k8s.io/v1 Policy as kube-apiserver 1.36 reads, validates and applies it, and our AuditFilter.
 *
 * Loading follows k8s.io/apiserver/pkg/audit/policy/reader.go and pkg/apis/audit/validation: YAML 1.1 or JSON, first
 * document, strict decoding first and on strict-only errors leniently with warnings; then group and version, then
 * validation of everything, then "0 rules". Errors carry upstream's words, with line and column added.
 * Evaluation follows pkg/audit/policy/checker.go on the server's view of the request (match/matcher.h).
 *
 * AuditFilter (apiVersion: audit-router/v1) is ours: the same rules with more selectors (codes, stages, clusters, wildcards
 * in users and namespaces, sample) and verdicts `keep | drop | level`. What no rule names is kept as it is: there is no
 * hidden default.
 *
 * Threads: immutable once loaded.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/buf.h"
#include "router/base/err.h"
#include "router/event/edit.h"
#include "router/event/event.h"
#include "router/match/matcher.h"

enum { POLICY_RULES_MAX = 8192 };

struct policy;

/*
 * -EINVAL: refused; `problems` has why, in upstream's words. Warnings (unknown or duplicate fields) come with 0 too.
 * `path` "-" is standard input.
 */
int policy_load(struct policy **ret_policy, const char *path, struct problems *problems);
int policy_parse(struct policy **ret_policy, const char *file, struct view bytes, struct problems *problems);
/*
 * As policy_load, for policy_lint and policy_print: where the policy is refused, *ret_policy holds what could be understood
 * all the same (NULL: nothing was read), and nothing may be decided with it. To be closed in any case.
 */
int policy_examine(struct policy **ret_policy, const char *path, struct problems *problems);
void policy_close(struct policy *); /* NULL is fine */

struct policy_decision {
	enum event_level level;   /* what the policy says; never above the event's own once applied */
	bool omitted;             /* the event's stage is omitted */
	bool omit_managed_fields; /* in force, also at None */
	int rule;                 /* index from 0; -1: none matched */
};

struct policy_decision policy_decide(const struct policy *, const struct event *, const struct attributes *);

/* Is the event written at all? (Level not None, stage not omitted.) */
static inline bool policy_keeps(struct policy_decision d)
{
	return d.level != LEVEL_NONE && !d.omitted;
}

/* What two policies, one after the other, make of an event: the lower level, and what either omits. The rule is b's. */
struct policy_decision policy_both(struct policy_decision a, struct policy_decision b);

/*
 * Adds the edits that bring the event down to the decision: `level` rewritten, bodies cut, managedFields cut. None where
 * nothing changes. The event is kept (policy_keeps). Once an event and struct edits; of several policies take policy_both.
 */
void policy_edit(struct policy_decision, const struct event *, struct edits *);

size_t policy_rules(const struct policy *);
bool policy_is_filter(const struct policy *);                           /* an AuditFilter */
enum event_level policy_rule_level(const struct policy *, size_t rule); /* drop: None; keep: RequestResponse */
unsigned policy_rule_line(const struct policy *, size_t rule);          /* in its file */
/* The policy as understood, as one line of JSON (`policy check --print`). */
void policy_print(const struct policy *, struct buf *out);
/* Adds what is legal but likely a mistake, as warnings with their places (lint.c lists the checks). */
void policy_lint(const struct policy *, struct problems *problems);
/* Both kinds of file as Markdown, for REFERENCE.md. */
void policy_print_reference(struct buf *out);
