#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"
#include "router/lane/checkpoint.h"

struct fixture {
	char folder[64];
	char *state_dir, *path;
};

static int setup(void **state)
{
	struct fixture *f = mem_zero(1, sizeof *f);
	/* Where an fsync costs nothing. */
	const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(f->folder, sizeof f->folder, "%s/audit-router-checkpoint-XXXXXX", where);
	assert_non_null(mkdtemp(f->folder));
	f->state_dir = mem_textf("%s/deep/state", f->folder);
	f->path = mem_textf("%s/checkpoint.json", f->state_dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char *command = mem_textf("chmod -R u+w %s && rm -r %s", f->folder, f->folder);
	assert_int_equal(system(command), 0);
	free(command);
	free(f->state_dir);
	free(f->path);
	free(f);
	return 0;
}

static struct checkpoint *open_checkpoint(const struct fixture *f)
{
	struct checkpoint *c = NULL;
	struct err err = { 0 };
	int r = checkpoint_open(&c, f->state_dir, &err);
	if (r < 0)
		print_error("%s: %s\n", err.file, err.text);
	assert_int_equal(r, 0);
	return c;
}

static const char state_text[] = "{\"files\": [ 18446744073709551615, \"\xc3\xa4\\n\" ] }";

/* As a run of the program leaves it. */
static void write_one(const struct fixture *f)
{
	static const struct checkpoint_lane lanes[] = {
		{ "siem", "ADMIN_READ", NULL, 4096, 17 },
		{ "siem", "DATA_READ", "{\"ahead\":1}", INT64_MAX, 0 },
		{ "archive", "DATA_READ", NULL, 4096, 3 },
	};
	struct checkpoint *c = open_checkpoint(f);
	checkpoint_set_input(c, &(struct checkpoint_input){ "apiserver", state_text, 4096, lanes, 3 });
	checkpoint_set_input(c, &(struct checkpoint_input){ "kafka", NULL, 0, NULL, 0 });
	checkpoint_set_totals(c, "siem", "ADMIN_READ", &(struct checkpoint_totals){ 10, 7, 1, 2 });
	assert_int_equal(checkpoint_write(c), 0);
	checkpoint_close(c);
}

static const struct checkpoint_lane *find_lane(const struct checkpoint_input *input, const char *output,
	const char *class_)
{
	for (size_t i = 0; i < input->n_lanes; i++)
		if (strcmp(input->lanes[i].output, output) == 0 && strcmp(input->lanes[i].class_, class_) == 0)
			return &input->lanes[i];
	fail_msg("no lane %s %s", output, class_);
	return NULL;
}

static void check_one(struct checkpoint *c)
{
	const struct checkpoint_input *input = checkpoint_find_input(c, "apiserver");
	const struct checkpoint_input *kafka = checkpoint_find_input(c, "kafka");
	assert_non_null(input);
	assert_non_null(kafka);
	assert_string_equal(input->name, "apiserver");
	assert_string_equal(input->state, state_text);
	assert_int_equal(input->position, 4096);
	assert_int_equal(input->n_lanes, 3);
	const struct checkpoint_lane *lane = find_lane(input, "siem", "ADMIN_READ");
	assert_null(lane->state);
	assert_int_equal(lane->position, 4096);
	assert_int_equal(lane->seq, 17);
	lane = find_lane(input, "siem", "DATA_READ");
	assert_string_equal(lane->state, "{\"ahead\":1}");
	assert_true(lane->position == INT64_MAX);
	assert_int_equal(find_lane(input, "archive", "DATA_READ")->seq, 3);
	assert_null(kafka->state);
	assert_int_equal(kafka->n_lanes, 0);
	assert_null(checkpoint_find_input(c, "other"));
	struct checkpoint_totals totals = checkpoint_find_totals(c, "siem", "ADMIN_READ");
	assert_int_equal(totals.received, 10);
	assert_int_equal(totals.delivered, 7);
	assert_int_equal(totals.dead, 1);
	assert_int_equal(totals.dropped, 2);
	assert_int_equal(checkpoint_find_totals(c, "siem", "DATA_READ").received, 0);
	assert_int_equal(checkpoint_find_totals(c, "other", "ADMIN_READ").received, 0);
}

static void what_was_set_comes_back(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	write_one(f);
	struct checkpoint *c = open_checkpoint(f);
	check_one(c);
	checkpoint_close(c);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(f->state_dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	checkpoint_close(NULL);
}

static void what_is_not_set_stays(void **state)
{
	static const struct checkpoint_lane lane = { "archive", "DATA_WRITE", NULL, 9, 1 };
	struct fixture *f = *state;
	write_one(f);
	for (int life = 0; life < 3; life++) {
		struct checkpoint *c = open_checkpoint(f);
		checkpoint_set_input(c, &(struct checkpoint_input){ "webhook", "{}", 9, &lane, 1 });
		assert_int_equal(checkpoint_write(c), 0);
		checkpoint_close(c);
	}
	struct checkpoint *c = open_checkpoint(f);
	check_one(c);
	checkpoint_set_totals(c, "siem", "ADMIN_READ", &(struct checkpoint_totals){ 0 });
	checkpoint_close(c);
	c = open_checkpoint(f);
	check_one(c); /* not written, not there */
	checkpoint_close(c);
}

/* Its place was the input's old one: it must not turn into the new one. */
static void a_lane_that_is_not_named_keeps_the_state_it_shared(void **state)
{
	static const struct checkpoint_lane ahead = { "siem", "ADMIN_READ", NULL, 5000, 20 };
	struct fixture *f = *state;
	write_one(f);
	struct checkpoint *c = open_checkpoint(f);
	checkpoint_set_input(c, &(struct checkpoint_input){ "apiserver", "{\"next\":1}", 5000, &ahead, 1 });
	assert_int_equal(checkpoint_write(c), 0);
	checkpoint_close(c);
	c = open_checkpoint(f);
	const struct checkpoint_input *input = checkpoint_find_input(c, "apiserver");
	assert_int_equal(input->n_lanes, 3);
	assert_null(find_lane(input, "siem", "ADMIN_READ")->state);
	assert_int_equal(find_lane(input, "siem", "ADMIN_READ")->position, 5000);
	assert_string_equal(find_lane(input, "archive", "DATA_READ")->state, state_text);
	assert_int_equal(find_lane(input, "archive", "DATA_READ")->position, 4096);
	assert_string_equal(find_lane(input, "siem", "DATA_READ")->state, "{\"ahead\":1}");
	checkpoint_set_input(c, input); /* what find gave may be given back */
	assert_string_equal(checkpoint_find_input(c, "apiserver")->state, "{\"next\":1}");
	checkpoint_close(c);
}

static int open_error(const struct fixture *f, struct err *err)
{
	struct checkpoint *c = NULL;
	*err = (struct err){ 0 };
	int r = checkpoint_open(&c, f->state_dir, err);
	assert_true(r < 0);
	assert_null(c);
	assert_true(err->text[0]);
	return r;
}

static void a_second_process_is_told_of_the_first(void **state)
{
	struct fixture *f = *state;
	struct err err;
	char pid[32];
	write_one(f);
	struct checkpoint *c = open_checkpoint(f);
	(void)snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(open_error(f, &err) == -EBUSY && strstr(err.text, pid) && strstr(err.file, "/lock") ? 0 : 1);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	checkpoint_close(c);
	checkpoint_close(open_checkpoint(f));
}

/* Every byte of a real file changed, and every length of it: refused by name, or the very same content. */
static void no_damage_goes_unseen(void **state)
{
	struct fixture *f = *state;
	struct buf bytes = { 0 };
	struct err err;
	write_one(f);
	assert_int_equal(io_read_whole(f->path, 1 << 20, &bytes), 0);
	for (size_t i = 0; i < bytes.len; i++) {
		FILE *file = fopen(f->path, "we");
		assert_non_null(file);
		bytes.ptr[i] ^= 1;
		assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
		bytes.ptr[i] ^= 1;
		assert_int_equal(fclose(file), 0);
		struct checkpoint *c = NULL;
		err = (struct err){ 0 };
		int r = checkpoint_open(&c, f->state_dir, &err);
		if (r == 0) {
			check_one(c);
			checkpoint_close(c);
			continue;
		}
		assert_int_equal(r, -EBADMSG);
		assert_string_equal(err.file, f->path);
	}
	for (size_t len = bytes.len - 1; len > 0; len -= len > 50 ? 17 : 1) {
		FILE *file = fopen(f->path, "we");
		assert_non_null(file);
		assert_int_equal(fwrite(bytes.ptr, 1, len, file), len);
		assert_int_equal(fclose(file), 0);
		assert_int_equal(open_error(f, &err), -EBADMSG);
		assert_string_equal(err.file, f->path);
	}
	assert_int_equal(truncate(f->path, 0), 0);
	assert_int_equal(open_error(f, &err), -EBADMSG);
	buf_finish(&bytes);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "[]", "no version" },
		{ "{\"version\":1}", "just version" },
		{ "{\"version\":2,\"new\":[]}", "another version" },
		{ "{\"version\":\"1\"}", "no version" },
		{ "{\"version\":1,\"inputs\":{},\"totals\":{},\"more\":1}",
			"just version" },
		{ "{\"version\":1,\"crc32c\":\"00000000\",\"inputs\":{},\"totals\":{}}",
			"checksum" },
		{ "{\"version\":1,\"crc32c\":7,\"inputs\":{},\"totals\":{}}",
			"checksum" },
		{ "{\"version\":1,\"inputs\":{\"a\":{}},\"totals\":{}}",
			"a does not" },
		{ "{\"version\":1,\"inputs\":{\"a\":7},\"totals\":{}}",
			"a does not" },
		{ "{\"version\":1,\"inputs\":{\"a\":{\"state\":\"\",\"position\":-1,\"lanes\":{}}},\"totals\":{}}",
			"a does not" },
		{ "{\"version\":1,\"inputs\":{\"a\":{\"state\":1,\"position\":1,\"lanes\":{}}},\"totals\":{}}",
			"a does not" },
		{ "{\"version\":1,\"inputs\":{\"a\":{\"state\":null,\"position\":1,\"lanes\":{\"o\":1}}},\"totals\":{}}",
			"o has no" },
		{ "{\"version\":1,\"inputs\":{\"a\":{\"state\":null,\"position\":1,\"lanes\":{\"o\":{\"X\":{\"seq\":1}}}}},\"totals\":{}}",
			"o has a lane" },
		{ "{\"version\":1,\"inputs\":{},\"totals\":{\"o\":{\"X\":{\"received\":1}}}}",
			"o has totals" },
		{ "{\"version\":1,\"inputs\":{},\"totals\":{\"o\":{\"X\":{\"received\":1,\"delivered\":1,\"dead\":1,\"dropped\":1.5}}}}",
			"o has totals" },
		{ "{\"version\":1,\"version\":1}", "not JSON" },
		{ "{\"version\":99999999999999999999}", "not JSON" },
	};
	struct fixture *f = *state;
	struct err err;
	checkpoint_close(open_checkpoint(f));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(io_replace(f->path, view_of(cases[i].text), 0600), 0);
		assert_int_equal(open_error(f, &err), -EBADMSG);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.text, cases[i].says);
	}
	const char *edited = "{\"version\":1,\"inputs\":{},\"totals\":{\"o\":{\"X\":"
			     "{\"received\":3,\"delivered\":0,\"dead\":0,\"dropped\":0}}}}";
	assert_int_equal(io_replace(f->path, view_of(edited), 0600), 0);
	struct checkpoint *c = open_checkpoint(f); /* edited by hand, without a checksum */
	assert_int_equal(checkpoint_find_totals(c, "o", "X").received, 3);
	checkpoint_close(c);
}

