#include "router/cmd/replay_input.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/event/decode.h"
#include "router/event/line.h"
#include "router/event/text.h"
#include "router/input/lines.h"
#include "router/input/reader.h"
#include "router/lane/chunk.h"

enum { NAME_ROOM = 256 };

/* What a letter says of its event; "": nothing. */
struct letter_names {
	char output[NAME_ROOM]; /* "": every one */
	char input[NAME_ROOM], cluster[NAME_ROOM];
};

struct input {
	struct input_options options;
	const char *path;
	struct decoder *decoder;
	char **outputs;              /* by lane */
	uint64_t *skip;              /* by lane: for the output in hand */
	struct letter_names names;   /* of the events below */
	struct buf events;           /* a line each */
	uint64_t position, line, first_line;
	uint64_t without_event;
	atomic_bool stopped;
	_Atomic uint64_t done, total;
};

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	struct input *in = mem_zero(1, sizeof *in);
	(void)err;
	in->options = *options;
	in->path = *(char *const *)options->input->own;
	in->decoder = decode_create(DECODE_BEST);
	in->outputs = mem_zero(options->n_lanes, sizeof(char *));
	in->skip = mem_zero(options->n_lanes, sizeof *in->skip);
	for (unsigned i = 0; i < options->n_lanes; i++)
		in->outputs[i] = mem_text(view_of(options->lane_outputs[i]));
	*ret_input = in;
	return 0;
}

static void close_input(struct input *in)
{
	for (unsigned i = 0; i < in->options.n_lanes; i++)
		free(in->outputs[i]);
	free(in->outputs);
	free(in->skip);
	buf_finish(&in->events);
	decode_destroy(in->decoder);
	free(in);
}

/* Feeds what was gathered for one output, as of the input and cluster that it came from. False: stopped. */
static bool flush_events(struct input *in)
{
	if (!in->events.len)
		return true;
	bool known = !in->names.output[0];
	for (unsigned i = 0; i < in->options.n_lanes; i++) {
		bool meant = !in->names.output[0] || strcmp(in->names.output, in->outputs[i]) == 0;
		known = known || meant;
		in->skip[i] = meant ? 0 : UINT64_MAX;
	}
	if (!known) {
		feed_trouble(in->options.feed, "%s: output \"%s\" is not in the configuration: its dead letters are left",
			in->path, in->names.output);
		buf_clear(&in->events);
		return true;
	}
	struct chunk *chunk = chunk_adopt(in->options.budget, &in->events);
	struct feed_origin origin = {
		.file = in->path,
		.first_line = in->first_line,
		.lane_skip = in->skip,
		.input = in->names.input[0] ? in->names.input : NULL,
		.cluster = in->names.cluster[0] ? in->names.cluster : NULL,
	};
	in->position += chunk->len;
	int64_t n = feed_chunk(in->options.feed, chunk, (struct view){ chunk->bytes, chunk->len }, in->position, &origin);
	chunk_release(chunk);
	return n >= 0;
}

static void take_name(struct view letter, struct view key, char *name)
{
	struct view text = text_get(letter, key);
	if (text.len >= 2 && text.len < NAME_ROOM && text.ptr[0] == '"')
		name[text_unescape((struct view){ text.ptr + 1, text.len - 2 }, name)] = 0;
}

static bool same_names(const struct letter_names *a, const struct letter_names *b)
{
	return strcmp(a->output, b->output) == 0 && strcmp(a->input, b->input) == 0 && strcmp(a->cluster, b->cluster) == 0;
}

/* One dead letter. False: stopped. */
static bool take_letter(struct input *in, struct view line)
{
	struct event ignored;
	size_t at;
	struct letter_names names = { 0 };
	in->line++;
	enum decode_result result = decode_line(in->decoder, line, &ignored, &at);
	if (result == DECODE_EMPTY)
		return true;
	struct view event = result == DECODE_NOT_EVENT ? text_get(line, VIEW("event")) : VIEW("");
	if (!event.len || event.ptr[0] != '{') {
		in->without_event++;
		return true;
	}
	take_name(line, VIEW("output"), names.output);
	take_name(line, VIEW("input"), names.input);
	take_name(line, VIEW("cluster"), names.cluster);
	if (!same_names(&names, &in->names) || in->events.len > LINES_CHUNK_BYTES) {
		if (!flush_events(in))
			return false;
		in->names = names;
	}
	if (!in->events.len)
		in->first_line = in->line;
	buf_add_view(&in->events, event);
	buf_add_byte(&in->events, '\n');
	return true;
}

static bool take_chunk(struct input *in, struct chunk *chunk)
{
	struct view rest = { chunk->bytes, chunk->len }, line;
	bool goes_on = true;
	while (goes_on && line_next(&rest, &line))
		goes_on = take_letter(in, line);
	chunk_release(chunk);
	return goes_on && !in->stopped;
}

static void read_letters(struct input *in, struct reader *reader)
{
	/* A dead letter is longer than its event by what stands around it. */
	uint64_t line_max = in->options.config->max_event_bytes + LINES_HEAD_MAX;
	struct lines *lines = lines_create(reader, in->options.budget, line_max);
	struct err err;
	struct chunk *chunk;
	bool goes_on = true;
	while (goes_on) {
		uint64_t done, total;
		enum lines_result result = lines_next(lines, &chunk, &err);
		if (result == LINES_SOME) {
			goes_on = take_chunk(in, chunk);
		} else if (result == LINES_TOO_LONG) {
			in->line++;
			in->without_event++;
			chunk_release(chunk);
		} else {
			if (result == LINES_FAILED)
				feed_trouble(in->options.feed, "%s: %s", in->path, err.text);
			goes_on = false;
		}
		reader_progress(reader, &done, &total);
		in->done = done;
		in->total = total;
	}
	lines_destroy(lines);
}

static void run(struct input *in)
{
	struct reader *reader;
	struct err err;
	if (reader_open(&reader, in->path, &err) < 0) {
		feed_trouble(in->options.feed, "%s: %s", in->path, err.text);
		return;
	}
	read_letters(in, reader);
	(void)flush_events(in);
	reader_close(reader);
	if (in->without_event)
		feed_trouble(in->options.feed, "%s: %llu dead letters hold no event, and are left", in->path,
			(unsigned long long)in->without_event);
}

static void stop(struct input *in)
{
	in->stopped = true;
}

static void progress(const struct input *in, uint64_t *ret_done, uint64_t *ret_total)
{
	*ret_done = in->done;
	*ret_total = in->total;
}

const struct input_ops input_replay = {
	.name = "replay",
	.help = "Dead letters, once more.",
	.epochs = true,
	.open = open_input,
	.run = run,
	.stop = stop,
	.progress = progress,
	.close = close_input,
};
