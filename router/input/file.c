/*
 * file -- a file, or the files that fit a pattern: followed as they grow and are rotated, or (once) read to their ends.
 *
 * What is no regular file (a FIFO, /dev/stdin) is read as it comes, and nothing of it is remembered.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/input/file_state.h"
#include "router/input/follow.h"

enum { FROM_START, FROM_END };

struct file_settings {
	char *path;
	int from;
};

struct input {
	struct source source;
	struct follow *follow; /* NULL: no regular file */
};

static const char *const from_choices[] = { "start", "end", NULL };

static const struct setting rows[] = {
	{
		.key = "path",
		.type = SETTING_PATH,
		.required = true,
		.offset = offsetof(struct file_settings, path),
		.help = "The file, or a pattern of files such as `/var/log/*/audit.log`: what has one of `*?[` is a pattern, and a file "
			"of just that name is read too. It is followed through rotation "
			"(`audit-2006-01-02T15-04-05.000.log`, `audit.log.1`, `audit.log-20060102`, each also `.gz` or `.zst`), each file "
			"to its end and once, under whatever name. A checkpoint in `state_dir` says where the next start goes on; "
			"without one the rotated files of a path that is no pattern are read too, oldest first, but by `run --once` only "
			"the file itself. Plain, gzip and zstd are told by the first bytes.",
	},
	{
		.key = "from",
		.type = SETTING_CHOICE,
		.choices = from_choices,
		.initial = "start",
		.offset = offsetof(struct file_settings, from),
		.help = "Where a first start begins, one without a checkpoint: at the `start` of what is there, or at its `end`.",
	},
	{ .key = NULL },
};

static const struct section settings = {
	.name = "input.file",
	.help = "A file or files with one event a line, as kube-apiserver's log back end writes them.",
	.size = sizeof(struct file_settings),
	.rows = rows,
};

static bool is_regular(const char *path)
{
	struct stat st;
	return stat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static void close_input(struct input *input)
{
	follow_destroy(input->follow);
	source_finish(&input->source);
	free(input);
}

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	const struct file_settings *own = options->input->own;
	struct input *input = mem_zero(1, sizeof *input);
	const struct follow_options follow = { &input->source, own->path, own->from == FROM_END };
	int r = source_init(&input->source, options, err);
	if (r < 0) {
		free(input);
		return r;
	}
	if (is_regular(own->path))
		r = follow_create(&input->follow, &follow, err);
	if (r < 0) {
		close_input(input);
		return r;
	}
	*ret_input = input;
	return 0;
}

static void run(struct input *input)
{
	const struct file_settings *own = input->source.options.input->own;
	if (input->follow) {
		follow_run(input->follow);
		return;
	}
	(void)source_read(&input->source, own->path);
	if (!input->source.options.once)
		source_wait(&input->source);
}

static void stop(struct input *input)
{
	source_stop(&input->source);
}

static void settled(struct input *input, uint64_t position)
{
	if (input->follow)
		follow_settled(input->follow, position);
}

static char *state(struct input *input, uint64_t position, int lane)
{
	return input->follow ? follow_state(input->follow, position, lane) : NULL;
}

static void progress(const struct input *input, uint64_t *ret_done, uint64_t *ret_total)
{
	source_progress(&input->source, ret_done, ret_total);
}

const struct input_ops input_file = {
	.name = "file",
	.help = "A file or files with one event a line, as kube-apiserver's log back end writes them.",
	.settings = &settings,
	.open = open_input,
	.run = run,
	.stop = stop,
	.settled = settled,
	.state = state,
	.merge = file_state_merge,
	.shorten = file_state_shorten,
	.advance = file_state_advance,
	.progress = progress,
	.close = close_input,
};
