/*
 * Threads: everything under `mutex` is shared; what stands below "the worker's" belongs to the worker until lane_join.
 * The sink is the worker's too, but for sync() (output.h).
 */
#include "router/lane/lane_private.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/lane/batch.h"
#include "router/lane/commit_point.h"
#include "router/lane/dead_letters.h"
#include "router/lane/ledger.h"
#include "router/output/output.h"

enum {
	WAIT_MS = 1000,          /* the longest sleep of a worker with nothing to do */
	NAP_MS = 2,              /* of a worker that has just worked: pushes meanwhile do not wake it one by one */
	NAP_BEHIND_MS = 4,       /* and of one that has just put something into its spool: nobody waits for it */
	NAP_PART = 2,            /* but one that fills the queue to a half does */
	ROOM_WAIT_MS = 500,      /* how long an input waits for room in the queue of a lane that could spool, ... */
	FIRST_WAIT_MS = 200,     /* ... so long for the first outcome that it ever gets: connecting takes its time, */
	STALL_MS = 100,          /* and so long for one that was getting on */
	PATIENCE_PART = 200,      /* struct patience: this part of the time comes back */
	RATE_MS = 500,           /* a lane's rate is measured over so long at least */
	SLOW_BYTES_PER_MS = (32 << 20) / 1000,
	FULL_WARN_MS = 5000,     /* an input that waits so long for a lane is worth a line in the log */
};

const char *lane_name(const struct lane *l)
{
	return l->name;
}

const struct config_output *lane_output(const struct lane *l)
{
	return l->options.output;
}

enum audit_class lane_class(const struct lane *l)
{
	return l->options.class_;
}

unsigned lane_number(const struct lane *l)
{
	return l->options.number;
}

int64_t lane_progress_ms(const struct lane *l)
{
	return l->progress_ms;
}

void lane_describe(const struct lane *l, char *text, size_t room)
{
	l->ops->describe(l->options.config, l->options.output, l->options.class_, text, room);
}

bool lane_idle(const struct lane *l)
{
	return !l->backlogged && lane_counters(l).memory_events == 0;
}

static void wake(struct lane *l)
{
	uint64_t one = 1;
	(void)!write(l->wake_fd, &one, sizeof one);
}

void lane_wake(struct lane *l)
{
	wake(l->leader);
}

/* ---- the worker ---- */

static void free_list(struct batch *b)
{
	while (b) {
		struct batch *next = b->next;
		batch_free(b);
		b = next;
	}
}

static struct batch *queue_pop(struct lane *l)
{
	struct batch *b = l->head;
	if (!b)
		return NULL;
	l->head = b->next;
	if (!l->head)
		l->tail = NULL;
	l->queue_pins -= batch_pins(b);
	(void)pthread_cond_broadcast(&l->room);
	return b;
}

struct batch *lane_queue_pop(struct lane *l)
{
	(void)pthread_mutex_lock(&l->mutex);
	struct batch *b = queue_pop(l);
	(void)pthread_mutex_unlock(&l->mutex);
	return b;
}

/* `current` is new: what of it is not for the sink goes its own way, and it is no longer in hand when that was all of it. */
static void take_in_hand(struct lane *l)
{
	struct batch *b = l->current;
	l->current_next = 0;
	while (l->current_next < b->n && b->records[l->current_next].outcome != RECORD_OPEN)
		l->current_next++; /* these came out of the spool already */
	if (l->current_next == b->n)
		l->current = NULL;
	l->again = !l->current;
	lane_list_add(l, b);
	if (b->n_misfits)
		lane_bury_misfits(l, b);
}

/* Ms until a worker that has nothing to do now sleeps; 0: at once. */
static int nap(struct lane *l, bool idle)
{
	if (!idle || l->finishing || l->stopping) {
		l->nap_until_ms = INT64_MAX;
		return 0;
	}
	int64_t now = clock_steady_ms();
	if (l->nap_until_ms == INT64_MAX)
		l->nap_until_ms = now + NAP_MS;
	return l->nap_until_ms > now ? (int)(l->nap_until_ms - now) : 0;
}

/*
 * Takes the next batch in hand if there is none: from the spool while the lane is behind, else from the queue.
 * *ret_flush: there is none, and the sink has all that it should wait for. False: the lane stops.
 */
