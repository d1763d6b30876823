/*
 * From a state and the marks that were made after it to the state of a later position. What the marks do not cover is never
 * guessed: then the caller goes on with what it has, and events come again.
 */
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/input/file_state.h"
#include "router/input/segments.h"

struct read_mark {
	enum file_mark kind;
	uint64_t position;
	struct file_state state;
};

char *file_mark_print(enum file_mark kind, const struct file_state *s)
{
	_free_ char *text = file_state_print(s);
	return mem_textf("%c%s", (char)kind, text);
}

/* ---- marks ---- */

static bool parse_mark(const struct input_mark *mark, struct read_mark *ret)
{
	struct err err;
	if (!mark->text.ptr || !mark->text.len)
		return false;
	_free_ char *text = mem_text(mark->text);
	ret->kind = (enum file_mark)text[0];
	ret->position = mark->position;
	return file_state_parse(&ret->state, text + 1, &err) == 0;
}

static void free_marks(struct read_mark *marks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		file_state_finish(&marks[i].state);
	free(marks);
}

/* All of them; NULL: one cannot be read, or is of a kind that this program does not know. */
static struct read_mark *read_marks(const struct input_mark *marks, size_t n)
{
	struct read_mark *list = mem_zero(n + 1, sizeof *list);
	for (size_t i = 0; i < n; i++) {
		struct read_mark *m = &list[i];
		if (!parse_mark(&marks[i], m) || !strchr("wfbdg", (int)m->kind) || (m->kind != FILE_MARK_FIRST && m->state.n != 1)) {
			free_marks(list, i + 1);
			return NULL;
		}
	}
	return list;
}

/* ---- files ---- */

static struct file_record *find(const struct file_state *s, uint64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i].id == id)
			return &s->files[i];
	return NULL;
}

static void forget(struct file_state *s, uint64_t id)
{
	struct file_record *f = find(s, id);
	if (!f)
		return;
	free(f->path);
	*f = s->files[--s->n];
}

/*
 * What the marks know and the state does not came after it: it is known from now on, as it was when its reading began, also where
 * that is behind `to`. A file that the state does not have though it is older is none of it any more.
 */
static void add_new(struct file_state *s, const struct read_mark *marks, size_t n)
{
	struct file_state more = { 0 };
	for (size_t i = 0; i < n; i++) {
		const struct file_record *f = marks[i].state.files;
		if (marks[i].kind != FILE_MARK_BEGIN || f->id < s->next_id || find(&more, f->id))
			continue;
		more.files = mem_resize(more.files, (more.n + 1) * sizeof *more.files);
		more.files[more.n] = *f;
		more.files[more.n++].path = mem_text(view_of(f->path));
		if (f->id >= more.next_id)
			more.next_id = f->id + 1;
	}
	file_state_join(s, &more);
	file_state_finish(&more);
}

static void move_on(struct file_state *s, uint64_t to, const struct read_mark *marks, size_t n)
{
	struct segments segments = { 0 };
	for (size_t i = 0; i < n; i++) {
		if (marks[i].kind == FILE_MARK_BEGIN)
			(void)segments_begin(&segments, marks[i].position, marks[i].state.files->id, marks[i].state.files->offset);
		else if (marks[i].kind == FILE_MARK_GONE)
			(void)segments_begin(&segments, marks[i].position, SEGMENT_NO_FILE, 0);
	}
	for (size_t i = 0; i < s->n; i++) {
		struct file_record *f = &s->files[i];
		uint64_t offset = segments_offset(&segments, to, f->id, f->offset);
		if (offset > f->offset) { /* a lane that was ahead at the start of the run may be farther in it still */
			f->offset = offset;
			f->done = false;
			if (f->size < offset && !f->packed)
				f->size = offset;
		}
	}
	segments_finish(&segments);
	for (size_t i = 0; i < n; i++) {
		struct file_record *f = find(s, marks[i].state.n ? marks[i].state.files->id : UINT64_MAX);
		if (f && marks[i].kind == FILE_MARK_DONE && f->offset == marks[i].state.files->offset)
			f->done = true;
		else if (f && marks[i].kind == FILE_MARK_GONE && marks[i].position < to)
			forget(s, f->id);
	}
}

/* ---- all of it ---- */

/* Do the marks say which bytes stand at `from`? All that begins after the first one is known then. */
static bool cover(const struct read_mark *marks, size_t n, uint64_t from)
{
	uint64_t before = 0;
	bool begun = false;
	for (size_t i = 0; i < n; i++) {
		if (marks[i].position < before)
			return false;
		before = marks[i].position;
		if ((marks[i].kind == FILE_MARK_BEGIN || marks[i].kind == FILE_MARK_GONE) && !begun) {
			begun = true;
			if (marks[i].position > from)
				return false;
		}
	}
	return begun;
}

/* The state that a first run began with: its mark, and one of each file. */
static bool first_state(const struct read_mark *marks, size_t n, uint64_t *ret_from, struct file_state *ret)
{
	bool found = false;
	for (size_t i = 0; i < n; i++) {
		if (marks[i].kind == FILE_MARK_FIRST) {
			found = true;
			*ret_from = marks[i].position;
		}
		if (marks[i].kind == FILE_MARK_FIRST || (found && marks[i].kind == FILE_MARK_FILE))
			file_state_join(ret, &marks[i].state);
	}
	return found;
}

char *file_state_advance(const char *state, uint64_t from, uint64_t to, const struct input_mark *marks, size_t n_marks)
{
	struct file_state s = { 0 };
	struct err err;
	char *text = NULL;
	struct read_mark *list = read_marks(marks, n_marks);
	if (!list)
		return NULL;
	bool good = state ? file_state_parse(&s, state, &err) == 0 : first_state(list, n_marks, &from, &s);
	if (good && from <= to && cover(list, n_marks, from)) {
		add_new(&s, list, n_marks);
		move_on(&s, to, list, n_marks);
		text = file_state_print(&s);
	}
	file_state_finish(&s);
	free_marks(list, n_marks);
	return text;
}
