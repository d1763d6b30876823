/*
 * Spans of an input stand in a list in the order of the source. Closed spans leave it from its head only, so the head's
 * start is the input's settled position; a lane's is the start of the first span that is open for it.
 *
 * What is kept (ledger.h) runs ahead of that: each lane has a pointer to the first span of which it has not kept all, which
 * only moves on, so that a close costs the same whatever another lane has open.
 */
#include "router/lane/ledger.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/lane/progress.h"

/* A lane's part of a span. */
struct part {
	uint64_t first_seq;
	uint64_t position, events; /* reached: so many events, up to there; events 0: nothing */
};

struct span {
	struct ledger *ledger;
	struct span *next;
	uint64_t start, end;
	uint64_t number;                       /* in order */
	bool committed;
	unsigned held;                         /* things that no span has yet */
	bool had_held;                         /* things stood between its events that may not be where these are */
	uint64_t held_until;                   /* number of the last span that has such a thing, if above its own */
	unsigned lanes_open;
	uint64_t open[LEDGER_LANES_MAX / 64];  /* one bit a lane */
	struct part parts[];                   /* n_lanes */
};

struct ledger {
	pthread_mutex_t mutex;
	unsigned n_lanes;
	struct span *head, *tail;
	uint64_t position;       /* start of the head, or of what comes next */
	uint64_t opened;         /* spans so far */
	uint64_t *closed;        /* n_lanes: spans that the lane has closed */
	uint64_t *next_seq;      /* n_lanes: as of the newest span's end; filled by the next ledger_open */
	struct span **unkept;    /* n_lanes: the first span that is not committed, or of which not all is kept; NULL: none */
	struct progress *progress;
	size_t input;
	void (*news)(void *context);
	void *context;
};

int ledger_create(struct ledger **ret_ledger, unsigned n_lanes, void (*news)(void *context), void *context)
{
	assert(n_lanes <= LEDGER_LANES_MAX);
	struct ledger *l = mem_zero(1, sizeof *l);
	(void)pthread_mutex_init(&l->mutex, NULL);
	l->n_lanes = n_lanes;
	l->next_seq = mem_zero(n_lanes, sizeof *l->next_seq);
	l->closed = mem_zero(n_lanes, sizeof *l->closed);
	l->unkept = mem_zero(n_lanes, sizeof(struct span *));
	l->news = news;
	l->context = context;
	*ret_ledger = l;
	return 0;
}

void ledger_destroy(struct ledger *l)
{
	if (!l)
		return;
	while (l->head) {
		struct span *next = l->head->next;
		free(l->head);
		l->head = next;
	}
	(void)pthread_mutex_destroy(&l->mutex);
	free(l->next_seq);
	free(l->closed);
	free(l->unkept);
	free(l);
}

/* Under the mutex. Where the lane has kept all that is before it. */
static void tell_progress(struct ledger *l, unsigned lane)
{
	const struct span *s = l->unkept[lane];
	uint64_t position, seq;
	if (!l->progress)
		return;
	if (!s) {
		position = l->tail ? l->tail->end : l->position;
		seq = l->next_seq[lane];
	} else {
		const struct part *p = &s->parts[lane];
		bool reached = p->events && !s->had_held;
		position = reached ? p->position : s->start;
		seq = p->first_seq + (reached ? p->events : 0);
	}
	progress_settle(l->progress, l->input, lane, position, seq);
}

/* Has the lane kept all that it has of the span itself? */
static bool has_kept(const struct span *s, unsigned lane)
{
	return s->committed && !(s->open[lane / 64] & 1ull << (lane % 64));
}

/* And of what was held of it, too? */
static bool has_kept_all(const struct span *s, unsigned lane)
{
	if (s->held || !has_kept(s, lane))
		return false;
	for (const struct span *later = s->next; later && later->number <= s->held_until; later = later->next)
		if (!has_kept(later, lane))
			return false;
	return true;
}

