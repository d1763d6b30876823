#include "router/event/unwrap.h"


#include "router/base/clock.h"

enum { TEXT_BYTES_KEPT = 1 << 20, TIME_MIN = 20, TIME_MAX = 40 };

/* A kind of wrapper: where its texts stand. The first row that a line fits counts. */
struct unwrap_row {
	struct view list;  /* a member that is an array of items; absent: the line is the item */
	struct view outer; /* a member of the item that is an object; absent: the item itself */
	struct view text;  /* the member of that which is the text */
	const char *why;   /* what it is when the text is no event */
};

#define TEXT(literal) { literal, sizeof(literal) - 1 }

static const struct unwrap_row rows[] = {
	{ /* subscription filters: Firehose, Kinesis, Lambda */
		.list = TEXT("logEvents"),
		.text = TEXT("message"),
		.why = "a CloudWatch log event whose message is no audit event (another log of the cluster, cut, or a control message)",
	},
	{ /* the answers of filter-log-events and get-log-events */
		.list = TEXT("events"),
		.text = TEXT("message"),
		.why = "a CloudWatch log event whose message is no audit event (another log of the cluster, or cut)",
	},
	{ /* Event Hubs and storage accounts */
		.list = TEXT("records"),
		.outer = TEXT("properties"),
		.text = TEXT("log"),
		.why = "an Azure record whose properties.log is no audit event (another category than kube-audit)",
	},
	{
		.outer = TEXT("properties"),
		.text = TEXT("log"),
		.why = "an Azure record whose properties.log is no audit event (another category than kube-audit)",
	},
	{
		.text = TEXT("message"),
		.why = "a CloudWatch log event whose message is no audit event (another log of the cluster, or cut)",
	},
};

void unwrap_finish(struct unwrap *u)
{
	log_entry_finish(&u->entry);
	buf_finish(&u->text);
	*u = (struct unwrap){ 0 };
}

static bool is_text(struct view value)
{
	return value.len >= 2 && value.ptr[0] == '"';
}

/* The raw string of the item; absent: it has none. */
static struct view string_of(const struct unwrap_row *row, struct view item)
{
	struct view object = row->outer.ptr ? text_get(item, row->outer) : item;
	struct view value = text_get(object, row->text);
	return is_text(value) ? value : (struct view){ 0 };
}

static enum unwrap_kind find_texts(struct unwrap *u, struct view object)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct unwrap_row *row = &rows[i];
		if (row->list.ptr) {
			struct view list = text_get(object, row->list);
			if (!list.len || list.ptr[0] != '[')
				continue;
			u->items = text_walk_start(list);
		} else {
			if (!string_of(row, object).ptr)
				continue;
			u->item = object;
		}
		u->row = row;
		return UNWRAP_TEXTS;
	}
	return UNWRAP_NONE;
}

/* 2021-11-21T20:54:23.486Z {...}: a line of CloudWatch's export to S3. */
static enum unwrap_kind skip_time(struct unwrap *u, struct view line, struct decoder *decoder, struct event *event)
{
	const char *space = line.len > TIME_MIN ? memchr(line.ptr, ' ', line.len < TIME_MAX ? line.len : TIME_MAX) : NULL;
	int64_t ignored;
	size_t end;
	if (!space || !clock_parse((struct view){ line.ptr, (size_t)(space - line.ptr) }, &ignored))
		return UNWRAP_NONE;
	struct view rest = { space + 1, line.len - (size_t)(space + 1 - line.ptr) };
	if (decode_line(decoder, rest, event, &end) == DECODE_OK)
		return UNWRAP_EVENT;
	if (!view_starts(rest, VIEW("AUDIT: "))) /* the apiserver's legacy format begins with a time too: line_diagnose names it */
		u->why = rows[sizeof rows / sizeof *rows - 1].why;
	return UNWRAP_NONE;
}

enum unwrap_kind unwrap_line(struct unwrap *u, struct view line, enum decode_result result, struct decoder *decoder,
	struct event *event)
{
	u->row = NULL;
	u->items = (struct text_walk){ 0 };
	u->item = (struct view){ 0 };
	u->why = NULL;
	u->entry.split = (struct log_entry_split){ 0 };
	if (result == DECODE_BAD)
		return skip_time(u, line, decoder, event);
	if (result != DECODE_NOT_EVENT || !event->bytes.len || event->kind.ptr)
		return UNWRAP_NONE;
	switch (log_entry_read(&u->entry, event)) {
	case LOG_ENTRY_EVENT:
		return UNWRAP_EVENT;
	case LOG_ENTRY_OTHER_SERVICE:
		u->why = "a Google Cloud audit log entry, but not of the Kubernetes API (serviceName k8s.io)";
		return UNWRAP_NONE;
	case LOG_ENTRY_OTHER_PAYLOAD:
		u->why = "a Google Cloud log entry, but no audit log (protoPayload of type AuditLog)";
		return UNWRAP_NONE;
	case LOG_ENTRY_NONE:
		break;
	}
	return find_texts(u, event->bytes);
}

/* A newline between the tokens of an event must not become the end of its line. */
static void flatten(char *bytes, size_t len)
{
	for (char *at = bytes; len && (at = memchr(at, '\n', len - (size_t)(at - bytes)));)
		*at = ' ';
}

static enum decode_result take_text(struct unwrap *u, struct view string, struct decoder *decoder, struct event *event)
{
	size_t end;
	buf_clear(&u->text);
	if (u->text.room > TEXT_BYTES_KEPT)
		buf_finish(&u->text);
	buf_reserve(&u->text, string.len);
	u->text.len = text_unescape((struct view){ string.ptr + 1, string.len - 2 }, u->text.ptr);
	enum decode_result result = decode_line(decoder, buf_view(&u->text), event, &end);
	if (result == DECODE_OK)
		flatten(u->text.ptr, u->text.len);
	return result;
}

bool unwrap_next(struct unwrap *u, struct decoder *decoder, struct view *ret_item, enum decode_result *ret_result, struct event *ret_event)
{
	struct text_member m;
	if (!u->row)
		return false;
	if (u->item.ptr) {
		*ret_item = u->item;
		u->item = (struct view){ 0 };
	} else if (u->row->list.ptr && text_walk_next(&u->items, &m)) {
		*ret_item = m.value;
	} else {
		return false;
	}
	struct view string = string_of(u->row, *ret_item);
	*ret_result = string.ptr ? take_text(u, string, decoder, ret_event) : DECODE_NOT_EVENT;
	u->why = *ret_result == DECODE_OK ? NULL : u->row->why;
	return true;
}

enum decode_result unwrap_decode(struct unwrap *u, struct decoder *decoder, struct view line, struct event *event, size_t *ret_end)
{
	enum decode_result result = decode_line(decoder, line, event, ret_end);
	if (result == DECODE_NOT_EVENT && event->bytes.len && log_entry_read(&u->entry, event) == LOG_ENTRY_EVENT)
		return DECODE_OK;
	return result;
}
