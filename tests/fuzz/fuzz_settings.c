/* The configuration's loader over any bytes: no crash, no leak, no error without a sentence, and bounded time. */
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	struct problems problems = { 0 };
	int r = config_parse(&c, "fuzz.yaml", "/nonexistent", (struct view){ (const char *)data, size }, &problems);
	if ((r < 0) != (problems.errors > 0) || (r < 0) != !c)
		abort();
	for (size_t i = 0; i < problems.n; i++)
		if (!problems.list[i].err.text[0])
			abort();
	for (size_t i = 0; c && i < c->n_outputs; i++)
		if (!c->outputs[i].ops || !c->outputs[i].name[0] || !config_output_classes(c, &c->outputs[i]))
			abort();
	config_close(c);
	problems_finish(&problems);
	return 0;
}
