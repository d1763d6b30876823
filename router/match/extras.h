#pragma once
/*
 * extras -- what few rules ask and bitsets do not answer: patterns, clusters, stages, codes, sampling, and resource
 * patterns of absurd length. Checked one rule at a time, only for rules that have any, only when all else of the rule
 * matched. Private to router/match.
 */
#include "router/match/matcher.h"

enum { EXTRAS_RESOURCE_MAX = 512 }; /* longer resource patterns are matched here; see matcher.c */

struct extras;

/* NULL: the term needs none. `entry` is the entry of resources that the term stands for, or NULL. */
struct extras *extras_create(const struct selector *, const struct group_resources *entry);
void extras_destroy(struct extras *); /* NULL is fine */
bool extras_match(const struct extras *, const struct attributes *);

/* Does the rule leave users (namespaces, resources) to extras_match? */
bool extras_take_users(const struct selector *);
bool extras_take_namespaces(const struct selector *);
bool extras_take_resources(const struct group_resources *);
