#include "router/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "router/base/clock.h"

enum { LINE_MAX_BYTES = 2048, LIMIT_MS = 1000 };

static _Atomic int level_max = LOG_INFO;

void log_level_set(enum log_level level)
{
	level_max = (int)level;
}

/* logfmt's quoted text: quotes and backslashes escaped, control bytes shown as spaces. */
static size_t quote(char *out, size_t room, const char *text)
{
	size_t n = 0;
	for (; *text && n + 2 < room; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			out[n++] = '\\';
		out[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
	}
	out[n] = 0;
	return n;
}

void log_line(enum log_level level, const char *fields, const char *format, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char sentence[LINE_MAX_BYTES / 2], quoted[LINE_MAX_BYTES], line[2 * LINE_MAX_BYTES], at[CLOCK_TEXT_ROOM];
	if ((int)level > level_max)
		return;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	(void)quote(quoted, sizeof quoted, sentence);
	int n = snprintf(line, sizeof line, "at=%s level=%s msg=\"%s\"%s%s\n", clock_print(clock_now_us(), at),
		names[level], quoted, fields && *fields ? " " : "", fields ? fields : "");
	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
	line[len - 1] = '\n';
	(void)!write(STDERR_FILENO, line, len);
}

int log_may(struct log_limit *limit, uint64_t *ret_left_out)
{
	int64_t now = clock_steady_ms(), next = limit->next_ms;
	if (now < next || !atomic_compare_exchange_strong(&limit->next_ms, &next, now + LIMIT_MS)) {
		limit->left_out++;
		return 0;
	}
	*ret_left_out = atomic_exchange(&limit->left_out, 0);
	return 1;
}
