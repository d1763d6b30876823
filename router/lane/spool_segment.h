#pragma once
/*
 * spool_segment -- private to the spool: the bytes on disk, and how they are read back with distrust.
 *
 *   FOLDER/lock                           flock()ed by the process that has the spool open
 *   FOLDER/cursor                         how far was forgotten; two struct cursor_slot, written in turn
 *   FOLDER/00000000000000000000.segment   records from position 0 on
 *   FOLDER/00000000000016780032.segment   records from that position on
 *
 * A position counts the bytes of all records ever appended, without the segments' headers; a record's position is where
 * it ends, which is where the next one starts. So a segment's name and length say which positions it holds, and opening
 * needs no index. All numbers are little-endian.
 *
 * Only what was appended since the last fsync can be torn: the newest segment, and at most SPOOL_PENDING_MAX before it
 * (spool_priv.h); headers and names are fsynced with the records. The cursor and each record say up to which position all was
 * fsynced: damage before that is bit rot, and never a reason to cut.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/view.h"
#include "router/lane/spool_files.h"

enum {
	SPOOL_VERSION = 1,
	SEGMENT_NAME_ROOM = 32,
	SPOOL_RECORD_PARTS = 5,
	CURSOR_SLOT_STEP = 4096, /* no two slots in one sector, whatever the disk calls a sector */
};

/* The first bytes of a segment. */
struct segment_header {
	char magic[8];       /* "arspool\n" */
	uint32_t version;    /* SPOOL_VERSION */
	uint32_t spare;      /* 0 */
	uint64_t first;      /* position, as in the name */
	uint64_t number;     /* of its first record: how many were ever appended before */
	uint32_t spare_too;  /* 0 */
	uint32_t crc;        /* CRC32C of the bytes above */
};
static_assert(sizeof(struct segment_header) == 40, "as on disk");

/*
 * A record: this header, then rule, input, cluster and event without anything between.
 *
 *    0  magic       01 'r' 'e' 'c': no valid JSON holds the byte 01, so no event can pass for a record
 *    4  class       5 rule_len       6 input_len      7 cluster_len
 *    8  start       position where the record starts: bytes of another place are not believed
 *   16  number      how many records were ever appended before it
 *   24  durable     position up to which all was fsynced when it was written: damage below is rot, not a torn write
 *   32  seq
 *   40  event_len
 *   48  body_crc    CRC32C of rule, input, cluster, event
 *   52  header_crc  CRC32C of the 52 bytes above
 *   56  rule, input, cluster, event
 */
struct record_header {
	char magic[4];
	uint8_t class_, rule_len, input_len, cluster_len;
	uint64_t start, number, durable, seq, event_len;
	uint32_t body_crc, header_crc;
};
static_assert(sizeof(struct record_header) == 56, "as on disk");

/* Of two slots the valid one with the higher generation counts; the other one is overwritten next. */
struct cursor_slot {
	char magic[8];        /* "arcursor" */
	uint32_t version;     /* SPOOL_VERSION */
	uint32_t spare;       /* 0 */
	uint64_t generation;  /* 1, 2, ...; odd ones stand at 0, even ones at CURSOR_SLOT_STEP */
	uint64_t position;    /* all before it was forgotten */
	uint64_t number;      /* of the first record that was not */
	uint64_t durable;     /* all before it was fsynced */
	uint32_t spare_too;   /* 0 */
	uint32_t crc;         /* CRC32C of the bytes above */
};
static_assert(sizeof(struct cursor_slot) == 56, "as on disk");

struct spool_record;

/* What is in a record's header beside the record. */
struct frame {
	uint64_t size;    /* header and body */
	uint64_t number, durable;
};

/* A part of a file in memory, so that one read serves many records. All zero is empty. */
struct window {
	const struct spool_files *files;
	int file;
	char *bytes;
	uint64_t at, len; /* offsets in the file */
	size_t room;
};
void window_enter(struct window *, const struct spool_files *, int file); /* nothing of it is loaded yet */
void window_finish(struct window *);

void segment_name(uint64_t first, char *text); /* text has SEGMENT_NAME_ROOM bytes */
bool segment_name_parse(const char *name, uint64_t *ret_first);

int segment_write_header(const struct spool_files *, int file, uint64_t first, uint64_t number);

enum segment_header_state {
	SEGMENT_GOOD,
	SEGMENT_UNBORN,  /* no more than a header's length, and not a header: a crash came before its first record */
	SEGMENT_DAMAGED, /* its header is; its records may be whole */
	SEGMENT_NEWER,   /* of another version of this program */
	SEGMENT_FOREIGN, /* not of this program, or never fsynced */
};
/* -errno when it cannot be read. *ret_number only when good. */
int segment_read_header(const struct spool_files *, int file, uint64_t first, enum segment_header_state *ret_state,
	uint64_t *ret_number);

/* Makes the header (header->start and what follows) and sets the five parts of the whole record. */
struct iovec;
uint64_t frame_size(const struct spool_record *);
void frame_make(const struct spool_record *, const struct frame *, uint64_t start, struct record_header *ret_header,
	struct iovec *ret_parts);

enum frame_state {
	FRAME_GOOD,
	FRAME_DAMAGED, /* its header is good, so the next record can be found: *ret_frame is set */
	FRAME_LOST,    /* its header is not: nothing more can be found in this segment */
};
/*
 * The record at position `start` of the segment that begins with position `first` and holds positions before `end`.
 * The record's views are valid until the window moves.
 */
enum frame_state segment_frame(struct window *, uint64_t first, uint64_t start, uint64_t end,
	struct frame *ret_frame, struct spool_record *ret_record);
/* The number in the header of the record there; false when it is damaged. Does not move any window. */
bool segment_number(const struct spool_files *, int file, uint64_t first, uint64_t start, uint64_t *ret_number);

/* What is worth keeping of the newest segment. */
struct segment_tail {
	uint64_t end;       /* position; after it come bytes that a crash tore */
	uint64_t number;    /* of the record that will be appended there */
	uint64_t durable;   /* what the last good record before it says */
};
/* Goes on from *tail, where a record starts, to the first one that is torn: damaged, and not durable. A lost one ends it in any case. */
void segment_scan(struct window *, uint64_t first, uint64_t end, uint64_t durable, struct segment_tail *tail);
/* Raises *durable to what the segment's records know. False: there is none that is good. */
bool segment_durable(struct window *, uint64_t first, uint64_t end, uint64_t *durable);

int cursor_write(const struct spool_files *, int file, struct cursor_slot *next);

/* The slot that counts; generation 0 when neither does. -EBADMSG: of a newer version. */
int cursor_read(const struct spool_files *, int file, struct cursor_slot *ret_slot);
