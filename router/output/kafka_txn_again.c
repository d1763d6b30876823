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

/* A producer that knows nothing of the old one's sets of messages. */
void kafka_txn_remake(struct sink *s)
{
	struct err err = { 0 };
	kafka_producer_end(s);
	s->in_flight = 0;
	if (kafka_producer_start(s, &err) < 0)
		kafka_txn_end(s, err.text);
	else
		s->txn->state = TXN_STARTS;
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
	(void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	if (s->last_error && !s->single_wanted)
		kafka_report(s, s->last_error_text);
	return 0;
}

/* What is under way comes back first: librdkafka would wait for reports that nobody but us serves. */
int kafka_txn_abort(struct sink *s)
{
	struct kafka_txn *t = s->txn;
	if (s->in_flight) {
		if (clock_steady_ms() - t->state_since_ms > RECALL_MS) {
			(void)rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
							    RD_KAFKA_PURGE_F_NON_BLOCKING);
			t->state_since_ms = clock_steady_ms();
		}
		return AGAIN_MS;
	}
	if (t->open) {
		enum kafka_answer a = kafka_txn_judge(s, rd_kafka_abort_transaction(s->rk, CALL_MS), "a transaction cannot be aborted");
		if (a != ANSWER_OK)
			return a == ANSWER_FATAL ? -1 : AGAIN_MS;
	}
	t->open = t->again = false;
	t->at = t->at_record = 0;
	t->next_input = 0;
	if (t->n)
		t->sealed = false;
	t->state = TXN_RUNS;
	kafka_point_drop(t);
	back_off(s);
	if (s->single_wanted) {
		s->single = true;
		s->single_wanted = false;
		t->pause_until_ms = 0;
		kafka_txn_remake(s);
	}
	return 0;
}

int kafka_txn_start(struct sink *s)
{
	enum kafka_answer a = kafka_txn_judge(s, rd_kafka_init_transactions(s->rk, INIT_MS), "transactions cannot be had");
	if (a == ANSWER_OK) {
		s->txn->state = TXN_RUNS;
		s->txn->again = false;
	}
	return a == ANSWER_OK ? 0 : AGAIN_MS;
}
