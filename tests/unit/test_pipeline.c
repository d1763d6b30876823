/* The pipeline with inputs and outputs of the test's own: what is settled when one lane cannot be made durable. */
#include "tests/unit/cm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "config/config.h"
#include "router/base/buf.h"
#include "router/input/input.h"
#include "router/lane/checkpoint.h"
#include "router/lane/chunk.h"
#include "router/lane/seq.h"
#include "router/pipeline.h"
#include "tests/unit/stub_sink.h"

#define READ "{\"stage\":\"ResponseComplete\",\"verb\":\"list\",\"objectRef\":{\"resource\":\"pods\"}}\n"
#define CREATE "{\"stage\":\"ResponseComplete\",\"verb\":\"create\",\"objectRef\":{\"resource\":\"pods\"}}\n"

enum { READS, BOTH, N_INPUTS };
enum { GOOD, BAD, N_OUTPUTS };

static struct {
	_Atomic uint64_t settled[N_INPUTS];
	_Atomic uint64_t delivered;
	_Atomic bool fails; /* BAD can no more be made durable */
	_Atomic uint64_t first_seq; /* of the last batch */
	bool until_signal;
} play;

/* ---- the outputs ---- */

static uint32_t put(struct sink *sink, struct batch *b, uint32_t first)
{
	uint32_t n = b->n - first;
	(void)sink;
	play.first_seq = b->first_seq;
	batch_delivered(b, first, n);
	play.delivered += n;
	return n;
}

static int sync_sink(struct sink *sink)
{
	return play.fails && strcmp(sink->output->name, "bad") == 0 ? -EIO : 0;
}

static const struct output_ops sinks = {
	.name = "test",
	.describe = stub_sink_describe,
	.open = stub_sink_open,
	.put = put,
	.wait = stub_sink_wait,
	.sync = sync_sink,
	.close = stub_sink_close,
};

/* ---- the inputs ---- */

struct input {
	struct input_options options;
	unsigned number;
	uint64_t position;
};

static int open_input(struct input **ret_input, const struct input_options *options, struct err *err)
{
	(void)err;
	*ret_input = mem_zero(1, sizeof **ret_input);
	(*ret_input)->options = *options;
	(*ret_input)->number = (unsigned)(options->input - options->config->inputs);
	return 0;
}

static void feed(struct input *input, const char *text)
{
	struct chunk *c;
	const struct feed_origin origin = { .file = "f", .first_line = 1 };
	assert_int_equal(chunk_create(&c, input->options.budget, strlen(text)), 0);
	c->len = strlen(text);
	memcpy(c->bytes, text, c->len);
	input->position += c->len;
	assert_int_equal(feed_chunk(input->options.feed, c, (struct view){ c->bytes, c->len }, input->position, &origin), 1);
	chunk_release(c);
}

static bool in_time(bool (*done)(void))
{
	for (int i = 0; i < 120000 && !done(); i++)
		(void)poll(NULL, 0, 1);
	return done();
}

static bool first_is_settled(void)
{
	return play.settled[READS] == strlen(READ) && play.settled[BOTH] == strlen(CREATE);
}

static bool second_is_settled(void)
{
	return play.settled[READS] == 2 * strlen(READ) && play.delivered == 5;
}

static bool has_failed(void)
{
	return play.fails;
}

static void run_reads(struct input *input)
{
	feed(input, READ);
	assert_true(in_time(has_failed));
	feed(input, READ);
}

static void run_both(struct input *input)
{
	feed(input, CREATE);
	assert_true(in_time(first_is_settled));
	play.fails = true;
	feed(input, CREATE);
	feed(input, READ);
	assert_true(in_time(second_is_settled));
	if (play.until_signal)
		assert_int_equal(kill(getpid(), SIGTERM), 0);
}

static void run(struct input *input)
{
	if (input->number == READS)
		run_reads(input);
	else
		run_both(input);
}

static void stop(struct input *input)
{
	(void)input;
}

static void settled(struct input *input, uint64_t position)
{
	assert_true(position > play.settled[input->number]);
	play.settled[input->number] = position;
}

static char *state(struct input *input, uint64_t position, int lane)
{
	(void)input, (void)lane;
	return mem_textf("{\"at\":%llu}", (unsigned long long)position);
}

