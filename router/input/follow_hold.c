/* Which files of a log are held open. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/follow_private.h"

enum {
	HELD_PART = 4, /* of the descriptors that the process may have, for all file inputs together */
	HELD_LEAST = 16,
	HELD_MOST = 1 << 20,
	LINGER_MS = 60000, /* who was still writing to a file that has no name is told to open the log anew by then */
};

static atomic_uint n_inputs;

void follow_hold_begin(void)
{
	(void)atomic_fetch_add(&n_inputs, 1);
}

void follow_hold_end(void)
{
	(void)atomic_fetch_sub(&n_inputs, 1);
}

static size_t most_open(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > (rlim_t)HELD_MOST * HELD_PART)
		return HELD_MOST;
	size_t share = (size_t)limit.rlim_cur / HELD_PART / atomic_load(&n_inputs);
	return share > HELD_LEAST ? share : HELD_LEAST;
}

void follow_close(struct track *t)
{
	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = -1;
}

/* What has lost its name cannot be opened again; what is not read to its end must not get lost. */
static int need(const struct track *t)
{
	return !t->present ? 2 : t->file.packed || t->file.size != t->read;
}

/* Those first that need it most, then those that were written to last. */
static int compare(const void *pa, const void *pb)
{
	const struct track *a = *(struct track *const *)pa, *b = *(struct track *const *)pb;
	int c = need(b) - need(a);
	return c ? c : (b->seen.modified_ns > a->seen.modified_ns) - (b->seen.modified_ns < a->seen.modified_ns);
}

/* One that was read to its end and has no name: its writer may not know yet. */
static bool lingers(struct follow *f, struct track *t)
{
	struct file_stat st;
	if (t->present || t->fd < 0 || t->file.packed || file_stat_fd(&st, t->fd) < 0 || !follow_is_recent(&st, LINGER_MS))
		return false;
	tracks_size(&f->tracks, t, st.size);
	return true;
}

void follow_hold(struct follow *f)
{
	_free_ struct track **wanted = mem_zero(f->tracks.n + 1, sizeof(struct track *));
	size_t n = 0, n_lingering = 0;
	f->most_open = most_open();
	for (size_t i = 0; i < f->tracks.n; i++) {
		struct track *t = f->tracks.list[i];
		const bool lingering = t->file.done && lingers(f, t);
		if (t->file.done && (t->present || lingering) && !t->file.packed && t->file.size > t->read)
			tracks_done(&f->tracks, t, false); /* somebody still wrote to it */
		if (t->file.done && lingering && n_lingering++ < f->most_open / 2)
			continue;
		if (t->file.done)
			follow_close(t);
		else if (t->present || t->fd >= 0)
			wanted[n++] = t;
	}
	f->n_open = 0;
	if (n > f->most_open)
		qsort(wanted, n, sizeof(struct track *), compare);
	for (size_t i = f->most_open; i < n; i++)
		if (wanted[i]->present)
			follow_close(wanted[i]); /* before others are opened */
	for (size_t i = 0; i < n; i++) {
		if (i < f->most_open && wanted[i]->present)
			(void)follow_open(wanted[i]);
		f->n_open += wanted[i]->fd >= 0;
	}
}
