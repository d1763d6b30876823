/*
 * What comes around events: posted bodies, lists, other clouds' wrappers, split log entries.
 *
 * A posted body, in pieces of a size that the first byte says: no crash, no overread, nothing of the budget left; what comes
 * out does not depend on the pieces; and where the decoder takes the body for one valid list, it is what
 * line_complete_items() makes of it. Line by line: what unwrap finds is what jansson reads (unwrap_oracle.h), and of parts that are
 * held until they are whole none is lost, in order.
 */
#include <assert.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/event/line.h"
#include "router/input/webhook_body.h"
#include "router/lane/chunk.h"
#include "tests/tools/unwrap_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
	struct buf lines;
	bool cut;
};

static void take(void *context, struct chunk *chunk, uint64_t long_total)
{
	struct taken *t = context;
	t->cut = t->cut || long_total;
	assert(chunk->len && (long_total || chunk->bytes[chunk->len - 1] == '\n'));
	buf_add(&t->lines, chunk->bytes, chunk->len);
	chunk_release(chunk);
}

static struct taken cut(struct view body, size_t step, uint64_t line_max)
{
	struct budget *budget;
	struct webhook_body b;
	struct taken t = { 0 };
	int r = budget_create(&budget, 16 << 20);
	body_init(&b, &(struct body_options){ .budget = budget, .line_max = line_max, .expected = body.len, .piece = take, .context = &t });
	for (size_t at = 0; at < body.len; at += step) {
		size_t n = body.len - at < step ? body.len - at : step;
		char *piece = mem_alloc(n);
		memcpy(piece, body.ptr + at, n);
		r = body_add(&b, (struct view){ piece, n });
		assert(r == 0);
		free(piece);
	}
	r = body_end(&b);
	assert(r == 0);
	body_finish(&b);
	assert(budget_used(budget) == 0);
	budget_destroy(budget);
	return t;
}

/* Only items with no escaped names, no second list of items and no text in apiVersion that needs escaping are alike. */
static void compare_with_decoder(struct view body, const struct taken *t)
{
	struct decoder *outer = decode_create(DECODE_BEST), *inner = decode_create(DECODE_BEST);
	struct event e;
	size_t end;
	if (!memchr(body.ptr, '\\', body.len) && decode_line(outer, body, &e, &end) == DECODE_LIST) {
		static const char front[] = "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[";
		const char *second = body.len > sizeof front ?
			memmem(body.ptr + sizeof front, body.len - sizeof front, "\"items\"", 7) : NULL;
		const char *kind = body.len > sizeof front ?
			memmem(body.ptr + sizeof front, body.len - sizeof front, "\"kind\"", 6) : NULL;
		if (view_starts(body, VIEW("{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[")) && !second && !kind &&
			!memmem(body.ptr + sizeof front, body.len - sizeof front, "apiVersion", 10)) {
			struct list_items items;
			struct buf want = { 0 };
			decode_list(outer, &items);
			line_complete_items(&items, inner, &want);
			assert(want.len == t->lines.len && (!want.len || memcmp(want.ptr, t->lines.ptr, want.len) == 0));
			buf_finish(&want);
		}
	}
	decode_destroy(outer);
	decode_destroy(inner);
}

/* ---- lines ---- */

static uint64_t parts_of(struct join_group *g)
{
	uint64_t n = 0, index = 0;
	for (const struct join_part *p = g->parts; p; p = p->next, n++) {
		assert(p->index >= index && p->index < g->total);
		index = p->index;
	}
	assert(n == g->n && g->distinct <= g->n);
	join_group_free(g);
	return n;
}

/* Every split entry goes in once and comes out once. */
static uint64_t hold(struct join *j, struct unwrap_oracle *o, struct view line, uint64_t number, uint64_t *ret_out)
{
	struct event e;
	size_t end;
	struct join_group *g;
	enum decode_result result = decode_line(o->outer, line, &e, &end);
	if (result != DECODE_NOT_EVENT || unwrap_line(&o->unwrap, line, result, o->inner, &e) != UNWRAP_EVENT ||
		!join_can(j, unwrap_split(&o->unwrap), e.bytes.len))
		return 0;
	g = join_add(j, unwrap_split(&o->unwrap), e.bytes, NULL, number, (int64_t)number);
	assert(!g || g->distinct == g->total);
	*ret_out += g ? parts_of(g) : 0;
	while ((g = join_due(j, number, (int64_t)number, false)))
		*ret_out += parts_of(g);
	return 1;
}

static void unwrap_lines(struct view rest)
{
	static struct unwrap_oracle *oracle;
	const struct join_limits limits = { 5, 2000, 7, 6 };
	struct join *j = join_create(&limits);
	struct view line;
	uint64_t in = 0, out = 0, number = 0;
	if (!oracle) {
		oracle = mem_zero(1, sizeof *oracle);
		unwrap_oracle_init(oracle);
	}
	while (line_next(&rest, &line)) {
		unwrap_oracle_line(oracle, line);
		in += hold(j, oracle, line, number++, &out);
	}
	for (struct join_group *g; (g = join_due(j, number, 0, true));)
		out += parts_of(g);
	assert(in == out);
	join_destroy(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct view body = { (const char *)data + 1, size - 1 };
	struct taken whole = cut(body, body.len, 1 << 20), parts = cut(body, 1 + data[0] % 64, 1 << 20);
	assert(whole.lines.len == parts.lines.len);
	assert(!whole.lines.len || memcmp(whole.lines.ptr, parts.lines.ptr, whole.lines.len) == 0);
	compare_with_decoder(body, &whole);
	unwrap_lines(body);
	struct taken small = cut(body, 1 + data[0] % 16, 64); /* where lines are too long */
	buf_finish(&whole.lines);
	buf_finish(&parts.lines);
	buf_finish(&small.lines);
	return 0;
}
