#include "config/keys.h"

#include <stdlib.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

static int compare_texts(struct view a, struct view b)
{
	int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
	return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

/* Keys that are no text come first, one by one; of one text merged pairs stand before own ones, else in file order. */
static int compare_pairs(const void *left, const void *right)
{
	const struct pair *a = *(const struct pair *const *)left, *b = *(const struct pair *const *)right;
	bool a_text = a->key->kind == NODE_SCALAR, b_text = b->key->kind == NODE_SCALAR;
	int order = a_text && b_text ? compare_texts(a->key->text, b->key->text) : a_text - b_text;
	if (!order)
		order = b->merged - a->merged;
	return order ? order : (a > b) - (a < b);
}

static bool same_key(const struct pair *a, const struct pair *b)
{
	return a->key->kind == NODE_SCALAR && b->key->kind == NODE_SCALAR && view_eq(a->key->text, b->key->text);
}

static int compare_places(const void *left, const void *right)
{
	const struct pair *a = ((const struct key *)left)->pair, *b = ((const struct key *)right)->pair;
	return (a > b) - (a < b);
}

void keys_of(const struct node *map, struct keys *ret)
{
	*ret = (struct keys){ 0 };
	if (!map || map->kind != NODE_MAP || !map->n)
		return;
	const struct pair **sorted = mem_alloc(map->n * sizeof *sorted);
	for (size_t i = 0; i < map->n; i++)
		sorted[i] = &map->pairs[i];
	qsort(sorted, map->n, sizeof *sorted, compare_pairs);
	ret->list = mem_alloc(map->n * sizeof *ret->list);
	const struct node *first = NULL;
	for (size_t i = 0; i < map->n; i++) {
		bool again = i && same_key(sorted[i - 1], sorted[i]);
		bool replaced = sorted[i]->merged && i + 1 < map->n && same_key(sorted[i], sorted[i + 1]);
		if (!again || sorted[i - 1]->merged)
			first = sorted[i]->key;
		if (!replaced)
			ret->list[ret->n++] =
				(struct key){ sorted[i], first == sorted[i]->key ? NULL : first };
	}
	qsort(ret->list, ret->n, sizeof *ret->list, compare_places);
	free(sorted);
}

void keys_finish(struct keys *keys)
{
	free(keys->list);
	*keys = (struct keys){ 0 };
}

const char *shown(struct view v, char text[SHOWN_ROOM])
{
	size_t n = v.len < SHOWN_MAX ? v.len : SHOWN_MAX;
	while (n < v.len && n && ((unsigned char)v.ptr[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)v.ptr[i] < ' ' || v.ptr[i] == 0x7f ? ' ' : v.ptr[i];
	memcpy(text + n, n < v.len ? "..." : "", n < v.len ? 4 : 1);
	return text;
}

bool keys_good(struct settings_reader *reader, const struct key *k)
{
	char text[SHOWN_ROOM];
	const struct node *key = k->pair->key;
	if (key->kind != NODE_SCALAR) {
		settings_problem(reader, key, "a key must be text, not a list or a mapping");
		return false;
	}
	if (k->first) {
		settings_problem(reader, key, "\"%s\" is said twice; the first time in line %u", shown(key->text, text),
			k->first->line);
		return false;
	}
	return true;
}

void keys_unknown(struct settings_reader *reader, const struct node *at, const char *what, const char *wrong,
	const char *const *names)
{
	char text[SHOWN_ROOM];
	(void)shown(view_of(wrong), text);
	/* What is only counted needs no neighbour: a file full of unknown keys stays cheap. */
	const char *near = reader->problems->n < PROBLEMS_MAX ? nearest_name(wrong, names) : NULL;
	if (near || !names[0] || reader->problems->n >= PROBLEMS_MAX) {
		settings_problem(reader, at, near ? "unknown %s \"%s\"; did you mean \"%s\"?" : "unknown %s \"%s\"", what,
			text, near);
		return;
	}
	cleanup(buf_finish) struct buf list = { 0 };
	for (size_t i = 0; names[i]; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
	settings_problem(reader, at, "unknown %s \"%s\"; known: %s", what, text, buf_text(&list));
}
