#pragma once
/*
 * redact_oracle -- what must hold of a redacted event, whatever was cut: it is an event still; jansson reads it; every value
 * of the original is where it was, or a mark is in its place; and redacting it again changes nothing.
 */
#include "router/base/buf.h"
#include "router/policy/redact.h"
#include "tests/tools/decode_oracle.h"

enum { REDACT_ORACLES = 4 };

struct redact_oracle {
	struct redactor *redactors[REDACT_ORACLES];
	struct decoder *decoder, *again;
	struct redact_scratch scratch;
	struct edits edits;
	struct buf once, twice;
	uint64_t counts[REDACT_KINDS];
};

static inline struct redactor *redactor_of(const char *yaml)
{
	struct problems problems = { 0 };
	struct settings_reader reader = { "redact.yaml", "/", &problems };
	struct tree *tree;
	struct err err = { 0 };
	struct redactor *r = NULL;
	assert(tree_parse(&tree, "redact.yaml", view_of(yaml), &err) == 0);
	if (!redactor_read(&r, &reader, tree_root(tree)))
		fprintf(stderr, "%s: %s\n", yaml, problems.list[0].err.text);
	assert(!problems.n);
	tree_close(tree);
	problems_finish(&problems);
	return r;
}

static inline struct redact_oracle redact_oracle_create(void)
{
	return (struct redact_oracle){
		.redactors = {
			redactor_of("[secrets, tokens]"),
			redactor_of("[secrets, tokens, env, configmaps]"),
			redactor_of("[{rule: body, path: ['requestObject.spec.containers[*].env[*].value', 'requestObject.data',"
				    " 'responseObject.metadata[\"annotations\"].*', 'responseObject.spec', 'annotations']}]"),
			redactor_of("[secrets, {rule: who, path: [user.username, 'user.groups', sourceIPs, userAgent,"
				    " 'requestObject.metadata.labels.*'], action: pseudonym, key: 0123456789abcdef}]"),
		},
		.decoder = decode_create(DECODE_BEST),
		.again = decode_create(DECODE_BEST),
	};
}

static inline void redact_oracle_finish(struct redact_oracle *o)
{
	for (int i = 0; i < REDACT_ORACLES; i++)
		redactor_destroy(o->redactors[i]);
	decode_destroy(o->decoder);
	decode_destroy(o->again);
	redact_scratch_finish(&o->scratch);
	edits_finish(&o->edits);
	buf_finish(&o->once);
	buf_finish(&o->twice);
}

static inline bool redact_oracle_is_mark(const json_t *value)
{
	const char *text = json_string_value(value);
	return text && (strstr(text, REDACT_MARK) || strncmp(text, "hmac:", 5) == 0);
}

/* A key that holds a token is masked like any text. */
static inline bool redact_oracle_key_may_go(const char *key)
{
	return strstr(key, "eyJ") || strcasestr(key, "bearer");
}

static inline void redact_oracle_compare(const json_t *before, const json_t *after)
{
	const char *key;
	json_t *value;
	size_t i;
	if (json_is_object(before) && json_is_object(after)) {
		json_object_foreach((json_t *)before, key, value)
			if (!redact_oracle_key_may_go(key)) {
				assert(json_object_get(after, key));
				redact_oracle_compare(value, json_object_get(after, key));
			}
		json_object_foreach((json_t *)after, key, value)
			assert(json_object_get(before, key) || strstr(key, REDACT_MARK));
	} else if (json_is_array(before) && json_is_array(after)) {
		assert(json_array_size(before) == json_array_size(after));
		json_array_foreach((json_t *)before, i, value)
			redact_oracle_compare(value, json_array_get(after, i));
	} else if (!redact_oracle_is_mark(after)) {
		if (!json_equal(before, after)) {
			json_dumpf(before, stderr, JSON_ENCODE_ANY);
			fprintf(stderr, "\nbecame\n");
			json_dumpf(after, stderr, JSON_ENCODE_ANY);
			fprintf(stderr, "\n");
			abort();
		}
	}
}

/* Redacts into `out`; returns whether anything was cut. */
static inline bool redact_oracle_once(struct redact_oracle *o, const struct redactor *r, struct decoder *decoder, struct view line,
	struct buf *out)
{
	static struct attributes attributes;
	struct event e;
	size_t end;
	enum decode_result result = decode_line(decoder, line, &e, &end);
	assert(result == DECODE_OK);
	(void)result;
	attributes_of(&e, &attributes);
	edits_clear(&o->edits);
	redact_edit(r, &e, &attributes, &o->edits, &o->scratch, o->counts);
	buf_clear(out);
	buf_reserve(out, edits_length(&o->edits, e.bytes) + 1);
	out->len = edits_apply(&o->edits, e.bytes, out->ptr);
	return !edits_none(&o->edits);
}

/* Judges one event; `line` must be one. Returns a bit for each redactor that cut something. */
static inline unsigned redact_oracle_event(struct redact_oracle *o, struct view line)
{
	unsigned cut = 0;
	for (unsigned i = 0; i < REDACT_ORACLES; i++) {
		struct tame tame_before, tame_after;
		if (!redact_oracle_once(o, o->redactors[i], o->decoder, line, &o->once))
			continue;
		cut |= 1u << i;
		json_t *before = oracle_load(line, &tame_before), *after = oracle_load(buf_view(&o->once), &tame_after);
		assert(!before == !after);
		if (before)
			redact_oracle_compare(before, after);
		json_decref(before);
		json_decref(after);
		buf_finish(&tame_before.bytes);
		buf_finish(&tame_after.bytes);
		(void)redact_oracle_once(o, o->redactors[i], o->again, buf_view(&o->once), &o->twice);
		if (!view_eq(buf_view(&o->once), buf_view(&o->twice))) {
			fprintf(stderr, "redactor %u:\n%.*s\nonce:\n%.*s\ntwice:\n%.*s\n", i, VIEW_ARGS(line),
				VIEW_ARGS(buf_view(&o->once)), VIEW_ARGS(buf_view(&o->twice)));
			abort();
		}
	}
	return cut;
}
