#pragma once
/*
 * seq -- the sequence numbers that records leave with: one a lane and input, counted from 0, each record one more.
 *
 * A restart goes on with the number of the checkpointed position, so an event that is sent again keeps its number, and a
 * number that is missing downstream is an event that is missing there. Inputs that cannot be read again (webhook, stdin), or whose parts come and go (kafka), have
 * no such position: their numbers begin anew with each start, under an epoch that is later than all before it (UTC seconds
 * of the start, or one more than the last). Inside, both are one number, which sorts: EPOCH * 2^32 + N. It is no less after
 * 2^32 events in one epoch, when it says the next epoch and 0.
 *
 * Pure.
 */
#include <stdint.h>

enum { SEQ_BITS = 32 };
#define SEQ_EPOCH_MIN (UINT64_C(1) << 30) /* January 2004: plain numbers never come near */

static inline uint64_t seq_first(uint64_t epoch)
{
	return epoch << SEQ_BITS;
}

/* 0: the number has none. */
static inline uint64_t seq_epoch(uint64_t seq)
{
	return seq >> SEQ_BITS >= SEQ_EPOCH_MIN ? seq >> SEQ_BITS : 0;
}

static inline uint64_t seq_number(uint64_t seq)
{
	return seq_epoch(seq) ? seq & UINT32_MAX : seq;
}
