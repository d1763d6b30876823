/* Any bytes: what redaction leaves of an event is that event still, and what it leaves of other lines holds no body. */
#include "tests/tools/redact_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct redact_oracle oracle;
	struct view line = { (const char *)data, size };
	struct event e;
	size_t end;
	if (!oracle.decoder)
		oracle = redact_oracle_create();
	if (decode_line(oracle.decoder, line, &e, &end) == DECODE_OK)
		(void)redact_oracle_event(&oracle, line);
	for (int i = 0; i < REDACT_ORACLES; i++) {
		buf_clear(&oracle.once);
		redact_broken(oracle.redactors[i], line, &oracle.once, oracle.counts);
		assert(!oracle.once.len || !memmem(oracle.once.ptr, oracle.once.len, "requestObject", 13));
	}
	return 0;
}
