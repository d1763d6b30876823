#include "router/output/http_settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

/* ---- templates and addresses ---- */

static void add_percent_encoded(struct buf *out, struct view text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	bool dots = view_eq(text, VIEW(".")) || view_eq(text, VIEW(".."));
	for (size_t i = 0; i < text.len; i++) {
		if (dots)
			buf_add_byte(out, '_');
		else if (text.ptr[i] && strchr(unreserved, text.ptr[i]))
			buf_add_byte(out, text.ptr[i]);
		else
			buf_addf(out, "%%%02X", (unsigned char)text.ptr[i]);
	}
}

static char *expand(const char *template, enum audit_class class_, const char *cluster, bool in_url)
{
	struct buf out = { 0 };
	for (const char *at = template; *at;) {
		struct view rest = view_of(at);
		if (view_starts(rest, VIEW("{class}"))) {
			buf_add_view(&out, view_of(audit_class_lower(class_)));
			at += strlen("{class}");
		} else if (view_starts(rest, VIEW("{cluster}"))) {
			if (in_url)
				add_percent_encoded(&out, view_of(cluster));
			else
				buf_add_view(&out, view_of(cluster));
			at += strlen("{cluster}");
		} else {
			buf_add_byte(&out, *at++);
		}
	}
	(void)buf_text(&out);
	return out.ptr;
}

char *http_settings_expand(const char *template, enum audit_class class_, const char *cluster)
{
	return expand(template, class_, cluster ? cluster : "", false);
}

char *http_settings_url(const struct http_settings *s, enum audit_class class_, const char *cluster)
{
	return expand(s->url, class_, cluster ? cluster : "", true);
}

bool http_settings_by_cluster(const struct http_settings *s)
{
	bool is = strstr(s->url, "{cluster}") != NULL;
	for (size_t i = 0; i < s->headers.n; i++)
		is |= strstr(s->headers.list[i].value, "{cluster}") != NULL;
	return is;
}

