#include "router/base/file_mark.h"

#include <sys/stat.h>

static struct file_mark mark_of(const char *path)
{
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return (struct file_mark){ 0 };
	if (!S_ISREG(st.st_mode))
		return (struct file_mark){ .device = st.st_dev, .inode = st.st_ino };
	return (struct file_mark){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_mark_look(struct file_mark *mark, const char *path)
{
	const struct file_mark before = *mark, now = mark_of(path);
	*mark = now;
	return now.device != before.device || now.inode != before.inode || now.size != before.size ||
	       !same_time(&now.modified, &before.modified) || !same_time(&now.changed, &before.changed);
}
