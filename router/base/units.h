#pragma once
/*
 * units -- sizes, durations and numbers as people write them: 64MiB, 5s, 400d.
 *
 * Sizes:     a whole number and B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB (powers of 1000). 0 needs no unit.
 * Durations: a whole number and ms, s, m, h, d; parts may be joined (1h30m). 0 needs no unit.
 * A number without its unit is refused: 64 of what?
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/view.h"

bool units_parse_size(struct view text, uint64_t *ret_bytes);     /* false: not a size, or above 2^63 */
bool units_parse_duration(struct view text, int64_t *ret_ms);     /* false: not a duration, or above 2^53 ms */
bool units_parse_number(struct view text, int64_t *ret);          /* decimal, optional minus, nothing else */

enum { UNITS_TEXT_ROOM = 32 };
/* For people: "26.5 MB", three digits. Returns text. */
const char *units_human_size(uint64_t bytes, char *text);
