/*
 * http_sink -- a collector that reads and forgets: HTTP/1.1 with keep-alive, one thread, epoll. For benchmarks: bodies are not
 * copied out of the kernel, so that it takes as little as can be of the cores that are measured.
 *
 * usage: http_sink [--port N] [--marks FILE]
 *
 * Prints its URL, answers 200 to every request with a Content-Length, and at SIGTERM or SIGINT prints what came:
 * {"requests":N,"bytes":N}. With --marks, each `"auditID":"mark-NAME"` in a body is a line "NAME NANOSECONDS" of FILE
 * (CLOCK_MONOTONIC when its bytes came; one that two reads cut in half is passed over).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/units.h"

enum { HEAD_MAX = 16384, BODY_BYTES = 1 << 20, EVENTS = 64 };

struct connection {
	int fd;
	uint64_t left;        /* of the body */
	size_t head_len;
	char head[HEAD_MAX];
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static uint64_t requests, body_bytes;
static char scratch[BODY_BYTES];

static FILE *marks;

static void note_marks(const char *bytes, size_t len)
{
	static const char sign[] = "\"auditID\":\"mark-";
	const char *end = bytes + len, *at = bytes;
	struct timespec now;
	if (!marks)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	while ((at = memmem(at, (size_t)(end - at), sign, strlen(sign)))) {
		at += strlen(sign);
		const char *quote = memchr(at, '"', (size_t)(end - at));
		if (!quote)
			break;
		(void)fprintf(marks, "%.*s %lld\n", (int)(quote - at), at, (long long)now.tv_sec * 1000000000 + now.tv_nsec);
		(void)fflush(marks);
	}
}

static bool answer_one(struct connection *c)
{
	requests++;
	return send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) == (ssize_t)strlen(answer);
}

/* The length that the head in hand says; false: it says none. */
static bool body_length(const struct connection *c, const char *end, uint64_t *ret_len)
{
	static const char name[] = "\r\nContent-Length: ";
	int64_t len;
	const char *at = memmem(c->head, (size_t)(end - c->head), name, strlen(name));
	if (!at)
		return false;
	at += strlen(name);
	const char *stop = memchr(at, '\r', (size_t)(end + 2 - at));
	if (!stop || !units_parse_number((struct view){ at, (size_t)(stop - at) }, &len) || len < 0)
		return false;
	*ret_len = (uint64_t)len;
	return true;
}

/* Uses up the heads, and the parts of bodies, that stand in `head`. */
static bool use_head(struct connection *c)
{
	while (c->head_len && !c->left) {
		const char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
		if (!end)
			return c->head_len < HEAD_MAX;
		if (!body_length(c, end, &c->left))
			return false;
		size_t used = (size_t)(end + 4 - c->head);
		size_t more = c->head_len - used < c->left ? c->head_len - used : c->left;
		note_marks(c->head + used, more);
		c->left -= more;
		body_bytes += more;
		used += more;
		c->head_len -= used;
		memmove(c->head, c->head + used, c->head_len);
		if (!c->left && !answer_one(c))
			return false;
	}
	return true;
}

static bool read_some(struct connection *c)
{
	if (!c->left) {
		ssize_t n = recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, 0);
		if (n <= 0)
			return false;
		c->head_len += (size_t)n;
		return use_head(c);
	}
	size_t room = c->left < BODY_BYTES ? c->left : BODY_BYTES;
	ssize_t n = recv(c->fd, scratch, room, marks ? 0 : MSG_TRUNC); /* of TCP: tcp(7) */
	if (n <= 0)
		return false;
	note_marks(scratch, (size_t)n);
	c->left -= (uint64_t)n;
	body_bytes += (uint64_t)n;
	return c->left || answer_one(c);
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof address;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
		bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, EVENTS) ||
		getsockname(fd, (struct sockaddr *)&address, &len)) {
		perror("http_sink");
		exit(1);
	}
	(void)printf("http://127.0.0.1:%u/\n", ntohs(address.sin_port));
	(void)fflush(stdout);
	return fd;
}

static void watch(int poller, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) {
		perror("http_sink");
		exit(1);
	}
}

static void accept_one(int poller, int listener)
{
	int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	struct connection *c = mem_zero(1, sizeof *c);
	c->fd = fd;
	watch(poller, fd, c);
}

static void serve(int poller, int listener, int signals)
{
	struct epoll_event events[EVENTS];
	watch(poller, listener, NULL);
	watch(poller, signals, &signals);
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			if (events[i].data.ptr == &signals)
				return;
			if (!c) {
				accept_one(poller, listener);
			} else if (!read_some(c)) {
				(void)close(c->fd);
				free(c);
			}
		}
	}
}

int main(int argc, char **argv)
{
	int64_t port = 0;
	sigset_t ends;
	for (; argc > 2; argc -= 2, argv += 2)
		if (strcmp(argv[1], "--marks") == 0)
			marks = fopen(argv[2], "w");
		else if (strcmp(argv[1], "--port") || !units_parse_number(view_of(argv[2]), &port))
			break;
	if (argc != 1 || port < 0 || port > UINT16_MAX) {
		(void)fputs("usage: http_sink [--port N] [--marks FILE]\n", stderr);
		return 2;
	}
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	int signals = signalfd(-1, &ends, SFD_CLOEXEC);
	serve(epoll_create1(EPOLL_CLOEXEC), listen_on((uint16_t)port), signals);
	(void)printf("{\"requests\":%llu,\"bytes\":%llu}\n", (unsigned long long)requests,
		(unsigned long long)body_bytes);
	return 0;
}
