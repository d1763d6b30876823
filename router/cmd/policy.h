#pragma once
/*
 * policy -- the verbs of `audit-router policy`: each is one file of this folder, policy_verb_NAME in policy_NAME.c, and one
 * row of the table below. None of them redacts.
 */
#include <stdbool.h>

#include "router/policy/policy.h"

/* A row a verb: its name, its arguments, one line of help. */
#define POLICY_VERBS(X)                                                                                                      \
	X(check, "[--strict] [--print] POLICY", "say what kube-apiserver would say of a policy, and what is likely a mistake") \
	X(explain, "-p POLICY [FILE...]", "say of each event what the policy decides, and by which rule")                    \
	X(apply, "-p POLICY [FILE...]", "print the events that the policy leaves, at the level that it leaves them")         \
	X(diff, "[--json] OLD NEW [FILE...]", "say what a change of policy would do to a recorded log")

#define X(name, arguments, help) int policy_verb_##name(int argc, char **argv);
POLICY_VERBS(X)
#undef X

/* As cmd_usage and cmd_help, for the verb argv[0] of `policy`. */
int policy_verb_usage(const char *verb);
int policy_verb_help(const char *verb, const char *details);

/* Loads it, problems to stderr. NULL: it was refused. */
struct policy *policy_verb_load(const char *path);

/*
 * The options of explain and apply: -p POLICY and --help. True: go on with *ret_policy and argv from *ret_first; false:
 * *ret_code is the command's exit code.
 */
bool policy_verb_options(int argc, char **argv, const char *details, struct policy **ret_policy, int *ret_first, int *ret_code);
