/*
 * Messages to lines. The messages of one poll are put together by source cluster, since a span is of one cluster: where a
 * partition has many clusters in turn, a chunk still has more than one message.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/base/clock.h"
#include "router/base/log.h"
#include "router/input/kafka.h"
#include "router/lane/chunk.h"

enum { HEAD_MAX = 64 * 1024 }; /* of a message that is too long: what the dead letters get */

struct taken_message {
	const rd_kafka_message_t *message;
	const struct kafka_part *part;
	uint32_t next; /* of the same cluster; UINT32_MAX: none */
};

struct taken_cluster {
	uint64_t hash;
	const char *name; /* NULL: the configuration's. Of a message's header: not terminated */
	size_t len;
	uint32_t first, last;
	size_t bytes;     /* lines not yet fed */
};

struct kafka_taken {
	struct taken_message messages[KAFKA_BATCH_MESSAGES];
	size_t n;
	struct taken_cluster clusters[KAFKA_BATCH_MESSAGES];
	size_t n_clusters;
	struct kafka_part *parts[KAFKA_BATCH_MESSAGES]; /* each once */
	size_t n_parts;
	uint64_t bytes;
	size_t taken; /* of the budget, for chunks yet to be made; exactly once only */

	/* What became of a chunk's lines: for messages of broken ones. */
	struct feed_origin origin;
	const struct taken_message *lines[KAFKA_BATCH_MESSAGES];
};

struct kafka_taken *consumer_taken_create(void)
{
	return mem_zero(1, sizeof(struct kafka_taken));
}

void consumer_taken_destroy(struct kafka_taken *t)
{
	free(t);
}

/* ---- which cluster ---- */

static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len > 0 && len < KAFKA_CLUSTER_ROOM;
}

/* The header's value, or nothing where it is not there or no name. */
static struct view header_cluster(const struct input *in, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t len;
	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		rd_kafka_header_get_last(headers, "cluster", &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR || !value || !len)
		return (struct view){ 0 };
	if (is_name(value, len))
		return (struct view){ value, len };
	log_limited(LOG_WARN, NULL, "input %s: %s/%d:%lld: the header cluster is no name: the event counts as the input's own",
		in->options.input->name, rd_kafka_topic_name(m->rkt), (int)m->partition, (long long)m->offset);
	return (struct view){ 0 };
}

static struct view message_cluster(const struct input *in, const rd_kafka_message_t *m)
{
	switch ((enum kafka_cluster_from)in->settings->cluster_from) {
	case CLUSTER_FROM_HEADER:
		return header_cluster(in, m);
	case CLUSTER_FROM_TOPIC:
		return view_of(rd_kafka_topic_name(m->rkt));
	case CLUSTER_FROM_NONE:
		break;
	}
	return (struct view){ 0 };
}

static uint64_t hash_of(struct view text)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a: only to compare fewer names */
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211u;
	return h;
}

static struct taken_cluster *cluster_of(struct kafka_taken *t, struct view name)
{
	uint64_t hash = name.ptr ? hash_of(name) : 0;
	for (size_t i = t->n_clusters; i-- > 0;) {
		struct taken_cluster *c = &t->clusters[i];
		if (c->hash == hash && !c->name == !name.ptr && view_eq((struct view){ c->name, c->len }, name))
			return c;
	}
	struct taken_cluster *c = &t->clusters[t->n_clusters++];
	*c = (struct taken_cluster){ hash, name.ptr, name.len, UINT32_MAX, UINT32_MAX, 0 };
	return c;
}

/* ---- sorting ---- */

static struct kafka_part *message_part(struct input *in, const rd_kafka_message_t *m)
{
	if (in->last_topic == m->rkt && in->last_part->number == m->partition)
		return in->last_part;
	in->last_part = consumer_part_of(in, rd_kafka_topic_name(m->rkt), m->partition);
	in->last_topic = m->rkt;
	return in->last_part;
}

static void touch(struct input *in, struct kafka_part *part, int64_t offset)
{
	if (part->round != in->round) {
		part->round = in->round;
		in->taken->parts[in->taken->n_parts++] = part;
	}
	part->next = offset;
}

