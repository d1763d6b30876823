#include "router/policy/data_access.h"

#include <assert.h>

enum data_access_drop data_access_decide(const struct data_access *d, enum audit_class c, const struct attributes *a)
{
	assert(c < AUDIT_CLASSES);
	if (c == ADMIN_ACTIVITY)
		return DATA_ACCESS_KEEP;
	if (d->off[c])
		return DATA_ACCESS_OFF;
	if (!a->has_user)
		return DATA_ACCESS_KEEP;
	if (d->exempt[c].n && strings_have(&d->exempt[c], a->user))
		return DATA_ACCESS_EXEMPT;
	for (uint32_t i = 0; d->exempt_groups[c].n && i < a->n_groups; i++)
		if (strings_have(&d->exempt_groups[c], a->groups[i]))
			return DATA_ACCESS_EXEMPT;
	return DATA_ACCESS_KEEP;
}

void data_access_finish(struct data_access *d)
{
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++) {
		strings_finish(&d->exempt[c]);
		strings_finish(&d->exempt_groups[c]);
	}
	*d = (struct data_access){ 0 };
}
