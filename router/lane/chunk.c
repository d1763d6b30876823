#include "router/lane/chunk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "router/base/buf.h"

/* Blocks of these sizes are kept for the next chunk: from the kernel each would come as fresh pages, zeroed one by one. */
enum { SPARE_MIN = 256 * 1024, SPARE_MAX = 1024 * 1024 };
#if defined(__SANITIZE_ADDRESS__)
enum { SPARES = 0 }; /* so that who reads what is gone is found */
#else
enum { SPARES = 4 };
#endif

struct budget {
	pthread_mutex_t mutex;
	pthread_cond_t given;
	uint64_t bytes_max;
	uint64_t used;
	bool stopped;
	struct {
		char *bytes;
		size_t room;
	} spares[SPARES + 1];
	unsigned n_spares;
};

int budget_create(struct budget **ret_budget, uint64_t bytes_max)
{
	struct budget *b = mem_zero(1, sizeof *b);
	b->bytes_max = bytes_max;
	(void)pthread_mutex_init(&b->mutex, NULL);
	(void)pthread_cond_init(&b->given, NULL);
	*ret_budget = b;
	return 0;
}

void budget_destroy(struct budget *b)
{
	if (!b)
		return;
	assert(b->used == 0);
	while (b->n_spares)
		free(b->spares[--b->n_spares].bytes);
	(void)pthread_cond_destroy(&b->given);
	(void)pthread_mutex_destroy(&b->mutex);
	free(b);
}

void budget_stop(struct budget *b)
{
	(void)pthread_mutex_lock(&b->mutex);
	b->stopped = true;
	(void)pthread_cond_broadcast(&b->given);
	(void)pthread_mutex_unlock(&b->mutex);
}

/* One taker larger than all of the budget is let through once nothing else is out. */
static bool has_room(const struct budget *b, uint64_t bytes)
{
	return b->used == 0 || (bytes <= b->bytes_max && b->used <= b->bytes_max - bytes);
}

int budget_take(struct budget *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	while (!b->stopped && !has_room(b, bytes))
		(void)pthread_cond_wait(&b->given, &b->mutex);
	int r = b->stopped ? -ESHUTDOWN : 0;
	if (r == 0)
		b->used += bytes;
	(void)pthread_mutex_unlock(&b->mutex);
	return r;
}

int budget_try(struct budget *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	int r = b->stopped ? -ESHUTDOWN : has_room(b, bytes) ? 0 : -EAGAIN;
	if (r == 0)
		b->used += bytes;
	(void)pthread_mutex_unlock(&b->mutex);
	return r;
}

void budget_force(struct budget *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	b->used += bytes;
	(void)pthread_mutex_unlock(&b->mutex);
}

void budget_give(struct budget *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	assert(b->used >= bytes);
	b->used -= bytes;
	(void)pthread_cond_broadcast(&b->given);
	(void)pthread_mutex_unlock(&b->mutex);
}

uint64_t budget_used(const struct budget *b)
{
	struct budget *locked = (struct budget *)b;
	(void)pthread_mutex_lock(&locked->mutex);
	uint64_t used = b->used;
	(void)pthread_mutex_unlock(&locked->mutex);
	return used;
}

static char *take_spare(struct budget *b, size_t room)
{
	char *bytes = NULL;
	if (room < SPARE_MIN || room > SPARE_MAX)
		return NULL;
	(void)pthread_mutex_lock(&b->mutex);
	for (unsigned i = b->n_spares; !bytes && i--;) {
		if (b->spares[i].room != room)
			continue;
		bytes = b->spares[i].bytes;
		b->spares[i] = b->spares[--b->n_spares];
	}
	(void)pthread_mutex_unlock(&b->mutex);
	return bytes;
}

/* Frees the block, or keeps it and frees another. */
static void give_block(struct budget *b, char *bytes, size_t room)
{
	if (SPARES && room >= SPARE_MIN && room <= SPARE_MAX && (room & (room - 1)) == 0) {
		(void)pthread_mutex_lock(&b->mutex);
		char *other = b->n_spares == SPARES ? b->spares[--b->n_spares].bytes : NULL;
		b->spares[b->n_spares].bytes = bytes;
		b->spares[b->n_spares++].room = room;
		(void)pthread_mutex_unlock(&b->mutex);
		bytes = other;
	}
	free(bytes);
}

static struct chunk *chunk_new(struct budget *budget, size_t room)
{
	struct chunk *c = mem_zero(1, sizeof *c);
	c->budget = budget;
	c->references = 1;
	c->room = room;
	c->bytes = take_spare(budget, room);
	if (!c->bytes)
		c->bytes = mem_alloc(room);
	return c;
}

int chunk_create(struct chunk **ret_chunk, struct budget *budget, size_t room)
{
	int r = budget_take(budget, room);
	if (r == 0)
		*ret_chunk = chunk_new(budget, room);
	return r;
}

struct chunk *chunk_of_taken(struct budget *budget, size_t room)
{
	return chunk_new(budget, room);
}

int chunk_try(struct chunk **ret_chunk, struct budget *budget, size_t room)
{
	int r = budget_try(budget, room);
	if (r == 0)
		*ret_chunk = chunk_new(budget, room);
	return r;
}

int chunk_try_grow(struct chunk *c, size_t room)
{
	struct budget *b = c->budget;
	assert(c->references == 1 && room >= c->room);
	(void)pthread_mutex_lock(&b->mutex);
	b->used -= c->room; /* so that it may grow past all of the budget where nothing else is out */
	int r = b->stopped ? -ESHUTDOWN : has_room(b, room) ? 0 : -EAGAIN;
	b->used += r == 0 ? room : c->room;
	(void)pthread_mutex_unlock(&b->mutex);
	if (r < 0)
		return r;
	c->bytes = mem_resize(c->bytes, room);
	c->room = room;
	return 0;
}

int chunk_grow(struct chunk *c, size_t room)
{
	assert(c->references == 1 && room >= c->room);
	/*
	 * The chunk gives its own share back before it waits for the larger one: two inputs that both grow would else wait
	 * for each other's.
	 */
	budget_give(c->budget, c->room);
	int r = budget_take(c->budget, room);
	if (r < 0) {
		budget_force(c->budget, c->room);
		return r;
	}
	c->bytes = mem_resize(c->bytes, room);
	c->room = room;
	return 0;
}

struct chunk *chunk_adopt(struct budget *budget, struct buf *buf)
{
	struct chunk *c = mem_zero(1, sizeof *c);
	budget_force(budget, buf->room);
	*c = (struct chunk){ .budget = budget, .references = 1, .room = buf->room, .len = buf->len, .bytes = buf->ptr };
	*buf = (struct buf){ 0 };
	return c;
}

struct chunk *chunk_hold(struct chunk *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	return c;
}

void chunk_excuse(struct chunk *c)
{
	if (!atomic_exchange(&c->excused, true))
		budget_give(c->budget, c->room);
}

void chunk_release(struct chunk *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
		return;
	struct budget *budget = c->budget;
	uint64_t room = c->excused ? 0 : c->room;
	give_block(budget, c->bytes, c->room);
	free(c);
	if (room)
		budget_give(budget, room);
}
