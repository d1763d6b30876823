/* The table at the end of `run`, and the line on the terminal while it runs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/base/units.h"
#include "router/lane/dead_letters.h"
#include "router/pipeline.h"
#include "router/pipeline_state.h"

enum { WHERE_ROOM = 256, FIELDS_ROOM = 512, PROGRESS_AFTER_MS = 1000 };

static uint64_t sum(const struct pipeline *p, enum audit_class c, size_t first_counter)
{
	uint64_t total = 0;
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		const char *counters = (const char *)&p->inputs[i].feed->counters.sorted;
		total += ((const _Atomic uint64_t *)(const void *)(counters + first_counter))[c];
	}
	return total;
}
#define SUM(p, c, counter) sum(p, c, offsetof(struct sorter_counts, counter))

static void print_lane(const struct lane *l)
{
	const struct lane_counters c = lane_counters(l);
	char where[WHERE_ROOM], bytes[UNITS_TEXT_ROOM];
	uint64_t by_rule = c.dropped_events - c.overflow_events, held = lane_held(&c);
	lane_describe(l, where, sizeof where);
	(void)fprintf(stderr, "  -> %-12s %10llu  %10s  %s", lane_output(l)->name, (unsigned long long)c.delivered_events,
		units_human_size(c.delivered_bytes, bytes), where);
	if (by_rule)
		(void)fprintf(stderr, ", %llu dropped by rule", (unsigned long long)by_rule);
	if (c.overflow_events)
		(void)fprintf(stderr, ", %llu dropped by best_effort", (unsigned long long)c.overflow_events);
	if (c.dead_events)
		(void)fprintf(stderr, ", %llu dead letters", (unsigned long long)c.dead_events);
	if (c.had_events)
		(void)fprintf(stderr, ", %llu it had before the restart", (unsigned long long)c.had_events);
	if (held)
		(void)fprintf(stderr, ", %llu held", (unsigned long long)held);
	(void)fputc('\n', stderr);
}

static void print_class(const struct pipeline *p, enum audit_class c)
{
	char bytes[UNITS_TEXT_ROOM];
	uint64_t off = SUM(p, c, off_events), exempt = SUM(p, c, exempt_events), policy = SUM(p, c, policy_events);
	(void)fprintf(stderr, "%-15s %10llu  %10s  %s\n", audit_class_name(c),
		(unsigned long long)SUM(p, c, class_events), units_human_size(SUM(p, c, class_bytes), bytes),
		audit_class_billed(c) ? "billed" : "free");
	if (off)
		(void)fprintf(stderr, "  dropped by data_access (off): %llu\n", (unsigned long long)off);
	if (exempt)
		(void)fprintf(stderr, "  dropped by data_access (exempt): %llu\n", (unsigned long long)exempt);
	if (policy)
		(void)fprintf(stderr, "  dropped by policy: %llu\n", (unsigned long long)policy);
	for (unsigned i = 0; i < p->n_lanes; i++)
		if (lane_class(p->lanes[i]) == c)
			print_lane(p->lanes[i]);
}

/* What a policy dropped, by rule. `output` is NULL for the top level's. */
static void print_policy(const struct plan_policy *policy, const char *output)
{
	size_t n = policy->policy ? policy_rules(policy->policy) : 0;
	for (size_t i = 0; policy->policy && i <= n; i++) {
		uint64_t dropped = policy->drops->by_rule[i];
		if (!dropped)
			continue;
		(void)fprintf(stderr, "dropped by %s%s%s: %llu events by ", policy->path, output ? " of " : "", output ? output : "",
			(unsigned long long)dropped);
		if (i == n)
			(void)fprintf(stderr, "no rule\n");
		else
			(void)fprintf(stderr, "rules[%zu], line %u\n", i, policy_rule_line(policy->policy, i));
	}
}

static void print_policies(const struct plan *plan)
{
	print_policy(&plan->policy, NULL);
	for (size_t i = 0; i < plan->config->n_outputs; i++)
		print_policy(&plan->output_policies[i], plan->config->outputs[i].name);
}

static void print_redacted(const struct pipeline *p)
{
	bool any = false;
	for (unsigned kind = 0; kind < REDACT_KINDS; kind++) {
		uint64_t n = 0;
		for (size_t i = 0; i < p->config->n_inputs; i++)
			n += p->inputs[i].feed->counters.sorted.redacted[kind];
		if (n)
			(void)fprintf(stderr, "%s%llu by %s", any ? ", " : "redacted values: ", (unsigned long long)n,
				redact_kind_names[kind]);
		any = any || n;
	}
	if (any)
		(void)fputc('\n', stderr);
}

