#include "router/event/line.h"

#include <stdio.h>

#include "router/event/text.h"

bool line_next(struct view *rest, struct view *ret_line)
{
	if (!rest->len)
		return false;
	const char *newline = memchr(rest->ptr, '\n', rest->len);
	size_t len = newline ? (size_t)(newline - rest->ptr) : rest->len;
	size_t used = newline ? len + 1 : len;
	*ret_line = (struct view){ rest->ptr, len };
	rest->ptr += used;
	rest->len -= used;
	return true;
}

/* Where the line is an event, or a list, behind zero bytes: it without them. */
static bool decode_behind_zeros(struct decoder *d, struct view *line, struct event *event, size_t *ret_end, enum decode_result *ret)
{
	struct view rest = *line;
	while (rest.len && !*rest.ptr)
		rest = (struct view){ rest.ptr + 1, rest.len - 1 };
	if (rest.len == line->len)
		return false;
	*ret = decode_line(d, rest, event, ret_end);
	if (*ret != DECODE_OK && *ret != DECODE_LIST)
		return false;
	*line = rest;
	return true;
}

enum decode_result line_decode(struct decoder *d, struct view *rest, struct view *ret_line, struct event *event, size_t *ret_end)
{
	enum decode_result result = decode_value_of_line(d, *rest, event, ret_end);
	const size_t len = *ret_end;
	const bool good = result == DECODE_OK || result == DECODE_NOT_EVENT || result == DECODE_LIST;
	if (!good || len == rest->len || rest->ptr[len] != '\n') {
		(void)line_next(rest, ret_line);
		if (decode_behind_zeros(d, ret_line, event, ret_end, &result))
			return result;
		return decode_line(d, *ret_line, event, ret_end);
	}
	*ret_line = (struct view){ rest->ptr, len };
	rest->ptr += len + 1;
	rest->len -= len + 1;
	return result;
}

static void complete_item(struct view item, struct view api_version, struct buf *out)
{
	buf_add_view(out, VIEW("{\"kind\":\"Event\""));
	if (api_version.ptr) {
		buf_add_view(out, VIEW(",\"apiVersion\":"));
		text_add_quoted(out, api_version);
	}
	struct text_walk members = text_walk_start(item);
	struct text_member first;
	if (text_walk_next(&members, &first))
		buf_add_byte(out, ',');
	buf_add(out, item.ptr + 1, item.len - 1);
}

/* A newline is white space between an item's tokens; as the end of a line it must not stay. */
static void flatten(char *bytes, size_t len)
{
	for (char *at = bytes; (at = memchr(at, '\n', len - (size_t)(at - bytes)));)
		*at = ' ';
}

void line_complete_items(struct list_items *items, struct decoder *item_decoder, struct buf *out)
{
	struct view item;
	while (decode_list_next(items, &item)) {
		struct event e;
		size_t end, start = out->len;
		enum decode_result result = decode_line(item_decoder, item, &e, &end);
		bool object = item.len && item.ptr[0] == '{';
		if (object && !e.kind.ptr && (result == DECODE_OK || result == DECODE_NOT_EVENT))
			complete_item(item, items->api_version, out);
		else
			buf_add_view(out, item);
		flatten(out->ptr + start, out->len - start);
		buf_add_byte(out, '\n');
	}
}

static bool has(struct view line, struct view text)
{
	return memmem(line.ptr, line.len, text.ptr, text.len) != NULL;
}

/* A line that is a piece of a JSON text printed over many lines: `{`, `}`, `],` or `  "key": value,`. */
static bool is_pretty_piece(struct view line)
{
	size_t i = 0;
	while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
		i++;
	while (line.len > i && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len - i <= 2 && i < line.len)
		return strchr("{}[],", line.ptr[i]) != NULL;
	return i > 0 && i < line.len && line.ptr[i] == '"' && has(line, VIEW("\": "));
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
		at++;
	return at;
}

/* One whole object, and at `at` another begins: Firehose's documents, or `jq -j`. */
static bool is_side_by_side(struct view line, size_t at)
{
	const char *trouble = line.ptr + at, *end = line.ptr + line.len, *begin = skip_blanks(line.ptr, end);
	if (at >= line.len || *trouble != '{' || *begin != '{' || begin == trouble)
		return false;
	return skip_blanks(text_skip(begin, end), trouble) == trouble;
}

static bool is_utf16(struct view line)
{
	if (line.len >= 2 && (memcmp(line.ptr, "\xff\xfe", 2) == 0 || memcmp(line.ptr, "\xfe\xff", 2) == 0))
		return true;
	return line.len >= 4 && ((line.ptr[0] == '{' && !line.ptr[1] && line.ptr[2] == '"' && !line.ptr[3]) ||
		(!line.ptr[0] && line.ptr[1] == '{' && !line.ptr[2] && line.ptr[3] == '"'));
}

static const char *say(char *reason, const char *sentence, const char *code)
{
	(void)snprintf(reason, LINE_REASON_ROOM, "%s", sentence);
	return code;
}

const char *line_diagnose(struct view line, enum decode_result result, size_t at, const char *why, char *reason)
{
	if (why)
		return say(reason, why, "not_an_event");
	if (result == DECODE_NOT_EVENT)
		return say(reason, "JSON, but not an audit event (kind Event or none, stage and verb as text)",
			"not_an_event");
	if (is_utf16(line))
		return say(reason, "UTF-16: audit logs are UTF-8", "not_json");
	if (has(line, VIEW(" AUDIT: id=\"")))
		return say(reason, "the apiserver's legacy format: set --audit-log-format=json", "not_json");
	if (line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0)
		return say(reason, "a byte order mark stands before the event", "not_json");
	if (is_pretty_piece(line))
		return say(reason, "pretty-printed JSON: an event must be on one line (jq -c . makes it so)", "not_json");
	if (result == DECODE_BAD && is_side_by_side(line, at))
		return say(reason, "several JSON objects on one line: each must be on a line of its own (jq -c . makes it so)",
			"not_json");
	(void)snprintf(reason, LINE_REASON_ROOM, "%s, at byte %zu", decode_result_text(result), at + 1);
	return result == DECODE_DEEP ? "too_deep" : "not_json";
}
