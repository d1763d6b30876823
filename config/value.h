#pragma once
/*
 * value -- one value of the configuration by its type: from a node of the file, or from a default.
 */
#include "config/settings.h"

/*
 * Reads the row's value into `field`; `node` NULL: its default. For every type but SECTION and VARIANT. False when
 * problems were added; the field is safe to free with value_finish in either case.
 */
bool value_read(struct settings_reader *, const struct setting *row, const struct node *node, void *field);
void value_finish(const struct setting *row, void *field);
