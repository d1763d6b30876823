#include "router/output/kafka_properties.h"

#include <stdio.h>
#include <string.h>

const char *const kafka_compressions[] = { "none", "lz4", "zstd", "snappy", "gzip", NULL };

/* What librdkafka would do otherwise, and why not so. */
static const struct kafka_default defaults[] = {
	{ "client.id", "audit-router" },
	{ "acks", "all" },
	{ "enable.idempotence", "true" },
	{ "message.timeout.ms", "0" },            /* never give up: no event is lost */
	{ "linger.ms", "50" },                    /* of 5, 20, 50, 100 what saves CPU and nobody feels: sets of messages are fuller */
	{ "message.copy.max.bytes", "500" },      /* the compressor reads larger ones where they are */
	{ "message.max.bytes", "100000000" },     /* a broker limits what is sent, which is compressed: it decides */
	{ "reconnect.backoff.max.ms", "500" },    /* with 10 s a few cut connections cost a minute */
	{ "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },
	{ "topic.metadata.propagation.max.ms", "5000" }, /* topics are made before they are used */
	{ "log.connection.close", "false" },
	{ NULL, NULL },
};

/* What the output itself depends on. */
static const struct kafka_owned owned[] = {
	{ "transactional.id", "it is `transactional_id:` of the output, with exactly_once" },
	{ "delivery.report.only.error", "what was delivered is known by its report" },
	{ "queue.buffering.max.messages", "the router's own limit is below it" },
	{ NULL, NULL },
};

/* Losing an event in this way is what the user asked for; the user should know. */
static const struct kafka_risky risky[] = {
	{ "acks", "all", "a broker that dies can lose events that were acknowledged" },
	{ "request.required.acks", "all", "a broker that dies can lose events that were acknowledged" },
	{ "enable.idempotence", "true", "a retry can double events and change their order" },
	{ "message.timeout.ms", "0", "a message is given up and sent anew when it is over; nothing is dropped" },
	{ "delivery.timeout.ms", "0", "a message is given up and sent anew when it is over; nothing is dropped" },
	{ "enable.ssl.certificate.verification", "true", "anyone in between can read and change the events" },
	{ NULL, NULL, NULL },
};

const struct kafka_role kafka_producer = { defaults, owned, risky };

/* What librdkafka finds only when a producer is made. */
void kafka_properties_together(struct settings_reader *reader, const struct kafka_settings *s)
{
	const struct kafka_client *k = &s->client;
	const char *idempotence = kafka_property(k, "enable.idempotence");
	bool idempotent = !idempotence || strcmp(idempotence, "true") == 0;
	for (size_t i = 0; idempotent && i < k->properties.n; i++) {
		const struct text_pair *p = &k->properties.list[i];
		if ((strcmp(p->key, "acks") == 0 || strcmp(p->key, "request.required.acks") == 0) &&
			strcmp(p->value, "all") != 0 && strcmp(p->value, "-1") != 0)
			problem_at(reader->problems, PROBLEM_ERROR, reader->file, p->line, p->column,
				"%s other than all needs enable.idempotence: false", p->key);
	}
}

/* What else is wanted of a producer of transactions. */
static int set_exactly_once(rd_kafka_conf_t *conf, struct err *err)
{
	/* After a commit the broker asks to come back soon: with librdkafka's 100 ms each transaction would cost as much. */
	int r = kafka_conf_set(conf, "retry.backoff.ms", "20", err);
	/* An open one holds its readers back so long at most, if the router dies. */
	r = r ? r : kafka_conf_set(conf, "transaction.timeout.ms", "20000", err);
	/* All of it is sent before it can be committed: waiting for more is waiting twice. */
	return r ? r : kafka_conf_set(conf, "linger.ms", "5", err);
}

static int set_own(rd_kafka_conf_t *conf, const struct kafka_settings *k, const char *folder, struct err *err)
{
	char messages[32];
	(void)snprintf(messages, sizeof messages, "%d", KAFKA_QUEUE_MESSAGES);
	int r = kafka_conf_set(conf, "queue.buffering.max.messages", messages, err);
	r = r ? r : kafka_conf_set(conf, "compression.codec", kafka_compressions[k->compression], err);
	if (r == 0 && k->exactly_once)
		r = set_exactly_once(conf, err);
	return r ? r : kafka_conf_properties(conf, &k->client, folder, err);
}

int kafka_conf_make(rd_kafka_conf_t **ret_conf, const struct kafka_settings *k, const char *folder, struct err *err)
{
	rd_kafka_conf_t *conf;
	int r = kafka_client_conf(&conf, &k->client, &kafka_producer, err);
	if (r < 0)
		return r;
	r = set_own(conf, k, folder, err);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret_conf = conf;
	return 0;
}
