#include "router/kafka/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/kafka/embedded.h"

#define EMBEDDED "embedded"

enum { ERROR_ROOM = 400, NAMES_MAX = 512, END_WAIT_S = 3 };
static const uint64_t FNV_START = 0xcbf29ce484222325u, FNV_PRIME = 0x100000001b3u;

static const char *const mechanisms[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", NULL };

static const struct setting sasl_rows[] = {
	{
		.key = "mechanism",
		.type = SETTING_TEXT,
		.offset = offsetof(struct kafka_sasl, mechanism),
		.help = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI. librdkafka before 2.6.1 cannot do SCRAM with Kafka 4.",
	},
	{
		.key = "username",
		.type = SETTING_TEXT,
		.offset = offsetof(struct kafka_sasl, username),
		.help = "The user's name at the brokers.",
	},
	{
		.key = "password",
		.type = SETTING_TEXT,
		.secret = true,
		.offset = offsetof(struct kafka_sasl, password),
		.help = "The password; better from the environment (${NAME}) or as password_file.",
	},
	{
		.key = "password_file",
		.type = SETTING_PATH,
		.reads = true,
		.offset = offsetof(struct kafka_sasl, password_file),
		.help = "A file with the password, less one newline at its end. When brokers refuse what it held, a changed file is taken without a restart.",
	},
	{ .key = NULL },
};

const struct section kafka_sasl_section = {
	.name = "kafka.sasl",
	.help = "Who the router is for the brokers.",
	.size = sizeof(struct kafka_sasl),
	.rows = sasl_rows,
};

static const struct setting tls_rows[] = {
	{
		.key = "system_ca",
		.type = SETTING_BOOL,
		.offset = offsetof(struct kafka_tls, system_ca),
		.help = "TLS with the authorities that this machine trusts.",
	},
	{
		.key = "ca_file",
		.type = SETTING_PATH,
		.reads = true,
		.offset = offsetof(struct kafka_tls, ca_file),
		.help = "TLS with the authorities of this PEM file.",
	},
	{
		.key = "certificate_file",
		.type = SETTING_PATH,
		.reads = true,
		.offset = offsetof(struct kafka_tls, certificate_file),
		.help = "The router's own certificate (PEM), for brokers that ask for one.",
	},
	{
		.key = "key_file",
		.type = SETTING_PATH,
		.reads = true,
		.offset = offsetof(struct kafka_tls, key_file),
		.help = "The private key of certificate_file (PEM).",
	},
	{
		.key = "key_password",
		.type = SETTING_TEXT,
		.secret = true,
		.offset = offsetof(struct kafka_tls, key_password),
		.help = "The password of key_file.",
	},
	{
		.key = "key_password_file",
		.type = SETTING_PATH,
		.reads = true,
		.offset = offsetof(struct kafka_tls, key_password_file),
		.help = "A file with the password of key_file.",
	},
	{ .key = NULL },
};

const struct section kafka_tls_section = {
	.name = "kafka.tls",
	.help = "TLS to the brokers: on as soon as one of these is said.",
	.size = sizeof(struct kafka_tls),
	.rows = tls_rows,
};

/* What the router itself depends on, or what makes librdkafka call or load something. */
static const struct kafka_owned ours[] = {
	{ "enabled_events", "the router itself takes librdkafka's events" },
	{ "log.queue", "the router itself takes librdkafka's log" },
	{ "plugin.library.paths", "no code is loaded into the router" },
	{ "interceptors", "no code is loaded into the router" },
	{ "opaque", "it is a pointer inside the program" },
	{ "default_topic_conf", "it is a pointer inside the program" },
	{ "bootstrap.servers", "it is `brokers:`" },
	{ "metadata.broker.list", "it is `brokers:`" },
	{ NULL, NULL },
};

/* ---- what stands under properties: ---- */

/* No property of librdkafka ends in _file, so NAME_file is always ours: the value of NAME, read from a file. */
static struct view base_name(const struct text_pair *pair)
{
	struct view name = view_of(pair->key);
	if (view_ends(name, VIEW("_file")))
		name.len -= sizeof "_file" - 1;
	return name;
}

/* conf_get does not know what has no value, so it is asked by setting. */
static bool is_known(const char *name)
{
	char text[ERROR_ROOM];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool known = rd_kafka_conf_set(conf, name, "", text, sizeof text) != RD_KAFKA_CONF_UNKNOWN;
	rd_kafka_conf_destroy(conf);
	return known;
}

static bool is_secret(const char *name)
{
	return strstr(name, "password") || strstr(name, "secret") || strstr(name, "pem") || strstr(name, "jaas") ||
	       strstr(name, "oauthbearer.config");
}

static const char *why_ours(const struct kafka_role *role, const char *name)
{
	for (const struct kafka_owned *o = ours; o->name; o++)
		if (strcmp(name, o->name) == 0)
			return o->why;
	for (const struct kafka_owned *o = role->owned; o->name; o++)
		if (strcmp(name, o->name) == 0)
			return o->why;
	return view_ends(view_of(name), VIEW("_cb")) ? "it is a pointer inside the program" : NULL;
}

/* The property that a user most likely meant; "" when there is none near. In `text`. */
static void nearest_property(rd_kafka_conf_t *conf, const char *wrong, char *text, size_t room)
{
	const char *names[NAMES_MAX + 1];
	size_t n = 0, n_pairs;
	const char **pairs = rd_kafka_conf_dump(conf, &n_pairs);
	for (size_t i = 0; i + 1 < n_pairs && n < NAMES_MAX; i += 2)
		names[n++] = pairs[i];
	names[n] = NULL;
	const char *near = nearest_name(wrong, names);
	(void)snprintf(text, room, near ? "; did you mean %s?" : "", near);
	rd_kafka_conf_dump_free(pairs, n_pairs);
}

static void check_pair(struct settings_reader *reader, rd_kafka_conf_t *conf, const struct kafka_role *role,
	const struct text_pair *pair)
{
	char text[ERROR_ROOM];
	struct view base = base_name(pair);
	_free_ char *name = mem_text(base);
	const char *why = why_ours(role, pair->key) ? why_ours(role, pair->key) : why_ours(role, name);
	if (why) {
		problem_at(reader->problems, PROBLEM_ERROR, reader->file, pair->line, pair->column,
			"property %s cannot be set: %s", pair->key, why);
		return;
	}
	if (base.len < strlen(pair->key) && is_known(name))
		return;
	rd_kafka_conf_res_t r = rd_kafka_conf_set(conf, pair->key, pair->value, text, sizeof text);
	if (r == RD_KAFKA_CONF_UNKNOWN) {
		char near[ERROR_ROOM];
		nearest_property(conf, pair->key, near, sizeof near);
		problem_at(reader->problems, PROBLEM_ERROR, reader->file, pair->line, pair->column,
			"librdkafka %s has no property %s%s", rd_kafka_version_str(), pair->key, near);
	} else if (r != RD_KAFKA_CONF_OK) {
		problem_at(reader->problems, PROBLEM_ERROR, reader->file, pair->line, pair->column, "property %s: %s",
			pair->key, is_secret(name) ? "its value is not acceptable" : text);
	}
}

static void warn_of(struct settings_reader *reader, const struct kafka_role *role, const struct text_pair *pair)
{
	bool all = strcmp(pair->value, "-1") == 0;
	for (const struct kafka_risky *r = role->risky; r->name; r++) {
		if (strcmp(pair->key, r->name) != 0 || strcmp(pair->value, r->good) == 0 ||
			(all && strcmp(r->good, "all") == 0))
			continue;
		problem_at(reader->problems, PROBLEM_WARNING, reader->file, pair->line, pair->column, "%s is %s: %s",
			pair->key, pair->value, r->warning);
	}
}

const char *kafka_property(const struct kafka_client *k, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < k->properties.n; i++)
		if (strcmp(k->properties.list[i].key, name) == 0)
			value = k->properties.list[i].value;
	return value;
}

