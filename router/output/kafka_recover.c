/* Failures: what is refused, what is sent again and when, and what an operator hears of it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/lane.h"
#include "router/output/kafka_sink.h"

enum {
	PAUSE_FIRST_MS = 100,
	PAUSE_MAX_MS = 5000,
	DRAIN_MAX_MS = 10000,  /* then what is under way is called back */
	STALL_MS = 1000,       /* so long without a delivery is trouble, when something is known to be wrong */
	SILENCE_MS = 5000,     /* and so long when nothing is */
	FILES_LOOK_MS = 1000,  /* between two looks at the files of passwords and certificates, while there is trouble */
	ERROR_STAYS_MS = 10000, /* errors of several brokers take turns: one is shown so long */
	REASON_ROOM = 256,
};

/* ---- trouble ---- */

void kafka_report(struct sink *s, const char *trouble)
{
	if (!trouble && !s->in_trouble)
		return;
	s->in_trouble = trouble != NULL;
	lane_report(s->options.lane, trouble);
}

/* What librdkafka's words mean for whoever set this up; NULL: they say it. */
static const char *hint_of(const struct sink *s, rd_kafka_resp_err_t e, const char *text)
{
	if (e == RD_KAFKA_RESP_ERR__AUTHENTICATION && kafka_scram_is_old(&s->settings->client))
		return "Kafka 4 and newer refuse SCRAM from this librdkafka: 2.6.1 is needed";
	if (e == RD_KAFKA_RESP_ERR__AUTHENTICATION && strstr(text, "SASL"))
		return "are sasl.username and its password right?";
	if (strstr(text, " alert ") && (strstr(text, "certificate") || strstr(text, "unknown ca")))
		return "the broker refuses our certificate: are tls.certificate_file and key_file there, and right?";
	if (strstr(text, "certificate could not be verified"))
		return "is tls.ca_file right?";
	/* A broker that does not answer at all is another error before this one. */
	if (e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		return "they end the connections: do they want tls or sasl?";
	return NULL;
}

/* Without the parts that differ from time to time, so that the same trouble is the same text. */
void kafka_keep_error(struct sink *s, rd_kafka_resp_err_t e, const char *text)
{
	char *end;
	(void)snprintf(s->last_error_text, sizeof s->last_error_text, "%s",
		text && *text ? text : rd_kafka_err2str(e));
	if ((end = strstr(s->last_error_text, " (after ")))
		*end = 0;
	const char *hint = hint_of(s, e, s->last_error_text);
	size_t used = strlen(s->last_error_text);
	if (hint)
		(void)snprintf(s->last_error_text + used, sizeof s->last_error_text - used, " (%s)", hint);
	s->last_error = e;
	s->last_error_ms = clock_steady_ms();
}

static void recall(struct sink *s, bool inflight_too)
{
	int flags = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING;
	if (s->rk)
		(void)rd_kafka_purge(s->rk, inflight_too ? flags | RD_KAFKA_PURGE_F_INFLIGHT : flags);
}

static void set_state(struct sink *s, enum sink_state state)
{
	s->state = state;
	s->state_since_ms = clock_steady_ms();
}

static void start_draining(struct sink *s)
{
	if (s->state == SINK_DRAINS)
		return;
	/* What was not sent again yet stays; what was, is under way and comes back if it fails. */
	s->n_failed -= s->next_failed;
	memmove(s->failed, s->failed + s->next_failed, s->n_failed * sizeof(struct sent *));
	s->next_failed = 0;
	set_state(s, SINK_DRAINS);
}

void kafka_error(struct sink *s, rd_kafka_resp_err_t e, const char *text)
{
	char fatal[400];
	if (e == RD_KAFKA_RESP_ERR__FATAL && s->txn) {
		kafka_txn_fatal(s);
		return;
	}
	if (e == RD_KAFKA_RESP_ERR__FATAL) {
		rd_kafka_resp_err_t why = rd_kafka_fatal_error(s->rk, fatal, sizeof fatal);
		kafka_keep_error(s, why, fatal);
		kafka_report(s, s->last_error_text);
		s->restart = true;
		start_draining(s);
		recall(s, true);
		return;
	}
	bool fresh = s->last_error && clock_steady_ms() - s->last_error_ms < ERROR_STAYS_MS;
	if (fresh && (e == s->last_error || e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN))
		return;
	kafka_keep_error(s, e, text);
}

void kafka_watch(struct sink *s)
{
	int64_t waited_ms = s->waiting_since_ms ? clock_steady_ms() - s->waiting_since_ms : 0;
	if (waited_ms < STALL_MS || s->in_trouble)
		return;
	const char *topics = kafka_topics_trouble(s->topics);
	if (topics)
		kafka_report(s, topics);
	else if (s->last_error)
		kafka_report(s, s->last_error_text);
	else if (waited_ms >= SILENCE_MS)
		kafka_report(s, "no answer from the brokers");
}

bool kafka_files_changed(struct sink *s)
{
	int64_t now = clock_steady_ms();
	if (now < s->files_look_ms)
		return false;
	s->files_look_ms = now + FILES_LOOK_MS;
	if (kafka_files(s) == s->files)
		return false;
	log_line(LOG_INFO, s->log_fields, "a file with a password or certificate has changed: connecting anew");
	return true;
}

/* While brokers refuse this producer: one made of a password or certificate that was replaced may be let in. */
static void look_for_changed_files(struct sink *s)
{
	if (!s->in_trouble || s->state != SINK_RUNS || !kafka_files_changed(s))
		return;
	s->restart = true;
	start_draining(s);
	recall(s, true);
}

/* ---- records ---- */

/* The broker refuses a whole set of messages for one of them: which one it is, is seen when each has a set of its own. */
const char *kafka_code_of_refusal(rd_kafka_resp_err_t e)
{
	if (e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || e == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE)
		return "too_large";
	return e == RD_KAFKA_RESP_ERR_INVALID_RECORD ? "invalid_record" : NULL;
}

const char *kafka_limit_of(const struct sink *s, rd_kafka_resp_err_t e)
{
	if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL && s->in_flight == 0)
		return "queue.buffering.max.kbytes";
	return e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? "message.max.bytes" : NULL;
}

