/* Bodies cut in lines: the same whatever the pieces are that they come in, and for lists as line_complete_items() has it. */
#include "cm.h"

#include <errno.h>

#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/input/webhook_body.h"
#include "router/input/webhook_scan.h"
#include "router/lane/chunk.h"

struct taken {
	struct buf lines;
	unsigned pieces, long_lines;
	uint64_t long_total;
};

static void take(void *context, struct chunk *chunk, uint64_t long_total)
{
	struct taken *t = context;
	t->pieces++;
	t->long_lines += long_total != 0;
	t->long_total += long_total;
	if (!long_total)
		buf_add(&t->lines, chunk->bytes, chunk->len);
	chunk_release(chunk);
}

static int cut(struct view body, size_t step, uint64_t line_max, uint64_t budget_bytes, struct taken *ret)
{
	struct budget *budget;
	struct webhook_body b;
	int r = budget_create(&budget, budget_bytes);
	*ret = (struct taken){ 0 };
	body_init(&b, &(struct body_options){ .budget = budget, .line_max = line_max, .piece = take, .context = ret });
	for (size_t at = 0; r == 0 && at < body.len; at += step) {
		size_t n = body.len - at < step ? body.len - at : step;
		char *piece = mem_alloc(n ? n : 1); /* of its own, so that a byte read too far is found */
		memcpy(piece, body.ptr + at, n);
		r = body_add(&b, (struct view){ piece, n });
		free(piece);
	}
	if (r == 0)
		r = body_end(&b);
	body_finish(&b);
	assert_int_equal(budget_used(budget), 0);
	budget_destroy(budget);
	return r;
}

/* In pieces of every size. */
static void expect(const char *body, const char *lines)
{
	for (size_t step = 1; step <= strlen(body) + 1; step++) {
		struct taken t;
		assert_int_equal(cut(view_of(body), step, 1 << 20, 1 << 20, &t), 0);
		assert_string_equal(buf_text(&t.lines), lines);
		buf_finish(&t.lines);
	}
}

#define HEAD "{\"kind\":\"EventList\",\"apiVersion\":\"a/v1\",\"metadata\":{\"items\":[1]},\"items\":["
#define FRONT "{\"kind\":\"Event\",\"apiVersion\":\"a/v1\""

static void test_lists(void **state)
{
	(void)state;
	expect(HEAD "]}\n", "");
	expect(HEAD "{\"level\":\"x\"},{\"a\":{\"kind\":\"Pod\"}}]}\n",
		FRONT ",\"level\":\"x\"}\n" FRONT ",\"a\":{\"kind\":\"Pod\"}}\n");
	expect(HEAD "{},{ },{\"kind\":\"Event\",\"b\":1},{\"kind\":null}]}", FRONT "}\n" FRONT " }\n{\"kind\":\"Event\",\"b\":1}\n" FRONT
		",\"kind\":null}\n");
	expect(HEAD " {\"a\" :\n[1, \"]\\\"}\"\n]} ,\n[2],\"x,]\", 7 ,null ] , \"b\":[{}]}",
		FRONT ",\"a\" : [1, \"]\\\"}\" ]}\n[2]\n\"x,]\"\n7\nnull\n");
	expect(HEAD "{\"a\":1}],\"items\":[{\"b\":2}]}", FRONT ",\"a\":1}\n" FRONT ",\"b\":2}\n");
	expect(HEAD "{\"a\":1}]}\n" HEAD "{\"b\":2}]}\n{\"c\":3}\n", FRONT ",\"a\":1}\n" FRONT ",\"b\":2}\n{\"c\":3}\n");
}

/* What cannot be cut as it arrives comes out as one line, for the decoder. */
static void test_odd_lists(void **state)
{
	(void)state;
	expect("{\"items\":[{\"a\":1},\n{}],\"apiVersion\":\"a/v1\",\"kind\":\"EventList\"}",
		"{\"items\":[{\"a\":1}, {}],\"apiVersion\":\"a/v1\",\"kind\":\"EventList\"}\n");
	expect("{\"kind\":\"EventList\",\"apiVersion\":\"a\\u002fv1\",\"items\":[{}]}",
		"{\"kind\":\"EventList\",\"apiVersion\":\"a\\u002fv1\",\"items\":[{}]}\n");
	expect("{\"kind\":\"List\",\"apiVersion\":\"a\",\"items\":[{}]}", "{\"kind\":\"List\",\"apiVersion\":\"a\",\"items\":[{}]}\n");
}

