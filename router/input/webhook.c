/* webhook -- the receiver for kube-apiserver's --audit-webhook-config-file. run() routes bodies in the order of their pieces. */
#include "router/input/webhook.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/input/webhook_dedup.h"
#include "router/input/webhook_tls.h"
#include "router/lane/chunk.h"

/* ---- the queue; all under the mutex ---- */

void webhook_request_release(struct webhook_request *r)
{
	assert(r->references);
	if (--r->references == 0)
		free(r);
}

void webhook_queue(struct input *w, struct webhook_request *r, struct chunk *chunk, uint64_t long_total)
{
	struct webhook_piece *p = mem_zero(1, sizeof *p);
	*p = (struct webhook_piece){ .request = r, .chunk = chunk, .long_total = long_total };
	r->references++;
	if (w->tail)
		w->tail->next = p;
	else
		w->head = p;
	w->tail = p;
	w->queue_bytes += chunk ? chunk->room : 0;
	(void)pthread_cond_broadcast(&w->changed);
}

void webhook_queue_end(struct input *w, struct webhook_request *r)
{
	if (!w->tail || w->tail->request != r)
		webhook_queue(w, r, NULL, 0);
	w->tail->last = true;
}

static struct webhook_piece *take_piece(struct input *w)
{
	struct webhook_piece *p = w->head;
	w->head = p->next;
	if (!w->head)
		w->tail = NULL;
	return p;
}

static void end_piece(struct input *w, struct webhook_piece *p)
{
	if (p->chunk) {
		w->queue_bytes -= p->chunk->room;
		chunk_release(p->chunk);
	}
	webhook_request_release(p->request);
	free(p);
}

void webhook_answer(struct input *w, struct webhook_request *r, unsigned status)
{
	bool suspended = r->state == REQUEST_HELD || r->state == REQUEST_WAITING;
	r->status = status;
	r->state = REQUEST_ANSWERED;
	if (suspended && !r->gone)
		MHD_resume_connection(r->connection);
	(void)pthread_cond_broadcast(&w->changed);
}

void webhook_forget_waiting(struct input *w, struct webhook_request *r)
{
	for (struct webhook_request **link = &w->waiting; *link; link = &(*link)->next) {
		if (*link != r)
			continue;
		*link = r->next;
		if (w->waiting_end == &r->next)
			w->waiting_end = link;
		r->next = NULL;
		webhook_request_release(r);
		return;
	}
}

/* Nothing of it was an event: the client should know, and its bytes are dead letters. */
static unsigned good_status(const struct webhook_request *r)
{
	return r->broken && !r->good ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_OK;
}

static void answer_settled(struct input *w)
{
	while (w->waiting && w->waiting->position <= w->settled) {
		struct webhook_request *r = w->waiting;
		w->waiting = r->next;
		if (!w->waiting)
			w->waiting_end = &w->waiting;
		r->next = NULL;
		if (r->state == REQUEST_WAITING)
			webhook_answer(w, r, good_status(r));
		webhook_request_release(r);
	}
}

bool webhook_is_blocked(const struct input *w, int64_t now_ms)
{
	return w->busy_since_ms && now_ms - w->busy_since_ms >= WEBHOOK_BUSY_MS;
}

bool webhook_is_busy(const struct input *w, int64_t now_ms)
{
	bool stalled = w->no_spool && w->reached != w->settled && now_ms - w->progress_ms >= WEBHOOK_STALL_MS;
	return stalled || webhook_is_blocked(w, now_ms);
}

/* ---- routing; run()'s thread ---- */

static struct view next_line(struct view *rest)
{
	const char *newline = memchr(rest->ptr, '\n', rest->len);
	size_t len = newline ? (size_t)(newline - rest->ptr) + 1 : rest->len;
	struct view line = { rest->ptr, len };
	rest->ptr += len;
	rest->len -= len;
	return line;
}

static void count_line(struct input *w, struct webhook_request *r, bool seen, const struct dedup_entry *e)
{
	r->lines++;
	w->counters.events += 1;
	w->counters.duplicates += seen;
	r->broken += seen && e->broken;
	r->good += seen && !e->broken;
}

/* Takes the lines that came already out of the chunk. Returns how many are left. */
static uint64_t drop_seen(struct input *w, struct webhook_request *r, struct chunk *c)
{
	struct view rest = { c->bytes, c->len }, lines[DEDUP_BATCH];
	uint64_t hashes[DEDUP_BATCH][2], left = 0;
	int64_t now = clock_steady_ms();
	char *to = c->bytes;
	while (rest.len) {
		size_t n = 0;
		while (n < DEDUP_BATCH && rest.len)
			lines[n++] = next_line(&rest);
		if (w->dedup)
			dedup_hash(w->dedup, lines, n, hashes);
		for (size_t i = 0; i < n; i++) {
			struct dedup_entry *entry = NULL;
			bool seen = w->dedup && dedup_seen_hash(w->dedup, hashes[i], r->number, now, &entry);
			count_line(w, r, seen, entry);
			if (seen)
				continue;
			if (to != lines[i].ptr)
				memmove(to, lines[i].ptr, lines[i].len);
			to += lines[i].len;
			left++;
		}
	}
	c->len = (size_t)(to - c->bytes);
	return left;
}

