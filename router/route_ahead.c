/*
 * Sorting ahead: the chunks of a file are sorted by two threads, the input's own and one more, each chunk by one of them. What must
 * happen in the order of the source (route.h) is done by the input's thread, chunk by chunk.
 *
 * Chunks stand in a ring in the order of the source. The other thread sorts the first that waits; where that does not keep up, the
 * input's thread sorts one too instead of reading on. From the head of the ring what is sorted is routed. Sorting stops before the
 * first line that is no plain event (a list, a wrapper, a part, a broken line): from there on the chunk is routed as if nothing had been
 * sorted of it. So is all of it when a reload came between.
 *
 * kill -9: of what is in the ring nothing is in the ledger, so the source has it.
 * Memory:  AHEAD_CHUNKS chunks at most, which count against the budget. Whoever must wait for the budget catches up first.
 * Threads: where a chunk stands is under `mutex`; what is in its slot belongs to whoever took it. The feed's mutex is taken while that
 *          one is not held.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/lane/chunk.h"
#include "router/route_private.h"

enum {
	AHEAD_CHUNKS = 4,
	AHEAD_WAITING = 2,              /* when so many wait, the input's thread sorts one */
	AHEAD_BYTES_MIN = 64 * 1024,    /* less is routed at once: waking a thread for it would take longer */
	AHEAD_BYTES_MAX = 1024 * 1024,  /* and more, since what becomes of a large event is large too, and few of that may be in memory */
};

struct slot {
	enum { SLOT_WAITING, SLOT_TAKEN, SLOT_SORTED } state;
	struct chunk *chunk;
	uint64_t end;                   /* position of its end */
	struct feed_origin origin;      /* as it came, but for the number of the first line */
	struct feed_origin *live;       /* the caller's */
	struct stretch stretch;
	size_t sorted;                  /* bytes of the chunk that are */
	uint64_t lines;                 /* of these */
};

struct ahead {
	struct feed *feed;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t waiting, sorted; /* with it: a chunk waits, or is_ending; one is sorted */
	bool is_ending;
	struct sorter sorter;           /* the other thread's */
	struct slot slots[AHEAD_CHUNKS];
	unsigned first, n;
};

/* ---- sorting ---- */

static void sort_slot(struct slot *slot, struct sorter *sorter)
{
	struct view rest = { slot->chunk->bytes, slot->chunk->len };
	slot->lines = 0;
	sorter_take(sorter, &slot->stretch);
	while (rest.len) {
		struct view before = rest, line;
		struct event e;
		size_t at;
		enum decode_result result = sorter_decode(sorter, &rest, slot->end, &line, &e, &at);
		if (result == DECODE_OK) {
			(void)sorter_add(sorter, &e, NULL);
		} else if (result != DECODE_EMPTY) {
			rest = before;
			break;
		}
		slot->lines++;
	}
	slot->sorted = slot->chunk->len - rest.len;
}

static struct slot *slot_at(struct ahead *a, unsigned i)
{
	return &a->slots[(a->first + i) % AHEAD_CHUNKS];
}

/* Under the mutex. The first that waits, or NULL; *ret_n: how many do. */
static struct slot *first_waiting(struct ahead *a, unsigned *ret_n)
{
	struct slot *first = NULL;
	*ret_n = 0;
	for (unsigned i = a->n; i--;) {
		if (slot_at(a, i)->state != SLOT_WAITING)
			continue;
		first = slot_at(a, i);
		++*ret_n;
	}
	return first;
}

/* Under the mutex, which it leaves meanwhile. */
static void sort_for_others(struct ahead *a, struct slot *slot)
{
	slot->state = SLOT_TAKEN;
	(void)pthread_mutex_unlock(&a->mutex);
	sort_slot(slot, &a->sorter);
	(void)pthread_mutex_lock(&a->mutex);
	slot->state = SLOT_SORTED;
	(void)pthread_cond_signal(&a->sorted);
}

