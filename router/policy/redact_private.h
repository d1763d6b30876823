#pragma once
/*
 * redact_private -- what the files of redact share; private to them.
 *
 *   redact_read.c       the setting
 *   redact.c            an event: which parts are looked into, and by whom
 *   redact_find.c       one walk over a value that finds Secrets, ConfigMaps, tokens' objects and environment variables
 *   redact_role.c       what a place in an object means: the table that the walk and JSON pointers go by
 *   redact_sink.c       what was found becomes edits, also inside JSON that is kept as text
 *   redact_tokens.c     JWTs, `Bearer ...`, query parameters
 *   redact_trigger.c    is there anything of these at all?
 *   redact_path.c       own rules
 *   redact_pseudonym.c  HMAC
 */
#include "router/event/decode.h"
#include "router/policy/redact.h"

/* ---- own rules ---- */

enum { REDACT_STEPS_MAX = 32, REDACT_RULES_MAX = 256, REDACT_PATHS_MAX = 64, REDACT_ANY = UINT32_MAX };

struct redact_step {
	struct view key; /* unescaped, owned; absent: an element */
	uint32_t index;  /* of the element; REDACT_ANY: all of them, or, with key "*", all members */
	bool any;        /* [*] or * */
};

struct redact_path {
	struct redact_step steps[REDACT_STEPS_MAX];
	uint32_t n;
};

struct redact_rule {
	struct matcher *matcher; /* NULL: every event */
	struct redact_path *paths;
	uint32_t n_paths;
	bool pseudonym;
	char *key;               /* of the pseudonyms */
	struct strings keep;     /* texts that begin so keep their name */
};

struct redactor {
	unsigned kinds; /* bits 1 << enum redact_kind */
	struct redact_rule *rules;
	uint32_t n_rules;
};

/* False: *ret_why says what is wrong with it (static text). */
bool redact_path_parse(struct redact_path *ret, struct view text, const char **ret_why);
void redact_path_finish(struct redact_path *);

/* ---- roles: what a place means ---- */

enum redact_role_name {
	ROLE_OBJECT,    /* any object that nothing is known of; other roles fall back on it */
	ROLE_ITEM,      /* an object that is an item of a list */
	ROLE_SPEC,      /* spec or status of an object */
	ROLE_METADATA,
	ROLE_ITEMS, ROLE_ROWS, ROLE_ROW,
	ROLE_MANAGED, ROLE_MANAGED_ITEM, ROLE_FIELDS,
	ROLE_CONTAINERS, ROLE_CONTAINER, ROLE_ENV, ROLE_ENV_ITEM,
	ROLE_PATCH, ROLE_PATCH_OP, /* a JSON patch */
	ROLE_WEBHOOK,              /* a webhook's patch, in an annotation */
	/* values, not places to go on from */
	ROLE_LAST_APPLIED,
	ROLE_KIND,
	ROLE_MESSAGE,
	ROLE_PATCH_VALUE,
	ROLE_MAYBE_DATA,   /* data, if the object turns out to be of `kind` */
	ROLE_MAYBE_FIELDS, /* the same in managedFields */
	ROLE_MAYBE_TOKEN,
	ROLE_CUT_MEMBERS,
	ROLE_CUT,
};

struct redact_role {
	uint8_t name;  /* enum redact_role_name */
	uint8_t kinds; /* MAYBE: bits, CUT: one bit, of enum redact_kind */
	bool target;   /* the object that objectRef names */
};

enum redact_word {
	WORD_NOT_KNOWN,
	WORD_DATA, WORD_STRING_DATA, WORD_BINARY_DATA, WORD_TOKEN, WORD_KIND, WORD_ITEMS, WORD_ROWS, WORD_OBJECT, WORD_METADATA,
	WORD_MANAGED_FIELDS, WORD_FIELDS_V1, WORD_F_DATA, WORD_F_STRING_DATA, WORD_F_BINARY_DATA, WORD_SPEC, WORD_STATUS,
	WORD_CONTAINERS, WORD_ENV, WORD_VALUE, WORD_PATH, WORD_PATCH, WORD_MESSAGE, WORD_LAST_APPLIED,
	REDACT_WORDS
};

/* What the walk knows of the request. */
struct redact_target {
	uint8_t wanted; /* bits of enum redact_kind: what is looked for */
	uint8_t kinds;  /* of these, what objectRef says that the object is */
};

