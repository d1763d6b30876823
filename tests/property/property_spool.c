/*
 * The spool against a list, with power cuts: property_spool [ROUNDS [SEED]].
 *
 * A spool on a simulated disk is driven by random calls, and a list says what it must hold. Then power is cut:
 *   in order   during every change of a short run, after every byte of it;
 *   reordered  at random points of long runs, losing random sectors and names of what was not synced.
 * Each disk that results is opened, and what comes out must be the list from somewhere between the last synced cursor and
 * what was forgotten, without a gap after that, at least to the last sync and at most to the last append.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/units.h"
#include "router/lane/spool.h"
#include "router/lane/spool_segment.h"
#include "tests/tools/sim_disk.h"

enum { ROUNDS = 60, EVENTS_MAX = 4000, IMAGES_A_ROUND = 12, CALLS_MAX = 120 };

/* What the spool promised when the disk's log was so long. */
struct promise {
	size_t begun, done;         /* length of the log before and after the call */
	size_t appended, forgotten; /* counts at its end */
	size_t synced, cursor;      /* what is durable at its end: records, and the read position */
};

struct run {
	struct sim_disk *disk;
	struct spool *spool;
	struct spool_options options;
	uint64_t ids[EVENTS_MAX];       /* what was appended, and where it is */
	uint64_t positions[EVENTS_MAX];
	size_t read;                    /* by the reader, as an index of ids */
	struct promise now;
	struct promise *history;
	size_t n_history, history_room;
	uint64_t next_id;
	uint64_t seed;
	uint64_t images, refused;
	bool cursor_full;
};

static uint64_t run_seed;

#define CHECK(condition)                                                                          \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: not so: %s (seed %" PRIu64 ")\n", __FILE__, __LINE__, \
				#condition, run_seed);                                            \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

static uint64_t below(struct run *t, uint64_t n)
{
	return sim_random(&t->seed) % n;
}

/* The record with that id: all of it follows from the id. */
static struct spool_record record_of(uint64_t id, struct buf *bytes)
{
	static const char *const names[] = { "", "a", "exec-and-attach", "a-rather-long-name-of-something" };
	uint64_t seed = id * 0x9e3779b97f4a7c15 + 1;
	size_t len = sim_random(&seed) % 4 ? sim_random(&seed) % 200 : sim_random(&seed) % 1500;
	buf_clear(bytes);
	for (size_t i = 0; i < len; i++)
		buf_add_byte(bytes, (char)(' ' + sim_random(&seed) % 90));
	return (struct spool_record){
		.seq = id,
		.class_ = (uint8_t)(id % 4),
		.rule = view_of(names[sim_random(&seed) % 4]),
		.input = view_of(names[sim_random(&seed) % 4]),
		.cluster = view_of(names[sim_random(&seed) % 4]),
		.event = buf_view(bytes),
	};
}

static void check_record(const struct spool_record *r, uint64_t id)
{
	struct buf bytes = { 0 };
	struct spool_record wanted = record_of(id, &bytes);
	CHECK(r->seq == id);
	CHECK(r->class_ == wanted.class_);
	CHECK(view_eq(r->rule, wanted.rule));
	CHECK(view_eq(r->input, wanted.input));
	CHECK(view_eq(r->cluster, wanted.cluster));
	CHECK(view_eq(r->event, wanted.event));
	buf_finish(&bytes);
}

static struct spool *open_on(const struct spool_options *options, struct sim_disk *disk)
{
	struct spool *spool;
	struct err err = { 0 };
	struct spool_files files = sim_disk_files(disk);
	int r = spool_open_files(&spool, options, &files, &err);
	if (r < 0)
		fprintf(stderr, "open: %s: %s\n", err.file, err.text);
	CHECK(r == 0);
	return spool;
}

static void promise_begin(struct run *t)
{
	t->now.begun = sim_disk_log_length(t->disk);
}

static void promise_end(struct run *t)
{
	t->now.done = sim_disk_log_length(t->disk);
	if (t->n_history == t->history_room) {
		t->history_room = t->history_room ? t->history_room * 2 : 64;
		t->history = mem_resize(t->history, t->history_room * sizeof *t->history);
	}
	t->history[t->n_history++] = t->now;
}

