#pragma once
/*
 * http_verdict -- what a collector's answer means for the events of a request, and when to try again. Pure.
 *
 * Only an event that was refused alone is ever given up (HTTP_REFUSED, HTTP_TOO_LARGE); what hints at a wrong setting
 * keeps the events, since the next answer may come after the setting was mended.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

enum http_verdict {
	HTTP_DELIVERED,
	HTTP_RETRY,     /* not now: 408, 425, 429, 5xx, the network */
	HTTP_AUTH,      /* 401, 403: the credentials */
	HTTP_CONFIG,    /* a setting is wrong: 3xx, 404, 405, 415, a certificate, ... */
	HTTP_TOO_LARGE, /* 413: fewer events in a request */
	HTTP_REFUSED,   /* 400, 422 and any other 4xx: some event of the request is at fault */
};

/* Of a final status (200 and above; anything below, which no server should send, is tried again). */
enum http_verdict http_verdict_of_status(long status);
/* Of a request that got no answer: HTTP_RETRY or HTTP_CONFIG. */
enum http_verdict http_verdict_of_error(CURLcode);

/* What the user may do about it, as the end of a sentence; "" where nothing helps but waiting. */
const char *http_verdict_hint(enum http_verdict, long status, CURLcode);

struct http_backoff {
	int64_t min_ms, max_ms;
};
/*
 * How long to wait after so many failures in a row (1 and up). `retry_after_ms` is the collector's wish, 0 when it has
 * none; `random` any number, for jitter: several routers must not come back in one moment.
 */
int64_t http_backoff_ms(const struct http_backoff *, enum http_verdict, unsigned failures, int64_t retry_after_ms,
	uint64_t random);
