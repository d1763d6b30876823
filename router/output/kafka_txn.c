/* The life of a transaction: kafka_txn.h. What it commits for its inputs: kafka_txn_points.c; giving it up: kafka_txn_again.c. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/lane/commit_point.h"
#include "router/lane/lane.h"
#include "router/output/kafka_sink.h"
#include "router/output/kafka_txn_private.h"

enum {
	CALL_MS = 5000,        /* longest wait in a call of librdkafka; then it is called again */
	INIT_MS = 1000,
	AGAIN_MS = 100,
	SILENCE_MS = 5000,     /* without a delivery of what is under way */
	IDLE_MS = 1000,        /* between transactions of offsets alone */
	MEMORY_PART = 2,       /* a transaction holds at most one half of what the lane may pin */
	REASON_ROOM = 256,
};

struct kafka_txn *kafka_txn_create(struct sink *s)
{
	struct kafka_txn *t = mem_zero(1, sizeof *t);
	const char *said = s->settings->transactional_id, *instance = s->options.instance;
	const bool replay = s->options.config && s->options.config->replay;
	t->id = said ? mem_textf("%s%s", said, replay ? "-replay" : "") :
		       mem_textf("audit-router-%s-%s", instance ? instance : "0", s->options.output->name);
	t->n_inputs = s->options.commits ? s->options.commits->n_inputs : 0;
	t->came = mem_zero(t->n_inputs, sizeof *t->came);
	return t;
}

void kafka_txn_destroy(struct kafka_txn *t)
{
	if (!t)
		return;
	kafka_point_drop(t);
	for (unsigned i = 0; i < t->n_inputs; i++)
		if (t->came[i].last)
			rd_kafka_topic_partition_list_destroy(t->came[i].last);
	for (size_t i = 0; i < t->n_refused; i++)
		free(t->refused[i].reason);
	free(t->refused);
	free(t->batches);
	free(t->came);
	free(t->id);
	free(t);
}

const char *kafka_txn_id(const struct kafka_txn *t)
{
	return t->id;
}

/* ---- answers ---- */

void kafka_txn_end(struct sink *s, const char *why)
{
	if (s->txn->state == TXN_DEAD)
		return;
	s->txn->state = TXN_DEAD;
	kafka_report(s, why);
	if (s->options.commits)
		s->options.commits->failed(s->options.commits->context, why);
}

/*
 * The broker was to abort what it had never begun, since it took no partition into it: a topic is gone, or an ACL. It has asked first
 * whether we are fenced, so another producer of ours may go on.
 */
static bool is_unknown_there(const struct kafka_txn *t, rd_kafka_resp_err_t e)
{
	return t->state == TXN_ABORTS && e == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
}

void kafka_txn_fatal(struct sink *s)
{
	char text[400], why[600];
	rd_kafka_resp_err_t e = rd_kafka_fatal_error(s->rk, text, sizeof text);
	if (is_unknown_there(s->txn, e)) {
		s->txn->renew = true;
		return;
	}
	bool fenced = e == RD_KAFKA_RESP_ERR_PRODUCER_FENCED || e == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
		      e == RD_KAFKA_RESP_ERR__FENCED;
	(void)snprintf(why, sizeof why, "transactional.id %s: %s%s", s->txn->id,
		fenced ? "another producer has taken it over, or the broker has ended its transaction: " : "", text);
	kafka_txn_end(s, why);
}