/* What must and may come out when the log ends at, or within, that entry. */
static struct promise promise_at(const struct run *t, size_t entry)
{
	struct promise p = t->history[0];
	for (size_t i = 1; i < t->n_history; i++) {
		const struct promise *h = &t->history[i];
		if (h->begun <= entry) {
			p.appended = h->appended;
			p.forgotten = h->forgotten;
		}
		if (h->done <= entry) {
			p.synced = h->synced;
			p.cursor = h->cursor;
		}
	}
	return p;
}

/* Reads all of it; returns the index of the first and how many. Leaves the reader at the end. */
static void drain(struct run *t, struct spool *spool, const struct promise *p, size_t *ret_from, size_t *ret_n,
	uint64_t *positions)
{
	struct spool_record r;
	uint64_t position, last = 0;
	size_t next = 0, n = 0;
	int got;
	while ((got = spool_next(spool, &r, &position)) != -EAGAIN) {
		if (got == -EBADMSG) {
			/* Only where a segment is missing, and only one that was forgotten, which comes to light below. */
			continue;
		}
		CHECK(got == 0);
		CHECK(position > last);
		last = position;
		size_t i = next;
		while (i < p->appended && t->ids[i] != r.seq)
			i++;
		CHECK(i < p->appended);
		check_record(&r, r.seq);
		if (n == 0) {
			CHECK(i >= p->cursor);
			CHECK(i <= p->forgotten);
		} else if (i != next) {
			CHECK(i <= p->forgotten);
			n = 0; /* the ones before the gap were forgotten: they do not count */
		}
		if (n == 0)
			*ret_from = i;
		positions[n++] = position;
		next = i + 1;
	}
	*ret_n = n;
	CHECK(next >= p->synced || p->synced <= p->forgotten);
	CHECK(next <= p->appended);
}

/* The disk that a crash left opens and keeps the promise. Opened twice: opening must not change what is there. */
static void check_image(struct run *t, struct sim_disk *image, const struct promise *p)
{
	static uint64_t positions[EVENTS_MAX];
	size_t from = 0, n = 0, again_from = 0, again_n = 0;
	struct spool *spool = open_on(&t->options, image);
	CHECK(spool_state(spool).damaged == 0);
	drain(t, spool, p, &from, &n, positions);
	struct spool_state state = spool_state(spool);
	CHECK(state.records >= n);
	if (!state.damaged)
		CHECK(state.records == n);
	spool_close(spool);
	spool = open_on(&t->options, image);
	CHECK(spool_state(spool).torn_bytes == 0);
	drain(t, spool, p, &again_from, &again_n, positions);
	CHECK(n == again_n);
	CHECK(n == 0 || from == again_from);
	spool_close(spool);
	t->images++;
}

/* Goes on with this disk: what comes out of it is the list from now on. */
static void adopt(struct run *t, struct sim_disk *disk, const struct promise *p)
{
	size_t from = 0, n = 0;
	bool settled = disk != t->disk; /* else opening is what makes it durable */
	if (settled)
		sim_disk_destroy(t->disk);
	t->disk = disk;
	size_t log = sim_disk_log_length(disk);
	t->spool = open_on(&t->options, disk);
	if (!settled)
		log = sim_disk_log_length(disk);
	drain(t, t->spool, p, &from, &n, t->positions);
	memmove(t->ids, t->ids + from, n * sizeof *t->ids);
	if (n)
		spool_rewind(t->spool);
	t->read = 0;
	t->now = (struct promise){ .begun = log, .done = log, .appended = n, .synced = n };
	t->n_history = 0;
	promise_end(t);
	t->history[0].done = log;
	/* A gap leaves forgotten records before the list: let the spool know what the list knows. */
	if (spool_state(t->spool).records > n || spool_state(t->spool).damaged) {
		spool_close(t->spool);
		sim_disk_destroy(t->disk);
		t->disk = sim_disk_create();
		t->spool = open_on(&t->options, t->disk);
		t->now = (struct promise){ .done = sim_disk_log_length(t->disk) };
		t->n_history = 0;
		promise_end(t);
	}
}

