#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/format/format.h"
#include "router/input/input.h"
#include "router/output/output.h"

#define INPUT "inputs: {a: {type: stdin}}\n"
#define OUTPUT "outputs: {n: {type: 'null'}}\n"

/* All that was said, a line each, as `check` prints it. */
static char *said(const struct problems *problems)
{
	struct buf out = { 0 };
	for (size_t i = 0; i < problems->n; i++) {
		char text[ERR_TEXT_MAX + ERR_FILE_MAX];
		(void)err_print(&problems->list[i].err, text, sizeof text);
		buf_addf(&out, "%s%s\n", problems->list[i].weight == PROBLEM_WARNING ? "warning " : "", text);
	}
	(void)buf_text(&out);
	return out.ptr;
}

static struct config *load(const char *yaml, struct problems *problems)
{
	struct config *c = NULL;
	int r = config_parse(&c, "f.yaml", "/etc/router", view_of(yaml), problems);
	assert_int_equal(r < 0, problems->errors > 0);
	assert_int_equal(r < 0, c == NULL);
	return c;
}

static struct config *load_good(const char *yaml)
{
	struct problems problems = { 0 };
	struct config *c = load(yaml, &problems);
	if (problems.n)
		fail_msg("%s", said(&problems));
	problems_finish(&problems);
	return c;
}

static void defaults_are_those_of_the_contract(void **state)
{
	(void)state;
	struct config *c = load_good(INPUT OUTPUT);
	assert_string_equal(c->path, "f.yaml");
	assert_string_equal(c->folder, "/etc/router");
	assert_null(c->cluster);
	assert_string_equal(c->state_dir, "/var/lib/audit-router");
	assert_int_equal(c->memory_max, 32 << 20);
	assert_int_equal(c->max_event_bytes, 64 << 20);
	assert_int_equal(c->once_wait_ms, 30000);
	assert_int_equal(c->shutdown_wait_ms, 20000);
	assert_string_equal(c->classifier.name, "gke");
	assert_null(c->classifier.file);
	assert_non_null(c->redact);
	assert_null(c->outputs[0].common.redact);
	assert_int_equal(c->n_inputs, 1);
	assert_string_equal(c->inputs[0].name, "a");
	assert_string_equal(c->inputs[0].ops->name, "stdin");
	assert_int_equal(c->n_outputs, 1);
	assert_string_equal(c->outputs[0].ops->name, "null");
	assert_int_equal(c->outputs[0].line, 2);
	assert_int_equal(c->outputs[0].column, 11);
	assert_int_equal(c->outputs[0].common.guarantee, AT_LEAST_ONCE);
	assert_int_equal(config_output_classes(c, &c->outputs[0]), AUDIT_CLASSES_ALL);
	config_close(c);
	config_close(NULL);
}

static void everything_said_arrives(void **state)
{
	(void)state;
	struct config *c = load_good("cluster: prod-eu1\n"
				     "state_dir: state\n"
				     "classifier: {file: my.yaml, override: {secret-reads: DATA_READ}}\n"
				     "redact: off\n"
				     "data_access:\n"
				     "  ADMIN_ACTIVITY: on\n"
				     "  ADMIN_READ: off\n"
				     "  DATA_READ: {exempt: [a, b], exempt_groups: g}\n"
				     "inputs:\n"
				     "  one: {type: file, path: audit.log, cluster: other}\n"
				     "  two: {type: stdin}\n"
				     "outputs:\n"
				     "  null: {type: null, classes: [ADMIN_ACTIVITY, DATA_WRITE]}\n"
				     "  siem:\n"
				     "    type: http\n"
				     "    url: http://localhost/\n"
				     "    classes: DATA_READ\n"
				     "    guarantee: best_effort\n"
				     "    queue: 1MiB\n"
				     "    max_event_bytes: 1MiB\n"
				     "    format: json\n"
				     "    only: {verbs: [get], namespaces: [kube-system]}\n"
				     "    except: {users: [x]}\n");
	assert_string_equal(c->cluster, "prod-eu1");
	assert_string_equal(c->state_dir, "/etc/router/state");
	assert_null(c->classifier.name);
	assert_string_equal(c->classifier.file, "/etc/router/my.yaml");
	assert_string_equal(c->classifier.override_.list[0].key, "secret-reads");
	assert_true(c->data_access.off[ADMIN_READ]);
	assert_false(c->data_access.off[DATA_READ]);
	assert_int_equal(c->data_access.exempt[DATA_READ].n, 2);
	assert_true(strings_have(&c->data_access.exempt_groups[DATA_READ], VIEW("g")));
	assert_string_equal(c->inputs[0].cluster, "other");
	assert_null(c->inputs[1].cluster);
	assert_string_equal(c->outputs[0].name, "null");
	assert_int_equal(config_output_classes(c, &c->outputs[0]), 1u << ADMIN_ACTIVITY | 1u << DATA_WRITE);
	const struct config_output *siem = &c->outputs[1];
	assert_int_equal(siem->common.guarantee, BEST_EFFORT);
	assert_int_equal(siem->common.queue_bytes, 1 << 20);
	assert_int_equal(siem->common.max_event_bytes, 1 << 20);
	assert_string_equal(siem->format->name, "json");
	assert_true(siem->common.only_said && siem->common.except_said);
	assert_int_equal(siem->common.only.verbs.n, 1);
	assert_int_equal(siem->common.except.users.n, 1);
	config_close(c);
}