static void check_properties(struct settings_reader *reader, const struct kafka_client *k, const struct kafka_role *role)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	for (size_t i = 0; i < k->properties.n; i++) {
		check_pair(reader, conf, role, &k->properties.list[i]);
		warn_of(reader, role, &k->properties.list[i]);
	}
	rd_kafka_conf_destroy(conf);
}

/* ---- the configuration ---- */

bool kafka_tls_is_on(const struct kafka_client *k)
{
	const struct kafka_tls *t = &k->tls;
	return t->system_ca || t->ca_file || t->certificate_file || t->key_file;
}

const char *kafka_mechanism(const struct kafka_client *k)
{
	const char *last = kafka_property(k, "sasl.mechanism");
	last = last ? last : kafka_property(k, "sasl.mechanisms");
	return last ? last : k->sasl.mechanism;
}

int kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
	char text[ERROR_ROOM];
	if (!value || rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
		return 0;
	return err_set(err, "property %s: %s", name, is_secret(name) ? "its value is not acceptable" : text);
}

/* librdkafka's own message does not name the file. */
static int set_file(rd_kafka_conf_t *conf, const char *name, const char *path, struct err *err)
{
	if (path && access(path, R_OK) < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	return kafka_conf_set(conf, name, path, err);
}

static int set_secret(rd_kafka_conf_t *conf, const char *name, const char *text, const char *path, struct err *err)
{
	if (!text && !path)
		return 0;
	struct err why = { 0 };
	_free_ char *secret = settings_secret(text, path, &why);
	if (!secret)
		return err_set(err, "%s%s%s", path ? path : "", path ? ": " : "", why.text);
	int r = kafka_conf_set(conf, name, secret, err);
	explicit_bzero(secret, strlen(secret));
	return r;
}

static int set_brokers(rd_kafka_conf_t *conf, const struct kafka_client *k, struct err *err)
{
	struct buf list = { 0 };
	if (kafka_is_embedded(k))
		return kafka_conf_set(conf, "bootstrap.servers", kafka_embedded_brokers(), err);
	for (size_t i = 0; i < k->brokers.n; i++) {
		if (i)
			buf_add_byte(&list, ',');
		buf_add_view(&list, k->brokers.list[i]);
	}
	int r = kafka_conf_set(conf, "bootstrap.servers", buf_text(&list), err);
	buf_finish(&list);
	return r;
}

static int set_security(rd_kafka_conf_t *conf, const struct kafka_client *k, struct err *err)
{
	const struct kafka_sasl *s = &k->sasl;
	const struct kafka_tls *t = &k->tls;
	bool tls = kafka_tls_is_on(k);
	const char *protocol = s->mechanism ? (tls ? "sasl_ssl" : "sasl_plaintext") : (tls ? "ssl" : NULL);
	int r = kafka_conf_set(conf, "security.protocol", protocol, err);
	r = r ? r : kafka_conf_set(conf, "sasl.mechanism", s->mechanism, err);
	r = r ? r : kafka_conf_set(conf, "sasl.username", s->username, err);
	r = r ? r : set_secret(conf, "sasl.password", s->password, s->password_file, err);
	r = r ? r : set_file(conf, "ssl.ca.location", t->ca_file, err);
	r = r ? r : set_file(conf, "ssl.certificate.location", t->certificate_file, err);
	r = r ? r : set_file(conf, "ssl.key.location", t->key_file, err);
	return r ? r : set_secret(conf, "ssl.key.password", t->key_password, t->key_password_file, err);
}

static int set_property(rd_kafka_conf_t *conf, const struct text_pair *pair, const char *folder, struct err *err)
{
	struct view base = base_name(pair);
	if (base.len == strlen(pair->key))
		return kafka_conf_set(conf, pair->key, pair->value, err);
	_free_ char *name = mem_text(base);
	_free_ char *path = io_join(folder, pair->value);
	return set_secret(conf, name, NULL, path, err);
}

int kafka_conf_properties(rd_kafka_conf_t *conf, const struct kafka_client *k, const char *folder, struct err *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < k->properties.n; i++)
		r = set_property(conf, &k->properties.list[i], folder, err);
	return r;
}

