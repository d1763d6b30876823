/* The HTTP output, in a real lane, against a server in this process. test_http_parts.c: what needs no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/format/format.h"
#include "router/lane/dead_letters.h"
#include "tests/unit/http_rig.h"

/* ---- what is sent ---- */

static void events_arrive_byte_for_byte_in_batches(void **state)
{
	(void)state;
	struct rig r;
	struct text_pair pairs[] = { { (char *)"X-Class", (char *)"{class} of {cluster}" }, { (char *)"X-Empty", (char *)"" } };
	rig_init(&r);
	r.settings.headers = (struct text_pairs){ pairs, 2 };
	rig_start(&r);
	rig_push_events(&r, 700, 100);
	rig_push_events(&r, 1300, 0);
	rig_push_events(&r, 500, 10);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	assert_int_equal(r.server.n_bodies, 3);
	assert_int_equal(rig_count(&r.server.bodies[0], "\n"), 1000);
	assert_int_equal(r.server.n_connections, 1);
	const char *head = r.server.head.ptr;
	assert_ptr_equal(strstr(head, "POST /in/data_read?token=hidden HTTP/1.1\r\n"), head);
	assert_non_null(strstr(head, "\r\nContent-Type: application/x-ndjson\r\n"));
	assert_non_null(strstr(head, "\r\nUser-Agent: audit-router/" AUDIT_ROUTER_VERSION "\r\n"));
	assert_non_null(strstr(head, "\r\nX-Class: data_read of prod eu1\r\n"));
	assert_non_null(strstr(head, "\r\nX-Empty:\r\n"));
	assert_null(strstr(head, "Expect"));
	assert_null(strstr(head, "Content-Encoding"));
	rig_end(&r);
}

/* Each request is of one cluster, and says which. The last one tries to say more. */
static void a_request_is_of_one_cluster_where_it_says_which(void **state)
{
	(void)state;
	struct rig r;
	struct text_pair pair = { (char *)"X-Cluster", (char *)"{cluster}" };
	rig_init(&r);
	r.settings.headers = (struct text_pairs){ &pair, 1 };
	rig_start(&r);
	rig_push_events_of(&r, "east", 10, 0);
	rig_push_events_of(&r, "east", 10, 0);
	rig_push_events_of(&r, "west", 10, 0);
	rig_push_events_of(&r, "", 10, 0);
	rig_push_events_of(&r, "east\r\nX-Evil: yes", 10, 0);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	assert_int_equal(r.server.n_bodies, 4);
	assert_int_equal(rig_count(&r.server.bodies[0], "\n"), 20);
	assert_non_null(strstr(r.server.head.ptr, "\r\nX-Cluster: east__X-Evil: yes\r\n"));
	assert_int_equal(r.server.n_connections, 1);
	rig_end(&r);
}

static void no_body_is_longer_than_batch_bytes_but_for_one_event(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.batch_bytes = 4096;
	rig_start(&r);
	rig_push_events(&r, 300, 50);
	rig_drain(&r);
	assert_true(r.server.longest <= 4096);
	assert_true(r.server.longest > 4096 - 200);
	rig_push_events(&r, 1, 9000);
	rig_push_events(&r, 3, 50);
	rig_drain(&r);
	assert_int_equal(rig_count(&r.server.bodies[r.server.n_bodies - 2], "\n"), 1);
	assert_int_equal(rig_count(&r.server.bodies[r.server.n_bodies - 1], "\n"), 3);
	rig_assert_all_stored_in_order(&r);
	rig_end(&r);
}

static void batch_wait_sends_what_there_is(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.batch_wait_ms = 20;
	rig_start(&r);
	rig_push_events(&r, 3, 5);
	int64_t until_ms = clock_steady_ms() + RIG_DEADLINE_MS;
	while (!lane_idle(r.lane) && clock_steady_ms() < until_ms)
		rig_pause_ms(1);
	rig_assert_all_stored_in_order(&r); /* without rig_drain: no flush */
	rig_end(&r);
}