/* The same for the input's thread: the feed's sorter is under the feed's mutex. */
static void sort_myself(struct ahead *a, struct slot *slot)
{
	slot->state = SLOT_TAKEN;
	(void)pthread_mutex_unlock(&a->mutex);
	(void)pthread_mutex_lock(&a->feed->mutex);
	sort_slot(slot, &a->feed->sorter);
	(void)pthread_mutex_unlock(&a->feed->mutex);
	(void)pthread_mutex_lock(&a->mutex);
	slot->state = SLOT_SORTED;
}

static void *run_ahead(void *context)
{
	struct ahead *a = context;
	unsigned n;
	(void)pthread_mutex_lock(&a->mutex);
	while (!a->is_ending) {
		struct slot *slot = first_waiting(a, &n);
		if (slot)
			sort_for_others(a, slot);
		else
			(void)pthread_cond_wait(&a->waiting, &a->mutex);
	}
	(void)pthread_mutex_unlock(&a->mutex);
	return NULL;
}

/* ---- start and end ---- */

static void ahead_free(struct ahead *a)
{
	for (unsigned i = 0; i < AHEAD_CHUNKS; i++)
		stretch_finish(&a->slots[i].stretch);
	sorter_finish(&a->sorter);
	(void)pthread_cond_destroy(&a->waiting);
	(void)pthread_cond_destroy(&a->sorted);
	(void)pthread_mutex_destroy(&a->mutex);
	free(a);
}

/* NULL: there is one processor, or no thread to be had. */
static struct ahead *ahead_create(struct feed *f)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) < 2)
		return NULL;
	struct ahead *a = mem_zero(1, sizeof *a);
	a->feed = f;
	(void)pthread_mutex_init(&a->mutex, NULL);
	(void)pthread_cond_init(&a->waiting, NULL);
	(void)pthread_cond_init(&a->sorted, NULL);
	sorter_init(&a->sorter);
	for (unsigned i = 0; i < AHEAD_CHUNKS; i++)
		stretch_init(&a->slots[i].stretch, &f->options);
	if (pthread_create(&a->thread, NULL, run_ahead, a) == 0)
		return a;
	ahead_free(a);
	return NULL;
}

void ahead_destroy(struct ahead *a)
{
	if (!a)
		return;
	assert(!a->n);
	(void)pthread_mutex_lock(&a->mutex);
	a->is_ending = true;
	(void)pthread_cond_signal(&a->waiting);
	(void)pthread_mutex_unlock(&a->mutex);
	(void)pthread_join(a->thread, NULL);
	ahead_free(a);
}

/* ---- routing ---- */

/* A reload came after it was sorted, or is being sorted. */
static bool is_outdated(struct feed *f, const struct slot *slot)
{
	struct plan *now = route_plan(f->routing);
	bool outdated = slot->stretch.plan != now;
	plan_release(now);
	return outdated;
}

/* Under the feed's mutex. */
static int route_unsorted(struct feed *f, struct slot *slot)
{
	struct view rest = { slot->chunk->bytes + slot->sorted, slot->chunk->len - slot->sorted };
	slot->origin.offset += slot->sorted;
	slot->origin.first_line = slot->live->first_line;
	int64_t n = route_lines(f, slot->chunk, rest, slot->end, &slot->origin);
	if (n < 0)
		return (int)n;
	slot->live->first_line += (uint64_t)n;
	return 0;
}

/* What was sorted of a chunk, and then what was not. */
static int route_slot(struct feed *f, struct slot *slot)
{
	int r = -ESHUTDOWN;
	(void)pthread_mutex_lock(&f->mutex);
	if (is_outdated(f, slot))
		slot->sorted = slot->lines = 0;
	if (!f->gave_up) {
		slot->live->first_line += slot->lines;
		f->counters.lines += slot->lines;
		r = slot->sorted ? span_of(f, &slot->stretch, slot->end - (slot->chunk->len - slot->sorted)) : 0;
		if (r == 0 && slot->sorted < slot->chunk->len)
			r = route_unsorted(f, slot);
	}
	(void)pthread_mutex_unlock(&f->mutex);
	return r;
}

