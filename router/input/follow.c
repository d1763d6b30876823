#include "router/input/follow_private.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/log.h"

enum {
	LOOK_MS = 1000,      /* names and sizes are looked at as often at least, whatever inotify says */
	PAUSE_MS = 10,       /* between two rounds: writes of a busy apiserver are taken together */
	PAUSE_PART = 4,      /* and so many times as long as a round took that found little, as far as LOOK_MS */
	MUCH_BYTES = 1 << 20,
	GAP_MS = 1500,       /* a file that has no name may be about to get another */
	MISSING_MS = 2000,   /* the same of the live one */
	FORGET_MS = 60000,
	REPEAT_MS = 60000,   /* what is still wrong is told again */
	MORE_FILES = 65536,  /* descriptors, for a pattern, as far as the process may have so many */
	TRIES = 10,          /* looks in a row, where files change meanwhile */
};

static void forget_unread(struct follow *f)
{
	for (size_t i = 0; i < f->n_unread; i++)
		free(f->unread[i].path);
	f->n_unread = 0;
}

static void mark(void *context, uint64_t position, struct view text)
{
	feed_mark(context, position, text);
}

int follow_create(struct follow **ret_follow, const struct follow_options *options, struct err *err)
{
	struct follow *f = mem_zero(1, sizeof *f);
	const struct input_options *o = &options->source->options;
	f->options = *options;
	f->source = options->source;
	f->pattern = listing_is_pattern(options->pattern);
	f->first = !o->state;
	follow_hold_begin();
	if (f->pattern)
		io_want_files(MORE_FILES);
	f->watch = watch_create(options->source->stop_fd);
	int r = tracks_init(&f->tracks, o->position, o->state, o->lane_states, o->n_lanes, err);
	if (r < 0) {
		follow_destroy(f);
		return r;
	}
	f->tracks.mark = mark;
	f->tracks.mark_context = o->feed;
	f->tracks.marked = o->position;
	*ret_follow = f;
	return 0;
}

void follow_destroy(struct follow *f)
{
	if (!f)
		return;
	follow_hold_end();
	tracks_finish(&f->tracks);
	forget_unread(f);
	free(f->unread);
	watch_destroy(f->watch);
	free(f);
}

void follow_settled(struct follow *f, uint64_t position)
{
	tracks_settled(&f->tracks, position);
}

char *follow_state(struct follow *f, uint64_t position, int lane)
{
	return f->first ? NULL : tracks_state(&f->tracks, position, lane);
}

static const char *input_name(const struct follow *f)
{
	return f->source->options.input->name;
}

/* ---- what a look finds ---- */

static char *log_of(const struct track *t)
{
	return mem_textf("%.*s%s", VIEW_ARGS(t->name.folder), t->name.live);
}

/* On a first start: what was not asked for is passed over, and so is all `from: end`. */
static void added(void *context, struct track *t, bool asked)
{
	const struct follow *f = context;
	_free_ char *log = log_of(t);
	bool rotated_too = (!f->pattern || strcmp(log, f->options.pattern) == 0) && !f->source->options.once;
	if (!f->first || (!f->options.from_end && (asked || rotated_too)))
		return;
	t->file.done = t->file.packed || t->name.kind != CHAIN_LIVE;
	if (!t->file.packed)
		t->read = t->file.done ? t->file.size : follow_last_newline(t->file.path, t->file.size);
	t->file.offset = t->lines_from = t->read;
}

static void cut(void *context, const struct track *t)
{
	const struct follow *f = context;
	log_line(LOG_WARN, NULL, "input %s: %s was cut: what is in it now is read from its start", input_name(f), t->file.path);
}

void follow_tell(struct follow *f, const char *path, int code)
{
	int64_t now = clock_steady_ms();
	bool once = f->source->options.once;
	if (!once && (code == -ENOENT || (f->unreadable_ms && now - f->unreadable_ms < REPEAT_MS)))
		return;
	f->unreadable_ms = now;
	feed_trouble(f->source->options.feed, "%s: cannot be read: %s", path,
		code == -EINVAL ? "it is no regular file" : strerror(-code));
}

static bool is_absence(int code)
{
	return code == -ENOENT || code == -ENOTDIR;
}

static void unreadable(void *context, const char *path, int code)
{
	struct follow *f = context;
	follow_tell(f, path, code);
	if (is_absence(code) || code == -EINVAL)
		return;
	f->unread = mem_resize(f->unread, (f->n_unread + 1) * sizeof *f->unread);
	f->unread[f->n_unread++] = (struct unread){ mem_text(view_of(path)), code };
}

/* What an earlier configuration asked for is remembered, but neither read nor missed. */
static bool is_asked(const struct follow *f, const struct track *t)
{
	const char *pattern = f->options.pattern;
	_free_ char *log = log_of(t);
	if (strcmp(pattern, t->file.path) == 0 || strcmp(pattern, log) == 0)
		return true;
	return f->pattern && (fnmatch(pattern, t->file.path, FNM_PATHNAME | FNM_PERIOD) == 0 ||
		       fnmatch(pattern, log, FNM_PATHNAME | FNM_PERIOD) == 0);
}

