#include "tests/unit/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "router/base/units.h"

enum { READ_BYTES = 65536, GUNZIP_WINDOW = 15 + 16 };

struct connection {
	struct server *server;
	int fd;
	struct buf in; /* read, and not yet used */
};

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_text(int fd, const char *text)
{
	return send_all(fd, text, strlen(text));
}

static bool read_more(struct connection *c)
{
	buf_reserve(&c->in, READ_BYTES);
	ssize_t n = recv(c->fd, c->in.ptr + c->in.len, READ_BYTES, 0);
	if (n <= 0)
		return false;
	c->in.len += (size_t)n;
	return true;
}

/* The value of a header, up to its line's end; "" where there is none. */
static void find_header(const char *head, const char *name, char *value, size_t room)
{
	const char *at = strcasestr(head, name);
	size_t n = at ? strcspn(at + strlen(name), "\r") : 0;
	(void)snprintf(value, room, "%.*s", (int)n, at ? at + strlen(name) : "");
}

static void decode_gzip(struct view raw, struct buf *body)
{
	z_stream z = { .next_in = (Bytef *)raw.ptr, .avail_in = (uInt)raw.len };
	assert(inflateInit2(&z, GUNZIP_WINDOW) == Z_OK);
	int r;
	do {
		buf_reserve(body, READ_BYTES);
		z.next_out = (Bytef *)body->ptr + body->len;
		z.avail_out = (uInt)(body->room - body->len);
		r = inflate(&z, Z_NO_FLUSH);
		body->len = (size_t)((char *)z.next_out - body->ptr);
	} while (r == Z_OK);
	assert(r == Z_STREAM_END);
	assert(z.avail_in == 0);
	(void)inflateEnd(&z);
}

static void decode(const char *head, struct view raw, struct buf *body)
{
	char encoding[32];
	find_header(head, "\r\nContent-Encoding: ", encoding, sizeof encoding);
	if (strcmp(encoding, "gzip") == 0) {
		decode_gzip(raw, body);
	} else if (strcmp(encoding, "zstd") == 0) {
		unsigned long long len = ZSTD_getFrameContentSize(raw.ptr, raw.len);
		buf_reserve(body, len);
		assert(ZSTD_decompress(body->ptr, len, raw.ptr, raw.len) == len);
		body->len = len;
	} else {
		buf_add_view(body, raw);
	}
}

static void store(struct server *s, const struct buf *body)
{
	(void)pthread_mutex_lock(&s->mutex);
	assert(s->n_bodies < SERVER_BODIES_MAX);
	buf_add_view(&s->bodies[s->n_bodies++], buf_view(body));
	(void)pthread_mutex_unlock(&s->mutex);
}

static bool answer(int fd, int status, const char *header, const char *body)
{
	struct buf text = { 0 };
	buf_addf(&text, "HTTP/1.1 %d X\r\n%s%sContent-Length: %zu\r\n\r\n%s", status, header ? header : "",
		header ? "\r\n" : "", strlen(body), body);
	bool sent = send_all(fd, text.ptr, text.len);
	buf_finish(&text);
	return sent;
}

static bool contains(const struct buf *body, const char *text)
{
	return body->len && memmem(body->ptr, body->len, text, strlen(text));
}

/* The lasting rules. */
static bool take(struct connection *c, const char *head, const struct buf *body)
{
	struct server *s = c->server;
	char authorization[128], text[4096];
	find_header(head, "\r\nAuthorization: ", authorization, sizeof authorization);
	(void)pthread_mutex_lock(&s->mutex);
	bool let_in = !s->authorization[0] || strcmp(s->authorization, authorization) == 0;
	int status = !let_in                                 ? 401 :
		     s->max_body && body->len > s->max_body   ? 413 :
		     s->refuse && contains(body, s->refuse) ? 400 :
							       200;
	(void)snprintf(text, sizeof text, "%s", status == 200 && s->answer ? s->answer : "{}");
	(void)pthread_mutex_unlock(&s->mutex);
	if (status == 200)
		store(s, body);
	return answer(c->fd, status, NULL, text);
}

