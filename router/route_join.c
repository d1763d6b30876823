/*
 * Log entries that came in parts (event/join.h): held until all of them are there, then routed one behind the other.
 *
 * Nothing is lost at kill -9: what is held keeps its span open for every lane (ledger_hold), and from when it is routed until the
 * span where that happens is closed. Behind the lanes' back nothing passes: what a lane had before a restart is known by the place where a
 * part stands in its source, noted when it comes.
 *
 * A span is of one cluster, so only what is of the input's own is held, and leaves in spans of its own only. Parts whose cluster, or input, came
 * with the lines pass as they come: who wrote it beside them had them in order already.
 *
 * Threads: route_part and route_due by whoever has the feed's mutex. The releaser is a thread that starts with the first part ever
 *          held, and lets go what time alone makes due, while the input waits for its source. It may wait for a lane as the input does.
 */
#include <assert.h>
#include <time.h>

#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/event/join.h"
#include "router/route_private.h"

enum {
	HELD_PARTS_MAX = 1024,
	HELD_LINES_MAX = 100000,
	HELD_WAIT_MS = 5000,
	HELD_BYTES_MAX = 8 << 20,
	HELD_BYTES_PART = 4, /* of memory_max, where that is less */
	LANE_WORDS = LEDGER_LANES_MAX / 64,
};

/* What is known of a part when it comes: the tag of struct join_part. */
struct held {
	struct span *span;
	uint64_t skip[LANE_WORDS];
};

void join_start(struct feed *f)
{
	pthread_condattr_t attributes;
	const struct config *config = f->routing->plan->config;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&f->mutex, NULL);
	(void)pthread_cond_init(&f->held, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	/* What an exactly-once output commits is one position: it cannot leave out what is held behind it. */
	f->held_wait_ms = HELD_WAIT_MS;
	f->joins = true;
	for (size_t i = 0; i < config->n_outputs; i++)
		f->joins = f->joins && !output_exactly_once(&config->outputs[i]);
}

static void end_releaser(struct feed *f)
{
	if (!f->has_releaser)
		return;
	(void)pthread_mutex_lock(&f->mutex);
	f->is_ending = true;
	(void)pthread_cond_signal(&f->held);
	(void)pthread_mutex_unlock(&f->mutex);
	(void)pthread_join(f->releaser, NULL);
	f->has_releaser = false;
}

void join_end(struct feed *f)
{
	end_releaser(f);
	join_destroy(f->join);
	(void)pthread_cond_destroy(&f->held);
	(void)pthread_mutex_destroy(&f->mutex);
}

/* ---- routing ---- */

/* All parts get the class of the first: whatever they say, they were one. */
static void route_group(struct feed *f, struct join_group *g)
{
	struct verdict first;
	const struct verdict *given = NULL;
	for (const struct join_part *part = g->parts; part; part = part->next) {
		const struct held *held = part->tag;
		struct event e;
		size_t end;
		enum decode_result result = unwrap_decode(&f->unwrap, f->item_decoder, part->bytes, &e, &end);
		assert(result == DECODE_OK); /* it was when it came */
		(void)result;
		f->stretch.part_skip = held->skip;
		struct verdict v = sorter_add(&f->sorter, &e, given);
		f->stretch.part_skip = NULL;
		if (!given) {
			first = v;
			given = &first;
		}
		ledger_unhold(held->span, f->span);
	}
	if (g->distinct == g->total)
		f->counters.joined++;
	else
		f->counters.unjoined += g->n;
	join_group_free(g);
}

static void route_all_due(struct feed *f, bool all)
{
	struct join_group *g;
	while (f->join && (g = join_due(f->join, f->counters.lines, clock_steady_ms(), all)))
		route_group(f, g);
}

bool join_holds(struct feed *f)
{
	(void)pthread_mutex_lock(&f->mutex);
	bool holds = f->join && join_wait_ms(f->join, 0) >= 0;
	(void)pthread_mutex_unlock(&f->mutex);
	return holds;
}

uint64_t feed_taken(struct feed *f)
{
	(void)pthread_mutex_lock(&f->mutex); /* the releaser may be about to let some go */
	uint64_t n = feed_events(f) + (f->join ? join_parts(f->join) : 0);
	(void)pthread_mutex_unlock(&f->mutex);
	return n;
}

