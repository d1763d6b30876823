/*
 * Tokens by their looks: JSON Web Tokens and what stands behind "Bearer", anywhere in an event, and query parameters.
 * They are masked inside the text that they stand in. No letter of them is ever escaped in JSON, nor by percent signs.
 */
#include "router/policy/redact_private.h"
#include "router/policy/redact_scan.h"
#include "router/policy/redact_trigger.h"

enum {
	JWT_HEADER_MIN = 10,  /* "eyJhbGciOi" alone */
	BEARER_TOKEN_MIN = 8, /* shorter ones are words */
	PARAMETER_NAME_MAX = 32,
};

static bool is_base64url(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static const char *skip_base64url(const char *at, const char *end)
{
	while (at < end && is_base64url(*at))
		at++;
	return at;
}

/* ---- JSON Web Tokens (RFC 7519): header.payload.signature, the header the base64 of {" ---- */

/*
 * The end of the token that begins at `at` ("eyJ"), or NULL: it is none. `*ret_seen`: how far was looked. Cut tokens count as
 * long as a payload has begun; encrypted ones have five parts.
 */
static const char *jwt_end(const char *at, const char *end, const char **ret_seen)
{
	const char *stop = skip_base64url(at, end);
	*ret_seen = stop;
	if (stop - at < JWT_HEADER_MIN || stop == end || *stop != '.')
		return NULL;
	const char *payload = stop + 1;
	unsigned parts = 1;
	while (stop < end && *stop == '.') {
		const char *next = skip_base64url(stop + 1, end);
		if (next == stop + 1 && parts >= 2)
			break; /* the full stop of a sentence; only the key of an encrypted one may be empty */
		stop = next;
		parts++;
	}
	*ret_seen = stop;
	bool payload_begins = end - payload > 3 && memcmp(payload, "eyJ", 3) == 0;
	return parts >= 3 || payload_begins ? stop : NULL;
}

static void find_jwts(struct redact_sink *sink, struct view bytes)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len, *seen;
	while ((at = scan_pair(at, end, 'e', 2, 'J', 0))) {
		if (at[1] != 'y') {
			at++;
			continue;
		}
		const char *stop = jwt_end(at, end, &seen);
		if (stop)
			redact_sink_part(sink, (struct view){ at, (size_t)(stop - at) }, REDACT_TOKENS);
		at = stop ? stop : seen;
	}
}

/* ---- Bearer TOKEN (RFC 6750) ---- */

static bool is_token_byte(char c)
{
	return is_base64url(c) || c == '.' || c == '~' || c == '+' || c == '/' || c == '=' || c == ':';
}

/* White space as it may be written: plain, in a URL, in JSON. Returns its bytes. */
static size_t space_at(const char *at, const char *end)
{
	size_t left = (size_t)(end - at);
	if (!left)
		return 0;
	if (*at == ' ' || *at == '+' || *at == ':' || *at == '=')
		return 1;
	if (left >= 3 && at[0] == '%' && (memcmp(at, "%20", 3) == 0 || memcmp(at, "%3A", 3) == 0 || memcmp(at, "%3D", 3) == 0))
		return 3;
	return left >= 2 && at[0] == '\\' && at[1] == 't' ? 2 : 0;
}

static bool folded_is(const char *at, const char *lower, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((at[i] | 0x20) != lower[i])
			return false;
	return true;
}

/* What people write behind the word when they talk of bearers. */
static bool is_prose(struct view token)
{
	static const struct view words[] = { { "authentication", 14 }, { "authorization", 13 }, { "credentials", 11 } };
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (token.len == words[i].len && folded_is(token.ptr, words[i].ptr, words[i].len))
			return true;
	return false;
}

/* `at` is behind "bearer". Returns where to go on. */
static const char *take_bearer(struct redact_sink *sink, const char *at, const char *end)
{
	const char *token = at;
	for (size_t n; (n = space_at(token, end));)
		token += n;
	if (token == at)
		return at;
	const char *stop = token;
	while (stop < end && is_token_byte(*stop))
		stop++;
	struct view found = { token, (size_t)(stop - token) };
	if (found.len < BEARER_TOKEN_MIN || is_prose(found))
		return token;
	const char *seen;
	bool is_jwt = found.len > JWT_HEADER_MIN && memcmp(token, "eyJ", 3) == 0 && jwt_end(token, end, &seen) == stop;
	if (!is_jwt) /* else it is found as such */
		redact_sink_part(sink, found, REDACT_TOKENS);
	return stop;
}

