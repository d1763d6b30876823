#include <getopt.h>
#include <stdio.h>

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "router/base/units.h"
#include "router/cmd/cmd.h"
#include "router/cmd/files.h"
#include "router/event/text.h"

static const char details[] =
	"A line of JSON an event, in order: {\"auditID\",\"stage\",\"class\",\"rule\"}. A line that is no event is told on stderr\n"
	"(FILE:LINE: why) and makes the exit status 1.\n"
	"\n"
	"  -s, --summary            a table of classes and rules instead: events, bytes, free or billed in GKE\n"
	"  -t, --classifier NAME    the table to use: gke (default), aks, sensitive, or the path of a file\n"
	"  -o, --override RULE=CLASS  another class for a rule; may be repeated\n"
	"  -h, --help               this text\n";

static const struct option options[] = {
	{ "summary", no_argument, NULL, 's' },
	{ "classifier", required_argument, NULL, 't' },
	{ "override", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

enum { OVERRIDES_MAX = 64 };

struct classify {
	struct classifier *classifier;
	struct attributes attributes;
	struct buf line;
	uint64_t events[CLASSIFIER_RULES_MAX + CLASSIFIER_LOG_RULES], bytes[CLASSIFIER_RULES_MAX + CLASSIFIER_LOG_RULES];
};

static void add_field(struct buf *line, const char *name, struct view value)
{
	buf_add_byte(line, line->len ? ',' : '{');
	text_add_quoted(line, view_of(name));
	buf_add_byte(line, ':');
	text_add_quoted(line, value);
}

static struct verdict count(struct classify *c, const struct event *e)
{
	attributes_of(e, &c->attributes);
	struct verdict v = classifier_classify(c->classifier, &c->attributes);
	c->events[v.rule]++;
	c->bytes[v.rule] += e->bytes.len;
	return v;
}

static bool count_event(void *context, const struct event *e)
{
	(void)count(context, e);
	return true;
}

static bool print_event(void *context, const struct event *e)
{
	struct classify *c = context;
	struct verdict v = count(c, e);
	buf_clear(&c->line);
	add_field(&c->line, "auditID", e->audit_id);
	add_field(&c->line, "stage", e->stage_text);
	add_field(&c->line, "class", view_of(audit_class_name(v.class_)));
	add_field(&c->line, "rule", view_of(classifier_rule_id(c->classifier, v.rule)));
	buf_add_view(&c->line, VIEW("}\n"));
	return fwrite(c->line.ptr, 1, c->line.len, stdout) == c->line.len;
}

static void print_row(const char *name, uint64_t events, uint64_t bytes, uint64_t all_bytes, const char *note)
{
	char text[UNITS_TEXT_ROOM];
	(void)printf("%-26s %10llu  %10s  %5.1f %%  %s\n", name, (unsigned long long)events,
		units_human_size(bytes, text), all_bytes ? 100.0 * (double)bytes / (double)all_bytes : 0, note);
}

static void print_summary(const struct classify *c)
{
	uint64_t events[AUDIT_CLASSES + 1] = { 0 }, bytes[AUDIT_CLASSES + 1] = { 0 }, billed_events = 0, billed = 0;
	for (uint16_t i = 0; i < classifier_rules(c->classifier) + CLASSIFIER_LOG_RULES; i++) {
		enum audit_class class_ = classifier_rule_class(c->classifier, i);
		events[class_] += c->events[i];
		bytes[class_] += c->bytes[i];
		events[AUDIT_CLASSES] += c->events[i];
		bytes[AUDIT_CLASSES] += c->bytes[i];
		billed_events += audit_class_billed(class_) ? c->events[i] : 0;
		billed += audit_class_billed(class_) ? c->bytes[i] : 0;
	}
	uint64_t all = bytes[AUDIT_CLASSES];
	(void)printf("%-26s %10s  %10s  %7s  %s\n", "class and rule", "events", "bytes", "share", "in GKE");
	for (enum audit_class k = 0; k < AUDIT_CLASSES; k++) {
		print_row(audit_class_name(k), events[k], bytes[k], all, audit_class_billed(k) ? "billed" : "free");
		for (uint16_t i = 0; i < classifier_rules(c->classifier) + CLASSIFIER_LOG_RULES; i++) {
			char name[CLASSIFIER_RULE_ID_MAX + 4];
			if (classifier_rule_class(c->classifier, i) != k || !c->events[i])
				continue;
			(void)snprintf(name, sizeof name, "  %s", classifier_rule_id(c->classifier, i));
			print_row(name, c->events[i], c->bytes[i], all, "");
		}
	}
	print_row("free", events[AUDIT_CLASSES] - billed_events, all - billed, all, "");
	print_row("billed", billed_events, billed, all, "");
	print_row("all", events[AUDIT_CLASSES], all, all, "");
}

/* "RULE=CLASS" cut in place. */
static bool parse_override(char *text, struct classifier_override *ret)
{
	char *equals = strchr(text, '=');
	if (!equals)
		return false;
	*equals = 0;
	*ret = (struct classifier_override){ .rule = text, .file = "--override" };
	return audit_class_parse(view_of(equals + 1), &ret->class_);
}

static int classify(const char *table, const struct classifier_override *overrides, size_t n_overrides, bool summary,
	char *const *paths, int n)
{
	static struct classify c;
	struct problems problems = { 0 };
	bool file = strchr(table, '/') || strchr(table, '.');
	int r = classifier_load(&c.classifier, file ? NULL : table, file ? table : NULL, overrides, n_overrides, &problems);
	problems_print(&problems);
	problems_finish(&problems);
	if (r < 0)
		return EXIT_WRONG;
	struct files_result result = files_visit(paths, n, summary ? count_event : print_event, &c);
	if (summary)
		print_summary(&c);
	buf_finish(&c.line);
	classifier_close(c.classifier);
	return cmd_end(result.broken || result.failed ? EXIT_WRONG : EXIT_DONE);
}

int cmd_classify(int argc, char **argv)
{
	struct classifier_override overrides[OVERRIDES_MAX];
	size_t n_overrides = 0;
	const char *table = "gke";
	bool summary = false;
	for (int c; (c = getopt_long(argc, argv, "st:o:h", options, NULL)) != -1;) {
		switch (c) {
		case 's':
			summary = true;
			break;
		case 't':
			table = optarg;
			break;
		case 'o':
			if (n_overrides == OVERRIDES_MAX || !parse_override(optarg, &overrides[n_overrides])) {
				(void)fprintf(stderr, "audit-router classify: --override takes RULE=CLASS, %d at most\n",
					OVERRIDES_MAX);
				return EXIT_USAGE;
			}
			n_overrides++;
			break;
		case 'h':
			return cmd_help(argv[0], details);
		default:
			return cmd_usage(argv[0]);
		}
	}
	return classify(table, overrides, n_overrides, summary, argv + optind, argc - optind);
}
