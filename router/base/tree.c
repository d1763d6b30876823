#include "router/base/tree.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"

enum { BLOCK_BYTES = 16 * 1024 };

static const char tag_merge[] = "tag:yaml.org,2002:merge";
static const char tag_null[] = "tag:yaml.org,2002:null";
static const char tag_bool[] = "tag:yaml.org,2002:bool";

/* All nodes and texts of a tree lie in a list of blocks and are freed together. */
struct block {
	struct block *next;
	size_t used, room;
	_Alignas(max_align_t) char bytes[];
};

struct tree {
	char *name;
	struct block *blocks;
	const struct node *root;
	unsigned more_line; /* where something follows the first document; 0: nothing does */
};

/* What the builder knows of a node beside what its reader sees. */
struct inner {
	struct node node; /* first, so that a pointer to one is a pointer to the other */
	size_t weight;    /* nodes below and itself, those of aliases counted wherever they are used */
	unsigned height;  /* levels of lists and maps, itself included */
	bool open;        /* its end was not seen yet */
};

struct anchor {
	char *name;
	const struct inner *node;
};

/* Lists and maps whose end was not seen yet; their children lie one after another on a stack of their own. */
struct builder {
	struct tree *tree;
	struct err *err;
	yaml_parser_t parser;
	struct frame {
		struct inner *node;
		size_t first_child;
	} frames[TREE_DEPTH_MAX];
	unsigned n_frames;
	const struct inner **children;
	size_t n_children, room_children;
	size_t weight; /* of the whole document so far */
	void *anchors; /* of tsearch */
};

