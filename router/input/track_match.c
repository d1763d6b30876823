/* tracks_match: which of the listed files are which known ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/tracks_private.h"

/* A track by its inode as it was when the look began. */
struct inode {
	uint64_t dev, ino;
	struct track *track;
};

struct matching {
	struct tracks *tracks;
	const struct tracks_news *news;
	struct inode *inodes; /* sorted; each of the n tracks that there were at first */
	size_t n;
	bool again;
	bool *settled;       /* by listed file: nothing more to find out about it */
};

static int compare_inodes(const void *pa, const void *pb)
{
	const struct inode *a = pa, *b = pb;
	return a->ino != b->ino ? (a->ino < b->ino ? -1 : 1) : (a->dev > b->dev) - (a->dev < b->dev);
}

static struct track *find_inode(const struct matching *m, const struct file_stat *st)
{
	const struct inode key = { st->dev, st->ino, NULL };
	const struct inode *found = m->n ? bsearch(&key, m->inodes, m->n, sizeof key, compare_inodes) : NULL;
	return found ? found->track : NULL;
}

static void index_inodes(struct matching *m)
{
	const struct tracks *ts = m->tracks;
	m->inodes = mem_zero(ts->n + 1, sizeof *m->inodes);
	for (size_t k = 0; k < ts->n; k++) {
		struct track *t = ts->list[k];
		if (t->file.ino && t->gone_at == UINT64_MAX)
			m->inodes[m->n++] = (struct inode){ t->file.dev, t->file.ino, t };
	}
	if (m->n)
		qsort(m->inodes, m->n, sizeof *m->inodes, compare_inodes);
}