/* Topics that are gone are asked for, and made, when a producer is new. */
static void fail(struct kafka_txn *t, rd_kafka_resp_err_t e)
{
	t->again = true;
	t->renew = t->renew || e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || e == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		   e == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

enum kafka_answer kafka_txn_judge(struct sink *s, rd_kafka_error_t *e, const char *doing)
{
	char text[REASON_ROOM];
	if (!e)
		return ANSWER_OK;
	enum kafka_answer answer = rd_kafka_error_is_fatal(e)	    ? ANSWER_FATAL :
				   rd_kafka_error_txn_requires_abort(e) ? ANSWER_ABORT :
				   rd_kafka_error_is_retriable(e)	    ? ANSWER_AGAIN :
									      ANSWER_FATAL;
	rd_kafka_resp_err_t code = rd_kafka_error_code(e);
	(void)snprintf(text, sizeof text, "%s: %s", doing, rd_kafka_error_string(e));
	if ((code != RD_KAFKA_RESP_ERR__TIMED_OUT && !is_unknown_there(s->txn, code)) || !s->last_error)
		kafka_keep_error(s, code, text);
	if (answer == ANSWER_ABORT)
		fail(s->txn, code);
	else if (answer == ANSWER_FATAL && rd_kafka_error_is_fatal(e))
		kafka_txn_fatal(s);
	else if (answer == ANSWER_FATAL)
		kafka_txn_end(s, text);
	rd_kafka_error_destroy(e);
	return answer;
}

/* ---- records ---- */

static bool is_refused(const struct kafka_txn *t, const struct batch *b, uint32_t index)
{
	for (size_t i = 0; i < t->n_refused; i++)
		if (t->refused[i].batch == b && t->refused[i].index == index)
			return true;
	return false;
}

static void refuse(struct kafka_txn *t, struct batch *b, uint32_t index, const char *code, const char *reason)
{
	t->refused = mem_resize(t->refused, (t->n_refused + 1) * sizeof *t->refused);
	t->refused[t->n_refused++] = (struct kafka_refused){ b, index, code, mem_text(view_of(reason)) };
}

static struct kafka_topic *topic_of(struct sink *s, const struct batch *b)
{
	return kafka_topics_of(s->topics, (enum audit_class)b->records[0].class_, b->cluster, b->input);
}

/* False: librdkafka takes nothing more now. */
static bool produce(struct sink *s, const struct kafka_topic *topic, struct batch *b, uint32_t index)
{
	char reason[REASON_ROOM];
	struct kafka_txn *t = s->txn;
	struct record *r = &b->records[index];
	if (r->outcome != RECORD_OPEN || (t->n_refused && is_refused(t, b, index)))
		return true;
	rd_kafka_resp_err_t e = kafka_produce(s, topic, b, index, r);
	const char *limit = kafka_limit_of(s, e);
	if (limit) {
		(void)snprintf(reason, sizeof reason, "%zu bytes are more than the producer's %s", r->bytes.len, limit);
		refuse(t, b, index, "too_large", reason);
		return true;
	}
	if (e && e != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
		kafka_keep_error(s, e, NULL);
		fail(t, e);
	}
	return !e;
}

bool kafka_txn_begin(struct sink *s)
{
	if (s->txn->open)
		return true;
	s->txn->open = kafka_txn_judge(s, rd_kafka_begin_transaction(s->rk), "a transaction cannot begin") == ANSWER_OK;
	return s->txn->open;
}

/* Gives librdkafka what it takes of the batches in hand. */
static void pump(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	while (t->at < t->n && !t->again) {
		struct batch *b = t->batches[t->at];
		const struct kafka_topic *topic = topic_of(s, b);
		if (topic->state != TOPIC_READY || !kafka_txn_begin(s))
			return;
		while (t->at_record < b->n && produce(s, topic, b, t->at_record))
			t->at_record++;
		if (t->at_record < b->n)
			return;
		t->at++;
		t->at_record = 0;
	}
}

static struct batch *batch_of(const struct kafka_txn *t, const struct record *r)
{
	for (size_t i = 0; i < t->n; i++)
		if (r >= t->batches[i]->records && r < t->batches[i]->records + t->batches[i]->n)
			return t->batches[i];
	assert(!"a report of a record that is not in the transaction");
	return NULL;
}

static void failed(struct sink *s, const rd_kafka_message_t *m)
{
	struct kafka_txn *t = s->txn;
	char reason[REASON_ROOM];
	const char *code = kafka_code_of_refusal(m->err);
	bool recalled = m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
			m->err == RD_KAFKA_RESP_ERR__FATAL;
	t->again = true;
	if (recalled)
		return;
	if (code && s->single) {
		const struct record *r = m->_private;
		struct batch *b = batch_of(t, r);
		(void)snprintf(reason, sizeof reason, "the broker refuses it for topic %s: %s", topic_of(s, b)->name,
			rd_kafka_err2str(m->err));
		s->event_refused = t->found = true;
		refuse(t, b, (uint32_t)(r - b->records), code, reason);
	} else if (code) {
		s->single_wanted = true;
	} else {
		kafka_keep_error(s, m->err, NULL);
		fail(t, m->err);
	}
}

void kafka_txn_reports(struct sink *s, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *m;
	while ((m = rd_kafka_event_message_next(event))) {
		assert(s->in_flight);
		s->in_flight--;
		if (m->err)
			failed(s, m);
	}
	s->waiting_since_ms = s->in_flight ? clock_steady_ms() : 0;
}

/* ---- the end of a transaction ---- */

static void deliver(struct batch *b)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < b->n; i++)
		left += b->records[i].outcome == RECORD_OPEN;
	for (uint32_t i = 0, first; left; i++) {
		if (b->records[i].outcome != RECORD_OPEN)
			continue;
		for (first = i; i < b->n && b->records[i].outcome == RECORD_OPEN; i++)
			;
		left -= i - first;
		batch_delivered(b, first, i - first); /* the last one may free it */
	}
}

