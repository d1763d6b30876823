/*
 * generate -- a seeded generator of realistic audit logs of any size.
 *
 * usage: generate --bytes 1GiB [--seed N] [--huge off] > FILE
 *
 * Modelled on the log of a real kube-apiserver (tests/data/audit.log.gz): each request gives RequestReceived, for watches
 * ResponseStarted, and ResponseComplete, under an auditID of its own; sizes are around 900 bytes in the median, 3.3 kB at
 * 90 %, 8 kB at 99 %, and a few of 100 kB to 2 MB (none with --huge off); times only grow; objects hold names, uids and
 * values that differ, so that the log packs about as well as a real one. The same seed gives the same bytes. It ends with
 * the first whole event at or past the size asked for.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "router/base/io.h"
#include "router/base/units.h"

/* A request never takes more than two bodies of 2 MB: what comes before a flush always has room. */
enum { ROOM = 8 << 20, FLUSH_AT = 4 << 20, BODY_MAX = 2000000 };
static_assert(FLUSH_AT + 2 * BODY_MAX + 65536 < ROOM, "room for one request");

static char bytes[ROOM];
static size_t len;
static uint64_t written, wanted, state;
static int64_t now_us = INT64_C(1795294800) * 1000000; /* 2026-11-21T21:00:00Z */
static uint64_t resource_version = 1000;
static bool huge = true;

struct user {
	const char *name, *groups, *agent, *extra;
};

static const struct user users[] = {
	{ "system:apiserver", "\"system:authenticated\",\"system:masters\"",
		"kube-apiserver/v1.36.3 (linux/amd64) kubernetes/f8a1c2d", "" },
	{ "system:kube-controller-manager", "\"system:authenticated\"",
		"kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/f8a1c2d/leader-election", "X509SHA256=" },
	{ "system:kube-scheduler", "\"system:authenticated\"",
		"kube-scheduler/v1.36.3 (linux/amd64) kubernetes/f8a1c2d/scheduler", "X509SHA256=" },
	{ "system:serviceaccount:kube-system:replicaset-controller",
		"\"system:serviceaccounts\",\"system:serviceaccounts:kube-system\",\"system:authenticated\"",
		"kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/f8a1c2d/system:serviceaccount:kube-system:replicaset-controller",
		"JTI=" },
	{ "system:serviceaccount:kube-system:deployment-controller",
		"\"system:serviceaccounts\",\"system:serviceaccounts:kube-system\",\"system:authenticated\"",
		"kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/f8a1c2d/system:serviceaccount:kube-system:deployment-controller",
		"JTI=" },
	{ "system:node:node-1", "\"system:nodes\",\"system:authenticated\"",
		"kubelet/v1.36.3 (linux/amd64) kubernetes/f8a1c2d", "X509SHA256=" },
	{ "system:node:node-2", "\"system:nodes\",\"system:authenticated\"",
		"kubelet/v1.36.3 (linux/amd64) kubernetes/f8a1c2d", "X509SHA256=" },
	{ "kubernetes-admin", "\"kubeadm:cluster-admins\",\"system:authenticated\"",
		"kubectl/v1.36.1 (linux/amd64) kubernetes/f8a1c2d", "X509SHA256=" },
	{ "alice", "\"developers\",\"system:authenticated\"", "kubectl/v1.35.0 (darwin/arm64) kubernetes/66452049f3", "" },
	{ "jos\xc3\xa9@example.com", "\"oidc:sre\",\"system:authenticated\"",
		"k9s/v0.50.6 (linux/amd64) \\\"tty\\\"", "" },
	{ "system:anonymous", "\"system:unauthenticated\"", "kube-probe/1.36", "" },
};

enum { APISERVER, CONTROLLER_MANAGER, SCHEDULER, REPLICASETS, DEPLOYMENTS, NODE_1, NODE_2, ADMIN, ALICE, JOSE, ANONYMOUS };

/* What is requested. Bytes are those of the objects in the median. */
struct kind {
	unsigned weight;
	const char *verb, *group, *resource, *subresource, *object_kind;
	unsigned user;
	bool namespaced, named;
	unsigned request_bytes, response_bytes;
};

