/*
 * bench_http_bare -- a bare libcurl loop: posts a log in 1 MB batches of whole lines to four URLs. The reference that the
 * HTTP output is measured against: no decoding, no classes, nothing kept, no retries.
 *
 * usage: bench_http_bare URL FILE [BATCH_BYTES]
 *
 * Batches go to URL/0 .. URL/3 in turn, one request at a time for each. Prints {"seconds":S,"mb_per_s":R,"requests":N}.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <curl/curl.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/units.h"

enum { URLS = 4, BATCH_BYTES = 1000000, UPLOAD_BUFFER_BYTES = 512 << 10, POLL_MS = 1000 };

struct log {
	const char *at, *end;
	size_t batch_bytes;
	uint64_t requests;
};

/* The next batch: whole lines, at most batch_bytes but for one line alone. */
static struct view next_batch(struct log *log)
{
	size_t left = (size_t)(log->end - log->at);
	struct view batch = { log->at, left };
	if (left > log->batch_bytes) {
		const char *last = memrchr(log->at, '\n', log->batch_bytes);
		if (!last)
			last = memchr(log->at, '\n', left);
		batch.len = last ? (size_t)(last + 1 - log->at) : left;
	}
	log->at += batch.len;
	return batch;
}

static size_t forget(char *bytes, size_t size, size_t n, void *context)
{
	(void)bytes, (void)context;
	return size * n;
}

/* False: nothing is left. */
static bool post_next(CURLM *multi, CURL *easy, struct log *log)
{
	struct view batch = next_batch(log);
	if (!batch.len)
		return false;
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, batch.ptr);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)batch.len);
	log->requests++;
	return curl_multi_add_handle(multi, easy) == CURLM_OK;
}

static bool post_all(CURLM *multi, CURL **easies, struct log *log)
{
	int running = 0, left;
	for (unsigned i = 0; i < URLS; i++)
		(void)post_next(multi, easies[i], log);
	do {
		(void)curl_multi_perform(multi, &running);
		CURLMsg *message;
		while ((message = curl_multi_info_read(multi, &left))) {
			CURL *easy = message->easy_handle;
			if (message->data.result != CURLE_OK) {
				(void)fprintf(stderr, "bench_http_bare: %s\n", curl_easy_strerror(message->data.result));
				return false;
			}
			(void)curl_multi_remove_handle(multi, easy);
			if (post_next(multi, easy, log))
				running = 1;
		}
		if (running)
			(void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	} while (running);
	return true;
}

static CURL *make_easy(const char *url, unsigned number, struct curl_slist *headers)
{
	CURL *easy = curl_easy_init();
	_free_ char *own = mem_textf("%s/%u", url, number);
	(void)curl_easy_setopt(easy, CURLOPT_URL, own);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, forget);
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
	return easy;
}

int main(int argc, char **argv)
{
	int64_t batch_bytes = BATCH_BYTES;
	struct stat st;
	if (argc < 3 || argc > 4 || (argc == 4 && !units_parse_number(view_of(argv[3]), &batch_bytes)) || batch_bytes < 1) {
		(void)fputs("usage: bench_http_bare URL FILE [BATCH_BYTES]\n", stderr);
		return 2;
	}
	_close_ int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_size == 0) {
		perror(argv[2]);
		return 1;
	}
	size_t size = (size_t)st.st_size;
	const char *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		perror(argv[2]);
		return 1;
	}
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	CURLM *multi = curl_multi_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	headers = curl_slist_append(headers, "Content-Type: application/x-ndjson");
	CURL *easies[URLS];
	for (unsigned i = 0; i < URLS; i++)
		easies[i] = make_easy(argv[1], i, headers);
	struct log log = { bytes, bytes + size, (size_t)batch_bytes, 0 };
	int64_t start_us = clock_now_us();
	bool good = post_all(multi, easies, &log);
	double seconds = (double)(clock_now_us() - start_us) / 1e6;
	(void)printf("{\"seconds\":%.3f,\"mb_per_s\":%.1f,\"requests\":%llu}\n", seconds, (double)size / 1e6 / seconds,
		(unsigned long long)log.requests);
	for (unsigned i = 0; i < URLS; i++)
		curl_easy_cleanup(easies[i]);
	(void)curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	curl_global_cleanup();
	(void)munmap((void *)bytes, size);
	return good ? 0 : 1;
}
