/*
 * bench_plan -- what the router decodes and classifies each event of a log for, for the bare loops of `./dev bench`.
 *
 * usage: bench_plan LOG PLAN
 */
#include <stdbool.h>
#include <string.h>

#include "router/event/decode.h"
#include "router/event/line.h"
#include "tests/bench/plan.h"

static struct planned plan_line(struct decoder *decoder, const struct classifier *classifier, struct view line)
{
	static struct attributes attributes;
	struct event e;
	size_t stop;
	if (line.len > UINT32_MAX || decode_line(decoder, line, &e, &stop) != DECODE_OK || !e.audit_id.len ||
		e.audit_id.ptr < line.ptr || e.audit_id.ptr >= line.ptr + line.len || e.audit_id.len > UINT16_MAX) {
		(void)fputs("a line of the log is no event with an auditID\n", stderr);
		exit(1);
	}
	attributes_of(&e, &attributes);
	struct verdict v = classifier_classify(classifier, &attributes);
	return (struct planned){ (uint32_t)line.len, (uint32_t)(e.audit_id.ptr - line.ptr), (uint16_t)e.audit_id.len, v.rule,
		(uint32_t)v.class_ };
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		(void)fputs("usage: bench_plan LOG PLAN\n", stderr);
		return 2;
	}
	struct view rest = { 0 }, line;
	rest.ptr = plan_map(argv[1], &rest.len);
	struct classifier *classifier = plan_classifier();
	struct decoder *decoder = decode_create(DECODE_BEST);
	FILE *out = fopen(argv[2], "wb");
	if (!out) {
		perror(argv[2]);
		return 1;
	}
	while (line_next(&rest, &line)) {
		struct planned p = plan_line(decoder, classifier, line);
		(void)fwrite(&p, sizeof p, 1, out);
	}
	decode_destroy(decoder);
	classifier_close(classifier);
	bool bad = ferror(out);
	return fclose(out) != 0 || bad;
}
