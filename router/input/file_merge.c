/* Where a lane goes on that has a state in its output's transactions beside the one in the checkpoint (exactly-once). */
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/file_state.h"
#include "router/input/input.h"

/* The same content as far as it is known: one hash, of as many bytes. */
static bool same_print(const struct file_record *a, const struct file_record *b)
{
	return fingerprint_equals(&a->print, &b->print);
}

/*
 * By number where that means the same in both, unless the bytes say otherwise; else only what is surely the same. A file that
 * was empty when it was seen is whatever else is known of its inode: nothing of it was read.
 */
static bool same_file(const struct file_record *a, const struct file_record *b, bool same_line)
{
	if (same_line && a->id == b->id && (a->print.bytes != b->print.bytes || same_print(a, b)))
		return true;
	if (a->dev != b->dev || a->ino != b->ino)
		return false;
	return a->print.bytes && b->print.bytes ? same_print(a, b) : a->ino != 0;
}

static const struct file_record *find_same(const struct file_state *s, const struct file_record *f, bool same_line)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_file(f, &s->files[i], same_line))
			return &s->files[i];
	return NULL;
}

static void add(struct file_state *s, const struct file_record *f, uint64_t id, struct lane_offset at)
{
	struct file_record *r = &s->files[s->n++];
	*r = *f;
	r->id = id;
	r->path = mem_text(view_of(f->path));
	r->offset = at.offset;
	r->done = at.done;
}

/* What the checkpoint says of the lane, `mine` NULL: nothing. */
static struct lane_offset offset_of(const struct file_state *mine, bool known, uint64_t id)
{
	return known ? file_state_of(mine, id) : (struct lane_offset){ 0, false };
}

static void add_committed(struct file_state *out, const struct file_state *committed, const struct file_state *all,
	const struct file_state *mine, const struct input_merge *m)
{
	for (size_t i = 0; i < committed->n; i++) {
		const struct file_record *f = &committed->files[i], *same = find_same(all, f, m->same_line);
		struct lane_offset at = { f->offset, f->done };
		if (same && !f->print.bytes && same->print.bytes) { /* the other one says more */
			at = offset_of(mine, m->mine, same->id);
			f = same;
			if (at.offset == UINT64_MAX)
				continue;
		} else if (same && same_print(f, same)) {
			struct lane_offset other = offset_of(mine, m->mine, same->id);
			if (other.offset != UINT64_MAX && other.offset > at.offset)
				at = other;
		}
		add(out, f, same ? same->id : out->next_id++, at);
	}
}

/* Of what the checkpoint alone knows: numbers below next_id are files that were settled and forgotten. */
static void add_known(struct file_state *out, const struct file_state *committed, const struct file_state *all,
	const struct file_state *mine, const struct input_merge *m)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct file_record *f = &all->files[i];
		if (find_same(committed, f, m->same_line) || (m->same_line && f->id < committed->next_id))
			continue;
		struct lane_offset at = offset_of(mine, m->mine, f->id);
		if (at.offset != UINT64_MAX)
			add(out, f, f->id, at);
	}
}

static int parse(struct file_state *s, const char *text, struct err *err)
{
	return text ? file_state_parse(s, text, err) : 0;
}

char *file_state_merge(const struct input_merge *m, struct err *err)
{
	cleanup(file_state_finish) struct file_state committed = { 0 }, mine = { 0 }, all = { 0 }, out = { 0 };
	int r = parse(&committed, m->committed, err);
	if (r == 0)
		r = parse(&mine, m->mine, err);
	for (size_t i = 0; r == 0 && i < m->n_known; i++) {
		cleanup(file_state_finish) struct file_state one = { 0 };
		r = parse(&one, m->known[i], err);
		if (r == 0)
			file_state_join(&all, &one);
	}
	if (r < 0)
		return NULL;
	if (!m->committed)
		return file_state_print(m->mine ? &mine : &out);
	out.next_id = all.next_id > committed.next_id ? all.next_id : committed.next_id;
	out.files = mem_zero(committed.n + all.n + 1, sizeof *out.files);
	add_committed(&out, &committed, &all, &mine, m);
	add_known(&out, &committed, &all, &mine, m);
	return file_state_print(&out);
}

char *file_state_shorten(const char *state, unsigned n)
{
	cleanup(file_state_finish) struct file_state s = { 0 };
	struct err ignored;
	if (file_state_parse(&s, state, &ignored) < 0)
		return NULL;
	for (; n; n--) {
		size_t oldest = s.n;
		for (size_t i = 0; i < s.n; i++)
			if (s.files[i].done && (oldest == s.n || s.files[i].id < s.files[oldest].id))
				oldest = i;
		if (oldest == s.n)
			break;
		free(s.files[oldest].path);
		s.files[oldest] = s.files[--s.n];
	}
	return file_state_print(&s);
}
