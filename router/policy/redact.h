#pragma once
/*
 * redact -- takes secrets out of events before anything is stored, spooled, dead-lettered or sent.
 *
 * Kinds (`redact: [secrets, tokens]` is the default, `off` is none):
 *   secrets     data and stringData of Secrets: in objects, lists, patches of every kind, last-applied-configuration,
 *               managedFields
 *   tokens      TokenRequest and TokenReview, JWT-shaped strings anywhere, bearer parts of URLs
 *   env         values of environment variables in pod templates
 *   configmaps  data and binaryData of ConfigMaps
 *   own rules   a selector and a path: requestObject.spec.containers[*].env[*].value, with `mask` or `pseudonym`
 * What was cut is replaced by REDACT_MARK (or "hmac:HEX" for pseudonyms: keyed HMAC-SHA256, system: names kept) and counted.
 * Every result is valid JSON; bytes that are not cut stay.
 *
 * Threads: immutable once made; the scratch of a call is the caller's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/err.h"
#include "router/base/tree.h"
#include "router/event/edit.h"
#include "router/event/event.h"
#include "router/match/matcher.h"

#define REDACT_MARK "[redacted]"

struct redactor;

enum redact_kind { REDACT_SECRETS, REDACT_TOKENS, REDACT_ENV, REDACT_CONFIGMAPS, REDACT_OWN, REDACT_PSEUDONYM, REDACT_KINDS };

/* Reads the value of `redact:` (NULL node: the default). False: problems added. *ret is NULL for `off`. */
bool redactor_read(struct redactor **ret_redactor, struct settings_reader *, const struct node *node);
void redactor_destroy(struct redactor *); /* NULL is fine */

/* Scratch of one thread: texts that had to be unescaped to be looked into. All zero is valid. */
struct redact_scratch {
	struct buf text, path;
};
void redact_scratch_finish(struct redact_scratch *);

/* Adds the edits; `counts[kind]` grows by what was cut. Redactions inside a range that a policy cuts cost nothing more. */
void redact_edit(const struct redactor *, const struct event *, const struct attributes *, struct edits *,
	struct redact_scratch *, uint64_t counts[REDACT_KINDS]);
