#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/policy/data_access.h"

static void off_and_exempt_are_by_class(void **state)
{
	static struct attributes a;
	static const struct view groups[] = { { "g1", 2 }, { "ops", 3 } };
	struct data_access d = { 0 };
	(void)state;
	a = (struct attributes){ .has_user = true, .user = VIEW("bob") };
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		assert_int_equal(data_access_decide(&d, c, &a), DATA_ACCESS_KEEP);
	d.off[ADMIN_READ] = true;
	strings_add(&d.exempt[DATA_READ], VIEW("bob"));
	strings_add(&d.exempt_groups[DATA_WRITE], VIEW("ops"));
	assert_int_equal(data_access_decide(&d, ADMIN_READ, &a), DATA_ACCESS_OFF);
	assert_int_equal(data_access_decide(&d, DATA_READ, &a), DATA_ACCESS_EXEMPT);
	assert_int_equal(data_access_decide(&d, DATA_WRITE, &a), DATA_ACCESS_KEEP);
	a.user = VIEW("bo");
	assert_int_equal(data_access_decide(&d, DATA_READ, &a), DATA_ACCESS_KEEP);
	a.groups = groups;
	a.n_groups = 1;
	assert_int_equal(data_access_decide(&d, DATA_WRITE, &a), DATA_ACCESS_KEEP);
	a.n_groups = 2;
	assert_int_equal(data_access_decide(&d, DATA_WRITE, &a), DATA_ACCESS_EXEMPT);
	assert_int_equal(data_access_decide(&d, DATA_READ, &a), DATA_ACCESS_KEEP);
	data_access_finish(&d);
	assert_int_equal(data_access_decide(&d, ADMIN_READ, &a), DATA_ACCESS_KEEP);
}

static void admin_activity_cannot_be_switched_off(void **state)
{
	static struct attributes a;
	struct data_access d = { .off = { true, true, true, true } };
	(void)state;
	a = (struct attributes){ .has_user = true, .user = VIEW("bob") };
	strings_add(&d.exempt[ADMIN_ACTIVITY], VIEW("bob"));
	assert_int_equal(data_access_decide(&d, ADMIN_ACTIVITY, &a), DATA_ACCESS_KEEP);
	assert_int_equal(data_access_decide(&d, DATA_WRITE, &a), DATA_ACCESS_OFF);
	data_access_finish(&d);
}

/* A failed authentication has no name: an exempted empty one does not hide it. */
static void nobody_is_never_exempt(void **state)
{
	static struct attributes a;
	struct data_access d = { 0 };
	(void)state;
	a = (struct attributes){ 0 };
	strings_add(&d.exempt[ADMIN_READ], VIEW(""));
	strings_add(&d.exempt_groups[ADMIN_READ], VIEW(""));
	assert_int_equal(data_access_decide(&d, ADMIN_READ, &a), DATA_ACCESS_KEEP);
	data_access_finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_and_exempt_are_by_class),
		cmocka_unit_test(admin_activity_cannot_be_switched_off),
		cmocka_unit_test(nobody_is_never_exempt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
