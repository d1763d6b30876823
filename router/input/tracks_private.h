#pragma once
/* tracks_private -- what tracks.c and track_match.c share. */
#include "router/input/tracks.h"

/* A track of a listed file, not yet in the table; it gets its number there. */
struct track *track_of_listed(const struct listed *, const struct head *);
void tracks_insert(struct tracks *, struct track *);
