/*
 * Outcomes of a lane's records, what is counted of them, and the trouble that an operator should see.
 *
 * Threads: outcomes in the worker's; lane_drop and lane_counters in any; see lane_private.h.
 */
#include "router/lane/lane_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/batch.h"
#include "router/lane/dead_letters.h"
#include "router/lane/lane_batch.h"
#include "router/lane/ledger.h"

enum { DEAD_LETTER_RETRY_MS = 1000, TROUBLE_AGAIN_MS = 30000 };

/* ---- counters ---- */

struct lane_counters lane_counters(const struct lane *l)
{
	struct lane *locked = (struct lane *)l;
	(void)pthread_mutex_lock(&locked->accounts);
	struct lane_counters counters = l->counters;
	(void)pthread_mutex_unlock(&locked->accounts);
	return counters;
}

void lane_account(struct lane *l, const struct lane_counters *more)
{
	struct lane_counters *c = &l->counters;
	(void)pthread_mutex_lock(&l->accounts);
	c->received_events += more->received_events;
	c->received_bytes += more->received_bytes;
	c->delivered_events += more->delivered_events;
	c->delivered_bytes += more->delivered_bytes;
	c->dropped_events += more->dropped_events;
	c->dropped_bytes += more->dropped_bytes;
	c->overflow_events += more->overflow_events;
	c->dead_events += more->dead_events;
	c->dead_bytes += more->dead_bytes;
	c->memory_events += more->memory_events;
	c->spooled_events += more->spooled_events;
	c->retries += more->retries;
	c->had_events += more->had_events;
	(void)pthread_mutex_unlock(&l->accounts);
}

void lane_drop(struct lane *l, uint64_t events, uint64_t bytes)
{
	lane_account(l, &(struct lane_counters){
		.received_events = events,
		.received_bytes = bytes,
		.dropped_events = events,
		.dropped_bytes = bytes,
	});
}

void lane_had(struct lane *l, uint64_t events)
{
	lane_account(l, &(struct lane_counters){ .had_events = events });
}

/* ---- trouble ---- */

void lane_report(struct lane *l, const char *trouble)
{
	if (!l)
		return;
	l = l->leader;
	int64_t now = clock_steady_ms();
	(void)pthread_mutex_lock(&l->mutex);
	bool was = l->trouble[0], is = trouble != NULL;
	(void)snprintf(l->trouble, sizeof l->trouble, "%s", is ? trouble : "");
	/* A trouble that lasts is told again now and then: its words may have changed. */
	bool tell = was != is || (is && now >= l->told_ms + TROUBLE_AGAIN_MS);
	if (tell)
		l->told_ms = now;
	(void)pthread_mutex_unlock(&l->mutex);
	if (tell && is)
		log_line(LOG_WARN, l->fields, "%s", trouble);
	else if (tell)
		log_line(LOG_INFO, l->fields, "runs well again");
}

void lane_trouble(struct lane *l, char *text, size_t room)
{
	l = l->leader;
	(void)pthread_mutex_lock(&l->mutex);
	(void)snprintf(text, room, "%s", l->trouble);
	(void)pthread_mutex_unlock(&l->mutex);
}

void lane_count_retry(struct lane *l)
{
	if (l)
		lane_account(l, &(struct lane_counters){ .retries = 1 });
}

/* ---- outcomes: the worker's thread ---- */

static void list_remove(struct lane *l, struct batch *b)
{
	*(b->prev ? &b->prev->next : &l->taken) = b->next;
	*(b->next ? &b->next->prev : &l->taken_tail) = b->prev;
}

void lane_list_add(struct lane *l, struct batch *b)
{
	b->next = NULL;
	b->prev = l->taken_tail;
	*(l->taken_tail ? &l->taken_tail->next : &l->taken) = b;
	l->taken_tail = b;
}

/*
 * How far all records of a batch have their outcome: these need not come again after kill -9. Also when it is done: its span may stay
 * without an end for long, while the input waits for another lane. Always to the end of a line: the other records of one whose
 * end is the same would not come again.
 */
void lane_reach(struct batch *b)
{
	const struct record *r = b->records;
	if (b->n_misfits)
		return; /* where these stood between the records is not known any more */
	uint32_t reached = b->reached;
	while (b->settled < b->n && (r[b->settled].outcome == RECORD_DELIVERED || r[b->settled].outcome == RECORD_DEAD)) {
		b->settled++;
		if (b->settled == b->n || r[b->settled].end != r[b->settled - 1].end)
			reached = b->settled;
	}
	if (reached == b->reached || !r[reached - 1].end)
		return;
	b->reached = reached;
	uint64_t position = b->start + r[reached - 1].end;
	if (b->stored)
		backlog_reach(b->lane->backlog, b, position);
	else if (b->span)
		ledger_keep_to(b->span, b->lane->options.number, position, reached);
}

