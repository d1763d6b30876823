/* One record to librdkafka and its report back: the hot path of the Kafka output. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/lane/seq.h"
#include "router/output/kafka_sink.h"

enum {
	EVENTS_MAX = 32,    /* served in one go, before the lane may give more */
	DECIMAL_ROOM = 20,  /* digits of 2^64 */
	HEADERS_MAX = 5,
};

void kafka_slots_create(struct sink *s, size_t n)
{
	s->slots = mem_zero(n, sizeof *s->slots);
	s->failed = mem_zero(n, sizeof(struct sent *));
	s->n_slots = n;
	for (size_t i = n; i-- > 0;) {
		s->slots[i].next_free = s->free;
		s->free = &s->slots[i];
	}
}

void kafka_slots_destroy(struct sink *s)
{
	free(s->slots);
	free(s->failed);
}

bool kafka_has_room(const struct sink *s)
{
	return s->free && (s->open_bytes == 0 || s->open_bytes <= s->options.open_bytes_max);
}

struct sent *kafka_take(struct sink *s, struct batch *batch, uint32_t index)
{
	struct sent *sent = s->free;
	assert(sent);
	s->free = sent->next_free;
	*sent = (struct sent){ .batch = batch, .index = index, .order = s->order++ };
	s->open_bytes += batch->records[index].bytes.len;
	return sent;
}

void kafka_untake(struct sink *s, struct sent *sent)
{
	s->open_bytes -= sent->batch->records[sent->index].bytes.len;
	if (sent->failed)
		s->failed_open--;
	sent->batch = NULL;
	sent->next_free = s->free;
	s->free = sent;
}

/* ---- out ---- */

static size_t print_decimal(uint64_t value, char *room)
{
	char *at = room + DECIMAL_ROOM;
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	size_t len = (size_t)(room + DECIMAL_ROOM - at);
	memmove(room, at, len);
	return len;
}

static rd_kafka_headers_t *make_headers(const struct batch *b, uint32_t index)
{
	const struct record *r = &b->records[index];
	char seq[DECIMAL_ROOM];
	const char *name = audit_class_name((enum audit_class)r->class_);
	rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS_MAX);
	(void)rd_kafka_header_add(headers, "class", 5, name, (ssize_t)strlen(name));
	const struct view rule = batch_rule(b, index);
	if (rule.len)
		(void)rd_kafka_header_add(headers, "rule", 4, rule.ptr, (ssize_t)rule.len);
	if (b->cluster && *b->cluster)
		(void)rd_kafka_header_add(headers, "cluster", 7, b->cluster, (ssize_t)strlen(b->cluster));
	const uint64_t epoch = seq_epoch(b->first_seq + index);
	if (epoch)
		(void)rd_kafka_header_add(headers, "epoch", 5, seq, (ssize_t)print_decimal(epoch, seq));
	(void)rd_kafka_header_add(headers, "seq", 3, seq, (ssize_t)print_decimal(seq_number(b->first_seq + index), seq));
	return headers;
}

rd_kafka_resp_err_t kafka_produce(struct sink *s, const struct kafka_topic *topic, const struct batch *b, uint32_t index,
	void *opaque)
{
	const struct record *r = &b->records[index];
	rd_kafka_headers_t *headers = make_headers(b, index);
	rd_kafka_vu_t parts[] = {
		{ .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic->handle },
		{ .vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = { (void *)r->bytes.ptr, r->bytes.len } },
		{ .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque },
		{ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers },
		{ .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = { (void *)r->key.ptr, r->key.len } },
	};
	size_t n = sizeof parts / sizeof *parts;
	rd_kafka_error_t *error = rd_kafka_produceva(s->rk, parts, r->key.ptr && r->key.len ? n : n - 1);
	if (!error) {
		if (s->in_flight++ == 0)
			s->waiting_since_ms = clock_steady_ms();
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	rd_kafka_resp_err_t e = rd_kafka_error_code(error);
	rd_kafka_error_destroy(error);
	rd_kafka_headers_destroy(headers);
	return e;
}

rd_kafka_resp_err_t kafka_send(struct sink *s, const struct kafka_topic *topic, struct sent *sent)
{
	return kafka_produce(s, topic, sent->batch, sent->index, sent);
}

/* ---- back ---- */

static void report_run(struct sink *s)
{
	struct batch *b = s->run;
	s->run = NULL;
	if (b)
		batch_delivered(b, s->run_first, s->run_count);
}

static void delivered(struct sink *s, struct sent *sent)
{
	struct batch *b = sent->batch;
	uint32_t index = sent->index;
	kafka_succeeded(s, sent);
	kafka_untake(s, sent);
	if (s->run == b && s->run_first + s->run_count == index) {
		s->run_count++;
		return;
	}
	report_run(s);
	s->run = b;
	s->run_first = index;
	s->run_count = 1;
}

void kafka_refuse(struct sink *s, struct sent *sent, const char *code, const char *reason)
{
	struct batch *b = sent->batch;
	uint32_t index = sent->index;
	kafka_untake(s, sent);
	batch_refused(b, index, code, reason);
}

static void serve_reports(struct sink *s, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *m;
	while ((m = rd_kafka_event_message_next(event))) {
		struct sent *sent = m->_private;
		assert(sent >= s->slots && sent < s->slots + s->n_slots && sent->batch);
		s->in_flight--;
		if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			delivered(s, sent);
		else
			kafka_failed(s, sent, m->err);
	}
	report_run(s);
	s->waiting_since_ms = s->in_flight ? clock_steady_ms() : 0;
}

bool kafka_serve(struct sink *s)
{
	rd_kafka_event_t *event;
	int n = 0;
	while (s->queue && n < EVENTS_MAX && (event = rd_kafka_queue_poll(s->queue, 0))) {
		n++;
		switch (rd_kafka_event_type(event)) {
		case RD_KAFKA_EVENT_DR:
			if (s->txn)
				kafka_txn_reports(s, event);
			else
				serve_reports(s, event);
			break;
		case RD_KAFKA_EVENT_ERROR:
			kafka_error(s, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
			break;
		case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
		case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
			kafka_topics_answer(s->topics, event);
			break;
		default:
			break;
		}
		rd_kafka_event_destroy(event);
	}
	return n > 0;
}
