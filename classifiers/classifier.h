#pragma once
/*
 * classifier -- puts each audit event in exactly one class, and says by which rule.
 *
 * A table (see README.md of this folder) is an ordered list of rules {id, class, selector}; the first that matches
 * decides. The last rule of a table must have no selector, so that every event gets a class: a table without such a
 * rule is refused. The tables gke, aks and sensitive are compiled in from the files of this folder.
 *
 * Threads: immutable once loaded; share freely.
 */
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/base/err.h"
#include "router/base/tree.h"
#include "router/match/matcher.h"

enum { CLASSIFIER_RULES_MAX = 4096, CLASSIFIER_RULE_ID_MAX = 63 };

struct classifier;

struct classifier_override {
	const char *rule;          /* id of a rule of the table */
	enum audit_class class_;
	const char *file;          /* place of the override, for errors */
	unsigned line, column;
};

/* The names of the tables that are compiled in, NULL-terminated. */
extern const char *const classifier_builtin_names[];

/*
 * Loads a compiled-in table by name, or the file at `path` (exactly one of the two is not NULL), and applies the
 * overrides. -EINVAL: what is wrong was added to `problems` (an unknown name or rule id names the nearest known one).
 */
int classifier_load(struct classifier **ret_classifier, const char *name, const char *path,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems);
/* The same from bytes, for tests and fuzzing. `file` is what errors call it. */
int classifier_parse(struct classifier **ret_classifier, const char *file, struct view bytes,
	const struct classifier_override *overrides, size_t n_overrides, struct problems *problems);
void classifier_close(struct classifier *); /* NULL is fine */

struct verdict {
	enum audit_class class_;
	uint16_t rule; /* index, for classifier_rule_id */
};

struct verdict classifier_classify(const struct classifier *, const struct attributes *);

/*
 * Events that went through Google's log (attributes.log) stand in one of two logs already, and that decides: where the table
 * has the event on the other side, these rules say what it is. They belong to every table, behind its own rules, and cannot
 * be overridden.
 */
enum classifier_log_rule {
	CLASSIFIER_LOG_ACTIVITY,     /* "gcp-activity": the Admin Activity log */
	CLASSIFIER_LOG_ACCESS_READ,  /* "gcp-data-access-read": the Data Access log; a verb that reads, or none */
	CLASSIFIER_LOG_ACCESS_WRITE, /* "gcp-data-access-write": the Data Access log; any other verb */
	CLASSIFIER_LOG_RULES
};

size_t classifier_rules(const struct classifier *); /* of the table; verdicts have up to CLASSIFIER_LOG_RULES more */
const char *classifier_rule_id(const struct classifier *, uint16_t rule); /* valid as long as the classifier */
enum audit_class classifier_rule_class(const struct classifier *, uint16_t rule); /* overrides applied */
const char *classifier_name(const struct classifier *);