static void test_lines(void **state)
{
	(void)state;
	expect("", "");
	expect(" \r\n\n", "");
	expect("{\"a\":1}", "{\"a\":1}\n");
	expect("{\"a\":\n1}\n\n{\"b\":\"{\"}\r\n", "{\"a\": 1}\n{\"b\":\"{\"}\n");
	expect("garbage\nmore\n{}", "garbage\nmore\n{}\n");
	expect("7\n[{}]\n", "7\n[{}]\n");
}

static void test_broken(void **state)
{
	(void)state;
	expect(HEAD "{\"a\":1},{\"b\":", FRONT ",\"a\":1}\n" FRONT ",\"b\":\n");
	expect(HEAD, "{\"kind\":\"EventList\",\"items\":[\n");
	expect(HEAD "{\"a\":1}", FRONT ",\"a\":1}\n{\"kind\":\"EventList\",\"items\":[\n");
	expect(HEAD "{\"a\":1},", FRONT ",\"a\":1}\n{\"kind\":\"EventList\",\"items\":[\n");
	expect(HEAD "{\"a\":1}},x\ny", FRONT ",\"a\":1}\n},x y\n");
	expect("{\"kind\":\"Eve", "{\"kind\":\"Eve\n");
	/* a newline in a string stays an error */
	expect(HEAD "{\"a\":\"x\ny\\\nz\"}]}", FRONT ",\"a\":\"x\ry\\\rz\"}\n");
}

static void test_too_long(void **state)
{
	(void)state;
	struct buf body = { 0 };
	struct taken t;
	buf_add_view(&body, VIEW(HEAD "{\"a\":1},{\"b\":\""));
	for (unsigned i = 0; i < 100 * 1000; i++)
		buf_add_byte(&body, 'x');
	buf_add_view(&body, VIEW("\"},{\"c\":1}]}"));
	for (size_t step = 1; step < 200 * 1000; step = step * 7 + 1) {
		assert_int_equal(cut(buf_view(&body), step, 80 * 1000, 1 << 20, &t), 0);
		assert_string_equal(buf_text(&t.lines), FRONT ",\"a\":1}\n" FRONT ",\"c\":1}\n");
		assert_int_equal(t.long_lines, 1);
		assert_int_equal(t.long_total, 100 * 1000 + 8);
		buf_finish(&t.lines);
		/* within the limit it is one line of many chunks' growth */
		assert_int_equal(cut(buf_view(&body), step, 200 * 1000, 1 << 20, &t), 0);
		assert_int_equal(t.long_lines, 0);
		assert_int_equal(t.lines.len, 100 * 1000 + 8 + 3 * (sizeof FRONT) + 2 * 7);
		buf_finish(&t.lines);
		/* and without room it is refused */
		assert_int_equal(cut(buf_view(&body), step, 200 * 1000, 90 * 1000, &t), -EAGAIN);
		buf_finish(&t.lines);
	}
	buf_finish(&body);
}

/* The oracle: what the router does with a list that comes in one line. */
static void expect_as_list(struct view list)
{
	struct decoder *outer = decode_create(DECODE_BEST), *inner = decode_create(DECODE_BEST);
	struct event e;
	size_t end;
	struct list_items items;
	struct buf want = { 0 };
	assert_int_equal(decode_line(outer, list, &e, &end), DECODE_LIST);
	decode_list(outer, &items);
	line_complete_items(&items, inner, &want);
	for (size_t step = 1; step < list.len * 10; step = step * 5 + 2) {
		struct taken t;
		assert_int_equal(cut(list, step, 64 << 20, 64 << 20, &t), 0);
		assert_int_equal(t.lines.len, want.len);
		assert_memory_equal(t.lines.ptr, want.ptr, want.len);
		buf_finish(&t.lines);
	}
	buf_finish(&want);
	decode_destroy(outer);
	decode_destroy(inner);
}

static void test_like_lists(void **state)
{
	(void)state;
	struct buf list = { 0 };
	buf_add_view(&list, VIEW(HEAD));
	for (unsigned i = 0; i < 3000; i++)
		buf_addf(&list, "%s{\"level\":\"Metadata\",\"stage\":\"s%u\",\"verb\":\"\\\"get\\\\\",\"o\":{\"kind\":[%u,\"}\"]}}",
			i ? "," : "", i, i);
	buf_add_view(&list, VIEW(",{},{\"kind\":\"Event\",\"stage\":\"x\",\"verb\":\"y\"},[],3,\"x\"]}\n"));
	expect_as_list(buf_view(&list));
	buf_finish(&list);
}

