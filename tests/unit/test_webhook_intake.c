/* A request of the webhook without its connection: who may post, what a packed body becomes, where the limits are. */
#include "tests/unit/cm.h"

#include <zlib.h>

#include "router/base/buf.h"
#include "router/input/webhook_intake.h"
#include "router/lane/chunk.h"

enum { PLENTY = 4 << 20 };

static const struct intake_head good = { .method = "POST", .known = true };

/* ---- the head ---- */

static unsigned judged(struct intake_head head, const char *token)
{
	return intake_judge(&head, token, 1000);
}

static void who_may_post(void **state)
{
	struct intake_head head = good;
	(void)state;
	assert_int_equal(judged(head, NULL), 0);
	head.method = "PUT";
	assert_int_equal(judged(head, NULL), 405);
	assert_int_equal(judged(head, "sesame"), 401); /* says nothing to who has no token */
	head.known = false;
	assert_int_equal(judged(head, "sesame"), 403);
}

static void a_token_is_that_token(void **state)
{
	static const struct {
		const char *said;
		unsigned status;
	} cases[] = { { "Bearer sesame", 0 }, { "bearer   sesame", 0 }, { NULL, 401 }, { "", 401 }, { "Bearer", 401 }, { "Bearer ", 401 },
		{ "Bearer sesam", 401 }, { "Bearer sesamee", 401 }, { "Bearer sesamesesame", 401 }, { "Bearer Sesame", 401 },
		{ "Bearer xesame", 401 }, { "Bearer sesamx", 401 }, { "Basic sesame", 401 }, { "sesame", 401 } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct intake_head head = good;
		head.authorization = cases[i].said;
		assert_int_equal(judged(head, "sesame"), cases[i].status);
	}
	struct intake_head head = good;
	head.authorization = "Bearer ";
	assert_int_equal(judged(head, ""), 401); /* an empty file lets nobody in */
}

static void what_is_said_of_the_body(void **state)
{
	static const struct {
		const char *encoding, *length;
		unsigned status;
	} cases[] = { { NULL, "1000", 0 }, { NULL, "1001", 413 }, { "gzip", "1001", 413 }, { "GZIP", NULL, 0 }, { "identity", NULL, 0 },
		{ "Identity", "1", 0 }, { "br", NULL, 415 }, { "gzip, gzip", NULL, 415 }, { "", NULL, 415 }, { NULL, "many", 0 }, { NULL, "-1", 0 } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct intake_head head = good;
		head.encoding = cases[i].encoding;
		head.length = cases[i].length;
		assert_int_equal(judged(head, NULL), cases[i].status);
	}
}

/* ---- the body ---- */

static void take(void *context, struct chunk *chunk, uint64_t long_total)
{
	assert_int_equal(long_total, 0);
	buf_add(context, chunk->bytes, chunk->len);
	chunk_release(chunk);
}

/* What comes of a body in slices of `step` bytes: the status, and its lines. */
static unsigned post(struct view body, const char *encoding, size_t step, uint64_t max_body, uint64_t budget_bytes, struct buf *ret_lines)
{
	struct budget *budget;
	struct webhook_intake in;
	struct intake_head head = good;
	unsigned status = 0;
	head.encoding = encoding;
	buf_clear(ret_lines);
	assert_int_equal(budget_create(&budget, budget_bytes), 0);
	budget_force(budget, 1); /* somebody else's: who is alone gets as much as he needs */
	intake_init(&in, &head, max_body, &(struct body_options){ .budget = budget, .line_max = PLENTY, .piece = take, .context = ret_lines });
	for (size_t at = 0, n; !status && at < body.len; at += n) {
		n = intake_slice(&in, body.len - at < step ? body.len - at : step);
		assert_in_range(n, 1, step);
		status = intake_add(&in, (struct view){ body.ptr + at, n });
	}
	if (!status)
		status = intake_end(&in);
	intake_finish(&in);
	budget_give(budget, 1);
	assert_int_equal(budget_used(budget), 0);
	budget_destroy(budget);
	return status;
}

