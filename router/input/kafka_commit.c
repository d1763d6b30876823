/* What is settled, as offsets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/input/kafka.h"
#include "router/lane/commit_point.h"

enum { ROWS_FIRST_ROOM = 256 };

/* ---- rows ---- */

static struct kafka_row *row_at(struct input *in, size_t i)
{
	return &in->rows[(in->first_row + i) & (in->room_rows - 1)];
}

static void grow(struct input *in)
{
	size_t room = in->room_rows ? in->room_rows * 2 : ROWS_FIRST_ROOM;
	struct kafka_row *rows = mem_alloc(room * sizeof *rows);
	for (size_t i = 0; i < in->n_rows; i++)
		rows[i] = *row_at(in, i);
	free(in->rows);
	in->rows = rows;
	in->room_rows = room;
	in->first_row = 0;
}

void consumer_expect(struct input *in, struct kafka_part *part, uint64_t end, int64_t offset)
{
	(void)pthread_mutex_lock(&in->mutex);
	struct kafka_row *last = in->n_rows ? row_at(in, in->n_rows - 1) : NULL;
	if (last && last->part == part && last->epoch == part->epoch && last->end == end) {
		last->offset = offset;
	} else {
		if (in->n_rows == in->room_rows)
			grow(in);
		*row_at(in, in->n_rows++) = (struct kafka_row){ end, part, part->epoch, offset };
	}
	(void)pthread_mutex_unlock(&in->mutex);
	part->next = offset;
	part->fed_end = end;
}

static void take_settled_rows(struct input *in)
{
	for (; in->n_rows && row_at(in, 0)->end <= in->settled; in->n_rows--) {
		const struct kafka_row *row = row_at(in, 0);
		if (row->epoch == row->part->epoch)
			row->part->settled = row->offset;
		in->first_row = (in->first_row + 1) & (in->room_rows - 1);
	}
}

/* ---- commits ---- */

/* Partitions of which more is settled than `since` says. NULL: none. Locked. */
static rd_kafka_topic_partition_list_t *list_settled(struct input *in, bool since_committed)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	for (size_t i = 0; i < in->n_parts; i++) {
		struct kafka_part *p = in->parts[i];
		if (p->settled < 0 || p->settled == (since_committed ? p->committed : p->sent))
			continue;
		if (!list)
			list = rd_kafka_topic_partition_list_new(16);
		rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = p->settled;
		p->sent = p->settled;
	}
	return list;
}

static bool has_news(const struct input *in)
{
	for (size_t i = 0; i < in->n_parts; i++)
		if (in->parts[i]->settled >= 0 && in->parts[i]->settled != in->parts[i]->sent)
			return true;
	return false;
}

/* NULL: there is none, as where the client is being closed. */
static char *group_text(rd_kafka_t *rk, rd_kafka_consumer_group_metadata_t *group, size_t *ret_len)
{
	void *text;
	if (!group)
		return NULL;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(group, &text, ret_len);
	rd_kafka_consumer_group_metadata_destroy(group);
	if (error) {
		rd_kafka_error_destroy(error);
		return NULL;
	}
	char *copy = mem_text((struct view){ text, *ret_len });
	rd_kafka_mem_free(rk, text);
	return copy;
}

/*
 * Is this member between two generations? A commit would then be refused, and librdkafka (2.0.2) would take the refusal, which
 * comes after the new generation's number, as the loss of all partitions. There is no question for it but this: the
 * member looks as it would without a generation.
 */
static bool is_joining(const struct input *in)
{
	const char *instance = kafka_property(&in->settings->client, "group.instance.id");
	char *member = rd_kafka_memberid(in->rk);
	size_t len = 0, none_len = 0;
	_free_ char *text = group_text(in->rk, rd_kafka_consumer_group_metadata(in->rk), &len);
	_free_ char *none = group_text(in->rk,
		rd_kafka_consumer_group_metadata_new_with_genid(in->group, -1, member ? member : "", instance), &none_len);
	if (member)
		rd_kafka_mem_free(in->rk, member);
	return !none || !text || (none_len == len && memcmp(none, text, len) == 0);
}