static void a_failed_write_leaves_the_old_one(void **state)
{
	struct fixture *f = *state;
	write_one(f);
	struct checkpoint *c = open_checkpoint(f);
	char *in_the_way = mem_textf("%s.new", f->path);
	assert_int_equal(mkdir(in_the_way, 0700), 0);
	checkpoint_set_totals(c, "o", "X", &(struct checkpoint_totals){ 1, 0, 1, 0 });
	assert_true(checkpoint_write(c) < 0);
	checkpoint_close(c);
	c = open_checkpoint(f);
	check_one(c);
	assert_int_equal(checkpoint_find_totals(c, "o", "X").dead, 0);
	assert_int_equal(rmdir(in_the_way), 0);
	checkpoint_set_totals(c, "o", "X", &(struct checkpoint_totals){ 1, 0, 1, 0 });
	assert_int_equal(checkpoint_write(c), 0);
	checkpoint_close(c);
	c = open_checkpoint(f);
	assert_int_equal(checkpoint_find_totals(c, "o", "X").dead, 1);
	checkpoint_close(c);
	free(in_the_way);
}

static void no_folder_is_an_error_that_names_it(void **state)
{
	struct fixture *f = *state;
	struct err err;
	struct checkpoint *c;
	assert_true(checkpoint_open(&c, "/proc/nothing/here", &err) < 0);
	assert_string_equal(err.file, "/proc/nothing/here");
	(void)f;
}

static void a_folder_that_went_away_is_not_in_place(void **state)
{
	struct fixture *f = *state;
	struct checkpoint *c = open_checkpoint(f);
	_free_ char *lock = mem_textf("%s/lock", f->state_dir), *away = mem_textf("%s/away", f->folder);
	assert_true(checkpoint_in_place(c));
	assert_int_equal(rename(f->state_dir, away), 0);
	assert_false(checkpoint_in_place(c));
	assert_int_equal(mkdir(f->state_dir, 0700), 0);
	assert_false(checkpoint_in_place(c));
	int fd = open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* another process began there */
	assert_true(fd >= 0);
	(void)close(fd);
	assert_false(checkpoint_in_place(c));
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(rmdir(f->state_dir), 0);
	assert_int_equal(rename(away, f->state_dir), 0);
	assert_true(checkpoint_in_place(c));
	assert_int_equal(unlink(lock), 0);
	assert_false(checkpoint_in_place(c));
	checkpoint_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_set_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_set_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lane_that_is_not_named_keeps_the_state_it_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_process_is_told_of_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(no_damage_goes_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_one, setup, teardown),
		cmocka_unit_test_setup_teardown(no_folder_is_an_error_that_names_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_went_away_is_not_in_place, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
