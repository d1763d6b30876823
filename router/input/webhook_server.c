/*
 * libmicrohttpd's side of the webhook: who may post, bodies as they arrive, answers.
 *
 * Threads: all callbacks in the one thread of the daemon; start, quiesce and stop by main.
 */
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/log.h"
#include "router/input/webhook.h"
#include "router/input/webhook_tls.h"
#include "router/lane/chunk.h"

enum {
	ADMIT_BYTES = 64 * 1024,   /* of the budget that must be free for a request to get in */
	YOUNG_MS = 1000,           /* a body that has been arriving for less is not cut for being slow */
	STRANGER_MS = 250,         /* a connection is given for its first request, where others want its place */
	HANDSHAKE_MS = 60 * 1000,  /* at most for that; webhook_tls.c keeps what was replaced for longer */
	DRAIN_MS = 1000,           /* for answers to get out at the end */
	QUEUE_PART = 4,            /* of memory_max may wait in the queue before bodies are held */
	PLENTY_PART = 4,           /* of memory_max in use: from there on bodies get room as they come */
	CONNECTION_BYTES = 64 * 1024, /* for heads, and for the bytes of a body that come in at once */
};

/* ---- answers ---- */

static const char *text_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
		{ MHD_HTTP_BAD_REQUEST, "no audit event in it\n" },
		{ MHD_HTTP_UNAUTHORIZED, "no token, or another one\n" },
		{ MHD_HTTP_FORBIDDEN, "no client certificate, or one that is not known here\n" },
		{ MHD_HTTP_METHOD_NOT_ALLOWED, "POST only\n" },
		{ MHD_HTTP_CONTENT_TOO_LARGE, "larger than max_body\n" },
		{ MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding: gzip or none\n" },
		{ MHD_HTTP_TOO_MANY_REQUESTS, "too much is waiting already: try again\n" },
		{ MHD_HTTP_SERVICE_UNAVAILABLE, "not safe yet: try again\n" },
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "";
}