static bool unchanged(const struct file_stat *a, const struct file_stat *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static int open_head(const struct listed *l, struct head *head)
{
	struct file_stat st;
	_close_ int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? -errno : file_stat_fd(&st, fd);
	if (r == 0 && (st.dev != l->stat.dev || st.ino != l->stat.ino))
		r = -ENOENT;
	return r < 0 ? r : head_read(head, fd, l->path);
}

/* The first bytes of the very file that was listed. -errno: it cannot be read; -ENOENT: or is another by now. */
static int read_head(struct matching *m, const struct listed *l, struct head *head)
{
	int r = l->code < 0 ? l->code : open_head(l, head);
	if (r < 0 && m->news->unreadable)
		m->news->unreadable(m->news->context, l->path, r);
	return r;
}

/* The track is this file; a longer fingerprint is taken where there are more bytes now. */
static void take(struct matching *m, struct track *t, const struct listed *l, const struct head *head)
{
	struct tracks *ts = m->tracks;
	(void)pthread_mutex_lock(&ts->mutex);
	if (strcmp(t->file.path, l->path) != 0) {
		free(t->file.path);
		t->file.path = mem_text(view_of(l->path));
		t->name = chain_parse(t->file.path);
	}
	if ((t->file.dev != l->stat.dev || t->file.ino != l->stat.ino) && t->fd >= 0) {
		(void)close(t->fd);
		t->fd = -1;
	}
	t->file.dev = l->stat.dev;
	t->file.ino = l->stat.ino;
	t->file.size = l->stat.size;
	if (head) {
		t->seen = l->stat;
		t->file.packed = head->packed;
		if (fingerprint_grows(&t->file.print, head))
			t->file.print = fingerprint_of(head);
		t->compared = t->file.print.bytes;
	}
	t->present = true;
	t->missing_ms = 0;
	(void)pthread_mutex_unlock(&ts->mutex);
}

/* The track's bytes are not in this inode any more. */
static void lose(struct matching *m, struct track *t, bool cut)
{
	(void)pthread_mutex_lock(&m->tracks->mutex);
	t->file.ino = 0;
	t->file.dev = 0;
	t->cut = cut;
	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = -1;
	(void)pthread_mutex_unlock(&m->tracks->mutex);
	if (cut && m->news->cut)
		m->news->cut(m->news->context, t);
}

static bool is_short(const struct track *t, const struct listed *l, bool packed)
{
	return !packed && l->stat.size < t->read;
}

/* The track is a copy of another, and nothing of it was read. */
static void drop(struct matching *m, struct track *t)
{
	(void)pthread_mutex_lock(&m->tracks->mutex);
	t->file.print = (struct fingerprint){ 0 };
	(void)pthread_mutex_unlock(&m->tracks->mutex);
	tracks_done(m->tracks, t, true);
	lose(m, t, false);
}

/*
 * The track, but for `except`, that has the listed file's content. Where a first line was not whole yet nobody can tell, nor where
 * there are fewer bytes than an event has (a blank line, a header), and the file is read: rather twice than never. A packed file that
 * cannot be unpacked (yet) is taken for the one that it is named after.
 */
static struct track *find_content(const struct tracks *ts, const struct listed *l, const struct head *head,
	const struct track *except)
{
	struct track *found = NULL;
	for (size_t k = 0; k < ts->n; k++) {
		struct track *t = ts->list[k];
		if (t == except || t->gone_at != UINT64_MAX || !chain_same_log(&t->name, &l->name))
			continue;
		bool same = t->file.print.bytes >= HEAD_TELLING && t->file.print.line && fingerprint_fits(&t->file.print, head);
		bool named = head->damaged && head->len < t->file.print.bytes && chain_same_file(&t->name, &l->name);
		if ((same || named) && (!found || (found->present && !t->present)))
			found = t;
	}
	return found;
}

/* By inode. */
static void match_inode(struct matching *m, const struct listed *l, size_t i)
{
	struct head head;
	int r;
	struct track *t = l->code < 0 ? NULL : find_inode(m, &l->stat);
	m->settled[i] = t != NULL;
	if (!t || t->present) /* a second name of it */
		return;
	if (unchanged(&t->seen, &l->stat)) {
		take(m, t, l, NULL);
	} else if ((r = read_head(m, l, &head)) < 0) {
		t->present = true; /* what it is, the next look says */
		t->unreadable = r != -ENOENT;
	} else if (!t->compared && find_content(m->tracks, l, &head, t)) {
		/* It was empty until now, and turns out to be packed, or copied, from another. */
		m->settled[i] = false;
		drop(m, t);
	} else if (fingerprint_fits(&t->file.print, &head) && !is_short(t, l, head.packed)) {
		take(m, t, l, &head);
	} else {
		m->again = true; /* a copy of what was cut, made before it was, may not be listed; it comes first */
		/* Of what happened before this run nobody knows: perhaps more was written to it. */
		lose(m, t, t->seen.ino && strcmp(t->file.path, l->path) == 0);
	}
}

static bool is_twin(const struct tracks *ts, const struct listed *l)
{
	for (size_t i = 0; i < ts->n_twins; i++)
		if (strcmp(ts->twins[i].path, l->path) == 0 && unchanged(&ts->twins[i].stat, &l->stat))
			return true;
	return false;
}

static void add_twin(struct tracks *ts, const struct listed *l)
{
	for (size_t i = 0; i < ts->n_twins; i++)
		if (strcmp(ts->twins[i].path, l->path) == 0) {
			ts->twins[i].stat = l->stat;
			return;
		}
	ts->twins = mem_resize(ts->twins, (ts->n_twins + 1) * sizeof *ts->twins);
	ts->twins[ts->n_twins++] = (struct twin){ mem_text(view_of(l->path)), l->stat };
}

static void forget_twins(struct tracks *ts)
{
	for (size_t i = 0; i < ts->n_twins; i++)
		free(ts->twins[i].path);
	ts->n_twins = 0;
}

/* Listed right after the plain file that it is named after, and not one that is whole: it is being made. */
static bool is_in_the_making(const struct listed *l, size_t i, const struct head *head)
{
	return i && l->name.packed && chain_same_file(&l[-1].name, &l->name) && (!head->packed || head->damaged);
}

/* Is it, by a link, one that came under another name at this look? match_inode knows those that were there before. */
static bool has_other_name(const struct matching *m, const struct listed *l)
{
	const struct tracks *ts = m->tracks;
	for (size_t k = 0; k < ts->n; k++) {
		const struct track *t = ts->list[k];
		if (t->present && t->gone_at == UINT64_MAX && t->file.ino == l->stat.ino && t->file.dev == l->stat.dev)
			return true;
	}
	return false;
}

/* By content. */
static void match_content(struct matching *m, const struct listed *l, size_t i)
{
	struct tracks *ts = m->tracks;
	struct head head;
	if (is_twin(ts, l)) {
		m->settled[i] = true;
		return;
	}
	if (read_head(m, l, &head) < 0) {
		m->settled[i] = true; /* the next look */
		return;
	}
	struct track *t = find_content(ts, l, &head, NULL);
	if (t) {
		m->settled[i] = true;
		if (t->present || (t->fd >= 0 && head.damaged) || is_short(t, l, head.packed)) {
			add_twin(ts, l);
			return;
		}
		take(m, t, l, &head);
		return;
	}
	if (is_in_the_making(l, i, &head))
		return;
	if (has_other_name(m, l)) {
		m->settled[i] = true;
		return;
	}
	t = track_of_listed(l, &head);
	if (m->news->added)
		m->news->added(m->news->context, t, l->asked);
	tracks_insert(ts, t);
}

bool tracks_match(struct tracks *ts, const struct listing *listing, const struct tracks_news *news)
{
	_free_ bool *settled = mem_zero(listing->n + 1, sizeof(bool));
	_free_ bool *was_present = mem_zero(ts->n + 1, sizeof(bool));
	struct matching m = { .tracks = ts, .news = news, .settled = settled };
	const size_t n_before = ts->n;
	index_inodes(&m);
	for (size_t k = 0; k < n_before; k++) {
		was_present[k] = ts->list[k]->present;
		ts->list[k]->present = ts->list[k]->unreadable = false;
	}
	for (size_t i = 0; i < listing->n; i++)
		match_inode(&m, &listing->list[i], i);
	for (size_t k = 0; k < n_before; k++)
		if (was_present[k] && !ts->list[k]->present)
			forget_twins(ts);
	for (size_t i = 0; i < listing->n; i++)
		if (!settled[i])
			match_content(&m, &listing->list[i], i);
	free(m.inodes);
	return !m.again;
}
