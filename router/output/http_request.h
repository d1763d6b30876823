#pragma once
/*
 * http_request -- one POST after the other on one easy handle of libcurl: what is sent, and what came back.
 *
 * Limits:  an answer is kept only where the format reads it, and up to HTTP_ANSWER_MAX and HTTP_ANSWER_EVENT_MAX an
 *          event; a longer one, or endless headers, ends the transfer. The time of all of it is `timeout`.
 * Early:   a 2xx that came before all of the body was sent, and then the transfer ended, is no answer: nobody took the rest.
 * Threads: one owner; libcurl's callbacks run in it, inside curl_multi_perform.
 */
#include <curl/curl.h>

#include "router/output/http_auth.h"
#include "router/output/http_pack.h"
#include "router/output/http_parcel.h"
#include "router/output/http_verdict.h"

enum {
	HTTP_ANSWER_MAX = 1 << 20,
	HTTP_ANSWER_EVENT_MAX = 512,
	HTTP_ANSWER_HEADERS_MAX = 256 << 10,
};

/* What all requests of a sink share. */
struct http_target {
	const struct http_settings *settings;
	const struct format_ops *format;
	enum audit_class class_;
	bool by_cluster; /* {cluster} stands in the URL or in a header: a request carries events of one cluster */
	char *url;       /* this one, and the headers, are of the configuration's own cluster */
	char *shown;     /* without anything secret */
	char **headers;  /* "Name: value", NULL-terminated; without the token's */
	struct http_auth auth;
};

/* -EINVAL with *err set: the cluster's name cannot stand in a header. */
int http_target_init(struct http_target *, const struct http_settings *, const struct format_ops *, enum audit_class,
	const char *cluster, struct err *);
void http_target_finish(struct http_target *);

enum http_request_state {
	HTTP_FREE,
	HTTP_FILLING,  /* records are being collected */
	HTTP_READY,    /* to be sent once fewer are on their way */
	HTTP_FLYING,
	HTTP_WAITING,  /* to be sent again at due_ms */
};

struct http_request {
	/* the sink's */
	struct parcel parcel;
	struct buf packed;         /* what goes out, where it is compressed */
	enum http_request_state state;
	uint64_t ticket;           /* the order in which they were closed */
	int64_t due_ms;            /* FILLING: batch_wait is over; WAITING: the next try */
	unsigned failures;         /* in a row */
	int64_t failing_since_ms;  /* the first of them; 0: none */
	unsigned cuts;             /* connections lost in a row while the body was on its way */
	bool for_auth;             /* WAITING for better credentials */

	/* of the exchange */
	const struct http_target *target;
	CURL *easy;
	char *cluster;             /* that URL and headers are of; NULL: as the target's */
	char *shown;               /* URL of that cluster, without anything secret; NULL: as the target's */
	struct curl_slist *headers; /* as of auth_version, and of the cluster */
	unsigned auth_version;
	bool fresh;                /* a connection of its own */
	uint64_t body_bytes;       /* of the request */
	uint64_t header_bytes, answer_bytes;
	uint64_t answer_max;
	struct buf answer;
	bool answer_began;         /* the final status and all headers are here */
	bool answer_long;          /* it was cut off by a limit */
	char error[CURL_ERROR_SIZE];
};

/* -ENOMEM: libcurl gives no handle. */
int http_request_init(struct http_request *, const struct http_target *);
void http_request_finish(struct http_request *); /* all zero is fine */
/* Ready for curl_multi_add_handle: sends the parcel's window, or what was packed of it; neither may change meanwhile. */
void http_request_prepare(struct http_request *);

struct http_result {
	enum http_verdict verdict;
	CURLcode code;
	long status;            /* 0: none came */
	int64_t retry_after_ms; /* 0: not said */
	bool cut;               /* the connection was lost while the body was on its way */
};
struct http_result http_request_result(const struct http_request *, CURLcode);
/* Where it went, without anything secret. */
const char *http_request_shown(const struct http_request *);
/* "503 from https://host/path", "https://host/path: connection refused": a sentence for people. */
void http_request_explain(const struct http_request *, const struct http_result *, char *text, size_t room);