static void values_come_from_the_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("CONFIG_TYPE", "null", 1), 0);
	assert_int_equal(setenv("CONFIG_OFF", "off", 1), 0);
	assert_int_equal(setenv("CONFIG_CLASS", "DATA_READ", 1), 0);
	struct config *c = load_good(INPUT "data_access: {ADMIN_READ: '${CONFIG_OFF}'}\n"
					   "redact: ${CONFIG_OFF}\n"
					   "outputs:\n"
					   "  n: {type: '${CONFIG_TYPE}', classes: ['${CONFIG_CLASS}']}\n"
					   "  rest:\n"
					   "    type: null\n"
					   "    only: {users: ['a-${CONFIG_TYPE}'], resources: [{group: '$${x}'}]}\n");
	assert_true(c->data_access.off[ADMIN_READ]);
	assert_null(c->redact);
	assert_int_equal(c->outputs[0].common.classes, 1u << DATA_READ);
	assert_true(strings_have(&c->outputs[1].common.only.users, VIEW("a-null")));
	assert_true(view_eq(c->outputs[1].common.only.resources[0].group, VIEW("${x}")));
	config_close(c);
}

static void anchors_and_merges_save_words(void **state)
{
	(void)state;
	struct config *c = load_good(INPUT "outputs:\n"
					   "  a: &base {type: 'null', queue: 1MiB, classes: [ADMIN_ACTIVITY]}\n"
					   "  b: {<<: *base, classes: [DATA_READ, DATA_WRITE, ADMIN_READ]}\n");
	assert_int_equal(c->outputs[1].common.queue_bytes, 1 << 20);
	assert_int_equal(config_output_classes(c, &c->outputs[1]), AUDIT_CLASSES_ALL & ~(1u << ADMIN_ACTIVITY));
	config_close(c);
}

