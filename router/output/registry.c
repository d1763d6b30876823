/* One row for each kind of output: X(name) stands for `const struct output_ops output_name` in name.c. */
#include <string.h>

#include "config/config.h"
#include "router/output/output.h"

#define OUTPUTS \
	X(file) \
	X(http) \
	X(kafka) \
	X(null)

#define X(name) extern const struct output_ops output_##name;
OUTPUTS
#undef X

#define X(name) &output_##name,
const struct output_ops *const output_registry[] = { OUTPUTS NULL };
#undef X

bool output_exactly_once(const struct config_output *output)
{
	return output->ops->exactly_once && output->ops->exactly_once(output);
}

const struct output_ops *output_find(const char *name)
{
	for (const struct output_ops *const *row = output_registry; *row; row++)
		if (strcmp((*row)->name, name) == 0)
			return *row;
	return NULL;
}
