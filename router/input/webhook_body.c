/* A byte machine over brackets and strings; what it keeps of a line in hand stands behind the whole lines of its chunk. */
#include "router/input/webhook_body.h"

#include <assert.h>
#include <stdio.h>

#include "router/input/webhook_scan.h"
#include "router/lane/chunk.h"

enum { CHUNK_START_BYTES = 64 * 1024, CHUNK_SLACK = 4096 };

void body_init(struct webhook_body *b, const struct body_options *options)
{
	*b = (struct webhook_body){ .options = *options };
}

void body_finish(struct webhook_body *b)
{
	chunk_release(b->chunk);
	b->chunk = NULL;
}

/* ---- the line in hand ---- */

static void give_on(struct webhook_body *b, struct chunk *chunk, uint64_t long_total)
{
	b->options.piece(b->options.context, chunk, long_total);
}

static size_t first_room(const struct webhook_body *b, size_t need)
{
	const struct body_options *o = &b->options;
	const bool first = !b->chunk && !b->lines;
	const uint64_t whole = o->expected ? o->expected + o->expected / 8 + CHUNK_SLACK : UINT64_MAX;
	size_t room = b->lines ? BODY_PIECE_BYTES : CHUNK_START_BYTES;
	if (whole < room)
		room = whole;
	else if (first && whole <= BODY_WHOLE_MAX && budget_used(o->budget) < o->plenty_bytes)
		for (room = BODY_PIECE_BYTES; room < whole;)
			room *= 2; /* of a size that chunks are kept in */
	return room < need ? need : room;
}

/* Room for so many more bytes: in a new chunk, to which the line in hand moves, or in a larger one for that line alone. */
static int make_room(struct webhook_body *b, size_t more)
{
	struct chunk *c = b->chunk, *fresh;
	if (c && c->room - c->len >= more)
		return 0;
	size_t in_hand = c ? c->len - b->whole : 0, need = in_hand + more;
	if (c && !b->whole) {
		size_t twice = c->room < BODY_PIECE_BYTES / 2 ? BODY_PIECE_BYTES : c->room * 2;
		return chunk_try_grow(c, need < twice ? twice : need);
	}
	int r = chunk_try(&fresh, b->options.budget, first_room(b, need));
	if (r < 0)
		return r;
	if (c) {
		memcpy(fresh->bytes, c->bytes + b->whole, in_hand);
		c->len = b->whole;
		give_on(b, c, 0);
	}
	fresh->len = in_hand;
	b->chunk = fresh;
	b->whole = 0;
	return 0;
}

static int append(struct webhook_body *b, struct view bytes)
{
	size_t in_hand = b->chunk ? b->chunk->len - b->whole : 0;
	if (b->long_total) {
		b->long_total += bytes.len;
		return 0;
	}
	uint64_t limit = b->options.line_max + b->prefix_len, head = BODY_HEAD_MAX + b->prefix_len;
	if (in_hand + bytes.len > limit) { /* of which the head is kept, the same whatever the pieces are */
		b->long_total = in_hand + bytes.len;
		head = head < limit ? head : limit;
		bytes.len = in_hand < head ? head - in_hand : 0;
	}
	if (!bytes.len)
		return 0;
	int r = make_room(b, bytes.len + 1); /* and its newline */
	if (r < 0)
		return r;
	memcpy(b->chunk->bytes + b->chunk->len, bytes.ptr, bytes.len);
	b->chunk->len += bytes.len;
	return 0;
}

/* The line in hand is too long: its head goes on alone, behind the lines before it. */
static int end_long(struct webhook_body *b, size_t gap)
{
	struct chunk *c = b->chunk, *head;
	const size_t in_hand = c ? c->len - b->whole - gap : 0, len = in_hand < BODY_HEAD_MAX ? in_hand : BODY_HEAD_MAX;
	int r = chunk_try(&head, b->options.budget, len + 1);
	if (r < 0)
		return r;
	if (len)
		memcpy(head->bytes, c->bytes + b->whole + gap, len);
	head->len = len;
	if (c) {
		c->len = b->whole;
		b->chunk = NULL;
		if (c->len)
			give_on(b, c, 0);
		else
			chunk_release(c);
	}
	b->whole = 0;
	b->lines++;
	give_on(b, head, b->long_total - gap);
	b->long_total = 0;
	return 0;
}

static int end_line(struct webhook_body *b)
{
	if (b->long_total)
		return end_long(b, 0);
	struct chunk *c = b->chunk;
	assert(c && c->len < c->room);
	for (char *at = c->bytes + b->whole; b->newline && (at = memchr(at, '\n', (size_t)(c->bytes + c->len - at)));)
		*at = ' ';
	c->bytes[c->len++] = '\n';
	b->whole = c->len;
	b->newline = false;
	b->lines++;
	return 0;
}