static const struct {
	const char *yaml, *problems;
} wrong_files[] = {
	{ "", "f.yaml:1:1: empty\n" },
	{ "[a]", "f.yaml:1:1: a configuration is a mapping (inputs: ...)\n" },
	{ "inputs: [", "f.yaml:2:1: did not find expected node content while parsing a flow node\n" },
	{ "cluster: x\n", "f.yaml:1:1: inputs is missing\nf.yaml:1:1: outputs is missing\n" },
	{ "inputs:\noutputs: {}\n",
		"f.yaml:1:8: inputs takes a mapping with at least one input (NAME: {type: ...})\n"
		"f.yaml:2:10: outputs takes a mapping with at least one output (NAME: {type: ...})\n" },
	{ INPUT OUTPUT "---\nx: y\n",
		"f.yaml:3:1: a second document, or text after the first: a configuration is one document\n" },
	{ INPUT "ouputs: {n: {type: 'null'}}\n", "f.yaml:2:1: unknown key \"ouputs\"; did you mean \"outputs\"?\n"
						 "f.yaml:1:1: outputs is missing\n" },
	{ INPUT OUTPUT INPUT, "f.yaml:3:1: \"inputs\" is said twice; the first time in line 1\n" },
	{ INPUT OUTPUT "memory_max: 64\n",
		"f.yaml:3:13: memory_max takes a size with its unit (512KiB, 64MiB, 1GB), not \"64\"\n" },
	{ INPUT OUTPUT "memory_max: 1MiB\n", "f.yaml:3:13: memory_max must be at least 4MiB\n" },
	{ INPUT OUTPUT "redact: [secrets, tokns]\n",
		"f.yaml:3:19: unknown kind of redaction \"tokns\"; did you mean \"tokens\"?\n" },

	/* names and types */
	{ "inputs: {a/b: {type: stdin}}\n" OUTPUT,
		"f.yaml:1:10: the name of an input is 1 to 63 of A-Z a-z 0-9 . _ - and begins with no dot\n" },
	{ INPUT "outputs: {..: {type: 'null'}}\n",
		"f.yaml:2:11: the name of an output is 1 to 63 of A-Z a-z 0-9 . _ - and begins with no dot\n" },
	{ INPUT "outputs: {a: {type: 'null'}, a: {type: 'null'}}\n",
		"f.yaml:2:30: \"a\" is said twice; the first time in line 2\n" },
	{ "inputs: {a: {type: stdni}}\n" OUTPUT,
		"f.yaml:1:20: unknown type \"stdni\"; did you mean \"stdin\"?\n" },
	{ INPUT "outputs: {a: {type: htp, url: x, quue: 1MiB}}\n",
		"f.yaml:2:21: unknown type \"htp\"; did you mean \"http\"?\n" },
	{ INPUT "outputs: {a: {type: [http]}}\n", "f.yaml:2:21: this takes one value, not a list\n" },
	{ INPUT "outputs: {a: b}\n", "f.yaml:2:14: an output is a mapping (type: ...)\n" },
	{ INPUT "outputs: {a: {type: 'null', type: 'null'}}\n",
		"f.yaml:2:29: \"type\" is said twice; the first time in line 2\n" },
	{ INPUT "outputs: {a: {type: http, url: 'http://x/', batch_event: 5}}\n",
		"f.yaml:2:45: unknown key \"batch_event\"; did you mean \"batch_events\"?\n" },
	{ INPUT "outputs: {a: {type: http, url: 'http://x/', clases: [ADMIN_READ]}}\n",
		"f.yaml:2:45: unknown key \"clases\"; did you mean \"classes\"?\n" },
	{ INPUT "outputs: {a: {type: http, url: 'http://x/', in_flight: 0}}\n",
		"f.yaml:2:56: in_flight must be at least 1\n" },
	{ INPUT "outputs: {a: {type: http}}\n", "f.yaml:2:14: url is missing\n" },
	{ "inputs: {a: {type: file}}\n" OUTPUT, "f.yaml:1:13: path is missing\n" },

	/* formats */
	{ INPUT "outputs: {a: {type: http, url: 'http://x/', format: ndjsn}}\n",
		"f.yaml:2:53: unknown format \"ndjsn\"; did you mean \"ndjson\"?\n" },
	{ INPUT "outputs: {a: {type: 'null', format: json}}\n",
		"f.yaml:2:37: an output of type null sends the events' own bytes: it has no format\n" },

	/* classes */
	{ INPUT "outputs: {a: {type: 'null', classes: [ADMIN_ACTIVITY, ADMIN_READ]}}\n",
		"f.yaml:2:10: DATA_READ is on and goes to no output: name it under the classes of one, or switch it "
		"off (data_access: { DATA_READ: off })\n"
		"f.yaml:2:10: DATA_WRITE is on and goes to no output: name it under the classes of one, or switch it "
		"off (data_access: { DATA_WRITE: off })\n" },
	{ INPUT "outputs: {a: {type: 'null', classes: [DATA_WRITE, DATA_READ, ADMIN_READ]}}\n",
		"f.yaml:2:10: ADMIN_ACTIVITY goes to no output: name it under the classes of one\n" },
	{ INPUT "outputs: {a: {type: 'null', classes: [DATA_WROTE]}}\n",
		"f.yaml:2:39: unknown class \"DATA_WROTE\"; did you mean \"DATA_WRITE\"?\n" },
	{ INPUT OUTPUT "data_access: {ADMIN_ACTIVITY: off}\n",
		"f.yaml:3:31: ADMIN_ACTIVITY cannot be switched off, and nobody is exempt from it; the only value is "
		"on\n" },
	{ INPUT OUTPUT "data_access: {ADMIN_ACTIVITY: {exempt: [a]}}\n",
		"f.yaml:3:31: ADMIN_ACTIVITY cannot be switched off, and nobody is exempt from it; the only value is "
		"on\n" },
	{ INPUT OUTPUT "data_access: {DATA_READ: {exmpt: [a]}, ADMIN_REED: off, DATA_WRITE: maybe}\n",
		"f.yaml:3:27: unknown key \"exmpt\"; did you mean \"exempt\"?\n"
		"f.yaml:3:40: unknown class \"ADMIN_REED\"; did you mean \"ADMIN_READ\"?\n"
		"f.yaml:3:69: DATA_WRITE takes on, off or {exempt: [...], exempt_groups: [...]}\n" },
	{ INPUT "outputs:\n  a: {type: 'null'}\n  b: {type: 'null', classes: [DATA_READ]}\n"
		"data_access: {DATA_READ: off}\n",
		"warning f.yaml:4:31: output \"b\" gets no DATA_READ: data_access switches it off\n"
		"f.yaml:4:30: output \"b\" gets nothing: all of its classes are off\n" },

	/* classifier and selectors */
	{ INPUT OUTPUT "classifier: {name: gke, file: x}\n", "f.yaml:3:31: name and file exclude each other\n" },
	{ INPUT OUTPUT "classifier: {override: {secret-reads: DATA_REED}}\n",
		"f.yaml:3:25: unknown class \"DATA_REED\"; did you mean \"DATA_READ\"?\n" },
	{ INPUT "outputs: {a: {type: 'null', only: {user: [x]}}}\n",
		"f.yaml:2:36: unknown key \"user\"; did you mean \"users\"?\n" },
	{ INPUT "outputs: {a: {type: 'null', except: {}}}\n",
		"f.yaml:2:37: this selector is empty: it would match every event\n" },
	{ INPUT "outputs: {a: {type: 'null', queue: 1GiB}}\n",
		"warning f.yaml:2:36: queue is above memory_max, which bounds all queues together\n" },
};

