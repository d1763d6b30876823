/*
 * bench_redact FILE POLICY [ROUNDS] -- what policy and default redaction cost on events without bodies (level Metadata), beside
 * decode and classify of the same, one thread, in memory. A line of JSON for each: {"bench":"redact","what":...,"bytes":...,
 * "events":...,"seconds":...,"gb_per_s":...}, best of ROUNDS (10). The goal is a ratio: all >= 0.7 of plain.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "router/base/io.h"
#include "router/base/units.h"
#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/policy/policy.h"
#include "router/policy/redact.h"

enum { ROUNDS_DEFAULT = 10 };
enum way { PLAIN, POLICY = 1, REDACTION = 2, BOTH = POLICY | REDACTION, WAYS };
static const size_t LOG_BYTES_MAX = (size_t)4 << 30;
static const char *const way_names[WAYS] = {
	[PLAIN] = "plain",
	[POLICY] = "policy",
	[REDACTION] = "redaction",
	[BOTH] = "policy and redaction",
};

struct bench {
	struct decoder *decoder;
	struct classifier *classifier;
	struct policy *policy;
	struct redactor *redactor;
	struct attributes attributes;
	struct edits edits;
	struct redact_scratch scratch;
	uint64_t counts[REDACT_KINDS], classes[AUDIT_CLASSES];
};

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void one(struct bench *b, const struct event *e, enum way way)
{
	attributes_of(e, &b->attributes);
	b->classes[classifier_classify(b->classifier, &b->attributes).class_]++;
	edits_clear(&b->edits);
	if (way & POLICY) {
		struct policy_decision d = policy_decide(b->policy, e, &b->attributes);
		if (!policy_keeps(d))
			return;
		policy_edit(d, e, &b->edits);
	}
	if (way & REDACTION)
		redact_edit(b->redactor, e, &b->attributes, &b->edits, &b->scratch, b->counts);
}

static uint64_t all(struct bench *b, struct view log, enum way way, struct buf *keep)
{
	uint64_t events = 0;
	for (struct view rest = log, line; line_next(&rest, &line);) {
		struct event event;
		size_t stop;
		if (decode_line(b->decoder, line, &event, &stop) != DECODE_OK)
			continue;
		events++;
		if (!keep) {
			one(b, &event, way);
		} else if (!event.request_object.len && !event.response_object.len) {
			buf_add_view(keep, line);
			buf_add_byte(keep, '\n');
		}
	}
	return events;
}

static void run(struct bench *b, struct view log, int64_t rounds)
{
	int64_t best[WAYS] = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	uint64_t events = 0;
	for (int64_t i = 0; i < rounds; i++)
		for (enum way way = PLAIN; way < WAYS; way++) {
			int64_t start = now_ns();
			events = all(b, log, way, NULL);
			int64_t ns = now_ns() - start;
			best[way] = ns < best[way] ? ns : best[way];
		}
	for (enum way way = PLAIN; way < WAYS; way++)
		printf("{\"bench\":\"redact\",\"what\":\"%s\",\"bytes\":%zu,\"events\":%" PRIu64
		       ",\"seconds\":%.6f,\"gb_per_s\":%.4f,\"of_plain\":%.3f}\n",
			way_names[way], log.len, events, (double)best[way] / 1e9, (double)log.len / (double)best[way],
			(double)best[PLAIN] / (double)best[way]);
}

int main(int argc, char **argv)
{
	int64_t rounds = ROUNDS_DEFAULT;
	if (argc < 3 || argc > 4 || (argc == 4 && (!units_parse_number(view_of(argv[3]), &rounds) || rounds < 1))) {
		(void)fputs("usage: bench_redact FILE POLICY [ROUNDS]\n", stderr);
		return 2;
	}
	static struct bench b;
	struct buf log = { 0 }, kept = { 0 };
	struct problems problems = { 0 };
	struct settings_reader reader = { "default", "/", &problems };
	if (io_read_whole(argv[1], LOG_BYTES_MAX, &log) || classifier_load(&b.classifier, "gke", NULL, NULL, 0, &problems) ||
		policy_load(&b.policy, argv[2], &problems) || !redactor_read(&b.redactor, &reader, NULL)) {
		(void)fputs("bench_redact: cannot read the log, the policy or the table\n", stderr);
		return 1;
	}
	b.decoder = decode_create(DECODE_BEST);
	assert(b.decoder);
	(void)all(&b, buf_view(&log), PLAIN, &kept);
	run(&b, buf_view(&kept), rounds);
	decode_destroy(b.decoder);
	classifier_close(b.classifier);
	policy_close(b.policy);
	redactor_destroy(b.redactor);
	redact_scratch_finish(&b.scratch);
	edits_finish(&b.edits);
	problems_finish(&problems);
	buf_finish(&log);
	buf_finish(&kept);
	return 0;
}