static struct kafka_topic *topic_of(struct sink *s, const struct sent *sent)
{
	return kafka_topics_of(s->topics, s->options.class_, sent->batch->cluster, sent->batch->input);
}

static void report_failure(struct sink *s, const struct sent *sent, rd_kafka_resp_err_t e)
{
	char text[sizeof s->last_error_text];
	const struct kafka_topic *topic = topic_of(s, sent);
	/* What was called back says nothing new: the reason is known. */
	if (e == RD_KAFKA_RESP_ERR__PURGE_QUEUE || e == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
		e == RD_KAFKA_RESP_ERR__FATAL)
		return;
	(void)snprintf(text, sizeof text, "topic %s: %s%s%s", topic->name, rd_kafka_err2str(e),
		topic->note[0] ? "; " : "", topic->note);
	kafka_keep_error(s, e, text);
	kafka_report(s, s->last_error_text);
}

void kafka_failed(struct sink *s, struct sent *sent, rd_kafka_resp_err_t e)
{
	char reason[REASON_ROOM];
	const char *code = kafka_code_of_refusal(e);
	if (code && s->single) {
		(void)snprintf(reason, sizeof reason, "the broker refuses it for topic %s: %s",
			topic_of(s, sent)->name, rd_kafka_err2str(e));
		s->event_refused = true;
		kafka_refuse(s, sent, code, reason);
		return;
	}
	s->restart = true;
	if (code) {
		s->single_wanted = true;
	} else {
		s->backoff = true;
		report_failure(s, sent, e);
	}
	start_draining(s);
	if (!sent->failed)
		s->failed_open++;
	sent->failed = true;
	assert(s->n_failed < s->n_slots);
	s->failed[s->n_failed++] = sent;
}

void kafka_succeeded(struct sink *s, const struct sent *sent)
{
	if (s->failed_open > (sent->failed ? 1u : 0u))
		return;
	s->pause_ms = 0;
	s->last_error = RD_KAFKA_RESP_ERR_NO_ERROR;
	kafka_report(s, NULL);
}

