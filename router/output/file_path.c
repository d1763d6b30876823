#include "router/output/file_path.h"

#include <string.h>

#include "router/base/clock.h"
#include "router/base/crc32c.h"
#include "router/lane/batch.h"

static const int64_t HOUR_US = 3600ll * 1000000, DAY_US = 24 * 3600ll * 1000000;

enum { CHECKSUM_CHARS = sizeof "-01234567" - 1 };
enum field { CLASS, DATE, HOUR, CLUSTER, INPUT, LITERAL };
static const char *const field_names[] = { "{class}", "{date}", "{hour}", "{cluster}", "{input}", NULL };

/* The next piece of a checked template: a field, or text up to the next brace. False: the end. */
static bool next_piece(const char **at, enum field *ret_field, struct view *ret_text)
{
	if (!**at)
		return false;
	*ret_text = (struct view){ *at, **at == '{' ? strcspn(*at, "}") + 1 : strcspn(*at, "{") };
	for (*ret_field = CLASS; *ret_field < LITERAL; ++*ret_field)
		if (view_eq(*ret_text, view_of(field_names[*ret_field])))
			break;
	*at += ret_text->len;
	return true;
}

static int bad_placeholder(const char *at, struct err *err)
{
	size_t len = strcspn(at, "}/");
	char wrong[64];
	if (at[len] != '}' || len + 2 > sizeof wrong)
		return err_set(err, "a \"{\" without its \"}\"; known are {class}, {date}, {hour}, {cluster} and {input}");
	memcpy(wrong, at, len + 1);
	wrong[len + 1] = 0;
	const char *nearest = nearest_name(wrong, field_names);
	if (nearest)
		return err_set(err, "unknown placeholder %s, did you mean %s?", wrong, nearest);
	return err_set(err, "unknown placeholder %s; known are {class}, {date}, {hour}, {cluster} and {input}", wrong);
}

int file_path_check(const char *template, struct err *err)
{
	for (const char *at = template; (at = strpbrk(at, "{}"));) {
		const char *const *name = field_names;
		if (*at == '}')
			return err_set(err, "a \"}\" without its \"{\"");
		while (*name && !view_starts(view_of(at), view_of(*name)))
			name++;
		if (!*name)
			return bad_placeholder(at, err);
		at += strlen(*name);
	}
	size_t len = strlen(template);
	if (!len || template[len - 1] == '/')
		return err_set(err, "the path names a folder; a file's name must follow");
	return 0;
}

static void add_name(struct buf *out, const char *name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	if (!name || !*name)
		name = "unknown";
	const size_t len = strlen(name);
	size_t kept = len > FILE_PATH_NAME_MAX ? FILE_PATH_NAME_MAX - CHECKSUM_CHARS : len;
	while (kept < len && kept && ((unsigned char)name[kept] & 0xc0) == 0x80)
		kept--; /* not within a character of UTF-8 */
	for (const char *c = name; c < name + kept; c++) {
		bool is_good = (unsigned char)*c >= 0x80 || (strchr(good, *c) && !(c == name && *c == '.'));
		buf_add_byte(out, is_good ? *c : '_');
	}
	if (kept < len)
		buf_addf(out, "-%08x", crc32c_add(0, name, len));
}

static void add_time(struct buf *out, enum field field, int64_t received_us)
{
	int year;
	unsigned month, day, hour;
	if (received_us == BATCH_NO_TIME) {
		buf_add_view(out, VIEW("unknown"));
		return;
	}
	clock_split(received_us, &year, &month, &day, &hour);
	if (field == DATE)
		buf_addf(out, "%04d-%02u-%02u", year, month, day);
	else
		buf_addf(out, "%02u", hour);
}

/* So that glob(3) takes the text as it is. */
static void add_escaped(struct buf *out, struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (strchr("*?[\\", text.ptr[i]))
			buf_add_byte(out, '\\');
		buf_add_byte(out, text.ptr[i]);
	}
}

static void add_time_pattern(struct buf *out, enum field field)
{
	buf_add_view(out, field == DATE ? VIEW("{[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9],unknown}") : VIEW("{[0-9][0-9],unknown}"));
}

/* The path, or a pattern for glob(3) of the paths at any time. */
static void fill_in(struct buf *out, const char *template, const struct file_path_values *values, bool is_pattern)
{
	enum field field;
	struct view text;
	while (next_piece(&template, &field, &text)) {
		if (field == CLASS)
			buf_add_view(out, view_of(audit_class_lower(values->class_)));
		else if (field == CLUSTER || field == INPUT)
			add_name(out, field == CLUSTER ? values->cluster : values->input);
		else if (field == LITERAL)
			is_pattern ? add_escaped(out, text) : buf_add_view(out, text);
		else
			is_pattern ? add_time_pattern(out, field) : add_time(out, field, values->received_us);
	}
}

void file_path_add(struct buf *out, const char *template, const struct file_path_values *values)
{
	fill_in(out, template, values, false);
}

void file_path_add_pattern(struct buf *out, const char *template, const struct file_path_values *values)
{
	fill_in(out, template, values, true);
}

void file_path_add_class(struct buf *out, const char *template, enum audit_class class_)
{
	enum field field;
	struct view text;
	while (next_piece(&template, &field, &text))
		buf_add_view(out, field == CLASS ? view_of(audit_class_lower(class_)) : text);
}

void file_path_span(const char *template, int64_t received_us, int64_t *ret_first_us, int64_t *ret_last_us)
{
	bool by_hour = strstr(template, "{hour}"), by_date = strstr(template, "{date}");
	int64_t step = by_hour ? HOUR_US : DAY_US;
	*ret_first_us = INT64_MIN;
	*ret_last_us = INT64_MAX;
	if (!by_hour && !by_date)
		return;
	if (received_us == BATCH_NO_TIME) {
		*ret_last_us = BATCH_NO_TIME;
		return;
	}
	int64_t into = received_us % step;
	*ret_first_us = received_us - (into < 0 ? into + step : into);
	*ret_last_us = *ret_first_us + step - 1;
}