/* Under the mutex. What of it was sorted and not routed is left to its source. */
static void leave_head(struct ahead *a)
{
	struct slot *slot = slot_at(a, 0);
	stretch_forget(&slot->stretch);
	chunk_release(slot->chunk);
	slot->chunk = NULL;
	a->first = (a->first + 1) % AHEAD_CHUNKS;
	a->n--;
}

/* Under the mutex: what is in the ring is left to its source. */
static void leave_all(struct feed *f, struct ahead *a)
{
	f->left_some = true;
	for (unsigned i = 0; i < a->n; i++)
		if (slot_at(a, i)->state == SLOT_WAITING)
			slot_at(a, i)->state = SLOT_SORTED;
	while (a->n) {
		if (slot_at(a, 0)->state == SLOT_SORTED)
			leave_head(a);
		else
			(void)pthread_cond_wait(&a->sorted, &a->mutex);
	}
}

/* Under the mutex, which it leaves meanwhile. */
static int route_head(struct feed *f, struct ahead *a)
{
	(void)pthread_mutex_unlock(&a->mutex);
	int r = route_slot(f, slot_at(a, 0));
	(void)pthread_mutex_lock(&a->mutex);
	leave_head(a);
	if (r < 0)
		leave_all(f, a);
	return r;
}

/* Under the mutex. Routes what is sorted at the head; sorts, and waits, as far as it takes to make the ring empty, or to have room in it. */
static int route_ready(struct feed *f, struct ahead *a, bool all)
{
	int r = 0;
	while (r == 0 && a->n) {
		unsigned n_waiting;
		struct slot *waiting = first_waiting(a, &n_waiting);
		const bool full = all || a->n == AHEAD_CHUNKS;
		if (slot_at(a, 0)->state == SLOT_SORTED)
			r = route_head(f, a);
		else if (n_waiting >= AHEAD_WAITING || (full && waiting))
			sort_myself(a, waiting);
		else if (full)
			(void)pthread_cond_wait(&a->sorted, &a->mutex);
		else
			break;
	}
	return r;
}

/* Under the mutex, and there is room. */
static void put(struct feed *f, struct ahead *a, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	struct slot *slot = slot_at(a, a->n++);
	slot->state = SLOT_WAITING;
	slot->chunk = chunk_hold(chunk);
	slot->end = end;
	slot->origin = *origin;
	slot->live = origin;
	stretch_origin(&slot->stretch, origin);
	stretch_begin(&slot->stretch, route_plan(f->routing), chunk, end - chunk->len);
	(void)pthread_cond_signal(&a->waiting);
}

int feed_catch_up(struct feed *f)
{
	if (f->ahead) {
		(void)pthread_mutex_lock(&f->ahead->mutex);
		(void)route_ready(f, f->ahead, true); /* left_some tells */
		(void)pthread_mutex_unlock(&f->ahead->mutex);
	}
	return f->left_some ? -ESHUTDOWN : 0;
}

int feed_now(struct feed *f, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	int r = feed_catch_up(f);
	int64_t n = r == 0 ? feed_chunk(f, chunk, (struct view){ chunk->bytes, chunk->len }, end, origin) : r;
	if (n < 0)
		return (int)n;
	origin->first_line += (uint64_t)n;
	return 0;
}

static bool may_go_ahead(struct feed *f, const struct chunk *chunk)
{
	if (chunk->len < AHEAD_BYTES_MIN || chunk->len > AHEAD_BYTES_MAX)
		return false;
	if (join_holds(f))
		return false; /* parts become due with lines: these are routed one by one */
	if (!f->ahead_tried)
		f->ahead = ahead_create(f);
	f->ahead_tried = true;
	return f->ahead != NULL;
}

int feed_ahead(struct feed *f, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	assert(!origin->cluster && !origin->input);
	if (!may_go_ahead(f, chunk))
		return feed_now(f, chunk, end, origin);
	if (f->left_some)
		return -ESHUTDOWN;
	(void)pthread_mutex_lock(&f->ahead->mutex);
	put(f, f->ahead, chunk, end, origin);
	int r = route_ready(f, f->ahead, false);
	(void)pthread_mutex_unlock(&f->ahead->mutex);
	return r;
}
