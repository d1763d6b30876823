/* Partitions that come and go, and where each begins. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/input/kafka.h"

enum { PARTS_FIRST_ROOM = 64, RESET_RETRY_MS = 1000 };

/* ---- the table of partitions ---- */

static int compare(const struct kafka_part *p, const char *topic, int32_t number)
{
	int order = strcmp(p->topic, topic);
	return order ? order : p->number < number ? -1 : p->number > number;
}

struct kafka_part *consumer_part_of(struct input *in, const char *topic, int32_t number)
{
	size_t low = 0, high = in->n_parts;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(in->parts[middle], topic, number);
		if (order == 0)
			return in->parts[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	struct kafka_part *p = mem_zero(1, sizeof *p);
	p->topic = mem_text(view_of(topic));
	p->number = number;
	p->next = p->once_end = p->settled = p->sent = p->committed = -1;
	(void)pthread_mutex_lock(&in->mutex);
	if (in->n_parts == in->room_parts) {
		in->room_parts = in->room_parts ? in->room_parts * 2 : PARTS_FIRST_ROOM;
		in->parts = mem_resize(in->parts, in->room_parts * sizeof(struct kafka_part *));
	}
	memmove(&in->parts[low + 1], &in->parts[low], (in->n_parts - low) * sizeof(struct kafka_part *));
	in->parts[low] = p;
	in->n_parts++;
	(void)pthread_mutex_unlock(&in->mutex);
	return p;
}

/* Another assignment: what was expected of the last one is not committed any more. */
static void renew(struct input *in, struct kafka_part *p, bool owned)
{
	p->owned = owned;
	p->next = p->once_end = -1;
	p->once_done = p->reset_due = false;
	(void)pthread_mutex_lock(&in->mutex);
	p->epoch++;
	p->settled = p->sent = p->committed = -1;
	(void)pthread_mutex_unlock(&in->mutex);
}

void consumer_group_forget(struct input *in)
{
	for (size_t i = 0; i < in->n_parts; i++)
		renew(in, in->parts[i], false);
	if (in->rebalance.parts)
		rd_kafka_topic_partition_list_destroy(in->rebalance.parts);
	in->rebalance.parts = NULL;
	in->rebalance.due = false;
}

/* ---- where one begins ---- */

/* The group's offsets, or what stands for none. False: no answer; librdkafka asks again by itself then. */
static bool ask_committed(struct input *in, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR__TIMED_OUT;
	for (int i = 0; i < KAFKA_ASK_TRIES && e && !in->stopped; i++) {
		e = rd_kafka_committed(in->rk, list, KAFKA_ASK_MS);
		for (int k = 0; !e && k < list->cnt; k++)
			e = list->elems[k].err; /* an offset that is not known is not an offset that is not there */
		if (e)
			consumer_error(in, e, "the group's offsets cannot be read");
	}
	return !e;
}

static int64_t end_of(struct input *in, const char *topic, int32_t number)
{
	int64_t low, high;
	rd_kafka_resp_err_t e = rd_kafka_query_watermark_offsets(in->rk, topic, number, &low, &high, KAFKA_ASK_MS);
	if (e)
		consumer_error(in, e, "the end of a partition cannot be asked for");
	return e ? -1 : high;
}

/*
 * `from: end`: where the end is now is committed at once, so that what comes before the first commit is not skipped. Where that cannot be
 * asked, librdkafka finds no offset either, and reset() asks until there is an answer.
 */
static void begin_at_end(struct input *in, rd_kafka_topic_partition_t *one, struct kafka_part *p)
{
	int64_t end = end_of(in, one->topic, one->partition);
	one->offset = end < 0 ? RD_KAFKA_OFFSET_STORED : end;
	if (end >= 0)
		consumer_expect(in, p, in->position, end);
}

static void begin(struct input *in, rd_kafka_topic_partition_t *one)
{
	struct kafka_part *p = consumer_part_of(in, one->topic, one->partition);
	renew(in, p, true);
	if (one->offset >= 0) {
		p->next = one->offset;
		(void)pthread_mutex_lock(&in->mutex);
		p->committed = p->sent = one->offset;
		(void)pthread_mutex_unlock(&in->mutex);
	} else if (in->settings->from == FROM_START) {
		one->offset = RD_KAFKA_OFFSET_BEGINNING;
	} else {
		begin_at_end(in, one, p);
	}
	if (in->options.once) {
		p->once_end = end_of(in, one->topic, one->partition);
		p->once_done = p->once_end == 0 || (p->next >= 0 && p->once_end >= 0 && p->next >= p->once_end);
	}
}

static void tell(rd_kafka_error_t *error, struct input *in, const char *what)
{
	if (!error)
		return;
	consumer_error(in, rd_kafka_error_code(error), rd_kafka_error_string(error));
	log_limited(LOG_WARN, NULL, "input %s: %s: %s", in->options.input->name, what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
}

static void assign(struct input *in, rd_kafka_topic_partition_list_t *list)
{
	in->joined = true;
	in->progress_ms = clock_steady_ms();
	if (list->cnt && !ask_committed(in, list))
		for (int i = 0; i < list->cnt; i++)
			list->elems[i].offset = RD_KAFKA_OFFSET_STORED;
	for (int i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *one = &list->elems[i];
		if (one->offset == RD_KAFKA_OFFSET_STORED)
			renew(in, consumer_part_of(in, one->topic, one->partition), true);
		else
			begin(in, one);
	}
	if (list->cnt)
		log_line(LOG_INFO, NULL, "input %s: %d partitions more, the first is %s/%d", in->options.input->name,
			list->cnt, list->elems[0].topic, (int)list->elems[0].partition);
	tell(rd_kafka_incremental_assign(in->rk, list), in, "partitions cannot be taken");
}

/* ---- where one ends ---- */

/* False: it stops, and what is delivered until the end is committed then. */
static bool give_back(struct input *in, rd_kafka_topic_partition_list_t *list)
{
	const char *name = in->options.input->name;
	bool lost = in->rebalance.lost || rd_kafka_assignment_lost(in->rk);
	if (lost) {
		log_line(LOG_WARN, NULL,
			"input %s: the group went on without this router: %d partitions are lost, and what was not committed "
			"of them comes once more",
			name, list->cnt);
	} else if (list->cnt) {
		int64_t wait_ms = in->options.exactly_once ? KAFKA_SETTLE_MAX_MS : in->settings->revoke_wait_ms;
		bool settled = consumer_wait_settled(in, list, wait_ms);
		if (!settled && in->stopped)
			return false;
		if (!settled)
			log_line(LOG_WARN, NULL,
				"input %s: %d partitions go to another router before all of them was delivered (revoke_wait): "
				"some events will come twice",
				name, list->cnt);
		(void)consumer_commit_now(in, KAFKA_LAST_COMMIT_MS);
		log_line(LOG_INFO, NULL, "input %s: %d partitions less, the first is %s/%d", name, list->cnt,
			list->elems[0].topic, (int)list->elems[0].partition);
	}
	for (int i = 0; i < list->cnt; i++)
		renew(in, consumer_part_of(in, list->elems[i].topic, list->elems[i].partition), false);
	tell(rd_kafka_incremental_unassign(in->rk, list), in, "partitions cannot be given back");
	return true;
}

void consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list, void *context)
{
	struct input *in = context;
	bool assign_ = e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	in->assigned = in->assigned || assign_;
	if (in->closing || (!assign_ && e != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)) {
		(void)rd_kafka_assign(rk, NULL);
		return;
	}
	assert(!in->rebalance.due);
	in->rebalance.due = true;
	in->rebalance.assign = assign_;
	in->rebalance.lost = !assign_ && rd_kafka_assignment_lost(rk);
	in->rebalance.parts = rd_kafka_topic_partition_list_copy(list);
}

/* ---- offsets that are gone ---- */

/* A partition that stopped at an offset that is gone cannot be sought in, only be taken anew. */
static bool seek(struct input *in, const struct kafka_part *p, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = offset;
	rd_kafka_error_t *error = rd_kafka_incremental_unassign(in->rk, list);
	if (error)
		rd_kafka_error_destroy(error); /* the last try came only so far */
	error = rd_kafka_incremental_assign(in->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (!error)
		return true;
	consumer_error(in, rd_kafka_error_code(error), "a partition's offset cannot be set");
	rd_kafka_error_destroy(error);
	return false;
}

/* Where it was to begin, when that could not be asked for as it was assigned. */
static bool learn_next(struct input *in, struct kafka_part *p)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, p->topic, p->number);
	rd_kafka_resp_err_t e = rd_kafka_committed(in->rk, list, KAFKA_ASK_MS);
	e = e ? e : list->elems[0].err; /* as in ask_committed */
	if (!e)
		p->next = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	return !e;
}