static void compressed_bodies_decode_to_the_same(void **state)
{
	(void)state;
	static const struct {
		enum http_compression compression;
		const char *header;
	} cases[] = { { HTTP_GZIP, "\r\nContent-Encoding: gzip\r\n" }, { HTTP_ZSTD, "\r\nContent-Encoding: zstd\r\n" } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig r;
		rig_init(&r);
		r.settings.compression = cases[i].compression;
		r.settings.in_flight = 2;
		r.server.steps[0] = (struct server_step){ SERVER_STATUS, 503, NULL };
		r.server.n_steps = 1;
		rig_start(&r);
		rig_push_events(&r, 2500, 300);
		rig_push_events(&r, 1, 3 << 20);
		rig_drain(&r);
		rig_assert_none_lost(&r);
		assert_int_equal(lane_counters(r.lane).delivered_events, r.n_sent);
		assert_non_null(strstr(r.server.head.ptr, cases[i].header));
		rig_end(&r);
	}
}

static void the_json_format_makes_arrays(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.output.format = format_find("json");
	r.settings.batch_events = 2;
	rig_start(&r);
	rig_push_events(&r, 3, 0);
	rig_drain(&r);
	const char *first = "[{\"n\":0,\"mark\":\"-\",\"f\":\"\"},{\"n\":1,\"mark\":\"-\",\"f\":\"\"}]";
	assert_int_equal(r.server.n_bodies, 2);
	assert_string_equal(buf_text(&r.server.bodies[0]), first);
	assert_string_equal(buf_text(&r.server.bodies[1]), "[{\"n\":2,\"mark\":\"-\",\"f\":\"\"}]");
	assert_non_null(strstr(r.server.head.ptr, "\r\nContent-Type: application/json\r\n"));
	rig_end(&r);
}

/* ---- what a collector may do ---- */

static void trouble_is_told_retried_and_taken_back(void **state)
{
	(void)state;
	static const struct {
		struct server_step step;
		const char *words;
	} cases[] = {
		{ { SERVER_STATUS, 503, "Retry-After: 3600" }, "503 from http://127.0.0.1:" },
		{ { SERVER_STATUS, 429, NULL }, "429 from" },
		{ { SERVER_STATUS, 408, NULL }, "408 from" },
		{ { SERVER_STATUS, 302, "Location: http://127.0.0.1:1/" }, "redirects are not followed" },
		{ { SERVER_STATUS, 404, NULL }, "is the path of the url right?" },
		{ { SERVER_STATUS, 405, NULL }, "405 from" },
		{ { SERVER_STATUS, 415, NULL }, "does the collector take this format and compression?" },
		{ { SERVER_STATUS, 403, NULL }, "are the credentials under auth right?" },
		{ { SERVER_RESET, 0, NULL }, "/in/data_read: " },
		{ { SERVER_GARBAGE, 0, NULL }, "/in/data_read: " },
		{ { SERVER_ENDLESS_HEADERS, 0, NULL }, "/in/data_read: " },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig r;
		char text[RIG_TROUBLE_ROOM];
		rig_init(&r);
		r.settings.retry_min_ms = 30;
		r.settings.retry_max_ms = 60;
		r.server.steps[0] = r.server.steps[1] = cases[i].step;
		r.server.n_steps = 2;
		rig_start(&r);
		rig_push_events(&r, 1000, 10);
		rig_wait_for_trouble(&r, cases[i].words);
		rig_wait_for_trouble(&r, ", next try in ");
		rig_push_events(&r, 5, 10);
		rig_drain(&r);
		rig_assert_all_stored_in_order(&r);
		assert_int_equal(lane_counters(r.lane).retries, 2);
		lane_trouble(r.lane, text, sizeof text);
		assert_string_equal(text, "");
		rig_end(&r);
	}
}

/* The body is larger than what the sockets' buffers hold: part of it was never sent. */
static void a_200_before_the_body_was_sent_is_no_answer(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.timeout_ms = 1000;
	r.settings.batch_bytes = 16 << 20;
	r.share_bytes = 32 << 20;
	r.server.n_early = 1;
	rig_start(&r);
	rig_push_events(&r, 80, 100000);
	rig_drain(&r);
	rig_assert_none_lost(&r);
	assert_true(lane_counters(r.lane).retries > 0);
	rig_end(&r);
}

