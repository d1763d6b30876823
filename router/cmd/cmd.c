/* One row for each subcommand: X(name, arguments, help) stands for cmd_name in name.c. */
#include "router/cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS                                                                                            \
	X(run, "-c FILE [--once]", "route; --once: end when every input is at its end and all is delivered") \
	X(check, "-c FILE", "say what is wrong with a configuration (file:line:column), connect to nothing")  \
	X(classify, "[--summary] [FILE...]", "say the class of each event and the rule that decided")         \
	X(reference, "[--schema]", "every setting: type, default, range, help")

#define X(name, arguments, help) int cmd_##name(int argc, char **argv);
COMMANDS
#undef X

#define X(name, arguments, help) { #name, cmd_##name, arguments, help },
const struct command commands[] = { COMMANDS{ 0 } };
#undef X

static const struct command *find(const char *name)
{
	const struct command *c = commands;
	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c;
}

int cmd_usage(const char *name)
{
	const struct command *c = find(name);
	(void)fprintf(stderr, "usage: audit-router %s %s\n", c->name, c->arguments);
	return EXIT_USAGE;
}

int cmd_help(const char *name, const char *details)
{
	const struct command *c = find(name);
	(void)printf("usage: audit-router %s %s\n\n%s\n\n%s", c->name, c->arguments, c->help, details);
	return cmd_end(EXIT_DONE);
}

int cmd_end(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	(void)fprintf(stderr, "audit-router: standard output: %s\n", strerror(errno));
	return EXIT_WRONG;
}
