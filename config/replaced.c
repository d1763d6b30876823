#include "config/replaced.h"

#include <stdlib.h>

#include "router/base/buf.h"

/* Everything that was allocated for a copy is freed together. */
struct replaced {
	void **parts;
	size_t n, room;
	struct node root;
};

static void *keep(struct replaced *r, void *part)
{
	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 16;
		r->parts = mem_resize(r->parts, r->room * sizeof *r->parts);
	}
	r->parts[r->n++] = part;
	return part;
}

static bool copy_text(struct replaced *r, struct settings_reader *reader, const struct node *from, struct node *to)
{
	if (!memmem(from->text.ptr, from->text.len, "${", 2))
		return true;
	char *text = settings_text(reader, from);
	if (!text)
		return false;
	to->text = view_of(keep(r, text));
	return true;
}

/* As deep as a tree may be, and no more nodes than a tree may have: aliases were counted wherever they are used. */
static bool copy(struct replaced *r, struct settings_reader *reader, const struct node *from, struct node *to)
{
	bool good = true;
	*to = *from;
	if (from->kind == NODE_SCALAR)
		return copy_text(r, reader, from, to);
	struct node *below = keep(r, mem_zero(from->n, sizeof *below));
	if (from->kind == NODE_LIST) {
		const struct node **items = keep(r, mem_zero(from->n, sizeof *items));
		for (size_t i = 0; i < from->n; i++) {
			good = copy(r, reader, from->items[i], &below[i]) && good;
			items[i] = &below[i];
		}
		to->items = items;
		return good;
	}
	struct pair *pairs = keep(r, mem_zero(from->n, sizeof *pairs));
	for (size_t i = 0; i < from->n; i++) {
		good = copy(r, reader, from->pairs[i].value, &below[i]) && good;
		pairs[i] = (struct pair){ from->pairs[i].key, &below[i], from->pairs[i].merged };
	}
	to->pairs = pairs;
	return good;
}

struct replaced *replaced_create(struct settings_reader *reader, const struct node *from)
{
	struct replaced *r = mem_zero(1, sizeof *r);
	if (copy(r, reader, from, &r->root))
		return r;
	replaced_destroy(r);
	return NULL;
}

void replaced_destroy(struct replaced *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		free(r->parts[i]);
	free(r->parts);
	free(r);
}

const struct node *replaced_root(const struct replaced *r)
{
	return &r->root;
}
