#pragma once
/*
 * http_settings -- what a user may say of an HTTP output, and the texts that come of it: address and headers.
 *
 * Secrets: auth.password, auth.token and the values of `headers` never stand in a message. What is shown of an address is
 *          scheme, host, port and path: a query may carry a token.
 */
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/audit_class.h"

struct config;
struct config_output;

enum http_compression { HTTP_PLAIN, HTTP_GZIP, HTTP_ZSTD };
enum http_auth_type { HTTP_AUTH_NONE, HTTP_AUTH_BASIC, HTTP_AUTH_BEARER, HTTP_AUTH_HEADER };
enum http_version { HTTP_VERSION_1_1, HTTP_VERSION_2 };

enum { HTTP_IN_FLIGHT_MAX = 64 };

struct http_settings {
	char *url;
	int compression; /* enum http_compression */
	int64_t batch_events;
	uint64_t batch_bytes;
	int64_t batch_wait_ms;
	int64_t in_flight;
	int64_t timeout_ms, connect_timeout_ms;
	int64_t retry_min_ms, retry_max_ms;
	int64_t give_up_ms; /* 0: never */
	struct text_pairs headers;
	int version; /* enum http_version */
	struct http_auth_settings {
		int type; /* enum http_auth_type */
		char *username;
		char *password, *password_file;
		char *token, *token_file;
		char *scheme; /* NULL: "Bearer" for bearer, nothing for header */
		char *header;
	} auth;
	struct http_tls_settings {
		char *ca_file, *certificate_file, *key_file;
		bool verify;
	} tls;
};

extern const struct section http_section;

/*
 * `{class}` and `{cluster}` filled in; in an address the cluster is percent-encoded, and one of dots alone, which would lead to
 * another path, is underscores. The caller frees.
 */
char *http_settings_url(const struct http_settings *, enum audit_class, const char *cluster);
char *http_settings_expand(const char *template, enum audit_class, const char *cluster);
/* Does {cluster} stand in the address, or in a header? */
bool http_settings_by_cluster(const struct http_settings *);
/* Of an address: scheme, host, port and path alone. The caller frees. */
char *http_settings_shown(const char *url);
