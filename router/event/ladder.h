#pragma once
/*
 * ladder -- makes an event fit a collector's limit by taking out, step by step, what is largest and least missed.
 *
 * First managedFields, then responseObject, then requestObject; with the first of them the annotation that kube-apiserver's
 * own truncation sets (k8s.io/apiserver/plugin/pkg/audit/truncate: audit.k8s.io/truncated "true"). `level` stays, as there.
 *
 * Pure. Threads: no state of its own.
 */
#include "router/event/edit.h"

enum ladder_step {
	LADDER_FITS,            /* nothing had to go */
	LADDER_MANAGED_FIELDS,
	LADDER_RESPONSE_OBJECT,
	LADDER_REQUEST_OBJECT,
	LADDER_TOO_LARGE,       /* at its smallest it is still above the limit */
	LADDER_STEPS
};

/* Adds to edits (which may hold others) what makes the event at most bytes_max long. */
enum ladder_step ladder_fit(struct edits *, const struct event *, size_t bytes_max);
