#include "router/lane/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier.h"
#include "router/base/buf.h"
#include "router/lane/chunk.h"
#include "router/lane/lane_batch.h"

enum {
	RECORDS_FIRST_ROOM = 64,
	ARENA_BLOCK_BYTES = 16 * 1024,
	SMALL_PART = 4, /* a batch with less than 1/4 of its chunk's bytes is copied out */
};

struct arena_block {
	struct arena_block *next;
	size_t used, room;
	char bytes[];
};

struct batch *batch_create(struct budget *budget, struct chunk *chunk)
{
	struct batch *b = mem_zero(1, sizeof *b);
	b->budget = budget;
	b->chunk = chunk ? chunk_hold(chunk) : NULL;
	b->room = RECORDS_FIRST_ROOM;
	b->records = mem_alloc(b->room * sizeof *b->records);
	return b;
}

struct record *batch_add(struct batch *b)
{
	if (b->n == b->room) {
		b->room *= 2;
		b->records = mem_resize(b->records, b->room * sizeof *b->records);
		if (b->rules)
			b->rules = mem_resize(b->rules, b->room * sizeof *b->rules);
	}
	b->open++;
	struct record *r = &b->records[b->n++];
	*r = (struct record){ .received_us = BATCH_NO_TIME };
	return r;
}

void batch_add_misfit(struct batch *b, struct view bytes)
{
	b->misfits = mem_resize(b->misfits, (b->n_misfits + 1) * sizeof *b->misfits);
	b->misfits[b->n_misfits++] = (struct misfit){ .bytes = bytes };
	b->open++;
}

char *batch_alloc(struct batch *b, size_t len)
{
	struct arena_block *block = b->arena;
	if (!block || block->room - block->used < len) {
		size_t room = len > ARENA_BLOCK_BYTES / 4 ? len : ARENA_BLOCK_BYTES;
		block = mem_alloc(sizeof *block + room);
		block->used = 0;
		block->room = room;
		/* A block for one large piece goes behind the head, so that the head's rest is not wasted. */
		if (b->arena && room == len) {
			block->next = b->arena->next;
			b->arena->next = block;
		} else {
			block->next = b->arena;
			b->arena = block;
		}
		if (b->budget)
			budget_force(b->budget, room);
		b->arena_bytes += room;
	}
	char *piece = block->bytes + block->used;
	block->used += len;
	return piece;
}

static bool in_chunk(const struct chunk *c, struct view v)
{
	return v.ptr >= c->bytes && v.ptr < c->bytes + c->room;
}

static struct view copy(struct batch *b, struct view v)
{
	char *piece = batch_alloc(b, v.len);
	if (v.len)
		memcpy(piece, v.ptr, v.len);
	return (struct view){ piece, v.len };
}

struct view batch_rule(const struct batch *b, uint32_t index)
{
	if (b->rules)
		return b->rules[index];
	return b->classifier ? view_of(classifier_rule_id(b->classifier, b->records[index].rule)) : VIEW("");
}

void batch_set_rule(struct batch *b, uint32_t index, struct view rule)
{
	if (!b->rules)
		b->rules = mem_zero(b->room, sizeof *b->rules);
	b->rules[index] = copy(b, rule);
}

void batch_detach(struct batch *b)
{
	struct chunk *c = b->chunk;
	if (!c)
		return;
	for (uint32_t i = 0; i < b->n; i++) {
		struct record *r = &b->records[i];
		if (in_chunk(c, r->bytes))
			r->bytes = copy(b, r->bytes);
		if (r->key.ptr && in_chunk(c, r->key))
			r->key = copy(b, r->key);
	}
	for (uint32_t i = 0; i < b->n_misfits; i++)
		if (in_chunk(c, b->misfits[i].bytes))
			b->misfits[i].bytes = copy(b, b->misfits[i].bytes);
	b->chunk = NULL;
	chunk_release(c);
}

/* Of the records' bytes those that the chunk has: the others are in the arena already. */
static uint64_t bytes_in_chunk(const struct batch *b)
{
	uint64_t bytes = 0;
	if (!b->arena_bytes)
		return b->bytes;
	for (uint32_t i = 0; i < b->n; i++)
		bytes += in_chunk(b->chunk, b->records[i].bytes) ? b->records[i].bytes.len : 0;
	return bytes;
}

void batch_detach_if_small(struct batch *b)
{
	if (b->chunk && bytes_in_chunk(b) < b->chunk->len / SMALL_PART)
		batch_detach(b);
}

void batch_excuse(struct batch *b)
{
	if (b->chunk)
		chunk_excuse(b->chunk);
	if (b->arena_bytes && b->budget)
		budget_give(b->budget, b->arena_bytes);
	b->budget = NULL;
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	while (b->arena) {
		struct arena_block *next = b->arena->next;
		free(b->arena);
		b->arena = next;
	}
	if (b->arena_bytes && b->budget)
		budget_give(b->budget, b->arena_bytes);
	chunk_release(b->chunk);
	if (b->release_plan)
		b->release_plan(b->plan);
	free(b->records);
	free(b->rules);
	free(b->misfits);
	free(b);
}

uint64_t batch_pins(const struct batch *b)
{
	return b->arena_bytes + (b->chunk ? b->chunk->room : 0);
}

void batch_delivered(struct batch *b, uint32_t first, uint32_t count)
{
	uint64_t bytes = 0;
	assert(first <= b->n && count <= b->n - first);
	for (uint32_t i = first; i < first + count; i++) {
		assert(b->records[i].outcome == RECORD_OPEN);
		b->records[i].outcome = RECORD_DELIVERED;
		bytes += b->records[i].bytes.len;
	}
	lane_batch_delivered(b, count, bytes);
}

void batch_refused(struct batch *b, uint32_t index, const char *code, const char *reason)
{
	assert(index < b->n && b->records[index].outcome == RECORD_OPEN);
	b->records[index].outcome = RECORD_DEAD;
	lane_batch_refused(b, index, code, reason);
}