/* ---- sending again ---- */

static int by_order(const void *left, const void *right)
{
	const struct sent *a = *(struct sent *const *)left, *b = *(struct sent *const *)right;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Half of the pause is left to chance, so that producers that failed together do not come back together. */
static void back_off(struct sink *s)
{
	s->pause_ms = s->pause_ms ? s->pause_ms * 2 : PAUSE_FIRST_MS;
	if (s->pause_ms > PAUSE_MAX_MS)
		s->pause_ms = PAUSE_MAX_MS;
	s->pause_until_ms += s->pause_ms / 2 + rand_r(&s->chance) % (s->pause_ms / 2 + 1);
	s->backoff = false;
}

/* True: all is back. */
static bool drain(struct sink *s)
{
	int64_t now = clock_steady_ms();
	if (s->in_flight) {
		if (now - s->state_since_ms > DRAIN_MAX_MS) {
			recall(s, true);
			s->state_since_ms = now;
		}
		return false;
	}
	qsort(s->failed, s->n_failed, sizeof(struct sent *), by_order);
	s->pause_until_ms = now;
	if (s->backoff)
		back_off(s);
	set_state(s, SINK_PAUSES);
	return true;
}

static bool restart(struct sink *s)
{
	struct err err = { 0 };
	if (clock_steady_ms() < s->pause_until_ms)
		return false;
	kafka_producer_end(s);
	s->single = s->single || s->single_wanted;
	s->single_wanted = false;
	if (kafka_producer_start(s, &err) < 0) {
		s->pause_until_ms = clock_steady_ms() + PAUSE_MAX_MS;
		kafka_report(s, err.text);
		return false;
	}
	s->restart = false;
	set_state(s, SINK_RESENDS);
	return true;
}

void kafka_shrink_sets(struct sink *s)
{
	bool needed = !s->event_refused && s->batch_bytes > KAFKA_BATCH_BYTES_MIN;
	s->event_refused = false;
	if (!needed)
		return;
	s->batch_bytes /= 2;
	log_line(LOG_WARN, s->log_fields, "the broker takes no sets of messages that large: batch.size is now %lld",
		(long long)s->batch_bytes);
}

/* True: the state has changed. */
static bool resend(struct sink *s)
{
	while (s->next_failed < s->n_failed) {
		struct sent *sent = s->failed[s->next_failed];
		struct kafka_topic *topic = topic_of(s, sent);
		if (topic->state != TOPIC_READY)
			return false;
		rd_kafka_resp_err_t e = kafka_send(s, topic, sent);
		if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			return false;
		s->next_failed++;
		lane_count_retry(s->options.lane);
		if (e)
			kafka_failed(s, sent, e);
		if (s->state != SINK_RESENDS)
			return true;
	}
	if (s->single && s->in_flight)
		return false;
	s->n_failed = s->next_failed = 0;
	if (s->single) {
		s->single = false;
		kafka_shrink_sets(s);
		s->restart = true;
		start_draining(s);
	} else {
		set_state(s, SINK_RUNS);
	}
	return true;
}

static bool advance(struct sink *s)
{
	switch (s->state) {
	case SINK_DRAINS:
		return drain(s);
	case SINK_PAUSES:
		return restart(s);
	case SINK_RESENDS:
		return resend(s);
	case SINK_RUNS:
		break;
	}
	return false;
}

int kafka_step(struct sink *s)
{
	look_for_changed_files(s);
	while (advance(s))
		;
	kafka_watch(s);
	int topics_ms = kafka_topics_ask(s->topics), own_ms = -1;
	if (s->state == SINK_PAUSES) {
		int64_t left = s->pause_until_ms - clock_steady_ms();
		own_ms = left > 0 ? (int)left : 0;
	} else if (s->waiting_since_ms && !s->in_trouble) {
		own_ms = STALL_MS;
	}
	return topics_ms >= 0 && (own_ms < 0 || topics_ms < own_ms) ? topics_ms : own_ms;
}
