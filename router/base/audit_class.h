#pragma once
/*
 * audit_class -- the four classes of Google's GKE (https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging):
 * ADMIN_ACTIVITY is the Admin Activity log, the three others are the types of the Data Access log.
 * An event has exactly one.
 */
#include <stdbool.h>

#include "router/base/view.h"

enum audit_class {
	ADMIN_ACTIVITY,
	ADMIN_READ,
	DATA_READ,
	DATA_WRITE,
	AUDIT_CLASSES /* how many */
};

/* Sets of classes are bits: 1u << ADMIN_READ. */
#define AUDIT_CLASSES_ALL ((1u << AUDIT_CLASSES) - 1)

const char *audit_class_name(enum audit_class);            /* "ADMIN_READ" */
const char *audit_class_lower(enum audit_class);           /* "admin_read", as {class} in templates */
bool audit_class_parse(struct view name, enum audit_class *ret_class); /* upper case, exactly */
bool audit_class_billed(enum audit_class);                 /* GKE bills the Data Access classes */