static void close_input(struct input *input)
{
	free(input);
}

/* As it is, or prompt: somebody waits for the answer of each event. */
#define INPUT(kind, is_prompt) { \
	.name = (kind), \
	.prompt = (is_prompt), \
	.open = open_input, \
	.run = run, \
	.stop = stop, \
	.settled = settled, \
	.state = state, \
	.close = close_input, \
}
static const struct input_ops plain = INPUT("plain", false), prompt = INPUT("prompt", true);

static void run_twice(struct input *input)
{
	feed(input, READ);
	feed(input, READ);
}

static const struct input_ops anew = {
	.name = "anew",
	.epochs = true,
	.open = open_input,
	.run = run_twice,
	.stop = stop,
	.close = close_input,
};

/* ---- the tests ---- */

static const struct checkpoint_lane *find_lane(const struct checkpoint_input *input, const char *output)
{
	for (size_t i = 0; i < input->n_lanes; i++)
		if (strcmp(input->lanes[i].output, output) == 0)
			return &input->lanes[i];
	fail();
	return NULL;
}

static void assert_checkpoint(const char *folder)
{
	struct checkpoint *c;
	struct err err;
	assert_int_equal(checkpoint_open(&c, folder, &err), 0);
	const struct checkpoint_input *in = checkpoint_find_input(c, "both");
	assert_int_equal(in->position, strlen(CREATE));
	assert_int_equal(find_lane(in, "bad")->position, strlen(CREATE));
	assert_int_equal(find_lane(in, "bad")->seq, 1);
	assert_int_equal(find_lane(in, "good")->position, 2 * strlen(CREATE) + strlen(READ));
	assert_int_equal(find_lane(in, "good")->seq, 1);
	in = checkpoint_find_input(c, "reads");
	assert_int_equal(in->position, 2 * strlen(READ));
	assert_int_equal(find_lane(in, "bad")->position, 2 * strlen(READ));
	checkpoint_close(c);
}

static void run_with(const struct input_ops *ops, bool until_signal)
{
	char folder[] = "/tmp/audit-router-pipeline-XXXXXX";
	struct pipeline *p;
	struct err err;
	assert_non_null(mkdtemp(folder));
	struct config_input inputs[N_INPUTS] = { { .name = (char *)"reads", .ops = ops }, { .name = (char *)"both", .ops = ops } };
	struct config_output outputs[N_OUTPUTS] = {
		{ .name = (char *)"good", .ops = &sinks, .common = { .classes = 1u << ADMIN_READ, .classes_said = true } },
		{ .name = (char *)"bad", .ops = &sinks, .common = { .classes = 1u << ADMIN_ACTIVITY, .classes_said = true } },
	};
	const struct config config = {
		.state_dir = folder,
		.memory_max = 1 << 20,
		.dead_letters_max = 1 << 20,
		.once_wait_ms = 10000,
		.shutdown_wait_ms = 200,
		.classifier = { .name = (char *)"gke" },
		.inputs = inputs,
		.n_inputs = N_INPUTS,
		.outputs = outputs,
		.n_outputs = N_OUTPUTS,
	};
	play.settled[READS] = play.settled[BOTH] = play.delivered = 0;
	play.fails = false;
	play.until_signal = until_signal;
	assert_int_equal(pipeline_start(&p, &config, !until_signal, &err), 0);
	if (until_signal)
		(void)pipeline_run(p);
	else
		assert_int_equal(pipeline_run_once(p), PIPELINE_WRONG); /* not all is safe */
	pipeline_end(p);
	assert_int_equal(play.settled[READS], 2 * strlen(READ));
	assert_int_equal(play.settled[BOTH], strlen(CREATE));
	assert_checkpoint(folder);
	char *command = mem_textf("rm -r %s", folder);
	assert_int_equal(system(command), 0);
	free(command);
}

static void a_lane_that_cannot_be_synced_holds_what_depends_on_it(void **state)
{
	(void)state;
	run_with(&plain, false);
}

static void it_holds_no_other_answers(void **state)
{
	(void)state;
	run_with(&prompt, true);
}

/* One input, one output, and a folder for the state that outlives a run. */
struct once {
	char folder[64];
	struct config_input input;
	struct config_output output;
	struct config config;
};