static void commit_if_due(struct input *in)
{
	int64_t now = clock_steady_ms();
	take_settled_rows(in);
	if (now < in->commit_due_ms || !in->rk || in->closing || in->options.exactly_once)
		return;
	in->commit_due_ms = now + KAFKA_COMMIT_MS;
	if (!has_news(in) || is_joining(in))
		return;
	rd_kafka_topic_partition_list_t *list = list_settled(in, false);
	rd_kafka_resp_err_t e = rd_kafka_commit(in->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
	if (e)
		log_limited(LOG_WARN, NULL, "input %s: offsets cannot be committed: %s", in->options.input->name,
			rd_kafka_err2str(e));
}

void consumer_commit_due(struct input *in)
{
	(void)pthread_mutex_lock(&in->mutex);
	commit_if_due(in);
	(void)pthread_mutex_unlock(&in->mutex);
}

void consumer_settled(struct input *in, uint64_t position)
{
	(void)pthread_mutex_lock(&in->mutex);
	in->settled = position;
	commit_if_due(in);
	(void)pthread_cond_signal(&in->changed);
	(void)pthread_mutex_unlock(&in->mutex);
}

/* The group moved on meanwhile: whoever has the partition now reads it from what was committed before. */
static bool is_of_rebalance(rd_kafka_resp_err_t e)
{
	switch (e) {
	case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
	case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
	case RD_KAFKA_RESP_ERR__NO_OFFSET:
		return true;
	default:
		return false;
	}
}

void consumer_on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list, void *context)
{
	struct input *in = context;
	(void)rk;
	for (int i = 0; list && i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *one = &list->elems[i];
		rd_kafka_resp_err_t failed = one->err ? one->err : e;
		struct kafka_part *p = consumer_part_of(in, one->topic, one->partition);
		(void)pthread_mutex_lock(&in->mutex);
		if (!failed)
			p->committed = one->offset;
		else
			p->sent = -1;
		(void)pthread_mutex_unlock(&in->mutex);
		if (failed && !is_of_rebalance(failed))
			log_limited(LOG_WARN, NULL, "input %s: %s/%d: offset %lld cannot be committed: %s", in->options.input->name,
				one->topic, (int)one->partition, (long long)one->offset, rd_kafka_err2str(failed));
	}
}

