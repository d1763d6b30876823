#include "router/policy/document.h"

#include <stdlib.h>

#include "router/base/buf.h"
#include "router/base/tree.h"

enum { BLOCK_BYTES = 16 * 1024 };

struct block {
	struct block *next;
	size_t used, room;
	_Alignas(max_align_t) char bytes[];
};

struct document {
	struct block *blocks;
	struct tree *tree; /* of a YAML file */
};

void *document_alloc(struct document *d, size_t bytes)
{
	bytes = (bytes + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
	if (!d->blocks || d->blocks->room - d->blocks->used < bytes) {
		size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		struct block *b = mem_zero(1, sizeof *b + room);
		b->next = d->blocks;
		b->room = room;
		d->blocks = b;
	}
	void *p = d->blocks->bytes + d->blocks->used;
	d->blocks->used += bytes;
	return p;
}

struct value *document_value(struct document *d, enum value_kind kind, unsigned line, unsigned column)
{
	struct value *v = document_alloc(d, sizeof *v);
	v->kind = kind;
	v->line = line;
	v->column = column;
	return v;
}

void document_keep(struct document *d, struct tree *tree)
{
	d->tree = tree;
}

/* k8s.io/apimachinery/pkg/util/yaml, hasJSONPrefix: past Unicode white space stands a brace. */
static bool is_json(struct view bytes)
{
	size_t i = 0;
	while (i < bytes.len) {
		unsigned char c = (unsigned char)bytes.ptr[i];
		bool next_line_or_nbsp = c == 0xc2 && i + 1 < bytes.len &&
					 ((unsigned char)bytes.ptr[i + 1] == 0x85 || (unsigned char)bytes.ptr[i + 1] == 0xa0);
		if (c == ' ' || (c >= '\t' && c <= '\r'))
			i++;
		else if (next_line_or_nbsp)
			i += 2;
		else
			break;
	}
	return i < bytes.len && bytes.ptr[i] == '{';
}

int document_parse(struct document **ret_document, const struct value **ret_root, const char *file, struct view bytes,
	struct problems *problems)
{
	struct document *d = mem_zero(1, sizeof *d);
	int r = is_json(bytes) ? document_read_json(d, file, bytes, ret_root, problems) :
				 document_read_yaml(d, file, bytes, ret_root, problems);
	if (r < 0) {
		document_close(d);
		return r;
	}
	*ret_document = d;
	return 0;
}

void document_close(struct document *d)
{
	if (!d)
		return;
	for (struct block *next, *b = d->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	tree_close(d->tree);
	free(d);
}

const struct value *value_get(const struct value *map, const char *key)
{
	if (!map || map->kind != VALUE_MAP)
		return NULL;
	for (size_t i = map->n; i-- > 0;)
		if (view_eq(map->members[i].key, view_of(key)))
			return map->members[i].value;
	return NULL;
}

struct keyed {
	struct member member;
	size_t order;
};

static int by_key(const void *left, const void *right)
{
	const struct keyed *a = left, *b = right;
	size_t both = a->member.key.len < b->member.key.len ? a->member.key.len : b->member.key.len;
	int order = both ? memcmp(a->member.key.ptr, b->member.key.ptr, both) : 0;
	if (order)
		return order;
	if (a->member.key.len != b->member.key.len)
		return a->member.key.len < b->member.key.len ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

size_t members_unique(struct member *members, size_t n, void (*twice)(void *context, const struct member *), void *context)
{
	struct keyed *list = mem_alloc((n ? n : 1) * sizeof *list);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		list[i] = (struct keyed){ members[i], i };
	qsort(list, n, sizeof *list, by_key);
	for (size_t i = 0; i < n; i++) {
		bool again = kept && view_eq(members[kept - 1].key, list[i].member.key);
		if (again)
			twice(context, &list[i].member);
		else
			kept++;
		members[kept - 1] = list[i].member;
	}
	free(list);
	return kept;
}
