#include "router/output/http_request.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "router/base/cleanup.h"

enum {
	UPLOAD_BUFFER_BYTES = 512 << 10, /* a write of 64 KiB at a time, libcurl's default, costs a third of the rate */
	KEEPALIVE_S = 60,
};

/* ---- target ---- */

static bool says_header(const struct http_settings *s, const char *name)
{
	for (size_t i = 0; i < s->headers.n; i++) {
		if (strcasecmp(s->headers.list[i].key, name) == 0)
			return true;
	}
	return false;
}

static bool has_control(const char *text)
{
	for (const char *at = text; *at; at++) {
		if (iscntrl((unsigned char)*at))
			return true;
	}
	return false;
}

/* An empty "Expect:" keeps libcurl from waiting a second for a "100 Continue" that few collectors send. */
static char **make_headers(const struct http_settings *s, const struct format_ops *format, enum audit_class class_,
	const char *cluster)
{
	enum { OWN = 4 };
	char **headers = mem_zero(s->headers.n + OWN + 1, sizeof *headers);
	size_t n = 0;
	headers[n++] = mem_text(VIEW("Expect:"));
	if (!says_header(s, "Content-Type"))
		headers[n++] = mem_textf("Content-Type: %s", format->content_type);
	if (!says_header(s, "User-Agent"))
		headers[n++] = mem_text(VIEW("User-Agent: audit-router/" AUDIT_ROUTER_VERSION));
	if (s->compression != HTTP_PLAIN)
		headers[n++] = mem_textf("Content-Encoding: %s", http_pack_name((enum http_compression)s->compression));
	for (size_t i = 0; i < s->headers.n; i++) {
		char *value = http_settings_expand(s->headers.list[i].value, class_, cluster);
		/* A colon with nothing behind it would take the header out; libcurl's way to say "empty" is this. */
		headers[n++] = *value ? mem_textf("%s: %s", s->headers.list[i].key, value) :
					mem_textf("%s;", s->headers.list[i].key);
		free(value);
	}
	return headers;
}

int http_target_init(struct http_target *t, const struct http_settings *settings, const struct format_ops *format,
	enum audit_class class_, const char *cluster, struct err *err)
{
	*t = (struct http_target){ .settings = settings, .format = format, .class_ = class_ };
	t->by_cluster = http_settings_by_cluster(settings);
	t->url = http_settings_url(settings, class_, cluster);
	t->shown = http_settings_shown(t->url);
	t->headers = make_headers(settings, format, class_, cluster);
	http_auth_init(&t->auth, &settings->auth);
	for (char **header = t->headers; *header; header++) {
		if (has_control(*header))
			return err_set(err, "the cluster's name cannot stand in a header: it holds control characters");
	}
	return 0;
}

static void wipe_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		http_auth_wipe(*text); /* a user may have written a token here */
	free(texts);
}

void http_target_finish(struct http_target *t)
{
	wipe_texts(t->headers);
	free(t->url);
	free(t->shown);
	http_auth_finish(&t->auth);
	*t = (struct http_target){ 0 };
}

/* ---- callbacks: inside curl_multi_perform ---- */

/* Headers of interim answers (100) and of the final one. Any return but the length ends the transfer. */
static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
	struct http_request *r = context;
	size_t len = size * n;
	long status = 0;
	r->header_bytes += len;
	if (r->header_bytes > HTTP_ANSWER_HEADERS_MAX)
		return 0;
	if (len > 2 || bytes[len - 1] != '\n' || (len == 2 && bytes[0] != '\r'))
		return len;
	(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	r->answer_began = status >= 200;
	return len;
}

static size_t on_answer(char *bytes, size_t size, size_t n, void *context)
{
	struct http_request *r = context;
	size_t len = size * n;
	r->answer_bytes += len;
	if (r->answer_bytes > r->answer_max) {
		r->answer_long = true;
		return 0;
	}
	if (r->target->format->answer)
		buf_add(&r->answer, bytes, len);
	return len;
}

