#pragma once
/*
 * kafka_bare -- clients of the bare loops that the Kafka comparisons measure against: librdkafka and nothing around it. What goes
 * wrong ends the program: a reference that did not do its work is no reference.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static inline void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[512];
	if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
		die(name, text);
}

/* Takes the conf over. */
static inline rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char text[512];
	rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
	if (!rk)
		die("client", text);
	return rk;
}

/* What all three producers have as the router has it: lz4, no copies, as large as it comes. */
static inline rd_kafka_conf_t *producer_conf(const char *brokers, const char *linger_ms, int queue_messages)
{
	char messages[16];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	(void)snprintf(messages, sizeof messages, "%d", queue_messages);
	set(conf, "bootstrap.servers", brokers);
	set(conf, "compression.codec", "lz4");
	set(conf, "linger.ms", linger_ms);
	set(conf, "message.copy.max.bytes", "500");
	set(conf, "message.max.bytes", "100000000");
	set(conf, "queue.buffering.max.messages", messages);
	set(conf, "socket.nagle.disable", "true");
	return conf;
}

/* acks=all and idempotent, as the router's, with word of each delivery. */
static inline rd_kafka_t *open_idempotent(const char *brokers, int queue_messages,
	void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque))
{
	rd_kafka_conf_t *conf = producer_conf(brokers, "50", queue_messages);
	set(conf, "acks", "all");
	set(conf, "enable.idempotence", "true");
	set(conf, "message.timeout.ms", "0");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	return open_client(RD_KAFKA_PRODUCER, conf);
}

/* One of `group`, from the topic's beginning, which fetches as the router does; commits nothing by itself. */
static inline rd_kafka_t *open_consumer(const char *brokers, const char *topic, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", brokers);
	set(conf, "group.id", group);
	set(conf, "auto.offset.reset", "earliest");
	set(conf, "enable.auto.commit", "false");
	set(conf, "partition.assignment.strategy", "cooperative-sticky");
	set(conf, "fetch.max.bytes", "4194304");
	set(conf, "socket.nagle.disable", "true");
	rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, conf);
	(void)rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t e = rd_kafka_subscribe(rk, list);
	if (e)
		die(topic, rd_kafka_err2str(e));
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}