static void *block_alloc(struct tree *t, size_t bytes)
{
	bytes = (bytes + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
	if (!t->blocks || t->blocks->room - t->blocks->used < bytes) {
		size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		struct block *b = mem_alloc(sizeof *b + room);
		*b = (struct block){ .next = t->blocks, .room = room };
		t->blocks = b;
	}
	void *p = t->blocks->bytes + t->blocks->used;
	t->blocks->used += bytes;
	return p;
}

static char *block_text(struct tree *t, const void *text, size_t len)
{
	char *p = block_alloc(t, len + 1);
	if (len)
		memcpy(p, text, len);
	p[len] = 0;
	return p;
}

static unsigned place(size_t from_zero)
{
	return from_zero < UINT32_MAX ? (unsigned)from_zero + 1 : UINT32_MAX;
}

static int fail(struct builder *b, const yaml_mark_t *at, const char *sentence)
{
	return err_at(b->err, b->tree->name, place(at->line), place(at->column), "%s", sentence);
}

/* libyaml counts bytes, not lines, where it stumbles over an encoding. */
static int fail_encoding(struct builder *b, struct view bytes)
{
	yaml_parser_t *p = &b->parser;
	unsigned line = 1, column = 1;
	bool wide = p->encoding == YAML_UTF16LE_ENCODING || p->encoding == YAML_UTF16BE_ENCODING;
	size_t step = wide ? 2 : 1, low = p->encoding == YAML_UTF16BE_ENCODING;
	for (size_t i = 0; i + step <= bytes.len && i < p->problem_offset; i += step) {
		unsigned char c = (unsigned char)bytes.ptr[i + (wide ? low : 0)];
		if (c == '\n' && (!wide || bytes.ptr[i + 1 - low] == 0)) {
			line++;
			column = 1;
		} else if (wide || (c & 0xc0) != 0x80) {
			column++;
		}
	}
	return err_at(b->err, b->tree->name, line, column, "%s",
		p->problem ? p->problem : "the encoding is neither UTF-8 nor UTF-16");
}

static int fail_syntax(struct builder *b, struct view bytes)
{
	yaml_parser_t *p = &b->parser;
	if (p->error == YAML_MEMORY_ERROR)
		return err_at(b->err, b->tree->name, 0, 0, "out of memory"), -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		return fail_encoding(b, bytes);
	const char *problem = p->problem ? p->problem : "not YAML";
	if (p->context && p->context_mark.line != p->problem_mark.line)
		return err_at(b->err, b->tree->name, place(p->problem_mark.line), place(p->problem_mark.column),
			"%s %s that begins at line %u", problem, p->context, place(p->context_mark.line));
	return err_at(b->err, b->tree->name, place(p->problem_mark.line), place(p->problem_mark.column),
		p->context ? "%s %s" : "%s%s", problem, p->context ? p->context : "");
}

static int compare_anchors(const void *a, const void *b)
{
	return strcmp(((const struct anchor *)a)->name, ((const struct anchor *)b)->name);
}

static void free_anchor(void *anchor)
{
	free(((struct anchor *)anchor)->name);
	free(anchor);
}

static void anchor_set(struct builder *b, const yaml_char_t *name, const struct inner *node)
{
	if (!name)
		return;
	struct anchor *fresh = mem_zero(1, sizeof *fresh);
	*fresh = (struct anchor){ mem_text(view_of((const char *)name)), node };
	struct anchor **slot = tsearch(fresh, &b->anchors, compare_anchors);
	if (slot && *slot != fresh) {
		(*slot)->node = node; /* a name may be anchored again: what follows means the new one */
		free_anchor(fresh);
	}
}

static int count(struct builder *b, const yaml_mark_t *at, size_t nodes)
{
	b->weight += nodes;
	if (b->weight <= TREE_NODES_MAX)
		return 0;
	return err_at(b->err, b->tree->name, place(at->line), place(at->column),
		"more than %d values, those of aliases counted wherever they are used", TREE_NODES_MAX);
}

static void add_child(struct builder *b, const struct inner *child)
{
	if (!b->n_frames) {
		b->tree->root = &child->node;
		return;
	}
	if (b->n_children == b->room_children) {
		b->room_children = b->room_children ? b->room_children * 2 : 64;
		b->children = mem_resize(b->children, b->room_children * sizeof *b->children);
	}
	b->children[b->n_children++] = child;
}

static struct inner *make_node(struct builder *b, enum node_kind kind, const yaml_mark_t *at, const yaml_char_t *tag)
{
	struct inner *in = block_alloc(b->tree, sizeof *in);
	*in = (struct inner){ .node = { .kind = kind, .line = place(at->line), .column = place(at->column) },
		.weight = 1 };
	if (tag)
		in->node.tag = block_text(b->tree, tag, strlen((const char *)tag));
	return in;
}

static int read_scalar(struct builder *b, const yaml_event_t *e)
{
	struct inner *in = make_node(b, NODE_SCALAR, &e->start_mark, e->data.scalar.tag);
	in->node.quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	in->node.text = (struct view){ block_text(b->tree, e->data.scalar.value, e->data.scalar.length),
		e->data.scalar.length };
	anchor_set(b, e->data.scalar.anchor, in);
	add_child(b, in);
	return count(b, &e->start_mark, 1);
}

static int fail_depth(struct builder *b, const yaml_mark_t *at)
{
	return err_at(b->err, b->tree->name, place(at->line), place(at->column), "nested deeper than %d levels",
		TREE_DEPTH_MAX);
}

static int open_frame(struct builder *b, enum node_kind kind, const yaml_event_t *e, const yaml_char_t *tag,
	const yaml_char_t *anchor)
{
	if (b->n_frames == TREE_DEPTH_MAX)
		return fail_depth(b, &e->start_mark);
	struct inner *in = make_node(b, kind, &e->start_mark, tag);
	in->open = true;
	anchor_set(b, anchor, in);
	b->frames[b->n_frames++] = (struct frame){ in, b->n_children };
	return count(b, &e->start_mark, 1);
}

static int read_alias(struct builder *b, const yaml_event_t *e)
{
	struct anchor wanted = { (char *)e->data.alias.anchor, NULL };
	struct anchor **found = tfind(&wanted, &b->anchors, compare_anchors);
	if (!found)
		return fail(b, &e->start_mark, "this alias names an anchor that is not defined above it");
	const struct inner *in = (*found)->node;
	if (in->open)
		return fail(b, &e->start_mark, "this alias stands inside its own anchor");
	if (b->n_frames + in->height > TREE_DEPTH_MAX)
		return fail_depth(b, &e->start_mark);
	add_child(b, in);
	return count(b, &e->start_mark, in->weight);
}

static void close_list(struct builder *b, struct inner *list, const struct inner *const *children, size_t n)
{
	const struct node **items = block_alloc(b->tree, n * sizeof *items);
	for (size_t i = 0; i < n; i++)
		items[i] = &children[i]->node;
	list->node.n = n;
	list->node.items = items;
}

static bool is_merge(const struct node *key)
{
	if (key->kind != NODE_SCALAR)
		return false;
	if (key->tag)
		return strcmp(key->tag, tag_merge) == 0;
	return !key->quoted && view_eq(key->text, VIEW("<<"));
}

/* How many pairs a value of << brings; SIZE_MAX where it is neither a map nor a list of maps. */
static size_t merged_pairs(const struct node *value)
{
	size_t n = 0;
	if (value->kind == NODE_MAP)
		return value->n;
	if (value->kind != NODE_LIST)
		return SIZE_MAX;
	for (size_t i = 0; i < value->n; i++) {
		if (value->items[i]->kind != NODE_MAP)
			return SIZE_MAX;
		n += value->items[i]->n;
	}
	return n;
}

static size_t merge_map(const struct node *from, struct pair *pairs)
{
	for (size_t i = 0; i < from->n; i++) {
		pairs[i] = from->pairs[i];
		pairs[i].merged = true;
	}
	return from->n;
}

/* Of a list of maps the first counts most, so it is put last. */
static size_t merge(const struct node *value, struct pair *pairs)
{
	size_t n = 0;
	if (value->kind == NODE_MAP)
		return merge_map(value, pairs);
	for (size_t i = value->n; i-- > 0;)
		n += merge_map(value->items[i], pairs + n);
	return n;
}

static int close_map(struct builder *b, struct inner *map, const struct inner *const *children, size_t n)
{
	size_t n_pairs = 0;
	assert(n % 2 == 0);
	for (size_t i = 0; i < n; i += 2) {
		const struct node *value = &children[i + 1]->node;
		size_t more = is_merge(&children[i]->node) ? merged_pairs(value) : 1;
		if (more == SIZE_MAX)
			return err_at(b->err, b->tree->name, value->line, value->column,
				"a merge (<<) takes a map or a list of maps");
		n_pairs += more;
	}
	struct pair *pairs = block_alloc(b->tree, n_pairs * sizeof *pairs);
	size_t done = 0;
	for (size_t i = 0; i < n; i += 2) {
		const struct node *key = &children[i]->node, *value = &children[i + 1]->node;
		if (is_merge(key))
			done += merge(value, pairs + done);
		else
			pairs[done++] = (struct pair){ key, value, false };
	}
	assert(done == n_pairs);
	map->node.n = n_pairs;
	map->node.pairs = pairs;
	return 0;
}

static int close_frame(struct builder *b)
{
	struct frame *f = &b->frames[--b->n_frames];
	/* no child at all yet: there is no array to point into */
	const struct inner *const *children = b->children ? b->children + f->first_child : NULL;
	size_t n = b->n_children - f->first_child;
	unsigned height = 0;
	int r = 0;
	for (size_t i = 0; i < n; i++) {
		f->node->weight += children[i]->weight;
		if (children[i]->height > height)
			height = children[i]->height;
	}
	f->node->height = height + 1;
	f->node->open = false;
	if (f->node->node.kind == NODE_MAP)
		r = close_map(b, f->node, children, n);
	else
		close_list(b, f->node, children, n);
	b->n_children = f->first_child;
	if (r == 0)
		add_child(b, f->node);
	return r;
}

/* 1: the document has ended. */
static int take_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(b, e);
	case YAML_ALIAS_EVENT:
		return read_alias(b, e);
	case YAML_SEQUENCE_START_EVENT:
		return open_frame(b, NODE_LIST, e, e->data.sequence_start.tag, e->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return open_frame(b, NODE_MAP, e, e->data.mapping_start.tag, e->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_frame(b);
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		break;
	}
	return 0;
}

static int build(struct builder *b, struct view bytes)
{
	for (int r = 0; r == 0;) {
		yaml_event_t e;
		if (!yaml_parser_parse(&b->parser, &e))
			return fail_syntax(b, bytes);
		r = take_event(b, &e);
		bool ended = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
		if (r < 0 || ended)
			return r < 0 ? r : 0;
	}
	yaml_event_t e;
	if (!yaml_parser_parse(&b->parser, &e)) {
		if (b->parser.error == YAML_READER_ERROR)
			return fail_encoding(b, bytes);
		b->tree->more_line = place(b->parser.problem_mark.line);
		return 0;
	}
	if (e.type != YAML_STREAM_END_EVENT)
		b->tree->more_line = place(e.start_mark.line);
	yaml_event_delete(&e);
	return 0;
}

/* libyaml knows UTF-16 by its BOM only; the first character of a document is never above U+00FF without one. */
static void set_encoding(yaml_parser_t *p, struct view bytes)
{
	if (bytes.len < 2)
		return;
	if (bytes.ptr[0] && !bytes.ptr[1])
		yaml_parser_set_encoding(p, YAML_UTF16LE_ENCODING);
	else if (!bytes.ptr[0] && bytes.ptr[1])
		yaml_parser_set_encoding(p, YAML_UTF16BE_ENCODING);
}

int tree_parse(struct tree **ret_tree, const char *name, struct view bytes, struct err *err)
{
	if (bytes.len > TREE_BYTES_MAX)
		return err_at(err, name, 0, 0, "longer than %d MiB", TREE_BYTES_MAX >> 20);
	struct builder b = { .tree = mem_zero(1, sizeof *b.tree), .err = err };
	b.tree->name = mem_text(view_of(name));
	if (!yaml_parser_initialize(&b.parser)) {
		tree_close(b.tree);
		return err_at(err, name, 0, 0, "out of memory"), -ENOMEM;
	}
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len);
	set_encoding(&b.parser, bytes);
	int r = build(&b, bytes);
	yaml_parser_delete(&b.parser);
	tdestroy(b.anchors, free_anchor);
	free(b.children);
	if (r < 0) {
		tree_close(b.tree);
		return r;
	}
	const struct node *root = b.tree->root;
	if (root && root->kind == NODE_SCALAR && !root->quoted && !root->tag && !root->text.len)
		b.tree->root = NULL;
	*ret_tree = b.tree;
	return 0;
}

