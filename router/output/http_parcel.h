#pragma once
/*
 * http_parcel -- the records of one request, from when they are collected until each has its outcome.
 *
 * A parcel is sent as a whole at first. Where the collector refuses the whole, its window is halved until what is at
 * fault stands alone; the rest goes on, in order. The window is what the next request carries:
 *
 *     records  | settled ... | window ... | later windows ...      |
 *              0           from      ends[depth - 1]      ends[0] == n
 *
 * Owner:   the records stay in their batches (batch.h); the body is a copy, made by the format, or streamed out of them.
 * Outcome: parcel_delivered and parcel_refused may free batches; a parcel never touches a record after its outcome.
 */
#include "router/format/format.h"
#include "router/lane/batch.h"

enum { PARCEL_DEPTH_MAX = 33 }; /* halvings of 2^32 records */

struct parcel_range {
	struct batch *batch;
	uint32_t first, count;
	uint32_t at; /* of its first record in the parcel */
};

/*
 * All zero is a valid empty parcel, which gathers its body. A streamed one (the format is verbatim) has none: parcel_read makes
 * it out of the batches, piece by piece, as it is sent.
 */
struct parcel {
	bool streamed;
	struct parcel_range *ranges;
	size_t n_ranges, room;
	uint32_t n;
	uint32_t from;
	uint32_t ends[PARCEL_DEPTH_MAX];
	unsigned depth;
	struct buf body;    /* gathered */
	uint64_t bytes;     /* of the body of the window */
	uint32_t read_at;   /* streamed: the record that parcel_read goes on with, and how much of it was read */
	size_t read_skip;
};

void parcel_finish(struct parcel *);
/* Empty again; keeps its memory, but for a body of more room than `body_room_max`. */
void parcel_clear(struct parcel *, size_t body_room_max);

/* Collecting. False: not empty, and the body would be longer than bytes_max: the record was not added. */
bool parcel_add(struct parcel *, const struct format_ops *, const struct format_context *, struct batch *,
	uint32_t index, uint64_t bytes_max);
/* No more records: the window is all of them, and the body is whole. */
void parcel_close(struct parcel *, const struct format_ops *);

const char *parcel_cluster(const struct parcel *); /* of the first record that has no outcome; there is one. "": unsaid */
uint32_t parcel_window(const struct parcel *);   /* records in the window; 0: all records have their outcome */
void parcel_halve(struct parcel *);              /* window of two or more; then parcel_build */
void parcel_build(struct parcel *, const struct format_ops *, const struct format_context *);
/* Streamed: the next bytes of the window's body, at most `room`; less than that at its end only. */
size_t parcel_read(struct parcel *, const struct format_ops *, char *bytes, size_t room);
void parcel_rewind(struct parcel *); /* and from its start again, as after parcel_close and parcel_build */

/* Outcomes. Each returns the bytes of the records that got one, and moves the window on; then parcel_build. */
uint64_t parcel_delivered(struct parcel *);
uint64_t parcel_refused(struct parcel *, const char *code, const char *reason); /* window of one */
/* Record by record; those with ANSWER_RETRY are the next window. */
uint64_t parcel_answered(struct parcel *, const enum answer *answers, const char *code, const char *reason);
