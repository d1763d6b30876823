/*
 * What one event costs in attributes_of, in the gke table, and in policies of 5 to 1,000 rules: a line of JSON each.
 * The ratio that matters is that of 200 rules to 5: the cost must hardly depend on the number of rules.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "tests/tools/random.h"

enum { EVENTS = 1024, ROUNDS = 200, TRIES = 9, GROUPS = 3, TEXTS = 1 << 20, RULES_MAX = 1000 };

static struct view groups[EVENTS][GROUPS];
static struct event events[EVENTS];
static struct attributes attributes; /* one, as in the router: in the cache */
static char texts[TEXTS];
static size_t texts_used;
static volatile uint64_t sink;

static const char *const verbs[] = { "get", "list", "watch", "create", "update", "patch", "delete" };
static const char *const api_groups[] = { "", "", "", "apps", "batch", "coordination.k8s.io",
	"rbac.authorization.k8s.io" };
static const char *const resources[] = { "pods", "services", "secrets", "configmaps", "leases", "endpoints", "nodes",
	"deployments", "jobs", "clusterroles" };
static const char *const subresources[] = { "", "", "", "", "status", "log", "exec", "scale" };
static const char *const paths[] = { "/healthz", "/readyz?verbose", "/livez/etcd", "/openapi/v3", "/metrics",
	"/api/v1?timeout=32s" };

#define PICK(r, list) view_of((list)[random_below(r, sizeof(list) / sizeof *(list))])

__attribute__((format(printf, 1, 2))) static struct view keep(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *at = texts + texts_used;
	size_t len = (size_t)vsnprintf(at, sizeof texts - texts_used, format, args);
	va_end(args);
	texts_used += len + 1;
	if (texts_used >= sizeof texts)
		abort();
	return (struct view){ at, len };
}

static int few(struct random *r)
{
	return (int)random_below(r, 50);
}

static void make_event(struct random *r, struct event *e, struct view *group_list)
{
	*e = (struct event){ .verb = PICK(r, verbs), .stage = STAGE_RESPONSE_COMPLETE, .audit_id = VIEW("4b39387b-3d19") };
	e->user.present = true;
	e->user.username = random_below(r, 2) ? keep("system:node:node-%d", few(r)) :
						keep("system:serviceaccount:team-%d:default", few(r));
	group_list[0] = VIEW("system:serviceaccounts");
	group_list[1] = keep("system:serviceaccounts:team-%d", few(r));
	group_list[2] = VIEW("system:authenticated");
	e->user.groups = group_list;
	e->user.n_groups = GROUPS;
	e->object_ref.present = random_below(r, 20) > 0;
	if (!e->object_ref.present) {
		e->request_uri = PICK(r, paths);
		return;
	}
	e->request_uri = keep("/apis/apps/v1/namespaces/team-%d/deployments/web?fieldManager=k", few(r));
	e->object_ref.namespace_ = keep("team-%d", few(r));
	e->object_ref.api_group = PICK(r, api_groups);
	e->object_ref.resource = PICK(r, resources);
	e->object_ref.subresource = PICK(r, subresources);
	e->object_ref.name = keep("object-%d-5dc5447c47-6ssdf", few(r) * 50 + few(r));
}

/* Rules as policies have them: some by user, some by namespace, most by resource; the last takes the rest. */
static void make_rule(struct random *r, struct selector *s, int i)
{
	*s = (struct selector){ 0 };
	if (i % 7 == 6) {
		strings_add(&s->non_resource_urls, keep("/own/%d*", i));
		return;
	}
	if (i % 3 == 0)
		strings_add(&s->users, keep("system:serviceaccount:team-%d:controller", i));
	if (i % 4 == 1)
		strings_add(&s->user_groups, keep("system:serviceaccounts:own-%d", i));
	if (i % 5 == 2)
		strings_add(&s->namespaces, keep("own-%d", i));
	strings_add(&s->verbs, PICK(r, verbs));
	strings_add(&s->verbs, PICK(r, verbs));
	s->n_resources = 1;
	s->resources = mem_zero(1, sizeof *s->resources);
	s->resources[0].group = view_of(mem_text(PICK(r, api_groups)));
	strings_add(&s->resources[0].resources, keep("custom%ds", i));
	strings_add(&s->resources[0].resources, PICK(r, resources));
	if (i % 3 && i % 4 != 1 && i % 5 != 2)
		strings_add(&s->resources[0].resource_names, keep("own-%d", i));
}

