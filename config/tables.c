#include "config/tables.h"

#include <string.h>

#include "classifiers/classifier.h"
#include "config/keys.h"

static const char *const guarantees[] = {
	[AT_LEAST_ONCE] = "at_least_once",
	[BEST_EFFORT] = "best_effort",
	NULL,
};

/* ---- classifier ---- */

static const struct setting classifier_rows[] = {
	{
		.key = "name",
		.type = SETTING_TEXT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_classifier, name),
		.initial = "gke",
		.help = "A table that is built in: `gke` (Google's split), `aks` or `sensitive`.",
	},
	{
		.key = "file",
		.type = SETTING_PATH,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_classifier, file),
		.help = "A table of your own instead; `classifiers/README.md` tells how one is written.",
	},
	{
		.key = "override",
		.type = SETTING_PAIRS,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_classifier, override_),
		.help = "Other classes for single rules, by the rule's id: `{ secret-reads: DATA_READ }`. "
			"`audit-router classify` prints the ids.",
	},
	{ .key = NULL },
};

static bool is_builtin(const char *name)
{
	for (const char *const *known = classifier_builtin_names; *known; known++)
		if (strcmp(*known, name) == 0)
			return true;
	return false;
}

static void check_classifier(struct settings_reader *reader, const struct node *map, const void *values)
{
	const struct config_classifier *c = values;
	const char *names[AUDIT_CLASSES + 1] = { 0 };
	for (enum audit_class i = 0; i < AUDIT_CLASSES; i++)
		names[i] = audit_class_name(i);
	const struct node *name = tree_get(map, "name");
	if (name && c->file)
		settings_problem(reader, tree_get(map, "file"), "name and file exclude each other");
	else if (name && c->name && !is_builtin(c->name))
		keys_unknown(reader, name, "classifier", c->name, classifier_builtin_names);
	for (size_t i = 0; i < c->override_.n; i++) {
		const struct text_pair *pair = &c->override_.list[i];
		enum audit_class ignored;
		const struct node at = { .line = pair->line, .column = pair->column };
		if (!audit_class_parse(view_of(pair->value), &ignored))
			keys_unknown(reader, &at, "class", pair->value, names);
	}
}

static const struct section classifier_section = {
	.name = "classifier",
	.help = "Which class an event gets: the first rule of a table that matches decides.",
	.size = sizeof(struct config_classifier),
	.rows = classifier_rows,
	.check = check_classifier,
};

/* ---- top level ---- */

#define CLASS_SCHEMA \
	"{\"anyOf\":[{\"$ref\":\"#/definitions/on_off\"},{\"type\":\"object\",\"additionalProperties\":false," \
	"\"properties\":{\"exempt\":{\"$ref\":\"#/definitions/texts\"}," \
	"\"exempt_groups\":{\"$ref\":\"#/definitions/texts\"}}}]}"

#define REDACT_SCHEMA \
	"{\"anyOf\":[{\"$ref\":\"#/definitions/on_off\"},{\"enum\":[\"secrets\",\"tokens\",\"env\",\"configmaps\"]}," \
	"{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[" \
	"{\"enum\":[\"secrets\",\"tokens\",\"env\",\"configmaps\"]}," \
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"rule\",\"path\"],\"properties\":{" \
	"\"rule\":{\"type\":\"string\"},\"path\":{\"$ref\":\"#/definitions/texts\"}," \
	"\"action\":{\"enum\":[\"mask\",\"pseudonym\"]},\"key\":{\"type\":\"string\"},\"key_file\":{\"type\":\"string\"}," \
	"\"keep\":{\"$ref\":\"#/definitions/texts\"},\"users\":{\"$ref\":\"#/definitions/texts\"}," \
	"\"userGroups\":{\"$ref\":\"#/definitions/texts\"},\"verbs\":{\"$ref\":\"#/definitions/texts\"}," \
	"\"namespaces\":{\"$ref\":\"#/definitions/texts\"},\"nonResourceURLs\":{\"$ref\":\"#/definitions/texts\"}," \
	"\"resources\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}]}}]}"

