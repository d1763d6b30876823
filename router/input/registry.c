/* One row for each kind of input: X(name) stands for `const struct input_ops input_name` in name.c. */
#include <string.h>

#include "router/input/input.h"

#define INPUTS \
	X(file) \
	X(webhook) \
	X(kafka) \
	X(stdin)

#define X(name) extern const struct input_ops input_##name;
INPUTS
#undef X

#define X(name) &input_##name,
const struct input_ops *const input_registry[] = { INPUTS NULL };
#undef X

const struct input_ops *input_find(const char *name)
{
	for (const struct input_ops *const *row = input_registry; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}
