#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/tree.h"

static struct tree *parse(struct view bytes)
{
	struct tree *t = NULL;
	struct err err = { 0 };
	char text[ERR_TEXT_MAX + ERR_FILE_MAX];
	if (tree_parse(&t, "f.yaml", bytes, &err) < 0)
		fail_msg("%s", err_print(&err, text, sizeof text));
	return t;
}

static void refused(struct view bytes, const char *expected)
{
	struct tree *t = NULL;
	struct err err = { 0 };
	char text[ERR_TEXT_MAX + ERR_FILE_MAX];
	int r = tree_parse(&t, "f.yaml", bytes, &err);
	tree_close(t);
	assert_true(r < 0);
	assert_null(t);
	(void)err_print(&err, text, sizeof text);
	if (!strstr(text, expected))
		fail_msg("%s\n   instead of: %s", text, expected);
}

/* A tree as one line: maps in braces, quoted scalars in quotes, merged pairs with a +. */
static void print(const struct node *n, struct buf *out)
{
	if (!n) {
		buf_addf(out, "empty");
		return;
	}
	if (n->tag)
		buf_addf(out, "!%s ", n->tag);
	if (n->kind == NODE_SCALAR)
		buf_addf(out, n->quoted ? "'%.*s'" : "%.*s", VIEW_ARGS(n->text));
	for (size_t i = 0; n->kind == NODE_LIST && i < n->n; i++) {
		buf_addf(out, "%s", i ? "," : "[");
		print(n->items[i], out);
	}
	for (size_t i = 0; n->kind == NODE_MAP && i < n->n; i++) {
		buf_addf(out, "%s%s", i ? "," : "{", n->pairs[i].merged ? "+" : "");
		print(n->pairs[i].key, out);
		buf_addf(out, ":");
		print(n->pairs[i].value, out);
	}
	if (n->kind != NODE_SCALAR)
		buf_addf(out, n->n ? "%s" : n->kind == NODE_LIST ? "[%s" : "{%s", n->kind == NODE_LIST ? "]" : "}");
}

