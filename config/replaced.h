#pragma once
/*
 * replaced -- a copy of a node with ${ENV} replaced in every text below it, for readers that take texts as they stand
 * (router/match/selector.h).
 *
 * Owner: the copy owns all of its nodes and texts; places are those of the file.
 */
#include "config/settings.h"

struct replaced;

/* NULL with problems added: a variable that is not set. */
struct replaced *replaced_create(struct settings_reader *, const struct node *);
void replaced_destroy(struct replaced *); /* NULL is fine */
const struct node *replaced_root(const struct replaced *);
