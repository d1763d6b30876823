#pragma once
/*
 * log -- one logfmt line to stderr: `at=2026-11-21T21:02:01.038Z level=warn msg="..." output=siem class=DATA_READ`.
 *
 * Who logs: cmd/, the pipeline and the workers, once, at the top. Stages (decode, match, classify, format) never do.
 * What:     never the content of an event, never a secret.
 * Limit:    log_limited() prints at most one line a second and call site, and says how many it left out.
 * Threads:  any; a line is one write(2).
 */
#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are not written. LOG_INFO at start. */
void log_level_set(enum log_level);

/*
 * The format makes the sentence; `fields` is NULL or ready logfmt text such as log_fields() makes
 * ("output=siem class=DATA_READ").
 */
void log_line(enum log_level, const char *fields, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct log_limit {
	_Atomic int64_t next_ms;
	_Atomic uint64_t left_out;
};
/* May this call site speak now? How many lines it left out since it last did is in *ret_left_out. */
int log_may(struct log_limit *, uint64_t *ret_left_out);

#define log_limited(level, fields, ...)                                           \
	do {                                                                      \
		static struct log_limit limit_;                                   \
		uint64_t left_out_;                                               \
		if (log_may(&limit_, &left_out_)) {                               \
			log_line(level, fields, __VA_ARGS__);                     \
			if (left_out_)                                            \
				log_line(level, fields, "%llu lines like the one above were left out", \
					(unsigned long long)left_out_);           \
		}                                                                 \
	} while (0)
