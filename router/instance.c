#include "router/instance.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/io.h"

enum { BYTES_MAX = 64 };

static bool is_word(struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		if (!((v.ptr[i] >= '0' && v.ptr[i] <= '9') || (v.ptr[i] >= 'a' && v.ptr[i] <= 'z')))
			return false;
	return v.len > 0;
}

static int draw(const char *path, char **ret_instance)
{
	uint64_t drawn;
	if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
		return -EIO;
	_free_ char *line = mem_textf("%016" PRIx64 "\n", drawn);
	int r = io_replace(path, view_of(line), 0600);
	if (r == 0)
		*ret_instance = mem_text((struct view){ line, strlen(line) - 1 });
	return r;
}

int instance_of(const char *state_dir, char **ret_instance, struct err *err)
{
	_free_ char *path = mem_textf("%s/instance", state_dir);
	cleanup(buf_finish) struct buf said = { 0 };
	int r = io_read_whole(path, BYTES_MAX, &said);
	if (r == -ENOENT)
		r = draw(path, ret_instance);
	else if (r == 0) {
		struct view word = buf_view(&said);
		while (word.len && word.ptr[word.len - 1] == '\n')
			word.len--;
		if (!is_word(word)) {
			(void)err_at(err, path, 0, 0, "is damaged: it has one word of lower case letters and digits");
			return -EBADMSG;
		}
		*ret_instance = mem_text(word);
	}
	if (r < 0)
		(void)err_at(err, path, 0, 0, "%s", strerror(-r));
	return r;
}
