#pragma once
/*
 * scan_fields -- private to decode: the keys of an event that the scanner keeps, and where in struct event they go.
 *
 * To add a field: a row in scan_fields, and its name in the function that finds the keys of its object.
 */
#include <stdint.h>
#include <string.h>

#include "router/base/view.h"
#include "router/event/scan.h"

/* Objects whose keys are looked at. */
enum scan_object { SCAN_EVENT, SCAN_USER, SCAN_OBJECT_REF, SCAN_STATUS };

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
	SOURCE_IPS,
	USER_AGENT,
	OBJECT_REF,
	RESPONSE_STATUS,
	REQUEST_RECEIVED,
	STAGE_TIMESTAMP,
	REQUEST_OBJECT,
	RESPONSE_OBJECT,
	ANNOTATIONS,
	AUTHENTICATION_METADATA,
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
	STATUS_STATUS,
	STATUS_MESSAGE,
	STATUS_REASON,
	STATUS_CODE,
	SCAN_FIELDS
};

struct scan_field_row {
	uint8_t kind;    /* enum scan_field_kind */
	uint8_t object;  /* enum scan_object of a FIELD_OBJECT */
	uint16_t offset; /* in struct event, or in the object's struct */
	uint16_t size;   /* of the struct of a FIELD_OBJECT */
};

extern const struct scan_field_row scan_fields[SCAN_FIELDS];

/* The field of a key without escapes. */
static inline enum scan_field scan_field_find(enum scan_object object, const char *key, size_t len);
/* The same for a raw key that has escapes. */
enum scan_field scan_field_find_escaped(enum scan_object, struct view raw);

#define KEY_IS(name) (memcmp(key, name, sizeof(name) - 1) == 0)

static inline enum scan_field scan_event_field(const char *key, size_t len)
{
	switch (len) {
	case 4:
		return KEY_IS("user") ? USER : KEY_IS("verb") ? VERB : KEY_IS("kind") ? KIND : NO_FIELD;
	case 5:
		return KEY_IS("level") ? LEVEL : KEY_IS("stage") ? STAGE : KEY_IS("items") ? ITEMS : NO_FIELD;
	case 7:
		return KEY_IS("auditID") ? AUDIT_ID : NO_FIELD;
	case 9:
		return KEY_IS("sourceIPs")   ? SOURCE_IPS
			: KEY_IS("userAgent") ? USER_AGENT
			: KEY_IS("objectRef") ? OBJECT_REF
					      : NO_FIELD;
	case 10:
		return KEY_IS("requestURI") ? REQUEST_URI : KEY_IS("apiVersion") ? API_VERSION : NO_FIELD;
	case 11:
		return KEY_IS("annotations") ? ANNOTATIONS : NO_FIELD;
	case 13:
		return KEY_IS("requestObject") ? REQUEST_OBJECT : NO_FIELD;
	case 14:
		return KEY_IS("responseStatus")    ? RESPONSE_STATUS
			: KEY_IS("stageTimestamp") ? STAGE_TIMESTAMP
			: KEY_IS("responseObject") ? RESPONSE_OBJECT
						   : NO_FIELD;
	case 16:
		return KEY_IS("impersonatedUser") ? IMPERSONATED_USER : NO_FIELD;
	case 22:
		return KEY_IS("authenticationMetadata") ? AUTHENTICATION_METADATA : NO_FIELD;
	case 24:
		return KEY_IS("requestReceivedTimestamp") ? REQUEST_RECEIVED : NO_FIELD;
	default:
		return NO_FIELD;
	}
}

static inline enum scan_field scan_user_field(const char *key, size_t len)
{
	switch (len) {
	case 3:
		return KEY_IS("uid") ? USER_UID : NO_FIELD;
	case 5:
		return KEY_IS("extra") ? USER_EXTRA : NO_FIELD;
	case 6:
		return KEY_IS("groups") ? USER_GROUPS : NO_FIELD;
	case 8:
		return KEY_IS("username") ? USER_USERNAME : NO_FIELD;
	default:
		return NO_FIELD;
	}
}

static inline enum scan_field scan_object_ref_field(const char *key, size_t len)
{
	switch (len) {
	case 3:
		return KEY_IS("uid") ? REF_UID : NO_FIELD;
	case 4:
		return KEY_IS("name") ? REF_NAME : NO_FIELD;
	case 8:
		return KEY_IS("resource") ? REF_RESOURCE : KEY_IS("apiGroup") ? REF_API_GROUP : NO_FIELD;
	case 9:
		return KEY_IS("namespace") ? REF_NAMESPACE : NO_FIELD;
	case 10:
		return KEY_IS("apiVersion") ? REF_API_VERSION : NO_FIELD;
	case 11:
		return KEY_IS("subresource") ? REF_SUBRESOURCE : NO_FIELD;
	case 15:
		return KEY_IS("resourceVersion") ? REF_RESOURCE_VERSION : NO_FIELD;
	default:
		return NO_FIELD;
	}
}

static inline enum scan_field scan_status_field(const char *key, size_t len)
{
	switch (len) {
	case 4:
		return KEY_IS("code") ? STATUS_CODE : NO_FIELD;
	case 6:
		return KEY_IS("status") ? STATUS_STATUS : KEY_IS("reason") ? STATUS_REASON : NO_FIELD;
	case 7:
		return KEY_IS("message") ? STATUS_MESSAGE : NO_FIELD;
	default:
		return NO_FIELD;
	}
}

#undef KEY_IS

static inline enum scan_field scan_field_find(enum scan_object object, const char *key, size_t len)
{
	switch (object) {
	case SCAN_EVENT:
		return scan_event_field(key, len);
	case SCAN_USER:
		return scan_user_field(key, len);
	case SCAN_OBJECT_REF:
		return scan_object_ref_field(key, len);
	case SCAN_STATUS:
		return scan_status_field(key, len);
	}
	return NO_FIELD;
}
