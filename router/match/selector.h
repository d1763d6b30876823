#pragma once
/*
 * selector -- whom and what a rule is about, in the words of an audit Policy rule (audit.k8s.io/v1 PolicyRule).
 *
 * The one language of classifier tables, policies, redaction rules and an output's only/except; matcher.h says what
 * each list means. An empty list does not restrict. Our extensions (AuditFilter) have their own lists, empty in a
 * plain Policy.
 *
 * Reading:   selector_read takes the selector's keys out of a mapping of a tree and leaves the others to the caller.
 * Owner:     the strings are owned by the selector; selector_finish frees them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/tree.h"
#include "router/base/view.h"

/* A list that owns its texts; each is terminated by a zero byte past its end. All zero is a valid empty list. */
struct strings {
	struct view *list;
	size_t n;
};

void strings_add(struct strings *, struct view); /* a copy */
bool strings_have(const struct strings *, struct view);
void strings_finish(struct strings *);

struct group_resources {
	struct view group; /* "" is the core group, "*" every group */
	struct strings resources, resource_names;
};

struct code_range {
	int32_t first, last; /* inclusive */
};

struct selector {
	struct strings users, user_groups, verbs, namespaces, non_resource_urls;
	struct group_resources *resources;
	size_t n_resources;

	/* AuditFilter only */
	struct strings user_patterns, namespace_patterns; /* with * anywhere; an entry of users or of these suffices */
	struct strings clusters;
	struct code_range *codes;
	size_t n_codes;
	unsigned stages; /* bits 1 << enum event_stage; 0: any */
	uint32_t sample; /* one in so many, by hash of the auditID; 0 and 1: all */
};

/* Nothing is restricted: every event matches. */
bool selector_is_empty(const struct selector *);

/* The keys that selector_read knows, NULL-terminated, for "unknown key" messages. */
extern const char *const selector_keys[];

/*
 * Reads users, userGroups, verbs, namespaces, resources, nonResourceURLs from `map`, strictly: wrong types, unknown
 * keys inside `resources`, nonResourceURLs beside resources or namespaces, resourceNames without resources, URLs that
 * do not begin with `/` or have a `*` before their end, a key given twice are errors
 * added to `problems` with their place. Keys of `map` that are not the selector's are ignored. Returns whether nothing
 * was wrong; *ret is always safe to finish. (Policies have their own reader with upstream's leniency.)
 */
bool selector_read(struct selector *ret, const struct node *map, const char *file, struct problems *problems);
void selector_finish(struct selector *);
