#pragma once
/*
 * chain -- which files belong to one log, and in what order they were written, told by their names alone.
 *
 * A log is known by the path of its live file, "/var/log/audit.log". What it was before each rotation lies beside it:
 *   audit-2006-01-02T15-04-05.000.log   as the apiserver names them (UTC time of the rotation)
 *   audit.log-20060102, audit.log.20060102, audit.log-20060102-1136214245   as logrotate's dateext does
 *   audit.log.1, audit.log.2            the larger the number, the older
 * and each may end in .gz or .zst. A name that fits none of these is the live file of a log of its own.
 *
 * Pure: nothing here looks at a file.
 */
#include <limits.h>
#include <stdbool.h>

#include "router/base/view.h"

enum chain_kind {
	CHAIN_NUMBERED,
	CHAIN_DATED,
	CHAIN_STAMPED,
	CHAIN_LIVE,
};

struct chain_name {
	struct view folder; /* into the path: up to and with the last slash; may be empty */
	char live[NAME_MAX + 1]; /* the live file's name in that folder */
	enum chain_kind kind;
	struct view mark;   /* into the path: the time or number; empty for the live file */
	bool packed;        /* by its suffix */
};

/* The views point into `path`. */
struct chain_name chain_parse(const char *path);
bool chain_same_log(const struct chain_name *, const struct chain_name *);
/* The same file of the same log, packed or not. */
bool chain_same_file(const struct chain_name *, const struct chain_name *);
/*
 * < 0: a was written before b. Of two logs, the one whose path is first in byte order. 0: the same file of the same log (the
 * packed one may differ).
 */
int chain_compare(const struct chain_name *a, const struct chain_name *b);