static void cleanup_curl_url(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void cleanup_curl_text(char **text)
{
	curl_free(*text);
}

char *http_settings_shown(const char *url)
{
	cleanup(cleanup_curl_url) CURLU *parts = curl_url();
	cleanup(cleanup_curl_text) char *shown = NULL;
	static const CURLUPart hidden[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	if (!parts || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK)
		return mem_text(VIEW("the url"));
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		(void)curl_url_set(parts, hidden[i], NULL, 0);
	if (curl_url_get(parts, CURLUPART_URL, &shown, 0) != CURLUE_OK)
		return mem_text(VIEW("the url"));
	return mem_text(view_of(shown));
}

/* ---- what check says ---- */

/* The place of a key, or of the output itself. */
static const struct node *place(const struct node *map, const char *section, const char *key)
{
	const struct node *inner = section ? tree_get(map, section) : map;
	const struct node *at = tree_get(inner, key);
	return at ? at : inner ? inner : map;
}

static bool has_control(const char *text)
{
	for (const char *at = text; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return true;
	}
	return false;
}

/* Only {class} and {cluster} may stand in braces. */
static bool template_is_known(const char *template)
{
	for (const char *at = template; (at = strchr(at, '{')); at++) {
		struct view rest = view_of(at);
		if (!view_starts(rest, VIEW("{class}")) && !view_starts(rest, VIEW("{cluster}")))
			return false;
	}
	return true;
}

/* User, host or port: what stands before the path. */
static bool names_host_by_cluster(const char *url)
{
	const char *host = strstr(url, "://"), *cluster = strstr(url, "{cluster}");
	return host && cluster && cluster < host + 3 + strcspn(host + 3, "/?#");
}

static void check_url(struct settings_reader *reader, const struct node *map, const struct http_settings *s)
{
	const struct node *at = place(map, NULL, "url");
	if (!template_is_known(s->url)) {
		settings_problem(reader, at, "only {class} and {cluster} can be filled in an url");
		return;
	}
	if (names_host_by_cluster(s->url)) {
		settings_problem(reader, at, "{cluster} in the host: a record's cluster must not decide who gets it, and the credentials");
		return;
	}
	_free_ char *sample = http_settings_url(s, ADMIN_ACTIVITY, "cluster");
	cleanup(cleanup_curl_url) CURLU *parts = curl_url();
	cleanup(cleanup_curl_text) char *scheme = NULL, *user = NULL, *password = NULL;
	if (!parts || has_control(sample) || strchr(sample, ' ') ||
		curl_url_set(parts, CURLUPART_URL, sample, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
		settings_problem(reader, at, "the url is none: https://HOST[:PORT][/PATH] is expected");
		return;
	}
	(void)curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
		settings_problem(reader, at, "the url must start with http:// or https://");
		return;
	}
	if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK ||
		curl_url_get(parts, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
		settings_problem(reader, at, "a user or password does not belong in the url: say it under auth");
	bool secure = strcmp(scheme, "https") == 0;
	if (!secure && s->version == HTTP_VERSION_2)
		settings_problem(reader, place(map, NULL, "http_version"), "HTTP/2 is spoken over https only");
	if (!secure && (s->tls.ca_file || s->tls.certificate_file))
		settings_problem(reader, place(map, NULL, "tls"), "tls is said, but the url starts with http://");
}

/* Headers that the output writes itself; another value would break the request. */
static const char *const own_headers[] = { "Content-Length", "Transfer-Encoding", "Content-Encoding", "Expect",
	"Connection", NULL };

static bool is_header_name(const char *name)
{
	static const char token[] =
		"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	return *name && strspn(name, token) == strlen(name);
}

static void check_header_name(struct settings_reader *reader, const struct node *at, const char *name)
{
	if (!is_header_name(name))
		settings_problem(reader, at, "not the name of a header");
	for (const char *const *own = own_headers; *own; own++) {
		if (strcasecmp(name, *own) == 0)
			settings_problem(reader, at, "the header %s is written by the output itself", *own);
	}
}

static void check_headers(struct settings_reader *reader, const struct node *map, const struct http_settings *s)
{
	for (size_t i = 0; i < s->headers.n; i++) {
		const struct text_pair *pair = &s->headers.list[i];
		const struct node *at = place(map, "headers", pair->key);
		check_header_name(reader, at, pair->key);
		if (has_control(pair->value))
			settings_problem(reader, at, "a header cannot hold line breaks or control characters");
		else if (!template_is_known(pair->value))
			settings_problem(reader, at, "only {class} and {cluster} can be filled in a header");
	}
}

static void check_one_secret(struct settings_reader *reader, const struct node *map, const char *key,
	const char *text, const char *path)
{
	_free_ char *file_key = mem_textf("%s_file", key);
	if (text && path)
		settings_problem(reader, place(map, "auth", file_key), "%s and %s: one of the two", key, file_key);
	else if (!text && !path)
		settings_problem(reader, place(map, "auth", "type"), "auth needs %s or %s", key, file_key);
	else if (text && has_control(text))
		settings_problem(reader, place(map, "auth", key), "%s holds control characters", key);
}

static void check_auth(struct settings_reader *reader, const struct node *map, const struct http_settings *s)
{
	const struct http_auth_settings *a = &s->auth;
	bool basic = a->type == HTTP_AUTH_BASIC;
	bool token = a->type == HTTP_AUTH_BEARER || a->type == HTTP_AUTH_HEADER;
	if (basic)
		check_one_secret(reader, map, "password", a->password, a->password_file);
	else if (a->username || a->password || a->password_file)
		settings_problem(reader, place(map, "auth", "type"), "username and password are for type: basic");
	if (token)
		check_one_secret(reader, map, "token", a->token, a->token_file);
	else if (a->token || a->token_file || a->scheme)
		settings_problem(reader, place(map, "auth", "type"), "token and scheme are for type: bearer or header");
	if (basic && (!a->username || strchr(a->username, ':') || has_control(a->username)))
		settings_problem(reader, place(map, "auth", "username"), "type: basic needs a username without a colon");
	if (a->type == HTTP_AUTH_HEADER && !a->header)
		settings_problem(reader, place(map, "auth", "type"), "type: header needs the name of the header");
	if (a->header && a->type != HTTP_AUTH_HEADER)
		settings_problem(reader, place(map, "auth", "header"), "header is for type: header");
	else if (a->header)
		check_header_name(reader, place(map, "auth", "header"), a->header);
	if (a->scheme && !is_header_name(a->scheme))
		settings_problem(reader, place(map, "auth", "scheme"), "scheme is one word, such as Splunk or ApiKey");
}

static void check_tls(struct settings_reader *reader, const struct node *map, const struct http_settings *s)
{
	if (s->tls.key_file && !s->tls.certificate_file)
		settings_problem(reader, place(map, "tls", "key_file"), "key_file needs certificate_file");
	if (!s->tls.verify)
		settings_warning(reader, place(map, "tls", "verify"),
			"verify: off: whoever answers at this address gets the audit log");
}

static void check(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct http_settings *s = values;
	check_url(reader, map, s);
	check_headers(reader, map, s);
	check_auth(reader, map, s);
	check_tls(reader, map, s);
	if (s->retry_min_ms > s->retry_max_ms)
		settings_problem(reader, place(map, NULL, "retry_min"), "retry_min is above retry_max");
	if (s->auth.type != HTTP_AUTH_NONE && strncasecmp(s->url, "http://", strlen("http://")) == 0)
		settings_warning(reader, place(map, NULL, "url"), "auth over http:// is readable on the way");
}

/* ---- the rows ---- */

static const char *const auth_types[] = { "none", "basic", "bearer", "header", NULL };
static const char *const compressions[] = { "none", "gzip", "zstd", NULL };
static const char *const versions[] = { "1.1", "2", NULL };

#define AT(field) offsetof(struct http_auth_settings, field)
static const struct setting auth_rows[] = {
	{ .key = "type", .type = SETTING_CHOICE, .offset = AT(type), .initial = "none", .choices = auth_types,
		.help = "How the output proves who it is. `header` puts the token in a header of its own." },
	{ .key = "username", .type = SETTING_TEXT, .offset = AT(username), .help = "For `basic`." },
	{ .key = "password", .type = SETTING_TEXT, .secret = true, .offset = AT(password),
		.help = "For `basic`. Better from the environment (`${NAME}`) or from `password_file`." },
	{ .key = "password_file", .type = SETTING_PATH, .reads = true, .offset = AT(password_file),
		.help = "File with the password. Read again when it changes, and when the collector answers 401 or 403." },
	{ .key = "token", .type = SETTING_TEXT, .secret = true, .offset = AT(token),
		.help = "For `bearer` and `header`. Better from the environment (`${NAME}`) or from `token_file`." },
	{ .key = "token_file", .type = SETTING_PATH, .reads = true, .offset = AT(token_file),
		.help = "File with the token. Read again when it changes, and when the collector answers 401 or 403." },
	{ .key = "scheme", .type = SETTING_TEXT, .offset = AT(scheme),
		.help = "Word before the token: `Bearer` for `bearer` where unsaid, `Splunk`, `ApiKey`, ... for others." },
	{ .key = "header", .type = SETTING_TEXT, .offset = AT(header),
		.help = "Name of the header, for `header`: `X-API-Key`, `Authorization`." },
	{ .key = NULL },
};
#undef AT
static const struct section auth_section = {
	.name = "output.http.auth",
	.help = "Credentials of an HTTP output.",
	.size = sizeof(struct http_auth_settings),
	.rows = auth_rows,
};

#define AT(field) offsetof(struct http_tls_settings, field)
static const struct setting tls_rows[] = {
	{ .key = "ca_file", .type = SETTING_PATH, .reads = true, .offset = AT(ca_file),
		.help = "PEM file with the authorities that the collector's certificate may come from; unsaid: the system's." },
	{ .key = "certificate_file", .type = SETTING_PATH, .reads = true, .offset = AT(certificate_file),
		.help = "PEM file with the client certificate, and the chain to it." },
	{ .key = "key_file", .type = SETTING_PATH, .reads = true, .offset = AT(key_file),
		.help = "PEM file with its key; unsaid: it stands in `certificate_file`." },
	{ .key = "verify", .type = SETTING_BOOL, .offset = AT(verify), .initial = "on",
		.help = "Off takes any certificate, so that anybody on the way can read the log. For trying out only." },
	{ .key = NULL },
};
#undef AT
static const struct section tls_section = {
	.name = "output.http.tls",
	.help = "TLS of an HTTP output, 1.2 or newer. Files are read when a connection is made.",
	.size = sizeof(struct http_tls_settings),
	.rows = tls_rows,
};

#define AT(field) offsetof(struct http_settings, field)
static const struct setting rows[] = {
	{ .key = "url", .type = SETTING_TEXT, .required = true, .offset = AT(url),
		.help = "Where to POST to, http:// or https://. `{class}` and, behind the host, `{cluster}` are filled in; with `{cluster}`, "
			"here or in `headers`, a request carries events of one cluster. Redirects are not followed. "
			"A proxy is taken from the environment: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`." },
	{ .key = "compression", .type = SETTING_CHOICE, .offset = AT(compression), .initial = "none",
		.choices = compressions, .help = "Content-Encoding of the bodies. zstd costs a quarter of gzip's time." },
	{ .key = "batch_events", .type = SETTING_INT, .offset = AT(batch_events), .initial = "1000", .min = "1",
		.max = "1000000", .help = "Most events in one request." },
	{ .key = "batch_bytes", .type = SETTING_SIZE, .offset = AT(batch_bytes), .initial = "1MiB", .min = "1KiB",
		.max = "1GiB", .help = "Most bytes in one request, before compression; a longer event goes alone." },
	{ .key = "batch_wait", .type = SETTING_TIME, .offset = AT(batch_wait_ms), .initial = "1s", .min = "0",
		.max = "1h", .help = "How long the first event of a request waits for others, at most: no longer than until all that has "
			"come is in it where a webhook's answer depends on it (`spool: off`)." },
	{ .key = "in_flight", .type = SETTING_INT, .offset = AT(in_flight), .initial = "2", .min = "1", .max = "64",
		.help = "Requests at a time, for each class. 1 keeps the order of events. None is sent while the one that is so many "
			"before it has no answer: so no more than these come again after a crash." },
	{ .key = "timeout", .type = SETTING_TIME, .offset = AT(timeout_ms), .initial = "30s", .min = "1ms",
		.max = "1h", .help = "Longest time for a request and its answer." },
	{ .key = "connect_timeout", .type = SETTING_TIME, .offset = AT(connect_timeout_ms), .initial = "10s",
		.min = "1ms", .max = "1h", .help = "Longest time to connect." },
	{ .key = "retry_min", .type = SETTING_TIME, .offset = AT(retry_min_ms), .initial = "100ms", .min = "1ms",
		.max = "1h", .help = "First wait before a request is sent again; it doubles with each failure." },
	{ .key = "retry_max", .type = SETTING_TIME, .offset = AT(retry_max_ms), .initial = "30s", .min = "1ms",
		.max = "1d", .help = "Longest wait before a request is sent again, whatever `Retry-After` says." },
	{ .key = "give_up", .type = SETTING_TIME, .offset = AT(give_up_ms), .min = "1s", .max = "365d",
		.help = "Events that could not be delivered for this long become dead letters; unsaid: they are tried for ever." },
	{ .key = "headers", .type = SETTING_PAIRS, .offset = AT(headers),
		.help = "Headers to send with each request. `{class}` and `{cluster}` are filled in." },
	{ .key = "http_version", .type = SETTING_CHOICE, .offset = AT(version), .initial = "1.1", .choices = versions,
		.help = "`2` speaks HTTP/2 where the collector offers it (https only), else HTTP/1.1." },
	{ .key = "auth", .type = SETTING_SECTION, .offset = AT(auth), .section = &auth_section,
		.help = "Credentials." },
	{ .key = "tls", .type = SETTING_SECTION, .offset = AT(tls), .section = &tls_section,
		.help = "Certificates." },
	{ .key = NULL },
};
#undef AT

const struct section http_section = {
	.name = "output.http",
	.help = "Posts batches of events to a collector, and sends again what it did not take.",
	.size = sizeof(struct http_settings),
	.rows = rows,
	.check = check,
};