static const struct kind kinds[] = {
	{ 190, "update", "coordination.k8s.io", "leases", "", "Lease", NODE_1, true, true, 520, 560 },
	{ 60, "update", "coordination.k8s.io", "leases", "", "Lease", CONTROLLER_MANAGER, true, true, 640, 660 },
	{ 60, "get", "coordination.k8s.io", "leases", "", "Lease", SCHEDULER, true, true, 0, 600 },
	{ 120, "watch", "", "pods", "", "", NODE_2, false, false, 0, 0 },
	{ 50, "watch", "", "configmaps", "", "", NODE_1, true, true, 0, 0 },
	{ 40, "watch", "apps", "deployments", "", "", DEPLOYMENTS, false, false, 0, 0 },
	{ 90, "get", "", "", "", "", ANONYMOUS, false, false, 0, 0 },
	{ 40, "get", "", "", "", "", APISERVER, false, false, 0, 0 },
	{ 60, "get", "", "pods", "", "Pod", NODE_1, true, true, 0, 2300 },
	{ 30, "get", "", "pods", "log", "", ALICE, true, true, 0, 0 },
	{ 30, "list", "", "pods", "", "PodList", ALICE, true, false, 0, 5200 },
	{ 25, "list", "", "services", "", "ServiceList", JOSE, true, false, 0, 1500 },
	{ 20, "get", "", "secrets", "", "Secret", ALICE, true, true, 0, 700 },
	{ 20, "get", "", "configmaps", "", "ConfigMap", REPLICASETS, true, true, 0, 900 },
	{ 30, "get", "", "nodes", "", "Node", NODE_2, false, true, 0, 3200 },
	{ 40, "create", "", "events", "", "Event", SCHEDULER, true, false, 700, 900 },
	{ 45, "patch", "", "pods", "status", "Pod", NODE_2, true, true, 600, 2900 },
	{ 25, "patch", "", "nodes", "status", "Node", NODE_1, false, true, 700, 3500 },
	{ 25, "update", "apps", "replicasets", "status", "ReplicaSet", REPLICASETS, true, true, 1900, 2000 },
	{ 20, "update", "apps", "deployments", "status", "Deployment", DEPLOYMENTS, true, true, 2100, 2200 },
	{ 15, "create", "", "pods", "", "Pod", REPLICASETS, true, false, 900, 2100 },
	{ 12, "create", "", "pods", "binding", "Binding", SCHEDULER, true, true, 200, 150 },
	{ 10, "delete", "", "pods", "", "Pod", ADMIN, true, true, 80, 2600 },
	{ 12, "update", "discovery.k8s.io", "endpointslices", "", "EndpointSlice", CONTROLLER_MANAGER, true, true, 1200, 1300 },
	{ 10, "patch", "apps", "deployments", "", "Deployment", JOSE, true, true, 300, 2500 },
	{ 8, "create", "", "configmaps", "", "ConfigMap", ADMIN, true, false, 500, 700 },
	{ 6, "create", "", "secrets", "", "Secret", ADMIN, true, false, 400, 500 },
	{ 6, "create", "", "pods", "exec", "", ALICE, true, true, 0, 0 },
	{ 12, "create", "", "serviceaccounts", "token", "TokenRequest", NODE_1, true, true, 300, 1100 },
	{ 15, "create", "authorization.k8s.io", "subjectaccessreviews", "", "SubjectAccessReview", NODE_2, false, false, 350, 600 },
	{ 4, "deletecollection", "", "events", "", "Status", ADMIN, true, false, 60, 120 },
	{ 4, "create", "rbac.authorization.k8s.io", "clusterroles", "", "ClusterRole", ADMIN, false, false, 500, 800 },
};

static const char *const urls[] = { "/readyz", "/livez?verbose", "/healthz", "/api", "/apis", "/openapi/v3",
	"/version?timeout=32s", "/apis/apps/v1?timeout=32s" };
static const char *const namespaces[] = { "kube-system", "default", "team-a", "team-b", "payments", "kube-node-lease" };
static const char *const names[] = { "web", "agent", "api-gateway", "node-1", "node-2", "coredns", "worker", "checkout" };

