/*
 * What a place in an object means, by its keys from the top. The walk goes by it key by key, a JSON patch's pointer all at
 * once: the one table for both.
 *
 * What depends on the object's kind, which may stand behind its data, is ROLE_MAYBE_...: the walk decides when the object
 * ends. The object that objectRef names is known beforehand: its parts are ROLE_CUT_... at once.
 */
#include "router/event/text.h"
#include "router/policy/redact_private.h"

enum { WORD_BYTES_MAX = 48 };

static const struct {
	struct view text;
	enum redact_word word;
} words[] = {
	{ { "data", 4 }, WORD_DATA },
	{ { "stringData", 10 }, WORD_STRING_DATA },
	{ { "binaryData", 10 }, WORD_BINARY_DATA },
	{ { "token", 5 }, WORD_TOKEN },
	{ { "kind", 4 }, WORD_KIND },
	{ { "@type", 5 }, WORD_KIND }, /* of a LogEntry's bodies: core.k8s.io/v1.Secret */
	{ { "items", 5 }, WORD_ITEMS },
	{ { "rows", 4 }, WORD_ROWS },
	{ { "object", 6 }, WORD_OBJECT },
	{ { "metadata", 8 }, WORD_METADATA },
	{ { "managedFields", 13 }, WORD_MANAGED_FIELDS },
	{ { "fieldsV1", 8 }, WORD_FIELDS_V1 },
	{ { "f:data", 6 }, WORD_F_DATA },
	{ { "f:stringData", 12 }, WORD_F_STRING_DATA },
	{ { "f:binaryData", 12 }, WORD_F_BINARY_DATA },
	{ { "spec", 4 }, WORD_SPEC },
	{ { "status", 6 }, WORD_STATUS },
	{ { "containers", 10 }, WORD_CONTAINERS },
	{ { "initContainers", 14 }, WORD_CONTAINERS },
	{ { "ephemeralContainers", 19 }, WORD_CONTAINERS },
	{ { "env", 3 }, WORD_ENV },
	{ { "value", 5 }, WORD_VALUE },
	{ { "path", 4 }, WORD_PATH },
	{ { "patch", 5 }, WORD_PATCH },
	{ { "message", 7 }, WORD_MESSAGE },
	{ { "kubectl.kubernetes.io/last-applied-configuration", 48 }, WORD_LAST_APPLIED },
};

enum redact_word redact_word_of_text(struct view text)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i].text.len == text.len && words[i].text.ptr[0] == text.ptr[0] &&
			memcmp(words[i].text.ptr, text.ptr, text.len) == 0)
			return words[i].word;
	return WORD_NOT_KNOWN;
}

enum redact_word redact_word_of_key(struct view raw_key)
{
	char plain[6 * WORD_BYTES_MAX];
	if (!raw_key.len || raw_key.len > sizeof plain)
		return WORD_NOT_KNOWN;
	if (memchr(raw_key.ptr, '\\', raw_key.len))
		raw_key = (struct view){ plain, text_unescape(raw_key, plain) };
	return raw_key.len ? redact_word_of_text(raw_key) : WORD_NOT_KNOWN;
}

static unsigned bit(enum redact_kind kind)
{
	return 1u << kind;
}

/* Of which kinds this key of an object holds the data. */
static unsigned data_kinds(enum redact_word word)
{
	switch (word) {
	case WORD_DATA:
	case WORD_F_DATA:
		return bit(REDACT_SECRETS) | bit(REDACT_CONFIGMAPS);
	case WORD_STRING_DATA:
	case WORD_F_STRING_DATA:
		return bit(REDACT_SECRETS);
	case WORD_BINARY_DATA:
	case WORD_F_BINARY_DATA:
		return bit(REDACT_CONFIGMAPS);
	default:
		return 0;
	}
}

static struct redact_role plain(enum redact_role_name name)
{
	return (struct redact_role){ .name = (uint8_t)name };
}

static struct redact_role keep_target(enum redact_role_name name, struct redact_role of)
{
	return (struct redact_role){ .name = (uint8_t)name, .target = of.target };
}

/* A place that is cut: at once where the object is known, later where its kind decides. */
static struct redact_role cut(const struct redact_target *t, struct redact_role of, unsigned kinds,
	enum redact_role_name known, enum redact_role_name maybe)
{
	kinds &= t->wanted;
	unsigned sure = of.target ? kinds & t->kinds : 0;
	if (sure)
		return (struct redact_role){ .name = (uint8_t)known, .kinds = (uint8_t)(sure & -sure) };
	return kinds ? (struct redact_role){ .name = (uint8_t)maybe, .kinds = (uint8_t)kinds } : plain(ROLE_OBJECT);
}

static struct redact_role member_of_object(const struct redact_target *t, struct redact_role of, enum redact_word word)
{
	switch (word) {
	case WORD_DATA:
	case WORD_STRING_DATA:
	case WORD_BINARY_DATA:
		return cut(t, of, data_kinds(word), ROLE_CUT_MEMBERS, ROLE_MAYBE_DATA);
	case WORD_KIND:
		return plain(ROLE_KIND);
	case WORD_MESSAGE:
		return plain(ROLE_MESSAGE);
	case WORD_LAST_APPLIED:
		return plain(ROLE_LAST_APPLIED);
	case WORD_ITEMS:
		return keep_target(ROLE_ITEMS, of);
	case WORD_ROWS:
		return keep_target(ROLE_ROWS, of);
	case WORD_METADATA:
		return keep_target(ROLE_METADATA, of);
	case WORD_SPEC:
	case WORD_STATUS:
		return keep_target(ROLE_SPEC, of);
	case WORD_CONTAINERS:
		return plain(ROLE_CONTAINERS);
	default:
		return plain(ROLE_OBJECT);
	}
}

