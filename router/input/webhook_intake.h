#pragma once
/*
 * webhook_intake -- a request from its head to its last byte: may it come in, its body unpacked and cut in lines. Knows
 * nothing of connections, so that tests and fuzzers drive it as webhook_server.c does.
 *
 * A packed body that is torn, or not packed at all, ends where it is torn: what came before is taken, and the bytes that
 * could not be unpacked are one more line, so that they become a dead letter. So is a line that says so where its end is missing.
 *
 * Statuses are HTTP's; 0: nothing is against it.
 * Threads: one owner at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include <zlib.h>

#include "router/base/view.h"
#include "router/input/webhook_body.h"

enum {
	INTAKE_SLICE_BYTES = 4096, /* of a packed body, unpacked at a time: it may become a thousand times as much */
};

struct intake_head {
	const char *method;
	const char *authorization; /* these three NULL: not there */
	const char *encoding;
	const char *length;
	bool known;                /* the client showed a certificate that is good, or needs none */
};

struct webhook_intake {
	struct webhook_body body;
	uint64_t max_body;
	uint64_t received, unpacked;
	z_stream *gzip;
	bool gzip_ended, torn;
};

/* `token` NULL: none is asked for. */
unsigned intake_judge(const struct intake_head *, const char *token, uint64_t max_body);

/* The head was judged good. `options` as body_init; its `expected` is set here. */
void intake_init(struct webhook_intake *, const struct intake_head *, uint64_t max_body, const struct body_options *options);
void intake_finish(struct webhook_intake *); /* NULL-safe on what is all zero; what was not given on is gone */
/* How many of so many bytes to give to intake_add at a time. */
size_t intake_slice(const struct webhook_intake *, size_t len);
/* 413: larger than max_body; 429: no room in the budget. Then only intake_finish may follow. */
unsigned intake_add(struct webhook_intake *, struct view slice);
/* The body is whole: gives on what is left. 400: there was nothing in it. 429 as intake_add. */
unsigned intake_end(struct webhook_intake *);
