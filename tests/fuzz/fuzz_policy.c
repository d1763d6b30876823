/*
 * Any bytes as a policy: nothing crashes, everything refused says why, and what is accepted prints itself as JSON that is read
 * again to the same print, decides on events and edits them into valid JSON.
 *
 * A file may hold an event behind the first zero byte; without one a fixed event is asked about.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "router/event/decode.h"
#include "router/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char event_text[] =
	"{\"kind\":\"Event\",\"level\":\"RequestResponse\",\"auditID\":\"a\",\"stage\":\"ResponseComplete\","
	"\"requestURI\":\"/api/v1/namespaces/x/secrets\",\"verb\":\"create\",\"user\":{\"username\":\"u\",\"groups\":[\"g\"]},"
	"\"objectRef\":{\"resource\":\"secrets\",\"namespace\":\"x\"},\"responseStatus\":{\"code\":403},"
	"\"requestObject\":{\"metadata\":{\"managedFields\":[1]}},\"responseObject\":{\"items\":[{\"metadata\":{\"managedFields\":1}}]}}";

static void decide(const struct policy *policy, struct view line)
{
	static struct attributes attributes;
	static struct decoder *decoder, *second;
	struct edits edits = { 0 };
	struct event e, after;
	size_t end;
	if (!decoder) {
		decoder = decode_create(DECODE_BEST);
		second = decode_create(DECODE_BEST);
	}
	if (decode_line(decoder, line, &e, &end) != DECODE_OK)
		return;
	attributes_of(&e, &attributes);
	struct policy_decision d = policy_decide(policy, &e, &attributes);
	assert(d.rule < (int)policy_rules(policy));
	if (!policy_keeps(d))
		return;
	policy_edit(d, &e, &edits);
	size_t len = edits_length(&edits, e.bytes);
	char *out = malloc(len + 1);
	assert(out && edits_apply(&edits, e.bytes, out) == len);
	assert(decode_line(second, (struct view){ out, len }, &after, &end) == DECODE_OK);
	assert(after.level <= d.level || e.level == LEVEL_UNKNOWN);
	assert(d.level > LEVEL_METADATA || (!after.request_object.len && !after.response_object.len));
	free(out);
	edits_finish(&edits);
}

static void print_again(const struct policy *policy)
{
	struct buf first = { 0 }, second = { 0 };
	struct problems problems = { 0 };
	struct policy *again = NULL;
	policy_print(policy, &first);
	int r = policy_parse(&again, "print", buf_view(&first), &problems);
	assert(r == 0 && problems.warnings == 0);
	policy_print(again, &second);
	assert(view_eq(buf_view(&first), buf_view(&second)));
	policy_close(again);
	problems_finish(&problems);
	buf_finish(&first);
	buf_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data, *zero = size ? memchr(bytes, 0, size) : NULL;
	struct view text = { bytes, zero ? (size_t)(zero - bytes) : size };
	struct problems problems = { 0 };
	struct policy *policy = NULL;
	int r = policy_parse(&policy, "policy", text, &problems);
	assert(r == 0 || problems.errors);
	assert(r < 0 || !problems.errors);
	for (size_t i = 0; i < problems.n; i++)
		assert(problems.list[i].err.text[0]);
	if (r == 0) {
		policy_lint(policy, &problems);
		print_again(policy);
		decide(policy, view_of(event_text));
		if (zero)
			decide(policy, (struct view){ zero + 1, size - text.len - 1 });
	}
	policy_close(policy);
	problems_finish(&problems);
	return 0;
}
