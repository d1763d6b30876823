/* What a transaction commits for its inputs, and what a start reads of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "router/base/cleanup.h"
#include "router/base/log.h"
#include "router/lane/commit_point.h"
#include "router/output/kafka_commit.h"
#include "router/output/kafka_sink.h"
#include "router/output/kafka_txn_private.h"

enum { CALL_MS = 5000, AGAIN_MS = 10, SHORTER_MAX = 1 << 20 };

void kafka_point_drop(struct kafka_txn *t)
{
	if (t->offsets)
		rd_kafka_topic_partition_list_destroy(t->offsets);
	if (t->group)
		rd_kafka_consumer_group_metadata_destroy(t->group);
	t->offsets = NULL;
	t->group = NULL;
}

/* Partition 0 of each topic that this input's events go to, in the order of the classes. NULL: not all are there yet. */
static rd_kafka_topic_partition_list_t *slots_of(struct sink *s, unsigned input, bool ready)
{
	const struct config *c = s->options.config;
	const struct config_input *in = &c->inputs[input];
	rd_kafka_topic_partition_list_t *slots = rd_kafka_topic_partition_list_new(AUDIT_CLASSES);
	for (enum audit_class k = 0; k < AUDIT_CLASSES; k++) {
		if (!(config_output_classes(c, s->options.output) & 1u << k))
			continue;
		const struct kafka_topic *topic = kafka_topics_of(s->topics, k, in->cluster ? in->cluster : c->cluster, in->name);
		if (ready && topic->state != TOPIC_READY) {
			rd_kafka_topic_partition_list_destroy(slots);
			return NULL;
		}
		if (!rd_kafka_topic_partition_list_find(slots, topic->name, 0))
			rd_kafka_topic_partition_list_add(slots, topic->name, 0);
	}
	return slots;
}

/* ---- at the start ---- */

static int read_one(struct sink *s, unsigned input, struct err *err)
{
	const struct commit_host *host = s->options.commits;
	const struct config *c = s->options.config;
	_free_ char *group = kafka_commit_group(s->txn->id, c->inputs[input].name), *text = NULL;
	rd_kafka_conf_t *conf;
	int r = kafka_conf_make(&conf, s->settings, c->folder ? c->folder : ".", err);
	if (r < 0)
		return r;
	rd_kafka_topic_partition_list_t *slots = slots_of(s, input, false);
	r = kafka_commit_read(conf, group, slots, err);
	if (r == 0)
		r = kafka_commit_unpack(slots, &text);
	if (r == -EBADMSG)
		(void)err_set(err, "what group %s has committed is not of this program, or of a newer version of it", group);
	rd_kafka_topic_partition_list_destroy(slots);
	if (r == 0)
		host->resumed(host->context, input, text);
	return r;
}

int kafka_points_read(struct sink *s, struct err *err)
{
	const struct commit_host *host = s->options.commits;
	struct kafka_txn *t = s->txn;
	int r = 0;
	for (; r == 0 && t->next_input < t->n_inputs; t->next_input += r == 0)
		if (host->keeps_text(host->context, t->next_input))
			r = read_one(s, t->next_input, err);
	if (r == 0)
		t->next_input = 0;
	return r;
}

/* ---- in a transaction ---- */

/* The text of a point, in as many files as there is room for. */
static int make_slots(struct sink *s, unsigned input, const char *text)
{
	struct kafka_txn *t = s->txn;
	t->offsets = slots_of(s, input, true);
	if (!t->offsets)
		return -EAGAIN;
	int r = kafka_commit_pack(t->offsets, text, t->came[input].position);
	if (r < 0) {
		kafka_point_drop(t);
		return r;
	}
	_free_ char *group = kafka_commit_group(t->id, s->options.config->inputs[input].name);
	t->group = rd_kafka_consumer_group_metadata_new(group);
	return 0;
}

static void warn_short(struct sink *s, unsigned input, unsigned shorter)
{
	if (!shorter || s->txn->warned_short)
		return;
	s->txn->warned_short = true;
	log_line(LOG_WARN, s->log_fields,
		"what is known of the files of input %s is too long for Kafka: the oldest finished ones are known by state_dir alone",
		s->options.config->inputs[input].name);
}

