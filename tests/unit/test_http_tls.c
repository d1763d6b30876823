/* The HTTP output over TLS, against tests/integration/collector.py with certificates that openssl makes. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "tests/unit/http_rig.h"

extern char **environ;

enum { PATH_ROOM = 256, STORED_MAX = 1 << 20 };

/* Folder with: ca.pem server.pem server.key client.pem client.key, and other.pem, an authority of nobody. */
static char folder[] = "/tmp/test_http_tls.XXXXXX";

static const char script[] =
	"set -e; cd \"$1\"; exec 2>openssl.log\n"
	"ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.pem -days 2 -subj /CN=$1; }\n"
	"cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1\n"
	"  printf 'subjectAltName=IP:127.0.0.1\\n' > ext; openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial\\\n"
	"  -out $1.pem -days 2 -extfile ext; }\n"
	"ca ca; ca other; cert server; cert client\n";

static pid_t start(char *const argv[], int *ret_stdout)
{
	pid_t pid;
	int ends[2];
	posix_spawn_file_actions_t actions;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	int e = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	if (ret_stdout)
		*ret_stdout = ends[0];
	else
		(void)close(ends[0]);
	return e ? -1 : pid;
}

static int make_certificates(void **state)
{
	int status;
	(void)state;
	assert_non_null(mkdtemp(folder));
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, (char *)"sh", folder, NULL };
	pid_t pid = start(argv, NULL);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static int remove_certificates(void **state)
{
	int status;
	(void)state;
	char *argv[] = { (char *)"rm", (char *)"-rf", folder, NULL };
	pid_t pid = start(argv, NULL);
	return pid < 0 || waitpid(pid, &status, 0) != pid;
}

static char *in_folder(const char *name)
{
	return mem_textf("%s/%s", folder, name);
}

struct collector {
	pid_t pid;
	char url[PATH_ROOM];
	char *stored; /* file with what came to /in */
};

static void collector_start(struct collector *c, bool mutual, const char *name)
{
	const char *source = getenv("AUDIT_ROUTER_SOURCE");
	int out;
	char *texts[] = { mem_textf("%s/tests/integration/collector.py", source ? source : "."), in_folder("server.pem"),
		in_folder("server.key"), in_folder("ca.pem"), in_folder(name) };
	char *argv[] = { (char *)"python3", texts[0], (char *)"--certificate", texts[1], (char *)"--key", texts[2],
		(char *)"--dir", texts[4], mutual ? (char *)"--client-ca" : NULL, texts[3], NULL };
	c->pid = start(argv, &out);
	assert_true(c->pid > 0);
	size_t n = 0;
	while (n < sizeof c->url && io_read(out, c->url + n, 1) == 1 && c->url[n] != '\n')
		n++;
	assert_true(n > 0 && n < sizeof c->url);
	c->url[n] = 0;
	(void)close(out);
	c->stored = mem_textf("%s/in.ndjson", texts[4]);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		free(texts[i]);
}

static void collector_stop(struct collector *c)
{
	int status;
	(void)kill(c->pid, SIGTERM);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	free(c->stored);
}

static void assert_stored(const struct collector *c, struct rig *r)
{
	struct buf stored = { 0 };
	assert_int_equal(io_read_whole(c->stored, STORED_MAX, &stored), 0);
	assert_int_equal(stored.len, r->sent.len);
	assert_memory_equal(stored.ptr, r->sent.ptr, stored.len);
	buf_finish(&stored);
}

static void finish_paths(struct rig *r)
{
	free(r->settings.tls.ca_file);
	free(r->settings.tls.certificate_file);
	free(r->settings.tls.key_file);
}

static void a_known_authority_is_taken(void **state)
{
	(void)state;
	struct rig r;
	struct collector c;
	collector_start(&c, false, "plain");
	rig_init(&r);
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.ca_file = in_folder("ca.pem");
	rig_start(&r);
	rig_push_events(&r, 1500, 100);
	rig_drain(&r);
	assert_stored(&c, &r);
	finish_paths(&r);
	rig_end(&r);
	collector_stop(&c);
}

/* Nothing is sent to a stranger; once the right authority stands in the file, all goes. */
static void a_strange_authority_is_told_and_mended(void **state)
{
	(void)state;
	struct rig r;
	struct collector c;
	struct buf pem = { 0 };
	collector_start(&c, false, "strange");
	rig_init(&r);
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.ca_file = in_folder("mended.pem");
	_free_ char *other = in_folder("other.pem"), *right = in_folder("ca.pem");
	assert_int_equal(io_read_whole(other, STORED_MAX, &pem), 0);
	assert_int_equal(io_replace(r.settings.tls.ca_file, buf_view(&pem), 0600), 0);
	rig_start(&r);
	rig_push_events(&r, 10, 100);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "certificate");
	rig_wait_for_trouble(&r, "is tls.ca_file right?");
	assert_int_not_equal(access(c.stored, F_OK), 0);
	buf_clear(&pem);
	assert_int_equal(io_read_whole(right, STORED_MAX, &pem), 0);
	assert_int_equal(io_replace(r.settings.tls.ca_file, buf_view(&pem), 0600), 0);
	rig_drain(&r);
	assert_stored(&c, &r);
	buf_finish(&pem);
	finish_paths(&r);
	rig_end(&r);
	collector_stop(&c);
}

static void a_missing_authority_is_told(void **state)
{
	(void)state;
	struct rig r;
	struct collector c;
	rig_init(&r);
	collector_start(&c, false, "missing");
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.ca_file = in_folder("nonesuch.pem");
	rig_start(&r);
	rig_push_events(&r, 10, 100);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "nonesuch.pem");
	finish_paths(&r);
	rig_end(&r);
	collector_stop(&c);
}

static void verify_off_takes_anybody(void **state)
{
	(void)state;
	struct rig r;
	struct collector c;
	collector_start(&c, false, "anybody");
	rig_init(&r);
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.verify = false;
	rig_start(&r);
	rig_push_events(&r, 10, 100);
	rig_drain(&r);
	assert_stored(&c, &r);
	rig_end(&r);
	collector_stop(&c);
}

static void a_client_certificate_opens_the_door(void **state)
{
	(void)state;
	struct rig r;
	struct collector c;
	collector_start(&c, true, "mutual");

	rig_init(&r);
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.ca_file = in_folder("ca.pem");
	rig_start(&r);
	rig_push_events(&r, 10, 100);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "next try in");
	assert_int_not_equal(access(c.stored, F_OK), 0);
	finish_paths(&r);
	rig_end(&r);

	rig_init(&r);
	r.settings.url = mem_textf("%s/in", c.url);
	r.settings.tls.ca_file = in_folder("ca.pem");
	r.settings.tls.certificate_file = in_folder("client.pem");
	r.settings.tls.key_file = in_folder("client.key");
	rig_start(&r);
	rig_push_events(&r, 10, 100);
	rig_drain(&r);
	assert_stored(&c, &r);
	finish_paths(&r);
	rig_end(&r);
	collector_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_authority_is_taken),
		cmocka_unit_test(a_strange_authority_is_told_and_mended),
		cmocka_unit_test(a_missing_authority_is_told),
		cmocka_unit_test(verify_off_takes_anybody),
		cmocka_unit_test(a_client_certificate_opens_the_door),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
