#include "router/input/webhook_intake.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "router/base/buf.h"
#include "router/base/units.h"

enum { UNPACKED_BYTES = 64 * 1024, TORN_END_ROOM = 96 };

/* ---- the head ---- */

static bool same_token(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned char difference = a_len != b_len;
	for (size_t i = 0; i < a_len; i++)
		difference |= (unsigned char)(a[i] ^ (b_len ? b[i % b_len] : 1));
	return !difference;
}

/* Is it the bearer token that is asked for? In a time that does not tell how much of it was right. */
static bool has_token(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer ";
	if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
		return false;
	authorization += sizeof scheme - 1;
	authorization += strspn(authorization, " ");
	return *token && same_token(authorization, strlen(authorization), token, strlen(token));
}

/* Content-Length; 0: none, or no number. */
static uint64_t content_length(const struct intake_head *head)
{
	int64_t n;
	return head->length && units_parse_number(view_of(head->length), &n) && n > 0 ? (uint64_t)n : 0;
}

static bool is_packed(const struct intake_head *head)
{
	return head->encoding && strcasecmp(head->encoding, "gzip") == 0;
}

unsigned intake_judge(const struct intake_head *head, const char *token, uint64_t max_body)
{
	if (!head->known)
		return MHD_HTTP_FORBIDDEN;
	if (token && !has_token(head->authorization, token))
		return MHD_HTTP_UNAUTHORIZED;
	if (strcmp(head->method, MHD_HTTP_METHOD_POST) != 0)
		return MHD_HTTP_METHOD_NOT_ALLOWED;
	if (content_length(head) > max_body)
		return MHD_HTTP_CONTENT_TOO_LARGE;
	if (head->encoding && strcasecmp(head->encoding, "identity") != 0 && !is_packed(head))
		return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
	return 0;
}

/* ---- the body ---- */

void intake_init(struct webhook_intake *in, const struct intake_head *head, uint64_t max_body, const struct body_options *options)
{
	struct body_options own = *options;
	*in = (struct webhook_intake){ .max_body = max_body };
	own.expected = is_packed(head) ? 0 : content_length(head);
	body_init(&in->body, &own);
	if (!is_packed(head))
		return;
	in->gzip = mem_zero(1, sizeof *in->gzip);
	int r = inflateInit2(in->gzip, 16 + MAX_WBITS);
	assert(r == Z_OK); /* it can only run out of memory */
}

void intake_finish(struct webhook_intake *in)
{
	body_finish(&in->body);
	if (in->gzip) {
		(void)inflateEnd(in->gzip);
		free(in->gzip);
		in->gzip = NULL;
	}
}

size_t intake_slice(const struct webhook_intake *in, size_t len)
{
	return in->gzip && len > INTAKE_SLICE_BYTES ? INTAKE_SLICE_BYTES : len;
}

static unsigned add(struct webhook_intake *in, struct view bytes)
{
	in->unpacked += bytes.len;
	if (in->unpacked > in->max_body)
		return MHD_HTTP_CONTENT_TOO_LARGE;
	return body_add(&in->body, bytes) < 0 ? MHD_HTTP_TOO_MANY_REQUESTS : 0;
}

/* What came before ends here; `line` stands for the rest. */
static unsigned end_torn(struct webhook_intake *in, struct view line)
{
	in->torn = true;
	if (body_end(&in->body) < 0)
		return MHD_HTTP_TOO_MANY_REQUESTS;
	return body_add(&in->body, line) < 0 ? MHD_HTTP_TOO_MANY_REQUESTS : 0;
}

/* What cannot be unpacked, with its newlines flattened: one line behind the one in hand. */
static unsigned tear(struct webhook_intake *in, struct view left)
{
	char bytes[INTAKE_SLICE_BYTES];
	size_t len = left.len < sizeof bytes ? left.len : sizeof bytes;
	memcpy(bytes, left.ptr, len);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] == '\n' || bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\r')
			bytes[i] = '?';
	bytes[0] = '?'; /* whatever it was, and where nothing is left too: no value begins here */
	return end_torn(in, (struct view){ bytes, len ? len : 1 });
}

static unsigned unpack(struct webhook_intake *in, struct view packed)
{
	unsigned char out[UNPACKED_BYTES];
	z_stream *z = in->gzip;
	unsigned status = 0;
	z->next_in = (unsigned char *)(uintptr_t)packed.ptr;
	z->avail_in = (unsigned)packed.len;
	do {
		if (in->gzip_ended && z->avail_in && inflateReset(z) == Z_OK) /* another member */
			in->gzip_ended = false;
		z->next_out = out;
		z->avail_out = sizeof out;
		int result = inflate(z, Z_NO_FLUSH);
		if (z->avail_out < sizeof out)
			status = add(in, (struct view){ (char *)out, sizeof out - z->avail_out });
		if (!status && result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
			return tear(in, in->unpacked ? (struct view){ (const char *)z->next_in, z->avail_in } : packed);
		in->gzip_ended = result == Z_STREAM_END;
	} while (!status && (in->gzip_ended ? z->avail_in > 0 : z->avail_out == 0));
	return status;
}

unsigned intake_add(struct webhook_intake *in, struct view slice)
{
	in->received += slice.len;
	if (in->received > in->max_body) /* packed bytes may come to nothing, for ever */
		return MHD_HTTP_CONTENT_TOO_LARGE;
	if (in->torn || !slice.len)
		return 0;
	return in->gzip ? unpack(in, slice) : add(in, slice);
}

/* The packed bytes end before they say so: what is missing shows nowhere else where the cut is between two lines. */
static unsigned tear_end(struct webhook_intake *in)
{
	char line[TORN_END_ROOM]; /* numbers tell it from that of another body, which would be no copy */
	int len = snprintf(line, sizeof line, "? gzip without its end: %llu bytes, %llu unpacked", (unsigned long long)in->received,
		(unsigned long long)in->unpacked);
	return end_torn(in, (struct view){ line, (size_t)len });
}

unsigned intake_end(struct webhook_intake *in)
{
	unsigned status = in->gzip && in->received && !in->gzip_ended && !in->torn ? tear_end(in) : 0;
	if (status)
		return status;
	if (body_end(&in->body) < 0)
		return MHD_HTTP_TOO_MANY_REQUESTS;
	return in->body.lines || in->body.lists ? 0 : MHD_HTTP_BAD_REQUEST;
}
