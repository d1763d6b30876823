#pragma once
/*
 * file_path -- the template of a file output's path: {class} {date} {hour} {cluster} {input}.
 *
 * {class} is lower case. {date} (2026-11-21) and {hour} (21) are UTC of the event's requestReceivedTimestamp, "unknown"
 * where it has none. {cluster} and {input} become one harmless part of a name: what is no letter, digit, dot, dash or
 * underscore of ASCII, or above ASCII, becomes "_", and so does a dot in front; "unknown" when empty. Of a longer one than
 * FILE_PATH_NAME_MAX bytes the first ones stay, with a checksum of it all behind them: a name that no file system takes
 * would hold its lane for ever.
 * Pure.
 */
#include <stdint.h>

#include "router/base/audit_class.h"
#include "router/base/buf.h"
#include "router/base/err.h"

enum { FILE_PATH_NAME_MAX = 120 };

struct file_path_values {
	enum audit_class class_;
	const char *cluster, *input; /* NULL is empty */
	int64_t received_us;         /* or BATCH_NO_TIME */
};

/* -EINVAL with the sentence in *err: an unknown {placeholder}, a brace alone, or a path that ends in a slash. */
int file_path_check(const char *template, struct err *err);
/* Adds the path; the template was checked. */
void file_path_add(struct buf *, const char *template, const struct file_path_values *);
/* Only {class} is filled in: for people. */
void file_path_add_class(struct buf *, const char *template, enum audit_class);
/* Adds a pattern for glob(3) with GLOB_BRACE that takes the paths of these values at any time; received_us is not looked at. */
void file_path_add_pattern(struct buf *, const char *template, const struct file_path_values *);
/* The times, both ends included, that lead to the same path as this one. */
void file_path_span(const char *template, int64_t received_us, int64_t *ret_first_us, int64_t *ret_last_us);