/* Before the commit, so that what the transaction passes over is written down. What becomes of a batch that way is over with. */
static void bury_refused(struct kafka_txn *t)
{
	size_t kept = 0;
	for (size_t k = 0; k < t->n; k++) {
		struct batch *b = t->batches[k];
		uint32_t left = 0;
		for (uint32_t i = 0; i < b->n; i++)
			left += b->records[i].outcome == RECORD_OPEN;
		for (size_t i = 0; i < t->n_refused; i++)
			if (t->refused[i].batch == b) {
				left--;
				batch_refused(b, t->refused[i].index, t->refused[i].code, t->refused[i].reason);
			}
		if (left)
			t->batches[kept++] = b;
	}
	for (size_t i = 0; i < t->n_refused; i++)
		free(t->refused[i].reason);
	t->n_refused = 0;
	t->n = t->at = kept;
}

static void committed(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	for (size_t i = 0; i < t->n; i++)
		deliver(t->batches[i]);
	for (unsigned i = 0; i < t->n_inputs; i++)
		if (t->came[i].in) {
			t->came[i].in = false;
			t->came[i].told = t->came[i].position;
		}
	t->n = t->at = 0;
	t->at_record = 0;
	t->events = t->bytes = 0;
	t->next_input = 0;
	t->open = t->sealed = t->unsure = false;
	t->pause_ms = t->pause_until_ms = 0;
	t->idle_ms = clock_steady_ms();
	s->last_error = RD_KAFKA_RESP_ERR_NO_ERROR;
	kafka_report(s, NULL);
	if (s->single) {
		s->single = false;
		kafka_shrink_sets(s);
		kafka_txn_remake(s);
	}
}

static uint64_t bytes_max(const struct sink *s)
{
	return s->options.open_bytes_max / MEMORY_PART;
}

static bool is_full(const struct sink *s)
{
	const struct kafka_txn *t = s->txn;
	return t->events >= (uint64_t)s->settings->transaction_events || t->bytes >= bytes_max(s);
}

static int64_t ms_to_end(const struct sink *s)
{
	const struct kafka_txn *t = s->txn;
	if (!t->n)
		return INT64_MAX;
	if (is_full(s) || t->finishing || t->sealed)
		return 0;
	int64_t left = t->since_ms + s->settings->transaction_wait_ms - clock_steady_ms();
	return left > 0 ? left : 0;
}

/* Every dead letter is written: what is committed may pass over its record. */
static bool is_buried(const struct sink *s)
{
	return !s->options.lane || lane_is_buried(s->options.lane);
}

static bool is_whole(const struct sink *s)
{
	const struct kafka_txn *t = s->txn;
	if (t->at < t->n || s->in_flight || t->again || !is_buried(s))
		return false;
	return t->sealed || !s->options.lane || lane_may_commit(s->options.lane, t->last_span);
}

/* Returns ms until it is worth another look; 0: at once. */
static int end_transaction(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	if (t->n_refused) {
		bury_refused(t);
		return 0; /* and look whether that is done */
	}
	t->sealed = true;
	if (!kafka_txn_begin(s))
		return AGAIN_MS;
	int r = kafka_points_send(s);
	if (r)
		return r < 0 ? 0 : r;
	enum kafka_answer a = kafka_txn_judge(s, rd_kafka_commit_transaction(s->rk, CALL_MS), "a transaction cannot be committed");
	if (a == ANSWER_OK)
		committed(s);
	else if (a == ANSWER_AGAIN)
		t->unsure = true;
	return a == ANSWER_AGAIN ? AGAIN_MS : 0;
}

/* An output that gets none of what its inputs read: they have come on all the same. */
static int end_idle(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	int64_t left = t->idle_ms + IDLE_MS - clock_steady_ms();
	if (left > 0)
		return (int)left;
	t->idle_ms = clock_steady_ms();
	for (unsigned i = 0; i < t->n_inputs; i++) {
		const struct commit_host *host = s->options.commits;
		uint64_t position = host->position(host->context, i);
		if (position <= t->came[i].told && (host->keeps_text(host->context, i) || !kafka_points_moved(s, i)))
			continue;
		t->came[i].position = position;
		t->came[i].in = true;
		t->sealed = true;
	}
	return t->sealed ? 0 : IDLE_MS;
}

/* ---- steps ---- */

