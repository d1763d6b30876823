#pragma once
/*
 * decode -- one pass over the bytes of an event: is it JSON, where does it end, and where are its fields.
 *
 * Grammar:   RFC 8259 exactly, values nested up to DECODE_DEPTH_MAX (Go's 10,000 for a body, and the event and list
 *            around it). Legal here though jansson and others refuse them, since the real apiserver writes them:
 *            invalid UTF-8 inside strings and lone surrogates (both flagged), \u0000, numbers of any length.
 *            A control byte inside a string, a NUL outside, a leading zero, a trailing comma are errors.
 * Cost:      no DOM, no recursion, one bit a level, and no allocation an event: scratch and lists belong to the
 *            decoder and grow with the longest event, to at most a small multiple of it (8, for arrays of empty texts);
 *            what a giant made grow is given back at the next call.
 * Vectors:   AVX2, SSE2, NEON or plain C, chosen once in decode_create (anything but DECODE_BEST is for tests).
 * Threads:   a decoder belongs to one thread at a time; any number may run side by side.
 */
#include <stddef.h>
#include <stdint.h>

#include "router/event/event.h"

enum { DECODE_DEPTH_MAX = 10010 };

enum decode_result {
	DECODE_OK,        /* a JSON object that is an audit event */
	DECODE_LIST,      /* a JSON object of kind EventList: call decode_list_next for its items */
	DECODE_NOT_EVENT, /* JSON, but not an audit event (kind is Event or absent, stage and verb are text) */
	DECODE_TRUNCATED, /* the bytes end inside the value */
	DECODE_BAD,       /* not JSON */
	DECODE_DEEP,      /* nested deeper than DECODE_DEPTH_MAX */
	DECODE_EMPTY,     /* nothing but white space */
};

enum decode_vectors { DECODE_BEST, DECODE_PLAIN, DECODE_SSE2, DECODE_AVX2, DECODE_NEON };

struct decoder;

/* NULL only when these vectors are not to be had on this machine; DECODE_BEST and DECODE_PLAIN always are. */
struct decoder *decode_create(enum decode_vectors);
void decode_destroy(struct decoder *); /* NULL is fine */
const char *decode_vectors_name(const struct decoder *);

/*
 * Decodes the first JSON value of `bytes`, after white space. `*ret_end` is the offset just past it (for the results
 * TRUNCATED, BAD and DEEP: where the trouble is). Only DECODE_OK fills all of *ret_event; NOT_EVENT fills what there
 * was. The bytes after the value are not looked at, a number at the very end of `bytes` counts as complete.
 * A value that is not an object is NOT_EVENT.
 */
enum decode_result decode_value(struct decoder *, struct view bytes, struct event *ret_event, size_t *ret_end);

/* As decode_value, but a newline is no white space: the value ends in the first line, or is none. */
enum decode_result decode_value_of_line(struct decoder *, struct view bytes, struct event *ret_event, size_t *ret_end);

/* As decode_value, and nothing but white space may follow: BAD otherwise, with *ret_end at the first such byte. */
enum decode_result decode_line(struct decoder *, struct view line, struct event *ret_event, size_t *ret_end);

/*
 * The items of the EventList that the last call found, in order. The whole list was validated by that call. True: the
 * next item is in *ret_item (its raw bytes); false: there is none. `*ret_api_version` is the list's, unescaped, and
 * valid until the decoder decodes again; decode the items with another decoder.
 */
struct list_items {
	struct view rest;        /* private: what is left of the array */
	struct view api_version;
};
void decode_list(const struct decoder *, struct list_items *ret_items);
bool decode_list_next(struct list_items *, struct view *ret_item);

/* For a message to the user: "truncated JSON", "not JSON", ... */
const char *decode_result_text(enum decode_result);