static void find_bearers(struct redact_sink *sink, struct view bytes)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	while ((at = scan_pair(at, end, 'b', 5, 'r', 0x20)))
		at = folded_is(at, "bearer", 6) ? take_bearer(sink, at + 6, end) : at + 1;
}

void redact_tokens(struct redact_sink *sink, struct view bytes)
{
	if (!redact_trigger(bytes))
		return;
	find_jwts(sink, bytes);
	find_bearers(sink, bytes);
}

/* ---- query parameters ---- */

static const struct view secret_names[] = {
	{ "access_token", 12 },
	{ "accesstoken", 11 },
	{ "apikey", 6 },
	{ "api_key", 7 },
	{ "api-key", 7 },
	{ "assertion", 9 },
	{ "auth", 4 },
	{ "auth_token", 10 },
	{ "authorization", 13 },
	{ "bearer", 6 },
	{ "bearer_token", 12 },
	{ "client_secret", 13 },
	{ "credential", 10 },
	{ "credentials", 11 },
	{ "id_token", 8 },
	{ "idtoken", 7 },
	{ "jwt", 3 },
	{ "key", 3 },
	{ "passwd", 6 },
	{ "password", 8 },
	{ "private_key", 11 },
	{ "refresh_token", 13 },
	{ "secret", 6 },
	{ "session_token", 13 },
	{ "sig", 3 },
	{ "signature", 9 },
	{ "token", 5 },
	{ "x-amz-credential", 16 },
	{ "x-amz-security-token", 20 },
	{ "x-amz-signature", 15 },
	{ "x-goog-signature", 16 },
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_secret_name(struct view raw)
{
	char name[PARAMETER_NAME_MAX];
	size_t n = 0;
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.ptr[i];
		if (n == sizeof name)
			return false;
		if (c == '%' && raw.len - i > 2 && hex_digit(raw.ptr[i + 1]) >= 0 && hex_digit(raw.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(raw.ptr[i + 1]) << 4 | hex_digit(raw.ptr[i + 2]));
			i += 2;
		}
		name[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	for (size_t i = 0; n && i < sizeof secret_names / sizeof *secret_names; i++)
		if (secret_names[i].len == n && memcmp(secret_names[i].ptr, name, n) == 0)
			return true;
	return false;
}

#define FOLDED(a, b, c) (((unsigned)(a) | 0x20) << 16 | ((unsigned)(b) | 0x20) << 8 | ((unsigned)(c) | 0x20))

/* Can one of secret_names begin like this? Few parameters of requests do. */
static bool begins_like_secret(struct view parameter)
{
	if (parameter.len < 3)
		return false;
	const unsigned char *at = (const unsigned char *)parameter.ptr;
	if (at[0] == '%' || at[1] == '%' || at[2] == '%')
		return true;
	switch (FOLDED(at[0], at[1], at[2])) {
	case FOLDED('a', 'c', 'c'):
	case FOLDED('a', 'p', 'i'):
	case FOLDED('a', 's', 's'):
	case FOLDED('a', 'u', 't'):
	case FOLDED('b', 'e', 'a'):
	case FOLDED('c', 'l', 'i'):
	case FOLDED('c', 'r', 'e'):
	case FOLDED('i', 'd', '_'):
	case FOLDED('i', 'd', 't'):
	case FOLDED('j', 'w', 't'):
	case FOLDED('k', 'e', 'y'):
	case FOLDED('p', 'a', 's'):
	case FOLDED('p', 'r', 'i'):
	case FOLDED('r', 'e', 'f'):
	case FOLDED('s', 'e', 'c'):
	case FOLDED('s', 'e', 's'):
	case FOLDED('s', 'i', 'g'):
	case FOLDED('t', 'o', 'k'):
	case FOLDED('x', '-', 'a'):
	case FOLDED('x', '-', 'g'):
		return true;
	default:
		return false;
	}
}

/* The next `&`, `;` or `#`, or the end. */
static const char *parameter_end(const char *at, const char *end)
{
	const scan_bytes zero = { 0 }, ampersand = zero + '&', semicolon = zero + ';', hash = zero + '#';
	for (; end - at >= (ptrdiff_t)sizeof zero; at += sizeof zero) {
		scan_bytes x = scan_load(at), hits = (scan_bytes)(x == ampersand) | (scan_bytes)(x == semicolon) |
						     (scan_bytes)(x == hash);
		if (scan_any(hits))
			return at + scan_first(hits);
	}
	while (at < end && *at != '&' && *at != ';' && *at != '#')
		at++;
	return at;
}

/* The next parameter's value that has to go, or false. `*rest` begins behind a `?`, `&` or `;`. */
static bool next_secret(struct view *rest, struct view *ret_value)
{
	while (rest->len) {
		const char *at = rest->ptr, *end = at + rest->len, *stop = parameter_end(at, end);
		struct view parameter = { at, (size_t)(stop - at) };
		*rest = (struct view){ stop < end ? stop + 1 : end, stop < end ? (size_t)(end - stop) - 1 : 0 };
		if (!begins_like_secret(parameter))
			continue;
		const char *equals = memchr(at, '=', parameter.len);
		if (!equals || equals + 1 == stop || !is_secret_name((struct view){ at, (size_t)(equals - at) }))
			continue;
		*ret_value = (struct view){ equals + 1, (size_t)(stop - equals) - 1 };
		return true;
	}
	return false;
}

static struct view query_of(struct view url)
{
	const char *mark = url.len ? memchr(url.ptr, '?', url.len) : NULL;
	return mark ? (struct view){ mark + 1, (size_t)(url.ptr + url.len - mark) - 1 } : (struct view){ 0 };
}

bool redact_url_has_secret(struct view url)
{
	struct view rest = query_of(url), value;
	return next_secret(&rest, &value);
}

void redact_url(struct redact_sink *sink, struct view url)
{
	struct view rest = query_of(url), value;
	while (next_secret(&rest, &value))
		if (!view_eq(value, VIEW(REDACT_MARK)))
			redact_sink_part(sink, value, REDACT_TOKENS);
}

/* ---- URLs in a line that is no JSON ---- */

/*
 * The character at `at`, where JSON has escaped it by \u too, in a text or in a text in a text; `*at` moves behind it. Other
 * backslashes, however many, are one.
 */
static char next_character(const char **at, const char *end)
{
	const char *p = *at;
	while (p < end && *p == '\\')
		p++;
	if (p == *at)
		return *(*at)++;
	*at = p;
	if (end - p < 5 || memcmp(p, "u00", 3) || hex_digit(p[3]) < 0 || hex_digit(p[4]) < 0)
		return '\\';
	*at = p + 5;
	return (char)(hex_digit(p[3]) << 4 | hex_digit(p[4]));
}

static bool begins_parameter(char c)
{
	return c == '?' || c == '&' || c == ';' || c == '#';
}

/* Where the value that begins at `at` ends: before the next parameter, or where a URL cannot go on. */
static const char *loose_value_end(const char *at, const char *end)
{
	for (const char *next = at; at < end; at = next) {
		char c = next_character(&next, end);
		if (c == '&' || c == ';' || c == '#' || c == '"' || (uint8_t)c <= ' ')
			break;
	}
	return at;
}

/* `at` is behind what may begin a parameter. Returns where to go on. */
static const char *take_loose_parameter(struct redact_sink *sink, const char *at, const char *end)
{
	char name[3 * PARAMETER_NAME_MAX];
	size_t n = 0;
	while (at < end && n < sizeof name) {
		const char *next = at;
		char c = next_character(&next, end);
		if (c == '=') {
			const char *stop = loose_value_end(next, end);
			struct view value = { next, (size_t)(stop - next) };
			if (value.len && is_secret_name((struct view){ name, n }) && !view_eq(value, VIEW(REDACT_MARK)))
				redact_sink_part(sink, value, REDACT_TOKENS);
			return stop;
		}
		if (begins_parameter(c) || c == '"')
			break;
		name[n++] = c;
		at = next;
	}
	return at;
}

void redact_loose_urls(struct redact_sink *sink, struct view bytes)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
	while (at < end)
		if (begins_parameter(next_character(&at, end)))
			at = take_loose_parameter(sink, at, end);
}