/* Even without those that are finished. */
static void report_too_long(struct sink *s, unsigned input)
{
	char text[256];
	(void)snprintf(text, sizeof text,
		"what is known of the files of input %s is too long for Kafka, which keeps 4 kB of it for each topic: fewer files, or more topics",
		s->options.config->inputs[input].name);
	kafka_report(s, text);
}

/* 0: made (offsets NULL: the input has nothing to commit). */
static int make_point(struct sink *s, unsigned input)
{
	const struct commit_host *host = s->options.commits;
	struct kafka_txn *t = s->txn;
	int r;
	unsigned shorter = 0;
	t->shared = false;
	do {
		struct commit_point point = { 0 };
		r = host->point(host->context, input, t->came[input].position, shorter, &point);
		t->shared = r == 0 && point.group;
		if (r == 0)
			t->came[input].position = point.position;
		if (t->shared && point.n_offsets)
			r = kafka_commit_offsets(&point, &t->offsets, &t->group);
		else if (r == 0 && point.text)
			r = make_slots(s, input, point.text);
		commit_point_finish(&point);
		if (r == 0)
			warn_short(s, input, shorter);
		shorter = shorter ? shorter * 2 : 1;
	} while (r == -E2BIG && shorter <= SHORTER_MAX);
	return r;
}

static bool same_offsets(const rd_kafka_topic_partition_list_t *a, const rd_kafka_topic_partition_list_t *b)
{
	if (!a || !b || a->cnt != b->cnt)
		return a == b;
	for (int i = 0; i < a->cnt; i++)
		if (a->elems[i].offset != b->elems[i].offset || a->elems[i].partition != b->elems[i].partition ||
			strcmp(a->elems[i].topic, b->elems[i].topic) != 0)
			return false;
	return true;
}

bool kafka_points_moved(struct sink *s, unsigned input)
{
	struct kafka_txn *t = s->txn;
	bool moved = make_point(s, input) == 0 && t->offsets && !same_offsets(t->offsets, t->came[input].last);
	kafka_point_drop(t);
	return moved;
}

/* The transaction cannot end where it is: more goes into it, or the same is tried again. */
static int unseal(struct kafka_txn *t)
{
	t->next_input = 0; /* what was sent before is sent again, for a later position */
	t->sealed = t->n == 0;
	return AGAIN_MS;
}

/* Its offsets are in the transaction. */
static void keep_last(struct kafka_txn *t, unsigned input)
{
	struct kafka_came *came = &t->came[input];
	if (!t->shared)
		return;
	if (came->last)
		rd_kafka_topic_partition_list_destroy(came->last);
	came->last = t->offsets;
	t->offsets = NULL;
}

static int send_point(struct sink *s, unsigned input)
{
	struct kafka_txn *t = s->txn;
	if (!t->offsets) {
		int r = make_point(s, input);
		if (r == -ESTALE) {
			kafka_txn_end(s, "partitions of its input went to another member of the group while a transaction was open");
			return -1;
		}
		if (r == -E2BIG)
			report_too_long(s, input);
		if (r < 0)
			return unseal(t);
		if (!t->offsets)
			return 0;
	}
	switch (kafka_txn_judge(s, rd_kafka_send_offsets_to_transaction(s->rk, t->offsets, t->group, CALL_MS),
		"offsets cannot be sent to a transaction")) {
	case ANSWER_OK:
		keep_last(t, input);
		kafka_point_drop(t);
		return 0;
	case ANSWER_AGAIN:
		return AGAIN_MS;
	default:
		return -1;
	}
}

bool kafka_points_may_end(const struct sink *s)
{
	const struct commit_host *host = s->options.commits;
	const struct kafka_txn *t = s->txn;
	bool may = true;
	for (unsigned i = 0; i < t->n_inputs && may; i++)
		may = !t->came[i].in || host->may_end(host->context, i, t->came[i].position);
	return may;
}

int kafka_points_send(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	for (; t->next_input < t->n_inputs; t->next_input++) {
		int r = t->came[t->next_input].in ? send_point(s, t->next_input) : 0;
		if (r)
			return r;
	}
	return 0;
}