enum redact_word redact_word_of_key(struct view raw_key);
enum redact_word redact_word_of_text(struct view key);
/* Of the value behind a key, and of an element of an array. */
struct redact_role redact_role_member(const struct redact_target *, struct redact_role of, enum redact_word word);
struct redact_role redact_role_element(struct redact_role of);
/* Along a JSON pointer (RFC 6901), unescaped as JSON. */
struct redact_role redact_role_pointer(const struct redact_target *, struct redact_role from, struct view pointer);
/* Takes a token off a pointer that begins with '/', unescapes it into `room` (of its length). False: none is left. */
bool redact_pointer_next(struct view *pointer, char *room, struct view *ret_token);

/* ---- sink: from finds to edits ---- */

/* Where ranges of `text` become edits: the event's own bytes, or a text that was unescaped from them. */
struct redact_sink {
	struct edits *edits;
	uint64_t *counts;
	/* Of an unescaped text: where it stands in the event, between the quotes; absent: the bytes are the event's own. */
	struct view raw;
	struct view text;
	size_t raw_at, text_at; /* where both were last brought together */
};

/* The text of a raw JSON string (with its quotes), unescaped into `text`, and a sink for ranges of it. */
struct redact_sink redact_sink_inside(const struct redact_sink *, struct view string, struct buf *text);
/* Replaces a value by the JSON string "REPLACEMENT" (nothing in it needs an escape). */
void redact_sink_value(struct redact_sink *, struct view value, struct view replacement, enum redact_kind);
/* Replaces part of a string by the mark. */
void redact_sink_part(struct redact_sink *, struct view part, enum redact_kind);

/* ---- the walk ---- */

struct redact_frame {
	const char *begin;
	uint32_t pending_base;
	struct redact_role role;        /* of the object or array itself */
	struct redact_role value_role;  /* ROLE_PATCH_OP: of its value */
	uint8_t word;                   /* enum redact_word: the key of the member at hand */
	uint8_t kinds, list_kinds;      /* what `kind` says that it is, or a list of */
	bool object;
};

struct redact_find {
	const char *begin, *end;
	int32_t owner;  /* pending: the frame that decides */
	uint8_t kinds;  /* pending: of which of these the owner must be; found: the one */
	bool members;   /* each value of the object; of what is no object the value */
	bool list;      /* pending: the owner must be a list of these */
};

/* A stack of these. */
struct redact_finds {
	struct redact_find *list;
	uint32_t n, room;
};

struct redact_work {
	struct decoder *decoder;   /* of texts inside strings */
	struct redact_frame *frames;
	uint32_t n_frames, frames_room;
	struct redact_finds pending, found;
	struct buf text;           /* unescaped: JSON inside a string */
	struct buf small;          /* unescaped: pointers, names, URLs */
};

/*
 * Finds everything wanted in the (valid) value and adds its edits. Texts that hold JSON are looked into once; deeper ones
 * are cut whole.
 */
void redact_find(const struct redact_target *, struct redact_work *, struct redact_sink *, struct view value,
	struct redact_role role);
/* A string that may hold JSON: of an annotation, which may be a webhook's patch of the object. */
void redact_find_text(const struct redact_target *, struct redact_work *, struct redact_sink *, struct view string);
/* May there be anything of these kinds in the bytes? No false negatives. */
bool redact_hint(struct view bytes, unsigned kinds);
/* Has it a \u escape of a letter or digit, which could hide a word from redact_hint? */
bool redact_has_hidden(struct view bytes);

/* ---- parts ---- */

void redact_tokens(struct redact_sink *, struct view bytes);
/* Does a query parameter of this URL have to go? */
bool redact_url_has_secret(struct view url);
void redact_url(struct redact_sink *, struct view url);
/* The same of all URLs in bytes that are no JSON, or in texts of JSON, escapes and all. */
void redact_loose_urls(struct redact_sink *, struct view bytes);
void redact_rules(const struct redactor *, const struct event *, const struct attributes *, struct redact_work *,
	struct redact_sink *);

enum { REDACT_PSEUDONYM_LEN = 5 + 32 };
void redact_pseudonym(const char *key, struct view name, char ret[REDACT_PSEUDONYM_LEN]);
bool redact_is_pseudonym(struct view text);
