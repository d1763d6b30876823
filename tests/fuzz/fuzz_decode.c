/* Any bytes: all kinds of vectors agree, and with jansson in every field; walking a value finds all of it. */
#include "tests/tools/decode_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oracle oracle;
	if (!oracle.n)
		oracle = oracle_create();
	oracle_judge(&oracle, (struct view){ (const char *)data, size });
	return 0;
}
