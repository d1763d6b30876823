/* The reader's side of the spool: one record after the other, distrusting the disk. */
#include <errno.h>

#include "router/lane/spool_priv.h"

void spool_reader_leave(struct spool *s)
{
	struct window *w = &s->reader.window;
	if (w->file >= 0)
		s->files.close(s->files.disk, w->file);
	w->file = -1;
}

/* The segment that holds the record at `position`, or the next one after it. False: that is the end. */
static bool segment_from(struct spool *s, uint64_t position, struct segment *ret_segment)
{
	bool found = false;
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_segments && !found; i++)
		if (s->segments[i].end > position) {
			*ret_segment = s->segments[i];
			found = true;
		}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

static int enter(struct spool *s, uint64_t first)
{
	char name[SEGMENT_NAME_ROOM];
	if (s->reader.window.file >= 0 && s->reader.first == first)
		return 0;
	spool_reader_leave(s);
	segment_name(first, name);
	int file = s->files.open(s->files.disk, name, false);
	if (file < 0)
		return file;
	window_enter(&s->reader.window, &s->files, file);
	s->reader.first = first;
	return 0;
}

/* What stands between the reader and `to` cannot be read. */
static int skip(struct spool *s, uint64_t to)
{
	uint64_t from = s->reader.position;
	(void)pthread_mutex_lock(&s->lock);
	if (to > s->counted_to) {
		s->damaged++;
		s->counted_to = to;
	}
	if (s->gap_to != from)
		s->gap_from = from;
	s->gap_to = to;
	bool first_held = s->forgotten == from;
	(void)pthread_mutex_unlock(&s->lock);
	s->reader.position = to;
	if (first_held)
		spool_forget_to(s, to);
	return -EBADMSG;
}

int spool_next(struct spool *s, struct spool_record *ret_record, uint64_t *ret_position)
{
	struct spool_reader *reader = &s->reader;
	struct segment segment;
	struct frame frame;
	struct spool_record record;
	if (!segment_from(s, reader->position, &segment))
		return -EAGAIN;
	if (segment.first > reader->position)
		return skip(s, segment.first);
	int r = enter(s, segment.first);
	if (r == -ENOENT || r == -EIO)
		return skip(s, segment.end);
	if (r < 0)
		return r;
	switch (segment_frame(&reader->window, segment.first, reader->position, segment.end, &frame, &record)) {
	case FRAME_LOST:
		return skip(s, segment.end);
	case FRAME_DAMAGED:
		return skip(s, reader->position + frame.size);
	case FRAME_GOOD:
		break;
	}
	reader->position += frame.size;
	reader->number_at = reader->position;
	reader->number = frame.number + 1;
	*ret_record = record;
	*ret_position = reader->position;
	return 0;
}

void spool_forget(struct spool *s, uint64_t position)
{
	spool_forget_to(s, position);
}

void spool_rewind(struct spool *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->reader.position = s->forgotten;
	(void)pthread_mutex_unlock(&s->lock);
}
