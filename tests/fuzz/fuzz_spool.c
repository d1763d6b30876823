/*
 * A spool made of any bytes: spool_open and spool_next never crash, overread or go round in circles, and what is appended
 * afterwards comes out, now and after another open.
 *
 * Input: 1 byte of what follows (bit 0: a cursor of 4152 bytes' worth, bit 1: an older segment), the cursor's two slots,
 * 2 bytes of the older segment's length, that segment, the newest segment. A header that lacks a right checksum gets one
 * where bit 2 is set, so that the search is not stopped by the first CRC.
 */
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/crc32c.h"
#include "router/lane/spool.h"
#include "router/lane/spool_segment.h"
#include "tests/tools/sim_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HAS_CURSOR = 1, HAS_OLDER = 2, MEND = 4 };

/* At most `want` of the input. */
static struct view cut(struct view *input, size_t want)
{
	struct view v = { input->ptr, want < input->len ? want : input->len };
	input->ptr += v.len;
	input->len -= v.len;
	return v;
}

static void mend(char *bytes, size_t room, size_t len)
{
	if (room < len)
		return;
	uint32_t crc = htole32(crc32c_add(0, bytes, len - sizeof crc));
	memcpy(bytes + len - sizeof crc, &crc, sizeof crc);
}

static void put_segment(struct sim_disk *disk, uint64_t first, struct view content, bool mended)
{
	char name[SEGMENT_NAME_ROOM];
	struct buf bytes = { 0 };
	segment_name(first, name);
	buf_add_view(&bytes, content);
	size_t at = sizeof(struct segment_header);
	if (mended)
		mend(bytes.ptr, bytes.len, at);
	while (mended && at < bytes.len && bytes.len - at >= sizeof(struct record_header)) {
		struct record_header h;
		uint32_t crc;
		memcpy(&h, bytes.ptr + at, sizeof h);
		uint64_t body = (uint64_t)h.rule_len + h.input_len + h.cluster_len + le64toh(h.event_len);
		if (le64toh(h.event_len) > bytes.len || body > bytes.len - at - sizeof h)
			body = 0;
		crc = htole32(crc32c_add(0, bytes.ptr + at + sizeof h, body));
		if (h.class_ & 1)
			memcpy(bytes.ptr + at + offsetof(struct record_header, body_crc), &crc, sizeof crc);
		mend(bytes.ptr + at, bytes.len - at, sizeof h);
		at += sizeof h + body;
	}
	sim_disk_put(disk, name, bytes.ptr, bytes.len);
	buf_finish(&bytes);
}

static void put_cursor(struct sim_disk *disk, struct view slots, bool mended)
{
	char bytes[CURSOR_SLOT_STEP + sizeof(struct cursor_slot)] = { 0 };
	size_t half = slots.len / 2;
	memcpy(bytes, slots.ptr, half);
	memcpy(bytes + CURSOR_SLOT_STEP, slots.ptr + half, half);
	if (mended) {
		mend(bytes, sizeof bytes, sizeof(struct cursor_slot));
		mend(bytes + CURSOR_SLOT_STEP, sizeof(struct cursor_slot), sizeof(struct cursor_slot));
	}
	sim_disk_put(disk, "cursor", bytes, sizeof bytes);
}

static struct spool *open_on(struct sim_disk *disk)
{
	struct spool *s = NULL;
	struct err err;
	struct spool_files files = sim_disk_files(disk);
	struct spool_options options = { .folder = "fuzz", .bytes_max = 1 << 30, .segment_bytes = 4096 };
	return spool_open_files(&s, &options, &files, &err) < 0 ? NULL : s;
}

static volatile uint32_t every_byte_read;

/* Reads to the end; true when the last record is the one with that seq. */
static bool drain(struct spool *s, size_t input_bytes, uint64_t seq, bool forget)
{
	struct spool_record r;
	uint64_t position, last = 0;
	bool found = false;
	for (size_t calls = 0;; calls++) {
		int got = spool_next(s, &r, &position);
		if (got == -EAGAIN)
			return found;
		if (calls > input_bytes + 10)
			abort(); /* each call gets on by a header at least */
		if (got == -EBADMSG)
			continue;
		if (got < 0 || position <= last)
			abort();
		last = position;
		every_byte_read = crc32c_add(0, r.event.ptr, r.event.len);
		found = r.seq == seq && view_eq(r.event, VIEW("{\"last\":true}"));
		if (forget && calls % 3 == 0)
			spool_forget(s, position);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct spool_record last = { .seq = 0x5eed, .rule = VIEW("r"), .event = VIEW("{\"last\":true}") };
	struct view input = { (const char *)data, size }, flags = cut(&input, 1);
	int what = flags.len ? flags.ptr[0] : 0;
	uint64_t position, first = 0;
	struct sim_disk *disk = sim_disk_create();
	if (what & HAS_CURSOR)
		put_cursor(disk, cut(&input, 2 * sizeof(struct cursor_slot)), what & MEND);
	if (what & HAS_OLDER) {
		struct view len = cut(&input, 2);
		struct view older = cut(&input,
			len.len == 2 ? (size_t)((unsigned char)len.ptr[0] | (unsigned char)len.ptr[1] << 8) : 0);
		put_segment(disk, 0, older, what & MEND);
		first = older.len > sizeof(struct segment_header) ? older.len - sizeof(struct segment_header) : 1;
	}
	put_segment(disk, first, input, what & MEND);

	struct spool *s = open_on(disk);
	if (s) {
		(void)drain(s, size, 0, true);
		spool_rewind(s);
		if (spool_append(s, &last, &position) || !drain(s, size, last.seq, false) || spool_sync(s))
			abort();
		spool_close(s);
		s = open_on(disk);
		if (!s || !drain(s, size + 100, last.seq, false))
			abort();
		spool_close(s);
	}
	sim_disk_destroy(disk);
	return 0;
}
