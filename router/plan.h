#pragma once
/*
 * plan -- everything that decides what becomes of an event, immutable: classifier, data_access, and for each lane its
 * only/except. A reload builds a new one and swaps the pointer between two chunks; batches hold the one they were routed by.
 *
 * Threads: immutable; reference counted.
 */
#include <stdbool.h>
#include <stdint.h>

#include "classifiers/classifier.h"
#include "config/config.h"
#include "router/match/matcher.h"
#include "router/output/output.h"

struct plan_lane {
	const struct config_output *output;
	enum audit_class class_;
	enum record_key key;
	struct matcher *only, *except; /* NULL: unsaid */
	uint64_t max_event_bytes;      /* 0: none */
};

struct plan {
	_Atomic uint32_t references;
	const struct config *config; /* outlives the plan */
	struct classifier *classifier;
	struct plan_lane *lanes;     /* sorted by class, then as in the file; index = lane's number */
	unsigned n_lanes;
	unsigned class_first[AUDIT_CLASSES + 1]; /* lanes of class c: class_first[c] .. class_first[c + 1] - 1 */
};

int plan_create(struct plan **ret_plan, const struct config *, struct problems *);
struct plan *plan_hold(struct plan *);
void plan_release(struct plan *); /* NULL is fine */
