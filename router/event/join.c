#include "router/event/join.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

struct join {
	struct join_limits limits;
	struct join_group *head, *tail; /* the oldest first */
	uint64_t parts, bytes;
};

struct join *join_create(const struct join_limits *limits)
{
	struct join *j = mem_zero(1, sizeof *j);
	j->limits = *limits;
	return j;
}

void join_group_free(struct join_group *g)
{
	while (g->parts) {
		struct join_part *next = g->parts->next;
		free(g->parts->tag);
		free(g->parts);
		g->parts = next;
	}
	free(g);
}

void join_destroy(struct join *j)
{
	if (!j)
		return;
	while (j->head) {
		struct join_group *next = j->head->next;
		join_group_free(j->head);
		j->head = next;
	}
	free(j);
}

bool join_can(const struct join *j, const struct log_entry_split *split, size_t bytes)
{
	return split->uid.len && split->uid.len <= JOIN_UID_MAX && split->total <= j->limits.parts_max && bytes <= j->limits.bytes_max;
}

/* FNV-1a: so that a flood of groups costs a comparison of numbers each. */
static uint64_t hash_of(struct view uid)
{
	uint64_t hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < uid.len; i++)
		hash = (hash ^ (uint8_t)uid.ptr[i]) * 0x100000001b3;
	return hash;
}

static struct join_group *find(struct join *j, const struct log_entry_split *split, uint64_t hash, struct join_group **ret_before)
{
	*ret_before = NULL;
	for (struct join_group *g = j->head; g; *ret_before = g, g = g->next)
		if (g->hash == hash && g->total == split->total && view_eq(g->uid, split->uid))
			return g;
	return NULL;
}

static struct join_group *add_group(struct join *j, const struct log_entry_split *split, uint64_t hash)
{
	struct join_group *g = mem_zero(1, sizeof *g + split->uid.len);
	memcpy(g->room, split->uid.ptr, split->uid.len);
	g->uid = (struct view){ g->room, split->uid.len };
	g->hash = hash;
	g->total = split->total;
	if (j->tail)
		j->tail->next = g;
	else
		j->head = g;
	j->tail = g;
	return g;
}

static void add_part(struct join_group *g, struct join_part *part)
{
	struct join_part **at = &g->parts;
	/* Mostly they come in order. */
	if (g->last && g->last->index < part->index)
		at = &g->last->next;
	while (*at && (*at)->index < part->index)
		at = &(*at)->next;
	g->distinct += !*at || (*at)->index != part->index;
	while (*at && (*at)->index == part->index)
		at = &(*at)->next;
	part->next = *at;
	*at = part;
	if (!part->next)
		g->last = part;
	g->n++;
	g->bytes += part->bytes.len;
}

static struct join_group *take(struct join *j, struct join_group *g, struct join_group *before)
{
	if (before)
		before->next = g->next;
	else
		j->head = g->next;
	if (j->tail == g)
		j->tail = before;
	j->parts -= g->n;
	j->bytes -= g->bytes;
	g->next = NULL;
	return g;
}

struct join_group *join_add(struct join *j, const struct log_entry_split *split, struct view bytes, void *tag, uint64_t line, int64_t now_ms)
{
	const uint64_t hash = hash_of(split->uid);
	struct join_group *before, *g = find(j, split, hash, &before);
	assert(join_can(j, split, bytes.len));
	if (!g) {
		before = j->tail;
		g = add_group(j, split, hash);
		g->line = line;
		g->since_ms = now_ms;
	}
	struct join_part *part = mem_alloc(sizeof *part + bytes.len);
	*part = (struct join_part){ .index = split->index, .bytes = { part->room, bytes.len }, .tag = tag };
	memcpy(part->room, bytes.ptr, bytes.len);
	add_part(g, part);
	j->parts++;
	j->bytes += bytes.len;
	return g->distinct == g->total ? take(j, g, before) : NULL;
}

struct join_group *join_due(struct join *j, uint64_t line, int64_t now_ms, bool all)
{
	struct join_group *g = j->head;
	if (!g)
		return NULL;
	bool over = j->parts > j->limits.parts_max || j->bytes > j->limits.bytes_max || line - g->line > j->limits.lines_max ||
		now_ms - g->since_ms >= j->limits.wait_ms;
	return over || all ? take(j, g, NULL) : NULL;
}

uint64_t join_parts(const struct join *j)
{
	return j->parts;
}

int64_t join_wait_ms(const struct join *j, int64_t now_ms)
{
	if (!j->head)
		return -1;
	int64_t left = j->head->since_ms + j->limits.wait_ms - now_ms;
	return left > 0 ? left : 0;
}
