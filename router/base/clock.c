#include "router/base/clock.h"

#include <stdio.h>
#include <time.h>

enum { US_A_SECOND = 1000000, USUAL_LEN = 27 };

int64_t clock_now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * US_A_SECOND + t.tv_nsec / 1000;
}

int64_t clock_steady_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar; years are counted from March. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void clock_split(int64_t us, int *ret_year, unsigned *ret_month, unsigned *ret_day, unsigned *ret_hour)
{
	int64_t seconds = us / US_A_SECOND - (us % US_A_SECOND < 0);
	int64_t days = seconds / 86400 - (seconds % 86400 < 0), of_day = seconds - days * 86400;
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097, day_of_era = days - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153;
	*ret_day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
	*ret_month = (unsigned)(shifted + (shifted < 10 ? 3 : -9));
	*ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
	*ret_hour = (unsigned)(of_day / 3600);
}

/* Exactly n digits at *text; moves on. */
static bool digits(struct view *text, unsigned n, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	if (text->len < n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned d = (unsigned)(text->ptr[i] - '0');
		if (d > 9)
			return false;
		value = value * 10 + d;
	}
	if (value > max)
		return false;
	text->ptr += n;
	text->len -= n;
	*ret = value;
	return true;
}

static bool byte_is(struct view *text, char a, char b)
{
	if (!text->len || (text->ptr[0] != a && text->ptr[0] != b))
		return false;
	text->ptr++;
	text->len--;
	return true;
}

static bool fraction(struct view *text, unsigned *ret_us)
{
	unsigned us = 0, n = 0;
	*ret_us = 0;
	if (!byte_is(text, '.', '.'))
		return true;
	for (unsigned d; n < 9 && digits(text, 1, 9, &d); n++)
		if (n < 6)
			us = us * 10 + d;
	for (unsigned i = n; i < 6; i++)
		us *= 10;
	*ret_us = us;
	return n > 0;
}

static bool offset(struct view *text, int64_t *ret_seconds)
{
	unsigned hours, minutes;
	*ret_seconds = 0;
	if (byte_is(text, 'Z', 'z'))
		return true;
	if (!text->len)
		return false;
	int64_t sign = text->ptr[0] == '-' ? -1 : 1;
	if (!byte_is(text, '+', '-') || !digits(text, 2, 23, &hours) || !byte_is(text, ':', ':') ||
		!digits(text, 2, 59, &minutes))
		return false;
	*ret_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
	return true;
}

static inline unsigned two_digits(const char *at, unsigned *bad)
{
	unsigned tens = (unsigned)at[0] - '0', ones = (unsigned)at[1] - '0';
	*bad |= (tens > 9) | (ones > 9);
	return tens * 10 + ones;
}

/*
 * YYYY-MM-DDThh:mm:ss.ffffffZ, as the apiserver writes every time, at half of the cost. False: it may still be a time in
 * another form.
 */
static bool parse_usual(const char *t, int64_t *ret_us)
{
	unsigned bad = 0;
	unsigned year = two_digits(t, &bad) * 100 + two_digits(t + 2, &bad), month = two_digits(t + 5, &bad);
	unsigned day = two_digits(t + 8, &bad), hour = two_digits(t + 11, &bad), minute = two_digits(t + 14, &bad);
	unsigned second = two_digits(t + 17, &bad);
	unsigned us = two_digits(t + 20, &bad) * 10000 + two_digits(t + 22, &bad) * 100 + two_digits(t + 24, &bad);
	if (bad || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[19] != '.' || t[26] != 'Z' ||
		month - 1 > 11 || day - 1 > 30 || hour > 23 || minute > 59 || second > 60)
		return false;
	*ret_us = (days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * US_A_SECOND + us;
	return true;
}

bool clock_parse(struct view text, int64_t *ret_us)
{
	unsigned year, month, day, hour, minute, second, us;
	int64_t off;
	if (text.len == USUAL_LEN && parse_usual(text.ptr, ret_us))
		return true;
	if (!digits(&text, 4, 9999, &year) || !byte_is(&text, '-', '-') || !digits(&text, 2, 12, &month) ||
		!byte_is(&text, '-', '-') || !digits(&text, 2, 31, &day) || !byte_is(&text, 'T', 't') ||
		!digits(&text, 2, 23, &hour) || !byte_is(&text, ':', ':') || !digits(&text, 2, 59, &minute) ||
		!byte_is(&text, ':', ':') || !digits(&text, 2, 60, &second) || !fraction(&text, &us) ||
		!offset(&text, &off) || text.len || !month || !day)
		return false;
	int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - off;
	*ret_us = seconds * US_A_SECOND + us;
	return true;
}

const char *clock_print(int64_t us, char *text)
{
	int year;
	unsigned month, day, hour;
	clock_split(us, &year, &month, &day, &hour);
	int64_t of_hour = us % (3600 * (int64_t)US_A_SECOND);
	if (of_hour < 0)
		of_hour += 3600 * (int64_t)US_A_SECOND;
	(void)snprintf(text, CLOCK_TEXT_ROOM, "%04d-%02u-%02uT%02u:%02u:%02u.%06uZ", year % 10000, month % 13,
		day % 32, hour % 24, (unsigned)(of_hour / US_A_SECOND / 60) % 60,
		(unsigned)(of_hour / US_A_SECOND % 60), (unsigned)(of_hour % US_A_SECOND));
	return text;
}
