#pragma once
/*
 * data_access -- which Data Access classes are on, and whom they exempt, as Google's audit configuration has it
 * (IAM AuditConfig: auditLogConfigs by logType, exemptedMembers). ADMIN_ACTIVITY cannot be switched off.
 *
 * Threads: immutable once filled.
 */
#include "router/base/audit_class.h"
#include "router/match/matcher.h"
#include "router/match/selector.h"

struct data_access {
	bool off[AUDIT_CLASSES];
	struct strings exempt[AUDIT_CLASSES];        /* user names, exactly */
	struct strings exempt_groups[AUDIT_CLASSES]; /* group names, exactly */
};

/* What dropped an event; the names are the counters' (dropped by rule). */
enum data_access_drop { DATA_ACCESS_KEEP, DATA_ACCESS_OFF, DATA_ACCESS_EXEMPT };

enum data_access_drop data_access_decide(const struct data_access *, enum audit_class, const struct attributes *);
void data_access_finish(struct data_access *);
