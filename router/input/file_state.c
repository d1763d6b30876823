#include "router/input/file_state.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

enum { VERSION = 1, HASH_DIGITS = 16 }; /* keys that came later are optional ones: "line" */

static void json_release(json_t **value)
{
	json_decref(*value);
}

void file_state_finish(struct file_state *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->files[i].path);
	free(s->files);
	*s = (struct file_state){ 0 };
}

/* ---- paths are bytes, JSON is not ---- */

static void print_path(struct buf *out, const char *path)
{
	buf_clear(out);
	for (; *path; path++) {
		if (*path > ' ' && *path < 0x7f && *path != '%')
			buf_add_byte(out, *path);
		else
			buf_addf(out, "%%%02X", (unsigned char)*path);
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: not what print_path makes. */
static char *parse_path(const char *text)
{
	struct buf out = { 0 };
	for (; *text; text++) {
		int high = 0, low = 0;
		if (*text == '%' && ((high = hex(text[1])) < 0 || (low = hex(text[2])) < 0 || (high | low) == 0)) {
			buf_finish(&out);
			return NULL;
		}
		buf_add_byte(&out, *text == '%' ? (char)(high << 4 | low) : *text);
		text += *text == '%' ? 2 : 0;
	}
	char *path = mem_text(buf_view(&out));
	buf_finish(&out);
	return path;
}

/* ---- print ---- */

static json_t *print_file(const struct file_record *f, struct buf *scratch)
{
	char hash[HASH_DIGITS + 1], line[HASH_DIGITS + 1];
	(void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)f->print.hash);
	(void)snprintf(line, sizeof line, "%016llx", (unsigned long long)f->print.line);
	print_path(scratch, f->path);
	return json_pack("{sI ss sI sI ss sI ss sI sI sb sb}", "id", (json_int_t)f->id, "path", buf_text(scratch), "dev",
		(json_int_t)f->dev, "ino", (json_int_t)f->ino, "hash", hash, "hash_bytes", (json_int_t)f->print.bytes, "line", line,
		"offset", (json_int_t)f->offset, "size", (json_int_t)f->size, "done", f->done, "packed", f->packed);
}

char *file_state_print(const struct file_state *s)
{
	cleanup(buf_finish) struct buf scratch = { 0 };
	cleanup(json_release) json_t *files = json_array();
	for (size_t i = 0; i < s->n; i++)
		(void)json_array_append_new(files, print_file(&s->files[i], &scratch));
	cleanup(json_release) json_t *whole = json_pack("{si sI sO}", "version", VERSION, "next_id", (json_int_t)s->next_id, "files", files);
	return json_dumps(whole, JSON_COMPACT);
}

/* ---- parse ---- */

/* False: not 16 hexadecimal digits. */
static bool parse_hash(const char *text, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < HASH_DIGITS; i++) {
		if (hex(text[i]) < 0)
			return false;
		*ret = *ret << 4 | (unsigned)hex(text[i]);
	}
	return !text[HASH_DIGITS];
}

static int parse_file(struct file_record *f, json_t *value)
{
	json_int_t id, dev, ino, bytes, offset, size;
	const char *path, *hash, *line = "0000000000000000";
	int done, packed;
	struct fingerprint print;
	if (json_unpack(value, "{sI ss sI sI ss sI s?s sI sI sb sb}", "id", &id, "path", &path, "dev", &dev, "ino", &ino, "hash",
		    &hash, "hash_bytes", &bytes, "line", &line, "offset", &offset, "size", &size, "done", &done, "packed", &packed) < 0)
		return -EBADMSG;
	if (id < 0 || offset < 0 || size < 0 || bytes < 0 || bytes > HEAD_MAX || !parse_hash(hash, &print.hash) ||
		!parse_hash(line, &print.line))
		return -EBADMSG;
	print.bytes = (uint32_t)bytes;
	*f = (struct file_record){
		.id = (uint64_t)id,
		.path = parse_path(path),
		.dev = (uint64_t)dev,
		.ino = (uint64_t)ino,
		.size = (uint64_t)size,
		.print = print,
		.offset = (uint64_t)offset,
		.done = done,
		.packed = packed,
	};
	return f->path ? 0 : -EBADMSG;
}

static int parse_files(struct file_state *s, json_t *files)
{
	s->files = mem_zero(json_array_size(files) + 1, sizeof *s->files);
	for (size_t i = 0; i < json_array_size(files); i++) {
		struct file_record *f = &s->files[s->n];
		int r = parse_file(f, json_array_get(files, i));
		s->n += f->path != NULL;
		if (r < 0 || f->id >= s->next_id)
			return -EBADMSG;
	}
	return 0;
}

int file_state_parse(struct file_state *ret_state, const char *text, struct err *err)
{
	json_error_t why;
	cleanup(json_release) json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	struct file_state s = { 0 };
	json_t *files;
	json_int_t version, next_id;
	bool good = whole && json_unpack(whole, "{sI sI so}", "version", &version, "next_id", &next_id, "files", &files) == 0 &&
		    next_id >= 0 && json_is_array(files);
	if (good && version == VERSION) {
		s.next_id = (uint64_t)next_id;
		if (parse_files(&s, files) == 0) {
			*ret_state = s;
			return 0;
		}
	}
	file_state_finish(&s);
	if (good && version > VERSION)
		(void)err_set(err, "what the checkpoint says of it was written by a newer version");
	else
		(void)err_set(err, "what the checkpoint says of it is damaged");
	return -EBADMSG;
}

/* ---- lanes ---- */

static const struct file_record *find(const struct file_state *s, uint64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->files[i].id == id)
			return &s->files[i];
	return NULL;
}

struct lane_offset file_state_of(const struct file_state *s, uint64_t id)
{
	const struct file_record *f = find(s, id);
	if (f)
		return (struct lane_offset){ f->offset, f->done };
	if (id < s->next_id)
		return (struct lane_offset){ UINT64_MAX, true };
	return (struct lane_offset){ 0, false };
}

void file_state_join(struct file_state *all, const struct file_state *more)
{
	size_t before = all->n;
	all->files = mem_resize(all->files, (all->n + more->n + 1) * sizeof *all->files);
	for (size_t i = 0; i < more->n; i++) {
		const struct file_state known = { .files = all->files, .n = before };
		if (find(&known, more->files[i].id))
			continue;
		all->files[all->n] = more->files[i];
		all->files[all->n++].path = mem_text(view_of(more->files[i].path));
	}
	if (more->next_id > all->next_id)
		all->next_id = more->next_id;
}
