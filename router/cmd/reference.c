/* reference -- every setting, as Markdown or as a schema for editors. */
#include <getopt.h>
#include <stdio.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/cmd/cmd.h"

static const char details[] = "Every setting: type, default, range and what it is for, as Markdown (config/REFERENCE.md\n"
			      "is this text).\n"
			      "\n"
			      "  --schema   as a JSON schema for editors instead (config/schema.json)\n";

int cmd_reference(int argc, char **argv)
{
	static const struct option options[] = {
		{ "schema", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool schema = false;
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'h')
			return cmd_help(argv[0], details);
		if (o != 's')
			return cmd_usage(argv[0]);
		schema = true;
	}
	if (optind < argc)
		return cmd_usage(argv[0]);
	cleanup(buf_finish) struct buf out = { 0 };
	if (schema)
		config_print_schema(&out);
	else
		config_print_reference(&out);
	(void)fwrite(out.ptr, 1, out.len, stdout);
	return cmd_end(EXIT_DONE);
}
