/*
 * bench_webhook_bare -- a bare libmicrohttpd that reads bodies and forgets them: the reference that
 * the webhook input is measured against. As the input it has one thread, epoll, and suspends
 * nothing; over TLS it asks for a client's certificate and verifies it once a connection.
 *
 * usage: bench_webhook_bare [CERT_FILE KEY_FILE [CLIENT_CA_FILE]]
 *
 * Prints "port N" once it listens at 127.0.0.1, and ends at the end of its standard input.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "router/base/buf.h"
#include "router/base/io.h"

enum { FILE_BYTES_MAX = 1 << 20 };

static bool asks_client;

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result = MHD_queue_response(connection, status, r);
	MHD_destroy_response(r);
	return result;
}

/* Is the client of this connection known, by a look at its certificate at its first request? */
static bool is_known(struct MHD_Connection *connection)
{
	unsigned status = ~0u;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	bool *known = info->socket_context;
	if (*known)
		return true;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	*known = gnutls_certificate_verify_peers2(info->tls_session, &status) == 0 && status == 0;
	return *known;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *bytes, size_t *len, void **request)
{
	static int begun;
	(void)context, (void)url, (void)method, (void)version, (void)bytes;
	if (!*request) {
		*request = &begun;
		return asks_client && !is_known(connection) ? answer(connection, MHD_HTTP_FORBIDDEN)
							    : MHD_YES;
	}
	if (!*len)
		return answer(connection, MHD_HTTP_OK);
	*len = 0;
	return MHD_YES;
}

static void connection_news(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	(void)context, (void)connection;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*socket_context = mem_zero(1, sizeof(bool));
	else
		free(*socket_context);
}

static void keep_quiet(void *context, const char *format, va_list args)
{
	(void)context, (void)format, (void)args;
}

static const char *contents(const char *path)
{
	struct buf text = { 0 };
	int r = io_read_whole(path, FILE_BYTES_MAX, &text);
	if (r < 0) {
		(void)fprintf(stderr, "bench_webhook_bare: %s cannot be read\n", path);
		exit(1);
	}
	return buf_text(&text);
}

int main(int argc, char **argv)
{
	struct MHD_OptionItem options[4] = { { MHD_OPTION_END, 0, NULL } };
	unsigned n = 0;
	if (argc > 4 || argc == 2) {
		(void)fputs("usage: bench_webhook_bare [CERT_FILE KEY_FILE [CLIENT_CA_FILE]]\n",
			stderr);
		return 2;
	}
	if (argc > 2) {
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0,
			(void *)(uintptr_t)contents(argv[1]) };
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0,
			(void *)(uintptr_t)contents(argv[2]) };
	}
	asks_client = argc > 3;
	if (asks_client)
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0,
			(void *)(uintptr_t)contents(argv[3]) };
	options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	struct sockaddr_in address = { .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | (argc > 2 ? MHD_USE_TLS : 0), 0,
		NULL, NULL, handle, NULL, MHD_OPTION_EXTERNAL_LOGGER, keep_quiet, NULL,
		MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_CONNECTION, connection_news, NULL,
		MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	const union MHD_DaemonInfo *info =
		daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	if (!info) {
		(void)fputs("bench_webhook_bare: it does not start\n", stderr);
		return 1;
	}
	(void)printf("port %u\n", (unsigned)info->port);
	(void)fflush(stdout);
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	MHD_stop_daemon(daemon);
	return 0;
}
