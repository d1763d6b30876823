#pragma once
/*
 * spool -- a bounded first-in first-out of records on disk, one folder a lane.
 *
 * Order:    records come out as they went in; a record is whole or absent.
 * Crash:    after spool_append() + spool_sync() return 0, a record survives kill -9 and power loss. A torn tail is cut at
 *           the next open and counted; whatever writes the disk lost or reordered, what opens is a prefix of what was
 *           appended, less what was forgotten.
 * Limit:    spool_append() refuses with -ENOSPC at bytes_max, and on a full disk; nothing is half written then.
 * Open:     O(1) of the spool's size: segment headers and the newest segment's tail, never all of it.
 * Forget:   spool_forget() frees whole segments; the read position itself is persisted by spool_sync (a small file of
 *           two slots written in turn, which needs no room on a full disk), so that after a crash at most what was read
 *           since the last sync comes again.
 * Threads:  one appender and one reader (next, forget, rewind), on the same or on two threads; spool_sync and
 *           spool_state by any. No call blocks the other but for a short mutex; none but spool_sync waits for the disk,
 *           unless so many segments wait for a sync that an append has to make one.
 * On disk:  drawn in spool_segment.h, above struct record_header; versioned by its first bytes. CRC32C over header and
 *           payload.
 */
#include <stdbool.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/view.h"

struct spool;

struct spool_options {
	const char *folder;      /* made if absent, mode 0700 */
	uint64_t bytes_max;      /* of all segments together */
	uint64_t forgotten;      /* all up to this position was delivered, says who kept it elsewhere; no place of a record: not believed */
	uint64_t segment_bytes;  /* a segment is closed once it has so many, or a quarter of bytes_max; 0: 16 MiB */
};

/* What a spooled event carries beside its bytes; what a format needs more is decoded again. */
struct spool_record {
	uint64_t seq;            /* the lane's sequence number of it, per input */
	uint8_t class_;
	struct view rule, input, cluster; /* names, at most 255 bytes each */
	struct view event;
};

/* -EBUSY: another process holds it. -EBADMSG: not a spool, or of a newer version; *err says which file. */
int spool_open(struct spool **ret_spool, const struct spool_options *, struct err *);
void spool_close(struct spool *); /* NULL is fine; does not sync */

/* `*ret_position` is where it is; positions only grow. -ENOSPC: full. */
int spool_append(struct spool *, const struct spool_record *, uint64_t *ret_position);
/*
 * The same for up to SPOOL_APPEND_MAX records at once: all of them, or on any error none. *ret_position: of the last one. After
 * an error the same records are to come again, one by one, as a crash may leave the first of them.
 */
enum { SPOOL_APPEND_MAX = 64 };
int spool_append_many(struct spool *, const struct spool_record *, unsigned n, uint64_t *ret_position);
/* Once it has failed, appends and syncs fail until the spool is opened anew: what the disk holds is unknown till then. */
int spool_sync(struct spool *);
/* Do so many segments wait for a sync that an append may soon have to make it? Then somebody else had better. Any thread. */
bool spool_wants_sync(struct spool *);

/*
 * The next record that was not read since open. The views are valid until the next call of spool_next. -EAGAIN: nothing
 * new. -EBADMSG: the record is damaged (bit rot): it is skipped and counted; call again. Other -errno: a segment cannot be
 * opened now (too many open files): nothing is skipped, try again later.
 */
int spool_next(struct spool *, struct spool_record *ret_record, uint64_t *ret_position);
/* Everything up to and with this position was delivered. */
void spool_forget(struct spool *, uint64_t position);
/* Reads again from the first record that was not forgotten. */
void spool_rewind(struct spool *);

struct spool_state {
	uint64_t bytes, records;      /* held: appended and not forgotten; exact but for what is damaged */
	uint64_t forgotten;           /* the position up to which it was */
	uint64_t torn_bytes, damaged; /* cut at open; skipped by spool_next */
};
struct spool_state spool_state(const struct spool *);
