#pragma once
/*
 * view -- bytes that somebody else owns: a pointer and a length, never a terminating zero.
 *
 * A view with ptr == NULL says "absent"; a view with ptr != NULL and len == 0 is the empty string.
 * Passed and returned by value.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct view {
	const char *ptr;
	size_t len;
};

/* A literal, or an array whose last byte is a terminator. */
#define VIEW(literal) ((struct view){ "" literal, sizeof(literal) - 1 })

static inline struct view view_of(const char *text)
{
	return (struct view){ text, text ? strlen(text) : 0 };
}

/* Byte-exact; absent and empty are equal here, as in Kubernetes' own comparison of strings. */
static inline bool view_eq(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool view_starts(struct view text, struct view prefix)
{
	return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool view_ends(struct view text, struct view suffix)
{
	return text.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(text.ptr + text.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* For printf("%.*s", VIEW_ARGS(v)); texts longer than an int are not printed anywhere. */
#define VIEW_ARGS(v) (int)(v).len, (v).ptr ? (v).ptr : ""
