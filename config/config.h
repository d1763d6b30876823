#pragma once
/*
 * config -- the configuration file as structs: what `run` and `check` load.
 *
 * The rows are in config/tables.c (top level and what all inputs and outputs share) and beside each input, output and
 * format (what is its own). Loading connects to nothing and reads no file but the configuration and the keys of
 * `redact`'s pseudonyms; the classifier that it names is read when a plan is made of it (router/plan.h).
 *
 * Owner: the config owns all; config_close frees. Threads: immutable once loaded; reference counted by the plan.
 */
#include "config/settings.h"
#include "router/base/audit_class.h"
#include "router/policy/data_access.h"
#include "router/policy/redact.h"

enum {
	INPUTS_MAX = 64,
	OUTPUTS_MAX = 64, /* times the classes: the lanes, of which a ledger has 256 */
};

struct input_ops;
struct output_ops;
struct format_ops;

struct config_classifier {
	char *name;  /* default "gke" where no file is named */
	char *file;
	struct text_pairs override_; /* rule id -> class name */
};

enum guarantee { AT_LEAST_ONCE, BEST_EFFORT };

/* What every input has. */
struct config_input {
	char *name; /* its key under inputs: */
	unsigned line, column;
	const struct input_ops *ops;
	void *own;  /* the struct of ops->settings */
	char *cluster; /* overrides the top level's; NULL: that */
};

/* What every output has. */
struct config_output {
	char *name; /* its key under outputs: */
	unsigned line, column;
	const struct output_ops *ops;
	void *own;  /* the struct of ops->settings */
	const struct format_ops *format; /* the output's default where unsaid; NULL: the output takes raw bytes only */
	struct config_output_common {
		int format;             /* a placeholder row: see tables.c */
		unsigned classes;       /* bits; unsaid: all that are on */
		bool classes_said;
		int guarantee;          /* enum guarantee */
		uint64_t spool_max;     /* most bytes of a lane's spool; 0: off */
		int64_t spool_after_ms; /* how long an event may wait in memory before the lane spools */
		uint64_t queue_bytes;   /* most bytes in a lane's queue; 0: the lane's share of memory_max */
		uint64_t max_event_bytes; /* what the collector takes; 0: no limit of its own */
		struct selector only, except;
		bool only_said, except_said;
		char *policy;             /* its own, after the top level's; NULL: none */
		struct redactor *redact; /* beside the top level's; NULL: no more */
	} common;
};

struct tree;

struct config {
	char *path;   /* as given */
	char *folder; /* relative paths count from here; absolute */

	char *cluster;
	char *state_dir;
	uint64_t memory_max;
	uint64_t max_event_bytes;
	uint64_t spool_total;      /* most bytes of all spools together; 0: no limit beside their own */
	uint64_t dead_letters_max; /* most bytes of each file of dead letters */
	int64_t once_wait_ms, shutdown_wait_ms;
	struct config_classifier classifier;
	struct data_access data_access;
	char *policy;    /* path of a Policy or AuditFilter; NULL: none */
	struct redactor *redact; /* NULL: off */

	struct config_input *inputs;
	size_t n_inputs;
	struct config_output *outputs;
	size_t n_outputs;

	bool replay; /* the inputs are dead letters: the router of this configuration may run beside; never set by a file */

	struct tree *tree; /* the file as it was written, for config_changes */
};

/*
 * Loads and checks the file. -EINVAL: `problems` has errors (it may have warnings at 0 too). Checked here, beside each
 * value by itself: a class that is on and goes nowhere; two lanes that would write one file; names; unknown types.
 */
int config_load(struct config **ret_config, const char *path, struct problems *problems);
/* The same from bytes, for tests and fuzzing; relative paths count from `folder`. */
int config_parse(struct config **ret_config, const char *name, const char *folder, struct view bytes,
	struct problems *problems);
void config_close(struct config *); /* NULL is fine */

/*
 * The keys that differ between two loads of a file and that only a restart takes over ("memory_max, outputs.siem.url"), added
 * to `names`. Returns how many. Keys that SIGHUP takes over are not among them.
 */
struct buf;
size_t config_changes(const struct config *before, const struct config *after, struct buf *names);

/* How a transaction of an exactly-once output can say how far an input has come. */
enum input_progress {
	INPUT_FORGETS,   /* not at all: stdin, webhook */
	INPUT_REMEMBERS, /* by what each lane has of it: file */
	INPUT_SHARED,    /* by offsets that all outputs share: Kafka */
};
enum input_progress config_input_progress(const struct config_input *);

/* Which classes the output gets: those it names, or all that are on. Bits. */
unsigned config_output_classes(const struct config *, const struct config_output *);

/* Every setting as Markdown (REFERENCE.md) or as a JSON schema for editors, printed from the tables. */
void config_print_reference(struct buf *);
void config_print_schema(struct buf *);
