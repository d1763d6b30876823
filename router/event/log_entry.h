#pragma once
/*
 * log_entry -- Google's LogEntry of an audit event, as an event: views of what the entry can tell, out of its own bytes.
 *
 * Cloud Audit Logs keep an event of GKE's API server as protoPayload (an AuditLog of service k8s.io); exports of Cloud
 * Logging (Pub/Sub, Cloud Storage, `gcloud logging read`) have one such object a line. The line is the event and leaves as it came; what
 * an Event has and the entry has not stays absent, nothing is guessed:
 *
 *   verb, objectRef    methodName (io.k8s.core.v1.pods.exec.create), group and names by resourceName, which is the path
 *   requestURI         of non-resource requests only: "/" and resourceName
 *   user.username      authenticationInfo.principalEmail; there are no groups, uid or extra
 *   sourceIPs          requestMetadata.callerIp, one; userAgent: callerSuppliedUserAgent
 *   responseStatus     the code of a response that is a Status, or that of the google.rpc code where it was seen to stand for
 *                      one alone (5, 7, 10, 16); a success has no code. message: status.message
 *   requestObject,     request and response, as far as the entry has them
 *   responseObject
 *   annotations        labels
 *   auditID            operation.id of producer k8s.io
 *   requestReceived..  timestamp (of the request or of its end: Google does not say which); files and dates go by it
 *   log                logName
 *   level, stage       absent
 *
 * Rule:    names of methods and resources, and the mapping of fields, as observed in real entries.
 * Pure; no allocation but a scratch that grows with the longest name. Threads: one owner.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/buf.h"
#include "router/event/event.h"

/* Cloud Logging splits an entry that is too long for it (split.uid, index, totalSplits). */
struct log_entry_split {
	struct view uid;       /* absent: the entry is whole */
	uint32_t index, total; /* index < total, total > 1 */
};

/* All zero is valid. */
struct log_entry {
	struct buf scratch; /* unescaped texts, names that had to be put together */
	struct view source_ip;
	struct log_entry_split split;
};

void log_entry_finish(struct log_entry *);

enum log_entry_result {
	LOG_ENTRY_NONE,          /* an object, but no LogEntry */
	LOG_ENTRY_EVENT,         /* *ret_event and split are filled */
	LOG_ENTRY_OTHER_SERVICE, /* an audit log entry, but not of k8s.io */
	LOG_ENTRY_OTHER_PAYLOAD, /* a jsonPayload, a textPayload, or another type of protoPayload */
};

/*
 * Reads a JSON object that decode found to be no event. *ret_event keeps its `bytes` and `flags`, all else is filled anew;
 * its views live as long as the bytes and until the next call.
 */
enum log_entry_result log_entry_read(struct log_entry *, struct event *ret_event);
