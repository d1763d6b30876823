#include "router/cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define X(name, word, arguments, help) { word, cmd_##name, arguments, help },
const struct command commands[] = { COMMANDS(X) { 0 } };
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
