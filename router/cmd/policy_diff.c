/* policy diff -- what a change of policy would do to a recorded log: events and bytes by rule and by class. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "classifiers/classifier.h"
#include "router/base/units.h"
#include "router/cmd/cmd.h"
#include "router/cmd/files.h"
#include "router/cmd/policy.h"

static const char details[] =
	"Applies both policies to the events and counts what each would write: by class (of the gke split) and by rule of each\n"
	"policy. Bytes are those of the events as they would be written. No policy can bring back what was not recorded.\n"
	"\n"
	"  -j, --json   one JSON object instead of tables\n"
	"  -h, --help   this text\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct tally {
	uint64_t events, bytes; /* written */
	uint64_t dropped;       /* events that are not */
};

struct side {
	struct policy *policy;
	struct tally all, classes[AUDIT_CLASSES], *rules; /* rules: one more, for events that no rule matches */
};

struct diff {
	struct side sides[2]; /* old, new */
	struct classifier *classifier;
	struct attributes attributes;
	struct edits edits;
	uint64_t events, bytes;
	uint64_t gained, lost, higher, lower; /* events; of those that both write: with more of them, with less */
};

static const char *const names[2] = { "old", "new" };

static size_t decide(struct diff *d, struct side *s, const struct event *e, enum audit_class class_, enum event_level *ret_level)
{
	struct policy_decision decision = policy_decide(s->policy, e, &d->attributes);
	struct tally *tallies[] = { &s->all, &s->classes[class_],
		&s->rules[decision.rule < 0 ? policy_rules(s->policy) : (size_t)decision.rule] };
	bool kept = policy_keeps(decision);
	size_t bytes = 0;
	if (kept) {
		edits_clear(&d->edits);
		policy_edit(decision, e, &d->edits);
		bytes = edits_length(&d->edits, e->bytes);
	}
	for (size_t i = 0; i < sizeof tallies / sizeof *tallies; i++) {
		tallies[i]->events += kept;
		tallies[i]->dropped += !kept;
		tallies[i]->bytes += bytes;
	}
	*ret_level = kept ? decision.level : LEVEL_NONE;
	return bytes;
}

static bool count_event(void *context, const struct event *e)
{
	struct diff *d = context;
	enum event_level was, is;
	attributes_of(e, &d->attributes);
	enum audit_class class_ = classifier_classify(d->classifier, &d->attributes).class_;
	d->events++;
	d->bytes += e->bytes.len;
	size_t bytes_were = decide(d, &d->sides[0], e, class_, &was), bytes = decide(d, &d->sides[1], e, class_, &is);
	d->gained += was == LEVEL_NONE && is != LEVEL_NONE;
	d->lost += was != LEVEL_NONE && is == LEVEL_NONE;
	d->higher += was != LEVEL_NONE && is != LEVEL_NONE && bytes > bytes_were;
	d->lower += was != LEVEL_NONE && is != LEVEL_NONE && bytes < bytes_were;
	return true;
}

/* ---- tables ---- */

static void print_tally(const struct tally *t)
{
	char bytes[UNITS_TEXT_ROOM];
	(void)printf("  %10" PRIu64 " %10s", t->events, units_human_size(t->bytes, bytes));
}

static void print_change(const struct tally *was, const struct tally *is)
{
	char bytes[UNITS_TEXT_ROOM];
	bool more = is->bytes >= was->bytes;
	(void)printf("  %+10" PRId64 " %c%9s\n", (int64_t)(is->events - was->events), more ? '+' : '-',
		units_human_size(more ? is->bytes - was->bytes : was->bytes - is->bytes, bytes));
}

static void print_class_row(const char *name, const struct tally *was, const struct tally *is)
{
	(void)printf("%-16s", name);
	print_tally(was);
	print_tally(is);
	print_change(was, is);
}

static void print_rules(const struct side *s, const char *name)
{
	(void)printf("\n%-4s %5s %6s  %-15s  %10s %10s %10s\n", name, "rule", "line", "level", "events", "bytes", "dropped");
	for (size_t i = 0; i <= policy_rules(s->policy); i++) {
		const struct tally *t = &s->rules[i];
		bool rest = i == policy_rules(s->policy);
		char bytes[UNITS_TEXT_ROOM];
		if (rest)
			(void)printf("%4s %5s %6s  %-15s", "", "none", "", policy_is_filter(s->policy) ? "(kept)" : "(None)");
		else
			(void)printf("%4s %5zu %6u  %-15s", "", i, policy_rule_line(s->policy, i),
				event_level_name(policy_rule_level(s->policy, i)));
		(void)printf("  %10" PRIu64 " %10s %10" PRIu64 "\n", t->events, units_human_size(t->bytes, bytes), t->dropped);
	}
}