static bool is_too_long(const struct input *in, const rd_kafka_message_t *m)
{
	return m->len > in->options.config->max_event_bytes;
}

static void add(struct input *in, const rd_kafka_message_t *m, const struct kafka_part *part)
{
	struct kafka_taken *t = in->taken;
	struct taken_cluster *c = cluster_of(t, message_cluster(in, m));
	uint32_t i = (uint32_t)t->n++;
	t->messages[i] = (struct taken_message){ m, part, UINT32_MAX };
	if (c->first == UINT32_MAX)
		c->first = i;
	else
		t->messages[c->last].next = i;
	c->last = i;
	t->bytes += m->len + 1;
	if (!is_too_long(in, m))
		c->bytes += m->len + 1;
}

/* What is no event: the end of a partition, or what is wrong with one. */
static void take_news(struct input *in, const rd_kafka_message_t *m)
{
	if (!m->rkt) {
		consumer_error(in, m->err, rd_kafka_message_errstr(m));
		return;
	}
	struct kafka_part *part = consumer_part_of(in, rd_kafka_topic_name(m->rkt), m->partition);
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		if (part->owned && m->offset >= part->next)
			touch(in, part, m->offset); /* behind what no reader sees: marks of transactions */
		if (part->owned && m->offset >= part->once_end)
			part->once_done = true;
	} else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
		part->reset_due = part->owned;
		in->reset_any = in->reset_any || part->owned;
	} else {
		char text[KAFKA_TEXT_ROOM];
		(void)snprintf(text, sizeof text, "%s: %s", part->topic, rd_kafka_message_errstr(m));
		consumer_error(in, m->err, text);
	}
}

static void sort(struct input *in, rd_kafka_message_t *const *messages, size_t n)
{
	struct kafka_taken *t = in->taken;
	t->n = t->n_clusters = t->n_parts = 0;
	t->bytes = 0;
	in->round++;
	for (size_t i = 0; i < n; i++) {
		const rd_kafka_message_t *m = messages[i];
		if (m->err) {
			take_news(in, m);
			continue;
		}
		struct kafka_part *part = message_part(in, m);
		if (!part->owned)
			continue; /* what was given back is another's */
		touch(in, part, m->offset + 1);
		if (part->once_end >= 0 && m->offset + 1 >= part->once_end)
			part->once_done = true;
		if (m->len)
			add(in, m, part);
		else
			in->empty++;
	}
}

/* ---- feeding ---- */

static void say_where(const struct feed_origin *origin, uint64_t number, char *text, size_t room)
{
	const struct kafka_taken *t = (const struct kafka_taken *)((const char *)origin - offsetof(struct kafka_taken, origin));
	const struct taken_message *m = t->lines[number];
	(void)snprintf(text, room, "%s/%d:%lld", m->part->topic, (int)m->part->number, (long long)m->message->offset);
}

/* On one line: a tab is white space between tokens as a newline is, and as little allowed in a string. */
static void copy_line(char *to, const rd_kafka_message_t *m)
{
	memcpy(to, m->payload, m->len);
	to[m->len] = '\n';
	for (char *at = to; (at = memchr(at, '\n', m->len - (size_t)(at - to))) != NULL;)
		*at++ = '\t';
}

uint64_t consumer_advance(struct input *in, uint64_t bytes)
{
	in->bytes += bytes;
	return in->position += bytes;
}

static bool feed_long(struct input *in, const struct taken_message *tm)
{
	struct kafka_taken *t = in->taken;
	const rd_kafka_message_t *m = tm->message;
	t->lines[0] = tm;
	t->origin.first_line = 0;
	return feed_too_long(in->options.feed, (struct view){ m->payload, m->len < HEAD_MAX ? m->len : HEAD_MAX }, m->len,
		       consumer_advance(in, m->len + 1), &t->origin) >= 0;
}

/* Bytes of the lines from `first` on, up to one that is too long. */
static size_t line_bytes(const struct input *in, uint32_t first)
{
	const struct kafka_taken *t = in->taken;
	size_t bytes = 0;
	for (uint32_t i = first; i != UINT32_MAX && !is_too_long(in, t->messages[i].message); i = t->messages[i].next)
		bytes += t->messages[i].message->len + 1;
	return bytes;
}

