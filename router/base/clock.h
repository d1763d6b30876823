#pragma once
/*
 * clock -- the two clocks and the one form of time that audit events have.
 *
 * A moment is microseconds since 1970 UTC (int64_t, suffix _us); a duration is milliseconds (suffix _ms).
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/view.h"

enum { CLOCK_TEXT_ROOM = 32 };

int64_t clock_now_us(void);    /* wall clock */
int64_t clock_steady_ms(void); /* never steps back; only differences mean something */

/*
 * RFC 3339 in any of its forms, fraction of 0-9 digits, offset or Z, to microseconds (metav1.MicroTime writes six
 * digits and Z; others may not). False: not such a time.
 */
bool clock_parse(struct view text, int64_t *ret_us);
/* "2026-11-21T21:01:59.952957Z" into text, which has CLOCK_TEXT_ROOM bytes. Returns text. */
const char *clock_print(int64_t us, char *text);
/* Calendar parts in UTC, for {date} and {hour}. */
void clock_split(int64_t us, int *ret_year, unsigned *ret_month, unsigned *ret_day, unsigned *ret_hour);