/* ---- items ---- */

static size_t item_gap(const struct webhook_body *b)
{
	return b->prefix_len - 1; /* the prefix stands for the item's own bracket too */
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Is there anything in the object? */
static bool has_member(struct view item)
{
	size_t i = 1;
	while (i < item.len && is_space(item.ptr[i]))
		i++;
	return i < item.len && item.ptr[i] != '}';
}

static int start_item(struct webhook_body *b)
{
	b->depth = 0;
	b->newline = false;
	b->maybe_kind = false;
	return append(b, (struct view){ b->prefix, item_gap(b) });
}

/* What line_complete_items() does to an item, with the room for it left in front. */
static int end_item(struct webhook_body *b)
{
	const size_t gap = item_gap(b);
	if (b->long_total)
		return end_long(b, gap);
	struct chunk *c = b->chunk;
	char *start = c->bytes + b->whole, *item = start + gap;
	const struct view whole = { item, (size_t)(c->bytes + c->len - item) };
	if (*item != '{' || (b->maybe_kind && item_has_kind(whole))) {
		memmove(start, item, c->len - b->whole - gap);
		c->len -= gap;
	} else if (has_member(whole)) {
		memcpy(start, b->prefix, b->prefix_len);
	} else {
		memcpy(start, b->prefix, gap);
		memmove(item, item + 1, (size_t)(c->bytes + c->len - item) - 1);
		c->len--;
	}
	return end_line(b);
}

/* ---- names and texts at the outermost level ---- */

static void name_add(struct webhook_body *b, const char *bytes, size_t len)
{
	if (b->depth != 1 || b->name_over)
		return;
	if (len > sizeof b->name - b->name_len) {
		b->name_over = true;
		return;
	}
	memcpy(b->name + b->name_len, bytes, len);
	b->name_len += (unsigned)len;
}

static bool name_is(const struct webhook_body *b, struct view text)
{
	return !b->name_over && view_eq((struct view){ b->name, b->name_len }, text);
}

static void take_api_version(struct webhook_body *b)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	memcpy(b->api_version, b->name, b->name_len);
	b->api_version[b->name_len] = 0;
	b->odd_api_version = b->name_over || strlen(b->api_version) != b->name_len ||
		strspn(b->api_version, plain) != b->name_len;
}

static void end_string(struct webhook_body *b)
{
	if (b->depth != 1)
		return;
	if (b->state == BODY_ITEM) {
		b->maybe_kind = b->maybe_kind || name_is(b, VIEW("kind"));
	} else if (b->keyed) {
		b->member = name_is(b, VIEW("kind")) ? MEMBER_KIND : name_is(b, VIEW("apiVersion")) ? MEMBER_API_VERSION :
			name_is(b, VIEW("items")) ? MEMBER_ITEMS : MEMBER_OTHER;
	} else if (b->member == MEMBER_KIND && b->state == BODY_VALUE) {
		b->is_list = name_is(b, VIEW("EventList"));
	} else if (b->member == MEMBER_API_VERSION && b->state == BODY_VALUE) {
		take_api_version(b);
	}
}

/* May the items that begin here be given on one by one? */
static bool can_stream(const struct webhook_body *b)
{
	if (b->depth != 1 || b->expect_key || b->member != MEMBER_ITEMS)
		return false;
	return b->state == BODY_TAIL ||
	       (b->state == BODY_VALUE && b->is_list && b->api_version[0] && !b->odd_api_version);
}

/* ---- the scanner ---- */

enum scan_result { SCAN_MORE, SCAN_END, SCAN_ITEMS, SCAN_NEWLINE };

/* Inside a string. SCAN_NEWLINE: *at stands behind a newline that no string may have. */
static enum scan_result scan_string(struct webhook_body *b, const char **at, const char *end)
{
	if (b->escaped) {
		b->escaped = false;
		if (**at != '\n')
			(*at)++;
	}
	const char *stop = string_stop(*at, end);
	name_add(b, *at, (size_t)(stop - *at));
	*at = stop;
	if (stop == end)
		return SCAN_MORE;
	(*at)++;
	if (*stop == '\n')
		return SCAN_NEWLINE;
	if (*stop == '\\') {
		b->escaped = true;
		b->name_over = true;
	} else {
		b->in_string = false;
		end_string(b);
	}
	return SCAN_MORE;
}

