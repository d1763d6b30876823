#pragma once
/*
 * straight_gke -- the GKE split said once more, as a program, from the pages that classifiers/README.md names. The oracle
 * that the compiled table is compared with; nothing but tests uses it.
 */
#include "router/base/audit_class.h"
#include "router/base/view.h"
#include "router/match/matcher.h"

struct straight {
	const char *rule;
	enum audit_class class_;
};

static inline bool straight_in(struct view text, const char *const *names)
{
	for (; *names; names++)
		if (view_eq(text, view_of(*names)))
			return true;
	return false;
}

static inline struct straight straight_resource(const struct attributes *a)
{
	static const char *const reads[] = { "get", "list", "watch", NULL };
	static const char *const writes[] = { "create", "update", "patch", "delete", "deletecollection", NULL };
	static const char *const tunnels[] = { "exec", "attach", "portforward", "proxy", NULL };
	static const char *const tunnelled[] = { "pods", "services", "nodes", NULL };
	static const char *const access[] = { "subjectaccessreviews", "selfsubjectaccessreviews",
		"localsubjectaccessreviews", "selfsubjectrulesreviews", NULL };
	static const char *const identity[] = { "tokenreviews", "selfsubjectreviews", NULL };
	static const char *const secret[] = { "secrets", "configmaps", NULL };
	bool core = a->api_group.len == 0, plain = a->subresource.len == 0;
	bool create = view_eq(a->verb, VIEW("create"));

	if (core && straight_in(a->resource, tunnelled) && straight_in(a->subresource, tunnels))
		return (struct straight){ "connect", ADMIN_ACTIVITY };
	if (create && plain && view_eq(a->api_group, VIEW("authorization.k8s.io")) && straight_in(a->resource, access))
		return (struct straight){ "access-review", ADMIN_READ };
	if (create && plain && view_eq(a->api_group, VIEW("authentication.k8s.io")) &&
		straight_in(a->resource, identity))
		return (struct straight){ "authentication-review", ADMIN_READ };
	if (view_eq(a->subresource, VIEW("status")) && straight_in(a->verb, writes))
		return (struct straight){ "status-write", DATA_WRITE };
	if (core && view_eq(a->resource, VIEW("pods")) && view_eq(a->subresource, VIEW("log")) &&
		straight_in(a->verb, reads))
		return (struct straight){ "pod-log", DATA_READ };
	if (straight_in(a->verb, writes))
		return (struct straight){ "write", ADMIN_ACTIVITY };
	if (core && plain && straight_in(a->resource, secret) && straight_in(a->verb, reads))
		return (struct straight){ "secret-reads", ADMIN_READ };
	if (straight_in(a->verb, reads))
		return (struct straight){ "read", ADMIN_READ };
	return (struct straight){ "unknown", ADMIN_ACTIVITY };
}

static inline struct straight straight_gke(const struct attributes *a)
{
	static const char *const url_reads[] = { "get", "head", "options", NULL };
	if (a->is_resource)
		return straight_resource(a);
	if (straight_in(a->verb, url_reads))
		return (struct straight){ "url-read", ADMIN_READ };
	return (struct straight){ "url-write", ADMIN_ACTIVITY };
}