/* In slices of any size. */
static void expect(struct view body, const char *encoding, const char *lines)
{
	struct buf got = { 0 };
	for (size_t step = 1; step <= body.len; step++) {
		assert_int_equal(post(body, encoding, step, PLENTY, PLENTY, &got), 0);
		assert_string_equal(buf_text(&got), lines);
	}
	buf_finish(&got);
}

/* Adds a member; where `flushed`, each line of the text can be unpacked once it is there. Returns how long the first line is, packed. */
static size_t pack(struct buf *out, const char *text, bool flushed)
{
	z_stream z = { 0 };
	size_t first = 0;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	buf_reserve(out, 2 * strlen(text) + 1024);
	z.next_out = (unsigned char *)out->ptr + out->len;
	z.avail_out = (unsigned)(out->room - out->len);
	for (const char *at = text; *at;) {
		const char *end = flushed ? strchr(at, '\n') + 1 : at + strlen(at);
		z.next_in = (unsigned char *)(uintptr_t)at;
		z.avail_in = (unsigned)(end - at);
		assert_int_equal(deflate(&z, flushed ? Z_SYNC_FLUSH : Z_NO_FLUSH), Z_OK);
		first = first ? first : z.total_out;
		at = end;
	}
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	assert_int_equal(deflateEnd(&z), Z_OK);
	return first;
}

static void packed_and_not_it_is_the_same(void **state)
{
	struct buf packed = { 0 };
	(void)state;
	expect(VIEW("{\"a\":1}\n{\"b\":2}"), NULL, "{\"a\":1}\n{\"b\":2}\n");
	expect(VIEW("{\"a\":1}\n{\"b\":2}"), "identity", "{\"a\":1}\n{\"b\":2}\n");
	(void)pack(&packed, "{\"a\":1}\n{\"b\"", false);
	(void)pack(&packed, "", false);
	(void)pack(&packed, ":2}\n", false); /* members one behind the other are one body */
	expect(buf_view(&packed), "gzip", "{\"a\":1}\n{\"b\":2}\n");
	buf_finish(&packed);
}

/* What came whole is taken; that something else did not is a line, which is no event. */
static void what_is_torn_is_told(void **state)
{
	struct buf packed = { 0 }, got = { 0 };
	(void)state;
	size_t first = pack(&packed, "{\"a\":1}\n{\"b\":2}\n", true);
	char want[128];
	(void)snprintf(want, sizeof want, "{\"a\":1}\n? gzip without its end: %zu bytes, 8 unpacked\n", first);
	expect((struct view){ packed.ptr, first }, "gzip", want);
	(void)snprintf(want, sizeof want, "{\"a\":1}\n{\"b\":2}\n? gzip without its end: %zu bytes, 16 unpacked\n", packed.len - 1);
	expect((struct view){ packed.ptr, packed.len - 1 }, "gzip", want); /* of its sum, too */
	packed.ptr[packed.len - 5] ^= 1;
	assert_int_equal(post(buf_view(&packed), "gzip", PLENTY, PLENTY, PLENTY, &got), 0);
	assert_true(view_starts(buf_view(&got), VIEW("{\"a\":1}\n{\"b\":2}\n?")));
	assert_int_equal(post(VIEW("never\n{packed}"), "gzip", PLENTY, PLENTY, PLENTY, &got), 0);
	assert_string_equal(buf_text(&got), "?ever?{packed}\n");
	buf_finish(&packed);
	buf_finish(&got);
}

static void nothing_is_in_it(void **state)
{
	struct buf packed = { 0 }, got = { 0 };
	(void)state;
	assert_int_equal(post(VIEW(""), NULL, 1, PLENTY, PLENTY, &got), 400);
	assert_int_equal(post(VIEW(" \r\n"), NULL, 1, PLENTY, PLENTY, &got), 400);
	assert_int_equal(post(VIEW(""), "gzip", 1, PLENTY, PLENTY, &got), 400);
	(void)pack(&packed, "", false);
	assert_int_equal(post(buf_view(&packed), "gzip", 1, PLENTY, PLENTY, &got), 400);
	/* a list without items is no error */
	assert_int_equal(post(VIEW("{\"kind\":\"EventList\",\"apiVersion\":\"a/v1\",\"items\":[]}"), NULL, 1, PLENTY, PLENTY, &got), 0);
	assert_int_equal(got.len, 0);
	buf_finish(&packed);
	buf_finish(&got);
}

