#include "router/output/kafka_properties.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"

enum { ERROR_ROOM = 400, NAMES_MAX = 512 };

const char *const kafka_compressions[] = { "none", "lz4", "zstd", "snappy", "gzip", NULL };

/* What librdkafka would do otherwise, and why not so. */
static const struct {
	const char *name, *value;
} defaults[] = {
	{ "client.id", "audit-router" },
	{ "acks", "all" },
	{ "enable.idempotence", "true" },
	{ "message.timeout.ms", "0" },            /* never give up: no event is lost */
	{ "linger.ms", "20" },
	{ "message.copy.max.bytes", "500" },      /* the compressor reads larger ones where they are */
	{ "message.max.bytes", "100000000" },     /* a broker limits what is sent, which is compressed: it decides */
	{ "reconnect.backoff.max.ms", "500" },    /* with 10 s a few cut connections cost a minute */
	{ "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },
	{ "topic.metadata.propagation.max.ms", "5000" }, /* topics are made before they are used */
	{ "log.connection.close", "false" },
};

/* What the output itself depends on, or what makes librdkafka call or load something. */
static const struct {
	const char *name, *why;
} ours[] = {
	{ "bootstrap.servers", "it is `brokers:` of the output" },
	{ "metadata.broker.list", "it is `brokers:` of the output" },
	{ "transactional.id", "this output does not send in transactions" },
	{ "enabled_events", "the router itself takes librdkafka's events" },
	{ "log.queue", "the router itself takes librdkafka's log" },
	{ "plugin.library.paths", "no code is loaded into the router" },
	{ "interceptors", "no code is loaded into the router" },
	{ "opaque", "it is a pointer inside the program" },
	{ "default_topic_conf", "it is a pointer inside the program" },
	{ "queue.buffering.max.messages", "the router's own limit is below it" },
};

/* Losing an event in this way is what the user asked for; the user should know. */
static const struct {
	const char *name, *good, *warning;
} risky[] = {
	{ "acks", "all", "a broker that dies can lose events that were acknowledged" },
	{ "request.required.acks", "all", "a broker that dies can lose events that were acknowledged" },
	{ "enable.idempotence", "true", "a retry can double events and change their order" },
	{ "message.timeout.ms", "0", "a message is given up and sent anew when it is over; nothing is dropped" },
	{ "delivery.timeout.ms", "0", "a message is given up and sent anew when it is over; nothing is dropped" },
	{ "enable.ssl.certificate.verification", "true", "anyone in between can read and change the events" },
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

static const char *why_ours(const char *name)
{
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (strcmp(name, ours[i].name) == 0)
			return ours[i].why;
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

static void check_pair(struct settings_reader *reader, rd_kafka_conf_t *conf, const struct text_pair *pair)
{
	char text[ERROR_ROOM];
	struct view base = base_name(pair);
	_free_ char *name = mem_text(base);
	const char *why = why_ours(pair->key) ? why_ours(pair->key) : why_ours(name);
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

static void warn_of(struct settings_reader *reader, const struct text_pair *pair)
{
	bool all = strcmp(pair->value, "-1") == 0;
	for (size_t i = 0; i < sizeof risky / sizeof *risky; i++) {
		if (strcmp(pair->key, risky[i].name) != 0 || strcmp(pair->value, risky[i].good) == 0 ||
			(all && strcmp(risky[i].good, "all") == 0))
			continue;
		problem_at(reader->problems, PROBLEM_WARNING, reader->file, pair->line, pair->column, "%s is %s: %s",
			pair->key, pair->value, risky[i].warning);
	}
}

static const char *property(const struct kafka_settings *k, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < k->properties.n; i++)
		if (strcmp(k->properties.list[i].key, name) == 0)
			value = k->properties.list[i].value;
	return value;
}

/* What librdkafka finds only when a producer is made. */
static void check_together(struct settings_reader *reader, const struct kafka_settings *k)
{
	const char *idempotence = property(k, "enable.idempotence");
	bool idempotent = !idempotence || strcmp(idempotence, "true") == 0;
	for (size_t i = 0; idempotent && i < k->properties.n; i++) {
		const struct text_pair *p = &k->properties.list[i];
		if ((strcmp(p->key, "acks") == 0 || strcmp(p->key, "request.required.acks") == 0) &&
			strcmp(p->value, "all") != 0 && strcmp(p->value, "-1") != 0)
			problem_at(reader->problems, PROBLEM_ERROR, reader->file, p->line, p->column,
				"%s other than all needs enable.idempotence: false", p->key);
	}
}

void kafka_properties_check(struct settings_reader *reader, const struct kafka_settings *k)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	for (size_t i = 0; i < k->properties.n; i++) {
		check_pair(reader, conf, &k->properties.list[i]);
		warn_of(reader, &k->properties.list[i]);
	}
	check_together(reader, k);
	rd_kafka_conf_destroy(conf);
}

/* ---- a producer's configuration ---- */

bool kafka_tls_is_on(const struct kafka_settings *k)
{
	const struct kafka_tls *t = &k->tls;
	return t->system_ca || t->ca_file || t->certificate_file || t->key_file;
}

const char *kafka_mechanism(const struct kafka_settings *k)
{
	const char *last = property(k, "sasl.mechanism");
	last = last ? last : property(k, "sasl.mechanisms");
	return last ? last : k->sasl.mechanism;
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
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
	return set(conf, name, path, err);
}

static int set_secret(rd_kafka_conf_t *conf, const char *name, const char *text, const char *path, struct err *err)
{
	if (!text && !path)
		return 0;
	struct err why = { 0 };
	_free_ char *secret = settings_secret(text, path, &why);
	if (!secret)
		return err_set(err, "%s%s%s", path ? path : "", path ? ": " : "", why.text);
	int r = set(conf, name, secret, err);
	explicit_bzero(secret, strlen(secret));
	return r;
}

static int set_brokers(rd_kafka_conf_t *conf, const struct kafka_settings *k, struct err *err)
{
	struct buf list = { 0 };
	if (kafka_is_embedded(k))
		return 0;
	for (size_t i = 0; i < k->brokers.n; i++) {
		if (i)
			buf_add_byte(&list, ',');
		buf_add_view(&list, k->brokers.list[i]);
	}
	int r = set(conf, "bootstrap.servers", buf_text(&list), err);
	buf_finish(&list);
	return r;
}

static int set_security(rd_kafka_conf_t *conf, const struct kafka_settings *k, struct err *err)
{
	const struct kafka_sasl *s = &k->sasl;
	const struct kafka_tls *t = &k->tls;
	bool tls = kafka_tls_is_on(k);
	const char *protocol = s->mechanism ? (tls ? "sasl_ssl" : "sasl_plaintext") : (tls ? "ssl" : NULL);
	int r = set(conf, "security.protocol", protocol, err);
	r = r ? r : set(conf, "sasl.mechanism", s->mechanism, err);
	r = r ? r : set(conf, "sasl.username", s->username, err);
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
		return set(conf, pair->key, pair->value, err);
	_free_ char *name = mem_text(base);
	_free_ char *path = io_join(folder, pair->value);
	return set_secret(conf, name, NULL, path, err);
}

static int set_all(rd_kafka_conf_t *conf, const struct kafka_settings *k, const char *folder, struct err *err)
{
	char messages[32];
	int r = 0;
	(void)snprintf(messages, sizeof messages, "%d", KAFKA_QUEUE_MESSAGES);
	r = set(conf, "queue.buffering.max.messages", messages, err);
	for (size_t i = 0; r == 0 && i < sizeof defaults / sizeof *defaults; i++)
		r = set(conf, defaults[i].name, defaults[i].value, err);
	r = r ? r : set(conf, "compression.codec", kafka_compressions[k->compression], err);
	r = r ? r : set_brokers(conf, k, err);
	r = r ? r : set_security(conf, k, err);
	for (size_t i = 0; r == 0 && i < k->properties.n; i++)
		r = set_property(conf, &k->properties.list[i], folder, err);
	return r;
}

int kafka_conf_make(rd_kafka_conf_t **ret_conf, const struct kafka_settings *k, const char *folder, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int r = set_all(conf, k, folder, err);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret_conf = conf;
	return 0;
}
