#include "router/input/segments.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

void segments_finish(struct segments *s)
{
	free(s->list);
	memset(s, 0, sizeof *s);
}

bool segments_begin(struct segments *s, uint64_t position, uint64_t file, uint64_t offset)
{
	if (s->n) {
		struct segment *last = &s->list[s->n - 1];
		assert(position >= last->start);
		if (last->file == file && last->offset + (position - last->start) == offset)
			return false;
		if (last->start == position) {
			*last = (struct segment){ position, file, offset };
			return true;
		}
	}
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 8;
		s->list = mem_resize(s->list, s->room * sizeof *s->list);
	}
	s->list[s->n++] = (struct segment){ position, file, offset };
	return true;
}

/* Where the segment ends, as far as `position`. */
static uint64_t end_before(const struct segments *s, size_t i, uint64_t position)
{
	return i + 1 < s->n && s->list[i + 1].start < position ? s->list[i + 1].start : position;
}

uint64_t segments_offset(const struct segments *s, uint64_t position, uint64_t file, uint64_t known)
{
	for (size_t i = 0; i < s->n && s->list[i].start < position; i++)
		if (s->list[i].file == file)
			known = s->list[i].offset + (end_before(s, i, position) - s->list[i].start);
	return known;
}

bool segments_settle(struct segments *s, uint64_t position, uint64_t *ret_file, uint64_t *ret_offset)
{
	if (!s->n || s->list[0].start >= position)
		return false;
	struct segment *first = &s->list[0];
	uint64_t end = end_before(s, 0, position);
	first->offset += end - first->start;
	first->start = end;
	*ret_file = first->file;
	*ret_offset = first->offset;
	if (s->n > 1 && s->list[1].start == end)
		memmove(s->list, s->list + 1, --s->n * sizeof *s->list);
	return true;
}