static void a_stalled_collector_is_given_up_after_timeout(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.timeout_ms = 300; /* on a busy machine a good answer may take as long: then it comes once more */
	r.server.steps[0] = (struct server_step){ SERVER_STALL, 0, NULL };
	r.server.n_steps = 1;
	rig_start(&r);
	rig_push_events(&r, 10, 10);
	rig_drain(&r);
	rig_assert_none_lost(&r);
	assert_true(server_requests(&r.server) >= 2);
	rig_end(&r);
}

/* The server does this to the first request. */
static void start_with(struct rig *r, enum server_act first)
{
	rig_init(r);
	r->server.steps[0] = (struct server_step){ first, 0, NULL };
	r->server.n_steps = 1;
	rig_start(r);
}

static void a_lost_answer_means_again_not_never(void **state)
{
	(void)state;
	static const enum server_act acts[] = { SERVER_LOSE, SERVER_CUT_HEAD };
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		struct rig r;
		start_with(&r, acts[i]);
		rig_push_events(&r, 10, 10);
		rig_drain(&r);
		assert_int_equal(r.server.n_bodies, 2);
		rig_assert_none_lost(&r);
		rig_end(&r);
	}
}

/* The status is the answer where no format reads the body: sending again would store it again, for ever. */
static void what_follows_a_200_does_not_undo_it(void **state)
{
	(void)state;
	static const enum server_act acts[] = { SERVER_CUT_BODY, SERVER_ENDLESS_BODY, SERVER_BARE_HEAD };
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		struct rig r;
		start_with(&r, acts[i]);
		rig_push_events(&r, 1000, 10);
		rig_push_events(&r, 10, 10);
		rig_drain(&r);
		rig_assert_all_stored_in_order(&r);
		assert_int_equal(lane_counters(r.lane).retries, 0);
		rig_end(&r);
	}
}

/* Nobody listens at the URL; its port is the server's, once that starts. */
static void take_a_free_port(struct rig *r)
{
	server_start(&r->server);
	server_stop(&r->server);
	r->settings.url = mem_textf("http://127.0.0.1:%d/", r->server.port);
}

static void a_collector_that_is_down_gets_all_once_it_is_up(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	take_a_free_port(&r);
	r.settings.in_flight = 3;
	rig_start(&r);
	for (unsigned i = 0; i < 20; i++)
		rig_push_events(&r, 500, 10);
	rig_wait_for_trouble(&r, "connect");
	server_start(&r.server);
	rig_drain(&r);
	rig_assert_none_lost(&r);
	assert_int_equal(lane_counters(r.lane).delivered_events, r.n_sent);
	rig_end(&r);
}

static void a_proxy_that_is_no_address_is_told_without_its_password(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	assert_int_equal(setenv("http_proxy", "http://me:hidden#word@127.0.0.1:1", 1), 0);
	r.settings.url = mem_textf("http://collector.invalid/");
	rig_start(&r);
	rig_push_events(&r, 10, 10);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "proxy");
	rig_end(&r);
}

static double next_try_ms(struct rig *r)
{
	char text[RIG_TROUBLE_ROOM] = "";
	lane_trouble(r->lane, text, sizeof text);
	const char *words = strstr(text, ", next try in ");
	return words && strstr(words, " ms") ? strtod(words + strlen(", next try in "), NULL) : 0;
}

/* One that is away is not asked again and again at the same rate. */
static void tries_become_rarer(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	take_a_free_port(&r);
	server_finish(&r.server);
	r.server.port = 0; /* nothing for rig_end to end */
	r.settings.retry_min_ms = 2;
	r.settings.retry_max_ms = 500;
	rig_start(&r);
	rig_push_events(&r, 1, 10);
	lane_finish(r.lane);
	const int64_t until_ms = clock_steady_ms() + RIG_DEADLINE_MS;
	while (next_try_ms(&r) < 20 * 2 && clock_steady_ms() < until_ms)
		rig_pause_ms(1);
	assert_true(next_try_ms(&r) >= 20 * 2);
	rig_end(&r);
}

