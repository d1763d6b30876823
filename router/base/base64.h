#pragma once
/* base64 -- RFC 4648 section 4, with padding. */
#include <stdbool.h>

#include "router/base/buf.h"

void base64_add(struct buf *out, struct view bytes);
/* False: not what base64_add makes; what was added to `out` means nothing then. */
bool base64_decode(struct buf *out, struct view text);
