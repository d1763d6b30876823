/*
 * bench_decode FILE [ROUNDS] -- how fast events of a plain audit log are decoded in memory, one thread, beside what the
 * machine does at best. A line of JSON a measurement: {"bench":"decode","what":...,"bytes":...,"events":...,"gb_per_s":...},
 * best of ROUNDS (10).
 */
#include <jansson.h>
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
#include "router/match/matcher.h"

static const uint64_t LOG_BYTES_MAX = 4ull << 30;
enum { ROUNDS_DEFAULT = 10, JANSSON_ROUNDS = 2 };

struct log {
	struct view bytes;
	struct view *lines;
	size_t n;
	char *copy;
};

/* What was decoded goes here, so that no compiler takes the work away. */
static volatile uint64_t sink;

/* Of this thread alone, so that other work on the machine counts as little as can be. */
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t run_memcpy(struct log *log, void *context)
{
	(void)context;
	memcpy(log->copy, log->bytes.ptr, log->bytes.len);
	return (uint8_t)log->copy[log->bytes.len / 2];
}

/* The least that a router must do: find the lines, move the bytes. */
static uint64_t run_lines(struct log *log, void *context)
{
	const char *at = log->bytes.ptr, *end = at + log->bytes.len;
	uint64_t lines = 0;
	(void)context;
	for (char *to = log->copy; at < end; lines++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline + 1 : end) - at);
		memcpy(to, at, len);
		to += len;
		at += len;
	}
	return lines;
}

static uint64_t run_decode(struct log *log, void *context)
{
	struct decoder *d = context;
	struct event event;
	uint64_t good = 0;
	for (size_t i = 0, end; i < log->n; i++)
		good += decode_line(d, log->lines[i], &event, &end) == DECODE_OK;
	return good;
}

struct classify {
	struct decoder *decoder;
	struct classifier *classifier;
};

/* All that a router must know of an event to send it on. */
static uint64_t run_classify(struct log *log, void *context)
{
	struct classify *c = context;
	struct event event;
	struct attributes attributes;
	uint64_t sum = 0;
	for (size_t i = 0, end; i < log->n; i++) {
		if (decode_line(c->decoder, log->lines[i], &event, &end) != DECODE_OK)
			continue;
		attributes_of(&event, &attributes);
		sum += classifier_classify(c->classifier, &attributes).rule;
	}
	return sum;
}

static uint64_t run_jansson(struct log *log, void *context)
{
	uint64_t good = 0;
	(void)context;
	for (size_t i = 0; i < log->n; i++) {
		json_t *event = json_loadb(log->lines[i].ptr, log->lines[i].len, JSON_ALLOW_NUL, NULL);
		good += event != NULL;
		json_decref(event);
	}
	return good;
}

static void measure(struct log *log, const char *what, int rounds, uint64_t (*run)(struct log *, void *), void *context)
{
	double best = 0;
	sink = run(log, context);
	for (int i = 0; i < rounds; i++) {
		double start = now();
		sink = run(log, context);
		double seconds = now() - start;
		if (!i || seconds < best)
			best = seconds;
	}
	printf("{\"bench\":\"decode\",\"what\":\"%s\",\"bytes\":%zu,\"events\":%zu,\"seconds\":%.6f,\"gb_per_s\":%.3f}\n", what,
		log->bytes.len, log->n, best, (double)log->bytes.len / best / 1e9);
	fflush(stdout);
}

static void measure_classify(struct log *log, int rounds)
{
	struct problems problems = { 0 };
	struct classify c = { .decoder = decode_create(DECODE_BEST) };
	if (classifier_load(&c.classifier, "gke", NULL, NULL, 0, &problems))
		problems_print(&problems);
	else
		measure(log, "decode+classify", rounds, run_classify, &c);
	problems_finish(&problems);
	classifier_close(c.classifier);
	decode_destroy(c.decoder);
}

static void split(struct log *log)
{
	size_t room = 0;
	for (struct view rest = log->bytes, line; line_next(&rest, &line);) {
		if (log->n == room) {
			room = room ? room * 2 : 1024;
			log->lines = mem_resize(log->lines, room * sizeof *log->lines);
		}
		log->lines[log->n++] = line;
	}
}

int main(int argc, char **argv)
{
	struct buf bytes = { 0 };
	int64_t rounds = ROUNDS_DEFAULT;
	if (argc < 2 || argc > 3 || (argc == 3 && !units_parse_number(view_of(argv[2]), &rounds))) {
		fprintf(stderr, "usage: bench_decode FILE [ROUNDS]\n");
		return 2;
	}
	int error = io_read_whole(argv[1], LOG_BYTES_MAX, &bytes);
	if (error) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-error));
		return 1;
	}
	struct log log = { .bytes = buf_view(&bytes), .copy = mem_alloc(bytes.len) };
	split(&log);
	measure(&log, "memcpy", (int)rounds, run_memcpy, NULL);
	measure(&log, "memchr+memcpy", (int)rounds, run_lines, NULL);
	for (enum decode_vectors vectors = DECODE_PLAIN; vectors <= DECODE_NEON; vectors++) {
		struct decoder *d = decode_create(vectors);
		if (!d)
			continue;
		char what[32];
		snprintf(what, sizeof what, "decode %s", decode_vectors_name(d));
		measure(&log, what, (int)rounds, run_decode, d);
		decode_destroy(d);
	}
	measure_classify(&log, (int)rounds);
	measure(&log, "jansson", JANSSON_ROUNDS, run_jansson, NULL);
	free(log.lines);
	free(log.copy);
	buf_finish(&bytes);
	return 0;
}
