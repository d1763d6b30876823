#pragma once
/*
 * route_rig -- a feed, and what it needs around it: without lanes, or with one of each class whose sink writes down what it gets and
 * has it delivered.
 */
#include "config/config.h"
#include "router/base/buf.h"
#include "router/route.h"

struct route_rig {
	struct config config;
	struct config_input input;
	struct routing routing;
	struct feed *feed;
	char folder[64]; /* of the dead letters */
	uint64_t fed;    /* bytes so far */
	struct config_output output;
	struct lane *lanes[AUDIT_CLASSES];
	/* A line an event that the lane got: sequence number, position of its end, rule, bytes. After route_rig_wait. */
	struct buf seen[AUDIT_CLASSES];
};

void route_rig_setup(struct route_rig *, uint64_t dead_letters_max);
/* With lanes. `policy` is the output's own, a file; NULL: none. */
void route_rig_setup_lanes(struct route_rig *, uint64_t dead_letters_max, const char *policy);
void route_rig_wait(struct route_rig *); /* until the lanes have nothing in hand; fails after two minutes */
void route_rig_teardown(struct route_rig *); /* asserts that the budget was given back */
/* A chunk of these bytes; the caller releases it. */
struct chunk *route_rig_chunk(struct route_rig *, struct view bytes);
uint64_t route_rig_classified(const struct route_rig *); /* events, of all classes */

#define EVENT "{\"kind\":\"Event\",\"stage\":\"ResponseComplete\",\"verb\":\"get\"}"
#define LIST "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[" EVENT "," EVENT "]}"
/* With its newline. */
#define PART(uid, index, total) PART_OF("list", uid, index, total)
#define PART_OF(verb, uid, index, total) \
	"{\"protoPayload\":{\"@type\":\"type.googleapis.com/google.cloud.audit.AuditLog\",\"serviceName\":\"k8s.io\"," \
	"\"methodName\":\"io.k8s.core.v1.pods." verb "\"},\"split\":{\"uid\":\"" uid "\",\"index\":" index ",\"totalSplits\":" total "}}\n"
