#pragma once
/* kafka_cluster -- librdkafka's cluster inside the process, for a group of tests: its setup and teardown. */
#include "router/kafka/embedded.h"

static inline int hold_cluster(void **state)
{
	struct err err;
	(void)state;
	return kafka_embedded_hold(&err);
}

static inline int release_cluster(void **state)
{
	(void)state;
	kafka_embedded_release();
	return 0;
}