/* FNV-1a over what changes when a file does. */
static uint64_t add_file(uint64_t sum, const char *path)
{
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return sum * FNV_PRIME;
	const uint64_t marks[] = { (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
		(uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec };
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		sum = (sum ^ marks[i]) * FNV_PRIME;
	return sum;
}

uint64_t kafka_client_files(const struct kafka_client *k, const char *folder)
{
	const char *const own[] = { k->sasl.password_file, k->tls.ca_file, k->tls.certificate_file, k->tls.key_file,
		k->tls.key_password_file };
	uint64_t sum = FNV_START;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		sum = add_file(sum, own[i]);
	for (size_t i = 0; i < k->properties.n; i++) {
		const struct text_pair *pair = &k->properties.list[i];
		bool secret = base_name(pair).len < strlen(pair->key);
		_free_ char *path = io_join(folder, pair->value);
		if (secret)
			sum = add_file(sum, path);
		else if (view_ends(view_of(pair->key), VIEW(".location")))
			sum = add_file(sum, pair->value);
	}
	return sum;
}

int kafka_client_conf(rd_kafka_conf_t **ret_conf, const struct kafka_client *k, const struct kafka_role *role, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int r = 0;
	for (const struct kafka_default *d = role->defaults; r == 0 && d->name; d++)
		r = kafka_conf_set(conf, d->name, d->value, err);
	r = r ? r : set_brokers(conf, k, err);
	r = r ? r : set_security(conf, k, err);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret_conf = conf;
	return 0;
}

/* ---- its end ---- */

static void *destroy(void *rk)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

void kafka_client_end(rd_kafka_t *rk)
{
	pthread_t thread;
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_WAIT_S;
	if (pthread_create(&thread, NULL, destroy, rk) != 0)
		(void)destroy(rk);
	else if (pthread_timedjoin_np(thread, NULL, &until) != 0)
		(void)pthread_detach(thread);
}

/* ---- checks ---- */

bool kafka_is_embedded(const struct kafka_client *k)
{
	return k->brokers.n == 1 && view_eq(k->brokers.list[0], VIEW(EMBEDDED));
}

bool kafka_scram_is_old(const struct kafka_client *k)
{
	const char *mechanism = kafka_mechanism(k);
	return mechanism && strncmp(mechanism, "SCRAM", 5) == 0 && rd_kafka_version() < 0x020601ff;
}

static void check_brokers(struct settings_reader *reader, const struct node *at, const struct kafka_client *k)
{
	if (k->brokers.n == 0)
		settings_problem(reader, at, "brokers needs at least one HOST:PORT");
	for (size_t i = 0; i < k->brokers.n; i++) {
		struct view broker = k->brokers.list[i];
		if (broker.len == 0)
			settings_problem(reader, at, "a broker is HOST:PORT, not empty");
		else if (k->brokers.n > 1 && view_eq(broker, VIEW(EMBEDDED)))
			settings_problem(reader, at, "`embedded` stands alone: it is no broker among others");
	}
}

static void check_sasl(struct settings_reader *reader, const struct node *map, const struct kafka_client *k)
{
	const struct node *at = tree_get(map, "sasl");
	const struct kafka_sasl *s = &k->sasl;
	if (!at)
		return;
	bool known = false;
	for (const char *const *m = mechanisms; s->mechanism && *m; m++)
		known = known || strcmp(*m, s->mechanism) == 0;
	if (!s->mechanism)
		settings_problem(reader, at, "sasl needs a mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, ...");
	else if (!known)
		settings_problem(reader, at, "mechanism %s is not known; did you mean %s?", s->mechanism,
			nearest_name(s->mechanism, mechanisms) ? nearest_name(s->mechanism, mechanisms)
							       : "SCRAM-SHA-512");
	else if (strcmp(s->mechanism, "PLAIN") == 0 || strncmp(s->mechanism, "SCRAM", 5) == 0) {
		if (!s->username || (!s->password && !s->password_file))
			settings_problem(reader, at, "%s needs username, and password or password_file", s->mechanism);
	}
	if (s->password && s->password_file)
		settings_problem(reader, at, "password and password_file are two answers to one question");
	if (s->mechanism && strcmp(s->mechanism, "PLAIN") == 0 && !kafka_tls_is_on(k))
		settings_warning(reader, at, "PLAIN without tls sends the password in the clear");
}

static void check_tls(struct settings_reader *reader, const struct node *map, const struct kafka_client *k)
{
	const struct node *at = tree_get(map, "tls");
	const struct kafka_tls *t = &k->tls;
	if (!at)
		return;
	if (!kafka_tls_is_on(k))
		settings_problem(reader, at, "tls says nothing: ca_file, or system_ca: on");
	if (!t->certificate_file != !t->key_file)
		settings_problem(reader, at, "certificate_file and key_file go together");
	if (t->key_password && t->key_password_file)
		settings_problem(reader, at, "key_password and key_password_file are two answers to one question");
}

void kafka_client_check(struct settings_reader *reader, const struct node *map, const struct kafka_client *k,
	const struct kafka_role *role)
{
	const struct node *brokers = tree_get(map, "brokers");
	check_brokers(reader, brokers ? brokers : map, k);
	check_sasl(reader, map, k);
	check_tls(reader, map, k);
	check_properties(reader, k, role);
	if (kafka_scram_is_old(k))
		settings_warning(reader, map,
			"Kafka 4 and newer refuse SCRAM from this librdkafka (%s; fixed in 2.6.1): PLAIN over tls or a client "
			"certificate work",
			rd_kafka_version_str());
}
