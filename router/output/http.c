/*
 * http -- posts batches of events to a collector with libcurl's multi interface.
 *
 * What goes when is http_sink's; a request and its answer, http_request's; which records a request carries, http_parcel's.
 *
 * Threads: all of a sink is its lane's worker's; sinks share nothing but libcurl's global state, set up once by main.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/output/http_sink.h"
#include "router/output/output.h"

static struct http_request *find_free(struct sink *s)
{
	for (unsigned i = 0; i < s->n_requests; i++) {
		if (s->requests[i].state == HTTP_FREE)
			return &s->requests[i];
	}
	return NULL;
}

static bool may_join(const struct sink *s, const struct parcel *p, const struct batch *batch)
{
	return !s->target.by_cluster || !p->n || strcmp(parcel_cluster(p), batch->cluster ? batch->cluster : "") == 0;
}

static uint32_t http_put(struct sink *s, struct batch *batch, uint32_t first)
{
	uint32_t i = first;
	bool closed = false;
	while (i < batch->n) {
		if (s->open_bytes > s->open_bytes_max) {
			/* Nothing can join it before others are settled: better now than after batch_wait. */
			if (s->filling) {
				http_sink_close_filling(s);
				closed = true;
			}
			break;
		}
		if (!s->filling) {
			s->filling = find_free(s);
			if (!s->filling)
				break;
			s->filling->state = HTTP_FILLING;
			s->filling->due_ms = clock_steady_ms() + s->settings->batch_wait_ms;
		}
		struct parcel *p = &s->filling->parcel;
		bool added = may_join(s, p, batch) && parcel_add(p, s->target.format, &s->context, batch, i, s->settings->batch_bytes);
		if (added)
			s->open_bytes += batch->records[i++].bytes.len;
		if (!added || p->n >= (uint64_t)s->settings->batch_events || p->bytes >= (uint64_t)s->settings->batch_bytes) {
			http_sink_close_filling(s);
			closed = true;
		}
	}
	if (closed) {
		http_sink_send_due(s);
		http_sink_perform(s); /* on its way while the next is filled; the outcome comes by wait() */
	}
	return i - first;
}

static void http_flush(struct sink *s)
{
	if (s->filling)
		http_sink_close_filling(s);
	http_sink_send_due(s);
}

static void http_wait(struct sink *s, int timeout_ms)
{
	s->news = false;
	http_sink_advance(s);
	if (s->news)
		return;
	struct curl_waitfd wake = { .fd = s->wake_fd, .events = CURL_WAIT_POLLIN };
	(void)curl_multi_poll(s->multi, &wake, s->wake_fd >= 0 ? 1 : 0, http_sink_next_ms(s, timeout_ms), NULL);
	http_sink_advance(s);
}

static void http_close(struct sink *s)
{
	if (!s)
		return;
	for (unsigned i = 0; s->requests && i < s->n_requests; i++) {
		if (s->requests[i].state == HTTP_FLYING)
			(void)curl_multi_remove_handle(s->multi, s->requests[i].easy);
		http_request_finish(&s->requests[i]);
	}
	free(s->requests);
	if (s->multi)
		(void)curl_multi_cleanup(s->multi);
	http_pack_destroy(s->pack);
	http_target_finish(&s->target);
	free(s);
}

static void curl_start(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int open_requests(struct sink *s)
{
	s->multi = curl_multi_init();
	if (!s->multi)
		return -ENOMEM;
	s->n_requests = (unsigned)s->settings->in_flight + 1;
	s->requests = mem_zero(s->n_requests, sizeof *s->requests);
	(void)curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)s->n_requests);
	for (unsigned i = 0; i < s->n_requests; i++) {
		int e = http_request_init(&s->requests[i], &s->target);
		if (e < 0)
			return e;
	}
	return 0;
}

static int http_open(struct sink **ret_sink, const struct sink_options *options, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct http_settings *settings = options->output->own;
	(void)pthread_once(&once, curl_start);
	struct sink *s = mem_zero(1, sizeof *s);
	s->settings = settings;
	s->context.output = options->output;
	s->lane = options->lane;
	s->wake_fd = options->wake_fd;
	s->open_bytes_max = options->open_bytes_max;
	s->backoff = (struct http_backoff){ settings->retry_min_ms, settings->retry_max_ms };
	s->pack = http_pack_create((enum http_compression)settings->compression);
	s->random = (uint64_t)clock_now_us() ^ (uint64_t)(uintptr_t)s;
	int e = http_target_init(&s->target, settings, options->output->format, options->class_,
		options->config ? options->config->cluster : NULL, err);
	if (e == 0 && (e = open_requests(s)) < 0)
		err_set(err, "libcurl: out of memory");
	if (e < 0) {
		http_close(s);
		return e;
	}
	*ret_sink = s;
	return 0;
}

static void http_describe(const struct config *config, const struct config_output *output, enum audit_class class_,
	char *text, size_t room)
{
	_free_ char *url = http_settings_url(output->own, class_, config ? config->cluster : NULL);
	_free_ char *shown = http_settings_shown(url);
	(void)snprintf(text, room, "%s", shown);
}

static void http_check(struct settings_reader *reader, const struct config *config,
	const struct config_output *output, const struct node *map)
{
	const struct http_settings *s = output->own;
	if (http_settings_by_cluster(s) && (!config->cluster || !*config->cluster))
		settings_problem(reader, map, "{cluster} is to be filled in, but `cluster` is unsaid");
}

static const char *const formats[] = { "ndjson", "json", NULL };

const struct output_ops output_http = {
	.name = "http",
	.help = "An HTTP collector: batches of events by POST.",
	.settings = &http_section,
	.formats = formats,
	.check = http_check,
	.describe = http_describe,
	.open = http_open,
	.put = http_put,
	.flush = http_flush,
	.wait = http_wait,
	.close = http_close,
};
