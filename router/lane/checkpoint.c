/*
 * STATE_DIR/checkpoint.json, indented, for people to read:
 *
 *   { "version": 1,
 *     "crc32c": "0a1b2c3d",                   of the rest, compact and with its keys sorted; may be absent
 *     "run": 4711,                            may be absent
 *     "inputs": { "apiserver": { "state": "...", "position": 123,
 *                                "lanes": { "siem": { "ADMIN_READ": { "state": null, "position": 150, "seq": 17 } } } } },
 *     "totals": { "siem": { "ADMIN_READ": { "received": 20, "delivered": 17, "dead": 0, "dropped": 0 } } } }
 *
 * A state is kept as text, so that it comes back byte for byte. Numbers are below 2^63.
 */
#include "router/lane/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/crc32c.h"
#include "router/base/io.h"
#include "router/base/lock_file.h"

enum { CHECKPOINT_VERSION = 1, FILE_BYTES_MAX = 64 << 20, CRC_ROOM = 9 };

/* What checkpoint_find_input gave away: freed by the next change. */
struct found {
	struct found *next;
	struct checkpoint_input input;
	struct checkpoint_lane lanes[];
};

struct checkpoint {
	int lock;
	char *path, *lock_path;
	json_t *root, *inputs, *totals; /* the last two are inside the first */
	bool changed;
	struct found *found;
};

static const char *const total_keys[] = { "received", "delivered", "dead", "dropped", NULL };

/* jansson returns NULL or -1 when memory ran out or text is no UTF-8; the first ends the process, the second is our bug. */
static json_t *sure(json_t *value)
{
	assert(value);
	return value;
}

static void put(json_t *object, const char *key, json_t *value)
{
	int r = json_object_set_new(object, key, sure(value));
	assert(r == 0);
	(void)r;
}

static json_t *number(uint64_t value)
{
	assert(value <= INT64_MAX);
	return json_integer((json_int_t)value);
}

/* The object under that key, made if absent. */
static json_t *child(json_t *object, const char *key)
{
	json_t *found = json_object_get(object, key);
	if (!found) {
		put(object, key, json_object());
		found = json_object_get(object, key);
	}
	return found;
}

static int bad(const struct checkpoint *c, struct err *err, const char *where, const char *what)
{
	(void)err_at(err, c->path, 0, 0, "is damaged: %s%s%s; move it away to start from zero", where,
		*where ? " " : "", what);
	return -EBADMSG;
}

