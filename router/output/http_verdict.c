#include "router/output/http_verdict.h"

enum {
	SLOW_FACTOR = 10, /* a wrong setting is not mended within milliseconds */
	DOUBLINGS_MAX = 20,
};

enum http_verdict http_verdict_of_status(long status)
{
	if (status >= 200 && status < 300)
		return HTTP_DELIVERED;
	if (status >= 300 && status < 400)
		return HTTP_CONFIG;
	if (status < 400 || status >= 500)
		return HTTP_RETRY;
	switch (status) {
	case 401:
	case 403:
		return HTTP_AUTH;
	case 408: /* timeout */
	case 423: /* locked */
	case 425: /* too early */
	case 429: /* too many requests */
		return HTTP_RETRY;
	case 413:
		return HTTP_TOO_LARGE;
	case 404: /* none of these speaks of the body's content */
	case 405:
	case 406: /* OpenSearch: not this Content-Type */
	case 407: /* proxy */
	case 410: /* gone: as 404 */
	case 411:
	case 415:
	case 421:
	case 426:
	case 431: /* headers too large */
		return HTTP_CONFIG;
	default:
		return HTTP_REFUSED;
	}
}

enum http_verdict http_verdict_of_error(CURLcode code)
{
	switch (code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_NOT_BUILT_IN:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return HTTP_CONFIG;
	default:
		return HTTP_RETRY;
	}
}

static const char *status_hint(long status)
{
	if (status >= 300 && status < 400)
		return " (redirects are not followed: is the url right?)";
	switch (status) {
	case 401:
	case 403:
		return " (are the credentials under auth right?)";
	case 404:
	case 405:
		return " (is the path of the url right?)";
	case 406:
	case 415:
		return " (does the collector take this format and compression?)";
	default:
		return "";
	}
}

const char *http_verdict_hint(enum http_verdict verdict, long status, CURLcode code)
{
	if (verdict != HTTP_CONFIG && verdict != HTTP_AUTH)
		return "";
	switch (code) {
	case CURLE_OK:
		return status_hint(status);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return " (is tls.ca_file right?)";
	case CURLE_SSL_CERTPROBLEM:
		return " (are tls.certificate_file and tls.key_file right?)";
	default:
		return "";
	}
}

int64_t http_backoff_ms(const struct http_backoff *b, enum http_verdict verdict, unsigned failures,
	int64_t retry_after_ms, uint64_t random)
{
	int64_t wait_ms = b->min_ms;
	if (verdict == HTTP_AUTH || verdict == HTTP_CONFIG)
		wait_ms *= SLOW_FACTOR;
	unsigned doublings = failures > 1 ? failures - 1 : 0;
	for (unsigned i = 0; i < doublings && i < DOUBLINGS_MAX && wait_ms < b->max_ms; i++)
		wait_ms *= 2;
	if (wait_ms > b->max_ms)
		wait_ms = b->max_ms;
	/* Between half of it and all of it. */
	wait_ms -= (int64_t)(random % (uint64_t)(wait_ms / 2 + 1));
	if (retry_after_ms > wait_ms)
		wait_ms = retry_after_ms < b->max_ms ? retry_after_ms : b->max_ms;
	return wait_ms;
}
