#pragma once
/*
 * shape -- what a kind of document may hold, as a table, and decoding by it. Private to router/policy.
 *
 * shape_decode does what sigs.k8s.io/json does with a Go struct: unknown fields are left out and warned of, a value of the
 * wrong type is an error that names the field, null leaves a field as it is, and of duplicates (JSON objects only; YAML's are
 * gone by then) the later one is decoded into what the earlier one left. The result is a value of the same shape: a member
 * for each field that is set, in the order of the table, so that it prints as Go would print the struct.
 */
#include "router/base/buf.h"
#include "router/policy/document.h"

enum shape_kind { SHAPE_ANY, SHAPE_BOOL, SHAPE_STRING, SHAPE_INT, SHAPE_TIME, SHAPE_LIST, SHAPE_MAP, SHAPE_STRUCT };

struct shape_field;

struct shape {
	enum shape_kind kind;
	const char *go;                   /* its type in upstream's Go: "[]v1.PolicyRule" */
	const char *words;                /* for kinds of our own: "a list of texts" */
	const struct shape *of;           /* LIST: of the items; MAP: of the values */
	const char *name;                 /* STRUCT: how Go's errors call it */
	const struct shape_field *fields; /* STRUCT: ends with .key == NULL */
};

struct shape_field {
	const char *key;
	const struct shape *shape;
	bool pointer; /* may be unset: then false and 0 are printed, too */
};

enum { SHAPE_FIELDS_MAX = 24 };

extern const struct shape shape_policy;       /* audit.k8s.io/v1 Policy */
extern const struct shape shape_audit_filter; /* audit-router/v1 AuditFilter */

struct shape_reader {
	struct document *document;
	const char *file;
	struct problems *problems;
	bool ours;               /* no Go, no leniency: unknown and repeated fields are errors, in our words */
	struct buf path, plain;  /* where it is: rules[0].users, rules.users */
	const char *struct_name; /* whose field that is */
};

/* NULL: null. BROKEN where the wrong type was told. The reader's bufs are freed. */
const struct value *shape_decode(struct shape_reader *, const struct shape *, const struct value *);

/* As encoding/json writes the struct: empty fields are left out. */
void shape_print(const struct shape *, const struct value *, struct buf *);
