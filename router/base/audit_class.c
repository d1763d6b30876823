#include "router/base/audit_class.h"

#include <assert.h>

static const struct {
	const char *upper, *lower;
} names[AUDIT_CLASSES] = {
	[ADMIN_ACTIVITY] = { "ADMIN_ACTIVITY", "admin_activity" },
	[ADMIN_READ] = { "ADMIN_READ", "admin_read" },
	[DATA_READ] = { "DATA_READ", "data_read" },
	[DATA_WRITE] = { "DATA_WRITE", "data_write" },
};

const char *audit_class_name(enum audit_class c)
{
	assert(c < AUDIT_CLASSES);
	return names[c].upper;
}

const char *audit_class_lower(enum audit_class c)
{
	assert(c < AUDIT_CLASSES);
	return names[c].lower;
}

bool audit_class_parse(struct view name, enum audit_class *ret_class)
{
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++)
		if (view_eq(name, view_of(names[c].upper))) {
			*ret_class = c;
			return true;
		}
	return false;
}

bool audit_class_billed(enum audit_class c)
{
	return c != ADMIN_ACTIVITY;
}
