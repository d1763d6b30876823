#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "router/format/format.h"

static void every_format_is_found_by_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; format_registry[i]; i++) {
		const struct format_ops *format = format_registry[i];
		assert_ptr_equal(format_find(format->name), format);
		assert_non_null(format->add);
		assert_non_null(format->content_type);
		assert_non_null(format->help);
	}
	assert_null(format_find("nonesuch"));
	assert_null(format_find(""));
}

/* What a request with these events carries. */
static void body_of(const char *format_name, const struct view *events, uint32_t n, struct buf *body)
{
	const struct format_ops *format = format_find(format_name);
	struct format_context context = { 0 };
	struct batch *batch = batch_create(NULL, NULL);
	assert_non_null(format);
	for (uint32_t i = 0; i < n; i++)
		batch_add(batch)->bytes = events[i];
	buf_add_view(body, format->head);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_add_view(body, format->between);
		format->add(body, &context, batch, i);
	}
	buf_add_view(body, format->tail);
	batch_free(batch);
}

static void assert_body(const char *format, const struct view *events, uint32_t n, struct view expected)
{
	struct buf body = { 0 };
	body_of(format, events, n, &body);
	assert_int_equal(body.len, expected.len);
	assert_memory_equal(body.ptr, expected.ptr, expected.len);
	buf_finish(&body);
}

static void events_keep_their_bytes(void **state)
{
	(void)state;
	/* Numbers, escapes, duplicate keys, bytes that are no UTF-8, spaces. */
	const struct view events[] = { VIEW("{\"a\":2.0,\"a\":1e5, \"b\":\"\\u0000\\/\xff\"}"), VIEW("{}") };
	assert_body("ndjson", events, 2, VIEW("{\"a\":2.0,\"a\":1e5, \"b\":\"\\u0000\\/\xff\"}\n{}\n"));
	assert_body("json", events, 2, VIEW("[{\"a\":2.0,\"a\":1e5, \"b\":\"\\u0000\\/\xff\"},{}]"));
	assert_body("ndjson", events + 1, 1, VIEW("{}\n"));
	assert_body("json", events + 1, 1, VIEW("[{}]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_is_found_by_its_name),
		cmocka_unit_test(events_keep_their_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
