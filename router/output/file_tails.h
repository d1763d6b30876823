#pragma once
/*
 * file_tails -- what a crash left of a last line in the files that a file output appends to. A file that is written to
 * again is cut then (file_table.h); this is for those that nothing may come for: an event that its client never sends
 * again would leave a part of it there for good.
 */
#include "config/config.h"
#include "router/base/audit_class.h"

/*
 * Cuts them in all files that the template leads to for the class, the inputs of `config` and their clusters, at any
 * time; `cut` is told each that was. What cannot be looked at, or is not ours, is passed over: opening it to write says
 * so. A file that another process is writing to is left alone; of this process none may have one of these open. A look at
 * each file: some 10 us.
 */
void file_tails_cut(const char *template, enum audit_class, const struct config *config,
	void (*cut)(void *context, const char *path, uint64_t bytes), void *context);
