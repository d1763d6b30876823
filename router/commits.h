#pragma once
/*
 * commits -- what the pipeline does for exactly-once outputs (lane/commit_point.h): how far inputs have come goes into their
 * transactions, and is taken from there at a start, before the checkpoint's word.
 *
 * Text of a point: {"instance": "...", "state": "...", "classes": {"ADMIN_READ": {"seq": 17, "state": null}}}: the input's state at
 *          the position, once for all lanes of the output or, where it differs (a lane was ahead when the output became
 *          exactly-once), by lane; and the lanes' next sequence numbers.
 * Others:  offsets that a Kafka input shares among all outputs are committed only behind what all other lanes have settled and
 *          main has made durable. The worker asks (point), main looks every 10 ms as long as somebody does.
 * Threads: the callbacks as in commit_point.h; the functions here are main's.
 */
#include <stdbool.h>

#include "router/base/err.h"
#include "router/input/input.h"

struct commits;
struct commit_host;
struct config_output;
struct lane;
struct pipeline;
struct pipeline_input;
struct settlement;

/* Of one exactly-once output, whose lanes have these numbers; the first leads. */
struct commits *commits_create(struct pipeline *, const struct config_output *);
void commits_destroy(struct commits *); /* NULL is fine */
const struct commit_host *commits_host(const struct commits *);
/* Its leading lane is there now. */
void commits_lane(struct commits *, struct lane *leader);

/*
 * Puts what was committed before what the checkpoint says of the lanes. States made meanwhile live as long as the pipeline's input.
 */
int commits_resume(struct pipeline *, struct pipeline_input *, struct input_options *, const char **lane_states, struct err *);

/* Does somebody wait to hear what is durable of other lanes? */
bool commits_wanted(struct pipeline *);
/* That is durable now. */
void commits_publish(struct pipeline *, const struct settlement *);
