#include "router/format/format.h"

#include <string.h>

#define FORMATS(X) \
	X(ndjson)  \
	X(json)

#define DECLARE(name) extern const struct format_ops format_##name;
FORMATS(DECLARE)

#define ROW(name) &format_##name,
const struct format_ops *const format_registry[] = { FORMATS(ROW) NULL };

const struct format_ops *format_find(const char *name)
{
	for (size_t i = 0; format_registry[i]; i++) {
		if (strcmp(format_registry[i]->name, name) == 0)
			return format_registry[i];
	}
	return NULL;
}
