#include "tests/unit/lane_rig.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/lane/batch.h"
#include "router/lane/chunk.h"
#include "tests/unit/stub_sink.h"

struct play play;

static struct batch *late; /* taken all at once, without outcomes yet */

static uint32_t put(struct sink *sink, struct batch *b, uint32_t first)
{
	uint32_t n = b->n - first;
	(void)sink;
	if (play.blocked)
		return 0;
	if (play.stop_at && play.taken >= play.stop_at) {
		play.stopped = true;
		return 0;
	}
	if (late)
		return 0;
	if (play.late) {
		assert_int_equal(first, 0);
		late = b;
		play.taken += n;
		return n;
	}
	(void)poll(NULL, 0, play.pause_ms);
	if (n > play.at_once)
		n = play.at_once;
	for (uint32_t i = first, end = first + n; i < end; i++) {
		play.order[play.taken % sizeof play.order] = b->records[i].bytes.ptr[0];
		play.numbers[play.taken % sizeof play.order] = b->first_seq + i;
		play.taken++;
		if (play.refuse)
			batch_refused(b, i, "test", "refused by the test");
		else
			batch_delivered(b, i, 1);
	}
	return n;
}

static void flush_sink(struct sink *sink)
{
	(void)sink;
	play.flushed++;
}

static void wait_sink(struct sink *sink, int timeout_ms)
{
	if (late && !play.late) {
		struct batch *b = late;
		late = NULL;
		batch_delivered(b, 0, b->n);
	}
	play.wait_ms = timeout_ms;
	play.waits++;
	stub_sink_wait(sink, timeout_ms > 5 && !play.sleeps ? 5 : timeout_ms);
}

static const struct output_ops ops = {
	.name = "test",
	.describe = stub_sink_describe,
	.open = stub_sink_open,
	.put = put,
	.flush = flush_sink,
	.wait = wait_sink,
	.close = stub_sink_close,
};

void rig_start(struct rig *r, uint64_t share)
{
	struct err err;
	struct lane_options options = {
		.config = &r->config,
		.output = &r->output,
		.class_ = ADMIN_READ,
		.share_bytes = share,
		.budget = r->budget,
		.dead_letters = r->dead,
		.spool_folder = r->output.common.spool_max ? r->spool : NULL,
	};
	assert_int_equal(lane_start(&r->lane, &options, &err), 0);
}

void rig_setup_spool(struct rig *r, uint64_t share, int guarantee, uint64_t spool_max)
{
	struct err err;
	memset(r, 0, sizeof *r);
	r->next_seq = 100;
	play.blocked = play.refuse = play.sleeps = play.late = false;
	play.at_once = UINT32_MAX;
	play.taken = play.flushed = 0;
	play.pause_ms = 0;
	play.stop_at = 0;
	play.stopped = false;
	late = NULL;
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/audit-router-lane-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->output = (struct config_output){ .name = (char *)"out", .ops = &ops };
	r->output.common.guarantee = guarantee;
	r->output.common.spool_max = spool_max;
	r->output.common.spool_after_ms = 10;
	(void)snprintf(r->spool, sizeof r->spool, "%s/spool", r->folder);
	assert_int_equal(budget_create(&r->budget, 1 << 20), 0);
	assert_int_equal(dead_letters_open(&r->dead, r->folder, "out", 1 << 20, &err), 0);
	assert_int_equal(ledger_create(&r->ledger, 1, NULL, NULL), 0);
	rig_start(r, share);
}

void rig_setup(struct rig *r, uint64_t share, int guarantee)
{
	rig_setup_spool(r, share, guarantee, 0);
}

void rig_teardown(struct rig *r)
{
	lane_stop(r->lane);
	lane_join(r->lane);
	ledger_destroy(r->ledger);
	dead_letters_close(r->dead);
	assert_int_equal(budget_used(r->budget), 0);
	budget_destroy(r->budget);
	char *command = mem_textf("rm -r %s", r->folder);
	assert_int_equal(system(command), 0);
	free(command);
}

/* A batch of records that each are one character of `text`, in a span of its own, with a chunk of 100 bytes behind it. */
int rig_push(struct rig *r, const char *text)
{
	return rig_push_misfit(r, text, NULL);
}

int rig_push_misfit(struct rig *r, const char *text, const char *misfit)
{
	uint64_t seq = 0;
	struct chunk *c;
	assert_int_equal(chunk_create(&c, r->budget, 100), 0);
	c->len = strlen(text);
	memcpy(c->bytes, text, c->len);
	struct batch *b = batch_create(r->budget, c);
	for (size_t i = 0; i < c->len; i++) {
		struct record *record = batch_add(b);
		record->bytes = (struct view){ c->bytes + i, 1 };
		record->end = r->ends ? r->ends[i] : 0;
	}
	b->bytes = c->len;
	b->first_seq = r->next_seq;
	r->next_seq += c->len;
	if (misfit) {
		memcpy(c->bytes + c->len, misfit, strlen(misfit));
		batch_add_misfit(b, (struct view){ c->bytes + c->len, strlen(misfit) });
		c->len += strlen(misfit);
		b->bytes = c->len;
	}
	struct span *s = ledger_open(r->ledger, &seq);
	b->span = s;
	b->start = ledger_positions(r->ledger, NULL);
	b->input = "in";
	b->cluster = "";
	ledger_join(s, 0);
	chunk_release(c);
	uint64_t end = ledger_positions(r->ledger, NULL) + 1000;
	int result = lane_push(r->lane, b, &r->patience);
	ledger_commit(s, end, &seq);
	return result;
}

void rig_wait(bool (*done)(struct rig *), struct rig *r)
{
	for (int i = 0; i < 120000 && !done(r); i++) {
		int e = r->main_away ? 0 : lane_sync(r->lane);
		assert_true(e == 0 || e == -EFBIG); /* where a test lets files grow no further: main tries again, too */
		(void)poll(NULL, 0, 1);
	}
	assert_true(done(r));
}

bool rig_idle(struct rig *r)
{
	return lane_idle(r->lane) && ledger_idle(r->ledger);
}

bool rig_settled(struct rig *r)
{
	return ledger_idle(r->ledger);
}

bool rig_full(struct rig *r)
{
	char trouble[256];
	lane_trouble(r->lane, trouble, sizeof trouble);
	return strstr(trouble, "the spool takes no more") != NULL;
}
