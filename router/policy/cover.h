#pragma once
/*
 * cover -- which requests do rules match that no rule above them matches? Exactly, by sets. Private to router/policy.
 *
 * Every value that no rule names is like every other one, so each dimension has as many elements as values are named, and
 * one for the rest; URLs have one for each prefix besides. What a rule matches is then a union of boxes, and a box less
 * a box is a few boxes. The caller's user may have any set of groups, or there is no user at all (a 401).
 * Rules with what only an AuditFilter has (patterns, codes, ...) cover nothing, and are taken for wider than they are.
 *
 * Cost: bounded; past the bound every question is answered by "not known to be".
 */
#include <stdbool.h>
#include <stddef.h>

#include "router/match/selector.h"

struct cover;

/* The first n_rules selectors are rules in order; the others are questions for cover_reached. NULL: too large to say. */
struct cover *cover_create(const struct selector *const *selectors, size_t n_rules, size_t n);
void cover_destroy(struct cover *); /* NULL is fine */

enum cover_by { COVER_NONE, COVER_ONE, COVER_TOGETHER };
/* Do the rules above this one match all that it matches: one of them (*ret_rule) or only several together? */
enum cover_by cover_shadow(struct cover *, size_t rule, size_t *ret_rule);
/* Do the rules together match every request? */
bool cover_complete(struct cover *);
/* reached[i]: rule i is the first to match some request that selector `question` matches. */
void cover_reached(struct cover *, size_t question, bool *reached);
