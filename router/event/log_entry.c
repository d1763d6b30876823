#include "router/event/log_entry.h"


#include "router/event/text.h"

enum { SCRATCH_BYTES_KEPT = 1 << 20 };

/* The texts of an entry, raw JSON values at first. */
struct fields {
	struct view log_name, timestamp, operation, split, labels, payload;
	struct view type, service, method, resource, authentication, metadata, status, request, response;
};

struct row {
	struct view key;
	size_t offset; /* of a view in struct fields */
};

#define TEXT(literal)     { literal, sizeof(literal) - 1 }
#define ROW(name, member) { TEXT(name), offsetof(struct fields, member) }

static const struct row entry_rows[] = {
	ROW("logName", log_name),
	ROW("timestamp", timestamp),
	ROW("operation", operation),
	ROW("split", split),
	ROW("labels", labels),
	ROW("protoPayload", payload),
};

static const struct row payload_rows[] = {
	ROW("@type", type),
	ROW("serviceName", service),
	ROW("methodName", method),
	ROW("resourceName", resource),
	ROW("authenticationInfo", authentication),
	ROW("requestMetadata", metadata),
	ROW("status", status),
	ROW("request", request),
	ROW("response", response),
};

/* Groups without a dot; of all others the method has the labels in reverse. */
static const struct view short_groups[] = { TEXT("apps"), TEXT("batch"), TEXT("extensions"), TEXT("autoscaling"), TEXT("policy") };

void log_entry_finish(struct log_entry *l)
{
	buf_finish(&l->scratch);
	*l = (struct log_entry){ 0 };
}

/* The last of equal keys wins, as everywhere. False: there are some. */
static bool take_members(struct view object, const struct row *rows, size_t n, struct fields *f)
{
	bool once = true;
	struct text_walk walk = text_walk_start(object);
	struct text_member m;
	while (text_walk_next(&walk, &m))
		for (size_t i = 0; i < n; i++)
			if (text_key_is(m.key, rows[i].key)) {
				struct view *field = (struct view *)((char *)f + rows[i].offset);
				once = once && !field->ptr;
				*field = m.value;
				break;
			}
	return once;
}

static bool is_text(struct view value)
{
	return value.len >= 2 && value.ptr[0] == '"';
}

static bool is_object(struct view value)
{
	return value.len && value.ptr[0] == '{';
}

/* ---- texts ---- */

/* Where pieces of scratch are taken from: room was made for all of them before, so that none moves. */
static char *piece(struct log_entry *l, size_t len)
{
	char *at = l->scratch.ptr + l->scratch.len;
	l->scratch.len += len;
	return at;
}

/* The text of a raw value, unescaped; absent when it is no text. */
static struct view text_of(struct log_entry *l, struct view value)
{
	if (!is_text(value))
		return (struct view){ 0 };
	struct view raw = { value.ptr + 1, value.len - 2 };
	if (!raw.len || !memchr(raw.ptr, '\\', raw.len))
		return raw;
	char *out = piece(l, raw.len);
	size_t len = text_unescape(raw, out);
	l->scratch.len -= raw.len - len;
	return (struct view){ out, len };
}

static bool text_is(struct view value, struct view text)
{
	return is_text(value) && text_key_is((struct view){ value.ptr + 1, value.len - 2 }, text);
}

/* An integer of JSON, or (protobuf's JSON of 64 bits) as text. */
static bool number_of(struct view value, uint32_t *ret)
{
	uint64_t number = 0;
	if (is_text(value))
		value = (struct view){ value.ptr + 1, value.len - 2 };
	if (!value.len || value.len > 9)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(value.ptr[i] - '0');
	}
	*ret = (uint32_t)number;
	return true;
}

/* ---- names ---- */

/* Takes the part up to `separator`, or all, off the text. False: nothing is left. */
static bool take_part(struct view *rest, char separator, struct view *ret)
{
	if (!rest->ptr)
		return false;
	const char *at = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
	*ret = (struct view){ rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len };
	*rest = at ? (struct view){ at + 1, rest->len - ret->len - 1 } : (struct view){ 0 };
	return ret->len > 0;
}

