#pragma once
/*
 * http_server -- a collector inside a test: HTTP/1.1 with keep-alive on a loopback port, a thread a connection.
 *
 * What happens to a request is the next step of the script; past its end, SERVER_TAKE. Then the lasting rules apply to
 * what is taken: authorization, max_body, refuse. Threads: all fields after server_start under `mutex`.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/base/buf.h"

enum server_act {
	SERVER_TAKE,
	SERVER_STATUS,          /* answer `status`, with `header` */
	SERVER_RESET,           /* cut the connection once the request was read */
	SERVER_LOSE,            /* store it, then cut in the middle of the answer's headers */
	SERVER_CUT_HEAD,        /* store it, then end the connection in order behind the answer's first line */
	SERVER_BARE_HEAD,       /* store it; an answer whose lines end with a newline alone */
	SERVER_CUT_BODY,        /* "200", then cut in the middle of the answer's body; stored */
	SERVER_STALL,           /* no answer */
	SERVER_ENDLESS_BODY,    /* "200", stored, and an answer without end */
	SERVER_ENDLESS_HEADERS, /* headers without end */
	SERVER_GARBAGE,         /* no HTTP at all */
};

struct server_step {
	enum server_act act;
	int status;
	const char *header; /* "Retry-After: 1", or NULL */
};

enum { SERVER_STEPS_MAX = 64, SERVER_BODIES_MAX = 4096 };

struct server {
	/* before server_start */
	struct server_step steps[SERVER_STEPS_MAX];
	unsigned n_steps;
	int port;                      /* 0: any */
	unsigned n_early;              /* so many requests first: "200" once their head is there, and no byte more is read */

	/* any time, under the mutex */
	pthread_mutex_t mutex;
	char authorization[128];       /* "": anybody is let in */
	size_t max_body;               /* 0: no limit */
	const char *refuse;            /* 400 for a body with this text in it */
	const char *answer;            /* body of a 200; NULL: "{}" */
	struct buf bodies[SERVER_BODIES_MAX]; /* stored ones, decoded */
	unsigned n_bodies, n_requests, n_connections;
	struct buf head;               /* request line and headers of the last request */
	size_t longest;                /* longest decoded body of any request */

	int fd;
	bool stopping;
	pthread_t acceptor;
	unsigned n_live;
	int live[64];                  /* descriptors of open connections */
};

void server_start(struct server *);
/* Cuts all connections and waits for the threads. */
void server_stop(struct server *);
/* Frees what was stored. After server_stop. */
void server_finish(struct server *);

unsigned server_requests(struct server *);
/* All stored bodies, one behind the other. */
void server_stored(struct server *, struct buf *);
