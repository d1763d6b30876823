#include "router/event/scan_fields.h"

#include <assert.h>

#include "router/event/text.h"

#define KEY(name)                 .key = ",\"" name "\":", .key_len = sizeof(name) + 3, .name_len = sizeof(name) - 1
#define TEXT_KEY(name)            .key = ",\"" name "\":\"", .key_len = sizeof(name) + 4, .name_len = sizeof(name) - 1
#define AT(name, kind_, member)   { KEY(name), .kind = (kind_), .offset = offsetof(struct event, member) }
#define TEXT(name, member)        { TEXT_KEY(name), .kind = FIELD_TEXT, .offset = offsetof(struct event, member) }
#define IN(name, kind_, struct_, member) { KEY(name), .kind = (kind_), .offset = offsetof(struct struct_, member) }
#define TEXT_IN(name, struct_, member) { TEXT_KEY(name), .kind = FIELD_TEXT, .offset = offsetof(struct struct_, member) }
#define OBJECT(name, object_, member)                                                                                  \
	{ KEY(name), .kind = FIELD_OBJECT, .object = (object_), .offset = offsetof(struct event, member),              \
	  .size = sizeof(((struct event *)0)->member) }

const struct scan_field_row scan_fields[SCAN_FIELDS] = {
	[KIND] = TEXT("kind", kind),
	[API_VERSION] = TEXT("apiVersion", api_version),
	[LEVEL] = TEXT("level", level_text),
	[AUDIT_ID] = TEXT("auditID", audit_id),
	[STAGE] = TEXT("stage", stage_text),
	[REQUEST_URI] = TEXT("requestURI", request_uri),
	[VERB] = TEXT("verb", verb),
	[USER] = OBJECT("user", SCAN_USER, user),
	[IMPERSONATED_USER] = OBJECT("impersonatedUser", SCAN_USER, impersonated_user),
	[AUTHENTICATION_METADATA] = AT("authenticationMetadata", FIELD_RAW, authentication_metadata),
	[SOURCE_IPS] = AT("sourceIPs", FIELD_TEXTS, n_source_ips),
	[USER_AGENT] = TEXT("userAgent", user_agent),
	[OBJECT_REF] = OBJECT("objectRef", SCAN_OBJECT_REF, object_ref),
	[RESPONSE_STATUS] = OBJECT("responseStatus", SCAN_STATUS, response_status),
	[REQUEST_OBJECT] = AT("requestObject", FIELD_RAW, request_object),
	[RESPONSE_OBJECT] = AT("responseObject", FIELD_RAW, response_object),
	[REQUEST_RECEIVED] = TEXT("requestReceivedTimestamp", request_received),
	[STAGE_TIMESTAMP] = TEXT("stageTimestamp", stage_timestamp),
	[ANNOTATIONS] = AT("annotations", FIELD_RAW, annotations),
	[ITEMS] = { KEY("items"), .kind = FIELD_ITEMS },
	[USER_USERNAME] = TEXT_IN("username", event_user, username),
	[USER_UID] = TEXT_IN("uid", event_user, uid),
	[USER_GROUPS] = IN("groups", FIELD_TEXTS, event_user, n_groups),
	[USER_EXTRA] = IN("extra", FIELD_RAW_OBJECT, event_user, extra),
	[REF_RESOURCE] = TEXT_IN("resource", event_object_ref, resource),
	[REF_NAMESPACE] = TEXT_IN("namespace", event_object_ref, namespace_),
	[REF_NAME] = TEXT_IN("name", event_object_ref, name),
	[REF_UID] = TEXT_IN("uid", event_object_ref, uid),
	[REF_API_GROUP] = TEXT_IN("apiGroup", event_object_ref, api_group),
	[REF_API_VERSION] = TEXT_IN("apiVersion", event_object_ref, api_version),
	[REF_RESOURCE_VERSION] = TEXT_IN("resourceVersion", event_object_ref, resource_version),
	[REF_SUBRESOURCE] = TEXT_IN("subresource", event_object_ref, subresource),
	[STATUS_METADATA] = { KEY("metadata"), .kind = FIELD_SKIP },
	[STATUS_STATUS] = TEXT_IN("status", event_status, status),
	[STATUS_MESSAGE] = TEXT_IN("message", event_status, message),
	[STATUS_REASON] = TEXT_IN("reason", event_status, reason),
	[STATUS_DETAILS] = { KEY("details"), .kind = FIELD_SKIP },
	[STATUS_CODE] = IN("code", FIELD_INT32, event_status, code),
};

const char scan_key_mask[2 * SCAN_KEY_MAX] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
					     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

const struct scan_fields_of scan_fields_of[SCAN_OBJECTS] = {
	[SCAN_EVENT] = { KIND, ITEMS },
	[SCAN_USER] = { USER_USERNAME, USER_EXTRA },
	[SCAN_OBJECT_REF] = { REF_RESOURCE, REF_SUBRESOURCE },
	[SCAN_STATUS] = { STATUS_METADATA, STATUS_CODE },
};

/* The scanner sets `present` of all three alike. */
static_assert(offsetof(struct event_user, present) == 0, "present comes first");
static_assert(offsetof(struct event_object_ref, present) == 0, "present comes first");
static_assert(offsetof(struct event_status, present) == 0, "present comes first");

static enum scan_field find(enum scan_object object, const char *key, size_t len)
{
	for (enum scan_field field = scan_fields_of[object].first; field <= scan_fields_of[object].last; field++)
		if (scan_fields[field].name_len == len && memcmp(scan_fields[field].key + 2, key, len) == 0)
			return field;
	return NO_FIELD;
}

enum scan_field scan_field_find(enum scan_object object, struct view raw)
{
	enum scan_field field = find(object, raw.ptr, raw.len);
	char key[6 * SCAN_KEY_MAX];
	if (field != NO_FIELD || raw.len > sizeof key || !memchr(raw.ptr, '\\', raw.len))
		return field;
	return find(object, key, text_unescape(raw, key));
}