struct redact_role redact_role_member(const struct redact_target *t, struct redact_role of, enum redact_word word)
{
	switch (of.name) {
	case ROLE_ROW:
		if (word == WORD_OBJECT)
			return keep_target(ROLE_OBJECT, of);
		break;
	case ROLE_METADATA:
		if (word == WORD_MANAGED_FIELDS)
			return keep_target(ROLE_MANAGED, of);
		break;
	case ROLE_MANAGED_ITEM:
		if (word == WORD_FIELDS_V1)
			return keep_target(ROLE_FIELDS, of);
		break;
	case ROLE_FIELDS:
		return data_kinds(word) ? cut(t, of, data_kinds(word), ROLE_MAYBE_FIELDS, ROLE_MAYBE_FIELDS) : plain(ROLE_OBJECT);
	case ROLE_SPEC:
		if (word == WORD_TOKEN)
			return cut(t, of, bit(REDACT_TOKENS), ROLE_CUT, ROLE_MAYBE_TOKEN);
		break;
	case ROLE_CONTAINER:
		if (word == WORD_ENV && t->wanted & bit(REDACT_ENV))
			return plain(ROLE_ENV);
		break;
	case ROLE_ENV_ITEM:
		if (word == WORD_VALUE)
			return (struct redact_role){ .name = ROLE_CUT, .kinds = (uint8_t)bit(REDACT_ENV) };
		break;
	case ROLE_PATCH_OP:
		if (word == WORD_VALUE)
			return plain(ROLE_PATCH_VALUE);
		break;
	case ROLE_WEBHOOK:
		if (word == WORD_PATCH)
			return keep_target(ROLE_PATCH, of);
		break;
	default:
		break;
	}
	of.target = of.target && (of.name == ROLE_OBJECT || of.name == ROLE_ITEM);
	return member_of_object(t, of, word);
}

struct redact_role redact_role_element(struct redact_role of)
{
	switch (of.name) {
	case ROLE_ITEMS:
		return keep_target(ROLE_ITEM, of);
	case ROLE_ROWS:
		return keep_target(ROLE_ROW, of);
	case ROLE_MANAGED:
		return keep_target(ROLE_MANAGED_ITEM, of);
	case ROLE_CONTAINERS:
		return plain(ROLE_CONTAINER);
	case ROLE_ENV:
		return plain(ROLE_ENV_ITEM);
	case ROLE_PATCH:
		return keep_target(ROLE_PATCH_OP, of);
	default:
		return plain(ROLE_OBJECT);
	}
}

/* ---- pointers ---- */

bool redact_pointer_next(struct view *pointer, char *room, struct view *ret_token)
{
	size_t n = 0, i = 1;
	if (!pointer->len || pointer->ptr[0] != '/')
		return false;
	for (; i < pointer->len && pointer->ptr[i] != '/'; i++) {
		char c = pointer->ptr[i];
		if (c == '~' && i + 1 < pointer->len && (pointer->ptr[i + 1] == '0' || pointer->ptr[i + 1] == '1'))
			c = pointer->ptr[++i] == '1' ? '/' : '~';
		room[n++] = c;
	}
	*ret_token = (struct view){ room, n };
	pointer->ptr += i;
	pointer->len -= i;
	return true;
}

static bool is_array(struct redact_role role)
{
	return role.name == ROLE_ITEMS || role.name == ROLE_ROWS || role.name == ROLE_MANAGED || role.name == ROLE_CONTAINERS ||
	       role.name == ROLE_ENV;
}

struct redact_role redact_role_pointer(const struct redact_target *t, struct redact_role role, struct view pointer)
{
	char room[256];
	struct view token;
	while (pointer.len) {
		/* A longer token is no word of ours; the room is for those that are. */
		const char *slash = pointer.len > 1 ? memchr(pointer.ptr + 1, '/', pointer.len - 1) : NULL;
		size_t len = slash ? (size_t)(slash - pointer.ptr) : pointer.len;
		struct view rest = { pointer.ptr + len, pointer.len - len };
		token = VIEW("");
		if (pointer.ptr[0] != '/') /* no pointer: nobody knows what the value was meant for */
			return cut(t, role, t->kinds, ROLE_CUT, ROLE_OBJECT);
		if (len <= sizeof room)
			(void)redact_pointer_next(&pointer, room, &token);
		pointer = rest;
		if (role.name == ROLE_CUT_MEMBERS)
			role.name = ROLE_CUT;
		else if (role.name == ROLE_CUT)
			continue;
		else if (is_array(role))
			role = redact_role_element(role);
		else
			role = redact_role_member(t, role, token.len ? redact_word_of_text(token) : WORD_NOT_KNOWN);
	}
	return role;
}
