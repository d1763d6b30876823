#include "router/output/http_sink.h"

#include <stdio.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/units.h"
#include "router/lane/lane.h"

enum {
	TROUBLE_ROOM = 512,
	CODE_ROOM = 32,
	WAIT_MS_MAX = 60000,
	AUTH_LOOK_MS = 1000,  /* how often a file with credentials is looked at while they are refused */
	CUTS_TO_HALVE = 3,    /* a collector that cuts the connection so often may mean "too large" by it */
	BODY_ROOM_FACTOR = 4, /* buffers larger than so many batch_bytes are not kept */
};

/* ---- the way of a request ---- */

static uint64_t random_next(struct sink *s)
{
	/* splitmix64 */
	uint64_t x = s->random += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void pack_body(struct sink *s, struct http_request *r)
{
	if (s->pack)
		http_pack_body(s->pack, buf_view(&r->parcel.body), &r->packed);
}

void http_sink_close_filling(struct sink *s)
{
	struct http_request *r = s->filling;
	s->filling = NULL;
	parcel_close(&r->parcel, s->target.format);
	pack_body(s, r);
	r->state = HTTP_READY;
	r->ticket = s->next_ticket++;
}

static void report_wait(struct sink *s, const char *what, int64_t wait_ms)
{
	char text[TROUBLE_ROOM], wait[UNITS_TEXT_ROOM];
	if (wait_ms >= 1000)
		(void)snprintf(wait, sizeof wait, "%.3g s", (double)wait_ms / 1000);
	else
		(void)snprintf(wait, sizeof wait, "%lld ms", (long long)wait_ms);
	(void)snprintf(text, sizeof text, "%.400s, next try in %s", what, wait);
	s->troubled = true;
	lane_report(s->lane, text);
}

static void settled(struct sink *s, uint64_t bytes)
{
	s->open_bytes -= bytes;
	s->news = true;
}

/* Some records have their outcome, or the window was halved: the rest goes on at once, and a request without one is free. */
static void go_on(struct sink *s, struct http_request *r)
{
	size_t room_max = s->settings->batch_bytes * BODY_ROOM_FACTOR;
	if (parcel_window(&r->parcel)) {
		parcel_build(&r->parcel, s->target.format, &s->context);
		pack_body(s, r);
		r->state = HTTP_READY;
		return;
	}
	parcel_clear(&r->parcel, room_max);
	if (r->packed.room > room_max)
		buf_finish(&r->packed);
	r->state = HTTP_FREE;
}

/* give_up: what was refused for so long is a dead letter. False: it is tried again. */
static bool gave_up(struct sink *s, struct http_request *r, const char *what)
{
	int64_t now_ms = clock_steady_ms();
	if (!r->failing_since_ms)
		r->failing_since_ms = now_ms;
	if (!s->settings->give_up_ms || now_ms - r->failing_since_ms < s->settings->give_up_ms)
		return false;
	uint32_t n = parcel_window(&r->parcel);
	_free_ enum answer *answers = mem_zero(n, sizeof *answers);
	for (uint32_t i = 0; i < n; i++)
		answers[i] = ANSWER_DEAD;
	settled(s, parcel_answered(&r->parcel, answers, "gave_up", what));
	r->failures = 0;
	r->failing_since_ms = 0;
	go_on(s, r);
	return true;
}

/* The request is tried again after a while; `what` is told. */
static void put_off(struct sink *s, struct http_request *r, enum http_verdict verdict, int64_t retry_after_ms,
	const char *what)
{
	if (gave_up(s, r, what))
		return;
	r->failures++;
	int64_t wait_ms = http_backoff_ms(&s->backoff, verdict, r->failures, retry_after_ms, random_next(s));
	r->state = HTTP_WAITING;
	r->due_ms = clock_steady_ms() + wait_ms;
	r->for_auth = verdict == HTTP_AUTH;
	s->auth_look_ms = clock_steady_ms() + AUTH_LOOK_MS;
	report_wait(s, what, wait_ms);
}

static void send_request(struct sink *s, struct http_request *r)
{
	struct http_auth *auth = &s->target.auth;
	if (r->state == HTTP_WAITING)
		lane_count_retry(s->lane);
	(void)http_auth_refresh(auth, !http_auth_ready(auth));
	if (!http_auth_ready(auth)) {
		char what[TROUBLE_ROOM], problem[TROUBLE_ROOM];
		(void)snprintf(what, sizeof what, "%.180s: no credentials: %.200s", http_request_shown(r),
			err_print(&auth->problem, problem, sizeof problem));
		put_off(s, r, HTTP_AUTH, 0, what);
		return;
	}
	http_request_prepare(r);
	CURLMcode code = curl_multi_add_handle(s->multi, r->easy);
	if (code != CURLM_OK) {
		put_off(s, r, HTTP_RETRY, 0, curl_multi_strerror(code));
		return;
	}
	r->state = HTTP_FLYING;
}

/* The first ticket that may not go yet: no request is more than in_flight after one without an answer. */
static uint64_t window_end(const struct sink *s)
{
	uint64_t oldest = s->next_ticket;
	for (unsigned i = 0; i < s->n_requests; i++) {
		const struct http_request *r = &s->requests[i];
		if (r->state != HTTP_FREE && r->state != HTTP_FILLING && r->ticket < oldest)
			oldest = r->ticket;
	}
	return oldest + (unsigned)s->settings->in_flight;
}

/* The request with the lowest ticket among those that may be sent now, or NULL. */
static struct http_request *find_due(struct sink *s, int64_t now_ms)
{
	struct http_request *due = NULL;
	const uint64_t end = window_end(s);
	for (unsigned i = 0; i < s->n_requests; i++) {
		struct http_request *r = &s->requests[i];
		bool may = (r->state == HTTP_READY && r->ticket < end) || (r->state == HTTP_WAITING && r->due_ms <= now_ms);
		if (may && (!due || r->ticket < due->ticket))
			due = r;
	}
	return due;
}

void http_sink_send_due(struct sink *s)
{
	int64_t now_ms = clock_steady_ms();
	if (s->filling && s->filling->due_ms <= now_ms)
		http_sink_close_filling(s);
	struct http_request *r;
	while ((r = find_due(s, now_ms)))
		send_request(s, r);
}

/* Credentials that have come meanwhile end the wait for them. */
static void look_for_credentials(struct sink *s)
{
	int64_t now_ms = clock_steady_ms();
	bool waiting = false;
	for (unsigned i = 0; i < s->n_requests; i++)
		waiting |= s->requests[i].state == HTTP_WAITING && s->requests[i].for_auth;
	if (!waiting || now_ms < s->auth_look_ms)
		return;
	s->auth_look_ms = now_ms + AUTH_LOOK_MS;
	if (!http_auth_refresh(&s->target.auth, !http_auth_ready(&s->target.auth)))
		return;
	for (unsigned i = 0; i < s->n_requests; i++) {
		if (s->requests[i].state == HTTP_WAITING && s->requests[i].for_auth)
			s->requests[i].due_ms = now_ms;
	}
}

/* ---- what came of it ---- */

static void succeeded(struct sink *s, struct http_request *r)
{
	bool waits = false;
	r->failures = r->cuts = 0;
	r->failing_since_ms = 0;
	r->fresh = r->for_auth = false;
	for (unsigned i = 0; i < s->n_requests; i++)
		waits |= s->requests[i].state == HTTP_WAITING;
	if (s->troubled && !waits) {
		s->troubled = false;
		lane_report(s->lane, NULL);
	}
}

/* 2xx, and the format reads the answer. False: it makes no sense, or nothing was taken for now. */
static bool read_answer(struct sink *s, struct http_request *r)
{
	uint32_t n = parcel_window(&r->parcel);
	_free_ enum answer *answers = mem_zero(n, sizeof *answers);
	_free_ char *reason = mem_textf("refused in the answer from %s", http_request_shown(r));
	uint32_t retry = 0;
	if (!s->target.format->answer(buf_view(&r->answer), n, answers))
		return false;
	for (uint32_t i = 0; i < n; i++)
		retry += answers[i] == ANSWER_RETRY;
	if (retry < n)
		settled(s, parcel_answered(&r->parcel, answers, "http_refused", reason));
	if (retry && retry < n) {
		parcel_build(&r->parcel, s->target.format, &s->context);
		pack_body(s, r);
	}
	return retry == 0;
}

static void delivered(struct sink *s, struct http_request *r)
{
	char what[TROUBLE_ROOM];
	if (!s->target.format->answer) {
		settled(s, parcel_delivered(&r->parcel));
	} else if (!read_answer(s, r)) {
		(void)snprintf(what, sizeof what, "%s: the answer does not say that all events were stored",
			http_request_shown(r));
		put_off(s, r, HTTP_RETRY, 0, what);
		return;
	}
	succeeded(s, r);
	go_on(s, r);
}

/* The events of this window cannot go together; one alone is a dead letter. */
static void divide(struct sink *s, struct http_request *r, const struct http_result *result)
{
	if (parcel_window(&r->parcel) > 1) {
		parcel_halve(&r->parcel);
		lane_count_retry(s->lane);
	} else {
		char code[CODE_ROOM], reason[TROUBLE_ROOM];
		(void)snprintf(code, sizeof code, "http_%ld", result->status);
		(void)snprintf(reason, sizeof reason, "%ld from %.400s", result->status, http_request_shown(r));
		settled(s, parcel_refused(&r->parcel, code, reason));
	}
	succeeded(s, r);
	go_on(s, r);
}

/* 401 and 403: with other credentials at once, else slowly. */
static void refused_credentials(struct sink *s, struct http_request *r, const struct http_result *result,
	const char *what)
{
	r->fresh = s->settings->tls.certificate_file != NULL;
	(void)http_auth_refresh(&s->target.auth, true);
	if (r->auth_version != s->target.auth.version) {
		r->state = HTTP_WAITING;
		r->for_auth = true;
		r->due_ms = clock_steady_ms() + s->backoff.min_ms;
		return;
	}
	put_off(s, r, HTTP_AUTH, result->retry_after_ms, what);
}

static void finished(struct sink *s, struct http_request *r, CURLcode code)
{
	char what[TROUBLE_ROOM];
	struct http_result result = http_request_result(r, code);
	http_request_explain(r, &result, what, sizeof what);
	r->cuts = result.cut ? r->cuts + 1 : 0;
	bool one = parcel_window(&r->parcel) == 1;
	switch (result.verdict) {
	case HTTP_DELIVERED:
		delivered(s, r);
		break;
	case HTTP_TOO_LARGE:
		if (one && result.status != 413)
			put_off(s, r, HTTP_RETRY, 0, what);
		else
			divide(s, r, &result);
		break;
	case HTTP_REFUSED:
		divide(s, r, &result);
		break;
	case HTTP_AUTH:
		refused_credentials(s, r, &result, what);
		break;
	case HTTP_RETRY:
		if (!one && r->cuts >= CUTS_TO_HALVE) {
			parcel_halve(&r->parcel);
			parcel_build(&r->parcel, s->target.format, &s->context);
			pack_body(s, r);
			r->cuts = 0;
		}
		put_off(s, r, result.verdict, result.retry_after_ms, what);
		break;
	case HTTP_CONFIG:
		put_off(s, r, result.verdict, result.retry_after_ms, what);
		break;
	}
}

void http_sink_perform(struct sink *s)
{
	int running;
	(void)curl_multi_perform(s->multi, &running);
}

static void reap(struct sink *s)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(s->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		struct http_request *r = NULL;
		CURLcode code = message->data.result; /* the message is gone with the handle */
		CURL *easy = message->easy_handle;
		(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
		(void)curl_multi_remove_handle(s->multi, easy);
		finished(s, r, code);
	}
}

void http_sink_advance(struct sink *s)
{
	look_for_credentials(s);
	http_sink_send_due(s);
	http_sink_perform(s);
	reap(s);
	http_sink_send_due(s);
}

int http_sink_next_ms(const struct sink *s, int timeout_ms)
{
	int64_t now_ms = clock_steady_ms();
	int64_t wait_ms = timeout_ms < 0 || timeout_ms > WAIT_MS_MAX ? WAIT_MS_MAX : timeout_ms;
	for (unsigned i = 0; i < s->n_requests; i++) {
		const struct http_request *r = &s->requests[i];
		int64_t due_ms = r->due_ms;
		if (r->state != HTTP_FILLING && r->state != HTTP_WAITING)
			continue;
		if (r->state == HTTP_WAITING && r->for_auth && s->auth_look_ms < due_ms)
			due_ms = s->auth_look_ms;
		if (due_ms - now_ms < wait_ms)
			wait_ms = due_ms - now_ms;
	}
	return wait_ms > 0 ? (int)wait_ms : 0;
}
