#include "router/input/source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config/config.h"
#include "router/input/lines.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"

int source_init(struct source *s, const struct input_options *options, struct err *err)
{
	memset(s, 0, sizeof *s);
	s->options = *options;
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->stop_fd >= 0)
		return 0;
	int code = -errno;
	(void)err_set(err, "eventfd: %s", strerror(-code));
	return code;
}

void source_finish(struct source *s)
{
	(void)close(s->stop_fd);
}

void source_stop(struct source *s)
{
	uint64_t one = 1;
	(void)!write(s->stop_fd, &one, sizeof one);
}

static bool wait_stop(const struct source *s, int timeout_ms)
{
	struct pollfd fd = { .fd = s->stop_fd, .events = POLLIN };
	int n;
	do
		n = poll(&fd, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n != 0;
}

void source_wait(struct source *s)
{
	(void)wait_stop(s, -1);
}

bool source_stopped(const struct source *s)
{
	return wait_stop(s, 0);
}

void source_progress(const struct source *s, uint64_t *ret_done, uint64_t *ret_total)
{
	*ret_done = s->done;
	*ret_total = s->total;
}

static void trouble(struct source *s, const struct err *err)
{
	char text[ERR_FILE_MAX + ERR_TEXT_MAX];
	feed_trouble(s->options.feed, "%s", err_print(err, text, sizeof text));
}

/* Hands one result of lines_next on, and counts its lines. False: stopped. */
static bool feed(struct source *s, struct lines *lines, enum lines_result result, struct chunk *chunk,
	struct feed_origin *origin)
{
	struct view bytes = { chunk->bytes, chunk->len };
	uint64_t end = s->position + lines_position(lines);
	int64_t n = 1;
	int r = 0;
	if (result == LINES_SOME)
		n = feed_chunk(s->options.feed, chunk, bytes, end, origin);
	else
		r = feed_too_long(s->options.feed, bytes, lines_long_total(lines), end, origin);
	chunk_release(chunk);
	if (n < 0 || r < 0)
		return false;
	origin->first_line += (uint64_t)n;
	return true;
}

static bool feed_all(struct source *s, struct reader *reader, struct lines *lines)
{
	const char *name = reader_name(reader);
	struct feed_origin origin = { .file = strcmp(name, "-") == 0 ? "stdin" : name, .first_line = 1 };
	struct chunk *chunk;
	struct err err;
	for (;;) {
		uint64_t done, total;
		enum lines_result result = lines_next(lines, &chunk, &err);
		if (result == LINES_FAILED)
			trouble(s, &err);
		if (result == LINES_END || result == LINES_FAILED)
			return true;
		if (result == LINES_STOPPED || !feed(s, lines, result, chunk, &origin))
			return false;
		reader_progress(reader, &done, &total);
		s->done = s->packed_before + done;
	}
}

bool source_read(struct source *s, const char *path)
{
	struct reader *reader;
	struct err err;
	uint64_t done, total;
	if (source_stopped(s))
		return false;
	if (reader_open(&reader, path, &err) < 0) {
		trouble(s, &err);
		return true;
	}
	reader_wake_fd(reader, s->stop_fd);
	struct lines *lines = lines_create(reader, s->options.budget, s->options.config->max_event_bytes);
	bool went_on = feed_all(s, reader, lines);
	s->position += lines_position(lines);
	reader_progress(reader, &done, &total);
	s->packed_before += done;
	s->done = s->packed_before;
	lines_destroy(lines);
	reader_close(reader);
	return went_on;
}