static void wrong_files_are_told_by_line_and_column(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong_files / sizeof *wrong_files; i++) {
		struct problems problems = { 0 };
		config_close(load(wrong_files[i].yaml, &problems));
		char *text = said(&problems);
		if (strcmp(text, wrong_files[i].problems) != 0)
			fail_msg("case %zu:\n%s\ninstead of:\n%s", i, text, wrong_files[i].problems);
		free(text);
		problems_finish(&problems);
	}
}

/* Dead letters that are read again are dead letters again. */
static void the_state_is_no_input(void **state)
{
	static const struct {
		const char *in;
		bool refused;
	} cases[] = {
		{ "st/dead-letters/*", true },
		{ "*/*/*.ndjson", true },
		{ "st/x/../dead-letters/outputs/o.ndjson", true },
		{ "*/*.ndjson", false },
		{ "st/spool/*", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = { 0 };
		char *yaml = mem_textf("state_dir: st\ninputs: {i: {type: file, path: \"%s\"}}\noutputs: {o: {type: file, path: \"o/{class}\"}}\n",
			cases[i].in);
		config_close(load(yaml, &problems));
		char *text = said(&problems);
		assert_string_equal(text, cases[i].refused ? "f.yaml:1:1: input \"i\" would read the dead letters in state_dir\n" : "");
		free(text);
		free(yaml);
		problems_finish(&problems);
	}
}

static void two_inputs_of_one_file_are_told(void **state)
{
	static const struct {
		const char *a, *b;
		bool told;
	} cases[] = {
		{ "x.log", "x.log", true },
		{ "x.log", "./x.log", true },
		{ "y/../x.log", "x.log", true },
		{ "*.log", "x.log", true },
		{ "x.log", "[a-z].log", true },
		{ "x.log", "y.log", false },
		{ "*.log", "*.txt", false },
		{ "*.log", "a/x.log", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = { 0 };
		char *yaml = mem_textf("inputs: {a: {type: file, path: \"%s\"},\n b: {type: file, path: \"%s\"}}\n"
			"outputs: {o: {type: file, path: \"o/{class}\"}}\n", cases[i].a, cases[i].b);
		config_close(load(yaml, &problems));
		char *text = said(&problems);
		assert_string_equal(text, cases[i].told ?
			"warning f.yaml:2:24: input \"b\" reads what input \"a\" reads: each of those events comes twice\n" : "");
		free(text);
		free(yaml);
		problems_finish(&problems);
	}
}

static void a_cluster_fits_into_a_spool(void **state)
{
	char name[257];
	(void)state;
	for (size_t len = 255; len <= 256; len++) {
		memset(name, 'x', len);
		name[len] = 0;
		struct problems problems = { 0 };
		char *yaml = mem_textf("cluster: %s\ninputs: {i: {type: file, path: i, cluster: %s}}\noutputs: {o: {type: file, path: \"o/{class}\"}}\n",
			name, name);
		config_close(load(yaml, &problems));
		char *text = said(&problems);
		assert_string_equal(text, len == 255 ? "" :
			"f.yaml:1:10: cluster is longer than 255 bytes\nf.yaml:2:44: cluster is longer than 255 bytes\n");
		free(text);
		free(yaml);
		problems_finish(&problems);
	}
}

/* Outputs of files, by their paths; what is not refused is good. */
static void no_two_lanes_write_one_file(void **state)
{
	static const struct {
		const char *a, *b, *problem;
	} cases[] = {
		{ "\"x/{class}\"", "\"y/{class}\"", NULL },
		{ "\"x\"", "\"y/{class}\"",
			"f.yaml:3:25: output \"a\" gets 4 classes: its path needs {class}, so that each has a file of its own" },
		{ "\"x/{class}\"", "\"x/{class}\"",
			"f.yaml:4:25: output \"b\" would write the same file as output \"a\"" },
		{ "\"x/{class}\"", "\".//x/./{class}\"", "f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}\"", "\"y/z/../../x/{class}\"", "f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}\"", "\"../x/{class}\"", NULL },
		{ "\"/x/{class}\"", "\"/../../x/{class}\"", "f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x\", classes: ADMIN_READ", "\"x\", classes: DATA_READ",
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}\", classes: [ADMIN_READ, DATA_READ]", "\"x/{class}\", classes: DATA_WRITE", NULL },
		{ "\"x/{class}\", classes: [ADMIN_READ, DATA_READ]", "\"x/{class}\", classes: DATA_READ",
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}\"", "\"x/data_read\", classes: ADMIN_READ",
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}.{date}\"", "\"x/{class}.2026-01-01\"",
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}.{date}\"", "\"x/{class}-{hour}\"", NULL },
		{ "\"x/{class}.{date}\"", "\"x/{class}.{hour}\"", /* both `unknown` where an event has no time */
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}.{date}\"", "\"x/{class}.unknown\"", "f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{class}.{dat}\"", "\"y/{class}\"", "f.yaml:3:25: unknown placeholder {dat}" },
		{ "\"x/{class}.{hour}\"", "\"x/{class}.1x\"", NULL },
		{ "\"x1/{class}\"", "\"x2/{class}\"", NULL },
		{ "\"x/{input}/{class}\"", "\"x/one/{class}\"", "f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{input}/{class}\"", "\"x/three/{class}\"", NULL },
		{ "\"x/{cluster}/{class}\"", "\"x/prod/{class}\"",
			"f.yaml:4:25: output \"b\" would write the same file" },
		{ "\"x/{cluster}/{class}\"", "\"x/two/{class}\"", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = { 0 };
		char *yaml = mem_textf("inputs: {one: {type: stdin, cluster: prod}, two: {type: file, path: /in}}\n"
				       "outputs:\n  a: {type: file, path: %s}\n  b: {type: file, path: %s}\n  c: {type: 'null'}\n",
			cases[i].a, cases[i].b);
		config_close(load(yaml, &problems));
		char *text = said(&problems);
		if (cases[i].problem ? !strstr(text, cases[i].problem) : problems.n > 0)
			fail_msg("%s%s\ninstead of:\n%s", yaml, text, cases[i].problem ? cases[i].problem : "nothing");
		assert_int_equal(problems.n, cases[i].problem != NULL);
		free(text);
		free(yaml);
		problems_finish(&problems);
	}
}

