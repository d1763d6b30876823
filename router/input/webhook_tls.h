#pragma once
/*
 * webhook_tls -- certificate, key and client authorities of a webhook, as they stand in their files now.
 *
 * A new connection gets what the files said last. A file that cannot be read, or that does not go with the others, leaves the old
 * in use, is told of once, and tried again at each look: why it could not be read may pass without a change to it.
 * Client certificates are asked for in the handshake and judged after it, so that a client without one gets an answer (403).
 *
 * Threads: tls_certificate and tls_client_is_known by libmicrohttpd's thread, tls_refresh by another: one mutex.
 */
#include <stdbool.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "router/base/err.h"

struct webhook_tls;

/* `client_ca_file` NULL: no client certificate is asked for. */
int tls_open(struct webhook_tls **ret_tls, const char *cert_file, const char *key_file, const char *client_ca_file,
	struct err *);
void tls_close(struct webhook_tls *); /* NULL is fine; after the last connection */
/* Reads the files again if one has changed, or could not be used. False: *err says why the old ones stay, and did not before. */
bool tls_refresh(struct webhook_tls *, struct err *);
/* Makes a session, before its handshake, one of this webhook's. */
void tls_adopt(struct webhook_tls *, gnutls_session_t);
/* Never 0; another one whenever files were read again. */
unsigned tls_version(const struct webhook_tls *);
/* Is the client's certificate of an authority that is trusted, and for clients? After its handshake. */
bool tls_client_is_known(struct webhook_tls *, gnutls_session_t);
/* MHD_OPTION_HTTPS_CERT_CALLBACK. */
int tls_certificate(gnutls_session_t, const gnutls_datum_t *authorities, int n_authorities,
	const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **ret_chain, unsigned *ret_n,
	gnutls_privkey_t *ret_key);
