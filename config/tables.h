#pragma once
/*
 * tables -- the rows of the top level and of what all inputs and all outputs share.
 *
 * The rows of each kind of input and output stand beside it (router/input, router/output).
 */
#include "config/config.h"

extern const struct section config_section;        /* struct config */
extern const struct section config_input_section;  /* struct config_input */
extern const struct section config_output_section; /* struct config_output_common */

/* Types that only these tables have: see variants.c. */
bool variant_read_data_access(struct settings_reader *, const struct node *, void *field);
bool variant_read_redact(struct settings_reader *, const struct node *, void *field);
bool variant_read_more_redact(struct settings_reader *, const struct node *, void *field);
bool variant_read_spool(struct settings_reader *, const struct node *, void *field);
bool variant_read_selector(struct settings_reader *, const struct node *, void *field);
/* For a key that config.c reads itself, since it takes more than the row: inputs, outputs, format. */
bool variant_read_later(struct settings_reader *, const struct node *, void *field);
void variant_finish_data_access(void *field);
void variant_finish_redact(void *field);
void variant_finish_selector(void *field);
void variant_finish_nothing(void *field);
