/* The parts of the HTTP output that need no server: settings, credentials, verdicts, bodies, parcels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/output/http_auth.h"
#include "router/output/http_parcel.h"
#include "router/output/http_settings.h"
#include "router/output/http_verdict.h"

/* ---- settings ---- */

/* Reads an output's mapping as a user writes it. */
static bool read_settings(const char *yaml, struct http_settings *values, struct problems *problems)
{
	struct tree *tree;
	struct err err;
	struct settings_reader reader = { .file = "t.yaml", .folder = "/etc", .problems = problems };
	assert_int_equal(tree_parse(&tree, "t.yaml", view_of(yaml), &err), 0);
	bool good = section_read(&reader, &http_section, tree_root(tree), NULL, values);
	tree_close(tree);
	return good && problems->errors == 0;
}

static void defaults_are_as_documented(void **state)
{
	(void)state;
	struct http_settings s;
	struct problems problems = { 0 };
	assert_true(read_settings("url: https://siem.example/in\n", &s, &problems));
	assert_int_equal(problems.warnings, 0);
	assert_int_equal(s.compression, HTTP_PLAIN);
	assert_int_equal(s.batch_events, 1000);
	assert_int_equal(s.batch_bytes, 1 << 20);
	assert_int_equal(s.batch_wait_ms, 1000);
	assert_int_equal(s.in_flight, 2);
	assert_int_equal(s.timeout_ms, 30000);
	assert_int_equal(s.connect_timeout_ms, 10000);
	assert_int_equal(s.retry_min_ms, 100);
	assert_int_equal(s.retry_max_ms, 30000);
	assert_int_equal(s.version, HTTP_VERSION_1_1);
	assert_int_equal(s.auth.type, HTTP_AUTH_NONE);
	assert_true(s.tls.verify);
	section_finish(&http_section, &s);
	problems_finish(&problems);
}

static void mistakes_are_refused_without_showing_secrets(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"compression: gzip\n", /* no url */
		"url: siem.example/in\n",
		"url: ftp://siem.example/in\n",
		"url: 'https://siem.example/a b'\n",
		"url: https://joe:hush@siem.example/in\n",
		"url: https://hush@siem.example/in\n",
		"url: https://siem.example/{topic}\n",
		"url: https://\n",
		"{url: 'http://a/', http_version: 2}\n",
		"{url: 'http://a/', tls: {ca_file: x}}\n",
		"{url: 'https://a/', in_flight: 0}\n",
		"{url: 'https://a/', batch_bytes: 1}\n",
		"{url: 'https://a/', retry_min: 5s, retry_max: 1s}\n",
		"{url: 'https://a/', headers: {Content-Length: '5'}}\n",
		"{url: 'https://a/', headers: {'X Y': hush}}\n",
		"{url: 'https://a/', headers: {X: \"hush\\r\\nY: 1\"}}\n",
		"{url: 'https://a/', headers: {X: '{hush}'}}\n",
		"{url: 'https://a/', auth: {type: bearer}}\n",
		"{url: 'https://a/', auth: {type: bearer, token: hush, token_file: x}}\n",
		"{url: 'https://a/', auth: {type: bearer, token: \"hush\\n\"}}\n",
		"{url: 'https://a/', auth: {type: bearer, token: hush, username: u}}\n",
		"{url: 'https://a/', auth: {type: basic, password: hush}}\n",
		"{url: 'https://a/', auth: {type: basic, username: 'a:b', password: hush}}\n",
		"{url: 'https://a/', auth: {type: basic, username: a, token: hush, password: hush}}\n",
		"{url: 'https://a/', auth: {type: header, token: hush}}\n",
		"{url: 'https://a/', auth: {type: header, header: 'A B', token: hush}}\n",
		"{url: 'https://a/', auth: {token: hush}}\n",
		"{url: 'https://a/', tls: {key_file: k}}\n",
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_settings s;
		struct problems problems = { 0 };
		if (read_settings(cases[i], &s, &problems))
			fail_msg("taken: %s", cases[i]);
		assert_true(problems.errors > 0);
		for (size_t k = 0; k < problems.n; k++) {
			assert_null(strstr(problems.list[k].err.text, "hush"));
			assert_true(problems.list[k].err.line > 0);
		}
		section_finish(&http_section, &s);
		problems_finish(&problems);
	}
}

