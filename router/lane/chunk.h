#pragma once
/*
 * chunk -- a block of input bytes as it was read, shared by everything that holds views into it.
 *
 * One read of a file (whole lines), one POST body, one batch of Kafka messages. Reference counted: the input holds one
 * reference while it routes the chunk, each batch that points into it holds one. The last release gives the memory
 * back to the budget; that is about memory only. What is delivered is the ledger's business (ledger.h).
 *
 * Budget:  all chunks and batch arenas of a process share `memory_max`. chunk_create waits until there is room, except
 *          that one chunk larger than all of it is let through alone: an event of max_event_bytes must pass.
 *          Beside it, a few blocks of chunks that are gone are kept for the next ones (at most 4 MiB).
 * Threads: any thread may hold and release; bytes are written by the creator before it shares them, then never.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct budget;

int budget_create(struct budget **ret_budget, uint64_t bytes_max);
void budget_destroy(struct budget *);           /* all must have been given back */
void budget_stop(struct budget *);              /* every waiting and later budget_take returns -ESHUTDOWN */
/* Waits for room. -ESHUTDOWN: stopped. */
int budget_take(struct budget *, uint64_t bytes);
/* -EAGAIN instead of waiting (webhook: 429). */
int budget_try(struct budget *, uint64_t bytes);
/* Never waits: for what must be had to get on (copying out so that a larger thing can be given back). */
void budget_force(struct budget *, uint64_t bytes);
void budget_give(struct budget *, uint64_t bytes);
uint64_t budget_used(const struct budget *);

struct chunk {
	struct budget *budget;
	atomic_uint references;
	atomic_bool excused;
	size_t room;  /* of bytes */
	size_t len;
	char *bytes;
};

/* Waits for the budget. -ESHUTDOWN: stopped. */
int chunk_create(struct chunk **ret_chunk, struct budget *, size_t room);
/* Its room was had by budget_take, and is the chunk's from now on. */
struct chunk *chunk_of_taken(struct budget *, size_t room);
/* -EAGAIN instead of waiting; -ESHUTDOWN: stopped. Both leave all as it was. */
int chunk_try(struct chunk **ret_chunk, struct budget *, size_t room);
int chunk_try_grow(struct chunk *, size_t room);
/* Grows bytes (before it is shared), for an event that is longer than a chunk. Waits as chunk_create; what it holds stays. */
int chunk_grow(struct chunk *, size_t room);
/*
 * Makes a chunk of what a buf holds, and empties the buf. Never waits for the budget, only counts: for bytes that had to be
 * made while others are held, where waiting would be for ever.
 */
struct buf;
struct chunk *chunk_adopt(struct budget *, struct buf *);
struct chunk *chunk_hold(struct chunk *);
void chunk_release(struct chunk *); /* NULL is fine */
/* Its share goes back to the budget now: nobody may have to wait for whoever still holds it (batch_excuse). Any thread. */
void chunk_excuse(struct chunk *);
