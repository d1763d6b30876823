#pragma once
/*
 * scan -- private to decode: what decode.c and the scanners share.
 *
 * scan_pass.inc is the one scanner. Each scan_KIND.c gives it a way to look at a block of bytes at once and compiles it for
 * its instructions, so that nothing in the loop is called through a pointer.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/event.h"

/* Arrays of text that an event holds. */
enum scan_list { SCAN_GROUPS, SCAN_IMPERSONATED_GROUPS, SCAN_SOURCE_IPS, SCAN_LISTS };

/* Objects whose keys are looked at. */
enum scan_object { SCAN_EVENT, SCAN_USER, SCAN_OBJECT_REF, SCAN_STATUS, SCAN_OBJECTS };

/* What those keys are; scan_fields.h says more. In the order of the apiserver, object by object. */
enum scan_field {
	NO_FIELD,
	KIND,
	API_VERSION,
	LEVEL,
	AUDIT_ID,
	STAGE,
	REQUEST_URI,
	VERB,
	USER,
	IMPERSONATED_USER,
	AUTHENTICATION_METADATA,
	SOURCE_IPS,
	USER_AGENT,
	OBJECT_REF,
	RESPONSE_STATUS,
	REQUEST_OBJECT,
	RESPONSE_OBJECT,
	REQUEST_RECEIVED,
	STAGE_TIMESTAMP,
	ANNOTATIONS,
	ITEMS,
	USER_USERNAME,
	USER_UID,
	USER_GROUPS,
	USER_EXTRA,
	REF_RESOURCE,
	REF_NAMESPACE,
	REF_NAME,
	REF_UID,
	REF_API_GROUP,
	REF_API_VERSION,
	REF_RESOURCE_VERSION,
	REF_SUBRESOURCE,
	STATUS_METADATA,
	STATUS_STATUS,
	STATUS_MESSAGE,
	STATUS_REASON,
	STATUS_DETAILS,
	STATUS_CODE,
	SCAN_FIELDS
};

/* Bytes whose stops are found together: a bit each. */
enum { WINDOW = 64 };

struct scan_texts {
	struct view *list;
	uint32_t n, room;
};

struct decoder {
	const struct scan_kind *kind;
	struct scan_texts texts[SCAN_LISTS];
	struct buf scratch;     /* unescaped text of the event */
	struct view items;      /* of the EventList found last: the array */
	struct view items_api_version;

	/*
	 * Which field came last time as the first of an object, and after a field: most likely it comes again. A guess, that
	 * the scanner makes sure of.
	 */
	uint8_t guess_first[SCAN_OBJECTS], guess_after[SCAN_FIELDS];

	/* Of the running pass. */
	const char *begin, *end;
	const char *window;     /* bytes that are looked at together, and */
	uint64_t stops;         /* which of them are not plain bytes of a string */
	const char *trouble;    /* where, once result is set */
	enum decode_result result;
	unsigned flags;         /* enum event_flag */
	bool one_line;          /* a newline is no white space, but ends the bytes */
	uint64_t repeated;      /* bits 1 << enum scan_field: keys that the event has twice */
	size_t escaped_bytes;   /* the raw texts that have escapes and may be fields of the event */
	uint64_t levels[DECODE_DEPTH_MAX / 64 + 1]; /* a bit for each open container: is it an object? */
};

/*
 * Runs over the value at `at` (no white space, not the end) of d->begin..d->end. Returns its end, or NULL with
 * d->result and d->trouble set. Texts of the event are raw still: scan_escaped_text of their len says which have escapes.
 */
struct scan_kind {
	const char *name;
	const char *(*pass)(struct decoder *, const char *at, struct event *);
};

extern const struct scan_kind scan_plain;
#if defined(__x86_64__)
extern const struct scan_kind scan_sse2, scan_avx2;
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
extern const struct scan_kind scan_neon;
#endif

/* Marks the len of a view whose bytes are to be unescaped once the event is whole. */
static const size_t SCAN_ESCAPED = SIZE_MAX / 2 + 1;

/* What belongs at `at` is missing: the value is bad, or, at the end of the bytes, cut. Returns NULL. */
const char *scan_trouble(struct decoder *, const char *at);
const char *scan_deep(struct decoder *, const char *at);
/*
 * Constants of the vectors, kept in memory on purpose: compilers would else make them anew in registers for every string,
 * which costs more than the comparisons.
 */
extern const struct scan_bytes {
	char quotes[32], backslashes[32], spaces[32];
} scan_bytes;
/* The letters that are an escape behind a backslash, without the u. */
extern const bool scan_short_escapes[256];
/*
 * The escape at `at` (a backslash): returns its bytes (2, 6, or 12 for a surrogate pair), or 0 after scan_trouble.
 * Flags lone surrogates, and letters and digits.
 */
size_t scan_escape(struct decoder *, const char *at);
/* The end of the number at `at` (a digit or a minus), or NULL after scan_trouble. */
const char *scan_number(struct decoder *, const char *at);
/* The end of true, false or null, or NULL after scan_trouble. */
const char *scan_word(struct decoder *, const char *at);
/* The first byte from `at` on that is no white space, or the end. */
const char *scan_space(const struct decoder *, const char *at);
void scan_add_text(struct scan_texts *, struct view);
/* The number as an integer of 32 bits, or 0. */
int32_t scan_int32(struct view number);