#define REDACT_TYPE "off or list of: secrets, tokens, env, configmaps, {rule: NAME, path: [PATH, ...], ...}"

static const struct setting rows[] = {
	{
		.key = "cluster",
		.type = SETTING_TEXT,
		.offset = offsetof(struct config, cluster),
		.help = "The name of the cluster whose log this is; at most 255 bytes. It goes with every Kafka message, in its header "
			"`cluster`; elsewhere it stands where `{cluster}` does, in paths, topics, URLs and HTTP headers. Never inside the event's bytes.",
	},
	{
		.key = "state_dir",
		.type = SETTING_PATH,
		.offset = offsetof(struct config, state_dir),
		.initial = "/var/lib/audit-router",
		.help = "Folder for what must survive a restart: how far inputs are read, spools, dead letters. Made with mode 0700 "
			"where it is missing.",
	},
	{
		.key = "memory_max",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config, memory_max),
		.initial = "32MiB",
		.min = "4MiB",
		.max = "1TiB",
		.help = "Most bytes of events in memory, over all inputs and outputs. A single event that is longer "
			"than that is the only exception.",
	},
	{
		.key = "max_event_bytes",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config, max_event_bytes),
		.initial = "64MiB",
		.min = "1KiB",
		.max = "1GiB",
		.help = "The longest event accepted; a longer one becomes a dead letter and costs no other.",
	},
	{
		.key = "spool_total",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config, spool_total),
		.min = "1MiB",
		.max = "1024TiB",
		.help = "Most bytes of all spools together; unsaid: each has its own limit alone.",
	},
	{
		.key = "dead_letters_max",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config, dead_letters_max),
		.initial = "1GiB",
		.min = "64KiB",
		.max = "1024TiB",
		.help = "Most bytes of each file of dead letters (one for each output, one for the inputs). When it is full the "
			"class or the input waits: nothing is dropped silently.",
	},
	{
		.key = "once_wait",
		.type = SETTING_TIME,
		.offset = offsetof(struct config, once_wait_ms),
		.initial = "30s",
		.min = "0",
		.max = "1d",
		.help = "`run --once` gives up a lane (one class of one output) that made no progress for this long, and an input "
			"that waits for room in its dead letters for this long.",
	},
	{
		.key = "shutdown_wait",
		.type = SETTING_TIME,
		.offset = offsetof(struct config, shutdown_wait_ms),
		.initial = "20s",
		.min = "0",
		.max = "1h",
		.help = "After SIGTERM what is in memory is delivered for at most this long.",
	},
	{
		.key = "inputs",
		.type = SETTING_VARIANT,
		.required = true,
		.offset = offsetof(struct config, inputs),
		.help = "Where events come from: a name of your choice for each, and under it the input's settings.",
		.read = variant_read_later,
		.finish = variant_finish_nothing,
		.type_text = "map: NAME: {type: ...}",
		.schema = "{\"$ref\":\"#/definitions/inputs\"}",
	},
	{
		.key = "classifier",
		.type = SETTING_SECTION,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config, classifier),
		.section = &classifier_section,
		.help = "Which class an event gets.",
	},
	{
		.key = "data_access",
		.type = SETTING_VARIANT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config, data_access),
		.help = "Switches each of the Data Access classes (`ADMIN_READ`, `DATA_READ`, `DATA_WRITE`) on or off, or "
			"exempts users and groups from it, by their exact names. All are on where unsaid. "
			"`ADMIN_ACTIVITY` cannot be switched off. A class that was off at the start takes a restart to be on.",
		.read = variant_read_data_access,
		.finish = variant_finish_data_access,
		.type_text = "map: CLASS: on, off or {exempt: [USER, ...], exempt_groups: [GROUP, ...]}",
		.schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
			  "\"ADMIN_ACTIVITY\":{\"enum\":[true,\"on\"]},"
			  "\"ADMIN_READ\":" CLASS_SCHEMA ",\"DATA_READ\":" CLASS_SCHEMA ",\"DATA_WRITE\":" CLASS_SCHEMA
			  "}}",
	},
	{
		.key = "policy",
		.type = SETTING_PATH,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config, policy),
		.help = "An audit.k8s.io/v1 Policy, applied to events that were already logged, exactly as kube-apiserver would have: "
			"what it does not log is dropped and counted, what is logged above its level is cut down. Or an AuditFilter "
			"(see below). Unsaid: all is kept.",
	},
	{
		.key = "redact",
		.type = SETTING_VARIANT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config, redact),
		.help = "What is taken out of events before they are stored, spooled, dead-lettered or sent; `[secrets, tokens]` "
			"where unsaid, `off`: nothing. `secrets`: data and stringData of Secrets wherever they stand (objects, "
			"lists, patches, last-applied-configuration). `tokens`: TokenRequest and TokenReview, JSON Web Tokens and "
			"`Bearer ...` anywhere, query parameters such as `token`. `env`: values of containers' environment "
			"variables. `configmaps`: data and binaryData of ConfigMaps. Own rules beside them, `{rule: NAME, path: "
			"PATH}`: with `users`, `userGroups`, `verbs`, `namespaces`, `resources`, `nonResourceURLs` as in a Policy's "
			"rule (without: every event), `path` one or more, such as "
			"`requestObject.spec.containers[*].env[*].value`, `annotations[\"a.b/c\"]`, `user.username`; a path into a "
			"body also holds in lists, Tables, JSON patches and last-applied-configuration. `action: mask` (unsaid) puts "
			"`[redacted]` in the value's place, `action: pseudonym` `hmac:` and 32 hex digits of HMAC-SHA256 of the text, "
			"with the key in `key_file` (or `key`, 16 bytes or more), the same for the same text; texts that begin as "
			"`keep` says (unsaid: `system:`) stay. Of a line that is no JSON only what stands before any body or data is "
			"kept in the dead letters.",
		.read = variant_read_redact,
		.finish = variant_finish_redact,
		.type_text = REDACT_TYPE,
		.schema = REDACT_SCHEMA,
	},
	{
		.key = "outputs",
		.type = SETTING_VARIANT,
		.required = true,
		.offset = offsetof(struct config, outputs),
		.help = "Where events go: a name of your choice for each, and under it the output's settings.",
		.read = variant_read_later,
		.finish = variant_finish_nothing,
		.type_text = "map: NAME: {type: ...}",
		.schema = "{\"$ref\":\"#/definitions/outputs\"}",
	},
	{ .key = NULL },
};

