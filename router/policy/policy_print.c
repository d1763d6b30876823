/* A policy as it was understood: what encoding/json writes of upstream's struct. */
#include "router/policy/policy_private.h"

static const struct shape *shape_of(const struct shape *shape, struct view key)
{
	for (const struct shape_field *f = shape->fields; f->key; f++)
		if (view_eq(key, view_of(f->key)))
			return f->shape;
	return NULL;
}

static void print_field(const struct policy *p, const struct shape *shape, const char *key, struct buf *out)
{
	const struct value *v = value_get(p->said, key);
	bool empty = !v || ((v->kind == VALUE_LIST || v->kind == VALUE_MAP) && !v->n) || (v->kind == VALUE_BOOL && !v->truth);
	if (empty)
		return;
	buf_addf(out, ",\"%s\":", key);
	shape_print(shape_of(shape, view_of(key)), v, out);
}

void policy_print(const struct policy *p, struct buf *out)
{
	const struct shape *shape = p->filter ? &shape_audit_filter : &shape_policy;
	const struct value *metadata = value_get(p->said, "metadata");
	buf_add_view(out, p->filter ? VIEW("{\"kind\":\"AuditFilter\",\"apiVersion\":\"audit-router/v1\",\"metadata\":") :
				      VIEW("{\"kind\":\"Policy\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":"));
	if (metadata)
		shape_print(shape_of(shape, VIEW("metadata")), metadata, out);
	else
		buf_add_view(out, VIEW("{}"));
	print_field(p, shape, "rules", out);
	print_field(p, shape, "omitStages", out);
	print_field(p, shape, "omitManagedFields", out);
	buf_add_view(out, VIEW("}\n"));
}
