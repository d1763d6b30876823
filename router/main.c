/* audit-router COMMAND ...: finds the command's row and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "router/base/version.h"
#include "router/cmd/cmd.h"

static void print_help(FILE *to)
{
	(void)fputs("audit-router takes Kubernetes audit events, puts each in one of GKE's four classes, and delivers\n"
		    "each class to its own files, Kafka topics and HTTP collectors.\n\n",
		to);
	for (const struct command *c = commands; c->name; c++)
		(void)fprintf(to, "  audit-router %s %s\n      %s\n", c->name, c->arguments, c->help);
	(void)fputs("\nAll say --help. FILE may be packed (.gz, .zst); without FILE, standard input is read.\n", to);
}

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit on a file's size is an error of the write, as a full disk is */
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return cmd_end(EXIT_DONE);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("audit-router %s\n", AUDIT_ROUTER_VERSION);
		return cmd_end(EXIT_DONE);
	}
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(argv[1], c->name) == 0)
			return c->run(argc - 1, argv + 1);
	(void)fprintf(stderr, "audit-router: no command \"%s\" (see audit-router --help)\n", argv[1]);
	return EXIT_USAGE;
}
