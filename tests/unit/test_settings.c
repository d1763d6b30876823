#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"
#include "router/base/audit_class.h"
#include "router/base/buf.h"

struct inner {
	char *name;
	int64_t number;
};

struct sample {
	bool flag;
	int64_t number, time_ms;
	uint64_t size;
	char *text, *path, *secret;
	int choice;
	struct strings texts;
	struct text_pairs pairs;
	unsigned classes;
	struct inner inner;
	int variant;
};

static bool read_variant(struct settings_reader *reader, const struct node *node, void *field)
{
	*(int *)field = node ? (int)node->n : -1;
	if (node && node->kind != NODE_LIST)
		settings_problem(reader, node, "variant takes a list");
	return !node || node->kind == NODE_LIST;
}

static void finish_variant(void *field)
{
	*(int *)field = 0;
}

static void check_inner(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct inner *inner = values;
	if (inner->number == 13)
		settings_warning(reader, tree_get(map, "number"), "13 brings bad luck");
	if (inner->name && inner->number == 7)
		settings_problem(reader, map, "name and 7 exclude each other");
}

static const struct setting inner_rows[] = {
	{ .key = "name", .type = SETTING_TEXT, .offset = offsetof(struct inner, name), .required = true },
	{ .key = "number", .type = SETTING_INT, .offset = offsetof(struct inner, number), .initial = "5", .min = "1" },
	{ .key = NULL },
};
static const struct section inner_section = { .name = "inner", .size = sizeof(struct inner), .rows = inner_rows,
	.check = check_inner };

static const char *const choices[] = { "none", "gzip", "off", NULL };

#define AT(field) .offset = offsetof(struct sample, field)
static const struct setting rows[] = {
	{ .key = "flag", .type = SETTING_BOOL, AT(flag), .initial = "on" },
	{ .key = "number", .type = SETTING_INT, AT(number), .initial = "-3", .min = "-10", .max = "10" },
	{ .key = "time", .type = SETTING_TIME, AT(time_ms), .initial = "30s", .max = "1d" },
	{ .key = "size", .type = SETTING_SIZE, AT(size), .initial = "64MiB", .min = "1KiB" },
	{ .key = "text", .type = SETTING_TEXT, AT(text) },
	{ .key = "path", .type = SETTING_PATH, AT(path), .initial = "state" },
	{ .key = "secret", .type = SETTING_TEXT, AT(secret), .secret = true },
	{ .key = "choice", .type = SETTING_CHOICE, AT(choice), .initial = "gzip", .choices = choices },
	{ .key = "texts", .type = SETTING_TEXTS, AT(texts) },
	{ .key = "pairs", .type = SETTING_PAIRS, AT(pairs) },
	{ .key = "classes", .type = SETTING_CLASSES, AT(classes) },
	{ .key = "inner", .type = SETTING_SECTION, AT(inner), .section = &inner_section },
	{ .key = "variant", .type = SETTING_VARIANT, AT(variant), .read = read_variant, .finish = finish_variant },
	{ .key = NULL },
};
#undef AT
static const struct section section = { .name = "sample", .size = sizeof(struct sample), .rows = rows };

static bool read_sample(const char *yaml, struct sample *s, struct problems *problems)
{
	static const char *const also[] = { "type", NULL };
	struct settings_reader reader = { .file = "f.yaml", .folder = "/etc/router", .problems = problems };
	struct tree *tree = NULL;
	struct err err;
	assert_int_equal(tree_parse(&tree, "f.yaml", view_of(yaml), &err), 0);
	memset(s, 0xa5, sizeof *s); /* whatever was there before must not matter */
	bool good = section_read(&reader, &section, tree_root(tree), also, s);
	tree_close(tree);
	assert_int_equal(good, problems->errors == 0);
	return good;
}