/* The logs of what is known: their rotated files are wanted even where no pattern fits them. */
static char **known_logs(const struct follow *f)
{
	char **logs = mem_zero(f->tracks.n + 1, sizeof(char *));
	for (size_t i = 0, n = 0; i < f->tracks.n; i++)
		if (is_asked(f, f->tracks.list[i]))
			logs[n++] = log_of(f->tracks.list[i]);
	return logs;
}

static void gap(struct follow *f, struct track *t)
{
	const uint64_t unread = !t->file.packed && t->file.size > t->read ? t->file.size - t->read : 0;
	tracks_gone(&f->tracks, t, f->source->position);
	f->source->position++;
	(void)feed_gap(f->source->options.feed, t->file.path, unread,
		t->cut ? "was cut before all of it was read" : "vanished before all of it was read", f->source->position);
}

/* Why a file that the last look did not find may be there nevertheless: -errno. 0: it is gone. */
static int doubt(const struct follow *f, const struct track *t)
{
	_free_ char *folder = t->name.folder.len ? mem_text(t->name.folder) : mem_text(VIEW("."));
	struct file_stat st;
	if (f->partial < 0)
		return f->partial;
	for (size_t i = 0; i < f->n_unread; i++) {
		const struct chain_name name = chain_parse(f->unread[i].path);
		if (chain_same_log(&name, &t->name))
			return f->unread[i].code;
	}
	int r = file_stat_path(&st, t->file.path);
	if (r < 0 && !is_absence(r) && r != -EISDIR && r != -EINVAL)
		return r;
	_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	return is_absence(r) ? 0 : r;
}

/* Where nothing of its log is there, the folder itself may be away: a mount that comes late. Then there is nothing to read meanwhile. */
static int64_t gap_ms(const struct follow *f, const struct track *t)
{
	for (size_t i = 0; i < f->tracks.n; i++)
		if (f->tracks.list[i]->present && chain_same_log(&f->tracks.list[i]->name, &t->name))
			return GAP_MS;
	return FORGET_MS;
}

/* Where there is doubt, it is told. */
static bool is_gone(struct follow *f, const struct track *t)
{
	int r = doubt(f, t);
	if (r < 0)
		follow_tell(f, t->file.path, r);
	return r == 0;
}

static void check_missing(struct follow *f, struct track *t, int64_t now)
{
	if (t->present || t->fd >= 0 || t->gone_at != UINT64_MAX) {
		t->missing_ms = 0;
		return;
	}
	if (!t->missing_ms)
		t->missing_ms = now;
	if (t->file.done && now - t->missing_ms >= FORGET_MS && is_asked(f, t) && !is_gone(f, t))
		t->missing_ms = now; /* it is not forgotten yet */
	if (t->file.done || !is_asked(f, t))
		return;
	if (t->cut && !t->file.packed && t->file.size <= t->read)
		tracks_done(&f->tracks, t, true);
	else if (f->look)
		return; /* looked for once more, at once */
	else if ((f->source->options.once || now - t->missing_ms >= gap_ms(f, t)) && is_gone(f, t))
		gap(f, t);
}

/* ---- the file itself ---- */

static void tell_missing(struct follow *f, int64_t now)
{
	const char *path = f->options.pattern;
	if (!f->seen) {
		if (!f->told_ms)
			log_line(LOG_INFO, NULL, "input %s: waits for %s", input_name(f), path);
		f->told_ms = now;
		return;
	}
	if (now - f->missing_ms < MISSING_MS || (f->told_ms && now - f->told_ms < REPEAT_MS))
		return;
	if (!f->told_ms)
		feed_trouble(f->source->options.feed, "%s is gone: nothing new is read until it is there again", path);
	else
		log_line(LOG_ERROR, NULL, "input %s: %s is still gone", input_name(f), path);
	f->told_ms = now;
}

static void check_live(struct follow *f, const struct listing *l, int64_t now)
{
	bool there = false;
	for (size_t i = 0; i < l->n && !there; i++)
		there = l->list[i].asked && l->list[i].code != -ENOENT;
	if (there) {
		if (f->seen && f->told_ms)
			log_line(LOG_INFO, NULL, "input %s: %s is there again", input_name(f), f->options.pattern);
		f->seen = true;
		f->missing_ms = f->told_ms = 0;
		return;
	}
	if (!f->missing_ms)
		f->missing_ms = now;
	if (!f->source->options.once)
		tell_missing(f, now);
}

/* A run that ends has something to read. */
static void check_once(struct follow *f, const struct listing *l, int looked_up)
{
	const char *path = f->options.pattern;
	struct file_stat st;
	bool any = false;
	for (size_t i = 0; i < l->n; i++)
		any = any || l->list[i].asked;
	if (any)
		return;
	if (f->pattern)
		feed_trouble(f->source->options.feed, "%s: %s", path,
			looked_up < 0 ? "the pattern cannot be looked up" : "no file fits the pattern");
	else
		feed_trouble(f->source->options.feed, "%s: cannot be read: %s", path, strerror(-file_stat_path(&st, path)));
}

/* ---- a look ---- */