/* splitmix64 */
static uint64_t random_next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random_next() >> 32) % n;
}

static void put_n(const char *from, size_t n)
{
	memcpy(bytes + len, from, n);
	len += n;
}

#define PUT(literal) put_n("" literal, sizeof(literal) - 1)

static void put(const char *text)
{
	put_n(text, strlen(text));
}

static void put_hex(unsigned digits)
{
	static const char hex[] = "0123456789abcdef";
	for (uint64_t r = 0; digits; digits--, r >>= 4) {
		if (!(digits & 15) || !r)
			r = random_next();
		bytes[len++] = hex[r & 15];
	}
}

static void put_uid(void)
{
	put_hex(8), PUT("-"), put_hex(4), PUT("-4"), put_hex(3), PUT("-a"), put_hex(3), PUT("-"), put_hex(12);
}

static void put_number(uint64_t n)
{
	char text[20];
	unsigned digits = 0;
	do
		text[sizeof text - ++digits] = (char)('0' + n % 10);
	while (n /= 10);
	put_n(text + sizeof text - digits, digits);
}

static void put_padded(unsigned n, unsigned digits)
{
	for (unsigned i = digits; i--; n /= 10)
		bytes[len + i] = (char)('0' + n % 10);
	len += digits;
}

/* 2026-11-21T21:00:00.000000Z; the day's text is kept while the second stays the same. */
static void put_time(int64_t us)
{
	static int64_t second = -1;
	static char text[32];
	if (us / 1000000 != second) {
		second = us / 1000000;
		struct tm tm;
		const time_t t = (time_t)second;
		gmtime_r(&t, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
	}
	put_n(text, 20), put_padded((unsigned)(us % 1000000), 6), PUT("Z");
}

/* One member of a body, of some 200 bytes, in the manner of managedFields, container lists and data. */
static void put_fragment(unsigned i)
{
	switch (below(5)) {
	case 0:
		PUT("{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\","
		    "\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}},\"k:{\\\"uid\\\":\\\"");
		put_uid(), PUT("\\\"}\":{}}}}");
		return;
	case 1:
		PUT("{\"name\":\"main-"), put_number(i), PUT("\",\"image\":\"registry.example/team/app@sha256:"), put_hex(64);
		PUT("\",\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}},\"imagePullPolicy\":\"IfNotPresent\"}");
		return;
	case 2:
		PUT("{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\",\"lastTransitionTime\":\"2026-11-21T21:02:13Z\","
		    "\"observedGeneration\":");
		put_number(below(100000)), PUT(",\"ratio\":0."), put_number(below(1000)), PUT("}");
		return;
	case 3:
		PUT("{\"key\":\"line "), put_number(i), PUT("\",\"value\":\"first\\nsecond\\t\\u003cb\\u003e "), put_hex(48);
		PUT(" \xe2\x80\x94 \xc3\xbc\xc3\xb1\"}");
		return;
	default:
		PUT("{\"ip\":\"10.244."), put_number(below(256)), PUT("."), put_number(below(256));
		PUT("\",\"nodeName\":\"node-1\",\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":false},\"uid\":\"");
		put_uid(), PUT("\"}");
	}
}

static void put_object(const struct kind *kind, const char *name, unsigned want)
{
	size_t start = len;
	PUT("{\"kind\":\""), put(kind->object_kind), PUT("\",\"apiVersion\":\"");
	if (*kind->group)
		put(kind->group), PUT("/");
	PUT("v1\",\"metadata\":{\"name\":\""), put(name), PUT("\",\"resourceVersion\":\""), put_number(resource_version);
	PUT("\",\"uid\":\""), put_uid(), PUT("\"}");
	if (len - start + 60 < want) {
		PUT(",\"items\":[");
		for (unsigned i = 0; len - start + 100 < want; i++) {
			if (i)
				PUT(",");
			put_fragment(i);
		}
		PUT("]");
	}
	PUT("}");
}

