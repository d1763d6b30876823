#include "router/match/value_map.h"

#include <assert.h>
#include <stdlib.h>

#include "router/base/buf.h"

static struct value_slot *free_slot(struct value_slot *slots, uint32_t mask, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & mask;
	while (slots[i].key)
		i = (i + 1) & mask;
	return &slots[i];
}

static void grow(struct value_map *m)
{
	uint32_t old = m->room * 2;
	m->room = m->room ? m->room * 2 : 8;
	struct value_slot *slots = mem_zero((size_t)m->room * 2, sizeof *slots);
	uint32_t mask = m->room * 2 - 1;
	for (uint32_t i = 0; i < old; i++)
		if (m->slots[i].key)
			*free_slot(slots, mask, m->slots[i].hash) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->mask = mask;
	m->rows = mem_resize(m->rows, (size_t)m->room * m->words * sizeof *m->rows);
	m->bytes += (size_t)m->room / 2 * (2 * sizeof *slots + m->words * sizeof *m->rows);
}

static uint64_t *add(struct value_map *m, struct view key)
{
	if (m->n == m->room)
		grow(m);
	uint64_t hash = value_hash(key);
	struct value_slot *s = free_slot(m->slots, m->mask, hash);
	*s = (struct value_slot){ hash, mem_text(key), (uint32_t)key.len, m->n };
	m->bytes += key.len + 1;
	if (key.len > m->len_max)
		m->len_max = (uint32_t)key.len;
	m->lens |= (uint64_t)1 << (key.len < 63 ? key.len : 63);
	uint64_t *row = m->rows + (size_t)m->n++ * m->words;
	memset(row, 0, m->words * sizeof *row);
	return row;
}

void value_map_set(struct value_map *m, struct view key, uint32_t term, size_t bytes_max)
{
	assert(m->words);
	assert(key.len <= UINT32_MAX);
	uint64_t *row = (uint64_t *)value_map_find(m, key);
	if (!row && m->bytes > bytes_max) {
		m->full = true;
		return;
	}
	if (!row)
		row = add(m, key);
	row[term / 64] |= (uint64_t)1 << term % 64;
}

void value_map_set_all(struct value_map *m, const uint64_t *open)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t w = 0; w < m->words; w++)
			m->rows[i * m->words + w] |= open[w];
}

void value_map_finish(struct value_map *m)
{
	for (uint32_t i = 0; m->slots && i <= m->mask; i++)
		free((char *)m->slots[i].key);
	free(m->slots);
	free(m->rows);
	*m = (struct value_map){ 0 };
}
