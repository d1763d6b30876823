/* policy explain -- what the policy decides on each event, a line of JSON each. */
#include <stdio.h>

#include "router/cmd/cmd.h"
#include "router/cmd/files.h"
#include "router/cmd/policy.h"
#include "router/event/text.h"

static const char details[] =
	"A line of JSON an event, in order: {\"auditID\",\"stage\",\"level\",\"omitted\",\"omitManagedFields\",\"rule\"}. An event is written\n"
	"where its level is not None and its stage is not omitted. \"rule\" is the index of the rule that decided, from 0, or null.\n"
	"\"level\" is the policy's; an event that was logged at a lower one stays at that.\n"
	"\n"
	"  -p, --policy FILE   the policy\n"
	"  -h, --help          this text\n";

struct explain {
	const struct policy *policy;
	struct attributes attributes;
	struct buf line;
};

static bool print_event(void *context, const struct event *e)
{
	struct explain *x = context;
	attributes_of(e, &x->attributes);
	struct policy_decision d = policy_decide(x->policy, e, &x->attributes);
	buf_clear(&x->line);
	buf_add_view(&x->line, VIEW("{\"auditID\":"));
	text_add_quoted(&x->line, e->audit_id);
	buf_add_view(&x->line, VIEW(",\"stage\":"));
	text_add_quoted(&x->line, e->stage_text);
	buf_addf(&x->line, ",\"level\":\"%s\",\"omitted\":%s,\"omitManagedFields\":%s,\"rule\":", event_level_name(d.level),
		d.omitted ? "true" : "false", d.omit_managed_fields ? "true" : "false");
	if (d.rule < 0)
		buf_add_view(&x->line, VIEW("null}\n"));
	else
		buf_addf(&x->line, "%d}\n", d.rule);
	return fwrite(x->line.ptr, 1, x->line.len, stdout) == x->line.len;
}

int policy_verb_explain(int argc, char **argv)
{
	static struct explain x;
	struct policy *policy;
	int first, code;
	if (!policy_verb_options(argc, argv, details, &policy, &first, &code))
		return code;
	x.policy = policy;
	struct files_result result = files_visit(argv + first, argc - first, print_event, &x);
	buf_finish(&x.line);
	policy_close(policy);
	return cmd_end(result.broken || result.failed ? EXIT_WRONG : EXIT_DONE);
}
