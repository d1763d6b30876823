#include "router/cmd/policy.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "router/cmd/cmd.h"

static const struct command verbs[] = {
#define X(name, arguments, help) { #name, policy_verb_##name, arguments, help },
	POLICY_VERBS(X)
#undef X
	{ 0 },
};

static const struct option options[] = {
	{ "policy", required_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const struct command *find(const char *name)
{
	const struct command *c = verbs;
	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c;
}

int policy_verb_usage(const char *verb)
{
	const struct command *c = find(verb);
	(void)fprintf(stderr, "usage: audit-router policy %s %s\n", c->name, c->arguments);
	return EXIT_USAGE;
}

int policy_verb_help(const char *verb, const char *details)
{
	const struct command *c = find(verb);
	(void)printf("usage: audit-router policy %s %s\n\n%s\n\n%s", c->name, c->arguments, c->help, details);
	return cmd_end(EXIT_DONE);
}

struct policy *policy_verb_load(const char *path)
{
	struct problems problems = { 0 };
	struct policy *policy = NULL;
	(void)policy_load(&policy, path, &problems);
	problems_print(&problems);
	problems_finish(&problems);
	return policy;
}

bool policy_verb_options(int argc, char **argv, const char *details, struct policy **ret_policy, int *ret_first, int *ret_code)
{
	const char *path = NULL;
	for (int c; (c = getopt_long(argc, argv, "p:h", options, NULL)) != -1;) {
		if (c == 'p') {
			path = optarg;
			continue;
		}
		*ret_code = c == 'h' ? policy_verb_help(argv[0], details) : policy_verb_usage(argv[0]);
		return false;
	}
	if (!path) {
		(void)fprintf(stderr, "audit-router policy %s: -p POLICY is missing\n", argv[0]);
		*ret_code = policy_verb_usage(argv[0]);
		return false;
	}
	*ret_first = optind;
	*ret_code = EXIT_WRONG;
	*ret_policy = policy_verb_load(path);
	return *ret_policy != NULL;
}

static int help(void)
{
	(void)printf("usage: audit-router policy VERB ...\n\n"
		"POLICY is an audit.k8s.io/v1 Policy or an audit-router/v1 AuditFilter, in YAML or JSON. The verbs:\n\n");
	for (const struct command *v = verbs; v->name; v++)
		(void)printf("  %-8s %-28s %s\n", v->name, v->arguments, v->help);
	(void)printf("\nEach verb says more with --help.\n");
	return cmd_end(EXIT_DONE);
}

int cmd_policy(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help();
	const struct command *verb = argc > 1 ? find(argv[1]) : NULL;
	if (verb && verb->name)
		return verb->run(argc - 1, argv + 1);
	if (argc > 1)
		(void)fprintf(stderr, "audit-router policy: no verb \"%s\"\n", argv[1]);
	return cmd_usage(argv[0]);
}