bool consumer_commit_now(struct input *in, int64_t timeout_ms)
{
	(void)pthread_mutex_lock(&in->mutex);
	take_settled_rows(in);
	rd_kafka_topic_partition_list_t *list = in->rk && !in->options.exactly_once ? list_settled(in, true) : NULL;
	(void)pthread_mutex_unlock(&in->mutex);
	if (!list)
		return true;
	rd_kafka_queue_t *queue = rd_kafka_queue_new(in->rk);
	rd_kafka_resp_err_t e = rd_kafka_commit_queue(in->rk, list, queue, NULL, NULL);
	rd_kafka_event_t *answer = e ? NULL : rd_kafka_queue_poll(queue, (int)timeout_ms);
	if (answer) {
		e = rd_kafka_event_error(answer);
		consumer_on_commit(in->rk, e, rd_kafka_event_topic_partition_list(answer), in);
		rd_kafka_event_destroy(answer);
	} else if (!e) {
		e = RD_KAFKA_RESP_ERR__TIMED_OUT;
		log_limited(LOG_WARN, NULL, "input %s: no answer to a commit: some events will come twice",
			in->options.input->name);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_topic_partition_list_destroy(list);
	return e == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- in the transactions of an output ---- */

/*
 * The member's metadata, by which the broker knows whether it still is one. -EAGAIN: it is none now (librdkafka then writes an empty
 * name, and the broker would not ask). Layout: "CGMDv2:", the generation, then texts: group, member, ...
 */
static int add_metadata(struct input *in, struct commit_point *point)
{
	static const char magic[] = "CGMDv2:";
	const void *bytes = NULL;
	size_t len = 0;
	int32_t generation;
	rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(in->rk);
	if (!metadata)
		return -EAGAIN;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(metadata, (void **)&bytes, &len);
	rd_kafka_consumer_group_metadata_destroy(metadata);
	if (error) {
		rd_kafka_error_destroy(error);
		return -EAGAIN;
	}
	point->group_metadata = (char *)bytes;
	point->group_metadata_len = len;
	const size_t head = sizeof magic - 1 + sizeof generation;
	if (len < head || memcmp(bytes, magic, sizeof magic - 1) != 0)
		return 0; /* of another librdkafka, which sees to that itself */
	memcpy(&generation, (const char *)bytes + sizeof magic - 1, sizeof generation);
	const char *group = (const char *)bytes + head, *end = (const char *)bytes + len;
	const char *member = memchr(group, 0, (size_t)(end - group));
	return generation < 0 || !member || member + 1 >= end || !member[1] ? -EAGAIN : 0;
}

/* The last position between that rows lead to, or that is settled. False: none. Locked. */
static bool last_between(struct input *in, uint64_t from, uint64_t to, uint64_t *ret)
{
	bool found = in->settled >= from && in->settled <= to;
	*ret = in->settled;
	for (size_t i = 0; i < in->n_rows && row_at(in, i)->end <= to; i++)
		if (row_at(in, i)->end >= from) {
			found = true;
			*ret = row_at(in, i)->end;
		}
	return found;
}

static void add_offsets(struct input *in, uint64_t position, struct commit_point *point)
{
	for (size_t i = 0; i < in->n_parts; i++)
		in->parts[i]->pointed = in->parts[i]->settled;
	for (size_t i = 0; i < in->n_rows && row_at(in, i)->end <= position; i++)
		row_at(in, i)->part->pointed = row_at(in, i)->offset;
	for (size_t i = 0; i < in->n_parts; i++)
		if (in->parts[i]->pointed >= 0)
			commit_point_add(point, in->parts[i]->topic, in->parts[i]->number, in->parts[i]->pointed);
}

int consumer_point(struct input *in, uint64_t from, uint64_t to, struct commit_point *ret)
{
	(void)pthread_mutex_lock(&in->mutex);
	take_settled_rows(in);
	int r = !in->rk || in->closing || rd_kafka_assignment_lost(in->rk) ? -EAGAIN : last_between(in, from, to, &ret->position) ? 0 : -ERANGE;
	/* What is not settled yet may be in the transaction: it must still be ours. */
	for (size_t i = 0; i < in->n_rows && row_at(in, i)->end <= to && r != -ERANGE; i++)
		if (row_at(in, i)->epoch != row_at(in, i)->part->epoch)
			r = -ESTALE;
	if (r == 0)
		r = add_metadata(in, ret);
	if (r == 0) {
		ret->group = mem_text(view_of(in->group));
		add_offsets(in, ret->position, ret);
	}
	(void)pthread_mutex_unlock(&in->mutex);
	return r;
}

/* ---- waiting ---- */

static uint64_t fed_end(struct input *in, const rd_kafka_topic_partition_list_t *list)
{
	uint64_t end = 0;
	for (int i = 0; i < list->cnt; i++) {
		const struct kafka_part *p = consumer_part_of(in, list->elems[i].topic, list->elems[i].partition);
		if (p->owned && p->fed_end > end)
			end = p->fed_end;
	}
	return end;
}

bool consumer_wait_settled(struct input *in, const rd_kafka_topic_partition_list_t *list, int64_t timeout_ms)
{
	uint64_t end = list ? fed_end(in, list) : UINT64_MAX;
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	int r = 0;
	(void)pthread_mutex_lock(&in->mutex);
	while (in->settled < end && !in->stopped && r == 0)
		r = pthread_cond_timedwait(&in->changed, &in->mutex, &until);
	bool settled = in->settled >= end;
	(void)pthread_mutex_unlock(&in->mutex);
	return settled;
}