static enum scan_result scan_token(struct webhook_body *b, char byte)
{
	switch (byte) {
	case '"':
		b->in_string = true;
		b->keyed = b->depth == 1 && b->expect_key;
		b->name_len = 0;
		b->name_over = false;
		break;
	case '[':
		if (can_stream(b))
			return SCAN_ITEMS;
		b->depth++;
		break;
	case '{':
		b->depth++;
		if (b->depth == 1) {
			b->expect_key = true;
			b->member = MEMBER_OTHER;
		}
		break;
	case ']':
	case '}':
		if (b->depth && --b->depth == 0)
			return SCAN_END;
		break;
	case ',':
		b->expect_key = b->depth == 1 || b->expect_key;
		break;
	case ':':
		b->expect_key = b->depth != 1 && b->expect_key;
		break;
	case '\n':
		b->newline = true;
		break;
	default:
		break;
	}
	return SCAN_MORE;
}

/* As scan(), for an item: whole blocks at once, and byte by byte what they leave. */
static enum scan_result scan_item(struct webhook_body *b, struct view *rest, struct view *ret_seen)
{
	const char *at = rest->ptr, *end = at + rest->len;
	enum scan_result result = SCAN_MORE;
	bool ended = false;
	while (at < end && result == SCAN_MORE) {
		struct item_scan s = { b->depth, b->in_string, b->escaped, b->newline, b->maybe_kind };
		if (end - at >= ITEM_BLOCK)
			at += item_scan(&s, at, (size_t)(end - at), &ended);
		b->depth = s.depth, b->in_string = s.in_string, b->escaped = s.escaped;
		b->newline = s.newline, b->maybe_kind = s.maybe_kind;
		if (ended)
			result = SCAN_END;
		for (const char *stop = end - at < ITEM_BLOCK ? end : at + ITEM_BLOCK; at < stop && result == SCAN_MORE;)
			result = b->in_string ? scan_string(b, &at, stop) : scan_token(b, *at++);
	}
	*ret_seen = (struct view){ rest->ptr, (size_t)(at - rest->ptr) };
	*rest = (struct view){ at, (size_t)(end - at) };
	return result;
}

/* Up to the end of the value in hand, or to where its items begin. Consumes what it looked at. */
static enum scan_result scan(struct webhook_body *b, struct view *rest, struct view *ret_seen)
{
	const char *at = rest->ptr, *end = at + rest->len;
	enum scan_result result = SCAN_MORE;
	while (at < end && result == SCAN_MORE)
		result = b->in_string ? scan_string(b, &at, end) : scan_token(b, *at++);
	*ret_seen = (struct view){ rest->ptr, (size_t)(at - rest->ptr) };
	*rest = (struct view){ at, (size_t)(end - at) };
	return result;
}

/* ---- the states ---- */

static void skip(struct view *rest, bool commas)
{
	while (rest->len && (is_space(*rest->ptr) || (commas && *rest->ptr == ','))) {
		rest->ptr++;
		rest->len--;
	}
}

static void start_value(struct webhook_body *b)
{
	b->state = BODY_VALUE;
	b->depth = 0;
	b->newline = false;
	b->is_list = false;
	b->api_version[0] = 0;
	b->odd_api_version = false;
	b->prefix_len = 0;
}

static int do_start(struct webhook_body *b, struct view *rest)
{
	skip(rest, false);
	b->prefix_len = 0;
	b->newline = false;
	if (!rest->len)
		return 0;
	if (*rest->ptr == '{')
		start_value(b);
	else
		b->state = BODY_LINE;
	return 0;
}

/* The list's head is gone from here on; what items need of it is in the prefix. */
static void start_items(struct webhook_body *b)
{
	b->state = BODY_ITEMS;
	b->lists++;
	b->long_total = 0;
	if (b->chunk)
		b->chunk->len = b->whole;
	int len = snprintf(b->prefix, sizeof b->prefix, "{\"kind\":\"Event\",\"apiVersion\":\"%s\",", b->api_version);
	assert(len > 0 && (size_t)len < sizeof b->prefix);
	b->prefix_len = (size_t)len;
}

/* A newline inside a string is an error that flattening would hide: it becomes another byte that is one. */
static int append_seen(struct webhook_body *b, struct view seen, enum scan_result result)
{
	if (result != SCAN_NEWLINE)
		return append(b, seen);
	int r = append(b, (struct view){ seen.ptr, seen.len - 1 });
	return r < 0 ? r : append(b, VIEW("\r"));
}

static int do_value(struct webhook_body *b, struct view *rest)
{
	struct view seen;
	enum scan_result result = scan(b, rest, &seen);
	int r = append_seen(b, seen, result);
	if (r < 0)
		return r;
	if (result == SCAN_ITEMS) {
		start_items(b);
	} else if (result == SCAN_END) {
		r = end_line(b);
		b->state = BODY_START;
	}
	return r;
}

