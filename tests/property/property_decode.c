/*
 * Generated, mutated and real events: decode against jansson, in every field, and all kinds of vectors against each other.
 * What jansson refuses and decode takes is tamed first (tests/tools/tame.h). And lines taken off by decoding are those of line_next.
 */
#include "tests/tools/decode_oracle.h"
#include "tests/tools/random.h"
#include "tests/tools/real_log.h"

enum { ROUNDS = 4000, REAL_LINE_MAX = 16 * 1024 };

#define PICK(r, list) ((list)[random_below(r, sizeof(list) / sizeof *(list))])

struct corpus {
	struct buf bytes;
	struct view *lines;
	size_t n;
};

static void load_corpus(struct corpus *c)
{
	real_log_read(&c->bytes);
	c->lines = mem_zero(c->bytes.len / 100, sizeof *c->lines);
	const char *end = c->bytes.ptr + c->bytes.len;
	for (const char *at = c->bytes.ptr, *newline; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (newline - at <= REAL_LINE_MAX)
			c->lines[c->n++] = (struct view){ at, (size_t)(newline - at) };
	}
}

static void add_space(struct random *r, struct buf *out)
{
	while (!random_below(r, 12))
		buf_add_byte(out, " \t\r\n"[random_below(r, 4)]);
}

/* Surrogates in any pairing, characters of two to four bytes, and bytes that are nearly some. */
static void add_odd_characters(struct random *r, struct buf *out)
{
	static const char *const good[] = { "\xc3\xa9", "\xe0\xa4\x85", "\xe6\x97\xa5", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x9f\x98\x80",
		"\xf4\x8f\xbf\xbf", "x" };
	static const uint8_t edges[] = { 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1,
		0xf4, 0xf5, 0xff };
	uint64_t what = random_below(r, 3), n = 1 + random_below(r, what ? 30 : 3);
	uint64_t bad = random_below(r, 2) ? n : random_below(r, n);
	for (uint64_t i = 0; i < n; i++)
		if (!what)
			buf_addf(out, "\\u%04x", (unsigned)(0xd000 + random_below(r, 0x1000)));
		else if (i == bad)
			buf_add_byte(out, (char)PICK(r, edges));
		else
			buf_addf(out, "%s", PICK(r, good));
}

/* A text's insides: runs of plain bytes, broken by whatever is odd. */
static void add_text(struct random *r, struct buf *out)
{
	static const char *const odd[] = { "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u0041",
		"\\u00e9", "\\u20aC", "\\uFFFF", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\uDBFF\\uDFFF", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\x80", "\xe2\x82", "\xed\xa0\x80", "\xed\xb0\x80", "\xf4\x90\x80\x80",
		"\xc0\x80", "\x7f", "{", "}", "[", "]", ":", ",", "/" };
	static const char plain[] = "system:serviceaccount:kube-system:generic-garbage-collector/0123456789 ABCDEFGHIJKLMNOPQRST";
	uint64_t parts = random_below(r, 8) ? 1 : random_below(r, 6);
	for (uint64_t i = 0; i < parts; i++) {
		size_t len = random_below(r, random_below(r, 6) ? 30 : sizeof plain - 1), from = random_below(r, sizeof plain - len);
		buf_add(out, plain + from, len);
		if (!random_below(r, 20))
			add_odd_characters(r, out);
		else if (parts > 1 || !random_below(r, 10))
			buf_addf(out, "%s", PICK(r, odd));
	}
}

static void add_string(struct random *r, struct buf *out)
{
	buf_add_byte(out, '"');
	add_text(r, out);
	buf_add_byte(out, '"');
}

static void add_number(struct random *r, struct buf *out)
{
	static const char *const numbers[] = { "0", "-0", "200", "404", "-1", "2147483647", "2147483648", "-2147483648", "-2147483649",
		"9223372036854775807", "9223372036854775808", "123456789012345678901234567890", "1.0", "2e2", "1E+2", "0.0001", "1e999",
		"-1e-999", "1.7976931348623157e308", "4294967496", "0e0", "-0.0" };
	if (random_below(r, 2))
		buf_addf(out, "%s", PICK(r, numbers));
	else
		buf_addf(out, "%" PRIu64, random_next(r) >> random_below(r, 64));
}

/* A key, sometimes with one of its characters escaped. */
static void add_key(struct random *r, struct buf *out, const char *name)
{
	size_t len = strlen(name), escaped = random_below(r, 20) ? len : random_below(r, len + 1);
	buf_add_byte(out, '"');
	for (size_t i = 0; i < len; i++)
		if (i == escaped)
			buf_addf(out, random_below(r, 2) ? "\\u%04x" : "\\u%04X", (unsigned char)name[i]);
		else
			buf_add_byte(out, name[i]);
	buf_add_byte(out, '"');
	add_space(r, out);
	buf_add_byte(out, ':');
	add_space(r, out);
}

