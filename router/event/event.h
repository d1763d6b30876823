#pragma once
/*
 * event -- one audit event as the bytes that it came in, and views of the fields that the router looks at.
 *
 * The fields are those of audit.k8s.io/v1 Event (k8s.io/apiserver/pkg/apis/audit/v1/types.go; v1beta1 reads the same).
 * Text fields are unescaped. Absent (ptr == NULL) also stands for "of the wrong type": a number where text belongs
 * counts as absent. Of duplicate keys the last counts, whole: a second `user` replaces all of the first.
 *
 * Ownership: nothing is owned. Views point into `bytes`, or, where the text had escapes, into the decoder's scratch;
 *            they are valid until the decoder's next call and as long as the bytes are.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/view.h"

enum event_flag {
	EVENT_BAD_UTF8 = 1 << 0,       /* some string holds bytes that are no UTF-8 (the apiserver writes PATCH bodies raw) */
	EVENT_LONE_SURROGATE = 1 << 1, /* some string holds \ud800..\udfff without its other half */
	EVENT_HIDDEN_LETTER = 1 << 2,  /* some string has a letter or digit as \u00.., which hides words from a look at the bytes */
	EVENT_REPEATED_KEY = 1 << 3,   /* a key of the event, of its objectRef or responseStatus is there twice: readers may differ */
};

/* What the bytes are: where the parts below stand in them. */
enum event_form {
	EVENT_PLAIN,     /* an audit.k8s.io Event */
	EVENT_LOG_ENTRY, /* Google's LogEntry of one (event/log_entry.h says what it can tell) */
};

/* In which of Google's logs a LogEntry stood: what decides between ADMIN_ACTIVITY and the other classes. */
enum event_log { EVENT_LOG_UNKNOWN, EVENT_LOG_ACTIVITY, EVENT_LOG_DATA_ACCESS };

enum event_stage { STAGE_UNKNOWN, STAGE_REQUEST_RECEIVED, STAGE_RESPONSE_STARTED, STAGE_RESPONSE_COMPLETE, STAGE_PANIC };
enum event_level { LEVEL_UNKNOWN, LEVEL_NONE, LEVEL_METADATA, LEVEL_REQUEST, LEVEL_REQUEST_RESPONSE };

struct event_user {
	bool present;
	struct view username, uid;
	const struct view *groups; /* texts; entries of the wrong type are left out */
	uint32_t n_groups;
	struct view extra;         /* raw JSON of the object */
};

struct event_object_ref {
	bool present; /* this is a resource request */
	struct view resource, namespace_, name, uid, api_group, api_version, resource_version, subresource;
};

struct event_status {
	bool present;
	struct view status, message, reason;
	int32_t code; /* 0: absent, or no integer of 32 bits */
	struct view raw; /* the JSON object */
};

struct event {
	struct view bytes; /* the JSON object, from { to } */
	unsigned flags;    /* enum event_flag */
	enum event_form form;
	enum event_log log;

	struct view kind, api_version, level_text, audit_id, stage_text, request_uri, verb, user_agent;
	enum event_level level; /* of level_text */
	enum event_stage stage; /* of stage_text */
	struct event_user user, impersonated_user;
	const struct view *source_ips;
	uint32_t n_source_ips;
	struct event_object_ref object_ref;
	struct event_status response_status;
	struct view request_received, stage_timestamp; /* text, not parsed */

	/* Raw JSON values; absent when the key is. */
	struct view request_object, response_object, annotations, authentication_metadata;
};

enum event_level event_level_parse(struct view text);
enum event_stage event_stage_parse(struct view text);
const char *event_level_name(enum event_level); /* "Metadata"; "" for LEVEL_UNKNOWN */
