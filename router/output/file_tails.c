#include "router/output/file_tails.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/tail.h"
#include "router/output/file_path.h"

/* The bytes that went; 0 where there was nothing to cut, or no way. */
static uint64_t cut_file(const char *path)
{
	struct stat st;
	uint64_t bytes;
	if (stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK))
		return 0; /* who is writing it has cut it */
	return tail_cut(fd, &bytes) == 0 ? bytes : 0;
}

void file_tails_cut(const char *template, enum audit_class class_, const struct config *config,
	void (*cut)(void *context, const char *path, uint64_t bytes), void *context)
{
	bool by_input = strstr(template, "{input}") || strstr(template, "{cluster}");
	for (size_t i = 0; i < (by_input ? config->n_inputs : 1); i++) {
		const struct config_input *in = config->n_inputs ? &config->inputs[i] : NULL;
		const struct file_path_values values = {
			.class_ = class_,
			.cluster = in && in->cluster ? in->cluster : config->cluster,
			.input = in ? in->name : NULL,
		};
		cleanup(buf_finish) struct buf pattern = { 0 };
		glob_t found = { 0 };
		file_path_add_pattern(&pattern, template, &values);
		if (glob(buf_text(&pattern), GLOB_NOSORT | GLOB_BRACE, NULL, &found) == 0)
			for (size_t j = 0; j < found.gl_pathc; j++) {
				uint64_t bytes = cut_file(found.gl_pathv[j]);
				if (bytes)
					cut(context, found.gl_pathv[j], bytes);
			}
		globfree(&found);
	}
}
