/*
 * bench_http_bare -- a bare libcurl loop that posts the router's very batches: the reference that the HTTP output is measured
 * against. It decodes nothing and retries nothing.
 *
 * usage: bench_http_bare URL LOG PLAN [BATCH_BYTES]
 *
 * PLAN (of bench_plan) says which class each line of the log is. The lines of a class go to URL/CLASS in their order, in 1 MB
 * batches, one request at a time for each class, all of one thread, out of the mapped log straight into libcurl's buffer.
 * Prints {"seconds":S,"mb_per_s":R,"requests":N}.
 */
#include <stdbool.h>
#include <string.h>

#include <curl/curl.h>

#include "router/base/audit_class.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/units.h"
#include "tests/bench/plan.h"

enum { BATCH_BYTES = 1000000, UPLOAD_BUFFER_BYTES = 512 << 10, POLL_MS = 1000 };

/* The lines of a class, with their newlines, and how far they are sent. */
struct stream {
	CURL *easy;
	struct view *lines;
	size_t n, next;        /* the first line that is in no batch yet */
	size_t at, skip;       /* the line that is read next, and how much of it was */
};

struct bench {
	CURLM *multi;
	struct curl_slist *headers;
	struct stream streams[AUDIT_CLASSES];
	size_t batch_bytes;
	uint64_t requests;
};

static size_t forget(char *bytes, size_t size, size_t n, void *context)
{
	(void)bytes, (void)context;
	return size * n;
}

static size_t read_batch(char *bytes, size_t size, size_t n, void *context)
{
	struct stream *s = context;
	size_t room = size * n, done = 0;
	while (done < room && s->at < s->next) {
		struct view line = s->lines[s->at];
		size_t part = line.len - s->skip < room - done ? line.len - s->skip : room - done;
		memcpy(bytes + done, line.ptr + s->skip, part);
		done += part;
		s->skip += part;
		if (s->skip == line.len) {
			s->at++;
			s->skip = 0;
		}
	}
	return done;
}

/* Whole lines, at most batch_bytes but for one line alone. False: nothing is left. */
static bool post_next(struct bench *b, struct stream *s)
{
	size_t len = 0;
	for (; s->next < s->n && (!len || len + s->lines[s->next].len <= b->batch_bytes); s->next++)
		len += s->lines[s->next].len;
	if (!len)
		return false;
	(void)curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	b->requests++;
	return curl_multi_add_handle(b->multi, s->easy) == CURLM_OK;
}

/* Takes up what is done. False: it went wrong. */
static bool reap(struct bench *b, int *running)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(b->multi, &left))) {
		struct stream *s = NULL;
		if (message->data.result != CURLE_OK) {
			(void)fprintf(stderr, "bench_http_bare: %s\n", curl_easy_strerror(message->data.result));
			return false;
		}
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&s);
		(void)curl_multi_remove_handle(b->multi, s->easy);
		if (post_next(b, s))
			*running = 1;
	}
	return true;
}

static bool post_all(struct bench *b)
{
	int running = 0;
	for (unsigned i = 0; i < AUDIT_CLASSES; i++)
		(void)post_next(b, &b->streams[i]);
	do {
		(void)curl_multi_perform(b->multi, &running);
		if (!reap(b, &running))
			return false;
		if (running)
			(void)curl_multi_poll(b->multi, NULL, 0, POLL_MS, NULL);
	} while (running);
	return true;
}

static void open_stream(struct bench *b, const char *url, enum audit_class class_)
{
	struct stream *s = &b->streams[class_];
	_free_ char *own = mem_textf("%s/%s", url, audit_class_lower(class_));
	s->easy = curl_easy_init();
	(void)curl_easy_setopt(s->easy, CURLOPT_URL, own);
	(void)curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
	(void)curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, b->headers);
	(void)curl_easy_setopt(s->easy, CURLOPT_FAILONERROR, 1L);
	(void)curl_easy_setopt(s->easy, CURLOPT_READFUNCTION, read_batch);
	(void)curl_easy_setopt(s->easy, CURLOPT_READDATA, s);
	(void)curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, forget);
	(void)curl_easy_setopt(s->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
}

/* Where the lines of each class are. Of the log itself nothing is touched yet. */
static void sort_lines(struct bench *b, struct view log, const struct planned *plan, size_t n)
{
	for (unsigned i = 0; i < AUDIT_CLASSES; i++)
		b->streams[i].lines = mem_zero(n + 1, sizeof *b->streams[i].lines);
	const char *at = log.ptr, *end = log.ptr + log.len;
	for (size_t i = 0; i < n; i++) {
		struct stream *s = &b->streams[plan[i].class_];
		size_t len = plan[i].len + (at + plan[i].len < end);
		s->lines[s->n++] = (struct view){ at, len };
		at += len;
	}
}

int main(int argc, char **argv)
{
	int64_t batch_bytes = BATCH_BYTES;
	size_t plan_len;
	struct view log;
	if (argc < 4 || argc > 5 || (argc == 5 && !units_parse_number(view_of(argv[4]), &batch_bytes)) || batch_bytes < 1) {
		(void)fputs("usage: bench_http_bare URL LOG PLAN [BATCH_BYTES]\n", stderr);
		return 2;
	}
	log.ptr = plan_map(argv[2], &log.len);
	const struct planned *plan = plan_map(argv[3], &plan_len);
	struct bench b = { .batch_bytes = (size_t)batch_bytes };
	sort_lines(&b, log, plan, plan_len / sizeof *plan);
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	b.multi = curl_multi_init();
	b.headers = curl_slist_append(NULL, "Expect:");
	b.headers = curl_slist_append(b.headers, "Content-Type: application/x-ndjson");
	for (unsigned i = 0; i < AUDIT_CLASSES; i++)
		open_stream(&b, argv[1], (enum audit_class)i);
	int64_t start_us = clock_now_us();
	bool good = post_all(&b);
	double seconds = (double)(clock_now_us() - start_us) / 1e6;
	(void)printf("{\"seconds\":%.3f,\"mb_per_s\":%.1f,\"requests\":%llu}\n", seconds, (double)log.len / 1e6 / seconds,
		(unsigned long long)b.requests);
	for (unsigned i = 0; i < AUDIT_CLASSES; i++) {
		curl_easy_cleanup(b.streams[i].easy);
		free(b.streams[i].lines);
	}
	(void)curl_multi_cleanup(b.multi);
	curl_slist_free_all(b.headers);
	curl_global_cleanup();
	return good ? 0 : 1;
}