static void max_body_counts_packed_and_unpacked(void **state)
{
	char text[1002];
	struct buf packed = { 0 }, got = { 0 }, empty = { 0 };
	(void)state;
	memset(text, '1', sizeof text);
	text[1000] = '\n';
	text[1001] = 0;
	for (size_t step = 1; step < 2000; step += 333) {
		assert_int_equal(post(view_of(text), NULL, step, 1001, PLENTY, &got), 0);
		assert_int_equal(got.len, 1001);
		assert_int_equal(post(view_of(text), NULL, step, 1000, PLENTY, &got), 413);
	}
	(void)pack(&packed, text, false);
	assert_int_equal(post(buf_view(&packed), "gzip", 10, 1001, PLENTY, &got), 0);
	assert_int_equal(got.len, 1001);
	assert_int_equal(post(buf_view(&packed), "gzip", 10, 1000, PLENTY, &got), 413);
	for (size_t i = 0; empty.len <= 1001 - packed.len; i++)
		(void)pack(&empty, "", false); /* comes to nothing, and could go on for ever */
	buf_add_view(&empty, buf_view(&packed));
	assert_int_equal(post(buf_view(&empty), "gzip", 10, 1001, PLENTY, &got), 413);
	assert_int_equal(post(buf_view(&empty), "gzip", 10, empty.len, PLENTY, &got), 0);
	/* and of one that is torn nothing is kept, but its bytes come all the same */
	assert_int_equal(post(view_of(text), "gzip", 10, 1001, PLENTY, &got), 0);
	assert_int_equal(post(view_of(text), "gzip", 10, 1000, PLENTY, &got), 413);
	buf_finish(&packed);
	buf_finish(&empty);
	buf_finish(&got);
}

static void without_room_it_is_to_come_again(void **state)
{
	struct buf packed = { 0 }, got = { 0 };
	(void)state;
	size_t first = pack(&packed, "{\"a\":1}\n{\"b\":2}\n", true);
	assert_int_equal(post(VIEW("{\"a\":1}"), NULL, 1, PLENTY, 1000, &got), 429);
	assert_int_equal(post(buf_view(&packed), "gzip", 100, PLENTY, 1000, &got), 429);
	assert_int_equal(post((struct view){ packed.ptr, first }, "gzip", 100, PLENTY, 1000, &got), 429);
	assert_int_equal(post(VIEW("never packed"), "gzip", 100, PLENTY, 1000, &got), 429);
	assert_int_equal(post(VIEW("\x1f\x8b"), "gzip", 100, PLENTY, 1000, &got), 429);
	assert_int_equal(got.len, 0);
	buf_finish(&packed);
	buf_finish(&got);
}

/* A packed body is unpacked in small steps, each of which may come to a thousand times as much. */
static void slices_of_packed_bodies_are_small(void **state)
{
	struct intake_head head = good;
	struct webhook_intake in;
	(void)state;
	intake_init(&in, &head, PLENTY, &(struct body_options){ 0 });
	assert_int_equal(intake_slice(&in, 100000), 100000);
	intake_finish(&in);
	head.encoding = "gzip";
	intake_init(&in, &head, PLENTY, &(struct body_options){ 0 });
	assert_int_equal(intake_slice(&in, 100000), INTAKE_SLICE_BYTES);
	assert_int_equal(intake_slice(&in, INTAKE_SLICE_BYTES - 1), INTAKE_SLICE_BYTES - 1);
	intake_finish(&in);
	intake_finish(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_post),
		cmocka_unit_test(a_token_is_that_token),
		cmocka_unit_test(what_is_said_of_the_body),
		cmocka_unit_test(packed_and_not_it_is_the_same),
		cmocka_unit_test(what_is_torn_is_told),
		cmocka_unit_test(nothing_is_in_it),
		cmocka_unit_test(max_body_counts_packed_and_unpacked),
		cmocka_unit_test(without_room_it_is_to_come_again),
		cmocka_unit_test(slices_of_packed_bodies_are_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
