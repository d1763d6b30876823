/* Edits in the bytes of an event: what is cut, what stays, and that commas come out right. */
#include "tests/unit/cm.h"

#include "router/event/decode.h"
#include "router/event/edit.h"

struct fixture {
	struct decoder *decoder;
	struct edits edits;
	struct event event;
	char out[4096];
};

static int set_up(void **state)
{
	struct fixture *f = mem_zero(1, sizeof *f);
	f->decoder = decode_create(DECODE_BEST);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	decode_destroy(f->decoder);
	edits_finish(&f->edits);
	free(f);
	return 0;
}

/* The first `n` of the names separated by blanks, cut in one call, or in a call each. */
static const char *cut(struct fixture *f, const char *object, const char *names, bool each)
{
	struct view list[8], bytes = view_of(object);
	uint32_t n = 0;
	for (const char *at = names; *at; at += *at == ' ') {
		size_t len = strcspn(at, " ");
		list[n++] = (struct view){ at, len };
		at += len;
	}
	edits_clear(&f->edits);
	for (uint32_t i = 0; each && i < n; i++)
		(void)edits_cut_members(&f->edits, bytes, &list[i], 1);
	if (!each)
		(void)edits_cut_members(&f->edits, bytes, list, n);
	size_t len = edits_length(&f->edits, bytes);
	assert_int_equal(edits_apply(&f->edits, bytes, f->out), len);
	f->out[len] = 0;
	return f->out;
}

