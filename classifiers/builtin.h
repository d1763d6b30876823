#pragma once
/* builtin -- the tables of this folder as bytes in the binary, written by embed.py. Private to classifier.c. */
#include <stddef.h>

struct classifier_builtin {
	const char *name; /* NULL after the last */
	const unsigned char *bytes;
	size_t len;
};

extern const struct classifier_builtin classifier_builtins[];
