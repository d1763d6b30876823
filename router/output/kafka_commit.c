#include "router/output/kafka_commit.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "router/base/base64.h"
#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/units.h"
#include "router/lane/commit_point.h"

enum {
	PIECE_BYTES = 4000,
	HEAD_ROOM = 16,           /* "1:2/3:" */
	TEXT_BYTES_MAX = 16 << 20,
	LEVEL = 3,
	READ_TIMEOUT_MS = 5000,
	ERROR_ROOM = 256,
};

static const char version[] = "1:";

char *kafka_commit_group(const char *transactional_id, const char *input)
{
	return mem_textf("%s.%s", transactional_id, input);
}

static void compress(struct buf *out, const char *text)
{
	size_t len = strlen(text), room = ZSTD_compressBound(len);
	_free_ char *packed = mem_alloc(room);
	size_t n = ZSTD_compress(packed, room, text, len, LEVEL);
	assert(!ZSTD_isError(n));
	base64_add(out, (struct view){ packed, n });
}

static void set_piece(rd_kafka_topic_partition_t *slot, struct view piece, int number, int of, uint64_t position)
{
	char *metadata = malloc(HEAD_ROOM + piece.len); /* librdkafka frees it, as it does not with strings of ours */
	assert(metadata);
	int head = snprintf(metadata, HEAD_ROOM, "%s%d/%d:", version, number, of);
	memcpy(metadata + head, piece.ptr, piece.len);
	free(slot->metadata);
	slot->metadata = metadata;
	slot->metadata_size = (size_t)head + piece.len;
	slot->offset = (int64_t)position;
}

int kafka_commit_pack(rd_kafka_topic_partition_list_t *slots, const char *text, uint64_t position)
{
	cleanup(buf_finish) struct buf all = { 0 };
	compress(&all, text);
	size_t pieces = (all.len + PIECE_BYTES - 1) / PIECE_BYTES;
	if (pieces > (size_t)slots->cnt || pieces > KAFKA_COMMIT_PIECES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < pieces; i++) {
		size_t at = i * PIECE_BYTES, len = all.len - at < PIECE_BYTES ? all.len - at : PIECE_BYTES;
		set_piece(&slots->elems[i], (struct view){ all.ptr + at, len }, (int)i + 1, (int)pieces, position);
	}
	while ((size_t)slots->cnt > pieces)
		(void)rd_kafka_topic_partition_list_del_by_idx(slots, slots->cnt - 1);
	return 0;
}

/* The number before `end` in the view, which moves on behind it. */
static bool take_number(struct view *at, char end, int64_t *ret)
{
	const char *stop = memchr(at->ptr, end, at->len);
	if (!stop || !units_parse_number((struct view){ at->ptr, (size_t)(stop - at->ptr) }, ret))
		return false;
	at->len -= (size_t)(stop + 1 - at->ptr);
	at->ptr = stop + 1;
	return true;
}

static bool take_piece(struct buf *all, const rd_kafka_topic_partition_t *slot, int64_t number, int64_t *of)
{
	struct view at = { slot->metadata, slot->metadata_size };
	int64_t format, mine, total;
	if (!at.len || !take_number(&at, ':', &format) || format != version[0] - '0' || !take_number(&at, '/', &mine) ||
		!take_number(&at, ':', &total) || mine != number || (*of && total != *of))
		return false;
	*of = total;
	buf_add_view(all, at);
	return true;
}

static char *decompress(struct view packed)
{
	unsigned long long len = ZSTD_getFrameContentSize(packed.ptr, packed.len);
	if (len == ZSTD_CONTENTSIZE_UNKNOWN || len == ZSTD_CONTENTSIZE_ERROR || len > TEXT_BYTES_MAX)
		return NULL;
	char *text = mem_alloc((size_t)len + 1);
	size_t n = ZSTD_decompress(text, (size_t)len, packed.ptr, packed.len);
	if (ZSTD_isError(n) || n != len || memchr(text, 0, n)) {
		free(text);
		return NULL;
	}
	text[n] = 0;
	return text;
}

int kafka_commit_unpack(const rd_kafka_topic_partition_list_t *slots, char **ret_text)
{
	cleanup(buf_finish) struct buf all = { 0 }, packed = { 0 };
	int64_t of = 0;
	*ret_text = NULL;
	for (int i = 0; i == 0 || i < of; i++) {
		if (i == slots->cnt || slots->elems[i].offset < 0)
			return 0;
		if (slots->elems[i].offset != slots->elems[0].offset || !take_piece(&all, &slots->elems[i], i + 1, &of))
			return -EBADMSG;
	}
	if (!base64_decode(&packed, buf_view(&all)))
		return -EBADMSG;
	*ret_text = decompress(buf_view(&packed));
	return *ret_text ? 0 : -EBADMSG;
}

static void say_nothing(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk, (void)level, (void)facility, (void)text;
}

int kafka_commit_read(rd_kafka_conf_t *conf, const char *group, rd_kafka_topic_partition_list_t *slots, struct err *err)
{
	char text[ERROR_ROOM];
	(void)rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
	(void)rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof text);
	/* What a dead predecessor's transaction holds is waited for. */
	(void)rd_kafka_conf_set(conf, "isolation.level", "read_committed", text, sizeof text);
	rd_kafka_conf_set_log_cb(conf, say_nothing); /* that it is a producer's configuration */
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		(void)err_set(err, "%s", text);
		return -EINVAL;
	}
	rd_kafka_resp_err_t e = rd_kafka_committed(rk, slots, READ_TIMEOUT_MS);
	for (int i = 0; !e && i < slots->cnt; i++)
		if (slots->elems[i].err && slots->elems[i].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			e = slots->elems[i].err;
	rd_kafka_destroy(rk);
	if (!e)
		return 0;
	(void)err_set(err, "what group %s has committed cannot be read: %s", group, rd_kafka_err2str(e));
	return -EAGAIN;
}

int kafka_commit_offsets(const struct commit_point *p, rd_kafka_topic_partition_list_t **ret_offsets,
	rd_kafka_consumer_group_metadata_t **ret_group)
{
	if (p->group_metadata) {
		rd_kafka_error_t *e = rd_kafka_consumer_group_metadata_read(ret_group, p->group_metadata, p->group_metadata_len);
		if (e) {
			rd_kafka_error_destroy(e);
			return -EBADMSG;
		}
	} else {
		*ret_group = rd_kafka_consumer_group_metadata_new(p->group);
	}
	*ret_offsets = rd_kafka_topic_partition_list_new((int)p->n_offsets);
	for (size_t i = 0; i < p->n_offsets; i++)
		rd_kafka_topic_partition_list_add(*ret_offsets, p->offsets[i].topic, p->offsets[i].partition)->offset =
			p->offsets[i].offset;
	return 0;
}