static enum MHD_Result respond(struct webhook_request *r, unsigned status, bool unread)
{
	const char *text = text_of(status);
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
		MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "POST");
	if (status == MHD_HTTP_UNAUTHORIZED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (unread)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result result = MHD_queue_response(r->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Of who is connected; "?" where that is not known any more. */
static const char *peer_of(const struct webhook_request *r, char *text, size_t room)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	if (r->from->fd < 0 || getpeername(r->from->fd, (struct sockaddr *)&peer, &len) < 0 ||
		getnameinfo((struct sockaddr *)&peer, len, text, (socklen_t)room, NULL, 0, NI_NUMERICHOST) != 0)
		return "?";
	return text;
}

/* An apiserver with a wrong token, or somebody who tries: whoever runs this should see it, but not once a request. */
static void count_refused(struct input *w, const struct webhook_request *r, unsigned status)
{
	char peer[NI_MAXHOST];
	const char *text = text_of(status);
	w->counters.refused++;
	log_limited(LOG_WARN, NULL, "input %s: a request from %s is answered %u: %.*s", w->options.input->name,
		peer_of(r, peer, sizeof peer), status, (int)strcspn(text, "\n"), text);
}

/* Refused before its body was read. */
static enum MHD_Result refuse(struct input *w, struct webhook_request *r, unsigned status)
{
	count_refused(w, r, status);
	r->discard = true;
	(void)pthread_mutex_lock(&w->mutex);
	r->state = REQUEST_ANSWERED;
	if (r->from->fd >= 0)
		keeper_linger(w, r->from->fd);
	(void)pthread_mutex_unlock(&w->mutex);
	return respond(r, status, true);
}

/* ---- who may post ---- */

static bool is_known(struct input *w, struct webhook_connection *c)
{
	/* Once a connection, and once more when the authorities have changed. */
	unsigned version = w->tls ? tls_version(w->tls) : 0;
	if (w->tls && c->judged_by != version) {
		c->judged_by = version;
		c->known = tls_client_is_known(w->tls, c->session);
	}
	return !w->tls || c->known;
}

/* ---- room ---- */

/* The body that has been arriving for a while at the lowest rate; NULL: none. `holding`: of those with memory. Locked. */
static struct webhook_request *slowest(const struct input *w, const struct webhook_request *but, bool holding, int64_t now)
{
	struct webhook_request *found = NULL;
	uint64_t rate_min = 0;
	for (const struct webhook_connection *c = w->oldest; c; c = c->next) {
		struct webhook_request *r = c->request;
		if (!r || r == but || r->state != REQUEST_RECEIVING || c->cut || now - r->started_ms < YOUNG_MS ||
			(holding && !r->intake.body.chunk))
			continue;
		uint64_t rate = r->intake.received * 1000 / (uint64_t)(now - r->started_ms);
		if (!found || rate < rate_min) {
			found = r;
			rate_min = rate;
		}
	}
	return found;
}

static void cut(struct webhook_connection *c)
{
	c->cut = true;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/*
 * Is there room for so many bytes? Where not, it is taken from slow clients: who drips holds up nobody. A request that has
 * all of the budget itself gets on: its event is larger than that.
 */
static bool find_room(struct input *w, const struct webhook_request *r, uint64_t bytes)
{
	const struct chunk *own = r->intake.body.chunk;
	for (;;) {
		int got = budget_try(w->options.budget, bytes);
		if (got == 0)
			budget_give(w->options.budget, bytes);
		if (got != -EAGAIN)
			return got == 0;
		if (own && budget_used(w->options.budget) <= own->room)
			return true;
		(void)pthread_mutex_lock(&w->mutex);
		struct webhook_request *slow = slowest(w, r, true, clock_steady_ms());
		if (slow) {
			slow->discard = true;
			intake_finish(&slow->intake);
			cut(slow->from);
		}
		(void)pthread_mutex_unlock(&w->mutex);
		if (!slow)
			return false;
	}
}

/* ---- the start of a request ---- */

/* 0: nothing is against it. */
static unsigned objection(struct input *w, struct webhook_request *r, const struct intake_head *head)
{
	bool asked = w->settings->token || w->settings->token_file;
	(void)pthread_mutex_lock(&w->mutex);
	unsigned status = intake_judge(head, asked ? w->token : NULL, w->settings->max_body);
	bool busy = webhook_is_busy(w, clock_steady_ms()), stopping = w->stops > 0;
	r->from->admitted = r->from->admitted || !status;
	(void)pthread_mutex_unlock(&w->mutex);
	if (status)
		return status;
	if (stopping)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	return busy || !find_room(w, r, ADMIT_BYTES) ? MHD_HTTP_TOO_MANY_REQUESTS : 0;
}

static void take_piece(void *context, struct chunk *chunk, uint64_t long_total)
{
	struct webhook_request *r = context;
	/* The daemon's thread calls with the mutex held by nobody. */
	struct input *w = r->from->input;
	(void)pthread_mutex_lock(&w->mutex);
	webhook_queue(w, r, chunk, long_total);
	(void)pthread_mutex_unlock(&w->mutex);
}

static const char *header(struct webhook_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result start_request(struct input *w, struct webhook_request *r, const char *method)
{
	const struct intake_head head = {
		.method = method,
		.authorization = header(r, MHD_HTTP_HEADER_AUTHORIZATION),
		.encoding = header(r, MHD_HTTP_HEADER_CONTENT_ENCODING),
		.length = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH),
		.known = is_known(w, r->from),
	};
	r->started = true;
	r->started_ms = clock_steady_ms();
	w->counters.requests++;
	(void)pthread_mutex_lock(&w->mutex);
	r->from->deadline_ms = r->started_ms + w->settings->timeout_ms;
	(void)pthread_mutex_unlock(&w->mutex);
	unsigned status = objection(w, r, &head);
	if (status)
		return refuse(w, r, status);
	intake_init(&r->intake, &head, w->settings->max_body, &(struct body_options){
		.budget = w->options.budget,
		.line_max = w->options.config->max_event_bytes,
		.plenty_bytes = w->options.config->memory_max / PLENTY_PART,
		.piece = take_piece,
		.context = r,
	});
	return MHD_YES;
}

/* ---- its body ---- */

/* From here on only its answer is of interest; what was given on of it stays. */
static void give_up(struct input *w, struct webhook_request *r, unsigned status)
{
	count_refused(w, r, status);
	r->discard = true;
	r->status = status;
	intake_finish(&r->intake);
}

/* The queue is long: the connection is suspended until it is shorter. True: it is. */
static bool hold(struct input *w, struct webhook_request *r)
{
	bool held = false;
	(void)pthread_mutex_lock(&w->mutex);
	if (w->queue_bytes > w->options.config->memory_max / QUEUE_PART && !w->stops) {
		r->state = REQUEST_HELD;
		MHD_suspend_connection(r->connection);
		held = true;
	}
	(void)pthread_mutex_unlock(&w->mutex);
	return held;
}

static void take_slice(struct input *w, struct webhook_request *r, struct view slice)
{
	unsigned status = 0;
	if (!r->discard && !find_room(w, r, 2 * slice.len + ADMIT_BYTES))
		status = MHD_HTTP_TOO_MANY_REQUESTS;
	else if (!r->discard)
		status = intake_add(&r->intake, slice);
	if (status)
		give_up(w, r, status);
}

static enum MHD_Result take_bytes(struct input *w, struct webhook_request *r, const char *bytes, size_t *len)
{
	(void)pthread_mutex_lock(&w->mutex);
	bool answered = r->state == REQUEST_ANSWERED;
	(void)pthread_mutex_unlock(&w->mutex);
	if (clock_steady_ms() > r->from->deadline_ms)
		return MHD_NO;
	if (answered && !r->discard) /* it was held, and then refused */
		give_up(w, r, r->status);
	while (*len) {
		size_t n = intake_slice(&r->intake, *len);
		if (!r->discard && hold(w, r))
			return MHD_YES; /* the same bytes come again */
		take_slice(w, r, (struct view){ bytes, n });
		bytes += n;
		*len -= n;
	}
	return MHD_YES;
}

/* All of the body is there: it waits until its last piece is safe. */
static enum MHD_Result end_body(struct input *w, struct webhook_request *r)
{
	unsigned status = intake_end(&r->intake);
	if (status) {
		give_up(w, r, status);
		return respond(r, status, false);
	}
	(void)pthread_mutex_lock(&w->mutex);
	bool stopping = w->stops > 0;
	if (!stopping) {
		r->state = REQUEST_WAITING;
		r->whole_ms = clock_steady_ms();
		MHD_suspend_connection(r->connection);
		webhook_queue_end(w, r);
	}
	(void)pthread_mutex_unlock(&w->mutex);
	return stopping ? respond(r, MHD_HTTP_SERVICE_UNAVAILABLE, true) : MHD_YES;
}

/* ---- callbacks ---- */

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *bytes, size_t *len, void **request)
{
	struct input *w = context;
	struct webhook_request *r = *request;
	(void)url, (void)version;
	if (!r) {
		r = mem_zero(1, sizeof *r);
		r->references = 1;
		r->connection = connection;
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		r->from = info->socket_context;
		*request = r;
		(void)pthread_mutex_lock(&w->mutex);
		r->number = ++w->next_number;
		r->from->request = r;
		w->n_requests++;
		(void)pthread_mutex_unlock(&w->mutex);
	}
	if (!r->started)
		return start_request(w, r, method);
	if (*len)
		return take_bytes(w, r, bytes, len);
	if (r->discard)
		return respond(r, r->status ? r->status : MHD_HTTP_SERVICE_UNAVAILABLE, false);
	(void)pthread_mutex_lock(&w->mutex);
	bool answered = r->state == REQUEST_ANSWERED;
	unsigned status = r->status;
	(void)pthread_mutex_unlock(&w->mutex);
	return answered ? respond(r, status, false) : end_body(w, r);
}

static void completed(void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code)
{
	struct input *w = context;
	struct webhook_request *r = *request;
	(void)connection, (void)code;
	if (!r)
		return;
	*request = NULL;
	intake_finish(&r->intake);
	(void)pthread_mutex_lock(&w->mutex);
	r->gone = true;
	webhook_forget_waiting(w, r);
	if (r->from->request == r)
		r->from->request = NULL;
	r->from->deadline_ms = clock_steady_ms() + w->settings->idle_timeout_ms + w->settings->timeout_ms;
	w->n_requests--;
	webhook_request_release(r);
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->mutex);
}

