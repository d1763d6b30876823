#include "router/input/source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config/config.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"

int source_init(struct source *s, const struct input_options *options, struct err *err)
{
	memset(s, 0, sizeof *s);
	s->options = *options;
	s->position = options->position;
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

void source_trouble(struct source *s, const struct err *err)
{
	char text[ERR_FILE_MAX + ERR_TEXT_MAX];
	feed_trouble(s->options.feed, "%s", err_print(err, text, sizeof text));
}

static int feed_long(struct feed *f, struct lines *lines, struct chunk *chunk, uint64_t end, struct feed_origin *origin)
{
	int r = feed_catch_up(f);
	if (r == 0)
		r = feed_too_long(f, (struct view){ chunk->bytes, chunk->len }, lines_long_total(lines), end, origin);
	origin->first_line++;
	return r;
}

/* Hands one result of lines_next on, and moves on behind it. `waits`: the next one may have to be waited for. False: stopped. */
static bool hand_on(struct source *s, struct lines *lines, enum lines_result result, struct chunk *chunk, uint64_t consumed,
	struct feed_origin *origin, bool waits)
{
	const uint64_t zeros = result == LINES_SOME ? consumed - chunk->len : 0; /* in front, passed over */
	const uint64_t end = s->position + consumed;
	origin->offset += zeros;
	int r = result != LINES_SOME ? feed_long(s->options.feed, lines, chunk, end, origin) :
		waits                ? feed_now(s->options.feed, chunk, end, origin) :
				       feed_ahead(s->options.feed, chunk, end, origin);
	chunk_release(chunk);
	if (r < 0)
		return false;
	s->position = end;
	origin->offset += consumed - zeros;
	return true;
}

static void catch_up(void *context)
{
	struct source *s = context;
	(void)feed_catch_up(s->options.feed); /* what is wrong is said by the next call too */
}

enum lines_result source_feed(struct source *s, struct reader *reader, enum lines_hold hold, struct feed_origin *origin)
{
	struct lines *lines = lines_create(reader, s->options.budget, s->options.config->max_event_bytes);
	enum lines_result result;
	struct chunk *chunk;
	struct err err;
	uint64_t done, total, before = 0;
	reader_wake_fd(reader, s->stop_fd);
	lines_hold(lines, hold);
	lines_before_wait(lines, catch_up, s);
	for (;;) {
		result = lines_next(lines, &chunk, &err);
		if (result != LINES_SOME && result != LINES_TOO_LONG)
			break;
		if (!hand_on(s, lines, result, chunk, lines_position(lines) - before, origin, reader_waits(reader))) {
			result = LINES_STOPPED;
			break;
		}
		before = lines_position(lines);
		reader_progress(reader, &done, &total);
		s->done = s->packed_before + done;
	}
	if (feed_catch_up(s->options.feed) < 0)
		result = LINES_STOPPED;
	if (result == LINES_FAILED)
		source_trouble(s, &err);
	lines_destroy(lines);
	reader_progress(reader, &done, &total);
	s->packed_before += done;
	s->done = s->packed_before;
	return result;
}

bool source_read(struct source *s, const char *path)
{
	struct reader *reader;
	struct err err;
	if (source_stopped(s))
		return false;
	if (reader_open(&reader, path, &err) < 0) {
		source_trouble(s, &err);
		return true;
	}
	struct feed_origin origin = { .file = strcmp(path, "-") == 0 ? "stdin" : path, .first_line = 1 };
	enum lines_result result = source_feed(s, reader, LINES_HOLD_NOTHING, &origin);
	reader_close(reader);
	return result != LINES_STOPPED;
}
