/*
 * The way of a request through the webhook without its sockets: what its head decides, its bytes in slices of any size,
 * unpacked where they are packed, cut in lines under a budget, up to its end. No crash, no overread, nothing of the budget
 * left; the outcome and the lines are the same whatever the slices are, as long as there is room.
 *
 * Input: a byte whose bits say who asks and how, one for the slices, one for max_body, one for the budget; then the body.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/input/webhook_intake.h"
#include "router/lane/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 512, PLENTY = 16 << 20 };

struct outcome {
	unsigned status;
	struct buf lines;
	uint64_t n;
};

static void take(void *context, struct chunk *chunk, uint64_t long_total)
{
	struct outcome *o = context;
	assert(chunk->len <= chunk->room && (long_total || (chunk->len && chunk->bytes[chunk->len - 1] == '\n')));
	buf_add(&o->lines, chunk->bytes, chunk->len);
	if (long_total)
		buf_addf(&o->lines, "... of %llu\n", (unsigned long long)long_total);
	chunk_release(chunk);
}

static struct intake_head head_of(uint8_t bits, size_t len, char *length)
{
	static const char *const encodings[] = { NULL, "gzip", "identity", "br" };
	static const char *const tokens[] = { NULL, "Bearer sesame", "Bearer ", "bearer   sesame" };
	(void)snprintf(length, 24, "%zu", len);
	return (struct intake_head){
		.method = bits & 0x80 ? "GET" : "POST",
		.authorization = tokens[bits >> 2 & 3],
		.encoding = encodings[bits & 3],
		.length = bits & 0x20 ? NULL : length,
		.known = !(bits & 0x40),
	};
}

/* In slices of `step` bytes, then one more, two more and so on, each at a place of its own. */
static struct outcome post(uint8_t bits, struct view body, size_t step, uint64_t max_body, uint64_t budget_bytes)
{
	char length[24];
	struct outcome o = { 0 };
	struct budget *budget;
	struct webhook_intake in;
	const struct intake_head head = head_of(bits, body.len, length);
	o.status = intake_judge(&head, bits & 0x10 ? "sesame" : NULL, max_body);
	if (o.status)
		return o;
	(void)budget_create(&budget, budget_bytes);
	intake_init(&in, &head, max_body, &(struct body_options){
		.budget = budget, .line_max = LONGEST, .plenty_bytes = budget_bytes / 4, .piece = take, .context = &o });
	for (size_t at = 0, left = step; !o.status && at < body.len; left++) {
		size_t n = body.len - at < left ? body.len - at : left;
		n = intake_slice(&in, n);
		char *slice = mem_alloc(n);
		memcpy(slice, body.ptr + at, n);
		o.status = intake_add(&in, (struct view){ slice, n });
		free(slice);
		at += n;
	}
	if (!o.status)
		o.status = intake_end(&in);
	o.n = in.body.lines;
	assert(in.unpacked <= max_body || o.status == 413);
	intake_finish(&in);
	intake_finish(&in); /* as a connection that goes after its request was given up */
	assert(budget_used(budget) == 0);
	budget_destroy(budget);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	const struct view body = { (const char *)data + 4, size - 4 };
	const uint64_t max_body = data[2] < 0x80 ? PLENTY : (uint64_t)data[2] * 64;
	struct outcome whole = post(data[0], body, body.len + 1, max_body, PLENTY);
	struct outcome parts = post(data[0], body, 1 + data[1], max_body, PLENTY);
	struct outcome tight = post(data[0], body, 1 + data[1], max_body, 1024 + (uint64_t)data[3] * 1024);
	assert(whole.status == parts.status);
	/* Of a packed body that is torn, where is told by the slice: what came before it is the same. */
	if (!whole.status && (data[0] & 3) != 1) {
		assert(whole.n == parts.n && whole.lines.len == parts.lines.len);
		assert(!whole.lines.len || memcmp(whole.lines.ptr, parts.lines.ptr, whole.lines.len) == 0);
	}
	/* With little room it is the same, or comes again. */
	assert(tight.status == whole.status || tight.status == 429);
	buf_finish(&whole.lines);
	buf_finish(&parts.lines);
	buf_finish(&tight.lines);
	return 0;
}