/* All lines of the chunk were broken: if they come again, they are it still, though nobody looks. */
static void remember_broken(struct input *w, struct view rest)
{
	while (w->dedup && rest.len) {
		struct dedup_entry *e = dedup_find(w->dedup, next_line(&rest));
		if (e)
			e->broken = true;
	}
}

static int route_lines(struct input *w, struct webhook_request *r, struct chunk *c, const struct feed_origin *origin)
{
	uint64_t fresh = c ? drop_seen(w, r, c) : 0, before = feed_broken(w->options.feed), good = feed_taken(w->options.feed);
	struct view bytes = c ? (struct view){ c->bytes, c->len } : VIEW("");
	/* One more than the bytes, so that a span without any, of a body that came already, has a position of its own. */
	w->position += bytes.len + 1;
	int64_t n = feed_chunk(w->options.feed, c, bytes, w->position, origin);
	uint64_t broken = feed_broken(w->options.feed) - before;
	good = feed_taken(w->options.feed) - good;
	r->broken += broken;
	r->good += good;
	if (fresh && !good && broken)
		remember_broken(w, bytes);
	return n < 0 ? (int)n : 0;
}

static int route_long(struct input *w, struct webhook_request *r, struct webhook_piece *p, const struct feed_origin *origin)
{
	struct view head = { p->chunk->bytes, p->chunk->len };
	struct dedup_entry *entry = NULL;
	bool seen = w->dedup && dedup_seen(w->dedup, head, r->number, clock_steady_ms(), &entry);
	if (entry)
		entry->broken = true;
	count_line(w, r, seen, entry);
	w->position++;
	if (seen) {
		int64_t n = feed_chunk(w->options.feed, NULL, VIEW(""), w->position, origin);
		return n < 0 ? (int)n : 0;
	}
	r->broken++;
	return feed_too_long(w->options.feed, head, p->long_total, w->position, origin);
}

static void route_piece(struct input *w, struct webhook_piece *p)
{
	struct webhook_request *r = p->request;
	char where[WEBHOOK_REASON_ROOM];
	(void)snprintf(where, sizeof where, "%s, request %u, item", w->options.input->name, (unsigned)r->number);
	struct feed_origin origin = { .file = where, .first_line = r->lines + 1 };
	if (r->failed)
		return;
	if ((p->chunk || p->last) &&
		(p->long_total ? route_long(w, r, p, &origin) : route_lines(w, r, p->chunk, &origin)) < 0)
		r->failed = true;
}

/* The last piece was routed: from now on it is the ledger's word that counts. Locked. */
static void await_settled(struct input *w, struct webhook_request *r)
{
	if (r->gone || r->state != REQUEST_WAITING)
		return;
	if (r->failed) {
		webhook_answer(w, r, MHD_HTTP_SERVICE_UNAVAILABLE);
		return;
	}
	r->routed = true;
	r->position = w->position;
	r->references++;
	*w->waiting_end = r;
	w->waiting_end = &r->next;
	answer_settled(w);
}

/* Bodies that were held because the queue was long go on. Locked. */
static void resume_held(struct input *w)
{
	if (w->queue_bytes > w->options.config->memory_max / 8)
		return;
	for (struct webhook_connection *c = w->oldest; c; c = c->next) {
		struct webhook_request *r = c->request;
		if (!r || r->state != REQUEST_HELD)
			continue;
		r->state = REQUEST_RECEIVING;
		MHD_resume_connection(r->connection);
	}
}

/* What was not routed when it ended is the clients' again: they get no 200. Locked. */
static void drop_queue(struct input *w)
{
	while (w->head) {
		struct webhook_piece *p = take_piece(w);
		if (p->last && p->request->state == REQUEST_WAITING)
			webhook_answer(w, p->request, MHD_HTTP_SERVICE_UNAVAILABLE);
		end_piece(w, p);
	}
	for (struct webhook_connection *c = w->oldest; c; c = c->next)
		if (c->request && c->request->state == REQUEST_HELD)
			webhook_answer(w, c->request, MHD_HTTP_SERVICE_UNAVAILABLE);
}