static void defaults_hold_where_nothing_is_said(void **state)
{
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	assert_true(read_sample("type: x", &s, &problems));
	assert_true(s.flag);
	assert_int_equal(s.number, -3);
	assert_int_equal(s.time_ms, 30000);
	assert_true(s.size == 64u << 20);
	assert_null(s.text);
	assert_string_equal(s.path, "/etc/router/state");
	assert_int_equal(s.choice, 1);
	assert_int_equal(s.texts.n, 0);
	assert_int_equal(s.pairs.n, 0);
	assert_int_equal(s.classes, 0);
	assert_int_equal(s.inner.number, 5); /* what an unsaid section requires is not asked for */
	assert_null(s.inner.name);
	assert_int_equal(s.variant, -1);
	section_finish(&section, &s);
	problems_finish(&problems);
}

static void every_type_is_read(void **state)
{
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	assert_int_equal(setenv("SETTINGS_WORD", "word", 1), 0);
	assert_int_equal(setenv("SETTINGS_OFF", "off", 1), 0);
	assert_true(read_sample("flag: ${SETTINGS_OFF}\n"
				"number: 10\n"
				"time: 1h30m\n"
				"size: 1KiB\n"
				"text: a ${SETTINGS_WORD} $${x} $y ${SETTINGS_WORD}\n"
				"path: /abs\n"
				"choice: no\n"
				"texts: [a, '${SETTINGS_WORD}', on]\n"
				"pairs: {A: 1, B: '${SETTINGS_WORD}'}\n"
				"classes: [DATA_READ, ADMIN_ACTIVITY]\n"
				"inner: {name: x, number: 13}\n"
				"variant: [1, 2]\n",
		&s, &problems));
	assert_false(s.flag);
	assert_int_equal(s.number, 10);
	assert_int_equal(s.time_ms, 5400000);
	assert_int_equal(s.size, 1024);
	assert_string_equal(s.text, "a word ${x} $y word");
	assert_string_equal(s.path, "/abs");
	assert_int_equal(s.choice, 2);
	assert_int_equal(s.texts.n, 3);
	assert_string_equal(s.texts.list[1].ptr, "word");
	assert_string_equal(s.texts.list[2].ptr, "on");
	assert_int_equal(s.pairs.n, 2);
	assert_string_equal(s.pairs.list[1].key, "B");
	assert_string_equal(s.pairs.list[1].value, "word");
	assert_int_equal(s.pairs.list[1].line, 9);
	assert_int_equal(s.pairs.list[1].column, 15);
	assert_int_equal(s.classes, 1u << DATA_READ | 1u << ADMIN_ACTIVITY);
	assert_string_equal(s.inner.name, "x");
	assert_int_equal(s.variant, 2);
	assert_int_equal(problems.warnings, 1);
	section_finish(&section, &s);
	problems_finish(&problems);
}

static void one_scalar_is_a_list_of_one(void **state)
{
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	assert_true(read_sample("{texts: a, classes: DATA_WRITE, type: on}", &s, &problems));
	assert_int_equal(s.texts.n, 1);
	assert_int_equal(s.classes, 1u << DATA_WRITE);
	section_finish(&section, &s);
	problems_finish(&problems);
}

static void merged_keys_give_way_to_own_ones(void **state)
{
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	assert_true(read_sample("inner: &i {name: a, number: 3}\n"
				"pairs: {<<: *i, name: b}\n"
				"<<: {number: 4, text: merged}\n"
				"number: 2\n",
		&s, &problems));
	assert_int_equal(s.number, 2);
	assert_string_equal(s.text, "merged");
	assert_int_equal(s.pairs.n, 2);
	assert_string_equal(s.pairs.list[0].key, "number");
	assert_string_equal(s.pairs.list[1].value, "b");
	section_finish(&section, &s);
	problems_finish(&problems);
}

