#include "router/kafka/embedded.h"

#include <assert.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

#include "router/base/log.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned references;
static rd_kafka_t *owner; /* the cluster lives in a client of its own, so that no producer's end ends it */
static rd_kafka_mock_cluster_t *cluster;

static void say_nothing(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level, (void)facility, (void)text;
}

static int start(struct err *err)
{
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, say_nothing);
	owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
	if (!owner) {
		rd_kafka_conf_destroy(conf);
		return err_set(err, "cannot start the embedded Kafka: %s", text);
	}
	cluster = rd_kafka_mock_cluster_new(owner, 1);
	if (!cluster) {
		rd_kafka_destroy(owner);
		return err_set(err, "cannot start the embedded Kafka: no port of the loopback interface");
	}
	log_line(LOG_INFO, NULL, "embedded Kafka at %s, for trying out: it ends with this process",
		rd_kafka_mock_cluster_bootstraps(cluster));
	return 0;
}

int kafka_embedded_hold(struct err *err)
{
	(void)pthread_mutex_lock(&mutex);
	int r = references ? 0 : start(err);
	if (r == 0)
		references++;
	(void)pthread_mutex_unlock(&mutex);
	return r;
}

void kafka_embedded_release(void)
{
	(void)pthread_mutex_lock(&mutex);
	assert(references);
	if (--references == 0) {
		rd_kafka_mock_cluster_destroy(cluster);
		rd_kafka_destroy(owner);
		cluster = NULL;
		owner = NULL;
	}
	(void)pthread_mutex_unlock(&mutex);
}

const char *kafka_embedded_brokers(void)
{
	assert(cluster);
	return rd_kafka_mock_cluster_bootstraps(cluster);
}

void kafka_embedded_topic(const char *name, int partitions)
{
	assert(cluster);
	/* The only failure that can be is that it exists. */
	(void)rd_kafka_mock_topic_create(cluster, name, partitions < 0 ? KAFKA_EMBEDDED_PARTITIONS : partitions, 1);
}

struct rd_kafka_mock_cluster_s *kafka_embedded_cluster(void)
{
	return cluster;
}
