/*
 * The webhook in a running pipeline, with its real threads: clients post and go away at the same time, the plan is read
 * again, the end comes while they post. For ThreadSanitizer above all; what is delivered is counted.
 */
#include "tests/unit/cm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/err.h"
#include "router/pipeline.h"

enum { CLIENTS = 4, BODIES = 40, EVENTS = 20, ANSWER_ROOM = 512 };

static struct {
	uint16_t port;
	atomic_uint next, good;
	atomic_bool ended;
	unsigned bodies;  /* each client posts so many, or until the end */
	bool until_end;
} play;

static int dial(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(play.port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static bool send_all(int fd, struct view bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return true;
}

static void make_body(struct buf *out, unsigned number)
{
	buf_clear(out);
	buf_add_view(out, VIEW("{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":["));
	for (unsigned i = 0; i < EVENTS; i++)
		buf_addf(out, "%s{\"level\":\"Metadata\",\"auditID\":\"%u-%u\",\"stage\":\"ResponseComplete\",\"verb\":\"get\"}", i ? "," : "",
			number, i);
	buf_add_view(out, VIEW("]}\n"));
}

/* The status of the answer, 0: none came. Reads it up to the end of its head: ours have few bytes behind it. */
static int answer(int fd)
{
	char text[ANSWER_ROOM + 1];
	size_t len = 0;
	int status = 0;
	while (len < ANSWER_ROOM) {
		ssize_t n = recv(fd, text + len, ANSWER_ROOM - len, 0);
		if (n <= 0)
			return 0;
		len += (size_t)n;
		text[len] = 0;
		if (strstr(text, "\r\n\r\n"))
			break;
	}
	return sscanf(text, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

/* `cut`: half of it, then away. */
static int post(int fd, struct view body, bool cut)
{
	struct buf head = { 0 };
	buf_addf(&head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", body.len);
	bool sent = send_all(fd, buf_view(&head)) && send_all(fd, (struct view){ body.ptr, cut ? body.len / 2 : body.len });
	buf_finish(&head);
	return sent && !cut ? answer(fd) : 0;
}

static bool deliver(int *fd, struct view body)
{
	if (*fd < 0)
		*fd = dial();
	int status = *fd >= 0 ? post(*fd, body, false) : 0;
	play.good += status == 200;
	if (status != 200 && *fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
	return status == 200;
}

static bool go_on(unsigned posted)
{
	return play.until_end ? !play.ended : posted < play.bodies;
}

static void *client(void *context)
{
	struct buf body = { 0 };
	int fd = -1;
	(void)context;
	for (unsigned i = 0; go_on(i); i++) {
		unsigned number = play.next++;
		make_body(&body, number);
		if (fd < 0)
			fd = dial();
		if (number % 5 == 0 && fd >= 0) { /* torn first, and then as if nothing had been */
			(void)post(fd, buf_view(&body), true);
			(void)close(fd);
			fd = dial();
		}
		while (!deliver(&fd, buf_view(&body)) && !play.ended) /* 429 and the like: as an apiserver, again */
			(void)poll(NULL, 0, 10);
	}
	if (fd >= 0)
		(void)close(fd);
	buf_finish(&body);
	return NULL;
}

/* Reloads while the clients post, and ends the pipeline when they are through, or while they are not. */
static void *conduct(void *context)
{
	pthread_t clients[CLIENTS];
	(void)context;
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, client, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		(void)poll(NULL, 0, 20);
		(void)kill(getpid(), SIGHUP);
	}
	for (unsigned i = 0; play.until_end && play.good < BODIES && i < 120000; i++)
		(void)poll(NULL, 0, 1);
	if (play.until_end)
		(void)kill(getpid(), SIGTERM);
	for (unsigned i = 0; play.until_end && !play.ended && i < 120000; i++)
		(void)poll(NULL, 0, 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		(void)pthread_join(clients[i], NULL);
	if (!play.until_end)
		(void)kill(getpid(), SIGTERM);
	return NULL;
}

/* Below those that the kernel gives to outgoing connections: nobody comes by it before the program listens there. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (unsigned i = 0; i < 1000; i++) {
		_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		uint16_t port = (uint16_t)(10000 + ((unsigned)getpid() * 31 + i) % 20000);
		address.sin_port = htons(port);
		if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

static void write_config(const char *path, const char *folder, const char *output)
{
	_fclose_ FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fprintf(f,
			    "cluster: c\nstate_dir: %s/state\nshutdown_wait: 3s\ninputs:\n  api: { type: webhook, listen: '127.0.0.1:%u' }\n"
			    "outputs:\n  out: { type: %s }\n",
			    folder, (unsigned)play.port, output) > 0);
}

static unsigned count(const char *folder, const char *text)
{
	unsigned n = 0;
	_free_ char *command = mem_textf("cat '%s'/out/* 2>/dev/null | sort -u | grep -c '%s'", folder, text);
	FILE *lines = popen(command, "r"); /* NOLINT: the folder is our own */
	assert_non_null(lines);
	(void)!fscanf(lines, "%u", &n);
	(void)pclose(lines);
	return n;
}

static void run(bool until_end)
{
	char folder[] = "/tmp/audit-router-webhook-XXXXXX";
	struct config *config;
	struct problems problems = { 0 };
	struct pipeline *p;
	struct err err;
	pthread_t conductor;
	assert_non_null(mkdtemp(folder));
	play.port = free_port();
	play.next = play.good = 0;
	play.ended = false;
	play.bodies = BODIES;
	play.until_end = until_end;
	_free_ char *path = mem_textf("%s/audit-router.yaml", folder);
	write_config(path, folder, "file, path: 'out/{class}.log'");
	assert_int_equal(config_load(&config, path, &problems), 0);
	assert_int_equal(pipeline_start(&p, config, false, &err), 0);
	assert_int_equal(pthread_create(&conductor, NULL, conduct, NULL), 0);
	(void)pipeline_run(p);
	pipeline_end(p);
	play.ended = true;
	(void)pthread_join(conductor, NULL);
	config_close(config);
	problems_finish(&problems);
	unsigned arrived = count(folder, "auditID");
	if (until_end)
		assert_true(arrived >= play.good * EVENTS); /* what was answered is there */
	else
		assert_int_equal(arrived, CLIENTS * BODIES * EVENTS);
	assert_true(play.good >= (until_end ? 1 : CLIENTS * BODIES));
	_free_ char *command = mem_textf("rm -r '%s'", folder);
	assert_int_equal(system(command), 0); /* NOLINT */
}

static void test_clients_and_reloads(void **state)
{
	(void)state;
	run(false);
}

static void test_end_while_they_post(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_and_reloads),
		cmocka_unit_test(test_end_while_they_post),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