/* A streamed body: out of the batches into libcurl's upload buffer, with no copy of it in between. */
static size_t on_read(char *bytes, size_t size, size_t n, void *context)
{
	struct http_request *r = context;
	return parcel_read(&r->parcel, r->target->format, bytes, size * n);
}

/* A connection that was kept alive and is gone: libcurl sends the body from its start by another. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
	struct http_request *r = context;
	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	parcel_rewind(&r->parcel);
	return CURL_SEEKFUNC_OK;
}

/* ---- request ---- */

static void set_tls(CURL *easy, const struct http_settings *s)
{
	const struct http_tls_settings *tls = &s->tls;
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (tls->ca_file) {
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
		(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A replaced file counts from the next connection on, not a day later. */
	(void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
	(void)curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate_file);
	(void)curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->verify ? 1L : 0L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->verify ? 2L : 0L);
}

int http_request_init(struct http_request *r, const struct http_target *target)
{
	const struct http_settings *s = target->settings;
	*r = (struct http_request){ .target = target };
	r->parcel.streamed = target->format->verbatim && s->compression == HTTP_PLAIN;
	CURL *easy = r->easy = curl_easy_init();
	if (!easy)
		return -ENOMEM;
	(void)curl_easy_setopt(easy, CURLOPT_URL, target->url);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
	(void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->error);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
	(void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(easy, CURLOPT_READDATA, r);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, r);
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_BYTES);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)s->timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* close() must not wait for a name server. */
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
		(long)(s->version == HTTP_VERSION_2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	set_tls(easy, s);
	return 0;
}

static void free_headers(struct http_request *r)
{
	for (struct curl_slist *at = r->headers; at; at = at->next)
		explicit_bzero(at->data, strlen(at->data));
	curl_slist_free_all(r->headers);
	r->headers = NULL;
}

void http_request_finish(struct http_request *r)
{
	if (r->easy)
		curl_easy_cleanup(r->easy);
	free_headers(r);
	free(r->cluster);
	free(r->shown);
	parcel_finish(&r->parcel);
	buf_finish(&r->packed);
	buf_finish(&r->answer);
	*r = (struct http_request){ 0 };
}

static void add_header(struct http_request *r, const char *header)
{
	struct curl_slist *longer = curl_slist_append(r->headers, header);
	if (longer)
		r->headers = longer;
}

/* The URL for the events in hand. A cluster's name may come from anybody who writes to a topic: it adds no line to the head. */
static bool set_cluster(struct http_request *r)
{
	const struct http_target *t = r->target;
	const char *cluster = t->by_cluster ? parcel_cluster(&r->parcel) : NULL;
	if (!cluster || (r->cluster && strcmp(r->cluster, cluster) == 0))
		return false;
	free(r->cluster);
	free(r->shown);
	r->cluster = mem_text(view_of(cluster));
	_free_ char *url = http_settings_url(t->settings, t->class_, cluster);
	r->shown = http_settings_shown(url);
	(void)curl_easy_setopt(r->easy, CURLOPT_URL, url);
	return true;
}

static void add_own_headers(struct http_request *r)
{
	const struct http_target *t = r->target;
	if (!r->cluster) {
		for (char **header = t->headers; *header; header++)
			add_header(r, *header);
		return;
	}
	_free_ char *clean = mem_text(view_of(r->cluster));
	for (char *at = clean; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '_';
	char **headers = make_headers(t->settings, t->format, t->class_, clean);
	for (char **header = headers; *header; header++)
		add_header(r, *header);
	wipe_texts(headers);
}

/* The credentials as they are now. */
static void set_headers(struct http_request *r, bool another_cluster)
{
	const struct http_target *t = r->target;
	if (r->headers && r->auth_version == t->auth.version && !another_cluster)
		return;
	(void)curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, NULL);
	free_headers(r);
	add_own_headers(r);
	char *token = http_auth_header(&t->auth);
	if (token)
		add_header(r, token);
	http_auth_wipe(token);
	if (t->settings->auth.type == HTTP_AUTH_BASIC) {
		(void)curl_easy_setopt(r->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)curl_easy_setopt(r->easy, CURLOPT_USERNAME, t->settings->auth.username);
		(void)curl_easy_setopt(r->easy, CURLOPT_PASSWORD, t->auth.secret);
	}
	(void)curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	r->auth_version = t->auth.version;
}

