/*
 * bench_policy FILE [ROUNDS] -- what policies and redaction cost beside decode and classify, on a plain audit log in memory,
 * one thread. Once for the log as it is, and once for its events at level Metadata. A line of JSON each:
 * {"bench":"policy","events_at":...,"work":...,"rules":...,"ns_per_event":...,"gb_per_s":...}, best of ROUNDS (7).
 *
 * The ratios that matter: 200 rules to 5 (<= 1.3), and of Metadata events policy and default redaction to plain (>= 0.7 of
 * the throughput). What is cut is copied out, as for a lane.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "classifiers/classifier.h"
#include "router/base/io.h"
#include "router/base/units.h"
#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/policy/policy.h"
#include "router/policy/redact.h"

enum { ROUNDS_DEFAULT = 7, WORKS = 4 };
static const size_t LOG_BYTES_MAX = (size_t)4 << 30;

struct work {
	const char *name;
	unsigned rules;
	struct policy *policy; /* NULL: none */
	bool redact;
	int64_t ns;
};

struct bench {
	struct decoder *decoder;
	struct classifier *classifier;
	struct redactor *redactor;
	struct redact_scratch scratch;
	struct attributes attributes;
	struct edits edits;
	struct buf out;
	uint64_t events, written, cut[REDACT_KINDS];
};

static int64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Rules as policies have them; none of those before the last ones matches anything of the log. */
static struct policy *make_policy(unsigned n)
{
	struct buf text = { 0 };
	struct problems problems = { 0 };
	struct policy *policy;
	buf_addf(&text, "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitManagedFields: true\nrules:\n");
	for (unsigned i = 0; i + 2 < n; i++) {
		buf_addf(&text, "- level: None\n  verbs: [get, list, %s]\n", i % 2 ? "watch" : "update");
		if (i % 3 == 0)
			buf_addf(&text, "  users: [\"system:serviceaccount:team-%u:controller\"]\n", i);
		else if (i % 3 == 1)
			buf_addf(&text, "  userGroups: [\"system:serviceaccounts:team-%u\"]\n", i);
		if (i % 7 == 6)
			buf_addf(&text, "  nonResourceURLs: [\"/own/%u*\"]\n", i);
		else
			buf_addf(&text, "  resources: [{group: \"\", resources: [pods, custom%us]%s}]\n", i, i % 3 == 2 ? ", resourceNames: [own]" : "");
	}
	buf_addf(&text, "- level: Metadata\n  resources: [{group: \"\", resources: [secrets, configmaps]}]\n- level: Request\n");
	int r = policy_parse(&policy, "bench", buf_view(&text), &problems);
	assert(r == 0);
	buf_finish(&text);
	return policy;
}

static void take(struct bench *b, const struct event *e)
{
	if (edits_none(&b->edits)) {
		b->written += e->bytes.len;
		return;
	}
	size_t len = edits_length(&b->edits, e->bytes);
	buf_clear(&b->out);
	buf_reserve(&b->out, len);
	b->written += edits_apply(&b->edits, e->bytes, b->out.ptr);
}

static void one_event(struct bench *b, const struct work *w, const struct event *e)
{
	attributes_of(e, &b->attributes);
	b->written += classifier_classify(b->classifier, &b->attributes).rule;
	edits_clear(&b->edits);
	if (w->policy) {
		struct policy_decision d = policy_decide(w->policy, e, &b->attributes);
		if (!policy_keeps(d))
			return;
		policy_edit(d, e, &b->edits);
	}
	if (w->redact)
		redact_edit(b->redactor, e, &b->attributes, &b->edits, &b->scratch, b->cut);
	take(b, e);
}

static int64_t all_events(struct bench *b, const struct work *w, struct view log)
{
	int64_t start = now_ns();
	b->events = 0;
	for (struct view rest = log, line; line_next(&rest, &line);) {
		struct event e;
		size_t stop;
		if (decode_line(b->decoder, line, &e, &stop) == DECODE_OK) {
			one_event(b, w, &e);
			b->events++;
		}
	}
	return now_ns() - start;
}

static void measure(struct bench *b, struct work *works, struct view log, int64_t rounds, const char *events_at)
{
	for (int i = 0; i < WORKS; i++)
		works[i].ns = INT64_MAX;
	for (int64_t round = 0; round < rounds; round++)
		for (int i = 0; i < WORKS; i++) {
			int64_t ns = all_events(b, &works[i], log);
			if (ns < works[i].ns)
				works[i].ns = ns;
		}
	for (int i = 0; i < WORKS; i++)
		printf("{\"bench\":\"policy\",\"events_at\":\"%s\",\"work\":\"%s\",\"rules\":%u,\"ns_per_event\":%.1f,\"gb_per_s\":%.4f,"
		       "\"of_plain\":%.3f,\"to_5_rules\":%.3f}\n", events_at, works[i].name, works[i].rules,
			(double)works[i].ns / (double)b->events, (double)log.len / (double)works[i].ns,
			(double)works[0].ns / (double)works[i].ns, (double)works[i].ns / (double)works[1].ns);
}

/* The same events without bodies. */
static void cut_down(struct bench *b, struct view log, struct buf *ret)
{
	struct policy_decision metadata = { .level = LEVEL_METADATA };
	for (struct view rest = log, line; line_next(&rest, &line);) {
		struct event e;
		size_t stop;
		if (decode_line(b->decoder, line, &e, &stop) == DECODE_OK) {
			edits_clear(&b->edits);
			policy_edit(metadata, &e, &b->edits);
			buf_reserve(ret, e.bytes.len + 1);
			ret->len += edits_apply(&b->edits, e.bytes, ret->ptr + ret->len);
			buf_add_byte(ret, '\n');
		}
	}
}

int main(int argc, char **argv)
{
	int64_t rounds = ROUNDS_DEFAULT;
	static struct bench b;
	struct buf log = { 0 }, metadata = { 0 };
	struct problems problems = { 0 };
	struct settings_reader reader = { .file = "bench", .folder = ".", .problems = &problems };
	if (argc < 2 || argc > 3 || (argc == 3 && (!units_parse_number(view_of(argv[2]), &rounds) || rounds < 1))) {
		(void)fputs("usage: bench_policy FILE [ROUNDS]\n", stderr);
		return 2;
	}
	b.decoder = decode_create(DECODE_BEST);
	if (io_read_whole(argv[1], LOG_BYTES_MAX, &log) || classifier_load(&b.classifier, "gke", NULL, NULL, 0, &problems) ||
		!redactor_read(&b.redactor, &reader, NULL)) {
		(void)fputs("bench_policy: cannot read the log, or the table\n", stderr);
		return 1;
	}
	struct policy *few = make_policy(5), *many = make_policy(200);
	struct work works[WORKS] = {
		{ "decode and classify", 0, NULL, false, 0 },
		{ "and a policy", 5, few, false, 0 },
		{ "and a policy", 200, many, false, 0 },
		{ "and a policy and redaction", 200, many, true, 0 },
	};
	cut_down(&b, buf_view(&log), &metadata);
	measure(&b, works, buf_view(&log), rounds, "as logged");
	measure(&b, works, buf_view(&metadata), rounds, "Metadata");
	policy_close(few);
	policy_close(many);
	redactor_destroy(b.redactor);
	redact_scratch_finish(&b.scratch);
	classifier_close(b.classifier);
	decode_destroy(b.decoder);
	edits_finish(&b.edits);
	buf_finish(&b.out);
	buf_finish(&log);
	buf_finish(&metadata);
	return 0;
}