static bool append_one(struct run *t, const struct spool_record *r)
{
	uint64_t position;
	int got = spool_append(t->spool, r, &position);
	CHECK(got == 0 || got == -ENOSPC);
	if (got == 0) {
		CHECK(t->now.appended == 0 || position > t->positions[t->now.appended - 1]);
		t->ids[t->now.appended] = r->seq;
		t->positions[t->now.appended++] = position;
	}
	return got == 0;
}

static void do_append(struct run *t)
{
	struct buf bytes = { 0 };
	if (t->now.appended == EVENTS_MAX)
		return;
	struct spool_record r = record_of(t->next_id, &bytes);
	if (!append_one(t, &r))
		t->refused++;
	t->next_id++;
	buf_finish(&bytes);
}

/* All of them, or none, and then as many as there is room for one by one. */
static void do_append_many(struct run *t)
{
	enum { MOST = 5 };
	struct spool_record records[MOST];
	struct buf bytes[MOST] = { 0 };
	uint64_t position;
	unsigned n = 2 + (unsigned)below(t, MOST - 1);
	if (t->now.appended + n > EVENTS_MAX)
		return;
	for (unsigned i = 0; i < n; i++)
		records[i] = record_of(t->next_id + i, &bytes[i]);
	int got = spool_append_many(t->spool, records, n, &position);
	CHECK(got == 0 || got == -ENOSPC);
	t->refused += got != 0;
	for (unsigned i = n; got == 0 && i-- > 0; position -= frame_size(&records[i])) {
		t->ids[t->now.appended + i] = t->next_id + i;
		t->positions[t->now.appended + i] = position;
	}
	if (got == 0)
		t->now.appended += n;
	for (unsigned i = 0; got < 0 && i < n && append_one(t, &records[i]); i++)
		continue;
	t->next_id += n;
	for (unsigned i = 0; i < n; i++)
		buf_finish(&bytes[i]);
}

static void do_next(struct run *t)
{
	struct spool_record r;
	uint64_t position;
	int got = spool_next(t->spool, &r, &position);
	if (t->read == t->now.appended) {
		CHECK(got == -EAGAIN);
		return;
	}
	CHECK(got == 0);
	check_record(&r, t->ids[t->read]);
	CHECK(position == t->positions[t->read]);
	t->read++;
}

static void do_forget(struct run *t)
{
	if (t->read <= t->now.forgotten)
		return;
	size_t count = t->now.forgotten + 1 + below(t, t->read - t->now.forgotten);
	t->now.forgotten = count;
	spool_forget(t->spool, t->positions[count - 1]);
}

static void do_sync(struct run *t)
{
	CHECK(spool_sync(t->spool) == 0);
	t->now.synced = t->now.appended;
	if (!t->cursor_full)
		t->now.cursor = t->now.forgotten;
}

/* Another thread's sync, after a segment was begun and before a record is in it, or between two records. */
static void sync_meanwhile(void *context)
{
	struct run *t = context;
	if (below(t, 4) == 0)
		do_sync(t);
}

/* The disk as the calls find it: with another thread that syncs, and perhaps without room for the cursor. */
static void set_disk(struct run *t, bool cursor_full)
{
	t->cursor_full = cursor_full;
	sim_disk_fill(t->disk, cursor_full ? "cursor" : NULL);
	sim_disk_before_records(t->disk, sync_meanwhile, t);
}

static void call(struct run *t)
{
	promise_begin(t);
	uint64_t what = below(t, 100);
	if (what < 45)
		if (below(t, 4))
			do_append(t);
		else
			do_append_many(t);
	else if (what < 75)
		do_next(t);
	else if (what < 86)
		do_forget(t);
	else if (what < 96)
		do_sync(t);
	else if (what < 97)
		set_disk(t, below(t, 2));
	else if (what < 98)
		sim_disk_set_room(t->disk, below(t, 2) ? UINT64_MAX : 9000 + below(t, t->options.bytes_max));
	else {
		spool_rewind(t->spool);
		t->read = t->now.forgotten;
	}
	promise_end(t);
	struct spool_state state = spool_state(t->spool);
	CHECK(state.records == t->now.appended - t->now.forgotten);
	CHECK((state.bytes == 0) == (state.records == 0));
	CHECK(state.damaged == 0);
}

