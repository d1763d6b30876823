#pragma once
/*
 * document -- a policy file as upstream's decoder sees it: JSON values, each with its place. Private to router/policy.
 *
 * A file whose first character is `{` is JSON (encoding/json); anything else is YAML 1.1 as go-yaml v2 turns it into JSON
 * (sigs.k8s.io/yaml): plain scalars become booleans, numbers and null, a repeated key counts by its last value (merges at
 * their place among them), and the members of a map are sorted, as encoding/json writes maps. The members of a JSON object
 * stay as they came, repeated ones too.
 *
 * Owner:   the document owns all values and texts.
 * Limits:  base/tree.h's, and the same depth for JSON.
 * Threads: immutable once parsed.
 */
#include <stdbool.h>
#include <stddef.h>

#include "router/base/err.h"
#include "router/base/view.h"

enum value_kind {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_MAP,
	VALUE_BROKEN, /* made by shape.h only: here stood something of the wrong type, which was told */
};

struct member;

struct value {
	enum value_kind kind;
	unsigned line, column; /* from 1 */
	bool truth;            /* BOOL */
	struct view text;      /* STRING: the text; NUMBER: as it is written */
	size_t n;
	union {
		const struct value *const *items; /* LIST */
		const struct member *members;     /* MAP */
	};
};

struct member {
	struct view key;
	unsigned line, column; /* of the key */
	const struct value *value;
};

struct document;
struct tree;

/*
 * -EINVAL: the problem is added, in upstream's words ("failed decoding: ..."). Repeated keys of YAML are added as warnings.
 * *ret_root is never NULL: an empty file is null.
 */
int document_parse(struct document **ret_document, const struct value **ret_root, const char *file, struct view bytes,
	struct problems *);
void document_close(struct document *); /* NULL is fine */

/* The last member with that key, or NULL; `map` may be NULL or no map. */
const struct value *value_get(const struct value *map, const char *key);

/* ---- for those who make values ---- */

void *document_alloc(struct document *, size_t bytes); /* zeroed, as long-lived as the document */
struct value *document_value(struct document *, enum value_kind, unsigned line, unsigned column);
void document_keep(struct document *, struct tree *); /* texts of values lie in it: closed with the document */
/* Sorts members by key; of equal keys the last one stays. Returns how many there are then. */
size_t members_unique(struct member *, size_t n, void (*twice)(void *context, const struct member *), void *context);

int document_read_json(struct document *, const char *file, struct view bytes, const struct value **ret_root, struct problems *);
int document_read_yaml(struct document *, const char *file, struct view bytes, const struct value **ret_root, struct problems *);