/* So many of its records have an outcome that is settled; the last one ends the batch. */
static void outcome(struct batch *b, uint32_t count)
{
	struct lane *l = b->lane;
	assert(count <= b->open);
	b->open -= count;
	if (l)
		l->progress_ms = clock_steady_ms();
	if (l && (b->open || !b->stored))
		lane_reach(b);
	if (b->open)
		return;
	if (l) {
		list_remove(l->leader, b);
		if (b->stored)
			backlog_done(l->backlog, b);
		else if (b->span)
			ledger_close(b->span, l->options.number);
	}
	batch_free(b);
}

void lane_batch_delivered(struct batch *b, uint32_t count, uint64_t bytes)
{
	if (b->lane)
		lane_account(b->lane, &(struct lane_counters){
			.delivered_events = count,
			.delivered_bytes = bytes,
			.memory_events = -(uint64_t)count,
		});
	outcome(b, count);
}

static int write_dead_letter(const struct batch *b, struct view event, const char *code, const char *reason)
{
	struct lane *l = b->lane;
	struct dead_letter letter = {
		.reason = reason,
		.code = code,
		.input = b->input,
		.cluster = b->cluster,
		.output = l->options.output->name,
		.has_class = true,
		.class_ = l->options.class_,
		.is_json = true,
		.bytes = event,
	};
	int r = dead_letters_add(l->options.dead_letters, &letter);
	if (r < 0)
		lane_report(l, "the dead letters are full or cannot be written: the lane waits");
	else
		log_limited(LOG_WARN, l->fields, "dead letter (%s): %s", code, reason);
	return r;
}

static int bury(struct batch *b, uint32_t index, const char *code, const char *reason)
{
	struct view bytes = index < b->n ? b->records[index].bytes : b->misfits[index - b->n].bytes;
	int e = write_dead_letter(b, bytes, code, reason);
	if (e == 0)
		lane_account(b->lane, &(struct lane_counters){
			.dead_events = 1,
			.dead_bytes = bytes.len,
			.memory_events = -(uint64_t)1,
		});
	return e;
}

/* What keeps the outcome of a record, or of a misfit behind them. */
static uint8_t *outcome_of(struct batch *b, uint32_t index)
{
	return index < b->n ? &b->records[index].outcome : &b->misfits[index - b->n].outcome;
}

static void add_undead(struct lane *l, struct batch *b, uint32_t index, const char *code, const char *reason)
{
	*outcome_of(b, index) = RECORD_REFUSED;
	struct undead *u = mem_zero(1, sizeof *u);
	*u = (struct undead){ l->undead, b, index, mem_text(view_of(code)), mem_text(view_of(reason)) };
	l->undead = u;
	l->undead_next_ms = clock_steady_ms() + DEAD_LETTER_RETRY_MS;
}

void lane_batch_refused(struct batch *b, uint32_t index, const char *code, const char *reason)
{
	struct lane *l = b->lane;
	if (!l || bury(b, index, code, reason) == 0) {
		outcome(b, 1);
		return;
	}
	add_undead(l->leader, b, index, code, reason);
}

void lane_bury_misfits(struct lane *l, struct batch *b)
{
	static const char code[] = "too_large", reason[] = "larger than max_event_bytes even without managedFields and bodies";
	uint32_t buried = 0;
	for (uint32_t i = b->n; i < batch_events(b); i++) {
		uint8_t *state = outcome_of(b, i);
		if (*state != RECORD_OPEN)
			continue;
		if (l->undead || bury(b, i, code, reason) < 0) {
			add_undead(l, b, i, code, reason);
			continue;
		}
		*state = RECORD_DEAD;
		buried++;
	}
	if (buried)
		outcome(b, buried);
}

void lane_retry_undead(struct lane *l)
{
	if (!l->undead || clock_steady_ms() < l->undead_next_ms)
		return;
	while (l->undead) {
		struct undead *u = l->undead;
		if (bury(u->batch, u->index, u->code, u->reason) < 0) {
			l->undead_next_ms = clock_steady_ms() + DEAD_LETTER_RETRY_MS;
			return;
		}
		l->undead = u->next;
		*outcome_of(u->batch, u->index) = RECORD_DEAD;
		outcome(u->batch, 1);
		free(u->code);
		free(u->reason);
		free(u);
	}
	lane_report(l, NULL);
}
