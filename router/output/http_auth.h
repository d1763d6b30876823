#pragma once
/*
 * http_auth -- the secret of an HTTP output, as it stands in its file now.
 *
 * Owner:   the secret is wiped when it is replaced. It never stands in `problem`.
 * Threads: one owner.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/file_mark.h"
#include "router/output/http_settings.h"

struct http_auth {
	const struct http_auth_settings *settings;
	char *secret;      /* password or token; NULL: none is needed, or it cannot be read (problem) */
	unsigned version;  /* grows with each new secret */
	struct err problem; /* .text is "" when all is well */
	struct file_mark file; /* as it was when it was read */
};

void http_auth_init(struct http_auth *, const struct http_auth_settings *);
void http_auth_finish(struct http_auth *);

/* Reads the file if it has changed, or `anyway`. True: the secret is another one than before. */
bool http_auth_refresh(struct http_auth *, bool anyway);
/* May requests be sent: there is nothing to say, or it is known. */
bool http_auth_ready(const struct http_auth *);
/* The header with the token, "Authorization: Bearer ..."; NULL: none (type none and basic). The caller frees and wipes. */
char *http_auth_header(const struct http_auth *);
/* Wipes and frees; NULL is fine. */
void http_auth_wipe(char *secret);
