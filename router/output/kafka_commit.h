#pragma once
/*
 * kafka_commit -- what an exactly-once output commits for its inputs, in librdkafka's words.
 *
 * An input's own offsets pass as they are. The text of another input is kept as the metadata of offsets of a group of its own,
 * TRANSACTIONAL_ID.INPUT, which nobody joins: compressed, as base64, in as many pieces as it takes of at most 4,000 bytes (a
 * broker's offset.metadata.max.bytes is 4,096), one at partition 0 of each topic that the input's events go to. Each offset is
 * the input's position, each piece says which of how many it is, and all are committed in one transaction.
 *
 * Threads: those of the sink.
 */
#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "router/base/err.h"

struct commit_point;

enum { KAFKA_COMMIT_PIECES_MAX = 64 };

/* The group of an input; the caller frees. */
char *kafka_commit_group(const char *transactional_id, const char *input);

/* Fills the pieces into `slots`, one a topic, and takes off those that are not needed. -E2BIG: too few; slots are as they were. */
int kafka_commit_pack(rd_kafka_topic_partition_list_t *slots, const char *text, uint64_t position);
/*
 * *ret_text: NULL where nothing was committed, or not all of it is there any more: a topic was deleted, and its piece with it, or is none
 * of the output's now. The caller frees. -EBADMSG: what was is no text of ours.
 */
int kafka_commit_unpack(const rd_kafka_topic_partition_list_t *slots, char **ret_text);

/* Asks the broker what the group has committed for the slots. `conf` is taken over. -EAGAIN: no answer, *err says why. */
int kafka_commit_read(rd_kafka_conf_t *conf, const char *group, rd_kafka_topic_partition_list_t *slots, struct err *);

/* Offsets and group of an input that has its own. The caller destroys both. -EBADMSG: the group's metadata is none. */
int kafka_commit_offsets(const struct commit_point *, rd_kafka_topic_partition_list_t **ret_offsets,
	rd_kafka_consumer_group_metadata_t **ret_group);