/* Events that come back would go round. */
static void no_input_reads_what_an_output_writes(void **state)
{
	static const struct {
		const char *in, *out;
		bool loops;
	} cases[] = {
		{ "/log/audit.log", "/log/{class}.log", false },
		{ "/log/*.log", "/log/{class}.log", true },
		{ "/log/*.log", "/log/router/{class}.log", false },
		{ "/log/*/*.log", "/log/router/{class}.log", true },
		{ "/log/*/*_read.log", "/log/router/{class}.log", true },
		{ "/log?router/*", "/log/router/{class}.log", false },
		{ "/log/admin_read.log", "/log/{class}.log", true },
		{ "/log/audit-*.log*", "/log/{class}/{date}.log", false },
		{ "/log/2026-\?\?-\?\?.*", "/log/{date}.{class}", true },
		{ "log/*", "log/../log2/{class}", false },
		{ "log/a*", "log/{class}", true },
		{ "log//a*", "log/{class}", true },
		{ "log/x/../a*", "log/{class}", true },
		{ "log/[a]*", "log/{class}", true },
		{ "log/[e-z]*", "log/{class}", false },
		{ "log/[0-9]*", "log/{date}.{class}", true },
		{ "log/[!0-9]*", "log/{date}.x{class}", true }, /* `unknown` where an event has no time */
		{ "/log/*a*a*a*a*a*a*a*b", "/log/{class}.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = { 0 };
		char *yaml = mem_textf("inputs: {i: {type: file, path: \"%s\"}}\noutputs: {o: {type: file, path: \"%s\"}}\n",
			cases[i].in, cases[i].out);
		config_close(load(yaml, &problems));
		char *text = said(&problems);
		const char *expected = "f.yaml:2:33: output \"o\" would write what input \"i\" reads\n";
		if (strcmp(text, cases[i].loops ? expected : "") != 0)
			fail_msg("%s%s", yaml, text);
		free(text);
		free(yaml);
		problems_finish(&problems);
	}
}

static void limits_of_entries_hold(void **state)
{
	struct buf yaml = { 0 };
	struct problems problems = { 0 };
	(void)state;
	buf_addf(&yaml, INPUT "outputs:\n");
	for (int i = 0; i < 5000; i++)
		buf_addf(&yaml, "  n%d: {type: 'null'}\n", i);
	assert_null(load(buf_text(&yaml), &problems));
	assert_int_equal(problems.n, 1);
	assert_string_equal(problems.list[0].err.text, "more than 64 outputs");
	assert_int_equal(problems.list[0].err.line, 67);
	problems_finish(&problems);
	buf_finish(&yaml);
}

static void secrets_of_an_address_are_not_shown(void **state)
{
	static const char *const cases[] = {
		INPUT "outputs: {a: {type: http, url: 'https://user:hunter2@h/'}}\n",
		INPUT "outputs: {a: {type: http, url: 'ftp://user:hunter2@h/'}}\n",
		INPUT "outputs: {a: {type: http, url: 'https://user:hunter2@h:99999999/'}}\n",
		INPUT "outputs: {a: {type: http, url: 'http://h/', auth: {type: basic, username: a, password: [hunter2]}}}\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = { 0 };
		config_close(load(cases[i], &problems));
		char *text = said(&problems);
		assert_int_not_equal(problems.n, 0);
		assert_null(strstr(text, "hunter2"));
		free(text);
		problems_finish(&problems);
	}
}

static void a_file_is_loaded_with_its_folder(void **state)
{
	char folder[] = "/tmp/audit-router-config-XXXXXX";
	struct problems problems = { 0 };
	struct config *c = NULL;
	(void)state;
	assert_non_null(mkdtemp(folder));
	char *path = mem_textf("%s/c.yaml", folder);
	assert_true(config_load(&c, path, &problems) < 0);
	assert_string_equal(problems.list[0].err.text, "cannot be read: No such file or directory");
	assert_string_equal(problems.list[0].err.file, path);
	problems_finish(&problems);

	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(INPUT OUTPUT "state_dir: s\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(&c, path, &problems), 0);
	assert_string_equal(c->folder, folder);
	char *state_dir = mem_textf("%s/s", folder);
	assert_string_equal(c->state_dir, state_dir);
	config_close(c);

	assert_int_equal(chdir(folder), 0);
	assert_int_equal(config_load(&c, "c.yaml", &problems), 0);
	assert_string_equal(c->state_dir, state_dir);
	config_close(c);
	assert_int_equal(chdir("/"), 0);
	(void)unlink(path);
	(void)rmdir(folder);
	problems_finish(&problems);
	free(state_dir);
	free(path);
}

/* Every row of every section, whatever registry it stands in. */
static void each_section(const struct section *section, void (*visit)(const struct section *, const struct setting *))
{
	for (const struct setting *row = section->rows; row->key; row++) {
		visit(section, row);
		if (row->type == SETTING_SECTION)
			each_section(row->section, visit);
	}
}

static void visit_row(const struct section *section, const struct setting *row)
{
	struct buf schema = { 0 };
	if (!row->help || !*row->help)
		fail_msg("%s.%s has no help", section->name, row->key);
	if (row->offset >= section->size)
		fail_msg("%s.%s lies outside of its struct", section->name, row->key);
	if (row->type == SETTING_CHOICE && !row->choices)
		fail_msg("%s.%s has no choices", section->name, row->key);
	if (row->type == SETTING_VARIANT) {
		if (!row->read || !row->finish || !row->type_text || !row->schema)
			fail_msg("%s.%s is a variant without all of its parts", section->name, row->key);
		json_decref(json_loads(row->schema, 0, NULL));
	}
	buf_finish(&schema);
}

static void every_row_is_whole_and_printed(void **state)
{
	struct buf reference = { 0 }, schema = { 0 };
	(void)state;
	for (size_t i = 0; input_registry[i]; i++)
		each_section(input_registry[i]->settings, visit_row);
	for (size_t i = 0; output_registry[i]; i++) {
		each_section(output_registry[i]->settings, visit_row);
		for (size_t k = 0; output_registry[i]->formats && output_registry[i]->formats[k]; k++)
			assert_non_null(format_find(output_registry[i]->formats[k]));
	}
	config_print_reference(&reference);
	config_print_schema(&schema);
	json_t *parsed = json_loads(buf_text(&schema), 0, NULL);
	assert_non_null(parsed);
	for (size_t i = 0; output_registry[i]; i++)
		for (const struct setting *row = output_registry[i]->settings->rows; row->key; row++) {
			char *cell = mem_textf("| `%s` |", row->key);
			assert_non_null(strstr(buf_text(&reference), cell));
			free(cell);
		}
	json_decref(parsed);
	buf_finish(&reference);
	buf_finish(&schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_contract),
		cmocka_unit_test(everything_said_arrives),
		cmocka_unit_test(values_come_from_the_environment),
		cmocka_unit_test(anchors_and_merges_save_words),
		cmocka_unit_test(wrong_files_are_told_by_line_and_column),
		cmocka_unit_test(the_state_is_no_input),
		cmocka_unit_test(two_inputs_of_one_file_are_told),
		cmocka_unit_test(a_cluster_fits_into_a_spool),
		cmocka_unit_test(no_two_lanes_write_one_file),
		cmocka_unit_test(no_input_reads_what_an_output_writes),
		cmocka_unit_test(limits_of_entries_hold),
		cmocka_unit_test(secrets_of_an_address_are_not_shown),
		cmocka_unit_test(a_file_is_loaded_with_its_folder),
		cmocka_unit_test(every_row_is_whole_and_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