static struct view last_label(struct view *name)
{
	const char *dot = name->len ? memrchr(name->ptr, '.', name->len) : NULL;
	struct view last = *name;
	if (!dot) {
		*name = (struct view){ 0 };
		return last;
	}
	last.ptr = dot + 1;
	last.len = name->len - (size_t)(dot + 1 - name->ptr);
	name->len -= last.len + 1;
	return last;
}

static bool take_prefix(struct view *text, struct view prefix)
{
	if (!view_starts(*text, prefix))
		return false;
	text->ptr += prefix.len;
	text->len -= prefix.len;
	return true;
}

/* Does the method begin as those of this group and version do? What is behind, without the dot, is left in *rest. */
static bool takes_group(struct view *rest, struct view group, struct view version)
{
	struct view method = *rest;
	if (view_eq(group, VIEW("core"))) {
		if (!take_prefix(&method, VIEW("io.k8s.core")))
			return false;
	} else if (!memchr(group.ptr, '.', group.len)) {
		if (!take_prefix(&method, VIEW("io.k8s.")) || !take_prefix(&method, group))
			return false;
	} else {
		for (bool first = true; group.len; first = false) {
			struct view label = last_label(&group);
			if ((!first && !take_prefix(&method, VIEW("."))) || !take_prefix(&method, label))
				return false;
		}
	}
	if (!take_prefix(&method, VIEW(".")) || !take_prefix(&method, version) || !take_prefix(&method, VIEW(".")))
		return false;
	*rest = method;
	return true;
}

/* v1, v2beta3 */
static bool is_version(struct view label)
{
	size_t i = 1;
	if (label.len < 2 || label.ptr[0] != 'v')
		return false;
	while (i < label.len && label.ptr[i] >= '0' && label.ptr[i] <= '9')
		i++;
	struct view rest = { label.ptr + i, label.len - i };
	if (i == 1)
		return false;
	if (!rest.len)
		return true;
	if (!take_prefix(&rest, VIEW("alpha")) && !take_prefix(&rest, VIEW("beta")))
		return false;
	for (i = 0; i < rest.len; i++)
		if (rest.ptr[i] < '0' || rest.ptr[i] > '9')
			return false;
	return rest.len > 0;
}

/* io.k8s.authorization.rbac is rbac.authorization.k8s.io */
static struct view group_of_labels(struct log_entry *l, struct view labels)
{
	struct view rest = labels;
	if (view_eq(labels, VIEW("io.k8s.core")))
		return VIEW("");
	if (take_prefix(&rest, VIEW("io.k8s.")))
		for (size_t i = 0; i < sizeof short_groups / sizeof *short_groups; i++)
			if (view_eq(rest, short_groups[i]))
				return rest;
	char *out = piece(l, labels.len), *to = out;
	for (rest = labels; rest.len;) {
		struct view label = last_label(&rest);
		if (to != out)
			*to++ = '.';
		memcpy(to, label.ptr, label.len);
		to += label.len;
	}
	return (struct view){ out, (size_t)(to - out) };
}

/* RESOURCE.VERB or RESOURCE.SUBRESOURCE.VERB */
static bool take_target(struct view rest, struct event *e)
{
	struct view parts[4] = { 0 };
	unsigned n = 0;
	while (n < 4 && take_part(&rest, '.', &parts[n]))
		n++;
	if (rest.ptr || n < 2 || n > 3)
		return false;
	e->verb = parts[n - 1];
	e->object_ref.present = true;
	e->object_ref.resource = parts[0];
	e->object_ref.subresource = n == 3 ? parts[1] : (struct view){ 0 };
	return true;
}

