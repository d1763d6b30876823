/* Which listed files are which known ones, and what a checkpoint says of them at each position. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/input/tracks.h"
#include "tests/unit/folder.h"

static const struct tracks_news quiet;

/* A file of that name whose content is one long line of `c`. */
static char *write_file(const char *name, char c)
{
	char *path = mem_textf("%s/%s", folder, name);
	_free_ char *bytes = mem_alloc(2000);
	assert_int_equal(io_make_parents(path, 0700), 0);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	memset(bytes, c, 1999);
	bytes[1999] = '\n';
	assert_int_equal(io_write(fd, bytes, 2000), 0);
	return path;
}

static struct fingerprint print_of(const char *path)
{
	struct head head;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(head_read(&head, fd, path), 0);
	return fingerprint_of(&head);
}

/* A state of one file, 1000 bytes of which are settled. */
static char *state_of(const char *path, uint64_t dev, uint64_t ino, struct fingerprint print)
{
	struct file_record f = { .id = 0, .path = (char *)path, .dev = dev, .ino = ino, .size = 2000, .print = print, .offset = 1000 };
	return file_state_print(&(struct file_state){ .next_id = 1, .files = &f, .n = 1 });
}

/* Looks at what fits the name. Returns how many tracks are there then. */
static size_t look_again(struct tracks *ts, const char *name)
{
	_free_ char *pattern = mem_textf("%s/%s", folder, name);
	struct listing l = { 0 };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(listing_take(&l, pattern, NULL, 0), 0);
		if (tracks_match(ts, &l, &quiet))
			break;
	}
	listing_finish(&l);
	tracks_sort(ts);
	return ts->n;
}

/* The same; the tracks are those of the state. */
static size_t look(struct tracks *ts, const char *state, const char *name)
{
	struct err err;
	assert_int_equal(tracks_init(ts, 0, state, NULL, 0, &err), 0);
	return look_again(ts, name);
}

static void a_known_file_is_read_on(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("known/audit.log", 'a');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *same = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(look(&ts, same, "known/audit.log"), 1);
	assert_true(ts.list[0]->present && ts.list[0]->read == 1000);
	tracks_finish(&ts);
	/* After a restart of the machine, or a copy of the folder, the numbers are others. */
	_free_ char *moved = state_of(path, st.dev + 1, st.ino + 1, print_of(path));
	assert_int_equal(look(&ts, moved, "known/audit.log"), 1);
	assert_true(ts.list[0]->present && ts.list[0]->read == 1000 && ts.list[0]->file.ino == st.ino);
	tracks_finish(&ts);
}

static void an_inode_that_comes_again_is_another_file(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("reuse/audit.log", 'b'), *other = write_file("elsewhere", 'x');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(other));
	assert_int_equal(look(&ts, state, "reuse/audit.log"), 2);
	assert_false(ts.list[0]->present);
	assert_false(ts.list[0]->cut);
	assert_int_equal(ts.list[0]->read, 1000);
	assert_true(ts.list[1]->present && ts.list[1]->read == 0 && ts.list[1]->file.id == 1);
	tracks_finish(&ts);
}

static void a_renamed_file_stays_itself_and_comes_first(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("renamed/audit.log", 'c');
	_free_ char *to = mem_textf("%s/renamed/audit-2026-01-02T03-04-05.678.log", folder);
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(rename(path, to), 0);
	free(write_file("renamed/audit.log", 'd'));
	free(write_file("renamed/audit-2026-01-01T03-04-05.678.log", 'e'));
	assert_int_equal(look(&ts, state, "renamed/audit.log"), 3);
	assert_string_equal(ts.list[1]->file.path, to);
	assert_int_equal(ts.list[1]->read, 1000);
	assert_true(!ts.list[0]->newest && !ts.list[1]->newest && ts.list[2]->newest);
	tracks_finish(&ts);
}

static void a_copy_is_left_alone_while_the_first_is_there(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("copy/audit.log", 'f'), *copy = write_file("copy/audit.log.1", 'f');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(look(&ts, state, "copy/audit.log"), 1);
	assert_string_equal(ts.list[0]->file.path, path);
	tracks_finish(&ts);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(look(&ts, state, "copy/audit.log"), 1);
	assert_string_equal(ts.list[0]->file.path, copy);
	assert_int_equal(ts.list[0]->read, 1000);
	tracks_finish(&ts);
}