static bool next_batch(struct lane *l, bool *ret_flush)
{
	bool wanted = !l->current && !l->undead;
	l->again = false;
	if (wanted && backlog_behind(l->backlog))
		l->current = backlog_next(l->backlog);
	(void)pthread_mutex_lock(&l->mutex);
	bool stopping = l->stopping, direct = !backlog_behind(l->backlog);
	if (!stopping && wanted && direct && !l->current)
		l->current = queue_pop(l);
	if (direct) {
		l->nap_ms = nap(l, !l->head && !l->current);
		l->asleep = !l->head && !l->current && l->nap_ms == 0;
	} else {
		l->nap_ms = l->head && !stopping ? NAP_BEHIND_MS : 0; /* the queue is emptied before it */
		l->asleep = l->nap_ms == 0;
	}
	l->napping = l->nap_ms > 0;
	*ret_flush = !l->current && !l->head && (l->finishing || (l->options.prompt && l->asleep));
	(void)pthread_mutex_unlock(&l->mutex);
	if (wanted && l->current)
		take_in_hand(l);
	return !stopping;
}

/* Gives the sink what it takes of the batch in hand. True: all of it. */
static bool give(struct lane *l)
{
	struct batch *b = l->current;
	uint32_t n = b->n, first = l->current_next;
	/* put() may report all records at once and so free the batch. */
	uint32_t taken = l->ops->put(l->sink, b, first);
	assert(taken <= n - first);
	l->current_next = first + taken;
	if (l->current_next < n)
		return false;
	l->current = NULL;
	return true;
}

static void *work(void *context)
{
	struct lane *l = context;
	bool flush;
	while (next_batch(l, &flush)) {
		int timeout_ms = backlog_work(l->backlog, l->again ? 0 : l->nap_ms ? l->nap_ms : WAIT_MS);
		if (l->current && give(l))
			timeout_ms = 0;
		else if (flush && l->ops->flush)
			l->ops->flush(l->sink);
		l->ops->wait(l->sink, timeout_ms);
		uint64_t count;
		(void)!read(l->wake_fd, &count, sizeof count);
		lane_retry_undead(l);
	}
	/* lane_push takes nothing any more. What the spool has no room for, or where there is none, stays at the source. */
	if (l->backlog)
		(void)backlog_store_all(l->backlog);
	(void)pthread_mutex_lock(&l->mutex);
	struct batch *left = l->head;
	l->head = l->tail = NULL;
	(void)pthread_mutex_unlock(&l->mutex);
	free_list(left);
	return NULL;
}

/* ---- main's and the inputs' ---- */

static int open_sink(struct lane *l, struct err *err)
{
	struct sink_options options = {
		.config = l->options.config,
		.output = l->options.output,
		.class_ = l->options.class_,
		.lane = l,
		.wake_fd = l->wake_fd,
		.open_bytes_max = l->options.share_bytes,
		.commits = l->options.commits,
		.instance = l->options.instance,
	};
	return l->ops->open(&l->sink, &options, err);
}

static int open_backlog(struct lane *l, struct err *err)
{
	if (!l->options.spool_folder)
		return 0;
	struct backlog_options options = {
		.folder = l->options.spool_folder,
		.bytes_max = l->options.output->common.spool_max,
		.after_ms = l->options.output->common.spool_after_ms,
		.forgotten = l->options.spool_forgotten,
	};
	return backlog_open(&l->backlog, l, &options, err);
}

/* An exactly-once output: nothing is read before it is known what was committed. */
static int resume(struct lane *l, struct err *err)
{
	int r = l->ops->resume && l->options.commits ? -EAGAIN : 0;
	while (r == -EAGAIN) {
		if (!l->options.commits->may_wait(l->options.commits->context))
			return err_set(err, "its brokers have not said how far it has come"), -ECANCELED;
		r = l->ops->resume(l->sink, err);
	}
	return r;
}

static int start_worker(struct lane *l, struct err *err)
{
	int r = -pthread_create(&l->worker, NULL, work, l);
	return r < 0 ? err_set(err, "cannot start a thread: %s", strerror(-r)), r : 0;
}