/* Around the median: half to twice of it mostly, now and then five times, seldom huge. */
static unsigned body_bytes(unsigned median)
{
	if (!median)
		return 0;
	unsigned dice = below(100000);
	if (huge && dice < 4)
		return BODY_MAX / 2 + below(BODY_MAX / 2 - 1000);
	if (huge && dice < 40)
		return 100000 + below(300000);
	if (dice < 1500)
		return median * 3 + below(median * 3);
	return median / 2 + below(median);
}

struct request {
	const struct kind *kind;
	const struct user *user;
	const char *namespace_, *url;
	char name[64], audit_id[36];
	unsigned code, ip;
	int64_t received_us;
};

static void put_uri(const struct request *q)
{
	const struct kind *k = q->kind;
	if (q->url) {
		put(q->url);
		return;
	}
	if (*k->group)
		PUT("/apis/"), put(k->group), PUT("/v1");
	else
		PUT("/api/v1");
	if (k->namespaced)
		PUT("/namespaces/"), put(q->namespace_);
	PUT("/"), put(k->resource);
	if (k->named && *k->verb != 'w')
		PUT("/"), put(q->name);
	if (*k->subresource)
		PUT("/"), put(k->subresource);
	if (*k->verb == 'w')
		PUT("?allowWatchBookmarks=true\\u0026resourceVersion="), put_number(resource_version),
			PUT("\\u0026timeoutSeconds=514\\u0026watch=true");
	else if (*k->verb == 'l')
		PUT("?limit=500\\u0026labelSelector=app%3Dweb");
	else if (*k->verb == 'u' && *k->resource == 'l')
		PUT("?timeout=10s");
}

