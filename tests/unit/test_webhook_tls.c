/* Certificates of a webhook: what is refused at the start, whose clients are known, and what happens when files change. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/err.h"
#include "router/input/webhook_tls.h"

/* openssl makes: ca.pem other.pem, server.{pem,key} again.{pem,key} (of ca), client, serveronly, old (of ca), stranger (of other). */
static char folder[] = "/tmp/test_webhook_tls.XXXXXX";

static const char script[] =
	"set -e; cd '%s'; exec 2>openssl.log\n"
	"new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
	"ca() { openssl req -x509 $new -keyout $1.key -out $1.pem -days 2 -subj /CN=$1; }\n"
	"cert() { openssl req $new -keyout $2.key -out $2.csr -subj /CN=$2; printf 'subjectAltName=IP:127.0.0.1\\n'\"$3\" > ext\n"
	"  openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -CAcreateserial -out $2.pem -days $4 -extfile ext; }\n"
	"ca ca; ca other; cert ca server '' 2; cert ca again '' 2; cert ca client 'extendedKeyUsage=clientAuth\\n' 2\n"
	"cert ca serveronly 'extendedKeyUsage=serverAuth\\n' 2; cert other stranger '' 2; cert ca old '' -1\n"
	"echo no certificate > text.pem; : > empty.pem; cat client.pem ca.pem > chain.pem; cp client.key chain.key\n";

static int make_certificates(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	_free_ char *command = mem_textf(script, folder);
	return system(command); /* NOLINT: the folder is our own */
}

static int remove_certificates(void **state)
{
	(void)state;
	_free_ char *command = mem_textf("rm -r '%s'", folder);
	return system(command); /* NOLINT */
}

static char *path(const char *name)
{
	return mem_textf("%s/%s", folder, name);
}

static int open_with(struct webhook_tls **ret, const char *cert, const char *key, const char *ca, struct err *err)
{
	/* The paths belong to the settings, which live longer. */
	static char *kept[3];
	for (size_t i = 0; i < 3; i++)
		free(kept[i]);
	kept[0] = path(cert);
	kept[1] = path(key);
	kept[2] = ca ? path(ca) : NULL;
	*err = (struct err){ 0 };
	return tls_open(ret, kept[0], kept[1], kept[2], err);
}

static void copy(const char *from, const char *to)
{
	_free_ char *command = mem_textf("cd '%s' && cp %s new && mv new %s", folder, from, to);
	assert_int_equal(system(command), 0); /* NOLINT */
}

/* ---- a handshake, both ends of it here ---- */

struct met {
	bool shaken;        /* the handshake came to its end */
	bool known;
	char server[64];    /* the name in the certificate that the client saw */
};

struct side {
	struct webhook_tls *tls;
	gnutls_certificate_credentials_t credentials;
	int fd;
	bool shaken, known;
};

static void *serve(void *context)
{
	struct side *s = context;
	gnutls_session_t session;
	assert_int_equal(gnutls_init(&session, GNUTLS_SERVER), 0);
	(void)gnutls_set_default_priority(session);
	(void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, s->credentials);
	tls_adopt(s->tls, session);
	gnutls_transport_set_int(session, s->fd);
	int r;
	do
		r = gnutls_handshake(session);
	while (r < 0 && !gnutls_error_is_fatal(r));
	s->shaken = r == 0;
	s->known = r == 0 && tls_client_is_known(s->tls, session);
	if (r == 0)
		(void)gnutls_bye(session, GNUTLS_SHUT_WR);
	(void)close(s->fd);
	gnutls_deinit(session);
	return NULL;
}

static void name_of_server(gnutls_session_t session, char *name, size_t room)
{
	unsigned n;
	gnutls_x509_crt_t crt;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &n);
	assert_non_null(raw);
	(void)gnutls_x509_crt_init(&crt);
	(void)gnutls_x509_crt_import(crt, raw, GNUTLS_X509_FMT_DER);
	(void)gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &room);
	gnutls_x509_crt_deinit(crt);
}

static struct met meet(struct webhook_tls *tls, const char *client)
{
	struct met m = { 0 };
	struct side s = { .tls = tls };
	int ends[2];
	pthread_t thread;
	gnutls_session_t session;
	gnutls_certificate_credentials_t own;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	s.fd = ends[0];
	(void)gnutls_certificate_allocate_credentials(&s.credentials);
	gnutls_certificate_set_retrieve_function2(s.credentials, tls_certificate);
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	(void)gnutls_certificate_allocate_credentials(&own);
	if (client) {
		_free_ char *cert = mem_textf("%s/%s.pem", folder, client);
		_free_ char *key = mem_textf("%s/%s.key", folder, client);
		assert_int_equal(gnutls_certificate_set_x509_key_file(own, cert, key, GNUTLS_X509_FMT_PEM), 0);
	}
	(void)gnutls_init(&session, GNUTLS_CLIENT);
	(void)gnutls_set_default_priority(session);
	(void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own);
	gnutls_transport_set_int(session, ends[1]);
	int r;
	do
		r = gnutls_handshake(session);
	while (r < 0 && !gnutls_error_is_fatal(r));
	if (r == 0) {
		char byte;
		name_of_server(session, m.server, sizeof m.server);
		while (gnutls_record_recv(session, &byte, 1) > 0)
			;
	}
	(void)close(ends[1]);
	(void)pthread_join(thread, NULL);
	m.shaken = r == 0 && s.shaken;
	m.known = s.known;
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(own);
	gnutls_certificate_free_credentials(s.credentials);
	return m;
}