static void set_body(struct http_request *r)
{
	bool packed = r->target->settings->compression != HTTP_PLAIN;
	const struct view body = buf_view(packed ? &r->packed : &r->parcel.body);
	r->body_bytes = r->parcel.streamed ? r->parcel.bytes : body.len;
	parcel_rewind(&r->parcel);
	(void)curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->parcel.streamed ? NULL : body.ptr);
	(void)curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
}

void http_request_prepare(struct http_request *r)
{
	set_headers(r, set_cluster(r));
	set_body(r);
	(void)curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, r->fresh ? 1L : 0L);
	(void)curl_easy_setopt(r->easy, CURLOPT_SSL_SESSIONID_CACHE, r->fresh ? 0L : 1L);
	r->header_bytes = r->answer_bytes = 0;
	r->answer_max = HTTP_ANSWER_MAX;
	if (r->target->format->answer)
		r->answer_max += (uint64_t)parcel_window(&r->parcel) * HTTP_ANSWER_EVENT_MAX;
	r->answer_began = r->answer_long = false;
	buf_clear(&r->answer);
	r->error[0] = 0;
}

/* ---- result ---- */

/* `status` 0: no answer. */
static enum http_verdict verdict(const struct http_request *r, CURLcode code, long status)
{
	bool reads_answer = r->target->format->answer;
	if (!status)
		return http_verdict_of_error(code);
	enum http_verdict by_status = http_verdict_of_status(status);
	if (code == CURLE_OK || by_status != HTTP_DELIVERED || !reads_answer)
		return by_status; /* whatever became of an answer's body that nobody reads */
	return r->answer_long ? HTTP_TOO_LARGE : HTTP_RETRY;
}

struct http_result http_request_result(const struct http_request *r, CURLcode code)
{
	struct http_result result = { .code = code };
	curl_off_t retry_after_s = 0, sent = 0;
	if (r->answer_began)
		(void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &result.status);
	(void)curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	(void)curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (http_verdict_of_status(result.status) == HTTP_DELIVERED && (uint64_t)sent < r->body_bytes)
		result.status = 0; /* early */
	const bool answered = result.status;
	if (code == CURLE_OK && !answered)
		result.code = code = CURLE_RECV_ERROR; /* a connection that ends within the head is fine with libcurl: no answer, for us */
	result.verdict = verdict(r, code, result.status);
	if (code != CURLE_OK && http_verdict_of_status(result.status) == HTTP_DELIVERED)
		result.status = 0; /* what came after it is the trouble */
	if (retry_after_s > 0)
		result.retry_after_ms = retry_after_s < INT32_MAX ? retry_after_s * 1000 : (int64_t)INT32_MAX * 1000;
	result.cut = (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) && sent > 0 && !answered;
	return result;
}

/* libcurl's, but for what quotes the environment's proxy, whose password may stand in it. */
static const char *words_of(const struct http_request *r, CURLcode code)
{
	if (view_starts(view_of(r->error), VIEW("Unsupported proxy")))
		return "the proxy that the environment names (http_proxy, https_proxy, all_proxy) is none that libcurl takes";
	return r->error[0] ? r->error : curl_easy_strerror(code);
}

const char *http_request_shown(const struct http_request *r)
{
	return r->shown ? r->shown : r->target->shown;
}

void http_request_explain(const struct http_request *r, const struct http_result *result, char *text, size_t room)
{
	const char *hint = http_verdict_hint(result->verdict, result->status, result->status ? CURLE_OK : result->code);
	if (result->status) {
		(void)snprintf(text, room, "%ld from %s%s", result->status, http_request_shown(r), hint);
		return;
	}
	(void)snprintf(text, room, "%s: %s%s", http_request_shown(r), words_of(r, result->code), hint);
	for (char *at = text; *at; at++) {
		if (iscntrl((unsigned char)*at))
			*at = ' ';
	}
}