const struct section config_section = {
	.name = "",
	.help = "The keys of the file's top level.",
	.size = sizeof(struct config),
	.rows = rows,
};

/* ---- what all inputs, and all outputs, have ---- */

static const struct setting input_rows[] = {
	{
		.key = "cluster",
		.type = SETTING_TEXT,
		.offset = offsetof(struct config_input, cluster),
		.help = "The name of the cluster whose log this input reads; unsaid: the top level's `cluster`.",
	},
	{ .key = NULL },
};

const struct section config_input_section = {
	.name = "inputs.NAME",
	.help = "What every input has, beside `type`.",
	.size = sizeof(struct config_input),
	.rows = input_rows,
};

#define SELECTOR_TYPE "map: users, userGroups, verbs, resources, namespaces, nonResourceURLs"

static const struct setting output_rows[] = {
	{
		.key = "classes",
		.type = SETTING_CLASSES,
		.offset = offsetof(struct config_output_common, classes),
		.help = "The classes that this output gets; unsaid: all that are on. A class that is on and goes to no "
			"output is an error.",
	},
	{
		.key = "guarantee",
		.type = SETTING_CHOICE,
		.offset = offsetof(struct config_output_common, guarantee),
		.initial = "at_least_once",
		.choices = guarantees,
		.help = "`at_least_once` spools, and holds the inputs back when the spool is full or off; `best_effort` drops "
			"what the output cannot take in time, and counts it.",
	},
	{
		.key = "format",
		.type = SETTING_VARIANT,
		.offset = offsetof(struct config_output_common, format),
		.help = "How events are written for the collector; which there are, and the default, depends on `type`.",
		.read = variant_read_later,
		.finish = variant_finish_nothing,
		.type_text = "name of a format",
		.schema = "{\"type\":\"string\"}",
	},
	{
		.key = "spool",
		.type = SETTING_VARIANT,
		.offset = offsetof(struct config_output_common, spool_max),
		.help = "What an output cannot take in time is kept on disk under `state_dir`, for each class up to `max` "
			"(4GiB where unsaid), and counts as safe: the inputs move on. `off`: the inputs wait instead. A "
			"`best_effort` output has none.",
		.read = variant_read_spool,
		.finish = variant_finish_nothing,
		.type_text = "off or {max: SIZE}",
		.schema = "{\"anyOf\":[{\"$ref\":\"#/definitions/on_off\"},{\"type\":\"object\",\"additionalProperties\":false,"
			  "\"properties\":{\"max\":{\"type\":\"string\"}}}]}",
	},
	{
		.key = "spool_after",
		.type = SETTING_TIME,
		.offset = offsetof(struct config_output_common, spool_after_ms),
		.initial = "1s",
		.min = "10ms",
		.max = "1h",
		.help = "How long an event may wait in memory for its output before the class is spooled.",
	},
	{
		.key = "queue",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config_output_common, queue_bytes),
		.min = "64KiB",
		.max = "1TiB",
		.help = "Most bytes of events that wait in memory for this output, for each class; unsaid: a fair share "
			"of `memory_max`.",
	},
	{
		.key = "max_event_bytes",
		.type = SETTING_SIZE,
		.offset = offsetof(struct config_output_common, max_event_bytes),
		.min = "1KiB",
		.max = "1GiB",
		.help = "The longest event that the collector takes; a longer one becomes a dead letter of this output. "
			"Unsaid: no limit beside the top level's.",
	},
	{
		.key = "only",
		.type = SETTING_VARIANT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_output_common, only),
		.help = "Of its classes the output gets only the events that this selector matches. The words are those "
			"of an audit Policy's rule: all lists must match, and within a list any entry does.",
		.read = variant_read_selector,
		.finish = variant_finish_selector,
		.type_text = SELECTOR_TYPE,
		.schema = "{\"$ref\":\"#/definitions/selector\"}",
	},
	{
		.key = "except",
		.type = SETTING_VARIANT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_output_common, except),
		.help = "The output does not get the events that this selector matches, whatever `only` says.",
		.read = variant_read_selector,
		.finish = variant_finish_selector,
		.type_text = SELECTOR_TYPE,
		.schema = "{\"$ref\":\"#/definitions/selector\"}",
	},
	{
		.key = "policy",
		.type = SETTING_PATH,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_output_common, policy),
		.help = "A Policy or AuditFilter for this output alone, after the top level's: it can only take more away.",
	},
	{
		.key = "redact",
		.type = SETTING_VARIANT,
		.reload = SETTING_RELOAD,
		.offset = offsetof(struct config_output_common, redact),
		.help = "What this output does not get, beside what the top level's `redact` takes from all (`off` here does not "
			"undo that).",
		.read = variant_read_more_redact,
		.finish = variant_finish_redact,
		.type_text = REDACT_TYPE,
		.schema = REDACT_SCHEMA,
	},
	{ .key = NULL },
};

const struct section config_output_section = {
	.name = "outputs.NAME",
	.help = "What every output has, beside `type`.",
	.size = sizeof(struct config_output_common),
	.rows = output_rows,
};