static void wrong_values_are_named_with_their_place(void **state)
{
	static const struct {
		const char *yaml, *problem;
	} cases[] = {
		{ "flag: maybe", "1:7: flag takes on or off, not \"maybe\"" },
		{ "flag: [on]", "1:7: flag takes one value, not a list" },
		{ "flag:", "1:6: flag has no value" },
		{ "number: 1.5", "1:9: number takes a whole number, not \"1.5\"" },
		{ "number: 11", "1:9: number must be at most 10" },
		{ "number: -11", "1:9: number must be at least -10" },
		{ "number: 99999999999999999999", "1:9: number takes a whole number" },
		{ "time: 30", "1:7: time takes a time with its unit (500ms, 30s, 1h30m, 400d), not \"30\"" },
		{ "time: 25h", "1:7: time must be at most 1d" },
		{ "size: 64", "1:7: size takes a size with its unit (512KiB, 64MiB, 1GB), not \"64\"" },
		{ "size: 1B", "1:7: size must be at least 1KiB" },
		{ "text: {a: b}", "1:7: text takes one value, not a mapping" },
		{ "text: ~", "1:7: text has no value" },
		{ "text: \"a\\0b\"", "1:7: text holds a zero byte" },
		{ "text: ${SETTINGS_UNSET}", "1:7: the environment variable SETTINGS_UNSET is not set" },
		{ "text: ${SETTINGS_UNSET", "1:7: ${ must be followed by the name of an environment variable" },
		{ "text: ${}", "1:7: ${ must be followed" },
		{ "text: ${1A}", "1:7: ${ must be followed" },
		{ "path: ''", "1:7: path is empty" },
		{ "secret: [hunter2]", "1:9: secret takes one value, not a list" },
		{ "choice: gzp", "1:9: unknown choice \"gzp\"; did you mean \"gzip\"?" },
		{ "choice: brotli", "1:9: unknown choice \"brotli\"; known: none, gzip, off" },
		{ "texts: {a: b}", "1:8: texts takes a list, not a mapping" },
		{ "texts: [a, [b]]", "1:12: texts takes one value, not a list" },
		{ "pairs: [a]", "1:8: pairs takes a mapping" },
		{ "pairs: {a: [b]}", "1:12: a takes one value, not a list" },
		{ "pairs: {a: 1, a: 2}", "1:15: \"a\" is said twice; the first time in line 1" },
		{ "classes: []", "1:10: classes is an empty list" },
		{ "classes: [data_read]", "1:11: unknown class \"data_read\"; known: ADMIN_ACTIVITY," },
		{ "classes: [DATA_REED]", "1:11: unknown class \"DATA_REED\"; did you mean \"DATA_READ\"?" },
		{ "inner: 5", "1:8: a mapping (key: value) is expected here" },
		{ "inner: {number: 2}", "1:8: name is missing" },
		{ "inner: {name: ''}", "1:15: name is empty" },
		{ "inner: {name: a, number: 7}", "1:8: name and 7 exclude each other" },
		{ "variant: 5", "1:10: variant takes a list" },
		{ "numbr: 5", "1:1: unknown key \"numbr\"; did you mean \"number\"?" },
		{ "typ: 5", "1:1: unknown key \"typ\"; did you mean \"type\"?" },
		{ "zzzzzz: 5", "1:1: unknown key \"zzzzzz\"; known: flag, number," },
		{ "number: 5\nnumber: 6", "2:1: \"number\" is said twice; the first time in line 1" },
		{ "? [a]\n: b", "1:3: a key must be text" },
		{ "[a]", "1:1: a mapping (key: value) is expected here" },
		{ "\"nu\\e\\0mber\": 5", "1:1: unknown key \"nu \"" },
	};
	(void)state;
	(void)unsetenv("SETTINGS_UNSET");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sample s;
		struct problems problems = { 0 };
		char text[ERR_TEXT_MAX + ERR_FILE_MAX];
		char *expected = mem_textf("f.yaml:%s", cases[i].problem);
		assert_false(read_sample(cases[i].yaml, &s, &problems));
		section_finish(&section, &s);
		assert_int_equal(problems.n, 1);
		(void)err_print(&problems.list[0].err, text, sizeof text);
		if (strncmp(text, expected, strlen(expected)) != 0)
			fail_msg("%s\n    instead of: %s", text, expected);
		free(expected);
		problems_finish(&problems);
	}
}

