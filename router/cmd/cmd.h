#pragma once
/*
 * cmd -- the subcommands: each is one file of this folder, cmd_NAME in NAME.c, and one row of the table below.
 *
 * A command gets its own arguments (argv[0] is its name) and returns an exit code. Data goes to stdout, everything else to
 * stderr. Only here, and in main.c, may a program end.
 */
#include <stdbool.h>

enum exit_code {
	EXIT_DONE = 0,  /* done; for `run`: all delivered, drops by rule included */
	EXIT_WRONG = 1, /* something in the data or the configuration is wrong, or was dead-lettered, refused or left */
	EXIT_USAGE = 2,
};

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments; /* "-c FILE [--once]" */
	const char *help;      /* one line */
};

/* A row a subcommand: cmd_NAME, which is in NAME.c; what users write; its arguments; one line of help. */
#define COMMANDS(X)                                                                                            \
	X(run, "run", "-c FILE [--once]", "route; --once: end when every input is at its end and all is delivered")    \
	X(check, "check", "-c FILE", "say what is wrong with a configuration (file:line:column), connect to nothing")    \
	X(classify, "classify", "[--summary] [FILE...]", "say the class of each event and the rule that decided")          \
	X(policy, "policy", "check|explain|apply|diff ...", "what an audit Policy says of itself, and makes of recorded events") \
	X(replay, "replay", "-c FILE DEADLETTERS", "send dead letters again (classified, filtered and redacted anew)")     \
	X(webhook_config, "webhook-config", "--url URL [...]", "the kubeconfig that kube-apiserver needs to post to a webhook input") \
	X(reference, "reference", "[--schema]", "every setting: type, default, range, help")

#define X(name, word, arguments, help) int cmd_##name(int argc, char **argv);
COMMANDS(X)
#undef X

/* Ends with .name == NULL. */
extern const struct command commands[];

/*
 * What every command's getopt loop does with an option that it does not know: says so with the command's usage line on
 * stderr. Returns EXIT_USAGE.
 */
int cmd_usage(const char *name);
/* `--help` of one command, to stdout, with `details` below the usage line. Returns EXIT_DONE, or EXIT_WRONG when stdout fails. */
int cmd_help(const char *name, const char *details);
/* Flushes stdout: EXIT_WRONG with a message when what was printed could not be written, else `code`. */
int cmd_end(int code);