/*
 * Its next offset is not in the partition: retention took it before it was read, or the topic was made anew. It goes on at the
 * oldest that there is, and the gap is told.
 */
static void reset(struct input *in, struct kafka_part *p)
{
	char where[KAFKA_TEXT_ROOM], what[KAFKA_TEXT_ROOM];
	int64_t low, high, next;
	rd_kafka_resp_err_t e = rd_kafka_query_watermark_offsets(in->rk, p->topic, p->number, &low, &high, KAFKA_ASK_MS);
	if (e || (p->next < 0 && !learn_next(in, p))) {
		consumer_error(in, e, "the beginning of a partition cannot be asked for");
		return;
	}
	next = p->next < 0 && in->settings->from == FROM_END ? high : low;
	if (!seek(in, p, next))
		return;
	p->reset_due = false;
	(void)snprintf(where, sizeof where, "%s/%d", p->topic, (int)p->number);
	if (p->next < 0) {
		consumer_expect(in, p, in->position, next);
		return;
	}
	if (p->next < low)
		(void)snprintf(what, sizeof what, "offsets %lld to %lld were deleted before they were read",
			(long long)p->next, (long long)low - 1);
	else
		(void)snprintf(what, sizeof what,
			"offset %lld is beyond its end, %lld: it was made anew or cut, and is read from its beginning",
			(long long)p->next, (long long)high);
	consumer_expect(in, p, in->position + 1, low);
	(void)feed_gap(in->options.feed, where, 0, what, consumer_advance(in, 1));
}

static void reset_due(struct input *in)
{
	int64_t now = clock_steady_ms();
	if (!in->reset_any || now < in->reset_retry_ms)
		return;
	in->reset_any = false;
	in->reset_retry_ms = now + RESET_RETRY_MS;
	for (size_t i = 0; i < in->n_parts && !in->stopped; i++) {
		struct kafka_part *p = in->parts[i];
		if (p->reset_due && p->owned)
			reset(in, p);
		in->reset_any = in->reset_any || (p->reset_due && p->owned);
	}
}

/* ---- what is due ---- */

void consumer_group_step(struct input *in)
{
	if (in->rebalance.due) {
		rd_kafka_topic_partition_list_t *list = in->rebalance.parts;
		if (in->rebalance.assign)
			assign(in, list);
		else if (!give_back(in, list))
			return;
		rd_kafka_topic_partition_list_destroy(list);
		in->rebalance.parts = NULL;
		in->rebalance.due = false;
	}
	reset_due(in);
}

bool consumer_group_done(const struct input *in)
{
	for (size_t i = 0; i < in->n_parts; i++)
		if (in->parts[i]->owned && !in->parts[i]->once_done)
			return false;
	return in->joined && !in->rebalance.due;
}
