#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/cmd/cmd.h"
#include "router/cmd/replay_input.h"
#include "router/pipeline.h"

static const char details[] =
	"Sends the events of a file of dead letters (STATE_DIR/dead-letters/...) again: classified, filtered and redacted anew.\n"
	"What an output refused goes to that output alone. What is refused again is in STATE_DIR/replay/dead-letters. It may\n"
	"run beside `audit-router run`.\n"
	"\n"
	"  -c, --config FILE   the configuration\n"
	"  -h, --help          this text\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* The configuration's inputs give way to the dead letters, and its state to a folder of the replay's own. */
static int replay(struct config *config, char *path)
{
	struct pipeline *pipeline;
	struct err err = { 0 };
	struct config_input letters = { .name = (char *)"replay", .ops = &input_replay, .own = &path }, *inputs = config->inputs;
	size_t n_inputs = config->n_inputs;
	char *state_dir = config->state_dir;
	int code = EXIT_WRONG;
	config->inputs = &letters;
	config->n_inputs = 1;
	config->state_dir = mem_textf("%s/replay", state_dir);
	config->replay = true;
	if (pipeline_start(&pipeline, config, true, &err) < 0) {
		char text[ERR_FILE_MAX + ERR_TEXT_MAX];
		(void)fprintf(stderr, "audit-router: %s\n", err_print(&err, text, sizeof text));
	} else {
		code = pipeline_run_once(pipeline) == PIPELINE_DONE ? EXIT_DONE : EXIT_WRONG;
		pipeline_print_table(pipeline);
		pipeline_end(pipeline);
	}
	free(config->state_dir);
	config->state_dir = state_dir;
	config->inputs = inputs;
	config->n_inputs = n_inputs;
	return code;
}

int cmd_replay(int argc, char **argv)
{
	const char *path = NULL;
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			return cmd_help(argv[0], details);
		default:
			return cmd_usage(argv[0]);
		}
	}
	if (!path || optind != argc - 1)
		return cmd_usage(argv[0]);
	struct config *config = NULL;
	struct problems problems = { 0 };
	int loaded = config_load(&config, path, &problems);
	problems_print(&problems);
	problems_finish(&problems);
	int code = loaded == 0 ? replay(config, argv[optind]) : EXIT_WRONG;
	config_close(config);
	return code;
}