static void what_is_dangerous_is_warned_of(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"{url: 'https://a/', tls: {verify: off}}\n",
		"{url: 'http://a/', auth: {type: bearer, token: hush}}\n",
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_settings s;
		struct problems problems = { 0 };
		assert_true(read_settings(cases[i], &s, &problems));
		assert_int_equal(problems.warnings, 1);
		section_finish(&http_section, &s);
		problems_finish(&problems);
	}
}

static void templates_are_filled_in_and_encoded(void **state)
{
	(void)state;
	struct http_settings s = { .url = (char *)"https://h/{cluster}/{class}?c={class}" };
	_free_ char *url = http_settings_url(&s, DATA_WRITE, "a/b c\xc3\xa9");
	assert_string_equal(url, "https://h/a%2Fb%20c%C3%A9/data_write?c=data_write");
	_free_ char *text = http_settings_expand("{class}@{cluster} {", ADMIN_READ, "a b");
	assert_string_equal(text, "admin_read@a b {");
	_free_ char *bare = http_settings_expand("{cluster}", ADMIN_READ, NULL);
	assert_string_equal(bare, "");
	_free_ char *up = http_settings_url(&s, DATA_WRITE, ".."), *here = http_settings_url(&s, DATA_WRITE, ".");
	assert_string_equal(up, "https://h/__/data_write?c=data_write");
	assert_string_equal(here, "https://h/_/data_write?c=data_write");
}

static void what_is_shown_of_an_url_holds_no_secret(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "https://h:8088/a/b?token=x#y", "https://h:8088/a/b" },
		{ "https://u:p@h/a", "https://h/a" },
		{ "http://[::1]:9/", "http://[::1]:9/" },
		{ "://", "the url" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_free_ char *shown = http_settings_shown(cases[i][0]);
		assert_string_equal(shown, cases[i][1]);
	}
}

/* ---- credentials ---- */

static void a_secret_follows_its_file(void **state)
{
	(void)state;
	char path[] = "/tmp/test_http_auth.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	struct http_auth_settings settings = { .type = HTTP_AUTH_BEARER, .token_file = path };
	struct http_auth auth;
	http_auth_init(&auth, &settings);
	assert_false(http_auth_ready(&auth)); /* it is empty */
	assert_true(auth.problem.text[0] != 0);
	assert_null(http_auth_header(&auth));

	assert_int_equal(io_replace(path, VIEW("abc \r\n"), 0600), 0);
	assert_true(http_auth_refresh(&auth, false));
	assert_true(http_auth_ready(&auth));
	assert_string_equal(auth.problem.text, "");
	char *header = http_auth_header(&auth);
	assert_string_equal(header, "Authorization: Bearer abc");
	http_auth_wipe(header);
	unsigned version = auth.version;

	assert_false(http_auth_refresh(&auth, false));
	assert_false(http_auth_refresh(&auth, true)); /* the same secret */
	assert_int_equal(auth.version, version);

	/* More than a line, or no file: the old one stays, and it is said. */
	assert_int_equal(io_replace(path, VIEW("ab\r\nX: injected\n"), 0600), 0);
	assert_false(http_auth_refresh(&auth, false));
	assert_true(auth.problem.text[0] != 0);
	assert_null(strstr(auth.problem.text, "injected"));
	assert_true(http_auth_ready(&auth));
	(void)unlink(path);
	assert_false(http_auth_refresh(&auth, false));
	assert_string_equal(auth.secret, "abc");

	assert_int_equal(io_replace(path, VIEW("new"), 0600), 0);
	assert_true(http_auth_refresh(&auth, false));
	assert_true(auth.version != version);
	http_auth_finish(&auth);
	(void)unlink(path);
}