static void a_new_token_in_its_file_ends_the_401s(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	_free_ char *path = mem_textf("%s/token", r.folder);
	assert_int_equal(io_replace(path, VIEW("old-secret\n"), 0600), 0);
	r.settings.auth = (struct http_auth_settings){ .type = HTTP_AUTH_BEARER, .token_file = path };
	r.settings.retry_max_ms = 3600 * 1000;
	r.settings.retry_min_ms = 360 * 1000; /* slow: a token that is seen only at the next try fails the test */
	(void)snprintf(r.server.authorization, sizeof r.server.authorization, "Bearer new-secret");
	rig_start(&r);
	rig_push_events(&r, 10, 10);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "401 from");
	char text[RIG_TROUBLE_ROOM];
	lane_trouble(r.lane, text, sizeof text);
	assert_null(strstr(text, "secret"));
	assert_int_equal(io_replace(path, VIEW("new-secret\n"), 0600), 0);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	(void)unlink(path);
	rig_end(&r);
}

static void a_missing_token_file_is_waited_for(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	_free_ char *path = mem_textf("%s/token", r.folder);
	r.settings.auth = (struct http_auth_settings){ .type = HTTP_AUTH_HEADER, .token_file = path,
		.header = (char *)"Authorization", .scheme = (char *)"Splunk" };
	(void)snprintf(r.server.authorization, sizeof r.server.authorization, "Splunk abc");
	rig_start(&r);
	rig_push_events(&r, 10, 10);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, path);
	assert_int_equal(server_requests(&r.server), 0);
	assert_int_equal(io_replace(path, VIEW("abc\n"), 0600), 0);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	(void)unlink(path);
	rig_end(&r);
}