static void secrets_are_never_in_a_message(void **state)
{
	static const char *const cases[] = {
		"secret: {hunter2: hunter2}",
		"secret: [hunter2]",
		"secret: \"${hunter2\"",
		"secret: \"hunter2\\0\"",
		"size: ${SETTINGS_SECRET}",
		"choice: ${SETTINGS_SECRET}",
		"classes: ['${SETTINGS_SECRET}']",
	};
	(void)state;
	assert_int_equal(setenv("SETTINGS_SECRET", "hunter2", 1), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sample s;
		struct problems problems = { 0 };
		assert_false(read_sample(cases[i], &s, &problems));
		for (size_t k = 0; k < problems.n; k++)
			assert_null(strstr(problems.list[k].err.text, "hunter2"));
		section_finish(&section, &s);
		problems_finish(&problems);
	}
}

static void all_problems_are_told_at_once(void **state)
{
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	assert_false(read_sample("flag: x\nnumber: y\ninner:\n  nam: z\n  number: w\ntext: [a]\nwrong: 1\n", &s,
		&problems));
	assert_int_equal(problems.errors, 7);
	section_finish(&section, &s);
	problems_finish(&problems);
}

static void a_file_of_unknown_keys_is_cheap(void **state)
{
	struct buf yaml = { 0 };
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_addf(&yaml, "number%dnumbernumbernumbernumbernumber: 1\n", i);
	assert_false(read_sample(buf_text(&yaml), &s, &problems));
	assert_int_equal(problems.errors, 100000);
	section_finish(&section, &s);
	problems_finish(&problems);
	buf_finish(&yaml);
}

static void a_path_has_an_end(void **state)
{
	struct buf yaml = { 0 };
	struct sample s;
	struct problems problems = { 0 };
	(void)state;
	buf_addf(&yaml, "path: ");
	for (int i = 0; i < 4096; i++)
		buf_add_byte(&yaml, 'x');
	assert_false(read_sample(buf_text(&yaml), &s, &problems));
	assert_string_equal(problems.list[0].err.text, "path is longer than a path can be (4095 bytes)");
	section_finish(&section, &s);
	problems_finish(&problems);
	buf_finish(&yaml);
}

static void write_whole(const char *path, struct view bytes)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
	assert_int_equal(fclose(f), 0);
}

static void secrets_come_from_text_or_file(void **state)
{
	char path[] = "/tmp/audit-router-secret-XXXXXX";
	struct err err = { 0 };
	(void)state;
	int fd = mkstemp(path);
	close(fd);
	char *secret = settings_secret("text", NULL, &err);
	assert_string_equal(secret, "text");
	free(secret);

	const struct {
		struct view content;
		const char *secret, *error;
	} cases[] = {
		{ VIEW("token\n"), "token", NULL },
		{ VIEW("token\r\n"), "token", NULL },
		{ VIEW("token\n\n"), "token\n", NULL },
		{ VIEW("to ken"), "to ken", NULL },
		{ VIEW(""), NULL, "is empty" },
		{ VIEW("\n"), NULL, "is empty" },
		{ VIEW("a\0b"), NULL, "holds a zero byte" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_whole(path, cases[i].content);
		secret = settings_secret(NULL, path, &err);
		if (cases[i].secret) {
			assert_string_equal(secret, cases[i].secret);
		} else {
			assert_null(secret);
			assert_string_equal(err.text, cases[i].error);
			assert_string_equal(err.file, path);
		}
		free(secret);
	}
	char *large = mem_zero(1, 65 * 1024);
	memset(large, 'x', 65 * 1024);
	write_whole(path, (struct view){ large, 65 * 1024 });
	assert_null(settings_secret(NULL, path, &err));
	assert_string_equal(err.text, "longer than 64 KiB");
	free(large);
	unlink(path);
	assert_null(settings_secret(NULL, path, &err));
	assert_string_equal(err.text, "cannot be read: No such file or directory");
	assert_null(settings_secret(NULL, NULL, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_where_nothing_is_said),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(one_scalar_is_a_list_of_one),
		cmocka_unit_test(merged_keys_give_way_to_own_ones),
		cmocka_unit_test(wrong_values_are_named_with_their_place),
		cmocka_unit_test(secrets_are_never_in_a_message),
		cmocka_unit_test(all_problems_are_told_at_once),
		cmocka_unit_test(a_file_of_unknown_keys_is_cheap),
		cmocka_unit_test(a_path_has_an_end),
		cmocka_unit_test(secrets_come_from_text_or_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