static void start(struct run *t, uint64_t seed)
{
	static const uint64_t segment_bytes[] = { 200, 700, 3000, 20000 };
	*t = (struct run){ .seed = seed };
	t->options.folder = "sim";
	t->options.segment_bytes = segment_bytes[below(t, 4)];
	t->options.bytes_max = t->options.segment_bytes * (4 + below(t, 30)) + 2000;
	t->disk = sim_disk_create();
	t->spool = open_on(&t->options, t->disk);
	set_disk(t, false);
	t->now.done = sim_disk_log_length(t->disk);
	promise_end(t);
}

static void finish(struct run *t)
{
	sim_disk_destroy(t->disk);
	free(t->history);
}

/* Every byte of every change, in order. */
static uint64_t cut_everywhere(struct run *t, uint64_t seed, int calls)
{
	start(t, seed);
	for (int i = 0; i < calls; i++)
		call(t);
	spool_close(t->spool);
	for (size_t entry = t->history[0].done; entry < sim_disk_log_length(t->disk); entry++) {
		struct promise p = promise_at(t, entry);
		for (size_t bytes = 0; bytes <= sim_disk_log_bytes(t->disk, entry); bytes++) {
			struct sim_disk *image = sim_disk_cut(t->disk, entry, bytes);
			check_image(t, image, &p);
			sim_disk_destroy(image);
		}
	}
	finish(t);
	return t->images;
}

/* Crash after crash, each on what the last one left. */
static uint64_t lose_at_random(struct run *t, uint64_t seed)
{
	start(t, seed);
	for (int life = 0; life < 4; life++) {
		for (uint64_t i = 5 + below(t, CALLS_MAX); i; i--)
			call(t);
		spool_close(t->spool);
		sim_disk_set_room(t->disk, UINT64_MAX);
		const bool cursor_full = t->cursor_full;
		set_disk(t, false);
		sim_disk_before_records(t->disk, NULL, NULL);
		size_t base = t->history[0].done, length = sim_disk_log_length(t->disk);
		struct promise p = t->now;
		size_t entry = length;
		uint64_t image_seed = 1;
		for (int i = 0; i < IMAGES_A_ROUND; i++) {
			entry = base + below(t, length - base + 1);
			uint64_t seed_used = image_seed = sim_random(&t->seed);
			p = promise_at(t, entry);
			struct sim_disk *image = sim_disk_lose(t->disk, entry, &seed_used);
			check_image(t, image, &p);
			sim_disk_destroy(image);
		}
		struct sim_disk *image = t->disk; /* no power cut, only kill -9: all is there */
		if (below(t, 4)) {
			image = sim_disk_lose(t->disk, entry, &image_seed);
		} else {
			p = t->now;
			p.synced = p.appended;
			sim_disk_fill(t->disk, cursor_full ? "cursor" : NULL);
		}
		adopt(t, image, &p);
		set_disk(t, cursor_full);
	}
	spool_close(t->spool);
	finish(t);
	return t->images;
}

int main(int argc, char **argv)
{
	static struct run t;
	int64_t rounds = ROUNDS, seed = 20261121;
	if ((argc > 1 && !units_parse_number(view_of(argv[1]), &rounds)) ||
		(argc > 2 && !units_parse_number(view_of(argv[2]), &seed))) {
		fprintf(stderr, "usage: property_spool [ROUNDS [SEED]]\n");
		return 2;
	}
	uint64_t cuts = 0, losses = 0, refused = 0;
	for (int64_t i = 0; i < rounds; i++) {
		run_seed = (uint64_t)(seed + i);
		uint64_t mixed = run_seed * 0x9e3779b97f4a7c15 | 1;
		if (i % 50 == 0) {
			cuts += cut_everywhere(&t, mixed, rounds > ROUNDS ? 100 : 40);
			refused += t.refused;
		}
		losses += lose_at_random(&t, mixed);
		refused += t.refused;
	}
	printf("seed %" PRId64 ": %" PRId64 " rounds, %" PRIu64 " cuts in order, %" PRIu64
	       " reordered crashes, %" PRIu64 " appends refused\n",
		seed, rounds, cuts, losses, refused);
	return 0;
}
