#include "router/input/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "router/base/buf.h"

enum {
	EVENTS_ROOM = 16 * 1024,
	EVENTS_BYTES = IN_MODIFY,
	EVENTS_NAMES = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF,
};

struct watch {
	int fd, stop_fd;
};

struct watch *watch_create(int stop_fd)
{
	struct watch *w = mem_zero(1, sizeof *w);
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* -1: time alone */
	w->stop_fd = stop_fd;
	return w;
}

void watch_destroy(struct watch *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w);
}

void watch_add(struct watch *w, const char *path)
{
	if (w->fd >= 0)
		(void)inotify_add_watch(w->fd, path, EVENTS_BYTES | EVENTS_NAMES);
}

static unsigned take_events(struct watch *w)
{
	_Alignas(struct inotify_event) char bytes[EVENTS_ROOM];
	unsigned news = 0;
	ssize_t n;
	while ((n = read(w->fd, bytes, sizeof bytes)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(bytes + at);
			news |= e->mask & EVENTS_BYTES ? WATCH_BYTES : 0;
			news |= e->mask & (EVENTS_NAMES | IN_Q_OVERFLOW | IN_UNMOUNT) ? WATCH_NAMES : 0;
			at += (ssize_t)(sizeof *e + e->len);
		}
	return news;
}

static void wait_for(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	while (poll(fds, n, timeout_ms) < 0 && errno == EINTR)
		continue;
}

unsigned watch_wait(struct watch *w, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = w->stop_fd, .events = POLLIN }, { .fd = w->fd, .events = POLLIN } };
	wait_for(fds, 2, timeout_ms);
	unsigned news = fds[0].revents ? WATCH_STOP : 0;
	return fds[1].revents ? news | take_events(w) : news;
}

bool watch_pause(struct watch *w, int timeout_ms)
{
	struct pollfd fd = { .fd = w->stop_fd, .events = POLLIN };
	wait_for(&fd, 1, timeout_ms);
	return fd.revents != 0;
}