static int run(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	int64_t now = clock_steady_ms();
	if (t->again)
		return kafka_txn_give_up(s);
	if (now < t->pause_until_ms)
		return (int)(t->pause_until_ms - now);
	pump(s);
	if (t->again)
		return 0;
	if (!t->n && !is_buried(s))
		return AGAIN_MS;
	if (t->sealed && !t->n)
		return end_transaction(s);
	if (!t->n)
		return t->n_inputs ? end_idle(s) : IDLE_MS;
	int64_t left = ms_to_end(s);
	if (left > 0)
		return left < AGAIN_MS ? (int)left : AGAIN_MS;
	return is_whole(s) && (t->sealed || kafka_points_may_end(s)) ? end_transaction(s) : AGAIN_MS;
}

/* Returns ms until it can do more by itself; 0: at once. */
static int step(struct sink *s)
{
	switch (s->txn->state) {
	case TXN_STARTS:
		return kafka_txn_start(s);
	case TXN_RUNS:
		return run(s);
	case TXN_ABORTS:
		return kafka_txn_abort(s);
	case TXN_DEAD:
		break;
	}
	return IDLE_MS;
}

uint32_t kafka_txn_put(struct sink *s, struct batch *b, uint32_t first)
{
	struct kafka_txn *t = s->txn;
	uint32_t n = b->n;
	bool same = t->n && b->span && b->span == t->last_span;
	assert(first == 0);
	if (t->state != TXN_RUNS || t->again || t->sealed || (!same && ms_to_end(s) == 0 && kafka_points_may_end(s)))
		return 0;
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 16;
		t->batches = mem_resize(t->batches, t->room * sizeof(struct batch *));
	}
	if (!t->n)
		t->since_ms = clock_steady_ms();
	t->batches[t->n++] = b;
	t->events += n;
	t->bytes += b->bytes;
	t->last_span = b->span;
	if (b->source < t->n_inputs) {
		t->came[b->source].position = b->end;
		t->came[b->source].in = true;
	}
	if (t->state == TXN_RUNS && clock_steady_ms() >= t->pause_until_ms)
		pump(s);
	return n;
}

void kafka_txn_flush(struct sink *s)
{
	s->txn->finishing = true;
}

/* Nothing is delivered: a topic may be gone, of which librdkafka asks for ever whether it can be part of the transaction. */
static void doubt_topics(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	int64_t now = clock_steady_ms(), since = s->waiting_since_ms > t->doubt_ms ? s->waiting_since_ms : t->doubt_ms;
	if (t->state != TXN_RUNS || !s->waiting_since_ms || now - since < SILENCE_MS)
		return;
	t->doubt_ms = now;
	kafka_topics_doubt(s->topics);
}

void kafka_txn_wait(struct sink *s, int timeout_ms)
{
	bool served = kafka_serve(s);
	kafka_txn_look(s);
	doubt_topics(s);
	int topics_ms = kafka_topics_ask(s->topics);
	int own_ms = step(s);
	kafka_watch(s);
	if (served || own_ms == 0)
		return;
	if (topics_ms >= 0 && topics_ms < own_ms)
		own_ms = topics_ms;
	output_wait_fd(s->options.wake_fd, own_ms < timeout_ms ? own_ms : timeout_ms);
	(void)kafka_serve(s);
	(void)step(s);
}

int kafka_txn_resume(struct sink *s, struct err *err)
{
	struct kafka_txn *t = s->txn;
	(void)kafka_serve(s);
	kafka_txn_look(s);
	if (t->state == TXN_STARTS)
		(void)kafka_txn_start(s);
	if (!s->rk)
		output_wait_fd(s->options.wake_fd, AGAIN_MS);
	if (t->state == TXN_DEAD)
		return err_set(err, "%s", s->last_error_text), -ENOTRECOVERABLE;
	if (t->state == TXN_STARTS) {
		if (s->last_error)
			kafka_report(s, s->last_error_text);
		return -EAGAIN;
	}
	(void)kafka_topics_ask(s->topics);
	int r = kafka_points_read(s, err);
	if (r == -EAGAIN)
		kafka_report(s, err->text);
	if (r == 0)
		kafka_report(s, NULL);
	return r;
}

void kafka_txn_leave(struct sink *s)
{
	if (!s->rk || !s->txn->open || s->txn->state == TXN_DEAD)
		return;
	(void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	(void)kafka_serve(s);
	rd_kafka_error_t *e = rd_kafka_abort_transaction(s->rk, INIT_MS);
	if (e)
		rd_kafka_error_destroy(e);
}