/* Where there is no resourceName that says the version: the first label that looks like one. */
static bool take_method(struct log_entry *l, struct view method, struct event *e)
{
	struct view rest = method, label;
	while (take_part(&rest, '.', &label)) {
		if (label.ptr == method.ptr || !is_version(label))
			continue;
		if (!take_target(rest, e))
			return false;
		struct view labels = { method.ptr, (size_t)(label.ptr - method.ptr) - 1 };
		e->object_ref.api_group = group_of_labels(l, labels);
		e->object_ref.api_version = label;
		return true;
	}
	return false;
}

/* Behind GROUP/VERSION/: [namespaces/NAMESPACE/]RESOURCE[/NAME[/...]]; a namespace itself is in itself, as in an Event. */
static void take_names(struct view path, struct event *e)
{
	struct event_object_ref *o = &e->object_ref;
	struct view rest = path, part;
	if (!take_part(&rest, '/', &part))
		return;
	if (view_eq(part, VIEW("namespaces")) && !view_eq(o->resource, part)) {
		struct view namespace_;
		if (!take_part(&rest, '/', &namespace_) || !take_part(&rest, '/', &part))
			return;
		if (view_eq(part, o->resource))
			o->namespace_ = namespace_;
	}
	if (!view_eq(part, o->resource))
		return;
	if (take_part(&rest, '/', &part))
		o->name = part;
	if (view_eq(o->resource, VIEW("namespaces")) && !view_eq(e->verb, VIEW("create")))
		o->namespace_ = o->name;
}

static void take_request(struct log_entry *l, struct view method, struct view resource, struct event *e)
{
	struct view path = resource, group, version, rest = method;
	if (!method.len)
		return;
	if (take_part(&path, '/', &group) && take_part(&path, '/', &version) && takes_group(&rest, group, version) &&
		take_target(rest, e)) {
		e->object_ref.api_group = view_eq(group, VIEW("core")) ? VIEW("") : group;
		e->object_ref.api_version = version;
		take_names(path, e);
		return;
	}
	rest = method;
	if (take_prefix(&rest, VIEW("io.k8s.")) && rest.len && !memchr(rest.ptr, '.', rest.len)) {
		e->verb = rest;
		if (!resource.ptr)
			return;
		char *out = piece(l, resource.len + 1);
		out[0] = '/';
		if (resource.len)
			memcpy(out + 1, resource.ptr, resource.len);
		e->request_uri = (struct view){ out, resource.len + 1 };
		return;
	}
	(void)take_method(l, method, e);
}

/* ---- the rest ---- */

static enum event_log log_of(struct view name)
{
	static const struct {
		struct view end;
		enum event_log log;
	} logs[] = {
		{ TEXT("cloudaudit.googleapis.com%2Factivity"), EVENT_LOG_ACTIVITY },
		{ TEXT("cloudaudit.googleapis.com/activity"), EVENT_LOG_ACTIVITY },
		{ TEXT("cloudaudit.googleapis.com%2Fdata_access"), EVENT_LOG_DATA_ACCESS },
		{ TEXT("cloudaudit.googleapis.com/data_access"), EVENT_LOG_DATA_ACCESS },
	};
	for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
		if (view_ends(name, logs[i].end))
			return logs[i].log;
	return EVENT_LOG_UNKNOWN;
}

/* The codes that were seen to stand for one HTTP code each. A response that is a Status has the code itself. */
static int32_t http_code(uint32_t rpc)
{
	switch (rpc) {
	case 5:
		return 404;
	case 7:
		return 403;
	case 10:
		return 409;
	case 16:
		return 401;
	default:
		return 0;
	}
}

static void take_status(struct log_entry *l, const struct fields *f, struct event *e)
{
	struct event_status *s = &e->response_status;
	uint32_t code;
	if (is_object(f->status)) {
		s->present = true;
		s->raw = f->status;
		s->message = text_of(l, text_get(f->status, VIEW("message")));
		if (number_of(text_get(f->status, VIEW("code")), &code))
			s->code = http_code(code);
	}
	if (!is_object(f->response))
		return;
	if (!text_is(text_get(f->response, VIEW("@type")), VIEW("core.k8s.io/v1.Status")) &&
		!text_is(text_get(f->response, VIEW("kind")), VIEW("Status")))
		return;
	if (number_of(text_get(f->response, VIEW("code")), &code) && code < 1000) {
		s->present = true;
		s->code = (int32_t)code;
	}
	s->reason = text_of(l, text_get(f->response, VIEW("reason")));
}