/* The oldest connection that never sent a request; NULL: none. Young ones only where there is no other way. */
static struct webhook_connection *stranger(const struct input *w, bool young, int64_t now)
{
	for (struct webhook_connection *c = w->oldest; c; c = c->next)
		if (!c->admitted && !c->cut)
			return young || now - c->since_ms >= STRANGER_MS ? c : NULL;
	return NULL;
}

/* Nearly full of connections: a stranger makes room, or the slowest body, or at last who has nothing to say. Locked. */
static void make_way(struct input *w)
{
	const unsigned limit = (unsigned)w->settings->connections;
	const int64_t now = clock_steady_ms();
	const bool full = w->n_connections >= limit - limit / 16 - 1;
	if (w->n_connections < limit - limit / 8)
		return;
	struct webhook_connection *c = stranger(w, full, now);
	struct webhook_request *slow = c ? NULL : slowest(w, NULL, false, now);
	if (slow)
		c = slow->from;
	for (struct webhook_connection *idle = w->oldest; full && !c && idle; idle = idle->next)
		if (!idle->request && !idle->cut)
			c = idle;
	if (c)
		cut(c);
}

static void opened(struct input *w, struct MHD_Connection *connection, void **socket_context)
{
	struct webhook_connection *c = mem_zero(1, sizeof *c);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->input = w;
	c->fd = info ? info->connect_fd : -1;
	if (w->tls) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
		assert(info && info->tls_session);
		c->session = info->tls_session;
		tls_adopt(w->tls, c->session);
	}
	c->since_ms = clock_steady_ms();
	c->deadline_ms = c->since_ms + (w->settings->timeout_ms < HANDSHAKE_MS ? w->settings->timeout_ms : HANDSHAKE_MS);
	*socket_context = c;
	(void)pthread_mutex_lock(&w->mutex);
	make_way(w);
	c->prev = w->newest;
	if (w->newest)
		w->newest->next = c;
	else
		w->oldest = c;
	w->newest = c;
	w->n_connections++;
	(void)pthread_mutex_unlock(&w->mutex);
}

