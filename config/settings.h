#pragma once
/*
 * settings -- the one table of every key of the configuration file.
 *
 * A section is a struct and its rows: each row says key, type, place in the struct, default, range, help. The loader,
 * `check`, `reference`, REFERENCE.md and schema.json all read the same rows; nothing else knows a key.
 *
 * To add a key:      one row in the section's table, one field in its struct.
 * To add a section:  a struct, its rows, and a row of type SETTING_SECTION or SETTING_VARIANT that leads
 *                    to it.
 *
 * Values: scalars only have the types below; `on/off/true/false` are booleans; sizes and durations carry units; ${ENV}
 * inside any scalar is replaced from the environment ("$${" is a literal "${"), an unset variable is an error. Errors have file:line:column, an unknown
 * key names the nearest known one, a repeated key is an error, and all problems of a file are reported at once.
 *
 * Owner:   strings and lists of a loaded section are owned by it and freed by section_finish.
 * Threads: tables are const; a loaded section is immutable.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/base/err.h"
#include "router/base/tree.h"
#include "router/match/selector.h"

enum setting_type {
	SETTING_BOOL,     /* bool */
	SETTING_INT,      /* int64_t */
	SETTING_SIZE,     /* uint64_t bytes */
	SETTING_TIME,     /* int64_t milliseconds */
	SETTING_TEXT,     /* char *, NULL when unsaid and without default */
	SETTING_PATH,     /* char *: relative ones count from the configuration's folder */
	SETTING_CHOICE,   /* int: index into `choices` */
	SETTING_TEXTS,    /* struct strings: a list, or one scalar */
	SETTING_PAIRS,    /* struct text_pairs: a map of scalars (headers, librdkafka's properties) */
	SETTING_CLASSES,  /* unsigned: bits 1 << enum audit_class; a list of class names */
	SETTING_SECTION,  /* the struct of `section`, in place: a mapping */
	SETTING_VARIANT,  /* as its `read` says; for what no other type can say. Needs read, print_type, finish */
};

enum setting_reload {
	SETTING_RESTART, /* a changed value takes a restart */
	SETTING_RELOAD,  /* a changed value is taken by SIGHUP */
};

struct text_pairs {
	struct text_pair {
		char *key, *value;
		unsigned line, column;
	} *list;
	size_t n;
};

struct section;
struct settings_reader; /* what a `read` callback needs: file, folder, problems (below) */

struct setting {
	const char *key;
	enum setting_type type;
	enum setting_reload reload;
	bool required;
	bool reads;                /* SETTING_PATH: of a file that is read; where it cannot be, a warning says so */
	bool secret;               /* SETTING_TEXT: never shown by any command or message */
	size_t offset;             /* offsetof the field */
	const char *initial;       /* default, written as a user would; NULL: none (zero, NULL or empty) */
	const char *min, *max;     /* INT, SIZE, TIME: written as a user would; NULL: no bound */
	const char *const *choices; /* CHOICE: NULL-terminated */
	const struct section *section; /* SECTION */
	const char *help;          /* one or two sentences for REFERENCE.md */

	/* VARIANT only. `field` is the place in the struct. read: false when it added problems; node may be NULL (unsaid). */
	bool (*read)(struct settings_reader *, const struct node *node, void *field);
	void (*finish)(void *field);
	const char *type_text;     /* how reference calls the type: "on | off | {exempt: [...]}" */
	const char *schema;        /* its JSON schema, as JSON text */
};

struct section {
	const char *name;              /* for reference: "output.kafka" */
	const char *help;
	size_t size;                   /* of the struct */
	const struct setting *rows;    /* ends with .key == NULL */
	/* Optional: looks at several keys together; adds problems. Called only when every row was read. */
	void (*check)(struct settings_reader *, const struct node *map, const void *values);
};

struct settings_reader {
	const char *file;      /* for messages */
	const char *folder;    /* relative paths count from here */
	struct problems *problems;
};

/*
 * Fills `values` (section->size bytes, of any content) from `map` (NULL: all defaults). Keys in `also_known`
 * (NULL-terminated, or NULL) are left to the caller. Returns whether nothing was wrong; `values` is always safe to
 * finish.
 */
bool section_read(struct settings_reader *, const struct section *, const struct node *map,
	const char *const *also_known, void *values);
void section_finish(const struct section *, void *values);

/* Adds an error at the node's place. */
void settings_problem(struct settings_reader *, const struct node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void settings_warning(struct settings_reader *, const struct node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For `read` callbacks: a scalar's text with ${ENV} replaced; the caller frees. NULL: problem added. */
char *settings_text(struct settings_reader *, const struct node *scalar);

/*
 * A secret that is given as text or as a file: the file's content less one trailing newline when `path` is set, else
 * `text`. The caller frees. NULL with *err set when the file cannot be read, is empty or above 64 KiB.
 */
char *settings_secret(const char *text, const char *path, struct err *err);
