#include <string.h>

#include "router/match/matcher.h"

/* What RequestInfo finds in a path; only what the body of a create or update can have filled in later. */
struct request_target {
	struct view namespace_, name;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* An escape that is none stands for itself: the server would have refused the request. */
static size_t decode_percent(struct view raw, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < raw.len && n < room; i++) {
		int high = -1, low = -1;
		if (raw.ptr[i] == '%' && raw.len - i > 2) {
			high = hex_digit(raw.ptr[i + 1]);
			low = hex_digit(raw.ptr[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			out[n++] = raw.ptr[i];
		}
	}
	return n;
}

/* The path up to `?`, decoded; a path without escapes is a view of the event's own bytes. */
static struct view path_of(struct view uri, char room[static ATTRIBUTES_PATH_MAX])
{
	if (!uri.len)
		return uri;
	const char *query = memchr(uri.ptr, '?', uri.len);
	if (query)
		uri.len = (size_t)(query - uri.ptr);
	if (!memchr(uri.ptr, '%', uri.len))
		return uri;
	return (struct view){ room, decode_percent(uri, room, ATTRIBUTES_PATH_MAX) };
}

static struct view trim_slashes(struct view path)
{
	while (path.len && path.ptr[0] == '/') {
		path.ptr++;
		path.len--;
	}
	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	return path;
}

/* Takes the next part off `rest`; false: there is none. rest->ptr is NULL after the last. */
static bool next_part(struct view *rest, struct view *ret_part)
{
	if (!rest->ptr)
		return false;
	const char *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
	if (!slash) {
		*ret_part = *rest;
		*rest = (struct view){ NULL, 0 };
		return true;
	}
	*ret_part = (struct view){ rest->ptr, (size_t)(slash - rest->ptr) };
	rest->len -= ret_part->len + 1;
	rest->ptr = slash + 1;
	return true;
}

/* Past /api/VERSION or /apis/GROUP/VERSION; false: not the path of a resource. */
static bool skip_version(struct view *rest)
{
	struct view part, skipped;
	if (!rest->len || !next_part(rest, &part))
		return false;
	if (view_eq(part, VIEW("apis"))) {
		if (!next_part(rest, &skipped))
			return false;
	} else if (!view_eq(part, VIEW("api"))) {
		return false;
	}
	return next_part(rest, &skipped);
}

/* NewRequestInfo of k8s.io/apiserver. False: not the path of a resource. */
static bool parse_target(struct view path, struct request_target *ret)
{
	struct view rest = trim_slashes(path), part, sub;
	if (!skip_version(&rest) || !next_part(&rest, &part))
		return false;
	if ((view_eq(part, VIEW("watch")) || view_eq(part, VIEW("proxy"))) && !next_part(&rest, &part))
		return false;
	*ret = (struct request_target){ .namespace_ = VIEW(""), .name = VIEW("") };
	if (!view_eq(part, VIEW("namespaces"))) {
		(void)next_part(&rest, &ret->name);
		return true;
	}
	if (!next_part(&rest, &ret->namespace_))
		return true;
	struct view after = rest;
	if (!next_part(&after, &sub) || view_eq(sub, VIEW("status")) || view_eq(sub, VIEW("finalize"))) {
		ret->name = ret->namespace_; /* the namespace itself */
		return true;
	}
	rest = after; /* `sub` is the resource inside the namespace */
	(void)next_part(&rest, &ret->name);
	return true;
}

static void take_resource(const struct event *e, struct attributes *ret)
{
	ret->namespace_ = e->object_ref.namespace_;
	ret->api_group = e->object_ref.api_group;
	ret->resource = e->object_ref.resource;
	ret->subresource = e->object_ref.subresource;
	ret->name = e->object_ref.name;
	ret->path = (struct view){ NULL, 0 };
	if (!view_eq(e->verb, VIEW("create")) && !view_eq(e->verb, VIEW("update")))
		return;
	if (e->form == EVENT_LOG_ENTRY) {
		/* It has the path with the object's name put in, where the URL of a create has none. */
		if (view_eq(e->verb, VIEW("create")) && !e->object_ref.subresource.len)
			ret->name = (struct view){ 0 };
		return;
	}
	struct request_target target;
	if (!parse_target(path_of(e->request_uri, ret->path_room), &target))
		return; /* no URL that tells: what objectRef says is all there is */
	ret->namespace_ = target.namespace_;
	ret->name = target.name;
}

void attributes_of(const struct event *e, struct attributes *ret)
{
	static const struct view absent = { NULL, 0 };
	ret->has_user = e->user.present && (e->user.username.len || e->user.n_groups || e->user.uid.len);
	ret->user = e->user.username;
	ret->groups = e->user.groups;
	ret->n_groups = e->user.n_groups;
	ret->verb = e->verb;
	ret->stage = e->stage;
	ret->code = e->response_status.present ? e->response_status.code : 0;
	ret->audit_id = e->audit_id;
	ret->log = e->log;
	ret->cluster = absent;
	ret->is_resource = e->object_ref.present;
	if (ret->is_resource) {
		take_resource(e, ret);
		return;
	}
	ret->namespace_ = ret->api_group = ret->resource = ret->subresource = ret->name = absent;
	ret->path = path_of(e->request_uri, ret->path_room);
}