static void closed(struct input *w, void **socket_context)
{
	struct webhook_connection *c = *socket_context;
	if (!c)
		return;
	*socket_context = NULL;
	(void)pthread_mutex_lock(&w->mutex);
	if (c->prev)
		c->prev->next = c->next;
	else
		w->oldest = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		w->newest = c->prev;
	w->n_connections--;
	(void)pthread_mutex_unlock(&w->mutex);
	free(c);
}

static void connection_news(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		opened(context, connection, socket_context);
	else
		closed(context, socket_context);
}

/* libmicrohttpd's words about broken clients are of no use to an operator. */
static void keep_quiet(void *context, const char *format, va_list args)
{
	(void)context, (void)format, (void)args;
}

/* ---- life ---- */

int server_start(struct input *w, struct err *err)
{
	const struct webhook_settings *s = w->settings;
	io_want_files((uint64_t)s->connections);
	int fd = server_listen_at(s->listen, err);
	if (fd < 0)
		return fd;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (w->tls ? MHD_USE_TLS : 0);
	struct MHD_OptionItem secure[] = {
		{ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)tls_certificate },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };
	w->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, w,
		MHD_OPTION_EXTERNAL_LOGGER, keep_quiet, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((s->idle_timeout_ms + 999) / 1000),
		MHD_OPTION_NOTIFY_COMPLETED, completed, w,
		MHD_OPTION_NOTIFY_CONNECTION, connection_news, w,
		MHD_OPTION_ARRAY, w->tls ? secure : plain,
		MHD_OPTION_END);
	if (w->daemon)
		return 0;
	(void)close(fd);
	return err_set(err, "listen at %s: the HTTP server does not start", s->listen);
}

void server_quiesce(struct input *w)
{
	/* Once: libmicrohttpd gives the same number again, which may by now be somebody else's. */
	if (!w->daemon || atomic_exchange(&w->quiesced, true))
		return;
	MHD_socket fd = MHD_quiesce_daemon(w->daemon);
	if (fd != MHD_INVALID_SOCKET)
		(void)close(fd);
}

/* Who still waits gets no 200: nobody knows yet. */
static void end_waits(struct input *w)
{
	while (w->waiting) {
		struct webhook_request *r = w->waiting;
		if (r->state == REQUEST_WAITING)
			webhook_answer(w, r, MHD_HTTP_SERVICE_UNAVAILABLE);
		webhook_forget_waiting(w, r);
	}
	for (struct webhook_connection *c = w->oldest; c; c = c->next)
		if (c->request && (c->request->state == REQUEST_HELD || c->request->state == REQUEST_WAITING))
			webhook_answer(w, c->request, MHD_HTTP_SERVICE_UNAVAILABLE);
}

static unsigned answers_left(const struct input *w)
{
	unsigned n = 0;
	for (const struct webhook_connection *c = w->oldest; c; c = c->next)
		n += c->request && c->request->state == REQUEST_ANSWERED;
	return n;
}

void server_stop(struct input *w)
{
	if (!w->daemon)
		return;
	server_quiesce(w);
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DRAIN_MS / 1000;
	(void)pthread_mutex_lock(&w->mutex);
	if (!w->stops)
		w->stops = 1;
	end_waits(w);
	while (answers_left(w))
		if (pthread_cond_timedwait(&w->changed, &w->mutex, &until) != 0)
			break;
	(void)pthread_mutex_unlock(&w->mutex);
	MHD_stop_daemon(w->daemon);
	w->daemon = NULL;
}
