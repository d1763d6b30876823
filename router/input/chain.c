#include "router/input/chain.h"

#include <stdio.h>

enum { STAMP_LENGTH = 23, NUMBER_DIGITS_MAX = 3, DATE_DIGITS = 8 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "2006-01-02T15-04-05.000" */
static bool is_stamp(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd-dd-dd.ddd";
	for (size_t i = 0; i < STAMP_LENGTH; i++)
		if (form[i] == 'd' ? !is_digit(text[i]) : text[i] != form[i])
			return false;
	return true;
}

static void set_live(struct chain_name *n, struct view first, struct view second)
{
	(void)snprintf(n->live, sizeof n->live, "%.*s%.*s", VIEW_ARGS(first), VIEW_ARGS(second));
}

/* STEM-STAMP[.EXT] was STEM[.EXT]. */
static bool parse_stamped(struct chain_name *n, struct view base)
{
	for (size_t at = base.len; at-- > 1;) {
		if (base.ptr[at] != '-' || base.len - at - 1 < STAMP_LENGTH || !is_stamp(base.ptr + at + 1))
			continue;
		struct view ext = { base.ptr + at + 1 + STAMP_LENGTH, base.len - at - 1 - STAMP_LENGTH };
		if (ext.len && (ext.ptr[0] != '.' || memchr(ext.ptr + 1, '.', ext.len - 1)))
			continue;
		n->kind = CHAIN_STAMPED;
		n->mark = (struct view){ base.ptr + at + 1, STAMP_LENGTH };
		set_live(n, (struct view){ base.ptr, at }, ext);
		return true;
	}
	return false;
}

static size_t digits_before(struct view text, size_t end)
{
	size_t n = 0;
	while (n < end && is_digit(text.ptr[end - 1 - n]))
		n++;
	return n;
}

/* LIVE.N, LIVE-YYYYMMDD, LIVE.YYYYMMDD, LIVE-YYYYMMDD-SECONDS */
static bool parse_suffixed(struct chain_name *n, struct view base)
{
	size_t digits = digits_before(base, base.len), at = base.len - digits;
	if (!digits || at < 2)
		return false;
	size_t earlier = base.ptr[at - 1] == '-' ? digits_before(base, at - 1) : 0;
	if (earlier == DATE_DIGITS && at - 1 > earlier)
		at -= 1 + earlier;
	else if (digits != DATE_DIGITS && !(digits <= NUMBER_DIGITS_MAX && base.ptr[at - 1] == '.'))
		return false;
	if (at < 2 || (base.ptr[at - 1] != '-' && base.ptr[at - 1] != '.'))
		return false;
	n->kind = digits <= NUMBER_DIGITS_MAX && base.len - at == digits ? CHAIN_NUMBERED : CHAIN_DATED;
	n->mark = (struct view){ base.ptr + at, base.len - at };
	set_live(n, (struct view){ base.ptr, at - 1 }, VIEW(""));
	return true;
}

struct chain_name chain_parse(const char *path)
{
	struct chain_name n = { .kind = CHAIN_LIVE };
	const char *slash = strrchr(path, '/');
	struct view base = view_of(slash ? slash + 1 : path);
	n.folder = (struct view){ path, slash ? (size_t)(slash + 1 - path) : 0 };
	n.mark = (struct view){ base.ptr + base.len, 0 };
	if (view_ends(base, VIEW(".gz")) && base.len > 3)
		base.len -= 3;
	else if (view_ends(base, VIEW(".zst")) && base.len > 4)
		base.len -= 4;
	n.packed = base.ptr[base.len] != '\0';
	if (!parse_stamped(&n, base) && !parse_suffixed(&n, base))
		set_live(&n, base, VIEW(""));
	return n;
}

bool chain_same_log(const struct chain_name *a, const struct chain_name *b)
{
	return view_eq(a->folder, b->folder) && strcmp(a->live, b->live) == 0;
}

bool chain_same_file(const struct chain_name *a, const struct chain_name *b)
{
	return chain_same_log(a, b) && a->kind == b->kind && view_eq(a->mark, b->mark);
}

static int compare_views(struct view a, struct view b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int c = len ? memcmp(a.ptr, b.ptr, len) : 0;
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare_numbers(struct view a, struct view b)
{
	while (a.len && a.ptr[0] == '0')
		a = (struct view){ a.ptr + 1, a.len - 1 };
	while (b.len && b.ptr[0] == '0')
		b = (struct view){ b.ptr + 1, b.len - 1 };
	return a.len == b.len ? compare_views(a, b) : a.len < b.len ? -1 : 1;
}

int chain_compare(const struct chain_name *a, const struct chain_name *b)
{
	int c = compare_views(a->folder, b->folder);
	if (c == 0)
		c = strcmp(a->live, b->live);
	if (c)
		return c;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->kind == CHAIN_NUMBERED ? compare_numbers(b->mark, a->mark) : compare_views(a->mark, b->mark);
}