static size_t count_readable(const struct tracks *ts)
{
	size_t n = 0;
	for (size_t i = 0; i < ts->n; i++)
		n += ts->list[i]->present && !ts->list[i]->file.done;
	return n;
}

/* Seen when it was made and before it was filled, and its first bytes by its reader too. */
static void a_copy_is_left_alone_that_was_empty_when_it_was_listed(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	struct head head;
	(void)unused;
	_free_ char *path = write_file("filled/audit.log", 'g'), *copy = mem_textf("%s/filled/audit.log.1", folder);
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	_close_ int fd = open(copy, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(look(&ts, state, "filled/audit.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	assert_string_equal(ts.list[0]->file.path, copy);
	free(write_file("filled/audit.log.1", 'g'));
	assert_int_equal(head_read(&head, fd, copy), 0);
	tracks_print(&ts, ts.list[0], &head);
	(void)look_again(&ts, "filled/audit.log");
	assert_int_equal(count_readable(&ts), 1);
	/* The first is cut: what is left of it to read is in the copy. */
	free(write_file("filled/audit.log", 'h'));
	(void)look_again(&ts, "filled/audit.log");
	assert_int_equal(count_readable(&ts), 2);
	for (size_t i = 0; i < ts.n; i++)
		if (ts.list[i]->present)
			assert_int_equal(ts.list[i]->read, strcmp(ts.list[i]->file.path, copy) == 0 ? 1000 : 0);
	tracks_finish(&ts);
}

/* Two logs that were empty when they were listed, and have other bytes in them now, are two. */
static void a_file_that_was_empty_is_its_own(void **unused)
{
	struct tracks ts;
	(void)unused;
	free(write_file("two/audit.log", 'i'));
	free(write_file("two/audit.log.1", 'j'));
	_free_ char *path = mem_textf("%s/two/audit.log", folder), *older = mem_textf("%s/two/audit.log.1", folder);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(older, 0), 0);
	assert_int_equal(look(&ts, NULL, "two/audit.log"), 2);
	assert_false(ts.list[0]->compared || ts.list[1]->compared);
	free(write_file("two/audit.log", 'i'));
	free(write_file("two/audit.log.1", 'j'));
	assert_int_equal(look_again(&ts, "two/audit.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	assert_true(ts.list[0]->compared && ts.list[1]->compared);
	tracks_finish(&ts);
}

/* Both filled with the same before the next look: one of them is read. */
static void of_two_that_were_empty_and_are_the_same_one_is_left(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("both/audit.log", 'k'), *copy = write_file("both/audit.log.1", 'k');
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(copy, 0), 0);
	assert_int_equal(look(&ts, NULL, "both/audit.log"), 2);
	free(write_file("both/audit.log", 'k'));
	free(write_file("both/audit.log.1", 'k'));
	for (size_t i = 0; i < 2; i++) {
		struct head head;
		_close_ int fd = open(ts.list[i]->file.path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(head_read(&head, fd, ts.list[i]->file.path), 0);
		tracks_print(&ts, ts.list[i], &head);
	}
	(void)look_again(&ts, "both/audit.log");
	assert_int_equal(count_readable(&ts), 1);
	for (size_t i = 0; i < ts.n; i++) /* the other one is done with: nothing of it is missed, and no content is known by it */
		if (!ts.list[i]->present)
			assert_true(ts.list[i]->file.done && !ts.list[i]->file.ino && !ts.list[i]->file.print.bytes);
	tracks_finish(&ts);
}

/* ---- what a look tells, and whom it takes for whom ---- */

struct heard {
	int cut, unreadable, code, asked, beside;
};

static void hear_added(void *context, struct track *t, bool asked)
{
	struct heard *h = context;
	(void)t;
	h->asked += asked;
	h->beside += !asked;
}

static void hear_cut(void *context, const struct track *t)
{
	(void)t;
	((struct heard *)context)->cut++;
}

static void hear_unreadable(void *context, const char *path, int code)
{
	struct heard *h = context;
	(void)path;
	h->unreadable++;
	h->code = code;
}

static void list(struct listing *l, const char *name)
{
	_free_ char *pattern = mem_textf("%s/%s", folder, name);
	assert_int_equal(listing_take(l, pattern, NULL, 0), 0);
}

/* As look_again; what it tells is heard. */
static struct heard look_and_hear(struct tracks *ts, const char *name)
{
	struct heard heard = { 0 };
	const struct tracks_news news = { .added = hear_added, .cut = hear_cut, .unreadable = hear_unreadable, .context = &heard };
	struct listing l = { 0 };
	do
		list(&l, name);
	while (!tracks_match(ts, &l, &news));
	listing_finish(&l);
	tracks_sort(ts);
	return heard;
}

/* Reads the track to its end, as a descriptor of it is held. */
static void read_to_end(struct tracks *ts, struct track *t)
{
	t->fd = open(t->file.path, O_RDONLY | O_CLOEXEC);
	assert_true(t->fd >= 0);
	tracks_read(ts, t, t->file.size, false);
}

static struct track *track_at(const struct tracks *ts, const char *path)
{
	for (size_t i = 0; i < ts->n; i++)
		if (ts->list[i]->present && strcmp(ts->list[i]->file.path, path) == 0)
			return ts->list[i];
	return NULL;
}

/* The file packed; `cut` bytes of its end are missing. */
static char *pack(const char *path, off_t cut)
{
	char *to = mem_textf("%s.gz", path);
	char bytes[2000];
	struct stat st;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, bytes, sizeof bytes), sizeof bytes);
	gzFile out = gzopen(to, "w");
	assert_int_equal(gzwrite(out, bytes, sizeof bytes), sizeof bytes);
	assert_int_equal(gzclose(out), Z_OK);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(truncate(to, st.st_size - cut), 0);
	return to;
}

static void a_file_that_is_packed_is_read_on_where_it_was(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("packed/audit.log.1", 'a');
	assert_int_equal(look(&ts, NULL, "packed/audit.log*"), 1);
	read_to_end(&ts, ts.list[0]);
	_free_ char *packed = pack(path, 0);
	/* While both are there, the plain one is it. */
	assert_int_equal(look_again(&ts, "packed/audit.log*"), 1);
	assert_string_equal(ts.list[0]->file.path, path);
	assert_true(ts.list[0]->fd >= 0);
	assert_int_equal(unlink(path), 0);
	ts.list[0]->missing_ms = 1;
	assert_int_equal(look_again(&ts, "packed/audit.log*"), 1);
	assert_int_equal(file_stat_path(&st, packed), 0);
	const struct track *t = ts.list[0];
	assert_string_equal(t->file.path, packed);
	assert_true(t->present && t->file.packed && t->name.packed);
	assert_int_equal(t->read, 2000); /* of what is unpacked: its size says nothing */
	assert_int_equal(t->file.ino, st.ino);
	assert_int_equal(t->file.size, st.size);
	assert_int_equal(t->fd, -1); /* it was the plain one's */
	assert_int_equal(t->missing_ms, 0);
	tracks_finish(&ts);
}

static void a_packed_file_in_the_making_is_none(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("making/audit.log.1", 'b');
	_free_ char *packed = pack(path, 12);
	/* Also where nothing is known yet. */
	assert_int_equal(look(&ts, NULL, "making/audit.log*"), 1);
	assert_string_equal(ts.list[0]->file.path, path);
	/* Made, and not written to yet. */
	assert_int_equal(truncate(packed, 0), 0);
	assert_int_equal(look_again(&ts, "making/audit.log*"), 1);
	free(pack(path, 12));
	read_to_end(&ts, ts.list[0]);
	assert_int_equal(unlink(path), 0);
	/* The plain one is held open: there is no need of the other yet. */
	assert_int_equal(look_again(&ts, "making/audit.log*"), 1);
	assert_true(!ts.list[0]->present && ts.list[0]->fd >= 0);
	/* It is not: then what is left of it is there. */
	(void)close(ts.list[0]->fd);
	ts.list[0]->fd = -1;
	assert_int_equal(truncate(packed, 14), 0);
	assert_int_equal(look_again(&ts, "making/audit.log*"), 1);
	assert_string_equal(ts.list[0]->file.path, packed);
	tracks_finish(&ts);
}

/* A rotated file that lies beside what was asked for may be passed over by who hears of it. */
static void a_new_file_is_told_with_whether_it_was_asked_for(void **unused)
{
	struct tracks ts;
	struct err err;
	(void)unused;
	free(write_file("asked/audit.log", 'q'));
	free(write_file("asked/audit.log.1", 'r'));
	free(write_file("asked/audit.log.2", 's'));
	assert_int_equal(tracks_init(&ts, 0, NULL, NULL, 0, &err), 0);
	const struct heard heard = look_and_hear(&ts, "asked/audit.log");
	assert_int_equal(heard.asked, 1);
	assert_int_equal(heard.beside, 2);
	tracks_finish(&ts);
}

static void a_file_that_is_cut_is_told_of_once(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("cut/audit.log", 'c');
	assert_int_equal(look(&ts, NULL, "cut/audit.log"), 1);
	read_to_end(&ts, ts.list[0]);
	struct track *first = ts.list[0];
	assert_int_equal(look_and_hear(&ts, "cut/audit.log").cut, 0); /* as long as what was read of it */
	free(write_file("cut/audit.log", 'd'));
	assert_int_equal(look_and_hear(&ts, "cut/audit.log").cut, 1);
	assert_true(first->cut && !first->present);
	assert_int_equal(first->fd, -1);
	assert_int_equal(first->file.ino, 0); /* the inode is the other one's now */
	assert_int_equal(ts.n, 2);
	assert_int_equal(track_at(&ts, path)->read, 0);
	assert_int_equal(look_and_hear(&ts, "cut/audit.log").cut, 0);
	/* By its length alone. */
	read_to_end(&ts, track_at(&ts, path));
	struct track *second = track_at(&ts, path);
	assert_int_equal(truncate(path, 1999), 0);
	assert_int_equal(look_and_hear(&ts, "cut/audit.log").cut, 1);
	assert_true(second->cut && !second->present);
	tracks_finish(&ts);
}

/* More was read of the first, before it vanished, than was in it when it was copied. */
static void a_copy_that_is_shorter_than_what_was_read_is_left_alone(void **unused)
{
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("shorter/audit.log", 'e'), *copy = write_file("shorter/audit.log.1", 'e');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	assert_int_equal(unlink(path), 0);
	for (int size = 2000; size <= 2001; size++) {
		struct err err;
		assert_int_equal(tracks_init(&ts, 0, state, NULL, 0, &err), 0);
		tracks_read(&ts, ts.list[0], (uint64_t)size, false);
		assert_int_equal(look_again(&ts, "shorter/audit.log*"), 1);
		assert_int_equal(ts.list[0]->present, size == 2000);
		tracks_finish(&ts);
	}
	assert_int_equal(unlink(copy), 0);
}

static void the_same_in_another_log_is_another_file(void **unused)
{
	struct tracks ts;
	(void)unused;
	free(write_file("logs/a.log", 'f'));
	free(write_file("logs/b.log", 'f'));
	assert_int_equal(look(&ts, NULL, "logs/*.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	tracks_finish(&ts);
}

static void what_was_told_gone_is_another_file_when_it_is_back(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("gone/audit.log", 'g'), *away = mem_textf("%s/gone/away", folder);
	assert_int_equal(look(&ts, NULL, "gone/audit.log"), 1);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(look_again(&ts, "gone/audit.log"), 1);
	tracks_gone(&ts, ts.list[0], 0);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(look_again(&ts, "gone/audit.log"), 2);
	assert_int_equal(track_at(&ts, path)->file.id, 1);
	tracks_finish(&ts);
}

static void links_to_a_new_file_are_one(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("links/b.log", 'h'), *hard = mem_textf("%s/links/a.log", folder);
	assert_int_equal(link(path, hard), 0);
	assert_int_equal(look(&ts, NULL, "links/*.log"), 1);
	assert_int_equal(look_again(&ts, "links/*.log"), 1);
	tracks_finish(&ts);
}

/* Left alone for what it was: when it is something else, it is read. */
static void a_copy_that_becomes_another_file_is_read(void **unused)
{
	struct tracks ts;
	(void)unused;
	free(write_file("became/audit.log", 'i'));
	assert_int_equal(look(&ts, NULL, "became/audit.log"), 1);
	_free_ char *copy = write_file("became/audit.log.1", 'i');
	assert_int_equal(look_again(&ts, "became/audit.log"), 1);
	free(write_file("became/audit.log.1", 'j'));
	assert_int_equal(look_again(&ts, "became/audit.log"), 2);
	assert_int_equal(track_at(&ts, copy)->read, 0);
	tracks_finish(&ts);
}

/* Of two with the same bytes in them the one that has no name is it. */
static void a_copy_of_two_is_the_one_that_is_missing(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("missing/audit.log", 'k');
	struct file_stat st;
	assert_int_equal(file_stat_path(&st, path), 0);
	for (int missing = 0; missing < 2; missing++) {
		struct file_record f[] = {
			{ .id = 0, .path = path, .dev = st.dev, .ino = 1, .print = print_of(path), .offset = 1 },
			{ .id = 1, .path = path, .dev = st.dev, .ino = 1, .print = print_of(path), .offset = 2 },
		};
		f[!missing].ino = st.ino;
		_free_ char *state = file_state_print(&(struct file_state){ .next_id = 2, .files = f, .n = 2 });
		_free_ char *copy = write_file("missing/audit.log.1", 'k');
		assert_int_equal(look(&ts, state, "missing/audit.log"), 2);
		assert_int_equal(track_at(&ts, path)->read, missing ? 1 : 2);
		assert_int_equal(track_at(&ts, copy)->read, missing ? 2 : 1);
		tracks_finish(&ts);
	}
}

/* Too little to tell a file by, though its line is whole. */
static void a_short_line_is_no_content(void **unused)
{
	struct tracks ts;
	(void)unused;
	_free_ char *path = write_file("header/audit.log", 'l'), *older = write_file("header/audit.log.1", 'l');
	assert_int_equal(truncate(older, 0), 0);
	_close_ int fd = open(older, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_write(fd, "# opened\n", 9), 0);
	assert_int_equal(look(&ts, NULL, "header/audit.log.1"), 1);
	_close_ int live = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_write(live, "# opened\n", 9), 0);
	assert_int_equal(look_again(&ts, "header/audit.log"), 2);
	assert_int_equal(count_readable(&ts), 2);
	tracks_finish(&ts);
}

/* Between the list and the look at their bytes the names went to others. */
static void a_file_that_is_another_by_now_is_for_the_next_look(void **unused)
{
	struct heard heard = { 0 };
	const struct tracks_news news = { .unreadable = hear_unreadable, .context = &heard };
	struct listing l = { 0 };
	struct tracks ts;
	struct file_stat st;
	(void)unused;
	_free_ char *path = write_file("raced/audit.log", 'm'), *other = write_file("raced/other", 'n');
	assert_int_equal(file_stat_path(&st, path), 0);
	_free_ char *state = state_of(path, st.dev, st.ino, print_of(path));
	struct err err;
	assert_int_equal(tracks_init(&ts, 0, state, NULL, 0, &err), 0);
	list(&l, "raced/audit.log");
	assert_int_equal(rename(other, path), 0);
	assert_true(tracks_match(&ts, &l, &news));
	assert_int_equal(heard.code, -ENOENT);
	assert_int_equal(ts.n, 1);
	assert_true(ts.list[0]->present && !ts.list[0]->unreadable); /* not missing: nobody knows yet */
	assert_int_equal(look_again(&ts, "raced/audit.log"), 2);
	assert_false(ts.list[0]->present);
	/* One that cannot be opened is neither lost nor read by its name. */
	free(write_file("raced/audit.log", 'o'));
	list(&l, "raced/audit.log");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(path, path), 0);
	assert_true(tracks_match(&ts, &l, &news));
	assert_int_equal(heard.code, -ELOOP);
	assert_true(track_at(&ts, path)->unreadable);
	assert_int_equal(heard.unreadable, 2);
	listing_finish(&l);
	tracks_finish(&ts);
}

static uint64_t offset_in(struct tracks *ts, uint64_t position, int lane)
{
	struct file_state s;
	struct err err;
	_free_ char *text = tracks_state(ts, position, lane);
	assert_int_equal(file_state_parse(&s, text, &err), 0);
	uint64_t offset = s.n ? s.files[0].offset : UINT64_MAX;
	file_state_finish(&s);
	return offset;
}

static void a_lane_keeps_what_it_has(void **unused)
{
	struct tracks ts;
	struct err err;
	(void)unused;
	struct file_record f = { .path = (char *)"/a", .offset = 1000 }, g = { .path = (char *)"/a", .offset = 1500 };
	_free_ char *state = file_state_print(&(struct file_state){ .next_id = 1, .files = &f, .n = 1 });
	_free_ char *ahead = file_state_print(&(struct file_state){ .next_id = 1, .files = &g, .n = 1 });
	const char *lanes[] = { NULL, ahead };
	assert_int_equal(tracks_init(&ts, 77, state, lanes, 2, &err), 0);
	assert_int_equal(ts.list[0]->read, 1000);
	assert_int_equal(ts.list[0]->lane_skip[0], 1000);
	assert_int_equal(ts.list[0]->lane_skip[1], 1500);
	/* Before anything was read, while it is, and when it has come past the lane that was ahead. */
	assert_int_equal(offset_in(&ts, 77, -1), 1000);
	assert_int_equal(offset_in(&ts, 77, 1), 1500);
	tracks_begin(&ts, ts.list[0], 77);
	assert_int_equal(offset_in(&ts, 177, 0), 1100);
	assert_int_equal(offset_in(&ts, 177, 1), 1500);
	assert_int_equal(offset_in(&ts, 777, 1), 1700);
	tracks_settled(&ts, 177);
	assert_int_equal(offset_in(&ts, 177, -1), 1100);
	assert_int_equal(offset_in(&ts, 777, -1), 1700);
	tracks_read(&ts, ts.list[0], 1700, false);
	tracks_gone(&ts, ts.list[0], 777);
	assert_int_equal(offset_in(&ts, 777, -1), 1700);
	assert_int_equal(offset_in(&ts, 778, -1), UINT64_MAX); /* told */
	tracks_settled(&ts, 778);
	tracks_forget(&ts, 0);
	assert_int_equal(ts.n, 0);
	tracks_finish(&ts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_known_file_is_read_on),
		cmocka_unit_test(an_inode_that_comes_again_is_another_file),
		cmocka_unit_test(a_renamed_file_stays_itself_and_comes_first),
		cmocka_unit_test(a_copy_is_left_alone_while_the_first_is_there),
		cmocka_unit_test(a_copy_is_left_alone_that_was_empty_when_it_was_listed),
		cmocka_unit_test(a_file_that_was_empty_is_its_own),
		cmocka_unit_test(of_two_that_were_empty_and_are_the_same_one_is_left),
		cmocka_unit_test(a_file_that_is_packed_is_read_on_where_it_was),
		cmocka_unit_test(a_packed_file_in_the_making_is_none),
		cmocka_unit_test(a_new_file_is_told_with_whether_it_was_asked_for),
		cmocka_unit_test(a_file_that_is_cut_is_told_of_once),
		cmocka_unit_test(a_copy_that_is_shorter_than_what_was_read_is_left_alone),
		cmocka_unit_test(the_same_in_another_log_is_another_file),
		cmocka_unit_test(what_was_told_gone_is_another_file_when_it_is_back),
		cmocka_unit_test(links_to_a_new_file_are_one),
		cmocka_unit_test(a_copy_that_becomes_another_file_is_read),
		cmocka_unit_test(a_copy_of_two_is_the_one_that_is_missing),
		cmocka_unit_test(a_short_line_is_no_content),
		cmocka_unit_test(a_file_that_is_another_by_now_is_for_the_next_look),
		cmocka_unit_test(a_lane_keeps_what_it_has),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
