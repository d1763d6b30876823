#include "tests/unit/http_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/base/units.h"
#include "router/format/format.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/output/output.h"

enum { SHARE_BYTES = 8 << 20 };

extern const struct output_ops output_http;

void rig_init(struct rig *r)
{
	*r = (struct rig){ .folder = "/tmp/test_http.XXXXXX", .share_bytes = SHARE_BYTES };
	r->settings = (struct http_settings){
		.batch_events = 1000, .batch_bytes = 1 << 20, .batch_wait_ms = 3600 * 1000, .in_flight = 1,
		.timeout_ms = 10000, .connect_timeout_ms = 10000, .retry_min_ms = 2, .retry_max_ms = 20,
		.tls = { .verify = true },
	};
	r->output = (struct config_output){ .name = (char *)"siem", .ops = &output_http, .own = &r->settings,
		.format = format_find("ndjson") };
	r->config.cluster = (char *)"prod eu1";
	assert_non_null(mkdtemp(r->folder));
	for (const char *const *name = (const char *const[]){ "http_proxy", "https_proxy", "all_proxy", NULL }; *name; name++)
		(void)unsetenv(*name);
	log_level_set(LOG_ERROR);
}

void rig_start(struct rig *r)
{
	struct err err = { 0 };
	if (!r->settings.url) {
		server_start(&r->server);
		r->settings.url = mem_textf("http://127.0.0.1:%d/in/{class}?token=hidden", r->server.port);
	}
	assert_int_equal(budget_create(&r->budget, 64 << 20), 0);
	assert_int_equal(dead_letters_open(&r->dead_letters, r->folder, "siem", 1 << 20, &err), 0);
	struct lane_options options = { .config = &r->config, .output = &r->output, .class_ = DATA_READ,
		.share_bytes = r->share_bytes, .budget = r->budget, .dead_letters = r->dead_letters };
	assert_int_equal(lane_start(&r->lane, &options, &err), 0);
}

void rig_end(struct rig *r)
{
	lane_stop(r->lane);
	lane_join(r->lane);
	if (r->server.port) {
		server_stop(&r->server);
		server_finish(&r->server);
	}
	_free_ char *path = mem_text(view_of(dead_letters_path(r->dead_letters)));
	dead_letters_close(r->dead_letters);
	(void)unlink(path);
	(void)rmdir(r->folder);
	budget_destroy(r->budget);
	free(r->settings.url);
	buf_finish(&r->sent);
}

void rig_add_event(struct rig *r, struct batch *b, size_t filling, const char *mark)
{
	struct buf text = { 0 };
	buf_addf(&text, "{\"n\":%u,\"mark\":\"%s\",\"f\":\"", r->n_sent++, mark);
	for (size_t i = 0; i < filling; i++)
		buf_add_byte(&text, 'x');
	buf_addf(&text, "\"}");
	struct record *record = batch_add(b);
	char *bytes = batch_alloc(b, text.len);
	memcpy(bytes, text.ptr, text.len);
	record->bytes = (struct view){ bytes, text.len };
	b->bytes += text.len;
	buf_add_view(&r->sent, buf_view(&text));
	buf_add_byte(&r->sent, '\n');
	buf_finish(&text);
}

void rig_push_events(struct rig *r, unsigned n, size_t filling)
{
	rig_push_events_of(r, r->config.cluster, n, filling);
}

void rig_push_events_of(struct rig *r, const char *cluster, unsigned n, size_t filling)
{
	struct batch *b = batch_create(r->budget, NULL);
	b->cluster = cluster;
	for (unsigned i = 0; i < n; i++)
		rig_add_event(r, b, filling, "-");
	assert_int_equal(lane_push(r->lane, b, &(struct patience){ 0 }), 0);
}

void rig_pause_ms(long ms)
{
	(void)nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

void rig_drain(struct rig *r)
{
	int64_t until_ms = clock_steady_ms() + RIG_DEADLINE_MS;
	lane_finish(r->lane);
	while (!lane_idle(r->lane) && clock_steady_ms() < until_ms)
		rig_pause_ms(1);
	assert_true(lane_idle(r->lane));
}

void rig_wait_for_trouble(struct rig *r, const char *words)
{
	char text[RIG_TROUBLE_ROOM] = "";
	int64_t until_ms = clock_steady_ms() + RIG_DEADLINE_MS;
	while (!strstr(text, words) && clock_steady_ms() < until_ms) {
		lane_trouble(r->lane, text, sizeof text);
		rig_pause_ms(1);
	}
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, text);
	assert_null(strstr(text, "hidden"));
}

void rig_assert_all_stored_in_order(struct rig *r)
{
	struct buf stored = { 0 };
	server_stored(&r->server, &stored);
	assert_int_equal(stored.len, r->sent.len);
	assert_memory_equal(buf_text(&stored), buf_text(&r->sent), r->sent.len);
	buf_finish(&stored);
	assert_int_equal(lane_counters(r->lane).delivered_events, r->n_sent);
	assert_int_equal(lane_counters(r->lane).dead_events, 0);
}

unsigned rig_count(const struct buf *where, const char *what)
{
	unsigned n = 0;
	size_t len = strlen(what);
	for (const char *at = where->ptr, *end = where->ptr + where->len; at && (size_t)(end - at) >= len; n++) {
		at = memmem(at, (size_t)(end - at), what, len);
		if (!at)
			break;
		at += len;
	}
	return n;
}

void rig_assert_none_lost(struct rig *r)
{
	static const char mark[] = "{\"n\":";
	struct buf stored = { 0 };
	_free_ bool *seen = mem_zero(r->n_sent, sizeof *seen);
	server_stored(&r->server, &stored);
	const char *end = stored.ptr + stored.len;
	for (const char *at = stored.ptr, *line_end; at < end; at = line_end + 1) {
		int64_t n;
		line_end = memchr(at, '\n', (size_t)(end - at));
		assert_non_null(line_end);
		assert_memory_equal(at, mark, strlen(mark));
		at += strlen(mark);
		const char *comma = memchr(at, ',', (size_t)(line_end - at));
		assert_non_null(comma);
		assert_true(units_parse_number((struct view){ at, (size_t)(comma - at) }, &n));
		assert_true(n >= 0 && n < r->n_sent);
		seen[n] = true;
	}
	for (unsigned i = 0; i < r->n_sent; i++)
		assert_true(seen[i]);
	buf_finish(&stored);
}
