#include "router/base/units.h"

#include <stdio.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{ "TiB", 1ull << 40 },
	{ "TB", 1000000000000ull },
	{ "GiB", 1ull << 30 },
	{ "GB", 1000000000ull },
	{ "MiB", 1ull << 20 },
	{ "MB", 1000000ull },
	{ "KiB", 1ull << 10 },
	{ "kB", 1000ull },
	{ "B", 1 },
	{ 0 },
};

static const struct unit durations[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ 0 },
};

static const uint64_t size_max = 1ull << 63, duration_max = 1ull << 53;

static bool take_number(struct view *text, uint64_t *ret)
{
	uint64_t value = 0;
	size_t n = 0;
	for (; n < text->len && text->ptr[n] >= '0' && text->ptr[n] <= '9'; n++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, (uint64_t)(text->ptr[n] - '0'), &value))
			return false;
	text->ptr += n;
	text->len -= n;
	*ret = value;
	return n > 0;
}

static const struct unit *take_unit(struct view *text, const struct unit *units)
{
	size_t n = 0;
	while (n < text->len && !(text->ptr[n] >= '0' && text->ptr[n] <= '9'))
		n++;
	for (; units->name; units++)
		if (view_eq((struct view){ text->ptr, n }, view_of(units->name))) {
			text->ptr += n;
			text->len -= n;
			return units;
		}
	return NULL;
}

static bool parse(struct view text, const struct unit *units, uint64_t max, bool joined, uint64_t *ret)
{
	uint64_t total = 0;
	if (view_eq(text, VIEW("0"))) {
		*ret = 0;
		return true;
	}
	do {
		uint64_t number;
		const struct unit *unit;
		if (!take_number(&text, &number) || !(unit = take_unit(&text, units)) ||
			__builtin_mul_overflow(number, unit->factor, &number) ||
			__builtin_add_overflow(total, number, &total) || total > max)
			return false;
	} while (joined && text.len);
	if (text.len)
		return false;
	*ret = total;
	return true;
}

bool units_parse_size(struct view text, uint64_t *ret_bytes)
{
	return parse(text, sizes, size_max, false, ret_bytes);
}

bool units_parse_duration(struct view text, int64_t *ret_ms)
{
	uint64_t ms;
	if (!parse(text, durations, duration_max, true, &ms))
		return false;
	*ret_ms = (int64_t)ms;
	return true;
}

bool units_parse_number(struct view text, int64_t *ret)
{
	uint64_t value;
	bool negative = text.len && text.ptr[0] == '-';
	if (negative) {
		text.ptr++;
		text.len--;
	}
	if (!take_number(&text, &value) || text.len || value > INT64_MAX)
		return false;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

const char *units_human_size(uint64_t bytes, char *text)
{
	static const char *const names[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	unsigned unit = 0;
	while (value >= 999.5 && unit < 6) {
		value /= 1000;
		unit++;
	}
	(void)snprintf(text, UNITS_TEXT_ROOM, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2,
		value, names[unit]);
	return text;
}
