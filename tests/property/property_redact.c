/*
 * Redacted events, real and mutated, against jansson: tests/tools/redact_oracle.h says what must hold. With ROUNDS at 0 every
 * event of the real log is judged, else ROUNDS of them, picked by the seed, each with words of its own changed to those that
 * redaction looks for.
 */
#include "tests/tools/random.h"
#include "tests/tools/real_log.h"
#include "tests/tools/redact_oracle.h"

enum { ROUNDS = 400 };

static size_t split(struct view bytes, struct view **ret_lines)
{
	size_t n = 0;
	struct view *lines = mem_zero(bytes.len / 100 + 1, sizeof *lines);
	for (const char *at = bytes.ptr, *end = at + bytes.len, *newline; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		lines[n++] = (struct view){ at, (size_t)(newline - at) };
	}
	*ret_lines = lines;
	return n;
}

/* Texts change places with others: what was a label's value is a kind now, what was a key is data. */
static void mutate(struct random *r, struct view line, struct buf *out)
{
	static const char *const texts[] = { "Secret", "SecretList", "ConfigMap", "data", "stringData", "kind", "items", "rows", "object",
		"containers", "env", "value", "token", "TokenReview", "spec", "path", "/data/x", "/spec/containers/0/env/0/value",
		"kubectl.kubernetes.io/last-applied-configuration", "{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":1}}",
		"metadata", "managedFields", "fieldsV1", "f:data", "eyJhbGciOiJub25lIn0.eyJzdWIiOjF9.c2ln", "Bearer 0123456789abc",
		"\\u0065yJhbGciOiJub25lIn0.eyJzdWIiOjF9.c2ln", "secrets", "configmaps", "\\u0064ata", "message" };
	buf_clear(out);
	const char *end = line.ptr + line.len;
	for (const char *at = line.ptr; at < end;) {
		const char *stop = *at == '"' ? text_skip(at, end) : at + 1;
		if (*at == '"' && !random_below(r, 6) && stop < end && (*stop == ':' || at[-1] == ':'))
			buf_addf(out, "\"%s\"", texts[random_below(r, sizeof texts / sizeof *texts)]);
		else
			buf_add(out, at, (size_t)(stop - at));
		at = stop;
	}
}

int main(int argc, char **argv)
{
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	struct redact_oracle oracle = redact_oracle_create();
	struct buf bytes = { 0 }, mutated = { 0 };
	struct view *lines;
	uint64_t cut[REDACT_ORACLES] = { 0 }, judged = 0;
	real_log_read(&bytes);
	size_t n = split(buf_view(&bytes), &lines);
	for (uint64_t i = 0; i < (run.rounds ? run.rounds : n); i++) {
		struct random r = random_round(&run, i);
		struct view line = run.rounds ? lines[random_below(&r, n)] : lines[i];
		struct event e;
		size_t end;
		for (int twist = 0; twist < 2; twist++) {
			if (decode_line(oracle.decoder, line, &e, &end) == DECODE_OK) {
				unsigned bits = redact_oracle_event(&oracle, line);
				for (unsigned j = 0; j < REDACT_ORACLES; j++)
					cut[j] += bits >> j & 1;
				judged++;
			}
			if (!twist) {
				mutate(&r, line, &mutated);
				line = buf_view(&mutated);
			}
		}
	}
	printf("%" PRIu64 " events judged; cut by each redactor:", judged);
	for (unsigned j = 0; j < REDACT_ORACLES; j++)
		printf(" %" PRIu64, cut[j]);
	printf("\n");
	for (unsigned j = 0; j < REDACT_ORACLES; j++)
		assert(cut[j]); /* else nothing was tested */
	free(lines);
	buf_finish(&bytes);
	buf_finish(&mutated);
	redact_oracle_finish(&oracle);
	return 0;
}
