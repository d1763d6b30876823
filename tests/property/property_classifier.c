/* Random attributes: the compiled gke table against the same split written as a program. */
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier.h"
#include "tests/tools/random.h"
#include "tests/tools/straight_gke.h"

enum { ROUNDS = 1000000, RULES = 11 };

static const char *const verbs[] = { "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
	"head", "options", "post", "put", "proxy", "connect", "", "GET", "*", "impersonate" };
static const char *const api_groups[] = { "", "", "", "authorization.k8s.io", "authentication.k8s.io", "apps",
	"metrics.k8s.io", "*" };
static const char *const resources[] = { "pods", "services", "nodes", "secrets", "configmaps", "tokenreviews",
	"selfsubjectreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews",
	"selfsubjectrulesreviews", "serviceaccounts", "leases", "pod", "*", "" };
static const char *const subresources[] = { "", "", "", "", "exec", "attach", "portforward", "proxy", "log", "status",
	"token", "scale", "binding", "*" };
static const char *const paths[] = { "/healthz", "/", "", "/api/v1", "/metrics?", "*" };

#define PICK(r, list) view_of((list)[random_below(r, sizeof(list) / sizeof *(list))])

static void random_attributes(struct random *r, struct attributes *a)
{
	a->verb = PICK(r, verbs);
	a->is_resource = random_below(r, 6) > 0;
	a->api_group = a->is_resource ? PICK(r, api_groups) : VIEW("");
	a->resource = a->is_resource ? PICK(r, resources) : VIEW("");
	a->subresource = a->is_resource ? PICK(r, subresources) : VIEW("");
	a->path = a->is_resource ? VIEW("") : PICK(r, paths);
	a->code = random_below(r, 2) ? 403 : 200;
	a->has_user = random_below(r, 2);
}

int main(int argc, char **argv)
{
	static struct attributes a;
	struct classifier *gke;
	struct problems problems = { 0 };
	uint64_t hits[RULES] = { 0 };
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	if (classifier_load(&gke, "gke", NULL, NULL, 0, &problems) < 0 || classifier_rules(gke) != RULES)
		abort();
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		random_attributes(&r, &a);
		struct verdict got = classifier_classify(gke, &a);
		struct straight expected = straight_gke(&a);
		if (got.class_ != expected.class_ || strcmp(classifier_rule_id(gke, got.rule), expected.rule) != 0) {
			printf("%s, not %s: %.*s %.*s %.*s/%.*s; seed %" PRIu64 "\n", classifier_rule_id(gke, got.rule),
				expected.rule, VIEW_ARGS(a.verb), VIEW_ARGS(a.api_group), VIEW_ARGS(a.resource),
				VIEW_ARGS(a.subresource), r.seed);
			return 1;
		}
		hits[got.rule]++;
	}
	for (uint16_t rule = 0; rule < RULES; rule++) {
		printf("%s %" PRIu64 "\n", classifier_rule_id(gke, rule), hits[rule]);
		if (run.rounds >= ROUNDS && !hits[rule])
			return 1;
	}
	classifier_close(gke);
	return 0;
}
