#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/event/text.h"

/* At the end of an allocation of its own: a sanitizer sees every byte read too much. */
static struct view exact_copy(struct view bytes)
{
	char *copy = mem_alloc(bytes.len);
	if (bytes.len)
		memcpy(copy, bytes.ptr, bytes.len);
	return (struct view){ copy, bytes.len };
}

static void check_view(struct view got, struct view want)
{
	if (!view_eq(got, want))
		fail_msg("'%.*s', not '%.*s'", VIEW_ARGS(got), VIEW_ARGS(want));
}

static void unescape_knows_every_escape(void **state)
{
	static const struct {
		struct view raw, text;
	} cases[] = {
		{ { "", 0 }, { "", 0 } },
		{ { "plain", 5 }, { "plain", 5 } },
		{ { "\\\"\\\\\\/\\b\\f\\n\\r\\t", 16 }, { "\"\\/\b\f\n\r\t", 8 } },
		{ { "\\u0000", 6 }, { "\0", 1 } },
		{ { "a\\u0041b\\u004A", 14 }, { "aAbJ", 4 } },
		{ { "\\u00e9\\u20AC", 12 }, { "\xc3\xa9\xe2\x82\xac", 5 } },
		{ { "\\u07ff\\u0800\\uffff", 18 }, { "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 8 } },
		{ { "\\ud83d\\ude00", 12 }, { "\xf0\x9f\x98\x80", 4 } },
		{ { "\\uD800\\uDC00\\uDBFF\\uDFFF", 24 }, { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8 } },
		{ { "\\ud83d", 6 }, { "\xed\xa0\xbd", 3 } },
		{ { "\\ude00x", 7 }, { "\xed\xb8\x80x", 4 } },
		{ { "\\ud83d\\u0041", 12 }, { "\xed\xa0\xbd\x41", 4 } },
		{ { "\\ud83d\\ud83d\\ude00", 18 }, { "\xed\xa0\xbd\xf0\x9f\x98\x80", 7 } },
		{ { "\\ud83d\\udbff", 12 }, { "\xed\xa0\xbd\xed\xaf\xbf", 6 } },
		{ { "\\ud83d\\ue000", 12 }, { "\xed\xa0\xbd\xee\x80\x80", 6 } },
		{ { "\\ud83d\\n", 8 }, { "\xed\xa0\xbd\n", 4 } },
		{ { "\xff\\\\\xff", 4 }, { "\xff\\\xff", 3 } },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct view raw = exact_copy(cases[i].raw);
		char *out = mem_alloc(raw.len);
		size_t len = text_unescape(raw, out);
		check_view((struct view){ out, len }, cases[i].text);
		free(out);
		free((char *)raw.ptr);
	}
	assert_int_equal(text_unescape((struct view){ 0 }, NULL), 0);
}

static void keys_compare_unescaped(void **state)
{
	static const struct {
		const char *raw, *name;
		bool same;
	} cases[] = {
		{ "kind", "kind", true },
		{ "\\u006bind", "kind", true },
		{ "\\u006b\\u0069\\u006E\\u0064", "kind", true },
		{ "kin\\u0064", "kind", true },
		{ "kin\\u0064s", "kind", false },
		{ "kin", "kind", false },
		{ "kinds", "kind", false },
		{ "Kind", "kind", false },
		{ "\\u004bind", "kind", false },
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "\\/x", "/x", true },
		{ "\\\"", "\"", true },
		{ "\\ud83d\\ude00", "\xf0\x9f\x98\x80", true },
		{ "\xc3\xa9", "\xc3\xa9", true },
		{ "\\u00e9", "\xc3\xa9", true },
		{ "\\n", "\\n", false },
		{ "\\u0061\\u0061\\u0061", "aa", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (text_key_is(view_of(cases[i].raw), view_of(cases[i].name)) != cases[i].same)
			fail_msg("%s and %s", cases[i].raw, cases[i].name);
}

/* The definition, as a straight decoder: nothing of it is shared with the program's. */
static bool is_utf8(const uint8_t *p, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t code;
		if (p[i] < 0x80)
			n = 1, code = p[i];
		else if ((p[i] & 0xe0) == 0xc0)
			n = 2, code = p[i] & 0x1f;
		else if ((p[i] & 0xf0) == 0xe0)
			n = 3, code = p[i] & 0x0f;
		else if ((p[i] & 0xf8) == 0xf0)
			n = 4, code = p[i] & 0x07;
		else
			return false;
		if (len - i < n)
			return false;
		for (size_t j = 1; j < n; j++) {
			if ((p[i + j] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i + j] & 0x3f);
		}
		static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
		if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return false;
	}
	return true;
}

static void utf8_is_that_of_rfc_3629(void **state)
{
	static const uint8_t edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
		0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
	enum { N = sizeof edges };
	(void)state;
	assert_true(text_is_utf8((struct view){ 0 }));
	for (unsigned i = 0; i < N * N * N * N; i++) {
		uint8_t bytes[4] = { edges[i % N], edges[i / N % N], edges[i / N / N % N], edges[i / N / N / N] };
		for (size_t len = 1; len <= 4; len++)
			if (text_is_utf8((struct view){ (char *)bytes, len }) != is_utf8(bytes, len))
				fail_msg("%02x %02x %02x %02x, %zu", bytes[0], bytes[1], bytes[2], bytes[3], len);
	}
}

/* A bad or good character at every place of a longer text. */
static void utf8_is_seen_at_every_place(void **state)
{
	static const char *const parts[] = { "\x80", "\xc3", "\xc3\xa9", "\xe2\x82", "\xe2\x82\xac", "\xed\xa0\x80", "\xf0\x9f\x98",
		"\xf0\x9f\x98\x80", "\xf8\x88\x80\x80\x80", "\xf4\x90\x80\x80" };
	(void)state;
	for (size_t len = 0; len < 150; len++) {
		for (size_t at = 0; at <= len; at++) {
			const char *part = parts[(len * 7 + at) % (sizeof parts / sizeof *parts)];
			struct buf text = { 0 };
			for (size_t i = 0; i < len; i++)
				buf_addf(&text, "%s", i == at ? part : (len + at) % 3 && i < 148 ? "x" : "\xc3\xa9");
			struct view exact = exact_copy(buf_view(&text));
			assert_int_equal(text_is_utf8(exact), is_utf8((const uint8_t *)exact.ptr, exact.len));
			free((char *)exact.ptr);
			buf_finish(&text);
		}
	}
}

static void bad_bytes_become_replacements_one_each(void **state)
{
	static const struct {
		const char *bytes, *clean;
	} cases[] = {
		{ "", "" },
		{ "plain \x7f", "plain \x7f" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xff", "\xef\xbf\xbd" },
		{ "a\x80\x62", "a\xef\xbf\xbd\x62" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe2\x82\x41", "\xef\xbf\xbd\xef\xbf\xbd\x41" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe2\xe2\x82\xac", "\xef\xbf\xbd\xe2\x82\xac" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct view bytes = exact_copy(view_of(cases[i].bytes));
		struct buf clean = { 0 }, quoted = { 0 };
		text_add_clean(&clean, bytes);
		check_view(buf_view(&clean), view_of(cases[i].clean));
		text_add_quoted(&quoted, bytes);
		assert_int_equal(quoted.len, clean.len + 2);
		check_view((struct view){ quoted.ptr + 1, quoted.len - 2 }, view_of(cases[i].clean));
		buf_finish(&clean);
		buf_finish(&quoted);
		free((char *)bytes.ptr);
	}
	struct buf none = { 0 };
	text_add_clean(&none, (struct view){ 0 });
	assert_int_equal(none.len, 0);
	text_add_quoted(&none, (struct view){ 0 });
	check_view(buf_view(&none), VIEW("\"\""));
	buf_finish(&none);
}

static void quoting_escapes_what_must_be(void **state)
{
	char all[0x80];
	struct buf quoted = { 0 };
	(void)state;
	text_add_quoted(&quoted, VIEW("a\"b\\c/d\n\t\r\b\f\x01\x1f<>&"));
	check_view(buf_view(&quoted), VIEW("\"a\\\"b\\\\c/d\\n\\t\\r\\b\\f\\u0001\\u001f<>&\""));
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	buf_clear(&quoted);
	text_add_quoted(&quoted, (struct view){ all, sizeof all });
	char *back = mem_alloc(quoted.len);
	size_t len = text_unescape((struct view){ quoted.ptr + 1, quoted.len - 2 }, back);
	check_view((struct view){ back, len }, (struct view){ all, sizeof all });
	free(back);
	buf_finish(&quoted);
}

static void a_walk_meets_every_member(void **state)
{
	static const char object[] =
		"{ \"a\" : 1,\"\\u0062\":[2, {\"x\":\"}\"}] ,\"\":\"q\\\\\" , \"\\\"\":{} ,\"n\":-1.5e3\n,\"t\":true }";
	static const char *const want[][3] = {
		{ "a", "1", "\"a\" : 1" },
		{ "\\u0062", "[2, {\"x\":\"}\"}]", "\"\\u0062\":[2, {\"x\":\"}\"}]" },
		{ "", "\"q\\\\\"", "\"\":\"q\\\\\"" },
		{ "\\\"", "{}", "\"\\\"\":{}" },
		{ "n", "-1.5e3", "\"n\":-1.5e3" },
		{ "t", "true", "\"t\":true" },
	};
	struct text_walk walk = text_walk_start(view_of(object));
	struct text_member member;
	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		assert_true(text_walk_next(&walk, &member));
		check_view(member.key, view_of(want[i][0]));
		check_view(member.value, view_of(want[i][1]));
		check_view(member.whole, view_of(want[i][2]));
	}
	assert_false(text_walk_next(&walk, &member));
	assert_false(text_walk_next(&walk, &member));
}

static void a_walk_meets_every_element(void **state)
{
	static const char *const want[] = { "\"a\"", "\":\"", "[[]]", "{\"k\":\"v\"}", "null", "0", "\"\\\\\\\"\"" };
	struct text_walk walk = text_walk_start(VIEW("[ \"a\" ,\":\",[[]],{\"k\":\"v\"},null , 0\t,\"\\\\\\\"\"]"));
	struct text_member member;
	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		assert_true(text_walk_next(&walk, &member));
		assert_int_equal(member.key.len, 0);
		check_view(member.value, view_of(want[i]));
		check_view(member.whole, view_of(want[i]));
	}
	assert_false(text_walk_next(&walk, &member));
}

static void walks_of_nothing_end_at_once(void **state)
{
	static const char *const values[] = { "{}", "[]", "{ }", "[\n]", "1", "\"[1]\"", "null", "-", "" };
	struct text_member member;
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct text_walk walk = text_walk_start(view_of(values[i]));
		assert_false(text_walk_next(&walk, &member));
	}
	struct text_walk walk = text_walk_start((struct view){ 0 });
	assert_false(text_walk_next(&walk, &member));
}

static void the_last_member_of_a_name_is_got(void **state)
{
	(void)state;
	check_view(text_get(VIEW("{\"a\":1,\"b\":2,\"\\u0061\":[3]}"), VIEW("a")), VIEW("[3]"));
	check_view(text_get(VIEW("{\"a\":{\"b\":1}}"), VIEW("a")), VIEW("{\"b\":1}"));
	assert_null(text_get(VIEW("{\"a\":{\"b\":1}}"), VIEW("b")).ptr);
	assert_null(text_get(VIEW("{}"), VIEW("")).ptr);
	check_view(text_get(VIEW("{\"\":0}"), VIEW("")), VIEW("0"));
	assert_null(text_get(VIEW("[\"a\",1]"), VIEW("a")).ptr);
	assert_null(text_get(VIEW("[1]"), VIEW("")).ptr);
	assert_null(text_get(VIEW("\"a\""), VIEW("a")).ptr);
	assert_null(text_get((struct view){ 0 }, VIEW("a")).ptr);
}

static void skip_ends_with_the_value(void **state)
{
	static const char *const values[] = { "1", "-0.5e+3", "true", "null", "\"\"", "\"a\\\"\"", "\"\\\\\"", "\"]}\"", "[]", "{}",
		"[[],{\"]\":\"[\"}]", "{\"a\":[\"}\"]}" };
	static const char *const behind[] = { "", ",1", "]", "}", " ", "\n", " ,\"x\"" };
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		for (size_t j = 0; j < sizeof behind / sizeof *behind; j++) {
			char *text = mem_textf("%s%s", values[i], behind[j]);
			struct view exact = exact_copy(view_of(text));
			const char *end = text_skip(exact.ptr, exact.ptr + exact.len);
			check_view((struct view){ exact.ptr, (size_t)(end - exact.ptr) }, view_of(values[i]));
			free((char *)exact.ptr);
			free(text);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(unescape_knows_every_escape),
		cmocka_unit_test(keys_compare_unescaped),
		cmocka_unit_test(utf8_is_that_of_rfc_3629),
		cmocka_unit_test(utf8_is_seen_at_every_place),
		cmocka_unit_test(bad_bytes_become_replacements_one_each),
		cmocka_unit_test(quoting_escapes_what_must_be),
		cmocka_unit_test(a_walk_meets_every_member),
		cmocka_unit_test(a_walk_meets_every_element),
		cmocka_unit_test(walks_of_nothing_end_at_once),
		cmocka_unit_test(the_last_member_of_a_name_is_got),
		cmocka_unit_test(skip_ends_with_the_value),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
