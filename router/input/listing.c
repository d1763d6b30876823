#include "router/input/listing.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

enum { TRIES = 5 }; /* a log is not rotated five times while a folder is read */

static int fill(struct file_stat *f, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
	*f = (struct file_stat){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size > 0 ? (uint64_t)st->st_size : 0,
		.changed_ns = st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
		.modified_ns = st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
	};
	return 0;
}

int file_stat_path(struct file_stat *ret, const char *path)
{
	struct stat st;
	return stat(path, &st) ? -errno : fill(ret, &st);
}

int file_stat_fd(struct file_stat *ret, int fd)
{
	struct stat st;
	return fstat(fd, &st) ? -errno : fill(ret, &st);
}

bool listing_is_pattern(const char *path)
{
	return strpbrk(path, "*?[");
}

bool listing_scarce(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

void listing_finish(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].path);
	free(l->list);
	*l = (struct listing){ 0 };
}

/* Takes the path over. */
static void add(struct listing *l, char *path, bool asked)
{
	struct file_stat st = { 0 };
	int code = file_stat_path(&st, path);
	if (code < 0 && (!asked || code == -EISDIR)) {
		free(path);
		return;
	}
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->list = mem_resize(l->list, l->room * sizeof *l->list);
	}
	l->list[l->n++] = (struct listed){ .path = path, .name = chain_parse(path), .stat = st,
		.code = code, .asked = asked };
}

static _Thread_local int glob_code; /* why glob gave up */

static int give_up(const char *path, int code)
{
	(void)path;
	glob_code = listing_scarce(-code) ? -code : 0;
	return glob_code;
}

static int add_asked(struct listing *l, const char *pattern)
{
	glob_t found = { 0 };
	struct stat st;
	if (!listing_is_pattern(pattern)) {
		add(l, mem_text(view_of(pattern)), true);
		return 0;
	}
	int r = glob(pattern, GLOB_NOSORT, give_up, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		add(l, mem_text(view_of(found.gl_pathv[i])), true);
	globfree(&found);
	if (stat(pattern, &st) == 0)
		add(l, mem_text(view_of(pattern)), true); /* a[1] does not fit itself; of what does, sort() leaves one */
	return r == GLOB_NOSPACE ? -ENOMEM : r == GLOB_ABORTED ? glob_code : 0;
}

/* ---- rotated files of logs ---- */

struct log {
	char *path;
	struct chain_name name; /* of path */
	uint64_t dev, ino;      /* 0: it is not there */
};

struct logs {
	struct log *list;
	size_t n;
};

static int compare_logs(const void *a, const void *b)
{
	return chain_compare(&((const struct log *)a)->name, &((const struct log *)b)->name);
}

static void look(struct log *log)
{
	struct file_stat st = { 0 };
	(void)file_stat_path(&st, log->path);
	log->dev = st.dev;
	log->ino = st.ino;
}

static char *live_path(const struct chain_name *n)
{
	return mem_textf("%.*s%s", VIEW_ARGS(n->folder), n->live);
}

/* The logs of the asked files that are live, and the named ones, each once. */
static struct logs logs_of(const struct listing *l, const char *pattern, const char *const *named, size_t n_named)
{
	struct logs logs = { mem_zero(l->n + n_named + 1, sizeof *logs.list), 0 };
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].name.kind == CHAIN_LIVE)
			logs.list[logs.n++].path = live_path(&l->list[i].name);
	for (size_t i = 0; i < n_named; i++)
		logs.list[logs.n++].path = mem_text(view_of(named[i]));
	if (!listing_is_pattern(pattern) && chain_parse(pattern).kind == CHAIN_LIVE)
		logs.list[logs.n++].path = mem_text(view_of(pattern));
	for (size_t i = 0; i < logs.n; i++) {
		struct chain_name *n = &logs.list[i].name;
		*n = chain_parse(logs.list[i].path);
		n->kind = CHAIN_LIVE; /* whatever it looks like */
		n->mark = VIEW("");
	}
	qsort(logs.list, logs.n, sizeof *logs.list, compare_logs);
	size_t kept = 0;
	for (size_t i = 0; i < logs.n; i++) {
		if (kept && compare_logs(&logs.list[kept - 1], &logs.list[i]) == 0)
			free(logs.list[i].path);
		else
			logs.list[kept++] = logs.list[i];
	}
	logs.n = kept;
	for (size_t i = 0; i < logs.n; i++)
		look(&logs.list[i]);
	return logs;
}

