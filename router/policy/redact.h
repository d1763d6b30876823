#pragma once
/*
 * redact -- takes secrets out of events before anything is stored, spooled, dead-lettered or sent.
 *
 * Kinds (`redact: [secrets, tokens]` is the default, `off` is none):
 *   secrets     data and stringData of Secrets: in objects, lists, Tables, patches of every kind, webhooks' patches in the
 *               annotations, JSON kept as text (last-applied-configuration), managedFields, and what an old server's
 *               error message quotes of a body
 *   tokens      TokenRequest and TokenReview, JWT-shaped strings anywhere, `Bearer ...` texts, query parameters of URLs
 *               that are called token, access_token, password and the like
 *   env         values of environment variables of containers
 *   configmaps  data and binaryData of ConfigMaps, in the same places as secrets
 *   own rules   a selector and paths: requestObject.spec.containers[*].env[*].value, with `mask` or `pseudonym`
 * A value that is cut becomes the text REDACT_MARK ("hmac:HEX" for pseudonyms: keyed HMAC-SHA256, system: names kept), a
 * token inside a longer text the mark inside it; names (keys) and null stay. All of it is counted by kind.
 * Every result is valid JSON; bytes that are not cut stay. Which objects are Secrets: those that say so by `kind`, whatever
 * surrounds them, and, for patches and other bodies without kind, those of a request for `secrets`.
 *
 * Cost:    for an event without bodies one vector pass over its bytes. Bodies are walked, once and without recursion, only
 *          where objectRef or a word in them hints at something. No allocation once the scratch has grown.
 * Threads: immutable once made; the scratch of a call is the caller's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/buf.h"
#include "router/base/err.h"
#include "router/base/tree.h"
#include "router/event/edit.h"
#include "router/event/event.h"
#include "router/match/matcher.h"

#define REDACT_MARK "[redacted]"

struct redactor;

enum redact_kind { REDACT_SECRETS, REDACT_TOKENS, REDACT_ENV, REDACT_CONFIGMAPS, REDACT_OWN, REDACT_PSEUDONYM, REDACT_KINDS };

extern const char *const redact_kind_names[REDACT_KINDS]; /* "secrets", ... */

/* Reads the value of `redact:` (NULL node: the default). False: problems added. *ret is NULL for `off`. */
bool redactor_read(struct redactor **ret_redactor, struct settings_reader *, const struct node *node);
void redactor_destroy(struct redactor *); /* NULL is fine */

/* Scratch of one thread. All zero is valid. */
struct redact_scratch {
	struct redact_work *work; /* made at first need */
};
void redact_scratch_finish(struct redact_scratch *);

/*
 * Adds the edits; `counts[kind]` grows by what was cut. Redactions inside a range that a policy cuts cost nothing more.
 * The event may be what decode filled in of JSON that is no event (DECODE_NOT_EVENT), as long as it is an object.
 */
void redact_edit(const struct redactor *, const struct event *, const struct attributes *, struct edits *,
	struct redact_scratch *, uint64_t counts[REDACT_KINDS]);

/*
 * What of a line that is no JSON may be kept: nobody can tell where its values end. Its tokens are masked, and it ends, with
 * the mark, before the first thing that may be a body or data. Nothing is kept of a piece out of the middle of an event, of what
 * is not text in bytes (UTF-16), and under own rules. Written to `out`.
 */
void redact_broken(const struct redactor *, struct view line, struct buf *out, uint64_t counts[REDACT_KINDS]);
