#pragma once
/*
 * webhook -- what the files of the webhook input share; private to them.
 *
 *   webhook.c         settings, life, routing: run() takes pieces of bodies off the queue, in order
 *   webhook_server.c  libmicrohttpd's thread: requests, their bodies, answers
 *   webhook_keeper.c  deadlines, slow clients, last bytes of refused ones, files that change: a thread of its own
 *   webhook_listen.c  its address
 *   webhook_intake.c  a request without its connection: what its head decides, its body unpacked
 *   webhook_body.c    a body cut in lines as it arrives        webhook_dedup.c  what came already
 *   webhook_tls.c     certificates
 *
 * A request: its body arrives in libmicrohttpd's thread, which puts pieces (chunks of whole lines) in the queue and suspends
 * the connection behind the last one. run() routes the pieces and notes the position behind the last; settled() answers
 * all requests up to the position that it is told. No thread waits for an answer.
 *
 * Locks: `mutex` guards all but what is marked otherwise. libmicrohttpd's functions may be called under it; it calls back
 *        without locks of its own.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include "router/base/file_mark.h"
#include "router/input/input.h"
#include "router/input/webhook_intake.h"

struct webhook_dedup;
struct webhook_tls;

struct webhook_settings {
	char *listen;
	uint64_t max_body;
	int64_t timeout_ms, idle_timeout_ms;
	int64_t connections;
	bool dedup;
	int64_t dedup_window_ms, dedup_events;
	char *token, *token_file;
	struct webhook_tls_settings {
		char *cert_file, *key_file, *client_ca_file;
	} tls;
};

enum {
	WEBHOOK_BUSY_MS = 800,     /* run() waits for a lane for so long: requests get 429 (a lane spools after 500) */
	WEBHOOK_STALL_MS = 2000,   /* a lane without a spool has taken what it got nowhere for so long: new ones get 429 */
	WEBHOOK_LINGER_MAX = 64,
	WEBHOOK_REASON_ROOM = 96,
};

struct webhook_connection {
	struct webhook_connection *prev, *next; /* the oldest first */
	int fd;
	gnutls_session_t session; /* NULL: no TLS */
	int64_t since_ms;
	int64_t deadline_ms;      /* when it is cut, whatever it does */
	struct input *input;
	bool cut;                 /* shutdown was called on it */
	bool admitted;            /* a request of it got through: it is no stranger any more */
	unsigned judged_by;       /* tls_version(), 0: not yet; libmicrohttpd's thread, as ... */
	bool known;               /* ... its client certificate */
	struct webhook_request *request;
};

struct webhook_request {
	struct webhook_request *next; /* of those that wait for an answer, by position */
	unsigned references;          /* its connection, and each piece in the queue */
	struct MHD_Connection *connection;
	struct webhook_connection *from;
	uint32_t number;
	enum request_state {
		REQUEST_RECEIVING,
		REQUEST_HELD,     /* suspended until the queue is shorter */
		REQUEST_WAITING,  /* suspended until it can be answered */
		REQUEST_ANSWERED, /* `status` goes out */
	} state;
	bool gone;            /* its connection is closed */
	unsigned status;
	bool routed;
	uint64_t position;    /* routed: its last piece ends here */
	int64_t whole_ms;     /* when its last byte was there */

	/* libmicrohttpd's thread */
	bool discard;         /* refused: the rest of its body is not looked at */
	bool started;
	struct webhook_intake intake;
	int64_t started_ms;

	/* run()'s thread */
	uint64_t lines;  /* numbers of its items, for messages */
	uint64_t good, broken; /* events in it, those that came already too; and what is none */
	bool failed;
};

struct webhook_piece {
	struct webhook_piece *next;
	struct webhook_request *request;
	struct chunk *chunk;  /* NULL: nothing but the end */
	uint64_t long_total;
	bool last;
};

struct input {
	struct input_options options;
	const struct webhook_settings *settings;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct MHD_Daemon *daemon;
	_Atomic bool quiesced;    /* its listening socket is closed */
	struct webhook_tls *tls;
	char *token;              /* as it stands in its file; NULL: none is asked for */
	struct file_mark token_mark; /* keeper */
	struct err token_problem;    /* keeper; of its file as it is, .text is "" when it is in use */
	unsigned stops;           /* calls of stop(): 1 drain, 2 give up */

	struct webhook_piece *head, *tail;
	uint64_t queue_bytes;
	int64_t busy_since_ms;    /* of run(): 0: it waits for pieces */
	struct webhook_request *waiting, **waiting_end;
	uint64_t settled, reached; /* positions: what is safe, and what was routed */
	int64_t progress_ms;       /* when something became safe last, or was routed while all was safe */
	bool no_spool;             /* some lane has none: what it holds is safe only once it is delivered */
	struct webhook_connection *oldest, *newest;
	unsigned n_connections, n_requests;
	uint32_t next_number;

	/* run()'s thread */
	struct webhook_dedup *dedup;
	uint64_t position;

	/* keeper */
	pthread_t keeper;
	bool keeper_started, keeper_stop;
	struct {
		int fd;
		int64_t until_ms;
	} linger[WEBHOOK_LINGER_MAX];
	unsigned n_linger;

	struct webhook_counters {
		_Atomic uint64_t requests, refused, events, duplicates;
	} counters;
};

/* webhook.c */
void webhook_queue(struct input *, struct webhook_request *, struct chunk *, uint64_t long_total); /* locked */
void webhook_queue_end(struct input *, struct webhook_request *);             /* locked; it came whole */
void webhook_request_release(struct webhook_request *);                       /* locked */
void webhook_answer(struct input *, struct webhook_request *, unsigned status); /* locked; suspended ones are resumed */
void webhook_forget_waiting(struct input *, struct webhook_request *);         /* locked */
/* run() has waited for a lane for a while. Locked. */
bool webhook_is_blocked(const struct input *, int64_t now_ms);
/* That, or nothing gets any safer: no more is taken in. */
bool webhook_is_busy(const struct input *, int64_t now_ms);                    /* locked */

/* webhook_server.c */
int server_start(struct input *, struct err *);
void server_quiesce(struct input *); /* no new connections */
void server_stop(struct input *);

/* webhook_listen.c */
bool server_listens_locally(const char *listen);
bool server_listen_is_known(const char *listen);
int server_listen_at(const char *listen, struct err *err); /* a listening socket */

/* webhook_keeper.c */
int keeper_start(struct input *, struct err *);
void keeper_stop(struct input *);
int keeper_read_token(struct input *, struct err *); /* as it stands in its file now */
/* The connection is refused with bytes of it unread: its last answer must not be lost by closing it. Locked. */
void keeper_linger(struct input *, int fd);
