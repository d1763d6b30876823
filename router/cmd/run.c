#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "config/config.h"
#include "router/cmd/cmd.h"
#include "router/input/input.h"
#include "router/pipeline.h"

static const char details[] =
	"  -c, --config FILE   the configuration (see audit-router reference)\n"
	"      --once          end when every input is at its end and all is delivered\n"
	"  -h, --help          this text\n"
	"\n"
	"Exit status with --once: 0 all delivered, or dropped by a rule; 1 something is wrong with the configuration or the data,\n"
	"or was dead-lettered, refused or left; 2 usage. Without: 0 after SIGTERM or SIGINT, which let it deliver for up to\n"
	"shutdown_wait; 1 it had to end by itself.\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "once", no_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* An input that has no end cannot be run to its end. */
static const char *endless_input(const struct config *config)
{
	for (size_t i = 0; i < config->n_inputs; i++)
		if (config->inputs[i].ops->never_ends)
			return config->inputs[i].name;
	return NULL;
}

static int route(const struct config *config, bool once)
{
	struct pipeline *pipeline;
	struct err err = { 0 };
	if (pipeline_start(&pipeline, config, once, &err) < 0) {
		char text[ERR_FILE_MAX + ERR_TEXT_MAX];
		(void)fprintf(stderr, "audit-router: %s\n", err_print(&err, text, sizeof text));
		return EXIT_WRONG;
	}
	enum pipeline_result result = once ? pipeline_run_once(pipeline) : pipeline_run(pipeline);
	pipeline_print_table(pipeline);
	pipeline_end(pipeline);
	return result == PIPELINE_DONE ? EXIT_DONE : EXIT_WRONG;
}

/*
 * Signals that the pipeline will take must not end the program before it is there; SIGTERM then ends it in order, with a
 * table. SIGINT is left: who waits at a terminal for a configuration that cannot be read wants it to end.
 */
static void hold_signals(void)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int cmd_run(int argc, char **argv)
{
	const char *path = NULL;
	bool once = false;
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'o':
			once = true;
			break;
		case 'h':
			return cmd_help(argv[0], details);
		default:
			return cmd_usage(argv[0]);
		}
	}
	if (!path || optind < argc)
		return cmd_usage(argv[0]);

	hold_signals();
	struct config *config = NULL;
	struct problems problems = { 0 };
	int loaded = config_load(&config, path, &problems);
	problems_print(&problems);
	problems_finish(&problems);
	int code = EXIT_WRONG;
	const char *endless = loaded < 0 ? NULL : endless_input(config);
	if (once && endless) {
		(void)fprintf(stderr, "audit-router run: --once cannot be used with input \"%s\", which has no end\n", endless);
		code = EXIT_USAGE;
	} else if (loaded == 0) {
		code = route(config, once);
	}
	config_close(config);
	return code;
}
