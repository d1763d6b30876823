#pragma once
/*
 * replay_input -- the events of a file of dead letters, once more: those that an output refused go to that output alone, those
 * that an input could not take up (and that are events after all) to every output. Each leaves as of the input and cluster that its
 * letter names, so that paths, topics and headers are those that it would have had.
 *
 * Not a `type` of the configuration: the command `replay` puts it in the place of the inputs. Its own struct is one char *,
 * the path.
 */
#include "router/input/input.h"

extern const struct input_ops input_replay;