void pipeline_print_table(const struct pipeline *p)
{
	uint64_t broken = 0, gaps = 0, left = 0, joined = 0, unjoined = 0;
	(void)fprintf(stderr, "%-15s %10s  %10s  in GKE\n", "class", "events", "bytes");
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		print_class(p, c);
	print_policies(p->routing.plan);
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		broken += p->inputs[i].feed->counters.broken;
		gaps += p->inputs[i].feed->counters.gaps;
		left += p->inputs[i].feed->counters.left;
		joined += p->inputs[i].feed->counters.joined;
		unjoined += p->inputs[i].feed->counters.unjoined;
	}
	if (broken)
		(void)fprintf(stderr, "no events: %llu lines, in %s\n", (unsigned long long)broken,
			dead_letters_path(p->routing.broken));
	if (joined || unjoined)
		(void)fprintf(stderr, "split log entries: %llu with all their parts, %llu parts without the others\n",
			(unsigned long long)joined, (unsigned long long)unjoined);
	if (gaps)
		(void)fprintf(stderr, "gaps: %llu times something vanished before all of it was read, named in %s\n", (unsigned long long)gaps,
			dead_letters_path(p->routing.broken));
	for (size_t i = 0; i < p->config->n_outputs; i++)
		if (dead_letters_count(p->dead[i]))
			(void)fprintf(stderr, "dead letters: %llu, in %s\n",
				(unsigned long long)dead_letters_count(p->dead[i]), dead_letters_path(p->dead[i]));
	static const char *const steps[LADDER_STEPS] = {
		[LADDER_MANAGED_FIELDS] = "managedFields",
		[LADDER_RESPONSE_OBJECT] = "managedFields and responseObject",
		[LADDER_REQUEST_OBJECT] = "managedFields and bodies",
	};
	for (int step = LADDER_MANAGED_FIELDS; step <= LADDER_REQUEST_OBJECT; step++) {
		uint64_t cut = 0;
		for (size_t i = 0; i < p->config->n_inputs; i++)
			cut += p->inputs[i].feed->counters.sorted.cut[step];
		if (cut)
			(void)fprintf(stderr, "cut to fit max_event_bytes: %llu lost %s\n", (unsigned long long)cut, steps[step]);
	}
	print_redacted(p);
	if (left)
		(void)fprintf(stderr, "left at the source: %llu events of lanes that made no progress\n",
			(unsigned long long)left);
}

/* Since the start, beside what lanes received: what a rule kept from all of them. */
static void print_classified(const struct pipeline *p, enum audit_class c)
{
	char fields[FIELDS_ROOM];
	(void)snprintf(fields, sizeof fields, "class=%s events=%llu bytes=%llu off=%llu exempt=%llu policy=%llu", audit_class_name(c),
		(unsigned long long)SUM(p, c, class_events), (unsigned long long)SUM(p, c, class_bytes),
		(unsigned long long)SUM(p, c, off_events), (unsigned long long)SUM(p, c, exempt_events),
		(unsigned long long)SUM(p, c, policy_events));
	log_line(LOG_INFO, fields, "classified");
}

static void print_input(const struct pipeline_input *in)
{
	const struct feed_counters *c = &in->feed->counters;
	char fields[FIELDS_ROOM];
	(void)snprintf(fields, sizeof fields, "input=%s lines=%llu events=%llu dead=%llu gaps=%llu troubles=%llu", in->config->name,
		(unsigned long long)c->lines, (unsigned long long)feed_events(in->feed), (unsigned long long)c->broken,
		(unsigned long long)c->gaps, (unsigned long long)c->troubles);
	log_line(LOG_INFO, fields, "input");
}

static void print_account(const struct pipeline *p, const struct lane *l)
{
	const struct lane_counters c = lane_counters(l);
	const struct checkpoint_totals *before = &p->totals_before[lane_number(l)];
	char fields[FIELDS_ROOM];
	(void)snprintf(fields, sizeof fields,
		"output=%s class=%s received=%llu delivered=%llu dropped=%llu dead=%llu held=%llu spooled=%llu retries=%llu",
		lane_output(l)->name, audit_class_name(lane_class(l)), (unsigned long long)(before->received + c.received_events),
		(unsigned long long)(before->delivered + c.delivered_events),
		(unsigned long long)(before->dropped + c.dropped_events),
		(unsigned long long)(before->dead + c.dead_events), (unsigned long long)lane_held(&c),
		(unsigned long long)c.spooled_events, (unsigned long long)c.retries);
	log_line(LOG_INFO, fields, "account");
}

void accounts_print(const struct pipeline *p)
{
	for (size_t i = 0; i < p->config->n_inputs; i++)
		print_input(&p->inputs[i]);
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		print_classified(p, c);
	for (unsigned i = 0; i < p->n_lanes; i++)
		print_account(p, p->lanes[i]);
}

void progress_show(struct pipeline *p)
{
	uint64_t done = 0, total = 0, events = 0;
	char done_text[UNITS_TEXT_ROOM], total_text[UNITS_TEXT_ROOM];
	if (clock_steady_ms() - p->started_ms < PROGRESS_AFTER_MS || !isatty(STDERR_FILENO))
		return;
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		const struct pipeline_input *in = &p->inputs[i];
		uint64_t in_done = 0, in_total = 0;
		if (in->config->ops->progress)
			in->config->ops->progress(in->input, &in_done, &in_total);
		done += in_done;
		total += in_total;
	}
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		events += SUM(p, c, class_events);
	if (total)
		(void)fprintf(stderr, "\r%llu events, %s of %s\033[K", (unsigned long long)events,
			units_human_size(done, done_text), units_human_size(total, total_text));
	else
		(void)fprintf(stderr, "\r%llu events, %s\033[K", (unsigned long long)events,
			units_human_size(done, done_text));
}

void progress_clear(struct pipeline *p)
{
	(void)p;
	if (isatty(STDERR_FILENO))
		(void)fputs("\r\033[K", stderr);
}