static void run(struct input *w)
{
	(void)pthread_mutex_lock(&w->mutex);
	while (!w->stops) {
		if (!w->head) {
			(void)pthread_cond_wait(&w->changed, &w->mutex);
			continue;
		}
		struct webhook_piece *p = take_piece(w);
		w->busy_since_ms = clock_steady_ms();
		(void)pthread_mutex_unlock(&w->mutex);
		route_piece(w, p);
		(void)pthread_mutex_lock(&w->mutex);
		w->busy_since_ms = 0;
		if (w->reached == w->settled)
			w->progress_ms = clock_steady_ms();
		w->reached = w->position;
		if (p->last)
			await_settled(w, p->request);
		end_piece(w, p);
		resume_held(w);
	}
	drop_queue(w);
	while (w->stops < 2 && w->waiting)
		(void)pthread_cond_wait(&w->changed, &w->mutex);
	(void)pthread_mutex_unlock(&w->mutex);
}

/* ---- life ---- */

static void stop(struct input *w)
{
	server_quiesce(w);
	(void)pthread_mutex_lock(&w->mutex);
	w->stops++;
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->mutex);
}

static void settled(struct input *w, uint64_t position)
{
	(void)pthread_mutex_lock(&w->mutex);
	w->settled = position;
	w->progress_ms = clock_steady_ms();
	answer_settled(w);
	(void)pthread_mutex_unlock(&w->mutex);
}

static void close_input(struct input *w)
{
	keeper_stop(w);
	server_stop(w);
	(void)pthread_mutex_lock(&w->mutex);
	drop_queue(w);
	(void)pthread_mutex_unlock(&w->mutex);
	if (w->counters.requests)
		log_line(LOG_INFO, NULL, "input %s: %llu requests, of which %llu refused; %llu events, of which %llu came already",
			w->options.input->name, (unsigned long long)w->counters.requests,
			(unsigned long long)w->counters.refused, (unsigned long long)w->counters.events,
			(unsigned long long)w->counters.duplicates);
	tls_close(w->tls);
	dedup_destroy(w->dedup);
	if (w->token)
		explicit_bzero(w->token, strlen(w->token));
	free(w->token);
	(void)pthread_cond_destroy(&w->changed);
	(void)pthread_mutex_destroy(&w->mutex);
	free(w);
}

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	struct input *w = mem_zero(1, sizeof *w);
	const struct webhook_settings *s = options->input->own;
	w->options = *options;
	w->settings = s;
	w->waiting_end = &w->waiting;
	w->position = w->settled = w->reached = options->position; /* not 0 where an input of another type had this name */
	(void)pthread_mutex_init(&w->mutex, NULL);
	(void)pthread_cond_init(&w->changed, NULL);
	for (size_t i = 0; i < options->config->n_outputs; i++) {
		const struct config_output_common *common = &options->config->outputs[i].common;
		w->no_spool = w->no_spool || (!common->spool_max && common->guarantee != BEST_EFFORT);
	}
	if (s->dedup)
		w->dedup = dedup_create((uint32_t)s->dedup_events, s->dedup_window_ms);
	int r = keeper_read_token(w, err);
	if (r == 0 && s->tls.cert_file)
		r = tls_open(&w->tls, s->tls.cert_file, s->tls.key_file, s->tls.client_ca_file, err);
	if (r == 0)
		r = server_start(w, err);
	if (r == 0)
		r = keeper_start(w, err);
	if (r < 0) {
		close_input(w);
		return r;
	}
	*ret_input = w;
	return 0;
}

/* ---- settings ---- */

static const struct node *place(const struct node *map, const char *section, const char *key)
{
	const struct node *inner = section ? tree_get(map, section) : map;
	const struct node *at = tree_get(inner, key);
	return at ? at : inner ? inner : map;
}

static void check(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct webhook_settings *s = values;
	const struct webhook_tls_settings *t = &s->tls;
	if (!server_listen_is_known(s->listen))
		settings_problem(reader, place(map, NULL, "listen"),
			"listen is HOST:PORT, with an address for HOST: 127.0.0.1:9880, [::1]:9880, or :9880 for all");
	if (!t->cert_file != !t->key_file)
		settings_problem(reader, place(map, "tls", t->cert_file ? "cert_file" : "key_file"),
			"cert_file and key_file: both or none");
	if (t->client_ca_file && !t->cert_file)
		settings_problem(reader, place(map, "tls", "client_ca_file"), "client_ca_file needs cert_file and key_file");
	if (tree_get(map, "tls") && !t->cert_file && !t->key_file && !t->client_ca_file)
		settings_problem(reader, place(map, NULL, "tls"), "tls needs cert_file and key_file");
	if (s->token && s->token_file)
		settings_problem(reader, place(map, NULL, "token_file"), "token and token_file: one of the two");
	if (!t->cert_file && server_listen_is_known(s->listen) && !server_listens_locally(s->listen))
		settings_warning(reader, place(map, NULL, "listen"),
			"without tls anybody on the way can read the audit log, and no token is sent over http by an apiserver");
	else if (!t->cert_file && (s->token || s->token_file))
		settings_warning(reader, place(map, NULL, s->token ? "token" : "token_file"),
			"kube-apiserver sends a token over https only: without tls it is refused");
}