static int read_stdin(struct buf *bytes)
{
	for (;;) {
		buf_reserve(bytes, BLOCK_BYTES);
		ssize_t n = io_read(STDIN_FILENO, bytes->ptr + bytes->len, BLOCK_BYTES);
		if (n <= 0)
			return (int)n;
		bytes->len += (size_t)n;
		if (bytes->len > TREE_BYTES_MAX)
			return -EFBIG;
	}
}

int tree_load(struct tree **ret_tree, const char *path, struct err *err)
{
	bool from_stdin = strcmp(path, "-") == 0;
	const char *name = from_stdin ? "<stdin>" : path;
	cleanup(buf_finish) struct buf bytes = { 0 };
	int r = from_stdin ? read_stdin(&bytes) : io_read_whole(path, TREE_BYTES_MAX, &bytes);
	if (r == -EFBIG)
		(void)err_at(err, name, 0, 0, "longer than %d MiB", TREE_BYTES_MAX >> 20);
	else if (r < 0)
		(void)err_at(err, name, 0, 0, "cannot be read: %s", strerror(-r));
	return r < 0 ? r : tree_parse(ret_tree, name, buf_view(&bytes), err);
}

void tree_close(struct tree *t)
{
	if (!t)
		return;
	for (struct block *next, *b = t->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(t->name);
	free(t);
}

const struct node *tree_root(const struct tree *t)
{
	return t->root;
}

const char *tree_name(const struct tree *t)
{
	return t->name;
}

bool tree_has_more(const struct tree *t, unsigned *ret_line)
{
	*ret_line = t->more_line;
	return t->more_line != 0;
}

const struct node *tree_get(const struct node *map, const char *key)
{
	const struct node *merged = NULL;
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (size_t i = map->n; i-- > 0;) {
		const struct pair *p = &map->pairs[i];
		if (p->key->kind != NODE_SCALAR || !view_eq(p->key->text, view_of(key)))
			continue;
		if (!p->merged)
			return p->value;
		if (!merged)
			merged = p->value;
	}
	return merged;
}

static bool plain_one_of(const struct node *n, const char *tag, const char *const *texts)
{
	if (n->kind != NODE_SCALAR || n->quoted || (n->tag && strcmp(n->tag, tag) != 0))
		return false;
	for (; *texts; texts++)
		if (view_eq(n->text, view_of(*texts)))
			return true;
	return false;
}

bool node_is_null(const struct node *n)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	return !n || plain_one_of(n, tag_null, nulls);
}

bool node_is_bool(const struct node *n, bool *ret_value)
{
	static const char *const yes[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE",
		NULL };
	static const char *const no[] = { "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE",
		NULL };
	if (!n)
		return false;
	bool is_yes = plain_one_of(n, tag_bool, yes);
	if (is_yes || plain_one_of(n, tag_bool, no)) {
		*ret_value = is_yes;
		return true;
	}
	return false;
}
