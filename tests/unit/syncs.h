#pragma once
/*
 * syncs -- a disk that cannot make something durable: fsync and fdatasync of this test program stand before the C library's, and are
 * -EIO where the test says so. For one file of a test.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum syncs { SYNCS_GOOD, SYNCS_FAIL_FILES, SYNCS_FAIL_FOLDERS };

static enum syncs syncs;

static int syncs_call(long number, int fd)
{
	struct stat st;
	if (syncs != SYNCS_GOOD && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) == (syncs == SYNCS_FAIL_FOLDERS)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return syncs_call(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return syncs_call(SYS_fdatasync, fd);
}