int lane_start(struct lane **ret_lane, const struct lane_options *options, struct err *err)
{
	struct lane *l = mem_zero(1, sizeof *l);
	const char *class_ = audit_class_name(options->class_);
	l->options = *options;
	l->ops = options->output->ops;
	(void)snprintf(l->name, sizeof l->name, "%s/%s", options->output->name, class_);
	(void)snprintf(l->fields, sizeof l->fields, options->commits ? "output=%s" : "output=%s class=%s", options->output->name,
		class_);
	l->leader = options->leader ? options->leader : l;
	(void)pthread_mutex_init(&l->mutex, NULL);
	(void)pthread_mutex_init(&l->accounts, NULL);
	(void)pthread_cond_init(&l->room, NULL);
	l->progress_ms = clock_steady_ms();
	l->wake_fd = -1;
	if (l->leader != l) {
		l->ended = true;
		*ret_lane = l;
		return 0;
	}
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = l->wake_fd < 0 ? -errno : 0;
	if (r < 0)
		(void)err_set(err, "eventfd: %s", strerror(-r));
	if (r == 0)
		r = open_backlog(l, err);
	if (r == 0)
		r = open_sink(l, err);
	if (r == 0)
		r = resume(l, err);
	if (r == 0)
		r = start_worker(l, err);
	if (r < 0) {
		if (l->sink)
			l->ops->close(l->sink);
		backlog_close(l->backlog);
		if (l->wake_fd >= 0)
			(void)close(l->wake_fd);
		free(l);
		return r;
	}
	*ret_lane = l;
	return 0;
}

/* The queue has room, or is empty: one batch always passes. */
static bool queue_has_room(const struct lane *l, uint64_t pins)
{
	return !l->head || l->queue_pins + pins <= l->options.share_bytes;
}

static void drop(struct lane *l, struct batch *b)
{
	lane_account(l, &(struct lane_counters){
		.dropped_events = batch_events(b),
		.dropped_bytes = b->bytes,
		.overflow_events = batch_events(b),
		.memory_events = -(uint64_t)batch_events(b),
	});
	log_limited(LOG_WARN, l->fields, "the queue is full: events are dropped, as best_effort has it");
	if (b->span)
		ledger_close(b->span, l->options.number);
	batch_free(b);
}

/* Has it passed on less than a spool would take, of late? Under the mutex. */
static bool is_slow(struct lane *l, int64_t now)
{
	uint64_t delivered = lane_counters(l).delivered_bytes;
	if (now - l->rate_ms[1] >= RATE_MS) {
		l->rate_ms[0] = l->rate_ms[1];
		l->rate_bytes[0] = l->rate_bytes[1];
		l->rate_ms[1] = now;
		l->rate_bytes[1] = delivered;
	}
	return delivered - l->rate_bytes[0] < (uint64_t)(now - l->rate_ms[0]) * SLOW_BYTES_PER_MS;
}

static int64_t patience_left(struct patience *p, int64_t now)
{
	int64_t back = (now - p->at_ms) / PATIENCE_PART;
	p->spent_ms = back < p->spent_ms ? p->spent_ms - back : 0;
	p->at_ms = p->spent_ms ? p->at_ms + back * PATIENCE_PART : now;
	return p->spent_ms < ROOM_WAIT_MS ? ROOM_WAIT_MS - p->spent_ms : 0;
}

/* How long an input that finds no room may wait before a lane with a spool uses it. Under the mutex. */
static int64_t room_wait(struct lane *l, bool slow, struct patience *patience, int64_t now)
{
	if (l->trouble[0])
		return 0;
	if (!slow)
		return ROOM_WAIT_MS;
	const struct lane_counters c = lane_counters(l);
	int64_t left = patience_left(patience, now);
	int64_t stalled = l->progress_ms + (c.delivered_events + c.dead_events ? STALL_MS : FIRST_WAIT_MS) - now;
	return stalled < 0 ? 0 : left < stalled ? left : stalled;
}

/* Waits for room, under the mutex, and says so in the log when that takes long. */
static void wait_for_room(struct lane *l, uint64_t pins, struct patience *patience)
{
	struct timespec until;
	if (l->stopping || queue_has_room(l, pins))
		return;
	const int64_t start = clock_steady_ms();
	const bool slow = is_slow(l, start) && !l->backlogged;
	const int64_t may_wait = room_wait(l, slow, patience, start);
	l->n_waiting++;
	while (!l->stopping && !queue_has_room(l, pins)) {
		if (!l->spool_at_ms || l->spool_at_ms > start + may_wait) {
			l->spool_at_ms = start + may_wait;
			wake(l); /* so that it looks when to fall behind */
		}
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += FULL_WARN_MS / 1000;
		if (pthread_cond_timedwait(&l->room, &l->mutex, &until) == ETIMEDOUT)
			log_limited(LOG_WARN, l->fields, "the lane is full: its inputs wait for it");
	}
	if (--l->n_waiting == 0) /* the others still wait, and no longer than until then */
		l->spool_at_ms = 0;
	if (slow)
		patience->spent_ms += clock_steady_ms() - start;
}