static void print_tables(const struct diff *d)
{
	char bytes[UNITS_TEXT_ROOM];
	(void)printf("%" PRIu64 " events, %s in the log\n\n", d->events, units_human_size(d->bytes, bytes));
	(void)printf("%-16s  %10s %10s  %10s %10s  %10s %10s\n", "class", "old events", "bytes", "new events", "bytes", "change", "bytes");
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		print_class_row(audit_class_name(c), &d->sides[0].classes[c], &d->sides[1].classes[c]);
	print_class_row("all", &d->sides[0].all, &d->sides[1].all);
	(void)printf("\n%" PRIu64 " events more, %" PRIu64 " fewer; of those that both write %" PRIu64 " with more in them, %" PRIu64
		" with less\n", d->gained, d->lost, d->higher, d->lower);
	for (int i = 0; i < 2; i++)
		print_rules(&d->sides[i], names[i]);
}

/* ---- JSON ---- */

static void print_json_tally(const struct tally *t)
{
	(void)printf("\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"dropped\":%" PRIu64, t->events, t->bytes, t->dropped);
}

static void print_json_side(const struct side *s, const char *name)
{
	(void)printf(",\"%s\":{", name);
	print_json_tally(&s->all);
	(void)printf(",\"rules\":[");
	for (size_t i = 0; i <= policy_rules(s->policy); i++) {
		if (i == policy_rules(s->policy))
			(void)printf("%s{\"rule\":null,", i ? "," : "");
		else
			(void)printf("%s{\"rule\":%zu,\"line\":%u,\"level\":\"%s\",", i ? "," : "", i, policy_rule_line(s->policy, i),
				event_level_name(policy_rule_level(s->policy, i)));
		print_json_tally(&s->rules[i]);
		(void)putchar('}');
	}
	(void)printf("]}");
}

static void print_json(const struct diff *d)
{
	(void)printf("{\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"gained\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"larger\":%" PRIu64
		",\"smaller\":%" PRIu64 ",\"classes\":{", d->events, d->bytes, d->gained, d->lost, d->higher, d->lower);
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++) {
		(void)printf("%s\"%s\":{", c ? "," : "", audit_class_name(c));
		for (int i = 0; i < 2; i++) {
			(void)printf("%s\"%s\":{", i ? "," : "", names[i]);
			print_json_tally(&d->sides[i].classes[c]);
			(void)putchar('}');
		}
		(void)putchar('}');
	}
	(void)putchar('}');
	for (int i = 0; i < 2; i++)
		print_json_side(&d->sides[i], names[i]);
	(void)printf("}\n");
}

/* ---- all ---- */

static bool load(struct diff *d, char *const *paths)
{
	struct problems problems = { 0 };
	for (int i = 0; i < 2; i++)
		d->sides[i].policy = policy_verb_load(paths[i]);
	(void)classifier_load(&d->classifier, "gke", NULL, NULL, 0, &problems);
	problems_print(&problems);
	problems_finish(&problems);
	if (!d->sides[0].policy || !d->sides[1].policy || !d->classifier)
		return false;
	for (int i = 0; i < 2; i++)
		d->sides[i].rules = mem_zero(policy_rules(d->sides[i].policy) + 1, sizeof(struct tally));
	return true;
}

static int diff(char *const *paths, int n, bool json)
{
	static struct diff d;
	int code = EXIT_WRONG;
	if (load(&d, paths)) {
		struct files_result result = files_visit(paths + 2, n - 2, count_event, &d);
		if (json)
			print_json(&d);
		else
			print_tables(&d);
		code = result.broken || result.failed ? EXIT_WRONG : EXIT_DONE;
	}
	for (int i = 0; i < 2; i++) {
		policy_close(d.sides[i].policy);
		free(d.sides[i].rules);
	}
	classifier_close(d.classifier);
	edits_finish(&d.edits);
	return cmd_end(code);
}

int policy_verb_diff(int argc, char **argv)
{
	bool json = false;
	for (int c; (c = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
		if (c == 'j')
			json = true;
		else
			return c == 'h' ? policy_verb_help(argv[0], details) : policy_verb_usage(argv[0]);
	}
	if (argc - optind < 2)
		return policy_verb_usage(argv[0]);
	return diff(argv + optind, argc - optind, json);
}