static void members_go_with_one_comma(void **state)
{
	static const struct {
		const char *object, *names, *left;
	} cases[] = {
		{ "{\"a\":1,\"b\":2,\"c\":3}", "a", "{\"b\":2,\"c\":3}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "b", "{\"a\":1,\"c\":3}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "c", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "a b", "{\"c\":3}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "b c", "{\"a\":1}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "a c", "{\"b\":2}" },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "c a b", "{}" },
		{ "{\"a\":1}", "a", "{}" },
		{ "{\"a\":1}", "b", "{\"a\":1}" },
		{ "{}", "a", "{}" },
		{ "{\"a\":1,\"a\":{\"a\":2},\"b\":\"a\"}", "a", "{\"b\":\"a\"}" },
		{ "{\"\\u0061\":1,\"b\":[{\"a\":1}]}", "a", "{\"b\":[{\"a\":1}]}" },
		{ "[{\"a\":1}]", "a", "[{\"a\":1}]" },
		{ "\"a\"", "a", "\"a\"" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_string_equal(cut(*state, cases[i].object, cases[i].names, false), cases[i].left);
		assert_string_equal(cut(*state, cases[i].object, cases[i].names, true), cases[i].left);
	}
}

/* Which of the blanks around a comma stay is nobody's business; that the comma goes is. */
static void spaces_leave_valid_json(void **state)
{
	static const char *const names[] = { "a", "b" };
	for (size_t i = 0; i < 2; i++) {
		const char *left = cut(*state, "{ \"a\" : 1 , \"b\" : 2 }", names[i], false);
		assert_null(strchr(left, ','));
		assert_non_null(strstr(left, i ? "\"a\" : 1" : "\"b\" : 2"));
		assert_null(strstr(left, names[i]));
	}
}

static const struct event *decoded(struct fixture *f, const char *line)
{
	size_t end;
	assert_int_equal(decode_line(f->decoder, view_of(line), &f->event, &end), DECODE_OK);
	edits_clear(&f->edits);
	return &f->event;
}

static const char *applied(struct fixture *f)
{
	size_t len = edits_length(&f->edits, f->event.bytes);
	assert_true(len < sizeof f->out);
	assert_int_equal(edits_apply(&f->edits, f->event.bytes, f->out), len);
	f->out[len] = 0;
	return f->out;
}

static void managed_fields_of_objects_lists_and_tables(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "{\"metadata\":{\"name\":\"x\",\"managedFields\":[{\"a\":1}]},\"spec\":{\"metadata\":{\"managedFields\":1}}}",
			"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"metadata\":{\"managedFields\":1}}}" },
		{ "{\"metadata\":{\"managedFields\":[]},\"items\":[{\"metadata\":{\"managedFields\":1,\"uid\":\"u\"}},3,{}]}",
			"{\"metadata\":{},\"items\":[{\"metadata\":{\"uid\":\"u\"}},3,{}]}" },
		{ "{\"rows\":[{\"cells\":[],\"object\":{\"metadata\":{\"name\":\"p\",\"managedFields\":[2]}}},{\"object\":null}]}",
			"{\"rows\":[{\"cells\":[],\"object\":{\"metadata\":{\"name\":\"p\"}}},{\"object\":null}]}" },
		{ "{\"items\":{\"metadata\":{\"managedFields\":1}}}", "{\"items\":{\"metadata\":{\"managedFields\":1}}}" },
		{ "[{\"metadata\":{\"managedFields\":1}}]", "[{\"metadata\":{\"managedFields\":1}}]" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char line[1024], want[1024];
		(void)snprintf(line, sizeof line, "{\"stage\":\"Panic\",\"verb\":\"get\",\"responseObject\":%s,\"z\":1}", cases[i][0]);
		(void)snprintf(want, sizeof want, "{\"stage\":\"Panic\",\"verb\":\"get\",\"responseObject\":%s,\"z\":1}", cases[i][1]);
		(void)edits_cut_managed_fields(&f->edits, decoded(f, line)->response_object);
		assert_string_equal(applied(f), want);
		(void)edits_cut_managed_fields(&f->edits, f->event.response_object); /* once more is no more */
		assert_string_equal(applied(f), want);
	}
}

static void annotations(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "{\"stage\":\"Panic\",\"verb\":\"get\"}", "{\"stage\":\"Panic\",\"verb\":\"get\",\"annotations\":{\"k\":\"v\\\"\"}}" },
		{ "{\"stage\":\"Panic\",\"verb\":\"get\",\"annotations\":{}}", "{\"stage\":\"Panic\",\"verb\":\"get\",\"annotations\":{\"k\":\"v\\\"\"}}" },
		{ "{\"stage\":\"Panic\",\"verb\":\"get\",\"annotations\":{\"a\":\"b\"}}",
			"{\"stage\":\"Panic\",\"verb\":\"get\",\"annotations\":{\"a\":\"b\",\"k\":\"v\\\"\"}}" },
		{ "{\"stage\":\"Panic\",\"annotations\":{\"k\":\"old\",\"a\":\"b\"},\"verb\":\"get\"}",
			"{\"stage\":\"Panic\",\"annotations\":{\"k\":\"v\\\"\",\"a\":\"b\"},\"verb\":\"get\"}" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		edits_set_annotation(&f->edits, decoded(f, cases[i][0]), VIEW("k"), VIEW("v\""));
		assert_string_equal(applied(f), cases[i][1]);
	}
}

static void an_outer_cut_swallows_what_lies_inside(void **state)
{
	struct fixture *f = *state;
	static const struct view body = { "responseObject", 14 };
	const struct event *e = decoded(f, "{\"stage\":\"Panic\",\"responseObject\":{\"metadata\":{\"managedFields\":1}},\"verb\":\"get\"}");
	(void)edits_cut_managed_fields(&f->edits, e->response_object);
	edits_replace(&f->edits, e->response_object, VIEW("null"));
	(void)edits_cut_members(&f->edits, e->bytes, &body, 1);
	assert_string_equal(applied(f), "{\"stage\":\"Panic\",\"verb\":\"get\"}");
	edits_clear(&f->edits);
	assert_true(edits_none(&f->edits));
	assert_string_equal(applied(f), "{\"stage\":\"Panic\",\"responseObject\":{\"metadata\":{\"managedFields\":1}},\"verb\":\"get\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(members_go_with_one_comma, set_up, tear_down),
		cmocka_unit_test_setup_teardown(spaces_leave_valid_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(managed_fields_of_objects_lists_and_tables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(annotations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_outer_cut_swallows_what_lies_inside, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
