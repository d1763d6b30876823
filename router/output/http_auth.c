#include "router/output/http_auth.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

void http_auth_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static const char *path_of(const struct http_auth *a)
{
	return a->settings->type == HTTP_AUTH_BASIC ? a->settings->password_file : a->settings->token_file;
}

/* White space at the end is an editor's; anything else that a header cannot hold is the user's mistake. */
static bool tidy(char *secret)
{
	size_t len = strlen(secret);
	while (len && isspace((unsigned char)secret[len - 1]))
		secret[--len] = 0;
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)secret[i]))
			return false;
	}
	return len > 0;
}

static char *read_secret(struct http_auth *a, const char *path)
{
	const struct http_auth_settings *s = a->settings;
	const char *text = s->type == HTTP_AUTH_BASIC ? s->password : s->token;
	char *secret = settings_secret(text, path, &a->problem);
	if (secret && path && !tidy(secret)) {
		err_at(&a->problem, path, 0, 0, "empty, or more than one line");
		http_auth_wipe(secret);
		return NULL;
	}
	return secret;
}

bool http_auth_refresh(struct http_auth *a, bool anyway)
{
	if (a->settings->type == HTTP_AUTH_NONE)
		return false;
	const char *path = path_of(a);
	bool known = a->secret && !a->problem.text[0];
	if (path ? !file_mark_look(&a->file, path) && !anyway : known)
		return false;
	a->problem = (struct err){ 0 };
	char *secret = read_secret(a, path);
	/* A file that is being replaced may be away for a moment: the old secret is as good as none. */
	if (!secret || (a->secret && strcmp(a->secret, secret) == 0)) {
		http_auth_wipe(secret);
		return false;
	}
	http_auth_wipe(a->secret);
	a->secret = secret;
	a->version++;
	return true;
}

void http_auth_init(struct http_auth *a, const struct http_auth_settings *settings)
{
	*a = (struct http_auth){ .settings = settings };
	(void)http_auth_refresh(a, true);
}

void http_auth_finish(struct http_auth *a)
{
	http_auth_wipe(a->secret);
	a->secret = NULL;
}

bool http_auth_ready(const struct http_auth *a)
{
	return a->settings->type == HTTP_AUTH_NONE || a->secret;
}

char *http_auth_header(const struct http_auth *a)
{
	const struct http_auth_settings *s = a->settings;
	bool bearer = s->type == HTTP_AUTH_BEARER;
	if (!a->secret || (!bearer && s->type != HTTP_AUTH_HEADER))
		return NULL;
	const char *scheme = s->scheme ? s->scheme : bearer ? "Bearer" : "";
	return mem_textf("%s: %s%s%s", bearer ? "Authorization" : s->header, scheme, *scheme ? " " : "", a->secret);
}