static void add_value(struct random *r, struct buf *out, unsigned depth)
{
	static const char *const words[] = { "true", "false", "null" };
	static const char *const keys[] = { "a", "", "metadata", "kind", "name", "user", "f:spec", "items", "\\u0000", "uid",
		"authorization.k8s.io/decision" };
	uint64_t what = random_below(r, depth ? 10 : 6), n = random_below(r, 5);
	if (what < 3) {
		add_string(r, out);
	} else if (what < 5) {
		add_number(r, out);
	} else if (what < 6) {
		buf_addf(out, "%s", PICK(r, words));
	} else {
		bool object = what < 8;
		buf_add_byte(out, object ? '{' : '[');
		add_space(r, out);
		for (uint64_t i = 0; i < n; i++) {
			if (i)
				buf_add_byte(out, ',');
			add_space(r, out);
			if (object)
				add_key(r, out, PICK(r, keys));
			add_value(r, out, depth - 1);
			add_space(r, out);
		}
		buf_add_byte(out, object ? '}' : ']');
	}
}

/* Far deeper than a register of levels, now and then. */
static void add_deep(struct random *r, struct buf *out)
{
	uint64_t levels = 50 + random_below(r, 100), shape = random_next(r);
	for (uint64_t i = 0; i < levels; i++)
		buf_addf(out, shape >> i % 64 & 1 ? "[" : "{\"d\":");
	add_value(r, out, 1);
	for (uint64_t i = levels; i-- > 0;)
		buf_addf(out, shape >> i % 64 & 1 ? "]" : "}");
}

static void add_texts(struct random *r, struct buf *out)
{
	buf_add_byte(out, '[');
	for (uint64_t i = 0, n = random_below(r, 5); i < n; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_space(r, out);
		if (random_below(r, 10))
			add_string(r, out);
		else
			add_value(r, out, 2);
		add_space(r, out);
	}
	buf_add_byte(out, ']');
}

static const char *const event_keys[] = { "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user",
	"impersonatedUser", "authenticationMetadata", "sourceIPs", "userAgent", "objectRef", "responseStatus", "requestObject",
	"responseObject", "requestReceivedTimestamp", "stageTimestamp", "annotations", "items", "unknown", "Kind", "" };
static const char *const user_keys[] = { "username", "uid", "groups", "extra", "kind", "stage", "" };
static const char *const ref_keys[] = { "resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion",
	"subresource", "verb" };
static const char *const status_keys[] = { "metadata", "status", "message", "reason", "details", "code", "stage" };

static void add_object(struct random *r, struct buf *out, const char *const *keys, size_t n_keys);

/* Mostly of the type that the key asks for. */
static void add_member(struct random *r, struct buf *out, const char *key)
{
	static const char *const kinds[] = { "Event", "Event", "Event", "EventList", "\\u0045vent", "Pod", "EventList\\u0000" };
	static const char *const stages[] = { "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic", "None", "Metadata",
		"Request", "RequestResponse", "R\\u0065quest", "metadata" };
	add_key(r, out, key);
	if (!random_below(r, 25))
		add_value(r, out, 3);
	else if (!random_below(r, 300))
		add_deep(r, out);
	else if (!strcmp(key, "kind"))
		buf_addf(out, "\"%s\"", PICK(r, kinds));
	else if ((!strcmp(key, "stage") || !strcmp(key, "level")) && random_below(r, 4))
		buf_addf(out, "\"%s\"", PICK(r, stages));
	else if (!strcmp(key, "user") || !strcmp(key, "impersonatedUser"))
		add_object(r, out, user_keys, sizeof user_keys / sizeof *user_keys);
	else if (!strcmp(key, "objectRef"))
		add_object(r, out, ref_keys, sizeof ref_keys / sizeof *ref_keys);
	else if (!strcmp(key, "responseStatus"))
		add_object(r, out, status_keys, sizeof status_keys / sizeof *status_keys);
	else if (!strcmp(key, "groups") || !strcmp(key, "sourceIPs") || !strcmp(key, "items"))
		add_texts(r, out);
	else if (!strcmp(key, "code"))
		add_number(r, out);
	else if (strstr(key, "Object") || !strcmp(key, "annotations") || !strcmp(key, "extra") || !strcmp(key, "details"))
		add_value(r, out, 4);
	else
		add_string(r, out);
}

