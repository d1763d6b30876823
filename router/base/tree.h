#pragma once
/*
 * tree -- a small YAML or JSON document, every node with its place, for the cold paths: settings, classifier tables,
 * audit policies. Events never come this way.
 *
 * Reads:    the first document of a file with libyaml: YAML 1.1 syntax; JSON is read as the YAML that it is. UTF-8 and
 *           UTF-16 with or without BOM, CRLF. Anchors, aliases and merge keys (<<) are resolved; an alias inside its
 *           own anchor is refused.
 * Keeps:    what is written: scalars stay text, with `quoted` telling "on" from on; the reader of a node decides what
 *           it means. Duplicate keys stay as two pairs (the last wins for tree_get), each with its place.
 * Limits:   TREE_BYTES_MAX of file, TREE_NODES_MAX nodes after aliases are counted as often as they are used,
 *           TREE_DEPTH_MAX levels. Above: an error that says so.
 * Owner:    the tree owns all nodes and texts; nodes are valid until tree_close.
 * Threads:  a loaded tree is immutable.
 */
#include <stdbool.h>
#include <stddef.h>

#include "router/base/err.h"
#include "router/base/view.h"

enum {
	TREE_BYTES_MAX = 8 << 20,
	TREE_NODES_MAX = 1000000,
	TREE_DEPTH_MAX = 100,
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node;

struct pair {
	const struct node *key; /* any kind; a settings file only uses scalars */
	const struct node *value;
	bool merged;            /* came by a merge key (<<), at whose place in the map it stands */
};

struct node {
	enum node_kind kind;
	unsigned line, column; /* from 1 */
	bool quoted;           /* scalar in quotes or a block: never a boolean, number or null */
	struct view text;      /* scalar; terminated by a zero byte past its end */
	const char *tag;       /* explicit tag ("tag:yaml.org,2002:str"), or NULL */
	size_t n;              /* list: items; map: pairs */
	union {
		const struct node *const *items;
		const struct pair *pairs;
	};
};

struct tree;

/*
 * `name` is what errors call the file. -EINVAL with *err set: not YAML, not UTF-8 or -16, over a limit. An empty
 * document yields a tree whose root is NULL.
 */
int tree_parse(struct tree **ret_tree, const char *name, struct view bytes, struct err *err);
/* The same from a file; "-" is standard input. -errno with *err set when it cannot be read. */
int tree_load(struct tree **ret_tree, const char *path, struct err *err);
void tree_close(struct tree *); /* NULL is fine */

const struct node *tree_root(const struct tree *); /* NULL: empty document */
const char *tree_name(const struct tree *);        /* valid until tree_close */
/* Something follows the first document, and was not read: its line in *ret_line. */
bool tree_has_more(const struct tree *, unsigned *ret_line);

/* The value of the last pair with that key (own pairs before merged ones), or NULL. `map` may be NULL or no map. */
const struct node *tree_get(const struct node *map, const char *key);
/* The scalar is null: empty plain text, ~, null, Null, NULL. A NULL node is null too. */
bool node_is_null(const struct node *);
/* YAML 1.1 booleans when plain: y n yes no on off true false in the spellings that the YAML 1.1 type page lists. */
bool node_is_bool(const struct node *, bool *ret_value);
