/*
 * Cuts on generated objects and on real events against jansson: the result is valid JSON, and equals the same deletions done
 * on jansson's tree. Also policies' edits: for every level, with and without managedFields.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <zlib.h>

#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/edit.h"
#include "router/event/text.h"
#include "router/policy/policy.h"
#include "tests/tools/random.h"

enum { ROUNDS = 30000, REAL_LINE_MAX = 64 * 1024, NAMES_MAX = 4 };

static const struct view names[] = { { "a", 1 }, { "b", 1 }, { "metadata", 8 }, { "managedFields", 13 }, { "items", 5 }, { "rows", 4 },
	{ "object", 6 }, { "c\"d", 3 } };
static const char *const spelled[] = { "a", "\\u0062", "metadata", "managed\\u0046ields", "items", "rows", "object", "c\\\"d", "x", "y" };

static const struct random *replay;

static _Noreturn void fail(const char *what, struct view before, struct view after)
{
	fprintf(stderr, "seed %" PRIu64 ": %s\n%.*s\n%.*s\n", replay->seed, what, VIEW_ARGS(before), VIEW_ARGS(after));
	abort();
}

static void add_space(struct random *r, struct buf *out)
{
	while (!random_below(r, 10))
		buf_add_byte(out, " \t\r\n"[random_below(r, 4)]);
}

static void add_value(struct random *r, struct buf *out, unsigned depth);

static void add_nested(struct random *r, struct buf *out, unsigned depth, bool map)
{
	uint64_t n = random_below(r, 6);
	buf_add_byte(out, map ? '{' : '[');
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_space(r, out);
		if (map)
			buf_addf(out, "\"%s\":", spelled[random_below(r, sizeof spelled / sizeof *spelled)]);
		add_value(r, out, depth + 1);
		add_space(r, out);
	}
	buf_add_byte(out, map ? '}' : ']');
}

static void add_value(struct random *r, struct buf *out, unsigned depth)
{
	static const char *const scalars[] = { "1", "null", "true", "\"a\"", "\"},{\"", "-0.5e3", "\"\\\\\"", "\"\"" };
	add_space(r, out);
	if (depth < 5 && random_below(r, 3))
		add_nested(r, out, depth, random_below(r, 3) != 0);
	else
		buf_addf(out, "%s", scalars[random_below(r, sizeof scalars / sizeof *scalars)]);
	add_space(r, out);
}

/* ---- the oracle ---- */

static json_t *load(struct view bytes)
{
	return json_loadb(bytes.ptr, bytes.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

static void strip(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata");
	if (json_is_object(metadata))
		json_object_del(metadata, "managedFields");
}

static void strip_all(json_t *object)
{
	json_t *items = json_object_get(object, "items"), *rows = json_object_get(object, "rows"), *item;
	size_t i;
	strip(object);
	json_array_foreach(items, i, item) strip(item);
	json_array_foreach(rows, i, item) strip(json_object_get(item, "object"));
}

static void compare(struct edits *edits, struct view before, json_t *want, const char *what)
{
	size_t len = edits_length(edits, before);
	struct buf after = { 0 };
	buf_reserve(&after, len + 1);
	after.len = edits_apply(edits, before, after.ptr);
	assert(after.len == len);
	json_t *got = load(buf_view(&after));
	if (!got)
		fail("no JSON any more", before, buf_view(&after));
	if (!json_equal(got, want))
		fail(what, before, buf_view(&after));
	json_decref(got);
	buf_finish(&after);
}

/* ---- generated objects ---- */

static void generated(struct random *r, struct edits *edits)
{
	struct buf object = { 0 };
	struct view chosen[NAMES_MAX];
	uint32_t n = (uint32_t)random_below(r, NAMES_MAX);
	bool managed = random_below(r, 2), each = random_below(r, 2);
	add_nested(r, &object, 0, true);
	json_t *want = load(buf_view(&object));
	assert(want);
	edits_clear(edits);
	for (uint32_t i = 0; i < n; i++)
		chosen[i] = names[random_below(r, sizeof names / sizeof *names)];
	if (managed && random_below(r, 2)) {
		(void)edits_cut_managed_fields(edits, buf_view(&object));
		strip_all(want);
		managed = false;
	}
	for (uint32_t i = 0; each && i < n; i++)
		(void)edits_cut_members(edits, buf_view(&object), &chosen[i], 1);
	if (!each)
		(void)edits_cut_members(edits, buf_view(&object), chosen, n);
	if (managed) {
		(void)edits_cut_managed_fields(edits, buf_view(&object));
		strip_all(want);
	}
	for (uint32_t i = 0; i < n; i++)
		json_object_deln(want, chosen[i].ptr, chosen[i].len);
	compare(edits, buf_view(&object), want, "not what jansson makes of it");
	json_decref(want);
	buf_finish(&object);
}

/* ---- real events ---- */

static json_t *oracle_of(struct policy_decision d, const struct event *e)
{
	json_t *want = load(e->bytes);
	if (!want)
		return NULL; /* invalid UTF-8 and the like: none of jansson's business */
	bool patch = view_eq(e->verb, VIEW("patch"));
	if (d.omit_managed_fields) {
		strip_all(json_object_get(want, "responseObject"));
		if (!patch)
			strip_all(json_object_get(want, "requestObject"));
	}
	if (d.level < LEVEL_REQUEST_RESPONSE)
		json_object_del(want, "responseObject");
	if (d.level < LEVEL_REQUEST)
		json_object_del(want, "requestObject");
	if (e->level > d.level)
		json_object_set_new(want, "level", json_string(event_level_name(d.level)));
	return want;
}

static void real(struct view line, struct decoder *decoder, struct edits *edits)
{
	struct event e;
	size_t end;
	assert(decode_line(decoder, line, &e, &end) == DECODE_OK);
	for (unsigned i = 0; i < 6; i++) {
		struct policy_decision d = { .level = (enum event_level)(LEVEL_METADATA + i / 2), .omit_managed_fields = i & 1 };
		json_t *want = oracle_of(d, &e);
		if (!want)
			return;
		edits_clear(edits);
		policy_edit(d, &e, edits);
		compare(edits, e.bytes, want, "a policy's edits are not what jansson makes of it");
		if (i == 4 && !edits_none(edits))
			fail("an event that is left as it is was edited", e.bytes, e.bytes);
		json_decref(want);
	}
}

static void real_events(struct edits *edits, uint64_t every)
{
	const char *source = getenv("AUDIT_ROUTER_SOURCE");
	char *path = mem_textf("%s/tests/data/audit.log.gz", source ? source : "."), *line = mem_alloc(REAL_LINE_MAX);
	gzFile file = gzopen(path, "rb");
	struct decoder *decoder = decode_create(DECODE_BEST);
	uint64_t n = 0, done = 0;
	bool whole = true;
	assert(file);
	while (gzgets(file, line, REAL_LINE_MAX)) {
		size_t len = strlen(line);
		bool starts = whole;
		whole = len && line[len - 1] == '\n';
		if (starts && whole && n++ % every == 0) {
			real((struct view){ line, len - 1 }, decoder, edits);
			done++;
		}
	}
	printf("%" PRIu64 " real events\n", done);
	assert(done > 100);
	gzclose(file);
	decode_destroy(decoder);
	free(path);
	free(line);
}

int main(int argc, char **argv)
{
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	struct edits edits = { 0 };
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		replay = &r;
		generated(&r, &edits);
	}
	struct random last = random_round(&run, 0);
	replay = &last;
	real_events(&edits, run.rounds > ROUNDS ? 1 : 7);
	edits_finish(&edits);
	return 0;
}