static int do_item(struct webhook_body *b, struct view *rest)
{
	struct view seen;
	enum scan_result result = scan_item(b, rest, &seen);
	int r = append_seen(b, seen, result);
	if (r == 0 && result == SCAN_END) {
		r = end_item(b);
		b->state = BODY_ITEMS;
	}
	return r;
}

static int do_items(struct webhook_body *b, struct view *rest)
{
	skip(rest, true);
	if (!rest->len)
		return 0;
	switch (*rest->ptr) {
	case ']':
		rest->ptr++;
		rest->len--;
		b->state = BODY_TAIL;
		b->depth = 1;
		b->expect_key = false;
		b->member = MEMBER_OTHER;
		return 0;
	case '}':
		b->state = BODY_REST;
		b->prefix_len = 0;
		return 0;
	case '{':
	case '[':
		b->state = BODY_ITEM;
		return start_item(b);
	default:
		b->state = BODY_SCALAR;
		return start_item(b);
	}
}

static int do_scalar(struct webhook_body *b, struct view *rest)
{
	size_t n = 0;
	for (; n < rest->len; n++) {
		char c = rest->ptr[n];
		if (c == '\n' || (!b->in_string && (is_space(c) || c == ',' || c == ']' || c == '}')))
			break;
		if (c == '"' && !b->escaped)
			b->in_string = !b->in_string;
		b->escaped = b->in_string && c == '\\' && !b->escaped;
	}
	int r = append(b, (struct view){ rest->ptr, n });
	bool ended = n < rest->len;
	rest->ptr += n;
	rest->len -= n;
	if (r == 0 && ended) {
		b->in_string = b->escaped = false;
		r = end_item(b);
		b->state = BODY_ITEMS;
	}
	return r;
}

static void do_tail(struct webhook_body *b, struct view *rest)
{
	struct view seen;
	enum scan_result result = scan(b, rest, &seen);
	if (result == SCAN_ITEMS)
		b->state = BODY_ITEMS;
	else if (result == SCAN_END)
		b->state = BODY_START;
}

static int do_line(struct webhook_body *b, struct view *rest)
{
	const char *newline = memchr(rest->ptr, '\n', rest->len);
	size_t n = newline ? (size_t)(newline - rest->ptr) : rest->len;
	int r = append(b, (struct view){ rest->ptr, n });
	rest->ptr += n;
	rest->len -= n;
	if (r == 0 && newline) {
		r = end_line(b);
		b->state = BODY_START;
	}
	return r;
}

/* Kept up to what a dead letter shows. */
static int do_rest(struct webhook_body *b, struct view *rest)
{
	size_t in_hand = b->chunk ? b->chunk->len - b->whole : 0;
	size_t n = in_hand < BODY_HEAD_MAX ? BODY_HEAD_MAX - in_hand : 0;
	n = n < rest->len ? n : rest->len;
	b->newline = true;
	int r = append(b, (struct view){ rest->ptr, n });
	rest->len = 0;
	return r;
}

int body_add(struct webhook_body *b, struct view rest)
{
	int r = 0;
	while (r == 0 && rest.len) {
		switch (b->state) {
		case BODY_START:
			r = do_start(b, &rest);
			break;
		case BODY_VALUE:
			r = do_value(b, &rest);
			break;
		case BODY_ITEMS:
			r = do_items(b, &rest);
			break;
		case BODY_ITEM:
			r = do_item(b, &rest);
			break;
		case BODY_SCALAR:
			r = do_scalar(b, &rest);
			break;
		case BODY_TAIL:
			do_tail(b, &rest);
			break;
		case BODY_LINE:
			r = do_line(b, &rest);
			break;
		case BODY_REST:
			r = do_rest(b, &rest);
			break;
		}
	}
	return r;
}

static int last_line(struct webhook_body *b)
{
	switch (b->state) {
	case BODY_VALUE:
	case BODY_LINE:
	case BODY_REST:
		return end_line(b);
	case BODY_ITEM:
	case BODY_SCALAR:
		return end_item(b);
	case BODY_ITEMS: {
		/* A list that ends between two items, or before the first: something must say that more was to come. */
		int r = append(b, VIEW("{\"kind\":\"EventList\",\"items\":["));
		return r < 0 ? r : end_line(b);
	}
	case BODY_START:
	case BODY_TAIL:
		break;
	}
	return 0;
}

int body_end(struct webhook_body *b)
{
	int r = last_line(b);
	if (r < 0)
		return r;
	struct chunk *c = b->chunk;
	b->chunk = NULL;
	if (c && b->whole) {
		c->len = b->whole;
		give_on(b, c, 0);
	} else {
		chunk_release(c);
	}
	b->whole = 0;
	b->state = BODY_START;
	return 0;
}
