#pragma once
/*
 * http_rig -- an HTTP output in a real lane, and a server in this process that it posts to.
 */
#include "config/config.h"
#include "router/lane/batch.h"
#include "router/lane/lane.h"
#include "router/output/http_settings.h"
#include "tests/unit/http_server.h"

enum { RIG_DEADLINE_MS = 120000, RIG_TROUBLE_ROOM = 512 };

struct rig {
	struct server server;
	struct http_settings settings; /* url NULL: the server in this process, which rig_start starts */
	uint64_t share_bytes; /* of the lane */
	struct config config;
	struct config_output output;
	struct budget *budget;
	struct dead_letters *dead_letters;
	struct lane *lane;
	char folder[64];
	struct buf sent; /* NDJSON of all events pushed */
	unsigned n_sent;
};

void rig_init(struct rig *);
void rig_start(struct rig *); /* after the settings and the script were set */
void rig_end(struct rig *);

/* An event with its number and so many bytes of filling; `mark` stands in it. */
void rig_add_event(struct rig *, struct batch *, size_t filling, const char *mark);
void rig_push_events(struct rig *, unsigned n, size_t filling); /* of the configuration's cluster */
void rig_push_events_of(struct rig *, const char *cluster, unsigned n, size_t filling);
/* Nothing more comes: until all have their outcome. */
void rig_drain(struct rig *);
void rig_pause_ms(long ms);
/* The lane is in trouble, in these words (and without "hidden" in them). */
void rig_wait_for_trouble(struct rig *, const char *words);

/* Of the server in this process. */
void rig_assert_all_stored_in_order(struct rig *);
void rig_assert_none_lost(struct rig *); /* each event at least once, whatever the order */
unsigned rig_count(const struct buf *where, const char *what);