/* Keys in their order with gaps, or any order with repetitions. */
static void add_object(struct random *r, struct buf *out, const char *const *keys, size_t n_keys)
{
	bool ordered = random_below(r, 3), first = true;
	size_t n = ordered ? n_keys : random_below(r, n_keys * 2);
	buf_add_byte(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (ordered && !random_below(r, 6))
			continue;
		if (!first)
			buf_add_byte(out, ',');
		first = false;
		add_space(r, out);
		add_member(r, out, keys[ordered ? i : random_below(r, n_keys)]);
		add_space(r, out);
	}
	buf_add_byte(out, '}');
}

static void add_event(struct random *r, struct buf *out)
{
	add_object(r, out, event_keys, sizeof event_keys / sizeof *event_keys);
}

static void add_list(struct random *r, struct buf *out)
{
	bool kind_first = random_below(r, 2);
	buf_addf(out, "{%s\"metadata\":{},\"items\":[", kind_first ? "\"kind\":\"EventList\"," : "");
	for (uint64_t i = 0, n = random_below(r, 4); i < n; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_space(r, out);
		add_event(r, out);
	}
	buf_addf(out, "]%s}", kind_first ? "" : ",\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io\\/v1\"");
}

static void mutate(struct random *r, struct buf *b)
{
	static const char structure[] = "{}[]:,\"\\ 0-.eEtfnu\n\x01\x80\xff";
	if (!b->len)
		return;
	size_t at = random_below(r, b->len), len = 1 + random_below(r, random_below(r, 3) ? 3 : 80);
	if (len > b->len - at)
		len = b->len - at;
	switch (random_below(r, 7)) {
	case 0:
		b->ptr[at] = (char)random_next(r);
		break;
	case 1:
		b->ptr[at] = structure[random_below(r, sizeof structure - 1)];
		break;
	case 2: /* a span goes */
		memmove(b->ptr + at, b->ptr + at + len, b->len - at - len);
		b->len -= len;
		break;
	case 3: { /* a span comes again somewhere */
		size_t to = random_below(r, b->len + 1);
		char span[80];
		memcpy(span, b->ptr + at, len);
		buf_reserve(b, len);
		memmove(b->ptr + to + len, b->ptr + to, b->len - to);
		memcpy(b->ptr + to, span, len);
		b->len += len;
		break;
	}
	case 4:
		b->len = at;
		break;
	case 5: { /* two structural bytes change places */
		size_t other = random_below(r, b->len);
		char c = b->ptr[at];
		b->ptr[at] = b->ptr[other];
		b->ptr[other] = c;
		break;
	}
	default:
		buf_add_byte(b, structure[random_below(r, sizeof structure - 1)]);
	}
}

static void add_any(struct random *r, struct buf *out, const struct corpus *c)
{
	uint64_t what = random_below(r, 20);
	if (what < 9)
		add_event(r, out);
	else if (what < 10)
		add_value(r, out, 5);
	else if (what < 11)
		add_list(r, out);
	else
		buf_add_view(out, c->lines[random_below(r, random_below(r, 10) ? c->n / 2 : c->n)]);
}

/* A few lines as a chunk of a log holds them. */
static void judge_lines(struct random *r, struct oracle *oracle, struct view line, const struct corpus *c)
{
	struct buf bytes = { 0 };
	for (uint64_t n = 1 + random_below(r, 3); n; n--) {
		if (random_below(r, 3))
			buf_add_view(&bytes, line);
		else
			add_any(r, &bytes, c);
		if (n > 1 || random_below(r, 2))
			buf_addf(&bytes, "%s\n", random_below(r, 8) ? "" : random_below(r, 2) ? "\r" : " ");
	}
	char *exact = mem_alloc(bytes.len);
	if (bytes.len)
		memcpy(exact, bytes.ptr, bytes.len);
	oracle_lines(oracle, (struct view){ exact, bytes.len });
	free(exact);
	buf_finish(&bytes);
}

int main(int argc, char **argv)
{
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	struct oracle oracle = oracle_create();
	struct corpus corpus = { 0 };
	load_corpus(&corpus);
	fflush(stdout);
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		struct buf line = { 0 };
		add_any(&r, &line, &corpus);
		for (uint64_t n = random_below(&r, 2) ? 0 : 1 + random_below(&r, 3); n; n--)
			mutate(&r, &line);
		char *exact = mem_alloc(line.len);
		if (line.len)
			memcpy(exact, line.ptr, line.len);
		oracle_judge(&oracle, (struct view){ exact, line.len });
		judge_lines(&r, &oracle, (struct view){ exact, line.len }, &corpus);
		free(exact);
		buf_finish(&line);
	}
	oracle_destroy(&oracle);
	free(corpus.lines);
	buf_finish(&corpus.bytes);
	printf("%" PRIu64 " rounds\n", run.rounds);
	return 0;
}