static struct matcher *make_matcher(unsigned n)
{
	static struct selector rules[RULES_MAX];
	const struct selector *pointers[RULES_MAX];
	struct matcher *m;
	struct random r = { 0, 42 };
	for (unsigned i = 0; i < n; i++) {
		make_rule(&r, &rules[i], (int)i);
		pointers[i] = &rules[i];
	}
	selector_finish(&rules[n - 1]); /* a catch-all */
	if (matcher_create(&m, pointers, n) < 0)
		abort();
	for (unsigned i = 0; i < n; i++)
		selector_finish(&rules[i]);
	return m;
}

static double now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

enum what { ATTRIBUTES, MATCH, CLASSIFY };

static double measure(enum what what, const void *with)
{
	uint64_t sum = 0;
	double start = now_ns();
	for (int i = 0; i < ROUNDS; i++)
		for (int j = 0; j < EVENTS; j++) {
			attributes_of(&events[j], &attributes);
			if (what == ATTRIBUTES)
				sum += attributes.name.len;
			else if (what == MATCH)
				sum += (uint64_t)matcher_first(with, &attributes);
			else
				sum += classifier_classify(with, &attributes).rule;
		}
	sink += sum;
	return (now_ns() - start) / ((double)ROUNDS * EVENTS);
}

struct row {
	const char *work;
	enum what what;
	unsigned rules;
	const void *with;
	double ns; /* the best of some tries, taken in turn: what the machine can do, not what else it did */
};

static void measure_all(struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rows[i].ns = 1e18;
	for (int try = 0; try < TRIES; try++)
		for (size_t i = 0; i < n; i++) {
			double ns = measure(rows[i].what, rows[i].with);
			if (ns < rows[i].ns)
				rows[i].ns = ns;
		}
}

int main(void)
{
	static const unsigned sizes[] = { 5, 20, 50, 200, RULES_MAX };
	enum { SIZES = sizeof sizes / sizeof *sizes };
	struct random r = { 0, 1 };
	struct classifier *gke;
	struct problems problems = { 0 };
	struct row rows[SIZES + 2];
	struct matcher *matchers[SIZES];
	for (int i = 0; i < EVENTS; i++)
		make_event(&r, &events[i], groups[i]);
	if (classifier_load(&gke, "gke", NULL, NULL, 0, &problems) < 0)
		abort();
	for (size_t i = 0; i < SIZES; i++) {
		matchers[i] = make_matcher(sizes[i]);
		rows[i] = (struct row){ "attributes and policy", MATCH, sizes[i], matchers[i], 0 };
	}
	rows[SIZES] = (struct row){ "attributes", ATTRIBUTES, 0, NULL, 0 };
	rows[SIZES + 1] = (struct row){ "attributes and gke", CLASSIFY, (unsigned)classifier_rules(gke), gke, 0 };
	measure_all(rows, SIZES + 2);
	for (size_t i = 0; i < SIZES + 2; i++) {
		printf("{\"bench\":\"match\",\"work\":\"%s\",\"rules\":%u,\"ns_per_event\":%.1f", rows[i].work, rows[i].rules,
			rows[i].ns);
		if (rows[i].what == MATCH)
			printf(",\"ratio_to_5_rules\":%.2f", rows[i].ns / rows[0].ns);
		printf("}\n");
	}
	for (size_t i = 0; i < SIZES; i++)
		matcher_destroy(matchers[i]);
	classifier_close(gke);
	return 0;
}
