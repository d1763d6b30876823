/*
 * GnuTLS borrows chain and key for the length of a handshake, so those that were replaced are kept for a while (OLD_MS, far
 * longer than a handshake may take) before they are freed.
 */
#include "router/input/webhook_tls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/x509.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/file_mark.h"
#include "router/base/io.h"

enum { CHAIN_MAX = 16, FILE_BYTES_MAX = 1024 * 1024, CLIENT_CHAIN_MAX = 16 };
static const int64_t old_ms = 10ll * 60 * 1000;

struct identity {
	struct identity *next; /* an older one */
	int64_t replaced_ms;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

struct webhook_tls {
	pthread_mutex_t mutex;
	const char *paths[3]; /* certificate, key, client authorities (NULL: none) */
	struct file_mark marks[3];
	struct err problem; /* of the files as they are; .text is "" when they are in use */
	struct identity *identity;
	gnutls_x509_trust_list_t trust;
	_Atomic unsigned version;
};

static void identity_free(struct identity *i)
{
	for (unsigned n = 0; n < i->n; n++)
		gnutls_pcert_deinit(&i->chain[n]);
	if (i->key)
		gnutls_privkey_deinit(i->key);
	free(i);
}

static int read_file(const char *path, struct buf *out, struct err *err)
{
	int r = io_read_whole(path, FILE_BYTES_MAX, out);
	return r < 0 ? err_set(err, "%s: %s", path, strerror(-r)) : 0;
}

static gnutls_datum_t datum(const struct buf *b)
{
	return (gnutls_datum_t){ (unsigned char *)b->ptr, (unsigned)b->len };
}

static int fill_identity(struct identity *i, const struct webhook_tls *t, const struct buf *cert, const struct buf *key,
	struct err *err)
{
	gnutls_datum_t certs = datum(cert), keys = datum(key);
	unsigned n = CHAIN_MAX;
	int r = gnutls_pcert_list_import_x509_raw(i->chain, &n, &certs, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return err_set(err, "%s: no certificate chain: %s", t->paths[0], gnutls_strerror(r));
	i->n = n;
	r = gnutls_privkey_init(&i->key);
	if (r == 0)
		r = gnutls_privkey_import_x509_raw(i->key, &keys, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r < 0)
		return err_set(err, "%s: no private key: %s", t->paths[1], gnutls_strerror(r));
	gnutls_pubkey_t public = NULL;
	unsigned char of_key[64], of_cert[64];
	size_t key_len = sizeof of_key, cert_len = sizeof of_cert;
	r = gnutls_pubkey_init(&public);
	if (r == 0)
		r = gnutls_pubkey_import_privkey(public, i->key, 0, 0);
	if (r == 0)
		r = gnutls_pubkey_get_key_id(public, 0, of_key, &key_len);
	if (r == 0)
		r = gnutls_pubkey_get_key_id(i->chain[0].pubkey, 0, of_cert, &cert_len);
	gnutls_pubkey_deinit(public);
	if (r == 0 && (key_len != cert_len || memcmp(of_key, of_cert, key_len) != 0))
		return err_set(err, "%s is not the key of the certificate in %s", t->paths[1], t->paths[0]);
	return r < 0 ? err_set(err, "%s: %s", t->paths[1], gnutls_strerror(r)) : 0;
}

static int load_identity(const struct webhook_tls *t, struct identity **ret, struct err *err)
{
	struct buf cert = { 0 }, key = { 0 };
	struct identity *i = mem_zero(1, sizeof *i);
	int r = read_file(t->paths[0], &cert, err);
	if (r == 0)
		r = read_file(t->paths[1], &key, err);
	if (r == 0)
		r = fill_identity(i, t, &cert, &key, err);
	if (key.ptr)
		explicit_bzero(key.ptr, key.room);
	buf_finish(&cert);
	buf_finish(&key);
	if (r < 0)
		identity_free(i);
	else
		*ret = i;
	return r;
}

static int load_trust(const struct webhook_tls *t, gnutls_x509_trust_list_t *ret, struct err *err)
{
	struct buf pem = { 0 };
	*ret = NULL;
	if (!t->paths[2])
		return 0;
	int r = read_file(t->paths[2], &pem, err);
	if (r == 0) {
		gnutls_datum_t authorities = datum(&pem);
		r = gnutls_x509_trust_list_init(ret, 0);
		int n = r < 0 ? r : gnutls_x509_trust_list_add_trust_mem(*ret, &authorities, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
		if (n <= 0) {
			r = err_set(err, "%s: no certificate of an authority", t->paths[2]);
			if (*ret)
				gnutls_x509_trust_list_deinit(*ret, 1);
			*ret = NULL;
		}
	}
	buf_finish(&pem);
	return r;
}

/* Puts new ones in place of the old. */
static int load(struct webhook_tls *t, struct err *err)
{
	struct identity *identity;
	gnutls_x509_trust_list_t trust;
	int r = load_identity(t, &identity, err);
	if (r < 0)
		return r;
	r = load_trust(t, &trust, err);
	if (r < 0) {
		identity_free(identity);
		return r;
	}
	int64_t now = clock_steady_ms();
	(void)pthread_mutex_lock(&t->mutex);
	identity->next = t->identity;
	if (t->identity)
		t->identity->replaced_ms = now;
	t->identity = identity;
	for (struct identity **link = &identity->next; *link;) {
		struct identity *old = *link;
		if (now - old->replaced_ms < old_ms) {
			link = &old->next;
			continue;
		}
		*link = old->next;
		identity_free(old);
	}
	gnutls_x509_trust_list_t before = t->trust;
	t->trust = trust;
	t->version += t->version == UINT_MAX ? 2 : 1;
	(void)pthread_mutex_unlock(&t->mutex);
	if (before)
		gnutls_x509_trust_list_deinit(before, 1);
	return 0;
}

int tls_open(struct webhook_tls **ret_tls, const char *cert_file, const char *key_file, const char *client_ca_file,
	struct err *err)
{
	struct webhook_tls *t = mem_zero(1, sizeof *t);
	(void)pthread_mutex_init(&t->mutex, NULL);
	t->paths[0] = cert_file;
	t->paths[1] = key_file;
	t->paths[2] = client_ca_file;
	for (size_t i = 0; i < 3; i++)
		(void)file_mark_look(&t->marks[i], t->paths[i]);
	int r = load(t, err);
	if (r < 0) {
		tls_close(t);
		return r;
	}
	*ret_tls = t;
	return 0;
}

void tls_close(struct webhook_tls *t)
{
	if (!t)
		return;
	while (t->identity) {
		struct identity *next = t->identity->next;
		identity_free(t->identity);
		t->identity = next;
	}
	if (t->trust)
		gnutls_x509_trust_list_deinit(t->trust, 1);
	(void)pthread_mutex_destroy(&t->mutex);
	free(t);
}

bool tls_refresh(struct webhook_tls *t, struct err *err)
{
	bool again = t->problem.text[0];
	struct err problem = { 0 };
	for (size_t i = 0; i < 3; i++)
		again |= file_mark_look(&t->marks[i], t->paths[i]);
	if (again)
		(void)load(t, &problem);
	bool told = strcmp(problem.text, t->problem.text) == 0;
	*err = t->problem = problem;
	return told || !problem.text[0];
}

unsigned tls_version(const struct webhook_tls *t)
{
	return t->version;
}

void tls_adopt(struct webhook_tls *t, gnutls_session_t session)
{
	gnutls_session_set_ptr(session, t);
	if (!t->paths[2])
		return;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	/* The names of authorities would be those of the start: Go's client offers no certificate that fits none of them. */
	gnutls_certificate_send_x509_rdn_sequence(session, 1);
}

int tls_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
	const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **ret_chain, unsigned *ret_n,
	gnutls_privkey_t *ret_key)
{
	struct webhook_tls *t = gnutls_session_get_ptr(session);
	(void)authorities, (void)n_authorities, (void)algorithms, (void)n_algorithms;
	(void)pthread_mutex_lock(&t->mutex);
	*ret_chain = t->identity->chain;
	*ret_n = t->identity->n;
	*ret_key = t->identity->key;
	(void)pthread_mutex_unlock(&t->mutex);
	return 0;
}

static bool verify(struct webhook_tls *t, gnutls_x509_crt_t *certs, unsigned n)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	unsigned status = ~0u;
	(void)pthread_mutex_lock(&t->mutex);
	int r = gnutls_x509_trust_list_verify_crt2(t->trust, certs, n, &purpose, 1, 0, &status, NULL);
	(void)pthread_mutex_unlock(&t->mutex);
	return r == 0 && status == 0;
}

bool tls_client_is_known(struct webhook_tls *t, gnutls_session_t session)
{
	if (!t->paths[2])
		return true;
	gnutls_x509_crt_t certs[CLIENT_CHAIN_MAX];
	unsigned n = 0, sent = 0;
	bool good = gnutls_certificate_type_get(session) == GNUTLS_CRT_X509;
	const gnutls_datum_t *raw = good ? gnutls_certificate_get_peers(session, &sent) : NULL;
	for (; raw && good && n < sent && n < CLIENT_CHAIN_MAX; n++) {
		good = gnutls_x509_crt_init(&certs[n]) == 0;
		if (!good)
			break;
		good = gnutls_x509_crt_import(certs[n], &raw[n], GNUTLS_X509_FMT_DER) == 0;
	}
	good = good && n > 0 && verify(t, certs, n);
	while (n > 0)
		gnutls_x509_crt_deinit(certs[--n]);
	return good;
}