static void receive(struct lane *l, struct batch *b, int64_t now)
{
	assert(b->open && b->open == batch_events(b));
	b->lane = l;
	b->pushed_ms = now;
	if (lane_idle(l))
		l->progress_ms = now;
	lane_account(l, &(struct lane_counters){
		.received_events = batch_events(b),
		.received_bytes = b->bytes,
		.memory_events = batch_events(b),
	});
}

int lane_push(struct lane *l, struct batch *b, struct patience *patience)
{
	uint64_t pins = 0;
	struct batch *last = b;
	const int64_t now = clock_steady_ms();
	for (struct batch *each = b; each; each = each->next) {
		receive(l->options.commits ? each->lane : l, each, now);
		pins += batch_pins(each);
		last = each;
	}
	(void)pthread_mutex_lock(&l->mutex);
	if (l->options.output->common.guarantee == BEST_EFFORT && !queue_has_room(l, pins)) {
		(void)pthread_mutex_unlock(&l->mutex);
		drop(l, b);
		return 0;
	}
	wait_for_room(l, pins, patience);
	if (l->stopping) {
		(void)pthread_mutex_unlock(&l->mutex);
		free_list(b); /* still held, at the source: the counters keep it */
		return -ESHUTDOWN;
	}
	if (l->tail)
		l->tail->next = b;
	else
		l->head = b;
	l->tail = last;
	l->queue_pins += pins;
	bool asleep = l->asleep || (l->napping && l->queue_pins >= l->options.share_bytes / NAP_PART);
	if (asleep)
		l->asleep = l->napping = false;
	(void)pthread_mutex_unlock(&l->mutex);
	if (asleep)
		wake(l);
	return 0;
}

bool lane_may_commit(struct lane *l, const struct span *last)
{
	(void)pthread_mutex_lock(&l->mutex);
	bool more = l->head && l->head->span == last;
	(void)pthread_mutex_unlock(&l->mutex);
	return !more && (!l->current || l->current->span != last) && !l->undead;
}

bool lane_is_buried(const struct lane *l)
{
	return !l->undead;
}

void lane_finish(struct lane *l)
{
	l = l->leader;
	(void)pthread_mutex_lock(&l->mutex);
	l->finishing = true;
	(void)pthread_mutex_unlock(&l->mutex);
	wake(l);
}

void lane_stop(struct lane *l)
{
	l = l->leader;
	(void)pthread_mutex_lock(&l->mutex);
	l->stopping = true;
	(void)pthread_cond_broadcast(&l->room);
	(void)pthread_mutex_unlock(&l->mutex);
	wake(l);
}

void lane_wait(struct lane *l)
{
	if (!l->ended)
		(void)pthread_join(l->worker, NULL);
	l->ended = true;
}

void lane_join(struct lane *l)
{
	if (!l)
		return;
	lane_wait(l);
	if (l->sink)
		l->ops->close(l->sink);
	free_list(l->taken);
	backlog_close(l->backlog);
	while (l->undead) {
		struct undead *u = l->undead;
		l->undead = u->next;
		free(u->code);
		free(u->reason);
		free(u);
	}
	if (l->wake_fd >= 0)
		(void)close(l->wake_fd);
	(void)pthread_cond_destroy(&l->room);
	(void)pthread_mutex_destroy(&l->accounts);
	(void)pthread_mutex_destroy(&l->mutex);
	free(l);
}

void lane_relieve(struct lane *l)
{
	backlog_relieve(l->backlog);
}

int lane_sync(struct lane *l)
{
	const uint64_t delivered = backlog_delivered(l->backlog);
	int r = backlog_sync(l->backlog);
	if (r == 0 && l->ops->sync && l->sink)
		r = l->ops->sync(l->sink);
	if (r == 0 && l->options.dead_letters)
		r = dead_letters_sync(l->options.dead_letters);
	if (r == 0)
		backlog_durable(l->backlog, delivered);
	return r;
}
