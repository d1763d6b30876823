#include "router/lane/commit_point.h"

#include <stdlib.h>

#include "router/base/buf.h"

void commit_point_finish(struct commit_point *p)
{
	for (size_t i = 0; i < p->n_offsets; i++)
		free(p->offsets[i].topic);
	free(p->offsets);
	free(p->group);
	free(p->group_metadata);
	free(p->text);
	*p = (struct commit_point){ 0 };
}

void commit_point_add(struct commit_point *p, const char *topic, int32_t partition, int64_t offset)
{
	p->offsets = mem_resize(p->offsets, (p->n_offsets + 1) * sizeof *p->offsets);
	p->offsets[p->n_offsets++] = (struct commit_offset){ mem_text(view_of(topic)), partition, offset };
}