/* Under the mutex, when `changed` has changed for the lane: its pointer goes on past what is kept. */
static void keep_on(struct ledger *l, unsigned lane, const struct span *changed)
{
	struct span *s = l->unkept[lane], *before = s;
	if (!s || (s != changed && s->held_until < changed->number))
		return;
	while (s && has_kept_all(s, lane))
		s = s->next;
	l->unkept[lane] = s;
	if (s != before)
		tell_progress(l, lane);
}

struct span *ledger_open(struct ledger *l, const uint64_t *first_seq)
{
	struct span *s = mem_zero(1, sizeof *s + l->n_lanes * sizeof *s->parts);
	s->ledger = l;
	for (unsigned i = 0; i < l->n_lanes; i++)
		s->parts[i].first_seq = first_seq[i];
	(void)pthread_mutex_lock(&l->mutex);
	assert(!l->tail || l->tail->committed);
	s->start = l->tail ? l->tail->end : l->position;
	s->number = l->opened++;
	if (l->tail)
		l->tail->next = s;
	else
		l->head = s;
	l->tail = s;
	for (unsigned i = 0; i < l->n_lanes; i++)
		if (!l->unkept[i])
			l->unkept[i] = s;
	(void)pthread_mutex_unlock(&l->mutex);
	return s;
}

/* Is everything of it done, what was held included? Of a span that is none of the list's last. */
static bool settled(const struct span *s)
{
	if (!s->committed || s->lanes_open || s->held)
		return false;
	for (const struct span *later = s->next; later && later->number <= s->held_until; later = later->next)
		if (!later->committed || later->lanes_open)
			return false;
	return true;
}

/* Takes closed spans off the head. Returns the list of them, to be freed without the lock. */
static struct span *settle(struct ledger *l)
{
	struct span *done = NULL;
	while (l->head && settled(l->head)) {
		struct span *s = l->head;
		l->head = s->next;
		if (!l->head)
			l->tail = NULL;
		l->position = s->end;
		s->next = done;
		done = s;
	}
	return done;
}

/* Unlocks, frees what settled, and tells. */
static void finish(struct ledger *l, struct span *done)
{
	bool news = done != NULL;
	(void)pthread_mutex_unlock(&l->mutex);
	while (done) {
		struct span *next = done->next;
		free(done);
		done = next;
	}
	if (news && l->news)
		l->news(l->context);
}

void ledger_join(struct span *s, unsigned lane)
{
	struct ledger *l = s->ledger;
	uint64_t bit = 1ull << (lane % 64);
	assert(lane < l->n_lanes);
	(void)pthread_mutex_lock(&l->mutex);
	assert(!s->committed && !(s->open[lane / 64] & bit));
	s->open[lane / 64] |= bit;
	s->lanes_open++;
	(void)pthread_mutex_unlock(&l->mutex);
}

void ledger_commit(struct span *s, uint64_t end, const uint64_t *next_seq)
{
	struct ledger *l = s->ledger;
	(void)pthread_mutex_lock(&l->mutex);
	assert(!s->committed && end >= s->start);
	s->end = end;
	s->committed = true;
	if (l->n_lanes)
		memcpy(l->next_seq, next_seq, l->n_lanes * sizeof *l->next_seq);
	for (unsigned i = 0; i < l->n_lanes; i++)
		keep_on(l, i, s);
	finish(l, settle(l));
}

void ledger_close(struct span *s, unsigned lane)
{
	struct ledger *l = s->ledger;
	uint64_t bit = 1ull << (lane % 64);
	(void)pthread_mutex_lock(&l->mutex);
	assert(s->open[lane / 64] & bit);
	s->open[lane / 64] &= ~bit;
	s->lanes_open--;
	l->closed[lane]++;
	keep_on(l, lane, s);
	finish(l, settle(l));
}

void ledger_keep_to(struct span *s, unsigned lane, uint64_t position, uint64_t events)
{
	struct ledger *l = s->ledger;
	struct part *p = &s->parts[lane];
	(void)pthread_mutex_lock(&l->mutex);
	assert(s->open[lane / 64] & 1ull << (lane % 64));
	assert(events >= p->events && position >= s->start && position >= p->position);
	p->position = position;
	p->events = events;
	if (l->unkept[lane] == s)
		tell_progress(l, lane);
	(void)pthread_mutex_unlock(&l->mutex);
}

