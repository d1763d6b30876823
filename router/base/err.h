#pragma once
/*
 * err -- what is wrong with something the user wrote or pointed at, said so that the user can mend it.
 *
 * struct err      one problem: a sentence and, where it has one, its place. Fixed size, on the stack, no ownership.
 * struct problems all problems of a file: a loader adds and goes on, so that the user sees every mistake at once.
 *
 * Idioms: our own bug is assert(); the world is a negative errno; the user's file is one of these.
 * Threads: one owner at a time.
 */
#include <stdbool.h>
#include <stddef.h>

enum {
	ERR_TEXT_MAX = 1024,
	ERR_FILE_MAX = 512,
	PROBLEMS_MAX = 200, /* more are counted, not kept */
};

struct err {
	char file[ERR_FILE_MAX]; /* "" when no file is to blame */
	unsigned line, column;   /* from 1; 0 when unknown */
	char text[ERR_TEXT_MAX]; /* one sentence, lower case, no full stop; never a secret's value */
};

/* Sets the sentence and leaves the place alone. Returns -EINVAL, so that `return err_set(...)` reads well. */
int err_set(struct err *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets place and sentence. Returns -EINVAL. */
int err_at(struct err *, const char *file, unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* "FILE:LINE:COLUMN: sentence", shorter where parts are unknown. Returns text. */
const char *err_print(const struct err *, char *text, size_t room);

enum problem_weight {
	PROBLEM_ERROR,   /* the file is not used */
	PROBLEM_WARNING, /* the file is used; the user should know */
};

struct problem {
	enum problem_weight weight;
	struct err err;
};

/* All zero is a valid empty list. */
struct problems {
	struct problem *list;
	size_t n, room;
	size_t errors, warnings; /* counted past PROBLEMS_MAX too */
};

void problems_add(struct problems *, enum problem_weight, const struct err *);
void problem_at(struct problems *, enum problem_weight, const char *file, unsigned line, unsigned column,
	const char *format, ...) __attribute__((format(printf, 6, 7)));
/* "FILE:LINE:COLUMN: error: sentence" a line, in the order of the file, to stderr. */
void problems_print(struct problems *);
void problems_finish(struct problems *);

/*
 * The name among `names` (NULL-terminated) that a user most likely meant by `wrong` (edit distance at most a
 * third of its length, at most 3), or NULL.
 */
const char *nearest_name(const char *wrong, const char *const *names);
