#pragma once
/*
 * commit_point -- how far an input has come, as plain data that a transaction can carry (exactly-once outputs).
 *
 * An exactly-once output writes events and, in the same transaction, what its inputs would otherwise commit or checkpoint by
 * themselves: either both are there or neither is. A commit_point is that second part, for one input and one position.
 *
 * Two kinds: an input that has a consumer group (Kafka) says offsets of its own partitions and its member's metadata, by
 *          which the broker refuses a member that was put out of the group (input_ops.commit_point). All others that
 *          remember something (input_ops.state) say one text; the output keeps it with offsets of a group of its own.
 * Owner:   strings belong to the point; commit_point_finish frees them.
 * Threads: plain data, no lock.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct commit_offset {
	char *topic;
	int32_t partition;
	int64_t offset; /* of the next message to read */
};

/* All zero is a valid empty one: nothing to commit. */
struct commit_point {
	uint64_t position; /* of the input; all before it is in this transaction or in an earlier one */

	/* of an input with a consumer group */
	char *group;               /* NULL: it has none, and the text below says it */
	char *group_metadata;      /* as rd_kafka_consumer_group_metadata_write gives it; NULL: the group's name alone */
	size_t group_metadata_len;
	struct commit_offset *offsets;
	size_t n_offsets;

	/* of any other */
	char *text;
};

void commit_point_finish(struct commit_point *);
void commit_point_add(struct commit_point *, const char *topic, int32_t partition, int64_t offset);

/*
 * What the pipeline does for the sink of an exactly-once output. Inputs are numbered as in the configuration.
 *
 * Start: the sink gets the right to write (which ends what a dead predecessor left open), and only then asks the broker what
 *        was committed: resumed() for each input, before any of them is opened.
 * Then:  transaction by transaction: point(), the commit, and only then the records' outcomes.
 */
struct commit_host {
	void *context;
	unsigned n_inputs;

	/* Does the transaction carry how far this input has come, as a text that the sink keeps? Any thread. */
	bool (*keeps_text)(void *context, unsigned input);
	/* Main's thread, at the start. `text` as an earlier run's point had it; NULL: nothing is known at the broker. */
	void (*resumed)(void *context, unsigned input, const char *text);
	/* Main's thread, at the start, while the broker does not answer. False: no longer. */
	bool (*may_wait)(void *context);

	/* The rest by the worker. How far the input has come for this output when nothing of it is in hand. */
	uint64_t (*position)(void *context, unsigned input);
	/* May a transaction that has all of the input up to `position` end there? Cheap: nothing is made durable for it. */
	bool (*may_end)(void *context, unsigned input, uint64_t position);
	/*
	 * What the transaction says of the input when all of it before `position`, the end of the last batch taken, is in it or in an
	 * earlier one. 0: *ret_point is filled in, perhaps for a later position, behind which nothing was for this output (empty: this input
	 * has nothing to say). `shorter`: how many of the oldest finished files the text leaves out.
	 * -ERANGE: the input cannot say it for this position: more must be taken. -ESTALE: what was taken is no longer this
	 * input's to deliver (its partitions went to another member): the transaction must not be committed. Another -errno: not
	 * now; other outputs may have to get as far first.
	 */
	int (*point)(void *context, unsigned input, uint64_t position, unsigned shorter, struct commit_point *ret_point);
	/* Nothing more can be delivered in this process: it ends with 1, and goes on from what was committed when it is started anew. */
	void (*failed)(void *context, const char *why);
};