void ledger_hold(struct span *s)
{
	struct ledger *l = s->ledger;
	(void)pthread_mutex_lock(&l->mutex);
	assert(!s->committed);
	s->held++;
	s->had_held = true;
	(void)pthread_mutex_unlock(&l->mutex);
}

void ledger_unhold(struct span *s, const struct span *in)
{
	struct ledger *l = s->ledger;
	(void)pthread_mutex_lock(&l->mutex);
	assert(s->held && !in->committed && in->number >= s->number);
	s->held--;
	if (s->held_until < in->number)
		s->held_until = in->number;
	(void)pthread_mutex_unlock(&l->mutex);
}

/* The first span, up to this one, of which something is in this one or in a later one; mostly this one itself. */
static const struct span *first_that_needs(const struct ledger *l, const struct span *s)
{
	const struct span *first = l->head;
	while (first != s && first->held_until < s->number)
		first = first->next;
	return first;
}

static struct ledger_lane lane_position(const struct ledger *l, unsigned lane)
{
	const uint64_t closed = l->closed[lane];
	for (const struct span *s = l->head; s; s = s->next)
		if (!s->committed || s->held || s->open[lane / 64] & 1ull << (lane % 64)) {
			s = first_that_needs(l, s);
			return (struct ledger_lane){ s->start, s->parts[lane].first_seq, closed };
		}
	return (struct ledger_lane){ l->tail ? l->tail->end : l->position, l->next_seq[lane], closed };
}

uint64_t ledger_positions(struct ledger *l, struct ledger_lane *ret_lanes)
{
	(void)pthread_mutex_lock(&l->mutex);
	uint64_t position = l->position;
	for (unsigned i = 0; ret_lanes && i < l->n_lanes; i++)
		ret_lanes[i] = lane_position(l, i);
	(void)pthread_mutex_unlock(&l->mutex);
	return position;
}

void ledger_numbers(struct ledger *l, uint64_t position, uint64_t *ret_seq)
{
	(void)pthread_mutex_lock(&l->mutex);
	const struct span *s = l->head;
	while (s && s->start < position)
		s = s->next;
	for (unsigned i = 0; i < l->n_lanes; i++)
		ret_seq[i] = s ? s->parts[i].first_seq : l->next_seq[i];
	(void)pthread_mutex_unlock(&l->mutex);
}

static bool is_open_for(const struct span *s, const uint64_t *lanes)
{
	bool open = !s->committed || s->held;
	for (size_t i = 0; i < LEDGER_LANES_MAX / 64; i++)
		open = open || s->open[i] & lanes[i];
	return open;
}

uint64_t ledger_reach(struct ledger *l, const uint64_t *lanes, uint64_t from)
{
	(void)pthread_mutex_lock(&l->mutex);
	uint64_t reach = l->tail && l->tail->committed ? l->tail->end : l->tail ? l->tail->start : l->position;
	for (const struct span *s = l->head; s; s = s->next)
		if (s->start >= from && is_open_for(s, lanes)) {
			reach = s->start;
			break;
		}
	(void)pthread_mutex_unlock(&l->mutex);
	return reach > from ? reach : from;
}

void ledger_start(struct ledger *l, uint64_t position, const uint64_t *next_seq)
{
	(void)pthread_mutex_lock(&l->mutex);
	assert(!l->head);
	l->position = position;
	if (l->n_lanes)
		memcpy(l->next_seq, next_seq, l->n_lanes * sizeof *l->next_seq);
	(void)pthread_mutex_unlock(&l->mutex);
}

void ledger_watch(struct ledger *l, struct progress *progress, size_t input)
{
	(void)pthread_mutex_lock(&l->mutex);
	assert(!l->head);
	l->progress = progress;
	l->input = input;
	for (unsigned i = 0; i < l->n_lanes; i++)
		tell_progress(l, i);
	(void)pthread_mutex_unlock(&l->mutex);
}

bool ledger_idle(struct ledger *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	bool idle = !l->head;
	(void)pthread_mutex_unlock(&l->mutex);
	return idle;
}