/* ---- the tests ---- */

static void test_refused_at_the_start(void **state)
{
	static const struct {
		const char *cert, *key, *ca, *said;
	} cases[] = {
		{ "nowhere.pem", "server.key", NULL, "nowhere.pem: No such file" },
		{ "server.pem", "nowhere.key", NULL, "nowhere.key: No such file" },
		{ "text.pem", "server.key", NULL, "no certificate chain" },
		{ "empty.pem", "server.key", NULL, "no certificate chain" },
		{ "server.pem", "text.pem", NULL, "no private key" },
		{ "server.pem", "again.key", NULL, "is not the key of the certificate" },
		{ "server.pem", "server.key", "text.pem", "no certificate of an authority" },
		{ "server.pem", "server.key", "nowhere.pem", "No such file" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct webhook_tls *tls = NULL;
		struct err err;
		assert_true(open_with(&tls, cases[i].cert, cases[i].key, cases[i].ca, &err) < 0);
		assert_non_null(strstr(err.text, cases[i].said));
		assert_null(tls);
	}
	tls_close(NULL);
}

static void test_clients(void **state)
{
	struct webhook_tls *tls;
	struct err err;
	(void)state;
	assert_int_equal(open_with(&tls, "server.pem", "server.key", "ca.pem", &err), 0);
	assert_true(meet(tls, "client").known);
	assert_true(meet(tls, "chain").known);
	static const char *const others[] = { NULL, "stranger", "serveronly", "old" };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct met m = meet(tls, others[i]);
		assert_true(m.shaken); /* it gets an answer: 403 */
		assert_false(m.known);
	}
	tls_close(tls);
	assert_int_equal(open_with(&tls, "server.pem", "server.key", NULL, &err), 0);
	assert_true(meet(tls, NULL).known); /* nobody asks */
	tls_close(tls);
}

static void test_files_change(void **state)
{
	struct webhook_tls *tls;
	struct err err;
	(void)state;
	copy("server.pem", "live.pem");
	copy("server.key", "live.key");
	copy("ca.pem", "live-ca.pem");
	assert_int_equal(open_with(&tls, "live.pem", "live.key", "live-ca.pem", &err), 0);
	unsigned version = tls_version(tls);
	assert_int_not_equal(version, 0);
	assert_true(tls_refresh(tls, &err));
	assert_int_equal(tls_version(tls), version); /* nothing changed */
	assert_string_equal(meet(tls, "client").server, "server");
	/* between two files of one change: the old pair stays, and is told of once */
	copy("again.pem", "live.pem");
	assert_false(tls_refresh(tls, &err));
	assert_non_null(strstr(err.text, "is not the key"));
	assert_true(tls_refresh(tls, &err));
	assert_string_equal(meet(tls, "client").server, "server");
	copy("again.key", "live.key");
	assert_true(tls_refresh(tls, &err));
	assert_int_not_equal(tls_version(tls), version);
	assert_string_equal(meet(tls, "client").server, "again");
	/* another authority: whom it does not know is out */
	version = tls_version(tls);
	copy("other.pem", "live-ca.pem");
	assert_true(tls_refresh(tls, &err));
	assert_int_not_equal(tls_version(tls), version);
	assert_false(meet(tls, "client").known);
	assert_true(meet(tls, "stranger").known);
	copy("empty.pem", "live-ca.pem");
	assert_false(tls_refresh(tls, &err));
	assert_true(meet(tls, "stranger").known);
	tls_close(tls);
}

/* Why a file could not be read may pass without a change to it. */
static void test_unreadable_for_a_while(void **state)
{
	struct webhook_tls *tls;
	struct err err;
	struct rlimit limit, none;
	(void)state;
	copy("server.pem", "live.pem");
	copy("server.key", "live.key");
	assert_int_equal(open_with(&tls, "live.pem", "live.key", NULL, &err), 0);
	copy("again.pem", "live.pem");
	copy("again.key", "live.key");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bool first = tls_refresh(tls, &err), second = tls_refresh(tls, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(first);
	assert_true(second); /* it was told */
	assert_string_equal(meet(tls, "client").server, "server");
	assert_true(tls_refresh(tls, &err));
	assert_string_equal(meet(tls, "client").server, "again");
	tls_close(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_at_the_start),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_files_change),
		cmocka_unit_test(test_unreadable_for_a_while),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
