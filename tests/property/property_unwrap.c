/*
 * Generated lines of other clouds against jansson (tests/tools/unwrap_oracle.h): events escaped in every way that JSON has, in every
 * wrapper; LogEntries with fields missing, of the wrong type, twice, escaped.
 */
#include "tests/tools/random.h"
#include "tests/tools/unwrap_oracle.h"

enum { ROUNDS = 6000 };

static bool often(struct random *r)
{
	return random_below(r, 4) != 0;
}

/* The byte as it is, or by one of its escapes. */
static void add_escaped(struct random *r, struct buf *out, char c)
{
	static const struct {
		char c, letter;
	} letters[] = { { '"', '"' }, { '\\', '\\' }, { '/', '/' }, { '\n', 'n' }, { '\t', 't' }, { '\r', 'r' }, { '\b', 'b' }, { '\f', 'f' } };
	bool must = c == '"' || c == '\\' || (uint8_t)c < 0x20, rare = !random_below(r, 12);
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (letters[i].c == c && (must || rare) && often(r)) {
			buf_add_byte(out, '\\');
			buf_add_byte(out, letters[i].letter);
			return;
		}
	if (must || (rare && (uint8_t)c < 0x80))
		buf_addf(out, random_below(r, 2) ? "\\u%04x" : "\\u%04X", (unsigned)(uint8_t)c);
	else
		buf_add_byte(out, c);
}

static void add_string(struct random *r, struct buf *out, struct view text)
{
	buf_add_byte(out, '"');
	for (size_t i = 0; i < text.len; i++)
		add_escaped(r, out, text.ptr[i]);
	buf_add_byte(out, '"');
}

static void add_space(struct random *r, struct buf *out)
{
	while (!random_below(r, 8))
		buf_add_byte(out, " \t\r"[random_below(r, 3)]);
}

static const char *const words[] = { "get", "create", "pods", "secrets", "\xc3\xa9", "a\"b", "a\\b", "", "\xf0\x9f\x98\x80", "core/v1/namespaces/n/pods/p",
	"io.k8s.core.v1.pods.create", "io.k8s.authorization.rbac.v1.roles.get", "io.k8s.get", "readyz", "v1", "....", "core//", "k8s.io",
	"type.googleapis.com/google.cloud.audit.AuditLog", "projects/p/logs/cloudaudit.googleapis.com%2Factivity", "eyJhbGciOiJ9.eyJhIjoxfQ.c2ln",
	"2026-11-21T20:54:23.486Z", "{\"kind\":\"Secret\",\"data\":{\"a\":\"b\"}}", "line\nline" };

static void add_word(struct random *r, struct buf *out)
{
	add_string(r, out, view_of(words[random_below(r, sizeof words / sizeof *words)]));
}

static void add_value(struct random *r, struct buf *out, unsigned depth)
{
	static const char *const keys[] = { "kind", "data", "metadata", "managedFields", "items", "code", "message", "@type", "reason", "env", "a" };
	static const char *const scalars[] = { "0", "404", "7", "-1", "1e3", "null", "true" };
	uint64_t what = random_below(r, depth > 3 ? 2 : 4), n = random_below(r, 4);
	if (what == 0) {
		buf_add_view(out, view_of(scalars[random_below(r, sizeof scalars / sizeof *scalars)]));
		return;
	}
	if (what == 1) {
		add_word(r, out);
		return;
	}
	buf_add_byte(out, what == 2 ? '{' : '[');
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			buf_add_byte(out, ',');
		add_space(r, out);
		if (what == 2) {
			add_string(r, out, view_of(keys[random_below(r, sizeof keys / sizeof *keys)]));
			buf_add_byte(out, ':');
		}
		add_value(r, out, depth + 1);
	}
	buf_add_byte(out, what == 2 ? '}' : ']');
}

static void add_event(struct random *r, struct buf *out)
{
	while (!random_below(r, 4))
		buf_add_byte(out, " \n\t"[random_below(r, 3)]);
	buf_add_view(out, VIEW("{\"kind\":\"Event\","));
	if (!random_below(r, 4))
		buf_add_byte(out, '\n');
	buf_add_view(out, VIEW("\"stage\":\"ResponseComplete\",\"verb\":"));
	add_word(r, out);
	buf_add_view(out, VIEW(",\"requestObject\":"));
	add_value(r, out, 0);
	buf_add_view(out, random_below(r, 20) ? VIEW("}") : VIEW("} x"));
	if (!random_below(r, 4))
		buf_add_byte(out, '\n');
}

