/* What `check` says of an output of type kafka, and what becomes of its settings. Nothing is connected to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/output/kafka_settings.h"

#define HEAD "redact: off\nstate_dir: s\ninputs:\n  in: { type: stdin }\noutputs:\n  k:\n    type: kafka\n"

static struct config *load(const char *lines, struct problems *problems)
{
	struct config *c = NULL;
	char *text = mem_textf(HEAD "%s", lines);
	(void)config_parse(&c, "c.yaml", "/nowhere", view_of(text), problems);
	free(text);
	return c;
}

static void each_mistake_is_named(void **state)
{
	static const struct {
		const char *lines, *said;
		bool error;
		unsigned line;
	} cases[] = {
		{ "    topic: x\n", "brokers", true, 0 },
		{ "    brokers: []\n", "brokers", true, 8 },
		{ "    brokers: [embedded, a:1]\n", "stands alone", true, 8 },
		{ "    brokers: a:1\n    topic: a b\n", "not ` `", true, 9 },
		{ "    brokers: a:1\n    topic: \"a.{clas}\"\n", "not `{clas}`", true, 9 },
		{ "    brokers: a:1\n    topic: \"{class}.{cluster}\"\n", "`cluster` is not set", true, 9 },
		{ "    brokers: a:1\n    key: auditid\n", "auditID", true, 9 },
		{ "    brokers: a:1\n    partitions: 0\n", "at least 1", true, 9 },
		{ "    brokers: a:1\n    retention: 400\n", "400d", true, 9 },
		{ "    brokers: a:1\n    retention: { ADMIN: 4d }\n", "ADMIN_ACTIVITY", true, 9 },
		{ "    brokers: a:1\n    topic: x\n    retention: { DATA_READ: 4d }\n", "cannot share", true, 9 },
		{ "    brokers: a:1\n    properties: { compresion.codec: lz4 }\n", "did you mean compression.codec", true, 9 },
		{ "    brokers: a:1\n    properties:\n      batch.size: many\n", "batch.size", true, 10 },
		{ "    brokers: a:1\n    properties: { dr_cb: x }\n", "cannot be set", true, 9 },
		{ "    brokers: a:1\n    properties: { delivery.report.only.error: true }\n", "cannot be set", true, 9 },
		{ "    brokers: a:1\n    properties: { opaque_file: x }\n", "cannot be set", true, 9 },
		{ "    brokers: a:1\n    properties: { transactional.id: x }\n", "cannot be set", true, 9 },
		{ "    brokers: a:1\n    properties: { plugin.library.paths: x }\n", "cannot be set", true, 9 },
		{ "    brokers: a:1\n    properties: { acks: 1 }\n", "enable.idempotence", true, 9 },
		{ "    brokers: a:1\n    properties: { acks: 1, enable.idempotence: false }\n", "can lose", false, 9 },
		{ "    brokers: a:1\n    properties: { enable.idempotence: false }\n", "order", false, 9 },
		{ "    brokers: a:1\n    tls: {}\n", "tls says nothing", true, 9 },
		{ "    brokers: a:1\n    tls: { certificate_file: x }\n", "go together", true, 9 },
		{ "    brokers: a:1\n    sasl: { username: x }\n", "needs a mechanism", true, 9 },
		{ "    brokers: a:1\n    sasl: { mechanism: PLAN }\n", "did you mean PLAIN", true, 9 },
		{ "    brokers: a:1\n    sasl: { mechanism: PLAIN, username: x }\n", "password_file", true, 9 },
		{ "    brokers: a:1\n    sasl: { mechanism: PLAIN, username: x, password: y }\n", "in the clear", false, 9 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems p = { 0 };
		struct config *c = load(cases[i].lines, &p);
		bool found = false;
		for (size_t j = 0; j < p.n; j++)
			found = found || (strstr(p.list[j].err.text, cases[i].said) &&
						 (p.list[j].weight == PROBLEM_ERROR) == cases[i].error &&
						 (!cases[i].line || p.list[j].err.line == cases[i].line));
		if (!found)
			fail_msg("nothing said of:\n%sbut: %s", cases[i].lines, p.n ? p.list[0].err.text : "nothing");
		assert_int_equal(c == NULL, cases[i].error);
		problems_finish(&p);
		config_close(c);
	}
}

#define GROUP_HEAD "redact: off\nstate_dir: s\ninputs:\n  in: { type: kafka, brokers: \"a:1\", topics: [t], properties: { isolation.level: "
#define ONCE "outputs:\n  k: { type: kafka, brokers: \"a:1\", exactly_once: on"

static void exactly_once_needs_what_is_stable_and_room(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ GROUP_HEAD "read_uncommitted } }\n" ONCE " }\n", "needs isolation.level: read_committed" },
		{ GROUP_HEAD "read_committed } }\n" ONCE " }\n", NULL },
		{ GROUP_HEAD "read_committed } }\n" ONCE ", queue: 16MiB }\n", "one half of memory_max" },
		{ GROUP_HEAD "read_committed } }\n" ONCE ", queue: 2MiB }\n", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems p = { 0 };
		struct config *c = NULL;
		(void)config_parse(&c, "c.yaml", "/nowhere", view_of(cases[i].text), &p);
		bool found = false;
		for (size_t j = 0; j < p.n; j++)
			found = found || !cases[i].said || strstr(p.list[j].err.text, cases[i].said);
		if (found != (cases[i].said != NULL))
			fail_msg("case %zu: %s", i, p.n ? p.list[0].err.text : "nothing was said");
		config_close(c);
		problems_finish(&p);
	}
}

static void good_settings_are_silent(void **state)
{
	struct problems p = { 0 };
	(void)state;
	struct config *c = load("    brokers: [a:1, \"b:2,c:3\"]\n    topic: \"{input}.{class}\"\n    key: object\n"
				"    partitions: 3\n    replication: 2\n    retention: { ADMIN_ACTIVITY: 400d, DATA_READ: forever }\n"
				"    properties: { linger.ms: 50, message.max.bytes: 2000000, sasl.password_file: x }\n",
		&p);
	assert_int_equal(p.n, 0);
	assert_non_null(c);
	const struct kafka_settings *k = c->outputs[0].own;
	assert_true(k->retention.ms[ADMIN_ACTIVITY] == 400ll * 86400 * 1000);
	assert_true(k->retention.ms[ADMIN_READ] == KAFKA_RETENTION_BROKER);
	assert_true(k->retention.ms[DATA_READ] == KAFKA_RETENTION_FOREVER);
	assert_int_equal(k->key, KEY_OBJECT);
	config_close(c);
	problems_finish(&p);
}

static void assert_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char found[512];
	size_t room = sizeof found;
	assert_int_equal(rd_kafka_conf_get(conf, name, found, &room), RD_KAFKA_CONF_OK);
	assert_string_equal(found, value);
}

static void properties_win_over_defaults(void **state)
{
	struct problems p = { 0 };
	struct err err = { 0 };
	rd_kafka_conf_t *conf;
	(void)state;
	struct config *c = load("    brokers: [a:1, \"b:2,c:3\"]\n    sasl: { mechanism: PLAIN, username: u, password: secret }\n"
				"    tls: { system_ca: on }\n    properties: { reconnect.backoff.max.ms: 700 }\n",
		&p);
	assert_non_null(c);
	assert_int_equal(kafka_conf_make(&conf, c->outputs[0].own, "/nowhere", &err), 0);
	assert_property(conf, "bootstrap.servers", "a:1,b:2,c:3");
	assert_property(conf, "security.protocol", "sasl_ssl");
	assert_property(conf, "sasl.password", "secret");
	assert_property(conf, "enable.idempotence", "true");
	assert_property(conf, "compression.codec", "lz4");
	assert_property(conf, "reconnect.backoff.max.ms", "700");
	rd_kafka_conf_destroy(conf);
	config_close(c);
	problems_finish(&p);
}

static void a_file_that_is_missing_is_named(void **state)
{
	struct problems p = { 0 };
	struct err err = { 0 };
	rd_kafka_conf_t *conf;
	(void)state;
	struct config *c = load("    brokers: a:1\n    properties: { sasl.password_file: not-there }\n", &p);
	assert_non_null(c);
	assert_true(kafka_conf_make(&conf, c->outputs[0].own, "/nowhere", &err) < 0);
	assert_non_null(strstr(err.text, "/nowhere/not-there"));
	config_close(c);
	problems_finish(&p);
}

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* Whatever way a file of a password or certificate changes, a client made anew would be another one. */
static void changed_files_are_seen(void **state)
{
	char folder[] = "/tmp/kafka-files-XXXXXX", path[64], other[64];
	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/secret", folder);
	(void)snprintf(other, sizeof other, "%s/new", folder);
	struct text_pair pairs[] = { { .key = (char *)"sasl.password_file", .value = (char *)"secret" },
		{ .key = (char *)"ssl.ca.location", .value = path }, { .key = (char *)"client.id", .value = path } };
	const struct kafka_client clients[] = {
		{ .sasl.password_file = path },
		{ .tls.ca_file = path },
		{ .tls.certificate_file = path },
		{ .tls.key_file = path },
		{ .tls.key_password_file = path },
		{ .properties = { &pairs[0], 1 } },
		{ .properties = { &pairs[1], 1 } },
	};
	const struct kafka_client unconcerned = { .properties = { &pairs[2], 1 } };
	uint64_t always = kafka_client_files(&unconcerned, folder);
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		uint64_t missing = kafka_client_files(&clients[i], folder);
		write_text(path, "one");
		uint64_t first = kafka_client_files(&clients[i], folder);
		assert_true(first != missing);
		assert_true(first == kafka_client_files(&clients[i], folder));
		write_text(other, "two");
		assert_int_equal(rename(other, path), 0);
		uint64_t replaced = kafka_client_files(&clients[i], folder);
		assert_true(replaced != first);
		write_text(path, "three");
		assert_true(kafka_client_files(&clients[i], folder) != replaced);
		assert_true(kafka_client_files(&unconcerned, folder) == always);
		assert_int_equal(remove(path), 0);
		assert_true(kafka_client_files(&clients[i], folder) == missing);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void a_round_is_warned_of(void **state)
{
	static const struct {
		const char *topics;
		bool warned;
	} cases[] = { { "a.admin_read", true }, { "[x, a.data_write]", true }, { "^a[.]", true }, { "raw", false }, { "^raw", false } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems p = { 0 };
		struct config *c = NULL;
		char *text = mem_textf("redact: off\nstate_dir: s\ninputs:\n  in:\n    type: kafka\n    brokers: a:1\n    topics: %s\n"
				       "outputs:\n  k: { type: kafka, brokers: \"a:1\", topic: \"a.{class}\" }\n", cases[i].topics);
		assert_int_equal(config_parse(&c, "c.yaml", "/nowhere", view_of(text), &p), 0);
		assert_int_equal(p.n, cases[i].warned);
		if (cases[i].warned) {
			assert_non_null(strstr(p.list[0].err.text, "round"));
			assert_int_equal(p.list[0].err.line, 7);
		}
		problems_finish(&p);
		config_close(c);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named),
		cmocka_unit_test(exactly_once_needs_what_is_stable_and_room),
		cmocka_unit_test(good_settings_are_silent),
		cmocka_unit_test(properties_win_over_defaults),
		cmocka_unit_test(a_file_that_is_missing_is_named),
		cmocka_unit_test(changed_files_are_seen),
		cmocka_unit_test(a_round_is_warned_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