static bool is_number(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_state(const json_t *value)
{
	return json_is_null(value) || json_is_string(value);
}

static bool is_lane(const json_t *lane)
{
	return json_is_object(lane) && json_object_size(lane) == 3 && is_state(json_object_get(lane, "state")) &&
	       is_number(json_object_get(lane, "position")) && is_number(json_object_get(lane, "seq"));
}

static bool is_totals(const json_t *totals)
{
	size_t n = 0;
	while (total_keys[n])
		if (!is_number(json_object_get(totals, total_keys[n++])))
			return false;
	return json_is_object(totals) && json_object_size(totals) == n;
}

/* An object of outputs, each an object of classes; `good` says whether what stands there is. */
static int check_lanes(const struct checkpoint *c, json_t *outputs, bool (*good)(const json_t *), const char *what,
	struct err *err)
{
	const char *output, *class_;
	json_t *classes, *lane;
	json_object_foreach(outputs, output, classes) {
		if (!json_is_object(classes))
			return bad(c, err, output, "has no classes");
		json_object_foreach(classes, class_, lane)
			if (!good(lane))
				return bad(c, err, output, what);
	}
	return 0;
}

static int check_parts(struct checkpoint *c, struct err *err)
{
	const char *name;
	json_t *input;
	c->inputs = json_object_get(c->root, "inputs");
	c->totals = json_object_get(c->root, "totals");
	const json_t *run = json_object_get(c->root, "run");
	if (!json_is_object(c->inputs) || !json_is_object(c->totals) || json_object_size(c->root) != (run ? 4 : 3) ||
		(run && !is_number(run)))
		return bad(c, err, "", "it does not have just version, crc32c, run, inputs and totals");
	json_object_foreach(c->inputs, name, input) {
		json_t *lanes = json_object_get(input, "lanes");
		if (!json_is_object(input) || json_object_size(input) != 3 || !json_is_object(lanes) ||
			!is_state(json_object_get(input, "state")) || !is_number(json_object_get(input, "position")))
			return bad(c, err, name, "does not have just state, position and lanes");
		int r = check_lanes(c, lanes, is_lane, "has a lane without just state, position and seq", err);
		if (r < 0)
			return r;
	}
	return check_lanes(c, c->totals, is_totals, "has totals without just received, delivered, dead and dropped", err);
}

/* Of everything but the checksum itself. */
static void checksum(const json_t *root, char *ret_text)
{
	_free_ char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	assert(text);
	(void)snprintf(ret_text, CRC_ROOM, "%08x", crc32c_add(0, text, strlen(text)));
}

static int check(struct checkpoint *c, struct err *err)
{
	char crc[CRC_ROOM];
	json_t *version = json_object_get(c->root, "version");
	if (!is_number(version))
		return bad(c, err, "", "it has no version");
	if (json_integer_value(version) != CHECKPOINT_VERSION) {
		(void)err_at(err, c->path, 0, 0,
			"was written by another version of this program (its format is %lld, ours is %d)",
			(long long)json_integer_value(version), CHECKPOINT_VERSION);
		return -EBADMSG;
	}
	json_t *claimed = json_incref(json_object_get(c->root, "crc32c"));
	(void)json_object_del(c->root, "crc32c");
	checksum(c->root, crc);
	bool right = !claimed || (json_is_string(claimed) && strcmp(json_string_value(claimed), crc) == 0);
	json_decref(claimed);
	if (!right)
		return bad(c, err, "", "its checksum is wrong (after an edit by hand, leave crc32c out)");
	return check_parts(c, err);
}

static int load(struct checkpoint *c, struct err *err)
{
	struct buf bytes = { 0 };
	json_error_t error;
	int r = io_read_whole(c->path, FILE_BYTES_MAX, &bytes);
	if (r == -ENOENT) {
		c->root = sure(json_object());
		put(c->root, "version", number(CHECKPOINT_VERSION));
		c->inputs = child(c->root, "inputs");
		c->totals = child(c->root, "totals");
		return 0;
	}
	if (r < 0) {
		buf_finish(&bytes);
		(void)err_at(err, c->path, 0, 0, "cannot be read: %s", strerror(-r));
		return r;
	}
	c->root = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, &error);
	buf_finish(&bytes);
	if (!c->root) {
		(void)err_at(err, c->path, error.line > 0 ? (unsigned)error.line : 0,
			error.column > 0 ? (unsigned)error.column : 0,
			"is damaged: it is not JSON; move it away to start from zero");
		return -EBADMSG;
	}
	return check(c, err);
}

int checkpoint_open(struct checkpoint **ret_checkpoint, const char *state_dir, struct err *err)
{
	int r = io_make_folders(state_dir, 0700);
	if (r < 0) {
		(void)err_at(err, state_dir, 0, 0, "cannot be made: %s", strerror(-r));
		return r;
	}
	io_sync_parents(state_dir);
	struct checkpoint *c = mem_zero(1, sizeof *c);
	c->lock_path = mem_textf("%s/lock", state_dir);
	c->path = mem_textf("%s/checkpoint.json", state_dir);
	c->lock = -1;
	r = lock_file_take(&c->lock, c->lock_path, err);
	if (r == 0)
		r = load(c, err);
	if (r < 0) {
		checkpoint_close(c);
		return r;
	}
	*ret_checkpoint = c;
	return 0;
}

static void free_found(struct checkpoint *c)
{
	for (struct found *next; c->found; c->found = next) {
		next = c->found->next;
		free(c->found);
	}
}

void checkpoint_close(struct checkpoint *c)
{
	if (!c)
		return;
	free_found(c);
	json_decref(c->root);
	if (c->lock >= 0)
		(void)close(c->lock);
	free(c->lock_path);
	free(c->path);
	free(c);
}

