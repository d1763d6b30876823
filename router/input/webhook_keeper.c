/*
 * What a webhook has to do without being asked: ends what takes too long, reads the last bytes of who was refused, looks
 * after files that change. libmicrohttpd's own time-out is one of idleness: a byte a second keeps it away for ever.
 *
 * Threads: a thread of its own, awake twice a second and when a refused client's bytes come.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/input/webhook.h"
#include "router/input/webhook_tls.h"

enum { TICK_MS = 100, LINGER_MS = 2000, FILES_MS = 1000 };

/* ---- the token ---- */

int keeper_read_token(struct input *w, struct err *err)
{
	const struct webhook_settings *s = w->settings;
	if (!s->token && !s->token_file)
		return 0;
	(void)file_mark_look(&w->token_mark, s->token_file);
	char *token = settings_secret(s->token, s->token_file, err);
	if (!token)
		return -EINVAL;
	token[strcspn(token, "\r\n \t")] = 0;
	if (!*token) {
		free(token);
		return err_at(err, s->token_file ? s->token_file : "", 0, 0, "the token is empty");
	}
	(void)pthread_mutex_lock(&w->mutex);
	char *before = w->token;
	w->token = token;
	(void)pthread_mutex_unlock(&w->mutex);
	if (before)
		explicit_bzero(before, strlen(before));
	free(before);
	return 0;
}

/* As it is with certificates: what cannot be read leaves the old one, is told of once, and tried again. */
static void refresh_token(struct input *w)
{
	char text[ERR_TEXT_MAX];
	struct err problem = { 0 };
	const char *path = w->settings->token_file;
	if (!path || (!file_mark_look(&w->token_mark, path) && !w->token_problem.text[0]))
		return;
	if (keeper_read_token(w, &problem) < 0 && strcmp(problem.text, w->token_problem.text) != 0)
		log_line(LOG_ERROR, NULL, "input %s: the old token stays: %s", w->options.input->name,
			err_print(&problem, text, sizeof text));
	w->token_problem = problem;
}

static void look_at_files(struct input *w)
{
	struct err err;
	refresh_token(w);
	if (w->tls && !tls_refresh(w->tls, &err))
		log_line(LOG_ERROR, NULL, "input %s: the old certificates stay: %s", w->options.input->name, err.text);
}

/* ---- refused clients ---- */

void keeper_linger(struct input *w, int fd)
{
	if (w->n_linger == WEBHOOK_LINGER_MAX)
		return;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return;
	w->linger[w->n_linger].fd = copy;
	w->linger[w->n_linger++].until_ms = clock_steady_ms() + LINGER_MS;
}

/* Reads away what still comes: closed with bytes unread, a socket sends a reset that may overtake the answer. */
static bool lingers(int fd, int64_t until_ms, int64_t now_ms)
{
	char away[16 * 1024];
	for (unsigned i = 0; i < 64 && now_ms < until_ms; i++) {
		ssize_t n = recv(fd, away, sizeof away, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	return now_ms < until_ms;
}

static void read_away(struct input *w, int64_t now_ms)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < w->n_linger; i++) {
		if (lingers(w->linger[i].fd, w->linger[i].until_ms, now_ms) && !w->keeper_stop)
			w->linger[kept++] = w->linger[i];
		else
			(void)close(w->linger[i].fd);
	}
	w->n_linger = kept;
}

/* ---- deadlines ---- */

/*
 * Should it rather come again, since nothing that it waits for moves? What came of it already is known then (dedup); else
 * it would come twice.
 */
static bool waits_in_vain(const struct input *w, const struct webhook_request *r, int64_t now_ms)
{
	if (!w->settings->dedup || now_ms - r->whole_ms < WEBHOOK_BUSY_MS)
		return false;
	return r->routed ? w->no_spool && now_ms - w->progress_ms >= WEBHOOK_BUSY_MS : webhook_is_blocked(w, now_ms);
}

static void end_late(struct input *w, int64_t now_ms)
{
	bool busy = webhook_is_busy(w, now_ms);
	for (struct webhook_connection *c = w->oldest; c; c = c->next) {
		struct webhook_request *r = c->request;
		enum request_state state = r ? r->state : REQUEST_RECEIVING;
		bool late = now_ms > c->deadline_ms;
		if (state == REQUEST_HELD && (late || busy))
			webhook_answer(w, r, MHD_HTTP_TOO_MANY_REQUESTS);
		else if (state == REQUEST_WAITING && late)
			webhook_answer(w, r, MHD_HTTP_SERVICE_UNAVAILABLE);
		else if (state == REQUEST_WAITING && waits_in_vain(w, r, now_ms))
			webhook_answer(w, r, MHD_HTTP_TOO_MANY_REQUESTS);
		else if (late && !c->cut && state != REQUEST_WAITING) {
			c->cut = true;
			(void)shutdown(c->fd, SHUT_RDWR);
		}
	}
}

static void *keep(void *context)
{
	struct input *w = context;
	int64_t files_ms = clock_steady_ms();
	(void)pthread_mutex_lock(&w->mutex);
	while (!w->keeper_stop) {
		int64_t now = clock_steady_ms();
		end_late(w, now);
		read_away(w, now);
		(void)pthread_mutex_unlock(&w->mutex);
		if (now - files_ms >= FILES_MS) {
			look_at_files(w);
			files_ms = now;
		}
		(void)poll(NULL, 0, TICK_MS);
		(void)pthread_mutex_lock(&w->mutex);
	}
	read_away(w, INT64_MAX);
	(void)pthread_mutex_unlock(&w->mutex);
	return NULL;
}

int keeper_start(struct input *w, struct err *err)
{
	int r = pthread_create(&w->keeper, NULL, keep, w);
	if (r)
		return err_set(err, "cannot start a thread: %s", strerror(r));
	w->keeper_started = true;
	return 0;
}

void keeper_stop(struct input *w)
{
	if (!w->keeper_started)
		return;
	(void)pthread_mutex_lock(&w->mutex);
	w->keeper_stop = true;
	(void)pthread_mutex_unlock(&w->mutex);
	(void)pthread_join(w->keeper, NULL);
	w->keeper_started = false;
}
