#include "router/event/scan_fields.h"

#include <assert.h>

#include "router/event/text.h"

#define AT(kind_, member) { .kind = (kind_), .offset = offsetof(struct event, member) }
#define IN(kind_, struct_, member) { .kind = (kind_), .offset = offsetof(struct struct_, member) }
#define OBJECT(object_, member)                                                                                        \
	{ .kind = FIELD_OBJECT, .object = (object_), .offset = offsetof(struct event, member),                         \
	  .size = sizeof(((struct event *)0)->member) }

const struct scan_field_row scan_fields[SCAN_FIELDS] = {
	[KIND] = AT(FIELD_TEXT, kind),
	[API_VERSION] = AT(FIELD_TEXT, api_version),
	[LEVEL] = AT(FIELD_TEXT, level_text),
	[AUDIT_ID] = AT(FIELD_TEXT, audit_id),
	[STAGE] = AT(FIELD_TEXT, stage_text),
	[REQUEST_URI] = AT(FIELD_TEXT, request_uri),
	[VERB] = AT(FIELD_TEXT, verb),
	[USER] = OBJECT(SCAN_USER, user),
	[IMPERSONATED_USER] = OBJECT(SCAN_USER, impersonated_user),
	[SOURCE_IPS] = AT(FIELD_TEXTS, n_source_ips),
	[USER_AGENT] = AT(FIELD_TEXT, user_agent),
	[OBJECT_REF] = OBJECT(SCAN_OBJECT_REF, object_ref),
	[RESPONSE_STATUS] = OBJECT(SCAN_STATUS, response_status),
	[REQUEST_RECEIVED] = AT(FIELD_TEXT, request_received),
	[STAGE_TIMESTAMP] = AT(FIELD_TEXT, stage_timestamp),
	[REQUEST_OBJECT] = AT(FIELD_RAW, request_object),
	[RESPONSE_OBJECT] = AT(FIELD_RAW, response_object),
	[ANNOTATIONS] = AT(FIELD_RAW, annotations),
	[AUTHENTICATION_METADATA] = AT(FIELD_RAW, authentication_metadata),
	[ITEMS] = { .kind = FIELD_ITEMS },
	[USER_USERNAME] = IN(FIELD_TEXT, event_user, username),
	[USER_UID] = IN(FIELD_TEXT, event_user, uid),
	[USER_GROUPS] = IN(FIELD_TEXTS, event_user, n_groups),
	[USER_EXTRA] = IN(FIELD_RAW_OBJECT, event_user, extra),
	[REF_RESOURCE] = IN(FIELD_TEXT, event_object_ref, resource),
	[REF_NAMESPACE] = IN(FIELD_TEXT, event_object_ref, namespace_),
	[REF_NAME] = IN(FIELD_TEXT, event_object_ref, name),
	[REF_UID] = IN(FIELD_TEXT, event_object_ref, uid),
	[REF_API_GROUP] = IN(FIELD_TEXT, event_object_ref, api_group),
	[REF_API_VERSION] = IN(FIELD_TEXT, event_object_ref, api_version),
	[REF_RESOURCE_VERSION] = IN(FIELD_TEXT, event_object_ref, resource_version),
	[REF_SUBRESOURCE] = IN(FIELD_TEXT, event_object_ref, subresource),
	[STATUS_STATUS] = IN(FIELD_TEXT, event_status, status),
	[STATUS_MESSAGE] = IN(FIELD_TEXT, event_status, message),
	[STATUS_REASON] = IN(FIELD_TEXT, event_status, reason),
	[STATUS_CODE] = IN(FIELD_INT32, event_status, code),
};

/* The scanner sets `present` of all three alike. */
static_assert(offsetof(struct event_user, present) == 0, "present comes first");
static_assert(offsetof(struct event_object_ref, present) == 0, "present comes first");
static_assert(offsetof(struct event_status, present) == 0, "present comes first");

enum scan_field scan_field_find_escaped(enum scan_object object, struct view raw)
{
	enum { KEY_MAX = 24 }; /* requestReceivedTimestamp */
	char key[6 * KEY_MAX];
	if (raw.len > sizeof key)
		return NO_FIELD;
	return scan_field_find(object, key, text_unescape(raw, key));
}
