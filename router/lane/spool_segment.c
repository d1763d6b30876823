#include "router/lane/spool_segment.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/crc32c.h"
#include "router/lane/spool.h"

enum { WINDOW_BYTES = 1 << 20, NAME_DIGITS = 20 };

static const char segment_magic[8] = "arspool\n", cursor_magic[8] = "arcursor", record_magic[4] = "\001rec";
static const char name_suffix[] = ".segment";

void segment_name(uint64_t first, char *text)
{
	(void)snprintf(text, SEGMENT_NAME_ROOM, "%0*llu%s", NAME_DIGITS, (unsigned long long)first, name_suffix);
}

bool segment_name_parse(const char *name, uint64_t *ret_first)
{
	uint64_t first = 0;
	for (int i = 0; i < NAME_DIGITS; i++) {
		unsigned digit = (unsigned)(name[i] - '0');
		if (digit > 9 || first > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		first = first * 10 + digit;
	}
	*ret_first = first;
	return strcmp(name + NAME_DIGITS, name_suffix) == 0;
}

static int write_one(const struct spool_files *files, int file, const void *bytes, size_t len, uint64_t offset)
{
	struct iovec part = { (void *)bytes, len };
	return files->write(files->disk, file, &part, 1, offset);
}

int segment_write_header(const struct spool_files *files, int file, uint64_t first, uint64_t number)
{
	struct segment_header h = {
		.version = htole32(SPOOL_VERSION),
		.first = htole64(first),
		.number = htole64(number),
	};
	memcpy(h.magic, segment_magic, sizeof h.magic);
	h.crc = htole32(crc32c_add(0, &h, offsetof(struct segment_header, crc)));
	return write_one(files, file, &h, sizeof h, 0);
}

int segment_read_header(const struct spool_files *files, int file, uint64_t first,
	enum segment_header_state *ret_state, uint64_t *ret_number)
{
	struct segment_header h;
	char more;
	ssize_t n = files->read(files->disk, file, &h, sizeof h, 0);
	if (n < 0)
		return (int)n;
	bool whole = (size_t)n == sizeof h, magic = whole && memcmp(h.magic, segment_magic, sizeof h.magic) == 0;
	if (magic && le32toh(h.version) != SPOOL_VERSION)
		*ret_state = SEGMENT_NEWER;
	else if (magic && le32toh(h.crc) == crc32c_add(0, &h, offsetof(struct segment_header, crc)) &&
		 le64toh(h.first) == first)
		*ret_state = SEGMENT_GOOD;
	else if (!whole || files->read(files->disk, file, &more, 1, sizeof h) <= 0)
		*ret_state = SEGMENT_UNBORN;
	else
		*ret_state = magic ? SEGMENT_DAMAGED : SEGMENT_FOREIGN;
	if (*ret_state == SEGMENT_GOOD)
		*ret_number = le64toh(h.number);
	return 0;
}

uint64_t frame_size(const struct spool_record *r)
{
	return sizeof(struct record_header) + r->rule.len + r->input.len + r->cluster.len + r->event.len;
}

static struct iovec part_of(struct view v, uint32_t *crc)
{
	if (v.len)
		*crc = crc32c_add(*crc, v.ptr, v.len);
	return (struct iovec){ (void *)v.ptr, v.len };
}

void frame_make(const struct spool_record *r, const struct frame *frame, uint64_t start,
	struct record_header *ret_header, struct iovec *ret_parts)
{
	uint32_t crc = 0;
	assert(r->rule.len <= UINT8_MAX);
	assert(r->input.len <= UINT8_MAX);
	assert(r->cluster.len <= UINT8_MAX);
	ret_parts[0] = (struct iovec){ ret_header, sizeof *ret_header };
	ret_parts[1] = part_of(r->rule, &crc);
	ret_parts[2] = part_of(r->input, &crc);
	ret_parts[3] = part_of(r->cluster, &crc);
	ret_parts[4] = part_of(r->event, &crc);
	*ret_header = (struct record_header){
		.class_ = r->class_,
		.rule_len = (uint8_t)r->rule.len,
		.input_len = (uint8_t)r->input.len,
		.cluster_len = (uint8_t)r->cluster.len,
		.start = htole64(start),
		.number = htole64(frame->number),
		.durable = htole64(frame->durable),
		.seq = htole64(r->seq),
		.event_len = htole64(r->event.len),
		.body_crc = htole32(crc),
	};
	memcpy(ret_header->magic, record_magic, sizeof ret_header->magic);
	ret_header->header_crc =
		htole32(crc32c_add(0, ret_header, offsetof(struct record_header, header_crc)));
}

void window_enter(struct window *w, const struct spool_files *files, int file)
{
	w->files = files;
	w->file = file;
	w->at = w->len = 0;
}

void window_finish(struct window *w)
{
	free(w->bytes);
	*w = (struct window){ .file = -1 };
}

/* A window that fits: what one large record needed is not kept for the small ones after it. */
static void window_resize(struct window *w, uint64_t bytes)
{
	if (w->room >= bytes && w->room <= WINDOW_BYTES)
		return;
	if (w->room == bytes)
		return;
	free(w->bytes);
	w->bytes = mem_alloc(bytes);
	w->room = bytes;
}

/* `len` bytes at that offset, of a file that is read up to `limit` only; NULL when it has not so many or fails. */
static const char *window_load(struct window *w, uint64_t offset, uint64_t len, uint64_t limit)
{
	if (offset > limit || len > limit - offset)
		return NULL;
	if (offset < w->at || offset - w->at > w->len || len > w->len - (offset - w->at)) {
		uint64_t more = limit - offset < WINDOW_BYTES ? limit - offset : WINDOW_BYTES;
		window_resize(w, len > more ? len : more);
		w->at = offset;
		w->len = 0;
		ssize_t n = w->files->read(w->files->disk, w->file, w->bytes, len > more ? len : more, offset);
		if (n < 0 && len < more) /* a bad sector further on is not this record's fault */
			n = w->files->read(w->files->disk, w->file, w->bytes, len, offset);
		if (n < 0 || (uint64_t)n < len)
			return NULL;
		w->len = (uint64_t)n;
	}
	return w->bytes + (offset - w->at);
}

static uint64_t offset_of(uint64_t first, uint64_t position)
{
	return sizeof(struct segment_header) + (position - first);
}

static bool header_good(const struct record_header *h, uint64_t start)
{
	return memcmp(h->magic, record_magic, sizeof h->magic) == 0 && le64toh(h->start) == start &&
	       le32toh(h->header_crc) == crc32c_add(0, h, offsetof(struct record_header, header_crc));
}

static struct view take(const char **p, uint64_t len)
{
	struct view v = { *p, len };
	*p += len;
	return v;
}

enum frame_state segment_frame(struct window *w, uint64_t first, uint64_t start, uint64_t end,
	struct frame *ret_frame, struct spool_record *ret_record)
{
	struct record_header h;
	uint64_t offset = offset_of(first, start), limit = offset_of(first, end);
	const char *bytes = window_load(w, offset, sizeof h, limit);
	if (!bytes)
		return FRAME_LOST;
	memcpy(&h, bytes, sizeof h);
	uint64_t names = (uint64_t)h.rule_len + h.input_len + h.cluster_len, event_len = le64toh(h.event_len);
	if (!header_good(&h, start) || event_len > end - start || sizeof h + names + event_len > end - start)
		return FRAME_LOST;
	*ret_frame = (struct frame){
		.size = sizeof h + names + event_len,
		.number = le64toh(h.number),
		.durable = le64toh(h.durable),
	};
	bytes = window_load(w, offset, ret_frame->size, limit);
	if (!bytes)
		return FRAME_DAMAGED;
	bytes += sizeof h;
	if (le32toh(h.body_crc) != crc32c_add(0, bytes, names + event_len))
		return FRAME_DAMAGED;
	ret_record->seq = le64toh(h.seq);
	ret_record->class_ = h.class_;
	ret_record->rule = take(&bytes, h.rule_len);
	ret_record->input = take(&bytes, h.input_len);
	ret_record->cluster = take(&bytes, h.cluster_len);
	ret_record->event = take(&bytes, event_len);
	return FRAME_GOOD;
}

bool segment_number(const struct spool_files *files, int file, uint64_t first, uint64_t start, uint64_t *ret_number)
{
	struct record_header h;
	ssize_t n = files->read(files->disk, file, &h, sizeof h, offset_of(first, start));
	if (n != (ssize_t)sizeof h || !header_good(&h, start))
		return false;
	*ret_number = le64toh(h.number);
	return true;
}

bool segment_durable(struct window *w, uint64_t first, uint64_t end, uint64_t *durable)
{
	struct frame f;
	struct spool_record r;
	bool found = false;
	for (uint64_t at = first; at < end; at += f.size) {
		enum frame_state state = segment_frame(w, first, at, end, &f, &r);
		if (state == FRAME_LOST)
			break;
		found = found || state == FRAME_GOOD;
		if (state == FRAME_GOOD && f.durable > *durable)
			*durable = f.durable;
	}
	return found;
}

void segment_scan(struct window *w, uint64_t first, uint64_t end, uint64_t durable, struct segment_tail *tail)
{
	struct frame f;
	struct spool_record r;
	for (uint64_t at = tail->end; at < end; at += f.size) {
		enum frame_state state = segment_frame(w, first, at, end, &f, &r);
		if (state == FRAME_LOST || (state == FRAME_DAMAGED && at + f.size > durable))
			return;
		*tail = (struct segment_tail){ at + f.size, f.number + 1, state == FRAME_GOOD ? f.durable : tail->durable };
	}
}

int cursor_write(const struct spool_files *files, int file, struct cursor_slot *next)
{
	struct cursor_slot slot = {
		.version = htole32(SPOOL_VERSION),
		.generation = htole64(next->generation),
		.position = htole64(next->position),
		.number = htole64(next->number),
		.durable = htole64(next->durable),
	};
	memcpy(slot.magic, cursor_magic, sizeof slot.magic);
	slot.crc = htole32(crc32c_add(0, &slot, offsetof(struct cursor_slot, crc)));
	int r = write_one(files, file, &slot, sizeof slot, next->generation % 2 ? 0 : CURSOR_SLOT_STEP);
	return r < 0 ? r : files->sync(files->disk, file);
}

int cursor_read(const struct spool_files *files, int file, struct cursor_slot *ret_slot)
{
	struct cursor_slot found = { .generation = 0 };
	for (uint64_t offset = 0; offset <= CURSOR_SLOT_STEP; offset += CURSOR_SLOT_STEP) {
		struct cursor_slot slot;
		ssize_t n = files->read(files->disk, file, &slot, sizeof slot, offset);
		if (n < 0)
			return (int)n;
		if (n != (ssize_t)sizeof slot || memcmp(slot.magic, cursor_magic, sizeof slot.magic) != 0)
			continue;
		if (le32toh(slot.version) != SPOOL_VERSION)
			return -EBADMSG;
		if (le32toh(slot.crc) != crc32c_add(0, &slot, offsetof(struct cursor_slot, crc)) ||
			le64toh(slot.generation) <= found.generation || le64toh(slot.position) > INT64_MAX / 2)
			continue;
		found.generation = le64toh(slot.generation);
		found.position = le64toh(slot.position);
		found.number = le64toh(slot.number);
		found.durable = le64toh(slot.durable);
	}
	*ret_slot = found;
	return 0;
}