static void headers_of_credentials(void **state)
{
	(void)state;
	static const struct {
		struct http_auth_settings settings;
		const char *header;
	} cases[] = {
		{ { .type = HTTP_AUTH_BEARER, .token = (char *)"t" }, "Authorization: Bearer t" },
		{ { .type = HTTP_AUTH_BEARER, .token = (char *)"t", .scheme = (char *)"Splunk" }, "Authorization: Splunk t" },
		{ { .type = HTTP_AUTH_HEADER, .token = (char *)"t", .header = (char *)"X-Key" }, "X-Key: t" },
		{ { .type = HTTP_AUTH_BASIC, .username = (char *)"u", .password = (char *)"p" }, NULL },
		{ { .type = HTTP_AUTH_NONE }, NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_auth auth;
		http_auth_init(&auth, &cases[i].settings);
		assert_true(http_auth_ready(&auth));
		char *header = http_auth_header(&auth);
		if (cases[i].header)
			assert_string_equal(header, cases[i].header);
		else
			assert_null(header);
		http_auth_wipe(header);
		http_auth_finish(&auth);
	}
}

/* ---- verdicts ---- */

static void verdicts_by_status(void **state)
{
	(void)state;
	static const struct {
		long status;
		enum http_verdict verdict;
	} cases[] = {
		{ 200, HTTP_DELIVERED }, { 201, HTTP_DELIVERED }, { 204, HTTP_DELIVERED }, { 299, HTTP_DELIVERED },
		{ 301, HTTP_CONFIG }, { 307, HTTP_CONFIG }, { 404, HTTP_CONFIG }, { 405, HTTP_CONFIG },
		{ 410, HTTP_CONFIG }, { 423, HTTP_RETRY },
		{ 415, HTTP_CONFIG }, { 401, HTTP_AUTH }, { 403, HTTP_AUTH }, { 408, HTTP_RETRY },
		{ 425, HTTP_RETRY }, { 429, HTTP_RETRY }, { 500, HTTP_RETRY }, { 503, HTTP_RETRY },
		{ 599, HTTP_RETRY }, { 700, HTTP_RETRY }, { 0, HTTP_RETRY }, { 101, HTTP_RETRY },
		{ 413, HTTP_TOO_LARGE }, { 400, HTTP_REFUSED }, { 409, HTTP_REFUSED }, { 422, HTTP_REFUSED },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(http_verdict_of_status(cases[i].status), cases[i].verdict);
	assert_int_equal(http_verdict_of_error(CURLE_COULDNT_CONNECT), HTTP_RETRY);
	assert_int_equal(http_verdict_of_error(CURLE_RECV_ERROR), HTTP_RETRY);
	assert_int_equal(http_verdict_of_error(CURLE_PEER_FAILED_VERIFICATION), HTTP_CONFIG);
}

static void waits_grow_within_their_bounds(void **state)
{
	int64_t shortest = INT64_MAX, longest = 0;
	(void)state;
	const struct http_backoff backoff = { 100, 30000 };
	for (uint64_t random = 0; random < 1000; random += 7) {
		int64_t upper_ms = 100;
		for (unsigned failures = 1; failures < 100; failures++) {
			int64_t wait_ms = http_backoff_ms(&backoff, HTTP_RETRY, failures, 0, random * 0x9e3779b97f4a7c15u);
			assert_true(wait_ms >= upper_ms / 2 && wait_ms <= upper_ms);
			if (failures == 1) {
				shortest = wait_ms < shortest ? wait_ms : shortest;
				longest = wait_ms > longest ? wait_ms : longest;
			}
			upper_ms = upper_ms * 2 < 30000 ? upper_ms * 2 : 30000;
		}
	}
	assert_true(shortest < 60 && longest > 90); /* many lanes do not come back at once */
	assert_int_equal(http_backoff_ms(&backoff, HTTP_RETRY, 1, 7000, 0), 7000);     /* Retry-After */
	assert_int_equal(http_backoff_ms(&backoff, HTTP_RETRY, 1, 86400000, 0), 30000); /* is capped */
	assert_true(http_backoff_ms(&backoff, HTTP_AUTH, 1, 0, 0) >= 500);
	assert_true(http_backoff_ms(&backoff, HTTP_CONFIG, 1, 0, 0) >= 500);
}

/* ---- parcels ---- */

enum { LEAVES = 20 };

/* Every subset pattern of refused records is found by halving alone, in order, each record with one outcome. */
static void halving_finds_any_pattern_of_refused_records(void **state)
{
	(void)state;
	const struct format_ops *format = format_find("ndjson");
	struct format_context context = { 0 };
	for (unsigned pattern = 0; pattern < 1u << LEAVES; pattern += 1 + pattern / 5) {
		struct parcel p = { 0 };
		struct batch *batches[2] = { batch_create(NULL, NULL), batch_create(NULL, NULL) };
		for (unsigned i = 0; i < LEAVES; i++)
			batch_add(batches[i % 3 == 0])->bytes = VIEW("{}");
		batches[0]->open++, batches[1]->open++; /* keep them for a look */
		uint32_t next[2] = { 0, 0 };
		for (unsigned i = 0; i < LEAVES; i++)
			assert_true(parcel_add(&p, format, &context, batches[i % 3 == 0], next[i % 3 == 0]++, 1000));
		parcel_close(&p, format);
		uint64_t bytes = 0;
		while (parcel_window(&p)) {
			uint32_t n = parcel_window(&p);
			assert_int_equal(p.body.len, n * strlen("{}\n"));
			unsigned window = (pattern >> p.from) & ((1u << n) - 1);
			if (!window)
				bytes += parcel_delivered(&p);
			else if (n == 1)
				bytes += parcel_refused(&p, "http_400", "no");
			else
				parcel_halve(&p);
			parcel_build(&p, format, &context);
		}
		assert_int_equal(bytes, LEAVES * strlen("{}"));
		next[0] = next[1] = 0;
		for (unsigned i = 0; i < LEAVES; i++) {
			struct record *r = &batches[i % 3 == 0]->records[next[i % 3 == 0]++];
			assert_int_equal(r->outcome, pattern >> i & 1 ? RECORD_DEAD : RECORD_DELIVERED);
		}
		parcel_finish(&p);
		batch_free(batches[0]);
		batch_free(batches[1]);
	}
}

static void answers_leave_only_what_is_to_be_sent_again(void **state)
{
	(void)state;
	const struct format_ops *format = format_find("ndjson");
	struct format_context context = { 0 };
	struct parcel p = { 0 };
	struct batch *batch = batch_create(NULL, NULL);
	static const char *const events[] = { "{0}", "{1}", "{2}", "{3}", "{4}", "{5}", "{6}", "{7}" };
	for (unsigned i = 0; i < 8; i++)
		batch_add(batch)->bytes = view_of(events[i]);
	batch->open++;
	for (unsigned i = 0; i < 8; i++)
		assert_true(parcel_add(&p, format, &context, batch, i, 1000));
	parcel_close(&p, format);
	parcel_halve(&p); /* 0-3, then 4-7 */
	static const enum answer answers[] = { ANSWER_RETRY, ANSWER_DELIVERED, ANSWER_DEAD, ANSWER_RETRY };
	assert_int_equal(parcel_answered(&p, answers, "no", "no"), 6);
	parcel_build(&p, format, &context);
	assert_string_equal(buf_text(&p.body), "{0}\n{3}\n");
	assert_int_equal(parcel_delivered(&p), 6);
	parcel_build(&p, format, &context);
	assert_string_equal(buf_text(&p.body), "{4}\n{5}\n{6}\n{7}\n");
	static const enum answer all[] = { ANSWER_DELIVERED, ANSWER_DELIVERED, ANSWER_DELIVERED, ANSWER_DEAD };
	assert_int_equal(parcel_answered(&p, all, "no", "no"), 12);
	assert_int_equal(parcel_window(&p), 0);
	assert_int_equal(batch->records[2].outcome, RECORD_DEAD);
	assert_int_equal(batch->records[3].outcome, RECORD_DELIVERED);
	assert_int_equal(batch->open, 1);
	parcel_finish(&p);
	batch_free(batch);
}

/* The window's body, streamed by pieces of a few bytes each. */
static void assert_streams(struct parcel *p, const struct format_ops *format, const char *expected, size_t piece)
{
	struct buf body = { 0 };
	size_t n;
	parcel_rewind(p);
	do {
		buf_reserve(&body, piece);
		n = parcel_read(p, format, body.ptr + body.len, piece);
		body.len += n;
	} while (n == piece);
	assert_int_equal(parcel_read(p, format, body.ptr, 0), 0);
	assert_string_equal(buf_text(&body), expected);
	assert_int_equal(p->bytes, body.len);
	assert_null(p->body.ptr);
	buf_finish(&body);
}

static void a_streamed_body_is_what_would_be_gathered(void **state)
{
	(void)state;
	static const struct {
		const char *format, *all, *second, *rest;
	} cases[] = {
		{ "ndjson", "{}\n{\"a\": 1}\n{22}\n{3}\n{44}\n", "{22}\n{3}\n{44}\n", "{22}\n{44}\n" },
		{ "json", "[{},{\"a\": 1},{22},{3},{44}]", "[{22},{3},{44}]", "[{22},{44}]" },
	};
	static const char *const events[] = { "{}", "{\"a\": 1}", "{22}", "{3}", "{44}" };
	static const enum answer answers[] = { ANSWER_RETRY, ANSWER_DELIVERED, ANSWER_RETRY };
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		const struct format_ops *format = format_find(cases[c].format);
		struct parcel p = { .streamed = true };
		struct batch *batch = batch_create(NULL, NULL);
		for (unsigned i = 0; i < 5; i++)
			batch_add(batch)->bytes = view_of(events[i]);
		batch->open++;
		size_t len = strlen(cases[c].all);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(parcel_add(&p, format, NULL, batch, i, len - 1), i < 4);
		assert_true(parcel_add(&p, format, NULL, batch, 4, len));
		parcel_close(&p, format);
		for (size_t piece = 1; piece < 40; piece++)
			assert_streams(&p, format, cases[c].all, piece);
		parcel_halve(&p); /* 0 and 1, then the rest */
		assert_int_equal(parcel_delivered(&p), strlen(events[0]) + strlen(events[1]));
		parcel_build(&p, format, NULL);
		for (size_t piece = 1; piece < 40; piece++)
			assert_streams(&p, format, cases[c].second, piece);
		assert_int_equal(parcel_answered(&p, answers, "", ""), strlen(events[3]));
		parcel_build(&p, format, NULL);
		assert_streams(&p, format, cases[c].rest, 3);
		parcel_finish(&p);
		batch_free(batch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(mistakes_are_refused_without_showing_secrets),
		cmocka_unit_test(what_is_dangerous_is_warned_of),
		cmocka_unit_test(templates_are_filled_in_and_encoded),
		cmocka_unit_test(what_is_shown_of_an_url_holds_no_secret),
		cmocka_unit_test(a_secret_follows_its_file),
		cmocka_unit_test(headers_of_credentials),
		cmocka_unit_test(verdicts_by_status),
		cmocka_unit_test(waits_grow_within_their_bounds),
		cmocka_unit_test(halving_finds_any_pattern_of_refused_records),
		cmocka_unit_test(a_streamed_body_is_what_would_be_gathered),
		cmocka_unit_test(answers_leave_only_what_is_to_be_sent_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
