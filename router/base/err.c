#include "router/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

enum { NAME_MAX_COMPARED = 63 };

int err_set(struct err *e, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
	return -EINVAL;
}

static void set_place(struct err *e, const char *file, unsigned line, unsigned column)
{
	(void)snprintf(e->file, sizeof e->file, "%s", file ? file : "");
	e->line = line;
	e->column = column;
}

int err_at(struct err *e, const char *file, unsigned line, unsigned column, const char *format, ...)
{
	va_list args;
	set_place(e, file, line, column);
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
	return -EINVAL;
}

static int print_place(const struct err *e, char *text, size_t room)
{
	if (!e->file[0])
		return snprintf(text, room, "%s", "");
	if (!e->line)
		return snprintf(text, room, "%s: ", e->file);
	if (!e->column)
		return snprintf(text, room, "%s:%u: ", e->file, e->line);
	return snprintf(text, room, "%s:%u:%u: ", e->file, e->line, e->column);
}

const char *err_print(const struct err *e, char *text, size_t room)
{
	int used = print_place(e, text, room);
	if (used >= 0 && (size_t)used < room)
		(void)snprintf(text + used, room - (size_t)used, "%s", e->text);
	return text;
}

void problems_add(struct problems *p, enum problem_weight weight, const struct err *e)
{
	if (weight == PROBLEM_ERROR)
		p->errors++;
	else
		p->warnings++;
	if (p->n == PROBLEMS_MAX)
		return;
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 8;
		p->list = mem_resize(p->list, p->room * sizeof *p->list);
	}
	p->list[p->n++] = (struct problem){ weight, *e };
}

void problem_at(struct problems *p, enum problem_weight weight, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	struct err e;
	va_list args;
	set_place(&e, file, line, column);
	va_start(args, format);
	(void)vsnprintf(e.text, sizeof e.text, format, args);
	va_end(args);
	problems_add(p, weight, &e);
}

static int by_place(const void *left, const void *right)
{
	const struct err *a = &((const struct problem *)left)->err, *b = &((const struct problem *)right)->err;
	int order = strcmp(a->file, b->file);
	if (order)
		return order;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column == b->column ? 0 : a->column < b->column ? -1 : 1;
}

/* qsort is not stable; problems are few, so insertion keeps those of one place in the order of their finding. */
static void sort_by_place(struct problem *list, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct problem moved = list[i];
		size_t j = i;
		for (; j && by_place(&list[j - 1], &moved) > 0; j--)
			list[j] = list[j - 1];
		list[j] = moved;
	}
}

void problems_print(struct problems *p)
{
	sort_by_place(p->list, p->n);
	for (size_t i = 0; i < p->n; i++) {
		char place[ERR_FILE_MAX + 32];
		(void)print_place(&p->list[i].err, place, sizeof place);
		(void)fprintf(stderr, "%s%s: %s\n", place,
			p->list[i].weight == PROBLEM_ERROR ? "error" : "warning", p->list[i].err.text);
	}
	size_t all = p->errors + p->warnings;
	if (all > p->n)
		(void)fprintf(stderr, "and %zu more\n", all - p->n);
}

void problems_finish(struct problems *p)
{
	free(p->list);
	*p = (struct problems){ 0 };
}

/*
 * Levenshtein's distance, where two neighbours that changed places count as one mistake; by three rows. Names longer than
 * NAME_MAX_COMPARED are never near.
 */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_COMPARED + 1], n = strlen(a), m = strlen(b);
	if (n > NAME_MAX_COMPARED || m > NAME_MAX_COMPARED)
		return NAME_MAX_COMPARED;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *before = rows[(i + 1) % 3], *above = rows[(i + 2) % 3], *row = rows[i % 3];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[n % 3][m];
}

const char *nearest_name(const char *wrong, const char *const *names)
{
	size_t limit = strlen(wrong) / 3, best_distance;
	const char *best = NULL;
	if (limit < 1)
		limit = 1;
	if (limit > 3)
		limit = 3;
	best_distance = limit + 1;
	for (; *names; names++) {
		size_t d = distance(wrong, *names);
		if (d < best_distance) {
			best_distance = d;
			best = *names;
		}
	}
	return best;
}
