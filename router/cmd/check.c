/* check -- says what is wrong with a configuration, and where its events would go; connects to nothing. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/err.h"
#include "router/base/units.h"
#include "router/cmd/cmd.h"
#include "router/output/output.h"
#include "router/plan.h"

enum { WHERE_ROOM = 512 };

static const char details[] =
	"  -c, --config FILE   the configuration; - is standard input\n"
	"  -h, --help          this text\n"
	"\n"
	"Reads the file and the classifier that it names, tells all that is wrong by line and column, and prints where each class\n"
	"would go. Connects to nothing. Exit status: 0 good (there may be warnings), 1 errors, 2 usage.\n";

static void print_lanes(const struct plan *plan)
{
	const struct config *config = plan->config;
	if (plan->policy.policy)
		(void)printf("%-15s %s: %zu rules\n", "policy", plan->policy.path, policy_rules(plan->policy.policy));
	for (enum audit_class c = 0; c < AUDIT_CLASSES; c++) {
		if (config->data_access.off[c])
			(void)printf("%-15s off\n", audit_class_name(c));
		for (unsigned i = plan->class_first[c]; i < plan->class_first[c + 1]; i++) {
			const struct config_output *output = plan->lanes[i].output;
			char where[WHERE_ROOM] = "";
			output->ops->describe(config, output, c, where, sizeof where);
			(void)printf("%-15s %s: %s%s%s\n", audit_class_name(c), output->name, where,
				output->common.only_said || output->common.except_said ? " (only or except)" : "",
				output->common.policy ? " (policy)" : "");
		}
	}
}

/* Bytes free where the folder is, or will be made. */
static bool disk_free(const char *folder, uint64_t *ret_bytes)
{
	struct statvfs disk;
	_free_ char *at = mem_text(view_of(folder));
	while (statvfs(at, &disk)) {
		char *slash = strrchr(at, '/');
		if (!slash || !at[1])
			return false;
		slash[slash == at] = 0;
	}
	*ret_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
	return true;
}

/* A spool that the disk cannot hold ends in inputs that wait, long before its limit. */
static void check_disk(const struct plan *plan, struct problems *problems)
{
	const struct config *config = plan->config;
	uint64_t wanted = 0, room;
	char wanted_text[UNITS_TEXT_ROOM], room_text[UNITS_TEXT_ROOM];
	for (unsigned i = 0; i < plan->n_lanes; i++)
		if (plan->lanes[i].output->common.guarantee == AT_LEAST_ONCE && !output_exactly_once(plan->lanes[i].output))
			wanted += plan->lanes[i].output->common.spool_max;
	if (config->spool_total && config->spool_total < wanted)
		wanted = config->spool_total;
	if (wanted && disk_free(config->state_dir, &room) && wanted > room)
		problem_at(problems, PROBLEM_WARNING, config->path, 0, 0,
			"the spools may take %s (outputs times classes times spool max), but only %s are free for %s: set "
			"spool_total",
			units_human_size(wanted, wanted_text), units_human_size(room, room_text), config->state_dir);
}

static int check(const char *path)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	struct plan *plan = NULL;
	if (config_load(&config, path, &problems) == 0)
		(void)plan_create(&plan, config, &problems);
	if (plan)
		check_disk(plan, &problems);
	problems_print(&problems);
	if (plan && !problems.errors)
		print_lanes(plan);
	else
		(void)fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", path, problems.errors,
			problems.errors == 1 ? "" : "s", problems.warnings, problems.warnings == 1 ? "" : "s");
	int code = plan && !problems.errors ? EXIT_DONE : EXIT_WRONG;
	plan_release(plan);
	config_close(config);
	problems_finish(&problems);
	return cmd_end(code);
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	for (int o; (o = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(argv[0], details);
		if (o != 'c')
			return cmd_usage(argv[0]);
		path = optarg;
	}
	if (!path || optind < argc)
		return cmd_usage(argv[0]);
	return check(path);
}
