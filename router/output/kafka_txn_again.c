/* A transaction that is given up and done again, by another producer where that helps: kafka_txn.h. */
#include <stdlib.h>

#include "router/base/clock.h"
#include "router/lane/lane.h"
#include "router/output/kafka_sink.h"
#include "router/output/kafka_txn_private.h"

enum {
	CALL_MS = 5000,   /* longest wait in a call of librdkafka; then it is called again */
	INIT_MS = 1000,
	RECALL_MS = 3000, /* what is under way when a transaction is given up has so long to come back */
	AGAIN_MS = 100,
	PAUSE_FIRST_MS = 50,
	PAUSE_MAX_MS = 5000,
};

/* What the old producer has open, the first call of the new one ends. */
void kafka_txn_remake(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	kafka_producer_end(s);
	s->in_flight = 0;
	t->renew = t->outdated = false;
	t->state = TXN_STARTS;
}

void kafka_txn_look(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	if (!s->last_error || t->outdated || t->state == TXN_DEAD || !kafka_files_changed(s))
		return;
	t->outdated = true;
	if (t->state == TXN_STARTS)
		kafka_txn_remake(s);
	else
		t->again = true;
}

static void back_off(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	t->pause_ms = !t->pause_ms ? PAUSE_FIRST_MS : t->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : t->pause_ms * 2;
	t->pause_until_ms = clock_steady_ms() + t->pause_ms / 2 + rand_r(&s->chance) % (t->pause_ms / 2 + 1);
}

int kafka_txn_give_up(struct sink *s)
{
	if (s->txn->unsure) {
		/* Sent again, what the broker did commit would be there twice. */
		kafka_txn_end(s, "nobody knows whether a transaction was committed: only a new start can read that");
		return 0;
	}
	s->txn->state = TXN_ABORTS;
	s->txn->state_since_ms = clock_steady_ms();
	lane_count_retry(s->options.lane);
	return 0;
}

static void recall(struct sink *s, int more)
{
	(void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING | more);
}

/*
 * What is under way comes back first: librdkafka would wait for reports that nobody but us serves. Sets of messages that the broker refused
 * since they came behind the one that failed are in the queue again, to be sent once more: they come back, too.
 */
static int wait_for_all(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	bool long_ago = clock_steady_ms() - t->state_since_ms > RECALL_MS;
	if (long_ago)
		t->state_since_ms = clock_steady_ms();
	recall(s, long_ago ? RD_KAFKA_PURGE_F_INFLIGHT : 0);
	return AGAIN_MS;
}

/* librdkafka takes all back at the first error of a transaction, and says why to whoever wants something of it. */
static void say_why(struct sink *s)
{
	rd_kafka_error_t *e = s->txn->open ? rd_kafka_begin_transaction(s->rk) : NULL;
	if (e && rd_kafka_error_txn_requires_abort(e))
		(void)kafka_txn_judge(s, e, "a transaction has failed");
	else if (e)
		rd_kafka_error_destroy(e);
	if (s->last_error)
		kafka_report(s, s->last_error_text);
}

int kafka_txn_abort(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	if (s->in_flight)
		return wait_for_all(s);
	if (t->again && !t->found && !s->single_wanted) /* to look for what the broker refuses is no trouble */
		say_why(s);
	t->again = false;
	if (t->open && !t->outdated) {
		enum kafka_answer a = kafka_txn_judge(s, rd_kafka_abort_transaction(s->rk, CALL_MS), "a transaction cannot be aborted");
		if (t->state == TXN_DEAD)
			return -1;
		if (a == ANSWER_AGAIN || a == ANSWER_ABORT)
			return AGAIN_MS;
	}
	bool found = t->found;
	t->open = t->found = false;
	t->at = t->at_record = 0;
	t->next_input = 0;
	if (t->n)
		t->sealed = false;
	t->state = TXN_RUNS;
	kafka_point_drop(t);
	if (s->single_wanted) {
		s->single = t->renew = true;
		s->single_wanted = false;
		t->pause_until_ms = 0;
	} else if (!found) {
		back_off(s);
	}
	if (t->renew || t->outdated)
		kafka_txn_remake(s);
	return 0;
}

int kafka_txn_start(struct sink *s)
{
	struct err err = { 0 };
	if (!s->rk && kafka_producer_start(s, &err) < 0) {
		kafka_report(s, err.text);
		return PAUSE_MAX_MS;
	}
	enum kafka_answer a = kafka_txn_judge(s, rd_kafka_init_transactions(s->rk, INIT_MS), "transactions cannot be had");
	if (a == ANSWER_OK) {
		s->txn->state = TXN_RUNS;
		s->txn->again = false;
	}
	return a == ANSWER_OK ? 0 : AGAIN_MS;
}
