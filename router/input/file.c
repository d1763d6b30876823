/* file -- a file, or the files that fit a pattern, read whole, one after the other. */
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/input/source.h"

struct file_settings {
	char *path;
};

struct input {
	struct source source;
};

static const struct setting rows[] = {
	{
		.key = "path",
		.type = SETTING_PATH,
		.required = true,
		.offset = offsetof(struct file_settings, path),
		.help = "The file, or a pattern of files such as `audit*.log*`, which are read in the order of their names. "
			"Plain, gzip and zstd are told by the first bytes.",
	},
	{ .key = NULL },
};

static const struct section settings = {
	.name = "input.file",
	.help = "A file or files with one event a line, as kube-apiserver's log back end writes them.",
	.size = sizeof(struct file_settings),
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

static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static uint64_t size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* Reads what fits the pattern, in the order of the names, but no folders. */
static void read_matches(struct input *input, const char *pattern)
{
	struct source *source = &input->source;
	glob_t found = { 0 };
	size_t n_files = 0;
	uint64_t total = 0;
	int r = glob(pattern, 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		total += size_of(found.gl_pathv[i]);
	source->total = total;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (is_folder(found.gl_pathv[i]))
			continue;
		n_files++;
		if (!source_read(source, found.gl_pathv[i]))
			break;
	}
	if (!n_files && !source_stopped(source))
		feed_trouble(source->options.feed, "%s: %s", pattern,
			r == 0 || r == GLOB_NOMATCH ? "no file fits the pattern" : "the pattern cannot be looked up");
	globfree(&found);
}

static void run(struct input *input)
{
	const struct file_settings *own = input->source.options.input->own;
	struct stat st;
	/* A name that exists as it stands is no pattern, whatever characters are in it. */
	if (stat(own->path, &st) == 0 || !strpbrk(own->path, "*?[")) {
		input->source.total = size_of(own->path);
		(void)source_read(&input->source, own->path);
	} else {
		read_matches(input, own->path);
	}
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

const struct input_ops input_file = {
	.name = "file",
	.help = "A file or files with one event a line, as kube-apiserver's log back end writes them.",
	.settings = &settings,
	.open = open_input,
	.run = run,
	.stop = stop,
	.progress = progress,
	.close = close_input,
};
