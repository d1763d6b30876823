#pragma once
/*
 * tail -- the end of a file of NDJSON lines that this program appends to: a crash or a full disk may have left a part of
 * a line there. Such a part was never acknowledged, so it comes again whole; it must go before anything is appended.
 */
#include <stdint.h>

/*
 * Cuts what follows the last newline of the regular file `fd` (open for reading and writing); *ret_bytes is how much
 * that was. -EBADMSG: there is something to cut, but the file does not begin as NDJSON does ('{', or the zero bytes
 * that a power cut leaves): it is somebody else's, and was left alone. Other -errno of reading and cutting.
 */
int tail_cut(int fd, uint64_t *ret_bytes);