/* Blocks of 64 bytes and single ones must see the same in all bytes, those of broken items too. */
static void test_blocks_are_bytes(void **state)
{
	static const char *const words[] = { "{", "}", "[", "]", "\"", "\\", "\\\"", "\\\\", ",",
		":", "\"kind\":", "\"kind\":\"x\"", "k", "kind", "{\"level\":\"Metadata\",",
		"\"annotations\":{\"a\":\"b\"}", " ", "\n",
		"padding that is long enough to fill a part of a block" };
	unsigned seed = 1;
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct buf body = { 0 };
		struct taken whole, bytes, parts;
		buf_add_view(&body, VIEW(HEAD));
		for (unsigned i = 0; i < 60; i++) {
			seed = seed * 1103515245 + 12345;
			/* mostly strings that end, so that many items do too */
			const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
			bool quoted = seed >> 30 && *word != '{' && *word != '}' && *word != '"';
			buf_addf(&body, quoted ? "\"%s\"" : "%s", word);
		}
		assert_int_equal(cut(buf_view(&body), body.len, 1 << 20, 1 << 20, &whole), 0);
		assert_int_equal(cut(buf_view(&body), 1, 1 << 20, 1 << 20, &bytes), 0);
		assert_int_equal(
			cut(buf_view(&body), 65 + round % 90, 1 << 20, 1 << 20, &parts), 0);
		assert_string_equal(buf_text(&whole.lines), buf_text(&bytes.lines));
		assert_string_equal(buf_text(&whole.lines), buf_text(&parts.lines));
		buf_finish(&whole.lines);
		buf_finish(&bytes.lines);
		buf_finish(&parts.lines);
		buf_finish(&body);
	}
}

/* The blocks of this processor and those of any see the same. */
static void test_wide_blocks(void **state)
{
	static const char letters[] = "{}[]\"\"\"\\\nkind,:x abcdefgh";
	static const char name[] = "\"kind\":";
	unsigned seed = 7, ends = 0, kinds = 0;
	char bytes[5 * ITEM_BLOCK];
	(void)state;
	for (unsigned round = 0; round < 50000; round++) {
		unsigned few = round % 8 ? 40 : 1; /* of the letters that mean something */
		for (size_t i = 0; i < sizeof bytes; i++) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = (seed >> 8) % few ? 'x' : letters[(seed >> 16) % (sizeof letters - 1)];
		}
		memcpy(bytes + (seed >> 16) % (sizeof bytes - sizeof name), name, sizeof name - 1);
		struct item_scan wide = { .depth = round % 7, .in_string = round & 8, .escaped = (round & 24) == 24 };
		struct item_scan plain = wide;
		bool wide_ended, plain_ended;
		assert_int_equal(item_scan(&wide, bytes, sizeof bytes, &wide_ended),
			item_scan_plain(&plain, bytes, sizeof bytes, &plain_ended));
		assert_int_equal(wide_ended, plain_ended);
		assert_memory_equal(&wide, &plain, sizeof wide);
		ends += wide_ended;
		kinds += wide.maybe_kind;
	}
	assert_in_range(ends, 1000, 49000);
	assert_in_range(kinds, 1000, 49000);
}

/* The kind of an item, wherever in blocks and pieces it stands. */
static void test_kind_of_items(void **state)
{
	(void)state;
	for (unsigned pad = 0; pad < 140; pad++) {
		struct buf body = { 0 }, want = { 0 };
		buf_addf(&body,
			HEAD
			"{\"p\":\"%*s\",\"kind\" "
			":\n\"Event\"},{\"p\":\"%*s\",\"o\":{\"kind\":\"x\"},\"kinds\":\"kind\"}]}",
			(int)pad, "", (int)pad, "");
		buf_addf(&want,
			"{\"p\":\"%*s\",\"kind\" : \"Event\"}\n" FRONT
			",\"p\":\"%*s\",\"o\":{\"kind\":\"x\"},\"kinds\":\"kind\"}\n",
			(int)pad, "", (int)pad, "");
		for (size_t step = 1; step <= body.len; step += step < 70 ? 1
								: body.len - step > 0
									? body.len - step
									: 1) {
			struct taken t;
			assert_int_equal(cut(buf_view(&body), step, 1 << 20, 1 << 20, &t), 0);
			assert_string_equal(buf_text(&t.lines), buf_text(&want));
			buf_finish(&t.lines);
		}
		buf_finish(&body);
		buf_finish(&want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_odd_lists),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_like_lists),
		cmocka_unit_test(test_blocks_are_bytes),
		cmocka_unit_test(test_wide_blocks),
		cmocka_unit_test(test_kind_of_items),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
