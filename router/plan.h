#pragma once
/*
 * plan -- everything that decides what becomes of an event, immutable: classifier, data_access, policy, and for each lane
 * its only/except and policy. A reload builds a new one and swaps the pointer between two chunks; batches hold the one they were routed by.
 *
 * Threads: immutable but for the counts, which are relaxed; reference counted.
 */
#include <stdbool.h>
#include <stdint.h>

#include "classifiers/classifier.h"
#include "config/config.h"
#include "router/match/matcher.h"
#include "router/output/output.h"
#include "router/policy/policy.h"

/* What a policy dropped, by rule; the last count is of events that no rule matched. Plans with the same policy share it. */
struct plan_drops {
	_Atomic uint32_t references;
	_Atomic uint64_t by_rule[];
};

struct plan_policy {
	struct policy *policy;
	const char *path; /* as in the configuration */
	struct plan_drops *drops;
	size_t first_by_rule;        /* of the plan's n_by_rule: the policy's rules, and one more */
};

struct plan_lane {
	const struct config_output *output;
	enum audit_class class_;
	unsigned number;               /* of the lane, in all that is kept by lane */
	enum record_key key;
	struct matcher *only, *except; /* NULL: unsaid */
	uint64_t max_event_bytes;      /* 0: none */
	const struct plan_policy *policy; /* the output's own, which the plan owns; NULL: none */
};

struct plan {
	_Atomic uint32_t references;
	const struct config *config;
	struct config *owned;        /* the same, where the plan frees it (a reload's) */
	struct classifier *classifier;
	struct plan_policy policy;   /* of the top level; .policy == NULL: none */
	struct plan_policy *output_policies; /* by output */
	size_t n_by_rule;            /* counts of all policies */
	struct plan_lane *lanes;     /* sorted by class, then as in the file */
	unsigned n_lanes;
	unsigned class_first[AUDIT_CLASSES + 1]; /* lanes of class c: class_first[c] .. class_first[c + 1] - 1 */
};

int plan_create(struct plan **ret_plan, const struct config *, struct problems *);
/*
 * Gives a reloaded plan's lanes the numbers that they have in the plan of the start, whose lanes are those that run, and what of
 * them only a restart changes; a policy that means what it means in the running plan goes on counting what its rules drop, a
 * changed one begins at 0, since its rules are others. -EINVAL: the plan has a lane that does not run, or lacks one that runs
 * and whose class data_access leaves on; `err` names the output.
 */
int plan_adopt(struct plan *reloaded, const struct plan *started, const struct plan *running, struct err *err);
/* Adds these n_by_rule counts to what the policies dropped. */
void plan_count_drops(const struct plan *, const uint64_t *by_rule);
struct plan *plan_hold(struct plan *);
void plan_release(struct plan *); /* NULL is fine */
