#include <poll.h>

#include "router/output/output.h"

void output_wait_fd(int wake_fd, int timeout_ms)
{
	struct pollfd fd = { .fd = wake_fd, .events = POLLIN };
	(void)poll(&fd, 1, timeout_ms);
}
