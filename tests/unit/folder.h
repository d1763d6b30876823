#pragma once
/* folder -- a folder of the test program's own: make_folder before the group of its tests, remove_folder after it. */
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"

static char folder[] = "/tmp/audit-router-test.XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	_free_ char *command = mem_textf("rm -r %s", folder);
	return system(command);
}
