/*
 * bench_webhook_load -- posts EventLists as kube-apiserver does: keep-alive connections, one
 * request at a time on each. The load for the webhook input and for the bare server that it is
 * measured against.
 *
 * usage: bench_webhook_load [--connections N] [--requests N] [--ca FILE] [--cert FILE --key FILE]
 * URL BODY...
 *
 * BODY is a file as kube-apiserver posted it. Each event gets an audit id of its own in each
 * request, so that none came already. Prints
 * {"seconds":S,"requests":N,"events":N,"events_per_s":R,"mb_per_s":R,"again":N}; `again` are
 * requests that were answered 429 and posted once more. Any other answer but 200 ends it with 1.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/units.h"

enum {
	BODIES_MAX = 16,
	CONNECTIONS_MAX = 64,
	BODY_BYTES_MAX = 64 << 20,
	DIGITS = 12,
	UPLOAD_BUFFER_BYTES = 512 << 10,
	POLL_MS = 1000
};

struct body {
	struct buf bytes;
	struct buf places; /* uint32_t: where the last digits of each audit id stand */
};

struct client {
	CURL *easy;
	struct buf bytes; /* its own copy of each body in turn */
	uint64_t events;
};

static struct body bodies[BODIES_MAX];
static unsigned n_bodies;
static struct client clients[CONNECTIONS_MAX];
static int64_t n_connections = 4, n_requests = 1000;
static uint64_t started, next_id, done_events, done_bytes, again;
static const char *ca_file, *cert_file, *key_file;

static bool load_body(const char *path)
{
	static const char name[] = "\"auditID\":\"";
	struct body *b = &bodies[n_bodies++];
	if (io_read_whole(path, BODY_BYTES_MAX, &b->bytes) < 0) {
		(void)fprintf(stderr, "bench_webhook_load: %s cannot be read\n", path);
		return false;
	}
	const char *at = b->bytes.ptr, *end = at + b->bytes.len;
	while ((at = memmem(at, (size_t)(end - at), name, strlen(name)))) {
		at += strlen(name);
		const char *quote = memchr(at, '"', (size_t)(end - at));
		if (!quote || quote - at < DIGITS)
			continue;
		uint32_t place = (uint32_t)(quote - DIGITS - b->bytes.ptr);
		buf_add(&b->places, &place, sizeof place);
	}
	return true;
}

static void number(char *to, uint64_t id)
{
	for (unsigned i = DIGITS; i--; id /= 10)
		to[i] = (char)('0' + id % 10);
}

static bool post(CURLM *multi, struct client *c)
{
	(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->bytes.ptr);
	(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->bytes.len);
	return curl_multi_add_handle(multi, c->easy) == CURLM_OK;
}

/* False: no request is left to be made. */
static bool post_next(CURLM *multi, struct client *c)
{
	if (started == (uint64_t)n_requests)
		return false;
	const struct body *b = &bodies[started++ % n_bodies];
	const uint32_t *places = (const uint32_t *)(const void *)b->places.ptr;
	buf_clear(&c->bytes);
	buf_add_view(&c->bytes, buf_view(&b->bytes));
	c->events = b->places.len / sizeof *places;
	for (size_t i = 0; i < c->events; i++)
		number(c->bytes.ptr + places[i], next_id++);
	return post(multi, c);
}

/* What became of a request. False: nothing good. */
static bool take_answer(CURLM *multi, CURLMsg *message, int *running)
{
	struct client *c = NULL;
	long status = 0;
	(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c);
	(void)curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
	if (message->data.result != CURLE_OK || (status != 200 && status != 429)) {
		(void)fprintf(stderr, "bench_webhook_load: %s, status %ld\n",
			curl_easy_strerror(message->data.result), status);
		return false;
	}
	(void)curl_multi_remove_handle(multi, c->easy);
	if (status == 429) {
		again++;
		*running = 1;
		return post(multi, c);
	}
	done_events += c->events;
	done_bytes += c->bytes.len;
	if (post_next(multi, c))
		*running = 1;
	return true;
}

static bool post_all(CURLM *multi)
{
	int running = 0, left;
	for (int64_t i = 0; i < n_connections; i++)
		(void)post_next(multi, &clients[i]);
	do {
		CURLMsg *message;
		(void)curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left)))
			if (!take_answer(multi, message, &running))
				return false;
		if (running)
			(void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	} while (running);
	return true;
}

static size_t forget(char *bytes, size_t size, size_t n, void *context)
{
	(void)bytes, (void)context;
	return size * n;
}

static void open_client(struct client *c, const char *url, struct curl_slist *headers)
{
	c->easy = curl_easy_init();
	(void)curl_easy_setopt(c->easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	(void)curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, forget);
	(void)curl_easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
	if (ca_file)
		(void)curl_easy_setopt(c->easy, CURLOPT_CAINFO, ca_file);
	if (cert_file)
		(void)curl_easy_setopt(c->easy, CURLOPT_SSLCERT, cert_file);
	if (key_file)
		(void)curl_easy_setopt(c->easy, CURLOPT_SSLKEY, key_file);
}

static bool take_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "requests", required_argument, NULL, 'n' },
		{ "ca", required_argument, NULL, 'a' },
		{ "cert", required_argument, NULL, 'e' },
		{ "key", required_argument, NULL, 'k' },
		{ 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'a')
			ca_file = optarg;
		else if (c == 'e')
			cert_file = optarg;
		else if (c == 'k')
			key_file = optarg;
		else if (!units_parse_number(
				 view_of(optarg), c == 'c' ? &n_connections : &n_requests) ||
			 (c != 'c' && c != 'n'))
			return false;
	}
	return argc - optind >= 2 && argc - optind - 1 <= BODIES_MAX && n_connections > 0 &&
	       n_connections <= CONNECTIONS_MAX && n_requests > 0;
}

int main(int argc, char **argv)
{
	if (!take_options(argc, argv)) {
		(void)fputs("usage: bench_webhook_load [--connections N] [--requests N] [--ca "
			    "FILE] [--cert FILE --key FILE] URL BODY...\n",
			stderr);
		return 2;
	}
	for (int i = optind + 1; i < argc; i++)
		if (!load_body(argv[i]))
			return 1;
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	CURLM *multi = curl_multi_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	for (int64_t i = 0; i < n_connections; i++)
		open_client(&clients[i], argv[optind], headers);
	next_id = (uint64_t)clock_now_us() % 1000000000000ull;
	int64_t start_us = clock_now_us();
	bool good = post_all(multi);
	double seconds = (double)(clock_now_us() - start_us) / 1e6;
	(void)printf("{\"seconds\":%.3f,\"requests\":%llu,\"events\":%llu,\"events_per_s\":%.0f,"
		     "\"mb_per_s\":%.1f,\"again\":%llu}\n",
		seconds, (unsigned long long)started, (unsigned long long)done_events,
		(double)done_events / seconds, (double)done_bytes / 1e6 / seconds,
		(unsigned long long)again);
	for (int64_t i = 0; i < n_connections; i++) {
		curl_easy_cleanup(clients[i].easy);
		buf_finish(&clients[i].bytes);
	}
	(void)curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	curl_global_cleanup();
	for (unsigned i = 0; i < n_bodies; i++) {
		buf_finish(&bodies[i].bytes);
		buf_finish(&bodies[i].places);
	}
	return good ? 0 : 1;
}
