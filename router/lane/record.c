#include "router/lane/record.h"

#include <string.h>

#include "router/base/clock.h"

enum { KEY_PARTS_MAX = 4 };

static struct view join_key(struct batch *b, const struct view *parts, unsigned n)
{
	size_t len = n - 1;
	for (unsigned i = 0; i < n; i++)
		len += parts[i].len;
	char *key = batch_alloc(b, len), *at = key;
	for (unsigned i = 0; i < n; i++) {
		if (i)
			*at++ = '/';
		if (parts[i].len)
			memcpy(at, parts[i].ptr, parts[i].len);
		at += parts[i].len;
	}
	return (struct view){ key, len };
}

/* A field as key: in the arena where it does not lie in the event's own bytes (the decoder's scratch is short-lived). */
static struct view field_key(struct batch *b, const struct event *e, struct view field)
{
	if (!field.len)
		return (struct view){ 0 };
	if (field.ptr >= e->bytes.ptr && field.ptr < e->bytes.ptr + e->bytes.len)
		return field;
	return join_key(b, &field, 1);
}

static struct view key_of(struct batch *b, const struct event *e, const struct attributes *a, enum record_key key)
{
	switch (key) {
	case KEY_AUDIT_ID:
		return field_key(b, e, e->audit_id);
	case KEY_NAMESPACE:
		return field_key(b, e, e->object_ref.namespace_);
	case KEY_USER:
		return field_key(b, e, e->user.username);
	case KEY_OBJECT: {
		const struct event_object_ref *o = &e->object_ref;
		const struct view parts[KEY_PARTS_MAX] = { o->api_group, o->resource, o->namespace_, o->name };
		return o->present ? join_key(b, parts, KEY_PARTS_MAX) : join_key(b, &a->path, 1);
	}
	case KEY_NONE:
		break;
	}
	return (struct view){ 0 };
}

void record_fill(struct batch *b, struct record *r, const struct event *e, const struct attributes *a, enum record_key key)
{
	if (!clock_parse(e->request_received, &r->received_us))
		r->received_us = BATCH_NO_TIME;
	if (key != KEY_NONE)
		r->key = key_of(b, e, a, key);
}