static void put_head(const struct request *q, const char *stage)
{
	PUT("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"");
	put_n(q->audit_id, sizeof q->audit_id), PUT("\",\"stage\":\""), put(stage);
	PUT("\",\"requestURI\":\""), put_uri(q), PUT("\",\"verb\":\""), put(q->kind->verb);
	PUT("\",\"user\":{\"username\":\""), put(q->user->name), PUT("\",\"groups\":["), put(q->user->groups), PUT("]");
	if (*q->user->extra)
		PUT(",\"extra\":{\"authentication.kubernetes.io/credential-id\":[\""), put(q->user->extra),
			PUT("5f47fd21aa5d10d524577da8c7b1ea46cbc5f38a89f2845d5a00d8a7fdcbf59d\"]}");
	PUT("},\"sourceIPs\":[\"10.0."), put_number(q->ip >> 8), PUT("."), put_number(q->ip & 255);
	PUT("\"],\"userAgent\":\""), put(q->user->agent), PUT("\"");
	if (q->url)
		return;
	const struct kind *k = q->kind;
	PUT(",\"objectRef\":{\"resource\":\""), put(k->resource), PUT("\"");
	if (k->namespaced)
		PUT(",\"namespace\":\""), put(q->namespace_), PUT("\"");
	if (k->named)
		PUT(",\"name\":\""), put(q->name), PUT("\"");
	if (*k->group)
		PUT(",\"apiGroup\":\""), put(k->group), PUT("\"");
	PUT(",\"apiVersion\":\"v1\"");
	if (*k->subresource)
		PUT(",\"subresource\":\""), put(k->subresource), PUT("\"");
	PUT("}");
}

static void put_times(const struct request *q)
{
	PUT(",\"requestReceivedTimestamp\":\""), put_time(q->received_us);
	PUT("\",\"stageTimestamp\":\""), put_time(now_us), PUT("\"");
}

static void put_tail(const struct request *q)
{
	put_times(q);
	if (q->code == 403)
		PUT(",\"annotations\":{\"authorization.k8s.io/decision\":\"forbid\",\"authorization.k8s.io/reason\":\"\"}}\n");
	else
		PUT(",\"annotations\":{\"authorization.k8s.io/decision\":\"allow\",\"authorization.k8s.io/reason\":\"RBAC: allowed by "
		    "ClusterRoleBinding \\\"system:basic-user\\\" of ClusterRole \\\"system:basic-user\\\" to Group "
		    "\\\"system:authenticated\\\"\"}}\n");
}

static void put_status(const struct request *q)
{
	PUT("{\"metadata\":{},\"status\":\"Failure\",\"message\":\""), put(q->kind->resource), PUT(" \\\""), put(q->name);
	PUT("\\\" is not to be had\",\"reason\":\"Refused\",\"details\":{\"name\":\""), put(q->name);
	PUT("\"},\"code\":"), put_number(q->code), PUT("}");
}

static void put_complete(const struct request *q)
{
	const struct kind *k = q->kind;
	put_head(q, "ResponseComplete"), PUT(",\"responseStatus\":");
	if (q->code >= 400)
		put_status(q);
	else
		PUT("{\"metadata\":{},\"code\":"), put_number(q->code), PUT("}");
	if (k->request_bytes)
		PUT(",\"requestObject\":"), put_object(k, q->name, body_bytes(k->request_bytes));
	if (q->code >= 400)
		PUT(",\"responseObject\":"), put_status(q);
	else if (k->response_bytes)
		PUT(",\"responseObject\":"), put_object(k, q->name, body_bytes(k->response_bytes));
	put_tail(q);
}

static const struct kind *pick_kind(void)
{
	static unsigned total;
	if (!total)
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			total += kinds[i].weight;
	unsigned dice = below(total);
	const struct kind *k = kinds;
	while (dice >= k->weight)
		dice -= k++->weight;
	return k;
}

static unsigned pick_code(const struct kind *k)
{
	static const unsigned failures[] = { 403, 404, 409, 404, 422, 429 };
	if (below(100) < 4)
		return failures[below(6)];
	return *k->verb == 'c' && !*k->subresource ? 201 : 200;
}

static void put_request(void)
{
	struct request q = { .kind = pick_kind() };
	q.user = &users[q.kind->user];
	q.namespace_ = namespaces[below(6)];
	if (!*q.kind->resource)
		q.url = urls[below(8)];
	size_t start = len; /* texts of the request are made at the end of the buffer, then taken from there */
	put_uid();
	memcpy(q.audit_id, bytes + start, sizeof q.audit_id);
	len = start;
	put(names[below(8)]), PUT("-"), put_hex(8), PUT("\0");
	memcpy(q.name, bytes + start, len - start);
	len = start;
	q.code = pick_code(q.kind);
	q.ip = below(4096);
	q.received_us = now_us += 1 + below(900);
	resource_version += below(3);

	put_head(&q, "RequestReceived"), put_times(&q), PUT("}\n");
	now_us += 1 + below(3000);
	if (*q.kind->verb == 'w' || !strcmp(q.kind->subresource, "log") || !strcmp(q.kind->subresource, "exec")) {
		put_head(&q, "ResponseStarted"), PUT(",\"responseStatus\":{\"metadata\":{},\"code\":200}"), put_tail(&q);
		now_us += 1 + below(3000);
	}
	put_complete(&q);
}

static void flush(void)
{
	if (io_write(1, bytes, len)) {
		fputs("generate: cannot write\n", stderr);
		exit(1);
	}
	written += len;
	len = 0;
}

/* The end of the first whole event at or past the size asked for. */
static void cut(void)
{
	const char *at = bytes + (wanted > written ? wanted - written - 1 : 0);
	const char *newline = memchr(at, '\n', len - (size_t)(at - bytes));
	len = (size_t)(newline - bytes) + 1;
}

int main(int argc, char **argv)
{
	int64_t seed = 1;
	bool good = true;
	for (int i = 1; i < argc; i += 2) {
		struct view value = view_of(i + 1 < argc ? argv[i + 1] : "");
		if (!strcmp(argv[i], "--bytes"))
			good = good && units_parse_size(value, &wanted);
		else if (!strcmp(argv[i], "--seed"))
			good = good && units_parse_number(value, &seed);
		else if (!strcmp(argv[i], "--huge") && view_eq(value, VIEW("off")))
			huge = false;
		else
			good = false;
	}
	if (!good || !wanted) {
		fputs("usage: generate --bytes 1GiB [--seed N] [--huge off] > FILE\n", stderr);
		return 2;
	}
	state = (uint64_t)seed;
	while (written + len < wanted) {
		put_request();
		if (len >= FLUSH_AT && written + len < wanted)
			flush();
	}
	cut();
	flush();
	return 0;
}
