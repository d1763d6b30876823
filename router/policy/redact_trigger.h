#pragma once
/*
 * redact_trigger -- private to redact: do the bytes hold "eyJ", or "bearer" in letters of any size? Most events hold neither,
 * so that this one look over them is all that looking for tokens costs.
 *
 * Vectors: AVX2 where the processor has it, else the compiler's 16 bytes (SSE2, NEON, or what the machine has).
 */
#include "router/base/view.h"

bool redact_trigger(struct view bytes);

/* The same, one way each, for tests; `wide` is NULL where this machine has no AVX2. */
struct redact_trigger_ways {
	bool (*plain)(struct view), (*narrow)(struct view), (*wide)(struct view);
};
struct redact_trigger_ways redact_trigger_ways(void);
