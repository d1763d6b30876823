#pragma once
/*
 * cleanup -- ownership by scope, for cold code: what is declared with one of these is released when the
 * scope ends, whatever the path. TAKE_PTR and TAKE_FD hand the ownership on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void cleanup_fclose(FILE **stream)
{
	if (*stream)
		(void)fclose(*stream);
}

#define _free_ cleanup(cleanup_free)
#define _close_ cleanup(cleanup_close)
#define _fclose_ cleanup(cleanup_fclose)

/* The value, and leaves NULL (or -1) behind. */
#define TAKE_PTR(pointer)                         \
	__extension__({                           \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                 \
		taken_;                           \
	})
#define TAKE_FD(fd)             \
	__extension__({                           \
		int taken_ = (fd); \
		(fd) = -1;      \
		taken_;         \
	})
