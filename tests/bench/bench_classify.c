/*
 * bench_classify FILE [ROUNDS] -- decode and classify of a plain audit log in memory, one thread: what the router does with
 * each event before a lane takes it. A line of JSON: {"bench":"classify","what":...,"bytes":...,"events":...,"gb_per_s":...},
 * best of ROUNDS (10), beside memcpy of the same bytes.
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

enum { ROUNDS_DEFAULT = 10 };
static const size_t LOG_BYTES_MAX = (size_t)4 << 30;

static struct attributes attributes;
static uint64_t counts[AUDIT_CLASSES];

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t classify_all(struct view log, struct decoder *decoder, const struct classifier *classifier)
{
	uint64_t events = 0;
	for (struct view rest = log, line; line_next(&rest, &line);) {
		struct event event;
		size_t stop;
		if (decode_line(decoder, line, &event, &stop) == DECODE_OK) {
			attributes_of(&event, &attributes);
			counts[classifier_classify(classifier, &attributes).class_]++;
			events++;
		}
	}
	return events;
}

static void print(const char *what, struct view log, uint64_t events, int64_t ns)
{
	printf("{\"bench\":\"classify\",\"what\":\"%s\",\"bytes\":%zu,\"events\":%" PRIu64 ",\"seconds\":%.6f,\"gb_per_s\":%.4f}\n",
		what, log.len, events, (double)ns / 1e9, (double)log.len / (double)ns);
}

int main(int argc, char **argv)
{
	int64_t rounds = ROUNDS_DEFAULT;
	if (argc < 2 || argc > 3 || (argc == 3 && (!units_parse_number(view_of(argv[2]), &rounds) || rounds < 1))) {
		(void)fputs("usage: bench_classify FILE [ROUNDS]\n", stderr);
		return 2;
	}
	struct buf log = { 0 };
	struct problems problems = { 0 };
	struct classifier *classifier;
	if (io_read_whole(argv[1], LOG_BYTES_MAX, &log) || classifier_load(&classifier, "gke", NULL, NULL, 0, &problems)) {
		(void)fputs("bench_classify: cannot read the log, or the table\n", stderr);
		return 1;
	}
	struct view bytes = { log.ptr, log.len };
	struct decoder *decoder = decode_create(DECODE_BEST);
	char *copy = malloc(log.len + 1);
	assert(decoder && copy);
	int64_t copied_ns = INT64_MAX, classified_ns = INT64_MAX;
	uint64_t events = 0;
	for (int64_t i = 0; i < rounds; i++) {
		int64_t start = now_ns();
		memcpy(copy, bytes.ptr, bytes.len);
		int64_t middle = now_ns();
		events = classify_all(bytes, decoder, classifier);
		int64_t end = now_ns();
		copied_ns = middle - start < copied_ns ? middle - start : copied_ns;
		classified_ns = end - middle < classified_ns ? end - middle : classified_ns;
	}
	print("memcpy", bytes, 0, copied_ns);
	print("decode and classify", bytes, events, classified_ns);
	free(copy);
	decode_destroy(decoder);
	classifier_close(classifier);
	problems_finish(&problems);
	buf_finish(&log);
	return 0;
}
