/* policy apply -- the events that the policy leaves. */
#include <stdio.h>

#include "router/cmd/cmd.h"
#include "router/cmd/files.h"
#include "router/cmd/policy.h"

static const char details[] =
	"Events that the policy does not write are left out. Of the others the level goes down to the policy's, and what that\n"
	"level does not log is cut; every other byte stays as it came. Nothing is redacted.\n"
	"\n"
	"  -p, --policy FILE   the policy\n"
	"  -h, --help          this text\n";

struct apply {
	const struct policy *policy;
	struct attributes attributes;
	struct edits edits;
	struct buf line;
};

static bool print_event(void *context, const struct event *e)
{
	struct apply *a = context;
	attributes_of(e, &a->attributes);
	struct policy_decision d = policy_decide(a->policy, e, &a->attributes);
	if (!policy_keeps(d))
		return true;
	edits_clear(&a->edits);
	policy_edit(d, e, &a->edits);
	buf_clear(&a->line);
	buf_reserve(&a->line, edits_length(&a->edits, e->bytes) + 1);
	a->line.len = edits_apply(&a->edits, e->bytes, a->line.ptr);
	buf_add_byte(&a->line, '\n');
	return fwrite(a->line.ptr, 1, a->line.len, stdout) == a->line.len;
}

int policy_verb_apply(int argc, char **argv)
{
	static struct apply a;
	struct policy *policy;
	int first, code;
	if (!policy_verb_options(argc, argv, details, &policy, &first, &code))
		return code;
	a.policy = policy;
	struct files_result result = files_visit(argv + first, argc - first, print_event, &a);
	edits_finish(&a.edits);
	buf_finish(&a.line);
	policy_close(policy);
	return cmd_end(result.broken || result.failed ? EXIT_WRONG : EXIT_DONE);
}