static bool is_own(const struct feed *f)
{
	return f->stretch.cluster.ptr == f->cluster && f->stretch.input.ptr == f->input->name;
}

void route_due(struct feed *f)
{
	if (is_own(f))
		route_all_due(f, false);
}

/* In a span of its own, which takes nothing of the source. */
static void release(struct feed *f, bool all)
{
	if (f->gave_up || !f->join || (!all && join_wait_ms(f->join, clock_steady_ms()) != 0) ||
		join_wait_ms(f->join, 0) < 0)
		return;
	stretch_origin(&f->stretch, &(struct feed_origin){ 0 }); /* the last lines' is gone with them */
	span_begin(f, NULL, f->end);
	route_all_due(f, all);
	(void)span_end(f, f->end);
}

/* ---- holding ---- */

static void *run_releaser(void *context)
{
	struct feed *f = context;
	(void)pthread_mutex_lock(&f->mutex);
	while (!f->is_ending) {
		struct timespec until;
		int64_t wait_ms = join_wait_ms(f->join, clock_steady_ms());
		if (wait_ms == 0) {
			release(f, false);
		} else if (wait_ms < 0) {
			(void)pthread_cond_wait(&f->held, &f->mutex);
		} else {
			(void)clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += wait_ms / 1000;
			until.tv_nsec += wait_ms % 1000 * 1000000 + 1000000;
			until.tv_sec += until.tv_nsec / 1000000000;
			until.tv_nsec %= 1000000000;
			(void)pthread_cond_timedwait(&f->held, &f->mutex, &until);
		}
	}
	(void)pthread_mutex_unlock(&f->mutex);
	return NULL;
}

/* False: nothing can be held. */
static bool start_holding(struct feed *f)
{
	if (f->join)
		return true;
	uint64_t bytes_max = f->routing->started->config->memory_max / HELD_BYTES_PART;
	struct join_limits limits = { HELD_PARTS_MAX, bytes_max && bytes_max < HELD_BYTES_MAX ? bytes_max : HELD_BYTES_MAX,
		HELD_LINES_MAX, f->held_wait_ms };
	f->join = join_create(&limits);
	f->has_releaser = pthread_create(&f->releaser, NULL, run_releaser, f) == 0;
	f->joins = f->has_releaser; /* without it a part could be held for ever */
	return f->joins;
}

/*
 * Whatever class it had before a restart: that of a group, which may be another one now. So it is had where all lanes of the output are
 * past it, and else comes again.
 */
static bool output_has_it(const struct feed *f, const struct plan_lane *lanes, unsigned lane)
{
	for (unsigned i = 0; i < f->routing->n_lanes; i++)
		if (lanes[i].output == lanes[lane].output && f->stretch.event_end > f->stretch.lane_skip[lanes[i].number])
			return false;
	return true;
}

static struct held *note(const struct feed *f)
{
	struct held *held = mem_zero(1, sizeof *held);
	const struct plan_lane *lanes = f->routing->started->lanes;
	held->span = f->span;
	for (unsigned i = 0; f->stretch.lane_skip && i < f->routing->n_lanes; i++)
		if (output_has_it(f, lanes, i))
			held->skip[lanes[i].number / 64] |= 1ull << (lanes[i].number % 64);
	return held;
}

void route_part(struct feed *f, const struct event *e, const struct log_entry_split *split)
{
	if (!f->joins || !is_own(f) || !start_holding(f) || !join_can(f->join, split, e->bytes.len)) {
		f->counters.unjoined++;
		(void)sorter_add(&f->sorter, e, NULL);
		return;
	}
	ledger_hold(f->span);
	struct join_group *g = join_add(f->join, split, e->bytes, note(f), f->counters.lines, clock_steady_ms());
	if (g)
		route_group(f, g);
	else
		(void)pthread_cond_signal(&f->held);
	route_due(f);
}

void feed_finish(struct feed *f)
{
	end_releaser(f);
	(void)pthread_mutex_lock(&f->mutex);
	f->joins = false;
	release(f, true);
	(void)pthread_mutex_unlock(&f->mutex);
}