static int make_chunk(struct input *in, const struct taken_cluster *c, uint32_t first, struct chunk **ret_chunk)
{
	struct kafka_taken *t = in->taken;
	size_t line = t->messages[first].message->len + 1, room;
	if (in->options.exactly_once) {
		room = line_bytes(in, first);
		*ret_chunk = chunk_of_taken(in->options.budget, room);
		t->taken -= room;
		return 0;
	}
	room = c->bytes < KAFKA_CHUNK_BYTES ? c->bytes : KAFKA_CHUNK_BYTES;
	return chunk_create(ret_chunk, in->options.budget, room > line ? room : line);
}

/* The messages from `first` on that go together in one chunk; *ret_next is the first that does not. */
static bool feed_some(struct input *in, struct taken_cluster *c, uint32_t first, uint32_t *ret_next)
{
	struct kafka_taken *t = in->taken;
	struct chunk *chunk;
	uint32_t i = first;
	size_t n = 0;
	if (make_chunk(in, c, first, &chunk) < 0)
		return false;
	for (; i != UINT32_MAX; i = t->messages[i].next) {
		const rd_kafka_message_t *m = t->messages[i].message;
		if (is_too_long(in, m) || m->len + 1 > chunk->room - chunk->len)
			break;
		copy_line(chunk->bytes + chunk->len, m);
		chunk->len += m->len + 1;
		t->lines[n++] = &t->messages[i];
	}
	assert(n);
	c->bytes -= chunk->len;
	t->origin.first_line = 0;
	int64_t fed = feed_chunk(in->options.feed, chunk, (struct view){ chunk->bytes, chunk->len },
		consumer_advance(in, chunk->len), &t->origin);
	chunk_release(chunk);
	*ret_next = i;
	return fed >= 0;
}

static bool feed_cluster(struct input *in, struct taken_cluster *c)
{
	struct kafka_taken *t = in->taken;
	char name[KAFKA_CLUSTER_ROOM];
	t->origin = (struct feed_origin){ .where = say_where };
	if (c->name) {
		memcpy(name, c->name, c->len);
		name[c->len] = 0;
		t->origin.cluster = name;
	}
	bool goes_on = true;
	for (uint32_t i = c->first; goes_on && i != UINT32_MAX;) {
		if (is_too_long(in, t->messages[i].message)) {
			goes_on = feed_long(in, &t->messages[i]);
			i = t->messages[i].next;
		} else {
			goes_on = feed_some(in, c, i, &i);
		}
	}
	return goes_on;
}

/* What comes now was fetched before that. */
static bool is_fatal(rd_kafka_t *rk)
{
	char text[KAFKA_TEXT_ROOM];
	return rd_kafka_fatal_error(rk, text, sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Exactly once: the memory for all of these, before any of it is fed. */
static bool take_room(struct input *in)
{
	struct kafka_taken *t = in->taken;
	size_t bytes = 0;
	for (size_t i = 0; i < t->n_clusters && in->options.exactly_once; i++)
		bytes += t->clusters[i].bytes;
	if (bytes && budget_take(in->options.budget, bytes) < 0)
		return false;
	t->taken = bytes;
	return true;
}

static void give_room(struct input *in)
{
	if (in->taken->taken)
		budget_give(in->options.budget, in->taken->taken);
	in->taken->taken = 0;
}

bool consumer_take(struct input *in, rd_kafka_message_t **messages, size_t n)
{
	struct kafka_taken *t = in->taken;
	sort(in, messages, n);
	if (t->n_parts) {
		in->progress_ms = clock_steady_ms();
		in->restart = in->restart && is_fatal(in->rk); /* else this client is of use */
	}
	bool goes_on = take_room(in);
	for (size_t i = 0; i < t->n_parts && goes_on; i++)
		consumer_expect(in, t->parts[i], in->position + t->bytes, t->parts[i]->next);
	for (size_t i = 0; i < t->n_clusters && goes_on; i++)
		goes_on = feed_cluster(in, &t->clusters[i]);
	give_room(in); /* where it was stopped in between */
	for (size_t i = 0; i < n; i++)
		rd_kafka_message_destroy(messages[i]);
	return goes_on;
}
