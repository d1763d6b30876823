/* policy check -- upstream's verdict on a policy, then lint. */
#include <getopt.h>
#include <stdio.h>

#include "router/cmd/cmd.h"
#include "router/cmd/policy.h"

static const char details[] =
	"Errors are what kube-apiserver 1.36 refuses the policy for, in its words. Warnings are what it accepts and warns of\n"
	"(unknown and repeated fields), and what is legal but likely a mistake: rules that never decide, and why; no rule for the\n"
	"rest; a core group that is not \"\"; exec hidden by a rule for reads; secrets above Metadata; 401s that leave no trace.\n"
	"Each has FILE:LINE:COLUMN. Exit status: 0 kube-apiserver takes it, 1 it does not, 2 usage.\n"
	"\n"
	"  -s, --strict   exit status 1 for warnings, too\n"
	"  -P, --print    print the policy as it was understood, as one line of JSON\n"
	"  -h, --help     this text\n";

static const struct option options[] = {
	{ "strict", no_argument, NULL, 's' },
	{ "print", no_argument, NULL, 'P' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int check(const char *path, bool strict, bool print)
{
	struct problems problems = { 0 };
	struct policy *policy;
	int r = policy_examine(&policy, path, &problems);
	if (policy)
		policy_lint(policy, &problems);
	problems_print(&problems);
	if (r == 0 && print) {
		struct buf text = { 0 };
		policy_print(policy, &text);
		(void)fwrite(text.ptr, 1, text.len, stdout);
		buf_finish(&text);
	}
	bool wrong = r < 0 || (strict && problems.warnings);
	problems_finish(&problems);
	policy_close(policy);
	return cmd_end(wrong ? EXIT_WRONG : EXIT_DONE);
}

int policy_verb_check(int argc, char **argv)
{
	bool strict = false, print = false;
	for (int c; (c = getopt_long(argc, argv, "sPh", options, NULL)) != -1;) {
		switch (c) {
		case 's':
			strict = true;
			break;
		case 'P':
			print = true;
			break;
		case 'h':
			return policy_verb_help(argv[0], details);
		default:
			return policy_verb_usage(argv[0]);
		}
	}
	if (argc - optind != 1)
		return policy_verb_usage(argv[0]);
	return check(argv[optind], strict, print);
}
