/* Where a webhook listens: HOST:PORT, HOST being an address, so that nothing has to be looked up. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "router/base/units.h"
#include "router/input/webhook.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_listen(const char *listen, union address *ret)
{
	const char *colon = strrchr(listen, ':');
	int64_t port;
	char host[64];
	if (!colon || !units_parse_number(view_of(colon + 1), &port) || port < 0 || port > 65535)
		return false;
	size_t len = (size_t)(colon - listen);
	bool bracketed = len >= 2 && listen[0] == '[' && listen[len - 1] == ']';
	if (bracketed) {
		listen++;
		len -= 2;
	}
	if (len >= sizeof host)
		return false;
	memcpy(host, listen, len);
	host[len] = 0;
	memset(ret, 0, sizeof *ret);
	if (!len || bracketed) {
		ret->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
		return !len || inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1;
	}
	if (strcmp(host, "localhost") == 0)
		(void)memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
	ret->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	return inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1;
}

bool server_listen_is_known(const char *listen)
{
	union address address;
	return parse_listen(listen, &address);
}

bool server_listens_locally(const char *listen)
{
	union address a;
	if (!parse_listen(listen, &a))
		return false;
	if (a.any.sa_family == AF_INET)
		return ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
}

int server_listen_at(const char *text, struct err *err)
{
	union address a;
	const int on = 1, off = 0;
	if (!parse_listen(text, &a))
		return err_set(err, "listen: %s is no HOST:PORT", text);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* All addresses without IPv6: the same in IPv4. */
	if (fd < 0 && a.any.sa_family == AF_INET6 && text[0] == ':') {
		in_port_t port = a.v6.sin6_port;
		a.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return err_set(err, "listen: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a.any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, &a.any, a.any.sa_family == AF_INET6 ? sizeof a.v6 : sizeof a.v4) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	(void)err_set(err, "listen at %s: %s", text, strerror(errno));
	(void)close(fd);
	return -EINVAL;
}
