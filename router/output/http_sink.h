#pragma once
/*
 * http_sink -- the requests of one sink: which is sent when, and what its outcome means for the events.
 *
 * A sink has in_flight + 1 requests: so many are on their way or wait for their next try, and one more is filled
 * meanwhile. One that waits holds all that are in_flight or more after it: with in_flight 1 the order stays, and after kill -9
 * no more than in_flight requests' events, and those whose answers were lost, come again.
 *
 * Private to http.c and http_sink.c. Threads: all of a sink is its lane's worker's.
 */
#include <curl/curl.h>

#include "router/output/http_pack.h"
#include "router/output/http_request.h"
#include "router/output/output.h"

struct sink {
	const struct http_settings *settings;
	struct http_target target;
	struct format_context context;
	struct lane *lane;
	int wake_fd;
	uint64_t open_bytes_max, open_bytes; /* of records taken that have no outcome */
	struct http_backoff backoff;
	struct http_pack *pack;
	CURLM *multi;
	struct http_request *requests;
	unsigned n_requests;
	struct http_request *filling;  /* NULL: none */
	uint64_t next_ticket;
	uint64_t random;
	int64_t auth_look_ms;          /* next look at the file with the credentials */
	bool troubled;                 /* lane_report has told something */
	bool news;                     /* records got their outcome since the last wait() began */
};

/* No more records for the request being filled: it goes out when its turn comes. */
void http_sink_close_filling(struct sink *);
/* Hands to libcurl what may go now. */
void http_sink_send_due(struct sink *);
/* Lets libcurl work, without a wait and without outcomes. */
void http_sink_perform(struct sink *);
/* All of it: sends what is due, lets libcurl work, gives records their outcomes. */
void http_sink_advance(struct sink *);
/* How long until something of our own is to be done; at most timeout_ms. */
int http_sink_next_ms(const struct sink *, int timeout_ms);
