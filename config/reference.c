/* REFERENCE.md, from the tables that the loader reads. */
#include "config/tables.h"

#include <stdlib.h>

#include "router/base/buf.h"
#include "router/input/input.h"
#include "router/output/output.h"
#include "router/policy/policy.h"

static const char head[] =
	"# Settings\n"
	"\n"
	"Every key of the configuration file. This page is what `audit-router reference` prints, from the table that the\n"
	"program itself reads the file by; [schema.json](schema.json) (`audit-router reference --schema`) is the same for editors.\n"
	"`audit-router check -c FILE` tells all that is wrong with a file, by line and column. Keys marked (SIGHUP) are taken over\n"
	"by `kill -HUP` while the program runs; others take a restart. A file that is broken changes nothing, nor does\n"
	"one by which an output that runs would get classes that it does not, or lack some that `data_access` leaves on.\n"
	"\n"
	"| type | is written |\n"
	"|---|---|\n"
	"| on, off | also `true` and `false`, `yes` and `no` |\n"
	"| size | a whole number and its unit: `B`, `KiB`, `MiB`, `GiB`, `TiB`, or `kB`, `MB`, `GB`, `TB` |\n"
	"| time | whole numbers and their units: `ms`, `s`, `m`, `h`, `d`; `1h30m` |\n"
	"| path | a relative one counts from the folder of the configuration file |\n"
	"| class | `ADMIN_ACTIVITY`, `ADMIN_READ`, `DATA_READ` or `DATA_WRITE` |\n"
	"| list | `[a, b]` or a line each; a single value needs no list |\n"
	"| secret | as text; no command and no message ever shows it |\n"
	"\n"
	"`${NAME}` in any value is replaced from the environment (`$${` stands for `${`); a variable that is not set is an error.\n"
	"YAML's anchors and merges (`<<`) work. An unknown key, a key said twice, a size without unit are errors.\n";

/* In a cell of a table a bar must be escaped, in code spans too. */
static void add_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_add_byte(out, '\\');
		buf_add_byte(out, *text);
	}
}

static void add_range(struct buf *out, const struct setting *row)
{
	if (row->min && row->max)
		buf_addf(out, ", %s to %s", row->min, row->max);
	else if (row->min || row->max)
		buf_addf(out, ", %s %s", row->min ? "at least" : "at most", row->min ? row->min : row->max);
}

static void add_type(struct buf *out, const struct setting *row)
{
	static const char *const names[] = {
		[SETTING_BOOL] = "on, off",
		[SETTING_INT] = "number",
		[SETTING_SIZE] = "size",
		[SETTING_TIME] = "time",
		[SETTING_TEXT] = "text",
		[SETTING_PATH] = "path",
		[SETTING_TEXTS] = "list of texts",
		[SETTING_PAIRS] = "map: KEY: text",
		[SETTING_CLASSES] = "list of classes",
		[SETTING_SECTION] = "map, see below",
	};
	if (row->type == SETTING_VARIANT)
		add_cell(out, row->type_text);
	else if (row->type == SETTING_CHOICE)
		for (size_t i = 0; row->choices[i]; i++)
			buf_addf(out, "%s`%s`", i ? ", " : "", row->choices[i]);
	else
		buf_addf(out, "%s", row->secret ? "secret" : names[row->type]);
	add_range(out, row);
}

static void add_rows(struct buf *out, const struct setting *row)
{
	if (!row->key)
		return;
	buf_addf(out, "\n| key | type | default | |\n|---|---|---|---|\n");
	for (; row->key; row++) {
		buf_addf(out, "| `%s` | ", row->key);
		add_type(out, row);
		if (row->initial)
			buf_addf(out, " | `%s` | ", row->initial);
		else
			buf_addf(out, " | %s | ", row->required ? "required" : "");
		add_cell(out, row->help);
		buf_addf(out, "%s |\n", row->reload == SETTING_RELOAD ? " (SIGHUP)" : "");
	}
}

/* A section, and those that its rows lead to, a level deeper. */
static void add_section(struct buf *out, const struct section *section, const char *title, const char *more,
	const char *level)
{
	buf_addf(out, "\n%s %s\n\n%s%s\n", level, title, section->help, more);
	add_rows(out, section->rows);
	for (const struct setting *row = section->rows; row->key; row++) {
		if (row->type != SETTING_SECTION)
			continue;
		char *inner = mem_textf("%s: `%s`", title, row->key), *deeper = mem_textf("%s#", level);
		add_section(out, row->section, inner, "", deeper);
		free(inner);
		free(deeper);
	}
}

static void add_inputs(struct buf *out)
{
	add_section(out, &config_input_section, "inputs", " `type` is one of the kinds below.", "##");
	for (size_t i = 0; input_registry[i]; i++) {
		char *title = mem_textf("Input `type: %s`", input_registry[i]->name);
		add_section(out, input_registry[i]->settings, title, "", "###");
		free(title);
	}
}

static void add_outputs(struct buf *out)
{
	add_section(out, &config_output_section, "outputs", " `type` is one of the kinds below.", "##");
	for (size_t i = 0; output_registry[i]; i++) {
		const struct output_ops *ops = output_registry[i];
		struct buf formats = { 0 };
		for (size_t k = 0; ops->formats && ops->formats[k]; k++)
			buf_addf(&formats, "%s`%s`%s", k ? ", " : " Formats: ", ops->formats[k], k ? "" : " (default)");
		if (formats.len)
			buf_addf(&formats, ".");
		char *title = mem_textf("Output `type: %s`", ops->name);
		add_section(out, ops->settings, title, buf_text(&formats), "###");
		free(title);
		buf_finish(&formats);
	}
}

void config_print_reference(struct buf *out)
{
	buf_add_view(out, view_of(head));
	add_section(out, &config_section, "Top level", "", "##");
	add_inputs(out);
	add_outputs(out);
	policy_print_reference(out);
}