static void add_item(struct random *r, struct buf *out, bool azure)
{
	struct buf event = { 0 };
	add_event(r, &event);
	buf_add_view(out, azure ? VIEW("{\"category\":\"kube-audit\",\"properties\":{\"log\" :") : VIEW("{\"timestamp\":1,\"message\":"));
	add_space(r, out);
	add_string(r, out, buf_view(&event));
	buf_add_view(out, azure ? VIEW(",\"pod\":\"p\"}}") : VIEW("}"));
	buf_finish(&event);
}

static void add_wrapper(struct random *r, struct buf *out)
{
	static const char *const lists[] = { "records", "logEvents", "events" };
	uint64_t list = random_below(r, 6), n = random_below(r, 4);
	if (list >= 3) {
		add_item(r, out, list == 3);
		return;
	}
	buf_addf(out, "{\"a\":[],\"%s\":[", lists[list]);
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			buf_add_byte(out, ',');
		if (random_below(r, 8))
			add_item(r, out, list == 0);
		else
			add_value(r, out, 2);
	}
	buf_add_view(out, VIEW("]}"));
}

/* `"NAME":VALUE,`, mostly; now and then it is not there, twice, or something else. */
static void add_member(struct random *r, struct buf *out, const char *name, const char *value)
{
	for (uint64_t n = often(r) || random_below(r, 3) ? 1 : random_below(r, 3); n; n--) {
		add_string(r, out, view_of(name));
		add_space(r, out);
		buf_add_byte(out, ':');
		if (!value || !random_below(r, 16))
			add_value(r, out, 1);
		else if (*value == '{')
			buf_add_view(out, view_of(value));
		else
			add_string(r, out, view_of(value));
		buf_add_byte(out, ',');
	}
}

static void add_entry(struct random *r, struct buf *out)
{
	static const char *const methods[] = { "io.k8s.core.v1.secrets.create", "io.k8s.core.v1.pods.exec.get", "io.k8s.get", "a.b.c" };
	static const char *const resources[] = { "core/v1/namespaces/n/secrets/s", "core/v1/namespaces/n/pods/p/exec", "readyz", "/" };
	uint64_t which = random_below(r, 4);
	buf_add_byte(out, '{');
	add_member(r, out, "logName", "projects/p/logs/cloudaudit.googleapis.com%2Factivity");
	add_member(r, out, "operation", "{\"id\":\"x\",\"producer\":\"k8s.io\"}");
	add_member(r, out, "split", "{\"uid\":\"u\",\"index\":1,\"totalSplits\":2}");
	buf_add_view(out, VIEW("\"protoPayload\":{"));
	add_member(r, out, "methodName", methods[which]);
	add_member(r, out, "resourceName", resources[which]);
	add_member(r, out, "authenticationInfo", "{\"principalEmail\":\"p\\u0065rson@x\"}");
	add_member(r, out, "requestMetadata", "{\"callerIp\":\"1.2.3.4\",\"callerSuppliedUserAgent\":\"k\"}");
	add_member(r, out, "status", "{\"code\":7,\"message\":\"no\"}");
	add_member(r, out, "request", NULL);
	add_member(r, out, "response", NULL);
	add_member(r, out, "@type", "type.googleapis.com/google.cloud.audit.AuditLog");
	add_member(r, out, "serviceName", "k8s.io");
	buf_add_view(out, VIEW("\"z\":1},"));
	add_member(r, out, "labels", "{\"a\":\"b\"}");
	add_member(r, out, "timestamp", "2026-11-21T20:54:23.486Z");
	buf_add_view(out, VIEW("\"insertId\":\"i\"}"));
}

int main(int argc, char **argv)
{
	static struct unwrap_oracle oracle;
	struct random_run run = random_run_of(argc, argv, ROUNDS);
	struct buf line = { 0 };
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	unwrap_oracle_init(&oracle);
	for (uint64_t i = 0; i < run.rounds; i++) {
		struct random r = random_round(&run, i);
		buf_clear(&line);
		if (random_below(&r, 2))
			add_entry(&r, &line);
		else
			add_wrapper(&r, &line);
		unwrap_oracle_line(&oracle, buf_view(&line));
	}
	printf("%" PRIu64 " rounds: %" PRIu64 " texts, %" PRIu64 " entries\n", run.rounds, oracle.texts, oracle.entries);
	assert(run.rounds < ROUNDS || (oracle.texts > run.rounds / 4 && oracle.entries > run.rounds / 8));
	unwrap_oracle_finish(&oracle);
	buf_finish(&line);
	return 0;
}
