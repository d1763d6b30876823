#pragma once
/*
 * matcher -- first-match rules compiled into bitsets: which is the first rule that an event meets?
 *
 * Rule:      k8s.io/apiserver/pkg/audit/policy/checker.go, ruleMatches, of Kubernetes 1.36. All lists of a rule must
 *            match; within a list any entry does. Byte-exact. users and userGroups of the authenticated user, never the
 *            impersonated one; `*` is no wildcard in users, groups, verbs or namespaces. resources: `pods` is not
 *            `pods/log`; a star behind `pods/` takes both; a star in front of `/x` is any resource with subresource x. nonResourceURLs:
 *            `*` last is a prefix (all trailing stars off), compared with the decoded path.
 * How:       each rule is one or more terms (one for each entry of `resources`); each dimension maps a value to the set
 *            of terms that allow it; the sets are ANDed and the lowest bit is the first rule. The cost hardly depends
 *            on the number of rules.
 * Cost:      no allocation, no lock, no branch on rules in matcher_first.
 * Threads:   immutable once built; share freely. The scratch of a call is the caller's stack (MATCHER_TERMS_MAX bits).
 */
#include <stdint.h>

#include "router/event/event.h"
#include "router/match/selector.h"

enum {
	MATCHER_TERMS_MAX = 16384,
	MATCHER_BYTES_MAX = 32 << 20,
	ATTRIBUTES_PATH_MAX = 4096, /* a decoded path longer than this is compared by its first bytes only */
};

/* What rules are matched on: the attributes of k8s.io/apiserver/pkg/audit/policy. Views, valid as long as the event's. */
struct attributes {
	bool has_user; /* false for a failed authentication: a rule with users or userGroups never matches */
	struct view user;
	const struct view *groups;
	uint32_t n_groups;
	struct view verb;
	bool is_resource;
	struct view namespace_, api_group, resource, subresource, name;
	struct view path; /* decoded, without query; only for non-resource requests */
	enum event_stage stage;
	int32_t code;         /* 0: none */
	enum event_log log;   /* for the classifier */
	struct view audit_id; /* for sample */
	struct view cluster;  /* whence it came: absent after attributes_of, for the caller to set */
	char path_room[ATTRIBUTES_PATH_MAX];
};

/*
 * The server's view of a request, from its event (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go): for create and
 * update, name and namespace are what the URL says, since objectRef was filled in from the body after the server had
 * evaluated its policy. Writes only the fields, never the whole of path_room.
 */
void attributes_of(const struct event *, struct attributes *ret);

struct matcher;

/*
 * Builds from n selectors, in order; they may be finished afterwards. -E2BIG: more than
 * MATCHER_TERMS_MAX terms, or more than about MATCHER_BYTES_MAX of values in one dimension.
 */
int matcher_create(struct matcher **ret_matcher, const struct selector *const *selectors, size_t n);
void matcher_destroy(struct matcher *); /* NULL is fine */

enum { MATCHER_NONE = -1 };
/* The index of the first selector that matches, or MATCHER_NONE. */
int matcher_first(const struct matcher *, const struct attributes *);