static void add_watches(struct follow *f)
{
	struct view last = { 0 };
	struct stat st;
	const struct chain_name asked = chain_parse(f->options.pattern);
	for (size_t i = 0; i <= f->tracks.n; i++) {
		const struct track *t = i ? f->tracks.list[i - 1] : NULL;
		const struct view folder = t ? t->name.folder : asked.folder;
		if (!last.ptr || !view_eq(last, folder)) {
			_free_ char *path = folder.len ? mem_text(folder) : mem_text(VIEW("."));
			watch_add(f->watch, path);
			last = folder;
		}
		if (t && t->newest && lstat(t->file.path, &st) == 0 && S_ISLNK(st.st_mode))
			watch_add(f->watch, t->file.path);
	}
}

static void set_total(struct follow *f)
{
	uint64_t total = 0;
	for (size_t i = 0; i < f->tracks.n; i++) {
		const struct track *t = f->tracks.list[i];
		if (!t->file.done && t->present && (t->file.packed || t->file.size != t->read))
			total += t->file.size;
	}
	f->source->total = total;
}

/*
 * What was empty at the last look may by now have been written, renamed and packed: the packed one is known by the bytes that
 * are in the one that is held open. After the listing, so that whatever is listed can be known.
 */
static void take_prints(struct follow *f)
{
	struct head head;
	for (size_t i = 0; i < f->tracks.n; i++) {
		struct track *t = f->tracks.list[i];
		if (t->fd >= 0 && (t->file.print.bytes < HEAD_MAX || !t->file.print.line) && head_read(&head, t->fd, t->file.path) == 0 &&
			fingerprint_fits(&t->file.print, &head))
			tracks_print(&f->tracks, t, &head);
	}
}

static int list(struct follow *f, struct listing *l)
{
	char **logs = known_logs(f);
	size_t n_logs = 0;
	while (logs[n_logs])
		n_logs++;
	int r = listing_take(l, f->options.pattern, (const char *const *)logs, n_logs);
	for (size_t i = 0; i < n_logs; i++)
		free(logs[i]);
	free(logs);
	if (r < 0)
		follow_tell(f, f->options.pattern, r);
	return r;
}

static void look(struct follow *f)
{
	const struct tracks_news news = { added, cut, unreadable, f };
	struct listing l = { 0 };
	int64_t now = clock_steady_ms();
	bool once = f->source->options.once;
	f->looked_ms = now;
	f->partial = list(f, &l);
	if (listing_scarce(f->partial)) {
		f->look = false; /* all is as it was */
		listing_finish(&l);
		return;
	}
	forget_unread(f);
	if (!once)
		add_watches(f); /* before names are acted on: what changes from now on wakes */
	take_prints(f);
	f->look = !tracks_match(&f->tracks, &l, &news);
	check_live(f, &l, now);
	if (once)
		check_once(f, &l, f->partial);
	listing_finish(&l);
	tracks_sort(&f->tracks);
	for (size_t i = 0; i < f->tracks.n; i++)
		check_missing(f, f->tracks.list[i], now);
	follow_hold(f);
	tracks_forget(&f->tracks, now - FORGET_MS);
	if (f->first)
		tracks_mark_first(&f->tracks, f->source->position);
	f->first = false;
	if (once)
		set_total(f);
}

/* ---- rounds ---- */

/* Reads each file to its end as of now, oldest first. False: stopped. */
static bool read_all(struct follow *f)
{
	for (size_t i = 0; i < f->tracks.n && !f->look; i++)
		if (source_stopped(f->source) || !follow_read(f, f->tracks.list[i]))
			return false;
	return !source_stopped(f->source);
}

static void run_once(struct follow *f)
{
	f->look = true;
	for (int i = 0; f->look && i < TRIES; i++) {
		look(f);
		if (!f->look && !read_all(f))
			return;
	}
}

/* After a round that took so long and found so much. False: stopped. */
static bool wait_for_news(struct follow *f, int64_t round_ms, uint64_t bytes)
{
	int64_t pause = bytes > MUCH_BYTES ? 0 : round_ms * PAUSE_PART > LOOK_MS ? LOOK_MS : round_ms * PAUSE_PART;
	if (watch_pause(f->watch, (int)(pause < PAUSE_MS ? PAUSE_MS : pause)))
		return false;
	int64_t rest = f->look ? 0 : LOOK_MS - (clock_steady_ms() - f->looked_ms);
	unsigned news = watch_wait(f->watch, rest > 0 ? (int)rest : 0);
	f->look = f->look || news & WATCH_NAMES || clock_steady_ms() - f->looked_ms >= LOOK_MS;
	return !(news & WATCH_STOP);
}

void follow_run(struct follow *f)
{
	int64_t began;
	uint64_t before;
	if (f->source->options.once) {
		run_once(f);
		return;
	}
	f->look = true;
	do {
		began = clock_steady_ms();
		before = f->source->position;
		for (int i = 0; f->look && i < TRIES; i++)
			look(f);
		if (!read_all(f))
			return;
	} while (wait_for_news(f, clock_steady_ms() - began, f->source->position - before));
}