static void logs_finish(struct logs *logs)
{
	for (size_t i = 0; i < logs->n; i++)
		free(logs->list[i].path);
	free(logs->list);
}

/* Adds what lies in the folder of logs[first] and is a rotated file of one of logs[first, end), which all lie there. */
static int add_rotated(struct listing *l, const struct logs *logs, size_t first, size_t end)
{
	const struct view folder = logs->list[first].name.folder;
	_free_ char *path = folder.len ? mem_text(folder) : mem_text(VIEW("."));
	DIR *dir = opendir(path);
	if (!dir)
		return listing_scarce(-errno) ? -errno : 0;
	for (struct dirent *entry; errno = 0, (entry = readdir(dir));) {
		char *whole = mem_textf("%.*s%s", VIEW_ARGS(folder), entry->d_name);
		struct log key = { .path = whole, .name = chain_parse(whole) };
		const bool rotated = key.name.kind != CHAIN_LIVE;
		key.name.kind = CHAIN_LIVE;
		key.name.mark = VIEW("");
		if (rotated && bsearch(&key, logs->list + first, end - first, sizeof key, compare_logs))
			add(l, whole, false);
		else
			free(whole);
	}
	int r = -errno;
	(void)closedir(dir);
	return r;
}

static int add_all_rotated(struct listing *l, const struct logs *logs)
{
	int r = 0;
	for (size_t first = 0, end; first < logs->n; first = end) {
		for (end = first + 1; end < logs->n; end++)
			if (!view_eq(logs->list[end].name.folder, logs->list[first].name.folder))
				break;
		int one = add_rotated(l, logs, first, end);
		r = r < 0 ? r : one;
	}
	return r;
}

/* Is each live file still the one that it was before the folders were read, and the one that was listed? */
static bool unmoved(const struct listing *l, const struct logs *logs)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct log key = { .name = l->list[i].name };
		const struct log *log = key.name.kind == CHAIN_LIVE && !key.name.packed && logs->n ?
			bsearch(&key, logs->list, logs->n, sizeof key, compare_logs) : NULL;
		if (log && (log->dev != l->list[i].stat.dev || log->ino != l->list[i].stat.ino))
			return false;
	}
	for (size_t i = 0; i < logs->n; i++) {
		struct log now = logs->list[i];
		look(&now);
		if (now.dev != logs->list[i].dev || now.ino != logs->list[i].ino)
			return false;
	}
	return true;
}

/* ---- order ---- */

static int compare_listed(const void *pa, const void *pb)
{
	const struct listed *a = pa, *b = pb;
	int c = chain_compare(&a->name, &b->name);
	if (c == 0)
		c = a->name.packed - b->name.packed;
	if (c == 0)
		c = strcmp(a->path, b->path);
	return c ? c : b->asked - a->asked;
}

/* In order, each path once. */
static void sort(struct listing *l)
{
	size_t kept = 0;
	if (l->n)
		qsort(l->list, l->n, sizeof *l->list, compare_listed);
	for (size_t i = 0; i < l->n; i++) {
		if (kept && strcmp(l->list[kept - 1].path, l->list[i].path) == 0)
			free(l->list[i].path);
		else
			l->list[kept++] = l->list[i];
	}
	l->n = kept;
}

int listing_take(struct listing *l, const char *pattern, const char *const *named, size_t n_named)
{
	int r = 0;
	for (int i = 0; i < TRIES; i++) {
		listing_finish(l);
		r = add_asked(l, pattern);
		struct logs logs = logs_of(l, pattern, named, n_named);
		int rotated = add_all_rotated(l, &logs);
		r = r < 0 ? r : rotated;
		bool good = unmoved(l, &logs);
		logs_finish(&logs);
		if (good)
			break;
	}
	sort(l);
	return r;
}
