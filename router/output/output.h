#pragma once
/*
 * output -- a kind of place where events go: file, Kafka, HTTP. Each is one file of this folder with one
 * `const struct output_ops`, and one row of registry.c.
 *
 * A sink is what a lane holds of an output: one open file, one producer, one curl handle. Sinks share nothing.
 *
 * Contract of a sink, all in the lane's worker thread unless said otherwise:
 *  - put() takes records in order, as many as it has room for, and never waits. The batch and its bytes stay where they
 *    are until each record taken has its outcome.
 *  - wait() is where time passes: until wake_fd is readable, something of its own happened, or timeout_ms is over. The
 *    sink need not read wake_fd; the lane does.
 *  - Each record taken gets batch_delivered or batch_refused, from put(), wait() or flush(). What may yet succeed is
 *    retried by the sink for ever, with backoff, never reported as an outcome, unless its settings end that (http: give_up).
 *  - Trouble is told by lane_report(); the sink does not log.
 *
 * To add one: the file, the row in registry.c, its name in meson.build; then `reference` prints its settings by itself.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "router/base/audit_class.h"
#include "router/base/err.h"
#include "router/lane/batch.h"

struct commit_host;
struct config;
struct config_output;
struct format_ops;
struct lane;
struct sink;

/* Which field of an event its record's `key` holds; "" fields give no key. */
enum record_key {
	KEY_NONE,
	KEY_AUDIT_ID,
	KEY_NAMESPACE,
	KEY_USER,
	KEY_OBJECT, /* GROUP/RESOURCE/NAMESPACE/NAME, of a non-resource request its path */
};

struct sink_options {
	const struct config *config;
	const struct config_output *output; /* ->own is the struct of the ops' settings */
	enum audit_class class_;
	struct lane *lane;         /* NULL in unit tests: lane_report accepts that */
	int wake_fd;               /* wait() returns when it is readable */
	const struct commit_host *commits; /* of an exactly-once output; NULL: another */
	const char *instance;      /* which router this is, for names that must be its own (instance.h); NULL in unit tests */
	uint64_t open_bytes_max;   /* put() takes no more records while those it has are more than this; at least one */
};

struct output_ops {
	const char *name;              /* as in `type:` */
	const char *help;              /* one sentence */
	const struct section *settings; /* what is its own; the struct is config_output->own */
	const char *const *formats;    /* names of formats it can send, the default first; NULL: raw bytes only */
	bool files;                    /* writes files of its own: `check` compares paths */

	/* Optional. Cold, connects to nothing: adds what is wrong with this output to the reader's problems. */
	void (*check)(struct settings_reader *, const struct config *, const struct config_output *,
		const struct node *map);
	/* Optional. Which key its records need. */
	enum record_key (*key)(const struct config_output *);
	/* Optional. The longest event that fits its own settings, 0: not known; the output's max_event_bytes may be less. */
	uint64_t (*max_event_bytes)(const struct config_output *);
	/*
	 * Optional. Does it deliver exactly once, in transactions that carry how far the inputs have come (commit_point.h)? Then all
	 * its classes go through one sink (lane.h: group), whose put() takes whole batches.
	 */
	bool (*exactly_once)(const struct config_output *);
	/* Mandatory. Where the class goes, for people: "audit.admin_read", "https://...". Never a secret. */
	void (*describe)(const struct config *, const struct config_output *, enum audit_class, char *text,
		size_t room);
	/* Mandatory. Main's thread, before the worker. Fails only for what no retry can mend. */
	int (*open)(struct sink **ret_sink, const struct sink_options *, struct err *);
	/*
	 * Of an exactly-once sink, main's thread, before the worker and before any input is opened: ends what a predecessor left
	 * open, and tells commits->resumed what was committed. -EAGAIN: the broker did not answer yet (call it again). Others: with
	 * *err, for good.
	 */
	int (*resume)(struct sink *, struct err *);
	/* Mandatory. Takes records first, first+1, ... of the batch; returns how many (0: no room now). */
	uint32_t (*put)(struct sink *, struct batch *, uint32_t first);
	/* Optional. Send what is being collected, do not wait for more. */
	void (*flush)(struct sink *);
	/* Mandatory. */
	void (*wait)(struct sink *, int timeout_ms);
	/* Optional. Whatever was reported delivered so far is durable after 0. Main's thread, while the worker runs. */
	int (*sync)(struct sink *);
	/* Mandatory. Records without an outcome stay so. Bounded time: never waits for a collector. */
	void (*close)(struct sink *);
};

/* All kinds, NULL-terminated, and by name (NULL: none such). */
extern const struct output_ops *const output_registry[];
const struct output_ops *output_find(const char *name);

bool output_exactly_once(const struct config_output *);

/* The default wait of sinks without descriptors of their own: poll of wake_fd. */
void output_wait_fd(int wake_fd, int timeout_ms);
