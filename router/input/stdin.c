/* stdin -- standard input, to its end. */
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/input/source.h"

struct input {
	struct source source;
};

static const struct setting rows[] = { { .key = NULL } };

static const struct section settings = {
	.name = "input.stdin",
	.help = "Standard input, with one event a line; plain, gzip or zstd.",
	.size = 1,
	.rows = rows,
};

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	struct input *input = mem_zero(1, sizeof *input);
	int r = source_init(&input->source, options, err);
	if (r < 0) {
		free(input);
		return r;
	}
	*ret_input = input;
	return 0;
}

static void close_input(struct input *input)
{
	source_finish(&input->source);
	free(input);
}

static void run(struct input *input)
{
	(void)source_read(&input->source, "-");
	if (!input->source.options.once)
		source_wait(&input->source);
}

static void stop(struct input *input)
{
	source_stop(&input->source);
}

static void progress(const struct input *input, uint64_t *ret_done, uint64_t *ret_total)
{
	source_progress(&input->source, ret_done, ret_total);
}

const struct input_ops input_stdin = {
	.name = "stdin",
	.help = "Standard input, with one event a line; plain, gzip or zstd.",
	.settings = &settings,
	.epochs = true,
	.open = open_input,
	.run = run,
	.stop = stop,
	.progress = progress,
	.close = close_input,
};