static void basic_credentials_are_sent(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.auth = (struct http_auth_settings){ .type = HTTP_AUTH_BASIC, .username = (char *)"Aladdin",
		.password = (char *)"open sesame" };
	(void)snprintf(r.server.authorization, sizeof r.server.authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	rig_start(&r);
	rig_push_events(&r, 10, 10);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	rig_end(&r);
}

/* ---- halving ---- */

static void a_413_halves_until_it_fits(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.server.max_body = 5000;
	rig_start(&r);
	rig_push_events(&r, 777, 60);
	rig_push_events(&r, 600, 60);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	rig_end(&r);
}

/* Marks the events that the collector will never take, in two batches that share a request. */
static void push_with_bad_ones(struct rig *r, unsigned n, const unsigned *bad, unsigned n_bad, size_t bad_filling)
{
	struct batch *b = NULL;
	for (unsigned i = 0; i < n; i++) {
		bool is_bad = false;
		for (unsigned k = 0; k < n_bad; k++)
			is_bad |= bad[k] == i;
		if (!b)
			b = batch_create(r->budget, NULL);
		rig_add_event(r, b, is_bad ? bad_filling : 10, is_bad ? "bad" : "-");
		if (i == n / 3 || i == n - 1) {
			assert_int_equal(lane_push(r->lane, b, &(struct patience){ 0 }), 0);
			b = NULL;
		}
	}
}

static void assert_only_bad_ones_are_dead(struct rig *r, unsigned n_bad, const char *code)
{
	struct buf stored = { 0 }, letters = { 0 };
	server_stored(&r->server, &stored);
	assert_int_equal(rig_count(&stored, "\"bad\""), 0);
	assert_int_equal(rig_count(&stored, "\n"), r->n_sent - n_bad);
	assert_int_equal(lane_counters(r->lane).delivered_events, r->n_sent - n_bad);
	assert_int_equal(lane_counters(r->lane).dead_events, n_bad);
	assert_int_equal(dead_letters_sync(r->dead_letters), 0);
	assert_int_equal(io_read_whole(dead_letters_path(r->dead_letters), 1 << 20, &letters), 0);
	assert_int_equal(rig_count(&letters, "\"mark\":\"bad\""), n_bad);
	assert_int_equal(rig_count(&letters, code), n_bad);
	assert_int_equal(rig_count(&letters, "hidden"), 0);
	buf_finish(&stored);
	buf_finish(&letters);
}

static void one_event_too_large_alone_is_a_dead_letter(void **state)
{
	(void)state;
	static const unsigned bad[] = { 17 };
	struct rig r;
	rig_init(&r);
	r.server.max_body = 3000;
	rig_start(&r);
	push_with_bad_ones(&r, 100, bad, 1, 4000);
	rig_drain(&r);
	assert_only_bad_ones_are_dead(&r, 1, "\"code\":\"http_413\"");
	rig_end(&r);
}

static void refused_events_are_found_and_the_rest_goes_on(void **state)
{
	(void)state;
	static const unsigned bad[] = { 0, 1, 400, 998, 999, 1000, 1499 };
	static const int64_t in_flight[] = { 1, 4 };
	for (size_t i = 0; i < sizeof in_flight / sizeof *in_flight; i++) {
		struct rig r;
		rig_init(&r);
		r.settings.in_flight = in_flight[i];
		r.settings.compression = i ? HTTP_ZSTD : HTTP_PLAIN;
		r.server.refuse = "\"bad\"";
		rig_start(&r);
		push_with_bad_ones(&r, 1500, bad, 7, 10);
		rig_drain(&r);
		assert_only_bad_ones_are_dead(&r, 7, "\"code\":\"http_400\"");
		rig_end(&r);
	}
}

static void connections_cut_in_the_body_halve_too(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	for (unsigned i = 0; i < 3; i++)
		r.server.steps[i] = (struct server_step){ SERVER_RESET, 0, NULL };
	r.server.n_steps = 3;
	rig_start(&r);
	rig_push_events(&r, 100, 10);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	assert_int_equal(r.server.n_bodies, 2);
	rig_end(&r);
}

/* The body is sent out of the events' own memory: from its start again when a kept connection turns out to be gone. */
static void a_kept_connection_that_is_gone_costs_no_retry(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.settings.in_flight = 1;
	r.settings.batch_events = 100;
	r.server.steps[1] = (struct server_step){ SERVER_RESET, 0, NULL };
	r.server.n_steps = 2;
	rig_start(&r);
	rig_push_events(&r, 300, 2000);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	assert_int_equal(server_requests(&r.server), 4);
	assert_int_equal(r.server.n_bodies, 3);
	assert_int_equal(lane_counters(r.lane).retries, 0);
	rig_end(&r);
}

/* ---- order, bounds, ends ---- */

static void in_flight_1_keeps_the_order_whatever_fails(void **state)
{
	(void)state;
	static const enum server_act acts[] = { SERVER_TAKE, SERVER_STATUS, SERVER_RESET, SERVER_GARBAGE };
	struct rig r;
	unsigned seed = 7;
	rig_init(&r);
	r.settings.batch_events = 50;
	for (unsigned i = 0; i < SERVER_STEPS_MAX; i++) {
		seed = seed * 1103515245 + 12345;
		r.server.steps[i] = (struct server_step){ acts[seed >> 16 & 3], 500, NULL };
	}
	r.server.n_steps = SERVER_STEPS_MAX;
	rig_start(&r);
	for (unsigned i = 0; i < 40; i++)
		rig_push_events(&r, 77, 10);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	rig_end(&r);
}

/* What cannot grow, since the lane may hold no more, is sent before batch_wait is over. */
static void a_small_share_of_memory_does_not_stall(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.share_bytes = 2000;
	rig_start(&r);
	for (unsigned i = 0; i < 10; i++)
		rig_push_events(&r, 50, 10);
	int64_t until_ms = clock_steady_ms() + RIG_DEADLINE_MS;
	while (lane_counters(r.lane).delivered_events < 400 && clock_steady_ms() < until_ms)
		rig_pause_ms(1);
	assert_true(lane_counters(r.lane).delivered_events >= 400);
	rig_drain(&r);
	rig_assert_all_stored_in_order(&r);
	assert_true(r.server.longest < 2 * 2000);
	rig_end(&r);
}

static void stopping_leaves_what_has_no_outcome(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.server.steps[0] = (struct server_step){ SERVER_STALL, 0, NULL };
	r.server.n_steps = 1;
	r.settings.timeout_ms = 3600 * 1000;
	rig_start(&r);
	rig_push_events(&r, 1000, 10);
	rig_push_events(&r, 10, 10);
	while (!server_requests(&r.server))
		rig_pause_ms(1);
	int64_t start_ms = clock_steady_ms();
	lane_stop(r.lane);
	assert_int_equal(lane_counters(r.lane).delivered_events + lane_counters(r.lane).dead_events, 0);
	rig_end(&r);
	assert_true(clock_steady_ms() - start_ms < RIG_DEADLINE_MS); /* bounded: not the hour of `timeout` */
}

/* A format that reads the answer: "+" stored, "-" never, "?" later, a letter for each event. */
static bool letters_answer(struct view body, uint32_t n, enum answer *ret_answers)
{
	if (body.len < n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		ret_answers[i] = body.ptr[i] == '+' ? ANSWER_DELIVERED : body.ptr[i] == '-' ? ANSWER_DEAD : ANSWER_RETRY;
	return true;
}

static void an_answer_may_speak_of_each_event(void **state)
{
	(void)state;
	struct rig r;
	struct format_ops letters = *format_find("ndjson");
	letters.answer = letters_answer;
	rig_init(&r);
	r.output.format = &letters;
	r.settings.retry_min_ms = r.settings.retry_max_ms = 50;
	r.server.answer = "++-?+-??";
	rig_start(&r);
	rig_push_events(&r, 4, 0);
	rig_push_events(&r, 4, 0);
	lane_finish(r.lane);
	rig_wait_for_trouble(&r, "does not say that all events were stored");
	assert_int_equal(lane_counters(r.lane).delivered_events, 3);
	assert_int_equal(lane_counters(r.lane).dead_events, 2);
	(void)pthread_mutex_lock(&r.server.mutex);
	r.server.answer = ""; /* no sense: the three are sent again */
	(void)pthread_mutex_unlock(&r.server.mutex);
	unsigned before = server_requests(&r.server);
	while (server_requests(&r.server) < before + 2)
		rig_pause_ms(1);
	(void)pthread_mutex_lock(&r.server.mutex);
	r.server.answer = "+++";
	(void)pthread_mutex_unlock(&r.server.mutex);
	rig_drain(&r);
	assert_int_equal(lane_counters(r.lane).delivered_events, 6);
	struct buf *last = &r.server.bodies[r.server.n_bodies - 1];
	assert_int_equal(rig_count(last, "\n"), 3);
	assert_int_equal(rig_count(last, "\"n\":3,") + rig_count(last, "\"n\":6,") + rig_count(last, "\"n\":7,"), 3);
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_arrive_byte_for_byte_in_batches),
		cmocka_unit_test(a_request_is_of_one_cluster_where_it_says_which),
		cmocka_unit_test(no_body_is_longer_than_batch_bytes_but_for_one_event),
		cmocka_unit_test(batch_wait_sends_what_there_is),
		cmocka_unit_test(compressed_bodies_decode_to_the_same),
		cmocka_unit_test(the_json_format_makes_arrays),
		cmocka_unit_test(trouble_is_told_retried_and_taken_back),
		cmocka_unit_test(a_200_before_the_body_was_sent_is_no_answer),
		cmocka_unit_test(a_stalled_collector_is_given_up_after_timeout),
		cmocka_unit_test(a_lost_answer_means_again_not_never),
		cmocka_unit_test(what_follows_a_200_does_not_undo_it),
		cmocka_unit_test(a_collector_that_is_down_gets_all_once_it_is_up),
		cmocka_unit_test(a_proxy_that_is_no_address_is_told_without_its_password),
		cmocka_unit_test(tries_become_rarer),
		cmocka_unit_test(a_new_token_in_its_file_ends_the_401s),
		cmocka_unit_test(a_missing_token_file_is_waited_for),
		cmocka_unit_test(basic_credentials_are_sent),
		cmocka_unit_test(a_413_halves_until_it_fits),
		cmocka_unit_test(one_event_too_large_alone_is_a_dead_letter),
		cmocka_unit_test(refused_events_are_found_and_the_rest_goes_on),
		cmocka_unit_test(connections_cut_in_the_body_halve_too),
		cmocka_unit_test(a_kept_connection_that_is_gone_costs_no_retry),
		cmocka_unit_test(in_flight_1_keeps_the_order_whatever_fails),
		cmocka_unit_test(a_small_share_of_memory_does_not_stall),
		cmocka_unit_test(stopping_leaves_what_has_no_outcome),
		cmocka_unit_test(an_answer_may_speak_of_each_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