static void values_are_kept_as_written(void **state)
{
	static const struct {
		const char *yaml, *tree;
	} cases[] = {
		{ "", "empty" },
		{ "# only a comment\n", "empty" },
		{ "---\n", "empty" },
		{ "''", "''" },
		{ "a: 1", "{a:1}" },
		{ "a: on\nb: 'on'\nc: \"x\"\nd: |\n  text\n", "{a:on,b:'on',c:'x',d:'text\n'}" },
		{ "[1, [], {}, ~]", "[1,[],{},~]" },
		{ "a: 1\na: 2", "{a:1,a:2}" },
		{ "a: !!str 1", "{a:!tag:yaml.org,2002:str 1}" },
		{ "{\"a\": [true, null, 1.0]}", "{'a':[true,null,1.0]}" },
		{ "a: &x [1]\nb: *x\nc: &x 2\nd: *x", "{a:[1],b:[1],c:2,d:2}" },
		{ "a: &x {k: 1, l: 1}\nb: {k: 2, <<: *x}", "{a:{k:1,l:1},b:{k:2,+k:1,+l:1}}" },
		{ "a: &x {k: 1}\nb: &y {k: 2}\nc: {<<: [*x, *y], m: 3}", "{a:{k:1},b:{k:2},c:{+k:2,+k:1,m:3}}" },
		{ "a: {'<<': 1}", "{a:{'<<':1}}" },
		{ "? [a, b]\n: c", "{[a,b]:c}" },
		{ "a: 1\r\nb: 2\r\n", "{a:1,b:2}" },
		{ "\xef\xbb\xbf" "a: \xc3\xa9", "{a:\xc3\xa9}" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = { 0 };
		struct tree *t = parse(view_of(cases[i].yaml));
		print(tree_root(t), &out);
		assert_string_equal(buf_text(&out), cases[i].tree);
		assert_string_equal(tree_name(t), "f.yaml");
		buf_finish(&out);
		tree_close(t);
	}
}

static void utf16_is_read_with_and_without_bom(void **state)
{
	static const char le[] = "\xff\xfe" "a\0:\0 \0\xac\x20";
	static const char be[] = "\xfe\xff" "\0a\0:\0 \x20\xac";
	const struct view cases[] = {
		{ le, sizeof le - 1 },
		{ le + 2, sizeof le - 3 },
		{ be, sizeof be - 1 },
		{ be + 2, sizeof be - 3 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tree *t = parse(cases[i]);
		const struct node *n = tree_get(tree_root(t), "a");
		assert_true(n && view_eq(n->text, VIEW("\xe2\x82\xac")));
		tree_close(t);
	}
}

static void every_node_has_its_place(void **state)
{
	(void)state;
	struct tree *t = parse(VIEW("\xef\xbb\xbf# head\r\ninputs:\r\n  \xc3\xa4: {type: \xc3\xa4, path: x}\r\n"));
	const struct node *inputs = tree_get(tree_root(t), "inputs");
	assert_int_equal(tree_root(t)->line, 2);
	assert_int_equal(tree_root(t)->column, 1);
	assert_int_equal(inputs->line, 3);
	assert_int_equal(inputs->column, 3);
	const struct node *path = tree_get(inputs->pairs[0].value, "path");
	assert_int_equal(path->line, 3);
	assert_int_equal(path->column, 22); /* characters, not bytes */
	assert_int_equal(path->text.ptr[path->text.len], 0);
	tree_close(t);
}

static void wrong_files_are_refused_with_their_place(void **state)
{
	const struct {
		struct view yaml;
		const char *error;
	} cases[] = {
		{ VIEW("a: [1"), "f.yaml:2:1: did not find expected ',' or ']' while parsing a flow sequence that begins at line 1" },
		{ VIEW("a: 1\nb: 2\n c: 3\n"), "f.yaml:3:3: mapping values are not allowed in this context" },
		{ VIEW("a: 1\n\tb: 2"), "f.yaml:2:1: found a tab character that violates indentation" },
		{ VIEW("a: 1\nb: \"\xff\""), "f.yaml:2:5: invalid leading UTF-8 octet" },
		{ VIEW("a: 1\n\xc3\xa4\xc3\xa4 \xe2\x28\xa1: 2"), "f.yaml:2:5: invalid trailing UTF-8 octet" },
		{ VIEW("a: 1\nb: \xed\xa0\x80"), "f.yaml:2:4: " },
		{ VIEW("a: \x01"), "f.yaml:1:4: control characters are not allowed" },
		{ VIEW("a\0:\0 \0\n\0b"), "f.yaml:2:1: incomplete UTF-16 character" },
		{ VIEW("a: \0b"), "f.yaml:1:4: control characters are not allowed" },
		{ VIEW("a: *x"), "f.yaml:1:4: this alias names an anchor that is not defined above it" },
		{ VIEW("a: &x [*x]"), "f.yaml:1:8: this alias stands inside its own anchor" },
		{ VIEW("a: &x\n  b: {<<: *x}"), "f.yaml:2:11: this alias stands inside its own anchor" },
		{ VIEW("a: {<<: 1}"), "f.yaml:1:9: a merge (<<) takes a map or a list of maps" },
		{ VIEW("a: {<<: [{}, 1]}"), "a merge (<<) takes a map or a list of maps" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refused(cases[i].yaml, cases[i].error);
}

static void repeat(struct buf *out, const char *text, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		buf_addf(out, "%s", text);
}

static void limits_hold(void **state)
{
	struct buf b = { 0 };
	struct tree *t;
	(void)state;

	repeat(&b, "[", TREE_DEPTH_MAX);
	repeat(&b, "]", TREE_DEPTH_MAX);
	t = parse(buf_view(&b));
	tree_close(t);
	buf_clear(&b);
	repeat(&b, "[", TREE_DEPTH_MAX + 1);
	refused(buf_view(&b), "f.yaml:1:101: nested deeper than 100 levels");
	buf_clear(&b);
	repeat(&b, "[", 100000);
	refused(buf_view(&b), "nested deeper");

	/* Depth and number of values count through aliases. */
	buf_clear(&b);
	buf_addf(&b, "a0: &a0 [x]\n");
	for (int i = 1; i < 110; i++)
		buf_addf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	refused(buf_view(&b), "f.yaml:100:12: nested deeper");
	buf_clear(&b);
	buf_addf(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 20; i++)
		buf_addf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
			i - 1, i - 1, i - 1, i - 1, i - 1);
	refused(buf_view(&b), "more than 1000000 values");
	buf_clear(&b);
	buf_addf(&b, "a0: &a0 {x: 1, y: 2, z: 3}\n");
	for (int i = 1; i < 40; i++)
		buf_addf(&b, "a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i - 1, i - 1);
	refused(buf_view(&b), "more than 1000000 values");

	buf_clear(&b);
	buf_reserve(&b, TREE_BYTES_MAX + 1);
	memset(b.ptr, ' ', TREE_BYTES_MAX + 1);
	b.len = TREE_BYTES_MAX + 1;
	refused(buf_view(&b), "f.yaml: longer than 8 MiB");
	b.len--;
	tree_close(parse(buf_view(&b)));
	buf_finish(&b);
}

static void many_anchors_and_keys_take_linear_time(void **state)
{
	struct buf b = { 0 };
	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "k%d: &x%d v\nl%d: *x%d\n", i, i, i, i);
	tree_close(parse(buf_view(&b)));
	buf_finish(&b);
}

static void the_first_document_is_read(void **state)
{
	unsigned line;
	(void)state;
	struct tree *t = parse(VIEW("a: 1\n---\nb: 2\n"));
	assert_non_null(tree_get(tree_root(t), "a"));
	assert_null(tree_get(tree_root(t), "b"));
	assert_true(tree_has_more(t, &line));
	assert_int_equal(line, 2);
	tree_close(t);
	t = parse(VIEW("{a: 1}\ngarbage\n"));
	assert_true(tree_has_more(t, &line));
	assert_int_equal(line, 2);
	tree_close(t);
	t = parse(VIEW("---\na: 1\n...\n# end\n"));
	assert_false(tree_has_more(t, &line));
	tree_close(t);
}

static void lookups_prefer_own_keys_and_the_last(void **state)
{
	(void)state;
	struct tree *t = parse(VIEW("a: &x {k: 1, l: 1}\nb: &y {l: 2}\nc: {k: 2, k: 3, <<: [*x, *y]}\n"));
	const struct node *c = tree_get(tree_root(t), "c");
	assert_true(view_eq(tree_get(c, "k")->text, VIEW("3")));
	assert_true(view_eq(tree_get(c, "l")->text, VIEW("1")));
	assert_null(tree_get(c, "m"));
	assert_null(tree_get(NULL, "m"));
	assert_null(tree_get(tree_get(c, "k"), "m"));
	tree_close(t);
}

static void nulls_and_booleans_are_plain(void **state)
{
	bool value = false;
	(void)state;
	struct tree *t = parse(VIEW("[~, null, Null, NULL, 'null', nULL, !!str null, []]"));
	static const bool nulls[] = { true, true, true, true, false, false, false, false };
	const struct node *list = tree_root(t);
	for (size_t i = 0; i < list->n; i++)
		assert_int_equal(node_is_null(list->items[i]), nulls[i]);
	assert_true(node_is_null(NULL));
	tree_close(t);

	t = parse(VIEW("[on, Off, 'on', oN, true, y, !!str on, !!bool no, {}]"));
	static const int booleans[] = { 1, 0, -1, -1, 1, 1, -1, 0, -1 };
	list = tree_root(t);
	for (size_t i = 0; i < list->n; i++)
		assert_int_equal(node_is_bool(list->items[i], &value) ? value : -1, booleans[i]);
	assert_false(node_is_bool(NULL, &value));
	tree_close(t);
}

static void files_and_standard_input_are_loaded(void **state)
{
	struct tree *t = NULL;
	struct err err = { 0 };
	char path[] = "/tmp/audit-router-tree-XXXXXX";
	(void)state;
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "a: 1\n", 5), 5);
	assert_int_equal(tree_load(&t, path, &err), 0);
	assert_string_equal(tree_name(t), path);
	tree_close(t);

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(tree_load(&t, "-", &err), 0);
	assert_string_equal(tree_name(t), "<stdin>");
	assert_non_null(tree_get(tree_root(t), "a"));
	tree_close(t);
	close(fd);
	unlink(path);

	assert_true(tree_load(&t, path, &err) < 0);
	assert_string_equal(err.file, path);
	assert_string_equal(err.text, "cannot be read: No such file or directory");
	assert_true(tree_load(&t, "/tmp", &err) < 0);
	tree_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_kept_as_written),
		cmocka_unit_test(utf16_is_read_with_and_without_bom),
		cmocka_unit_test(every_node_has_its_place),
		cmocka_unit_test(wrong_files_are_refused_with_their_place),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(many_anchors_and_keys_take_linear_time),
		cmocka_unit_test(the_first_document_is_read),
		cmocka_unit_test(lookups_prefer_own_keys_and_the_last),
		cmocka_unit_test(nulls_and_booleans_are_plain),
		cmocka_unit_test(files_and_standard_input_are_loaded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
