#pragma once
/*
 * webhook_body -- a posted body as it arrives, cut in lines: each item of an EventList completed to the line that the log
 * back end would have written, a single Event or one of several lines as it is.
 *
 * An item is given on as soon as it is whole, so that memory holds a piece of the list and never the list. Kind and
 * apiVersion come in front of `items` from every apiserver; a list that has them elsewhere, or escaped, is collected as one
 * value and given on as one line, which the router takes apart itself. Only brackets and strings are looked at here: whether
 * an item is JSON at all says the decoder, line by line.
 *
 * Memory:  pieces are chunks of the budget, never waited for: -EAGAIN where it has no room.
 * Threads: one owner at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/view.h"

struct budget;
struct chunk;

enum { BODY_PIECE_BYTES = 256 * 1024, BODY_WHOLE_MAX = 1024 * 1024, BODY_HEAD_MAX = 64 * 1024, BODY_NAME_MAX = 64 };

struct body_options {
	struct budget *budget;
	uint64_t line_max;     /* max_event_bytes: a longer one costs itself alone */
	uint64_t expected;     /* Content-Length, 0: unknown */
	/* While less of the budget is in use, a body of up to BODY_WHOLE_MAX gets one chunk at once; else it must grow into it. */
	uint64_t plenty_bytes;
	/*
	 * Takes the chunk over: whole lines; or where `long_total` is not 0 the first BODY_HEAD_MAX bytes of a line of so many.
	 */
	void (*piece)(void *context, struct chunk *, uint64_t long_total);
	void *context;
};

struct webhook_body {
	struct body_options options;
	enum body_state {
		BODY_START,   /* between values */
		BODY_VALUE,   /* in an object that is kept: a single event, or a list up to its items */
		BODY_ITEMS,   /* in the array of items, between two */
		BODY_ITEM,    /* in an item that is an object or array */
		BODY_SCALAR,  /* in an item that is neither */
		BODY_TAIL,    /* in the list's object, behind its items */
		BODY_LINE,    /* in what is no object: up to the end of the line */
		BODY_REST,    /* behind what can be no list any more: up to the end */
	} state;
	struct chunk *chunk;   /* whole lines up to `whole`, then the one in hand */
	size_t whole;
	uint64_t lines;        /* given on or ready to be */
	uint64_t lists;        /* whose items are given on one by one */
	uint64_t long_total;   /* of the line in hand: 0, or it is too long and this is its length so far */

	/* Where the scanner is in the value in hand. */
	bool in_string, escaped;
	unsigned depth;        /* open brackets */
	bool newline;          /* the line in hand has one between its tokens */

	/* The members of the outermost object in hand: the last string at its own level, and what it is. */
	bool keyed;            /* the string in hand, or the last one, is a key */
	bool expect_key;
	bool name_over;        /* too long or escaped: compares with nothing */
	char name[BODY_NAME_MAX];
	unsigned name_len;
	enum { MEMBER_OTHER, MEMBER_KIND, MEMBER_API_VERSION, MEMBER_ITEMS } member;

	bool is_list;          /* kind EventList was seen */
	bool maybe_kind;       /* the item in hand may have a kind of its own */
	char api_version[BODY_NAME_MAX + 1];
	bool odd_api_version;
	char prefix[2 * BODY_NAME_MAX]; /* what an item gets instead of its { */
	size_t prefix_len;
};

void body_init(struct webhook_body *, const struct body_options *);
void body_finish(struct webhook_body *); /* what was not given on is gone */
/* -EAGAIN: no room in the budget; -ESHUTDOWN: it was stopped. Then only body_finish may follow. */
int body_add(struct webhook_body *, struct view bytes);
/* The body is whole: gives on what is left, a cut item too. As body_add. */
int body_end(struct webhook_body *);