static void take_caller(struct log_entry *l, const struct fields *f, struct event *e)
{
	if (is_object(f->authentication)) {
		e->user.present = true;
		e->user.username = text_of(l, text_get(f->authentication, VIEW("principalEmail")));
	}
	l->source_ip = text_of(l, text_get(f->metadata, VIEW("callerIp")));
	if (l->source_ip.ptr) {
		e->source_ips = &l->source_ip;
		e->n_source_ips = 1;
	}
	e->user_agent = text_of(l, text_get(f->metadata, VIEW("callerSuppliedUserAgent")));
}

static void take_split(struct log_entry *l, struct view split)
{
	struct log_entry_split s = { .uid = text_of(l, text_get(split, VIEW("uid"))) };
	struct view index = text_get(split, VIEW("index"));
	l->split = (struct log_entry_split){ 0 };
	/* Protobuf's JSON may leave out what is 0. */
	if ((index.len && !number_of(index, &s.index)) || !number_of(text_get(split, VIEW("totalSplits")), &s.total))
		return;
	if (s.uid.len && s.total > 1 && s.index < s.total)
		l->split = s;
}

static void fill(struct log_entry *l, const struct fields *f, struct event *e)
{
	struct view producer = text_get(f->operation, VIEW("producer"));
	e->form = EVENT_LOG_ENTRY;
	e->log = log_of(text_of(l, f->log_name));
	take_request(l, text_of(l, f->method), text_of(l, f->resource), e);
	take_caller(l, f, e);
	take_status(l, f, e);
	take_split(l, f->split);
	if (text_is(producer, VIEW("k8s.io")))
		e->audit_id = text_of(l, text_get(f->operation, VIEW("id")));
	e->request_received = text_of(l, f->timestamp);
	e->request_object = f->request;
	e->response_object = f->response;
	e->annotations = f->labels;
}

enum log_entry_result log_entry_read(struct log_entry *l, struct event *e)
{
	struct fields f = { 0 };
	*e = (struct event){ .bytes = e->bytes, .flags = e->flags };
	if (!is_object(e->bytes))
		return LOG_ENTRY_NONE;
	bool once = take_members(e->bytes, entry_rows, sizeof entry_rows / sizeof *entry_rows, &f);
	if (!f.payload.ptr)
		return f.log_name.ptr && (text_get(e->bytes, VIEW("jsonPayload")).ptr || text_get(e->bytes, VIEW("textPayload")).ptr) ?
			LOG_ENTRY_OTHER_PAYLOAD : LOG_ENTRY_NONE;
	once = take_members(f.payload, payload_rows, sizeof payload_rows / sizeof *payload_rows, &f) && once;
	e->flags |= once ? 0 : EVENT_REPEATED_KEY;
	if (!text_is(f.type, VIEW("type.googleapis.com/google.cloud.audit.AuditLog")))
		return LOG_ENTRY_OTHER_PAYLOAD;
	if (!text_is(f.service, VIEW("k8s.io")))
		return LOG_ENTRY_OTHER_SERVICE;
	/* Room for every text of the entry at once: the bodies are not among them, but for `reason`. */
	buf_clear(&l->scratch);
	if (l->scratch.room > SCRATCH_BYTES_KEPT)
		buf_finish(&l->scratch);
	buf_reserve(&l->scratch, e->bytes.len - f.request.len - f.response.len + 2 * (f.method.len + f.resource.len) +
		text_get(f.response, VIEW("reason")).len + 8);
	fill(l, &f, e);
	return LOG_ENTRY_EVENT;
}
