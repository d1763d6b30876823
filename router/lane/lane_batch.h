#pragma once
/*
 * lane_batch -- what a batch tells its lane of outcomes; private to this folder. The worker's thread.
 *
 * Both take the records off batch->open, and when none is left close the span and free the batch. With
 * batch->lane == NULL (unit tests of outputs) that is all they do.
 */
#include <stdint.h>

struct batch;

void lane_batch_delivered(struct batch *, uint32_t count, uint64_t bytes);
void lane_batch_refused(struct batch *, uint32_t index, const char *code, const char *reason);
