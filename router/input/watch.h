#pragma once
/*
 * watch -- a wait until something may have changed in some folders: inotify where there is any, else time alone.
 *
 * It only saves time: whoever waits must look anyway when the time is up. Network file systems tell nothing of what other
 * machines do, inotify may be used up, and events may be lost; none of that is an error.
 *
 * Threads: one owner.
 */
#include <stdbool.h>

struct watch;

enum watch_news {
	WATCH_TIME = 0,        /* the time is up */
	WATCH_BYTES = 1 << 0,  /* a file was written to */
	WATCH_NAMES = 1 << 1,  /* one was made, renamed or removed */
	WATCH_STOP = 1 << 2,   /* the stop descriptor is readable */
};

struct watch *watch_create(int stop_fd); /* the descriptor stays the caller's */
void watch_destroy(struct watch *);      /* NULL is fine */
/* A folder or file; again is fine. */
void watch_add(struct watch *, const char *path);
/* Bits of enum watch_news. */
unsigned watch_wait(struct watch *, int timeout_ms);
/* Until the stop descriptor is readable (true), or the time is up; what happens meanwhile is kept for watch_wait. */
bool watch_pause(struct watch *, int timeout_ms);