#define AT(field) offsetof(struct webhook_tls_settings, field)
static const struct setting tls_rows[] = {
	{ .key = "cert_file", .type = SETTING_PATH, .reads = true, .offset = AT(cert_file),
		.help = "PEM file with the server's certificate, and the chain to it." },
	{ .key = "key_file", .type = SETTING_PATH, .reads = true, .offset = AT(key_file), .help = "PEM file with its key." },
	{ .key = "client_ca_file", .type = SETTING_PATH, .reads = true, .offset = AT(client_ca_file),
		.help = "PEM file with the authorities that client certificates must come from. Others get 403." },
	{ .key = NULL },
};
#undef AT
static const struct section tls_section = {
	.name = "input.webhook.tls",
	.help = "TLS of a webhook, 1.2 or newer. The files are read again when they change.",
	.size = sizeof(struct webhook_tls_settings),
	.rows = tls_rows,
};

#define AT(field) offsetof(struct webhook_settings, field)
static const struct setting rows[] = {
	{ .key = "listen", .type = SETTING_TEXT, .required = true, .offset = AT(listen),
		.help = "HOST:PORT to listen at, HOST being an address: `127.0.0.1:9880`, `[::1]:9880`, `:9880` for all." },
	{ .key = "max_body", .type = SETTING_SIZE, .offset = AT(max_body), .initial = "64MiB", .min = "1KiB", .max = "1GiB",
		.help = "Most bytes in a body, before and after unpacking. A larger one gets 413." },
	{ .key = "timeout", .type = SETTING_TIME, .offset = AT(timeout_ms), .initial = "30s", .min = "100ms", .max = "1h",
		.help = "Longest time for a request, from its first byte to its answer. A client that is slower is cut; a body that is not "
			"safe by then gets 503, and is not delivered twice when it comes again." },
	{ .key = "idle_timeout", .type = SETTING_TIME, .offset = AT(idle_timeout_ms), .initial = "60s", .min = "1s",
		.max = "1h", .help = "A connection on which nothing happens for so long is closed." },
	{ .key = "connections", .type = SETTING_INT, .offset = AT(connections), .initial = "1024", .min = "8", .max = "60000",
		.help = "Most connections at a time. Near that, clients that sent no request yet are cut, the oldest first; then the "
			"slowest bodies. Beside `memory_max` each takes up to 64 KiB, with TLS up to 144 KiB." },
	{ .key = "dedup", .type = SETTING_BOOL, .offset = AT(dedup), .initial = "on",
		.help = "Events that came already, byte for byte, are not delivered again: an apiserver posts a whole batch "
			"again when its answer was late." },
	{ .key = "dedup_window", .type = SETTING_TIME, .offset = AT(dedup_window_ms), .initial = "10m", .min = "1s",
		.max = "1d", .help = "How long an event is remembered for that." },
	{ .key = "dedup_events", .type = SETTING_INT, .offset = AT(dedup_events), .initial = "200000", .min = "1",
		.max = "100000000", .help = "How many are remembered, at 45 bytes each." },
	{ .key = "token", .type = SETTING_TEXT, .secret = true, .offset = AT(token),
		.help = "Bearer token that clients must send. Better from the environment (`${NAME}`) or from `token_file`." },
	{ .key = "token_file", .type = SETTING_PATH, .reads = true, .offset = AT(token_file),
		.help = "File with the token. Read again when it changes." },
	{ .key = "tls", .type = SETTING_SECTION, .offset = AT(tls), .section = &tls_section, .help = "Certificates." },
	{ .key = NULL },
};
#undef AT

static const struct section settings = {
	.name = "input.webhook",
	.help = "Takes what kube-apiserver posts to its audit webhook (`audit-router webhook-config` prints the file that it needs).",
	.size = sizeof(struct webhook_settings),
	.rows = rows,
	.check = check,
};

const struct input_ops input_webhook = {
	.name = "webhook",
	.help = "The receiver for kube-apiserver's audit webhook, over HTTP or HTTPS.",
	.settings = &settings,
	.never_ends = true,
	.prompt = true,
	.epochs = true,
	.open = open_input,
	.run = run,
	.stop = stop,
	.settled = settled,
	.close = close_input,
};