static void once_init(struct once *o, const struct input_ops *input)
{
	*o = (struct once){
		.folder = "/tmp/audit-router-pipeline-XXXXXX",
		.input = { .name = (char *)"in", .ops = input },
		.output = { .name = (char *)"good", .ops = &sinks },
	};
	assert_non_null(mkdtemp(o->folder));
	o->config = (struct config){
		.state_dir = o->folder,
		.memory_max = 1 << 20,
		.dead_letters_max = 1 << 20,
		.once_wait_ms = 10000,
		.classifier = { .name = (char *)"gke" },
		.inputs = &o->input,
		.n_inputs = 1,
		.outputs = &o->output,
		.n_outputs = 1,
	};
}

static void once_run(struct once *o)
{
	struct pipeline *p;
	struct err err;
	assert_int_equal(pipeline_start(&p, &o->config, true, &err), 0);
	assert_int_equal(pipeline_run_once(p), PIPELINE_DONE);
	pipeline_end(p);
}

static void once_finish(struct once *o)
{
	char *command = mem_textf("rm -r %s", o->folder);
	assert_int_equal(system(command), 0);
	free(command);
}

/* Though all start within one second. */
static void each_start_has_a_later_epoch(void **state)
{
	struct once o;
	(void)state;
	once_init(&o, &anew);
	uint64_t last = seq_first(SEQ_EPOCH_MIN);
	for (int i = 0; i < 3; i++) {
		once_run(&o);
		assert_true(seq_epoch(play.first_seq) > seq_epoch(last));
		assert_int_equal(seq_number(play.first_seq), 1); /* the second event's */
		last = play.first_seq;
	}
	once_finish(&o);
}

/* ---- a second start ---- */

static struct {
	bool quiet; /* it has nothing to read */
	uint64_t position;
	char state[32];
} resumed;

static int open_again(struct input **ret_input, const struct input_options *options, struct err *err)
{
	resumed.position = options->position;
	(void)snprintf(resumed.state, sizeof resumed.state, "%s", options->state ? options->state : "");
	int r = open_input(ret_input, options, err);
	(*ret_input)->position = options->position;
	play.settled[0] = options->position;
	return r;
}

static void run_or_not(struct input *input)
{
	if (!resumed.quiet)
		run_twice(input);
}

static const struct input_ops resuming = {
	.name = "resuming",
	.open = open_again,
	.run = run_or_not,
	.stop = stop,
	.settled = settled,
	.state = state,
	.close = close_input,
};

static void assert_sums(const char *folder, uint64_t events)
{
	struct checkpoint *c;
	struct err err;
	assert_int_equal(checkpoint_open(&c, folder, &err), 0);
	const struct checkpoint_totals sums = checkpoint_find_totals(c, "good", "ADMIN_READ");
	assert_int_equal(sums.received, events);
	assert_int_equal(sums.delivered, events);
	assert_int_equal(sums.dropped, 0);
	assert_int_equal(sums.dead, 0);
	checkpoint_close(c);
}

/* Positions, the input's own state, sequence numbers and sums; what is settled is not told anew. */
static void a_start_goes_on_where_the_last_one_ended(void **state)
{
	struct once o;
	(void)state;
	once_init(&o, &resuming);
	for (uint64_t run = 0, had = 0; run < 4; run++) {
		char known[32] = "";
		if (run)
			(void)snprintf(known, sizeof known, "{\"at\":%zu}", (size_t)had * strlen(READ));
		resumed.quiet = run == 1;
		once_run(&o);
		assert_int_equal(resumed.position, had * strlen(READ));
		assert_string_equal(resumed.state, known);
		had += resumed.quiet ? 0 : 2;
		assert_int_equal(play.settled[0], had * strlen(READ));
		assert_int_equal(play.first_seq, had - 1); /* the last event's */
		assert_sums(o.folder, had);
	}
	once_finish(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_that_cannot_be_synced_holds_what_depends_on_it),
		cmocka_unit_test(it_holds_no_other_answers),
		cmocka_unit_test(each_start_has_a_later_epoch),
		cmocka_unit_test(a_start_goes_on_where_the_last_one_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
