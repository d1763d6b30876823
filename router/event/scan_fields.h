#pragma once
/*
 * scan_fields -- private to decode: the keys of an event that the scanner knows, and where in struct event their values go.
 *
 * To add a field: a name in enum scan_field, in the order in which the apiserver writes them, and a row in scan_fields.
 */
#include <stdint.h>

#include "router/base/view.h"
#include "router/event/scan.h"

enum scan_field_kind {
	FIELD_SKIP,       /* validated, not kept */
	FIELD_TEXT,
	FIELD_RAW,        /* any value */
	FIELD_RAW_OBJECT, /* an object's value */
	FIELD_TEXTS,      /* an array of text; offset is that of the count */
	FIELD_INT32,
	FIELD_OBJECT,     /* an object whose keys are looked at; begins with `bool present` */
	FIELD_ITEMS,      /* of an EventList */
};

enum { SCAN_KEY_MAX = 32 };

struct scan_field_row {
	char key[SCAN_KEY_MAX + 1]; /* as it is written behind another: comma, quotes, colon, no space; a text's quote */
	uint8_t key_len, name_len;
	uint8_t kind;           /* enum scan_field_kind */
	uint8_t object;         /* enum scan_object of a FIELD_OBJECT */
	uint16_t offset;        /* in struct event, or in the object's struct */
	uint16_t size;          /* of the struct of a FIELD_OBJECT */
};

extern const struct scan_field_row scan_fields[SCAN_FIELDS];
/* From SCAN_KEY_MAX - n on: n bytes of ones, then zeros. */
extern const char scan_key_mask[2 * SCAN_KEY_MAX];
/* The fields of each object are neighbours. */
extern const struct scan_fields_of {
	uint8_t first, last;
} scan_fields_of[SCAN_OBJECTS];

/* The field of a raw key, or NO_FIELD. */
enum scan_field scan_field_find(enum scan_object, struct view raw_key);