bool checkpoint_in_place(const struct checkpoint *c)
{
	struct stat held, named;
	return fstat(c->lock, &held) == 0 && stat(c->lock_path, &named) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

int checkpoint_write(struct checkpoint *c)
{
	char crc[CRC_ROOM];
	if (!c->changed)
		return 0;
	checksum(c->root, crc);
	put(c->root, "crc32c", json_string(crc));
	_free_ char *text = json_dumps(c->root, JSON_INDENT(2) | JSON_SORT_KEYS);
	(void)json_object_del(c->root, "crc32c");
	assert(text);
	int r = io_replace(c->path, view_of(text), 0600);
	if (r == 0)
		c->changed = false;
	return r;
}

static uint64_t value_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void changed(struct checkpoint *c)
{
	c->changed = true;
	free_found(c);
}

static json_t *state_value(const char *state)
{
	return state ? json_string(state) : json_null();
}

uint64_t checkpoint_run(const struct checkpoint *c)
{
	return value_of(c->root, "run");
}

static const char *state_of(const json_t *object)
{
	return json_string_value(json_object_get(object, "state")); /* NULL of null */
}

const struct checkpoint_input *checkpoint_find_input(struct checkpoint *c, const char *name)
{
	const char *output, *class_;
	json_t *classes, *lane, *object = json_object_get(c->inputs, name);
	size_t n = 0;
	if (!object)
		return NULL;
	json_t *lanes = json_object_get(object, "lanes");
	json_object_foreach(lanes, output, classes)
		n += json_object_size(classes);
	struct found *found = mem_zero(1, sizeof *found + n * sizeof *found->lanes);
	n = 0;
	json_object_foreach(lanes, output, classes)
		json_object_foreach(classes, class_, lane)
			found->lanes[n++] = (struct checkpoint_lane){
				.output = output,
				.class_ = class_,
				.state = state_of(lane),
				.position = value_of(lane, "position"),
				.seq = value_of(lane, "seq"),
			};
	found->input = (struct checkpoint_input){
		.name = json_object_iter_key(json_object_iter_at(c->inputs, name)),
		.state = state_of(object),
		.position = value_of(object, "position"),
		.lanes = found->lanes,
		.n_lanes = n,
	};
	found->next = c->found;
	c->found = found;
	return &found->input;
}

/* A lane that shares its input's state keeps the one that it meant, when the input gets another. */
static void part_from_input(json_t *object)
{
	const char *output, *class_, *state = state_of(object);
	json_t *classes, *lane;
	json_object_foreach(json_object_get(object, "lanes"), output, classes)
		json_object_foreach(classes, class_, lane)
			if (!state_of(lane))
				put(lane, "state", state_value(state));
}

void checkpoint_begin(struct checkpoint *c, uint64_t run)
{
	const char *name, *output, *class_;
	json_t *input, *classes, *lane;
	put(c->root, "run", number(run));
	json_object_foreach(c->inputs, name, input)
		json_object_foreach(json_object_get(input, "lanes"), output, classes)
			json_object_foreach(classes, class_, lane)
				put(lane, "position", number(value_of(input, "position")));
	changed(c);
}

void checkpoint_set_input(struct checkpoint *c, const struct checkpoint_input *input)
{
	json_t *object = json_object_get(c->inputs, input->name);
	if (object)
		part_from_input(object);
	else
		object = child(c->inputs, input->name);
	json_t *lanes = child(object, "lanes");
	for (size_t i = 0; i < input->n_lanes; i++) {
		const struct checkpoint_lane *lane = &input->lanes[i];
		json_t *value = sure(json_object());
		put(value, "state", state_value(lane->state));
		put(value, "position", number(lane->position));
		put(value, "seq", number(lane->seq));
		put(child(lanes, lane->output), lane->class_, value);
	}
	put(object, "state", state_value(input->state));
	put(object, "position", number(input->position));
	changed(c);
}

struct checkpoint_totals checkpoint_find_totals(struct checkpoint *c, const char *output, const char *class_)
{
	const json_t *found = json_object_get(json_object_get(c->totals, output), class_);
	return (struct checkpoint_totals){
		.received = value_of(found, "received"),
		.delivered = value_of(found, "delivered"),
		.dead = value_of(found, "dead"),
		.dropped = value_of(found, "dropped"),
	};
}

void checkpoint_set_totals(struct checkpoint *c, const char *output, const char *class_,
	const struct checkpoint_totals *totals)
{
	json_t *value = sure(json_object());
	put(value, "received", number(totals->received));
	put(value, "delivered", number(totals->delivered));
	put(value, "dead", number(totals->dead));
	put(value, "dropped", number(totals->dropped));
	put(child(c->totals, output), class_, value);
	changed(c);
}