static void cut(int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void send_endlessly(int fd, const char *first, const char *again)
{
	if (!send_text(fd, first))
		return;
	while (send_text(fd, again))
		;
}

/* False: the connection ends. */
static bool act(struct connection *c, struct server_step step, const char *head, const struct buf *body)
{
	struct server *s = c->server;
	char byte;
	if (step.act == SERVER_LOSE || step.act == SERVER_CUT_HEAD || step.act == SERVER_BARE_HEAD || step.act == SERVER_CUT_BODY || step.act == SERVER_ENDLESS_BODY)
		store(s, body);
	switch (step.act) {
	case SERVER_TAKE:
		return take(c, head, body);
	case SERVER_STATUS:
		return answer(c->fd, step.status, step.header, "no");
	case SERVER_LOSE:
		(void)send_text(c->fd, "HTTP/1.1 200 OK\r\nContent-Le");
		break;
	case SERVER_CUT_HEAD:
		(void)send_text(c->fd, "HTTP/1.1 200 OK\r\n");
		return false;
	case SERVER_BARE_HEAD:
		(void)send_text(c->fd, "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\n{}");
		return false;
	case SERVER_CUT_BODY:
		(void)send_text(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab");
		return false;
	case SERVER_STALL:
		(void)recv(c->fd, &byte, 1, 0); /* until the client goes away */
		break;
	case SERVER_ENDLESS_BODY:
		send_endlessly(c->fd, "HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		break;
	case SERVER_ENDLESS_HEADERS:
		send_endlessly(c->fd, "HTTP/1.1 200 OK\r\n", "A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
		break;
	case SERVER_GARBAGE:
		(void)send_text(c->fd, "SSH-2.0-OpenSSH_9.2\r\n");
		return false;
	case SERVER_RESET:
		break;
	}
	cut(c->fd);
	return false;
}

static struct server_step next_step(struct server *s, const char *head, size_t len)
{
	struct server_step step = { 0 };
	(void)pthread_mutex_lock(&s->mutex);
	if (s->n_requests < s->n_steps)
		step = s->steps[s->n_requests];
	s->n_requests++;
	buf_clear(&s->head);
	buf_add(&s->head, head, strlen(head) + 1);
	if (len > s->longest)
		s->longest = len;
	(void)pthread_mutex_unlock(&s->mutex);
	return step;
}

/* Is it one of those that are answered with their bodies unread? Then that was done, and the client is gone. */
static bool answer_early(struct connection *c)
{
	struct server *s = c->server;
	struct pollfd gone = { .fd = c->fd, .events = POLLRDHUP };
	(void)pthread_mutex_lock(&s->mutex);
	bool early = s->n_early > 0;
	s->n_early -= early;
	(void)pthread_mutex_unlock(&s->mutex);
	if (early && answer(c->fd, 200, NULL, ""))
		(void)poll(&gone, 1, -1);
	return early;
}

static bool serve_one(struct connection *c)
{
	char *end, length[32];
	do {
		end = c->in.len ? memmem(c->in.ptr, c->in.len, "\r\n\r\n", 4) : NULL;
	} while (!end && read_more(c));
	if (!end || answer_early(c))
		return false;
	char *head = mem_text((struct view){ c->in.ptr, (size_t)(end + 2 - c->in.ptr) });
	size_t head_len = strlen(head) + 2;
	find_header(head, "\r\nContent-Length: ", length, sizeof length);
	int64_t len_said = 0;
	(void)units_parse_number(view_of(length), &len_said);
	size_t len = (size_t)len_said;
	bool whole = true;
	while (whole && c->in.len < head_len + len)
		whole = read_more(c);
	bool goes_on = false;
	if (whole) {
		struct buf body = { 0 };
		decode(head, (struct view){ c->in.ptr + head_len, len }, &body);
		goes_on = act(c, next_step(c->server, head, body.len), head, &body);
		buf_finish(&body);
		c->in.len -= head_len + len;
		memmove(c->in.ptr, c->in.ptr + head_len + len, c->in.len);
	}
	free(head);
	return goes_on;
}

static void *serve(void *context)
{
	struct connection *c = context;
	struct server *s = c->server;
	while (serve_one(c))
		;
	(void)pthread_mutex_lock(&s->mutex);
	for (unsigned i = 0; i < s->n_live; i++) {
		if (s->live[i] == c->fd)
			s->live[i] = s->live[--s->n_live];
	}
	(void)close(c->fd);
	(void)pthread_mutex_unlock(&s->mutex);
	buf_finish(&c->in);
	free(c);
	return NULL;
}

static void *accept_all(void *context)
{
	struct server *s = context;
	pthread_t threads[256];
	unsigned n = 0;
	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			break;
		struct connection *c = mem_zero(1, sizeof *c);
		*c = (struct connection){ .server = s, .fd = fd };
		(void)pthread_mutex_lock(&s->mutex);
		assert(s->n_live < sizeof s->live / sizeof *s->live && n < sizeof threads / sizeof *threads);
		s->live[s->n_live++] = fd;
		s->n_connections++;
		if (s->stopping)
			(void)shutdown(fd, SHUT_RDWR);
		(void)pthread_mutex_unlock(&s->mutex);
		assert(pthread_create(&threads[n++], NULL, serve, c) == 0);
	}
	while (n)
		(void)pthread_join(threads[--n], NULL);
	return NULL;
}

void server_start(struct server *s)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port) };
	socklen_t len = sizeof address;
	int on = 1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)pthread_mutex_init(&s->mutex, NULL);
	s->stopping = false;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(s->fd >= 0);
	(void)setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert(bind(s->fd, (struct sockaddr *)&address, sizeof address) == 0);
	assert(listen(s->fd, 64) == 0);
	assert(getsockname(s->fd, (struct sockaddr *)&address, &len) == 0);
	s->port = ntohs(address.sin_port);
	assert(pthread_create(&s->acceptor, NULL, accept_all, s) == 0);
}

void server_stop(struct server *s)
{
	(void)pthread_mutex_lock(&s->mutex);
	s->stopping = true;
	(void)shutdown(s->fd, SHUT_RDWR);
	for (unsigned i = 0; i < s->n_live; i++)
		(void)shutdown(s->live[i], SHUT_RDWR);
	(void)pthread_mutex_unlock(&s->mutex);
	(void)pthread_join(s->acceptor, NULL);
	(void)close(s->fd);
	(void)pthread_mutex_destroy(&s->mutex);
}

void server_finish(struct server *s)
{
	for (unsigned i = 0; i < s->n_bodies; i++)
		buf_finish(&s->bodies[i]);
	buf_finish(&s->head);
}

unsigned server_requests(struct server *s)
{
	(void)pthread_mutex_lock(&s->mutex);
	unsigned n = s->n_requests;
	(void)pthread_mutex_unlock(&s->mutex);
	return n;
}

void server_stored(struct server *s, struct buf *all)
{
	(void)pthread_mutex_lock(&s->mutex);
	for (unsigned i = 0; i < s->n_bodies; i++)
		buf_add_view(all, buf_view(&s->bodies[i]));
	(void)pthread_mutex_unlock(&s->mutex);
}
