/*
 * Main's thread: starts everything, waits for news and signals, settles once a second, ends everything.
 */
#include "router/pipeline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "router/base/buf.h"
#include "router/base/cleanup.h"
#include "router/base/clock.h"
#include "router/base/io.h"
#include "router/base/log.h"
#include "router/commits.h"
#include "router/instance.h"
#include "router/lane/chunk.h"
#include "router/lane/dead_letters.h"
#include "router/pipeline_state.h"

enum {
	TICK_MS = 100,            /* of main's loop: progress, stuck lanes */
	SHARE_PART = 2,           /* lanes together may pin one half of memory_max; inputs always find the other */
	TROUBLE_ROOM = 512,
	LANE_FILES = 32,          /* descriptors that a lane may come to need: segments of its spool, connections */
};

/* ---- start ---- */

/* Wakes main, once until it looks. */
static void tell(struct pipeline *p)
{
	uint64_t one = 1;
	if (!atomic_exchange(&p->told, true))
		(void)!write(p->news_fd, &one, sizeof one);
}

static void news(void *context)
{
	tell(context);
}

static int take_signals(struct pipeline *p, struct err *err)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, &p->signals_before);
	(void)signal(SIGPIPE, SIG_IGN);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return p->signal_fd < 0 || p->news_fd < 0 ? err_set(err, "cannot take signals: %s", strerror(errno)) : 0;
}

/* The folder, and the lock on it: one process at a time. */
static int open_state(struct pipeline *p, struct err *err)
{
	int r = io_make_folders(p->config->state_dir, 0700);
	if (r < 0)
		return err_set(err, "state_dir %s: %s", p->config->state_dir, strerror(-r));
	return checkpoint_open(&p->checkpoint, p->config->state_dir, err);
}

static int open_dead_letters(struct pipeline *p, struct err *err)
{
	const struct config *c = p->config;
	_free_ char *folder = io_join(c->state_dir, "dead-letters");
	_free_ char *outputs = io_join(folder, "outputs");
	int r = dead_letters_open(&p->routing.broken, folder, "inputs", c->dead_letters_max, err);
	for (size_t i = 0; r == 0 && i < c->n_outputs; i++)
		r = dead_letters_open(&p->dead[i], outputs, c->outputs[i].name, c->dead_letters_max, err);
	return r;
}

/*
 * STATE_DIR/spool/OUTPUT/CLASS, or NULL where the lane has none: what may be dropped is not worth a disk, and what is delivered
 * exactly once is safe at its source.
 */
static char *spool_folder(const struct config *c, const struct plan_lane *lane)
{
	const struct config_output *output = lane->output;
	if (!output->common.spool_max || output->common.guarantee == BEST_EFFORT || output_exactly_once(output))
		return NULL;
	return mem_textf("%s/spool/%s/%s", c->state_dir, output->name, audit_class_lower(lane->class_));
}

/* What is held in memory alone is safe only once it is delivered: whose sender waits for that is not kept waiting for others. */
static bool is_prompt(const struct config *c, const struct plan_lane *lane, bool spools)
{
	bool asked = false;
	for (size_t i = 0; i < c->n_inputs; i++)
		asked = asked || c->inputs[i].ops->prompt;
	return asked && !spools && lane->output->common.guarantee != BEST_EFFORT && !output_exactly_once(lane->output);
}

/* The lanes of an exactly-once output have one queue, which the first of them leads. */
static void find_leaders(struct pipeline *p)
{
	const struct plan *plan = p->routing.plan;
	for (unsigned i = 0; i < plan->n_lanes; i++) {
		p->leaders[i] = i;
		for (unsigned k = 0; k < i && output_exactly_once(plan->lanes[i].output) && p->leaders[i] == i; k++)
			if (plan->lanes[k].output == plan->lanes[i].output)
				p->leaders[i] = k;
	}
}

/* Of the memory of all lanes: as much as all lanes that use its queue would have. */
static uint64_t share_of(const struct pipeline *p, unsigned number)
{
	const struct plan *plan = p->routing.plan;
	const struct config_output *output = plan->lanes[number].output;
	uint64_t queue = output->common.queue_bytes, lanes_max = p->config->memory_max / SHARE_PART, n = 0;
	for (unsigned i = 0; i < plan->n_lanes; i++)
		n += p->leaders[i] == p->leaders[number];
	uint64_t share = n * (queue ? queue : lanes_max / plan->n_lanes);
	/* A transaction may need more to come before it can end: it must never hold all the memory there is. */
	return output_exactly_once(output) && lanes_max && share > lanes_max ? lanes_max : share;
}

static int start_commits(struct pipeline *p, struct err *err)
{
	const struct config *c = p->config;
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->n_outputs; i++) {
		if (!output_exactly_once(&c->outputs[i]))
			continue;
		if (!p->instance)
			r = instance_of(c->state_dir, &p->instance, err);
		p->commits[i] = commits_create(p, &c->outputs[i]);
	}
	return r;
}

static int start_lanes(struct pipeline *p, struct err *err)
{
	const struct plan *plan = p->routing.plan;
	for (; p->n_lanes < plan->n_lanes; p->n_lanes++) {
		const struct plan_lane *lane = &plan->lanes[p->n_lanes];
		struct commits *commits = p->commits[lane->output - p->config->outputs];
		const unsigned leader = p->leaders[p->n_lanes];
		struct lane_options options = {
			.config = p->config,
			.output = lane->output,
			.class_ = lane->class_,
			.key = lane->key,
			.number = p->n_lanes,
			.share_bytes = share_of(p, p->n_lanes),
			.leader = leader == p->n_lanes ? NULL : p->lanes[leader],
			.commits = commits ? commits_host(commits) : NULL,
			.instance = p->instance,
			.budget = p->budget,
			.spool_total = &p->spool_total,
			.progress = p->progress,
			.spool_forgotten = resume_spool(p, lane),
			.dead_letters = p->dead[lane->output - p->config->outputs],
		};
		_free_ char *spool = spool_folder(p->config, lane);
		options.spool_folder = spool;
		options.prompt = is_prompt(p->config, lane, spool != NULL);
		struct err inner = { 0 };
		char why[ERR_TEXT_MAX];
		int r = lane_start(&p->lanes[p->n_lanes], &options, &inner);
		if (r < 0)
			return err_at(err, p->config->path, lane->output->line, lane->output->column, "output \"%s\": %s",
				lane->output->name, err_print(&inner, why, sizeof why)), r;
		if (commits && leader == p->n_lanes)
			commits_lane(commits, p->lanes[leader]);
	}
	return 0;
}

static void *run_input(void *context)
{
	struct pipeline_input *in = context;
	in->config->ops->run(in->input);
	feed_finish(in->feed);
	in->ended = true;
	tell(in->pipeline);
	return NULL;
}

static int start_input(struct pipeline *p, size_t i, struct err *err)
{
	struct pipeline_input *in = &p->inputs[i];
	in->pipeline = p;
	in->config = &p->config->inputs[i];
	int r = feed_create(&in->feed, &p->routing, in->config, p->n_lanes, news, p);
	if (r < 0)
		return err_set(err, "%s", strerror(-r));
	struct input_options options = {
		.config = p->config,
		.input = in->config,
		.budget = p->budget,
		.feed = in->feed,
		.once = p->once,
	};
	_free_ const char **lane_states = NULL;
	struct err inner = { 0 };
	char why[ERR_TEXT_MAX];
	r = resume_input(p, in, &options, &lane_states, &inner);
	in->synced = mem_zero(p->n_lanes, sizeof *in->synced);
	(void)ledger_positions(in->feed->ledger, in->synced);
	_free_ const char **outputs = mem_zero(p->n_lanes, sizeof *outputs);
	for (unsigned lane = 0; lane < p->n_lanes; lane++)
		outputs[lane] = lane_output(p->lanes[lane])->name;
	options.lane_outputs = outputs;
	if (r == 0)
		r = in->config->ops->open(&in->input, &options, &inner);
	if (r < 0)
		return err_at(err, p->config->path, in->config->line, in->config->column, "input \"%s\": %s",
			in->config->name, err_print(&inner, why, sizeof why));
	return 0;
}

static int start_threads(struct pipeline *p, struct err *err)
{
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		int r = pthread_create(&p->inputs[i].thread, NULL, run_input, &p->inputs[i]);
		if (r)
			return err_set(err, "cannot start a thread: %s", strerror(r));
		p->inputs[i].started = true;
	}
	return 0;
}

static int make_plan(struct pipeline *p, struct err *err)
{
	struct problems problems = { 0 };
	int r = plan_create(&p->routing.plan, p->config, &problems);
	if (r < 0 && problems.n)
		*err = problems.list[0].err;
	else
		problems_print(&problems); /* warnings: what a policy says and nobody will do */
	problems_finish(&problems);
	if (r == 0)
		p->routing.started = plan_hold(p->routing.plan);
	return r;
}

static int start(struct pipeline *p, struct err *err)
{
	const struct config *c = p->config;
	int r = make_plan(p, err);
	if (r < 0)
		return r;
	unsigned n = p->routing.plan->n_lanes;
	if (n > LEDGER_LANES_MAX)
		return err_set(err, "%u lanes (outputs times classes) are more than %d", n, LEDGER_LANES_MAX);
	p->dead = mem_zero(c->n_outputs, sizeof *p->dead);
	p->lanes = mem_zero(n, sizeof(struct lane *));
	p->leaders = mem_zero(n, sizeof *p->leaders);
	p->commits = mem_zero(c->n_outputs, sizeof(struct commits *));
	p->abandoned = mem_zero(n, sizeof *p->abandoned);
	p->inputs = mem_zero(c->n_inputs, sizeof *p->inputs);
	find_leaders(p);
	io_want_files((uint64_t)n * LANE_FILES);
	p->routing.lanes = p->lanes;
	p->routing.leaders = p->leaders;
	p->routing.n_lanes = n;
	p->routing.budget = p->budget;
	p->routing.once = p->once;
	p->routing.once_wait_ms = c->once_wait_ms;
	p->spool_total.bytes_max = c->spool_total;
	p->totals_before = mem_zero(n, sizeof *p->totals_before);
	r = take_signals(p, err);
	if (r == 0)
		r = open_state(p, err);
	if (r == 0)
		r = open_dead_letters(p, err);
	if (r == 0)
		r = start_commits(p, err);
	if (r == 0) {
		resume_begin(p);
		r = start_lanes(p, err);
	}
	if (r == 0)
		resume_totals(p);
	for (size_t i = 0; r == 0 && i < c->n_inputs; i++)
		r = start_input(p, i, err);
	if (r == 0)
		r = start_threads(p, err);
	p->running = r == 0;
	return r;
}

int pipeline_start(struct pipeline **ret_pipeline, const struct config *config, bool once, struct err *err)
{
	struct pipeline *p = mem_zero(1, sizeof *p);
	p->config = config;
	p->once = once;
	p->news_fd = p->signal_fd = -1;
	p->started_ms = clock_steady_ms();
	(void)pthread_mutex_init(&p->routing.plan_mutex, NULL);
	int r = budget_create(&p->budget, config->memory_max);
	if (r == 0)
		r = start(p, err);
	if (r < 0) {
		pipeline_end(p);
		return r;
	}
	*ret_pipeline = p;
	return 0;
}

/* ---- while it runs ---- */

/* Sleeps until news, a signal or the tick. True: SIGTERM or SIGINT came. SIGUSR1 and SIGHUP are served here. */
static bool wait_for_news(struct pipeline *p)
{
	struct pollfd fds[] = { { .fd = p->signal_fd, .events = POLLIN }, { .fd = p->news_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	uint64_t count;
	bool end = false;
	(void)poll(fds, 2, commits_wanted(p) ? SETTLE_PROMPT_MS : TICK_MS);
	(void)!read(p->news_fd, &count, sizeof count);
	atomic_store(&p->told, false); /* what is told from here on is seen by the next look, or wakes it */
	while (read(p->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGUSR1)
			accounts_print(p);
		else if (info.ssi_signo == SIGHUP)
			pipeline_reload(p);
		else
			end = true;
	}
	return end;
}

static bool inputs_ended(const struct pipeline *p)
{
	for (size_t i = 0; i < p->config->n_inputs; i++)
		if (!p->inputs[i].ended)
			return false;
	return true;
}

static bool lanes_idle(const struct pipeline *p)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		if (!p->abandoned[i] && !lane_idle(p->lanes[i]))
			return false;
	return true;
}

/* run --once: lanes with work that made no progress for once_wait are named and left; the others go on. */
static void abandon_stuck(struct pipeline *p)
{
	int64_t now = clock_steady_ms();
	for (unsigned i = 0; i < p->n_lanes; i++) {
		struct lane *l = p->lanes[i];
		char trouble[TROUBLE_ROOM];
		const struct config_output_common *common = &lane_output(l)->common;
		const bool spools = common->spool_max && common->guarantee != BEST_EFFORT;
		if (p->abandoned[i] || lane_idle(l) || now - lane_progress_ms(l) < p->config->once_wait_ms)
			continue;
		lane_trouble(l, trouble, sizeof trouble);
		log_line(LOG_ERROR, NULL, "%s made no progress for %lld s%s%s: what is left of it stays %s",
			lane_name(l), (long long)(p->config->once_wait_ms / 1000), *trouble ? ", " : "", trouble,
			spools ? "in its spool" : "at the source"); /* lane_wait stores what is in memory */
		p->abandoned[i] = true;
		p->wrong = true;
		lane_stop(l);
	}
}

static void finish_lanes(struct pipeline *p)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		lane_finish(p->lanes[i]);
}

static void stop_inputs(struct pipeline *p)
{
	p->routing.stopping = true;
	for (size_t i = 0; i < p->config->n_inputs; i++)
		if (p->inputs[i].input)
			p->inputs[i].config->ops->stop(p->inputs[i].input);
}

/* After a signal: what the lanes have is delivered within shutdown_wait; a second signal ends it at once. */
static void drain(struct pipeline *p)
{
	int64_t until = clock_steady_ms() + p->config->shutdown_wait_ms;
	stop_inputs(p);
	finish_lanes(p);
	while (!(inputs_ended(p) && lanes_idle(p)) && clock_steady_ms() < until && !p->failed) {
		if (wait_for_news(p))
			break;
		settle_prompt(p);
		settle_commits(p);
	}
	settle_all(p);
}

/* What the counters say: was anything dead-lettered, refused, unreadable or left? */
static enum pipeline_result result(const struct pipeline *p)
{
	bool wrong = p->wrong || p->failed;
	for (size_t i = 0; i < p->config->n_inputs; i++) {
		const struct feed_counters *c = &p->inputs[i].feed->counters;
		wrong = wrong || c->broken || c->troubles || c->gaps || c->left || p->inputs[i].feed->gave_up;
	}
	for (unsigned i = 0; i < p->n_lanes; i++) {
		const struct lane_counters c = lane_counters(p->lanes[i]);
		wrong = wrong || c.dead_events || lane_held(&c);
	}
	return wrong ? PIPELINE_WRONG : PIPELINE_DONE;
}

enum pipeline_result pipeline_run_once(struct pipeline *p)
{
	bool finishing = false, stopped = false;
	while (!stopped && !p->failed && !(finishing && lanes_idle(p))) {
		stopped = wait_for_news(p);
		if (!finishing && inputs_ended(p)) {
			finish_lanes(p);
			finishing = true;
		}
		settle_commits(p);
		settle_if_due(p);
		abandon_stuck(p);
		progress_show(p);
	}
	progress_clear(p);
	if (stopped) {
		drain(p);
		p->wrong = p->wrong || !inputs_ended(p) || !lanes_idle(p);
		return PIPELINE_WRONG;
	}
	settle_all(p);
	return result(p);
}

enum pipeline_result pipeline_run(struct pipeline *p)
{
	log_line(LOG_INFO, NULL, "audit-router %s runs %s: %zu inputs, %zu outputs, state in %s", AUDIT_ROUTER_VERSION, p->config->path,
		p->config->n_inputs, p->config->n_outputs, p->config->state_dir);
	while (!p->failed && !wait_for_news(p)) {
		settle_prompt(p);
		settle_commits(p);
		settle_if_due(p);
	}
	if (!p->failed)
		drain(p);
	return p->failed || !checkpoint_in_place(p->checkpoint) ? PIPELINE_WRONG : PIPELINE_DONE;
}

/* ---- end ---- */

/*
 * Ends all threads. What a lane still has goes to its spool where it has one, and then is settled once more: else a restart
 * would find it in the spool and at the source.
 */
static void stop_threads(struct pipeline *p)
{
	stop_inputs(p);
	budget_stop(p->budget);
	for (unsigned i = 0; i < p->n_lanes; i++)
		lane_stop(p->lanes[i]);
	for (size_t i = 0; i < p->config->n_inputs; i++)
		if (p->inputs[i].started)
			(void)pthread_join(p->inputs[i].thread, NULL);
	for (unsigned i = 0; i < p->n_lanes; i++)
		lane_wait(p->lanes[i]);
	if (p->running)
		settle_all(p);
}

void pipeline_end(struct pipeline *p)
{
	if (!p)
		return;
	if (p->inputs)
		stop_threads(p);
	for (size_t i = 0; p->inputs && i < p->config->n_inputs; i++)
		if (p->inputs[i].input)
			p->inputs[i].config->ops->close(p->inputs[i].input);
	for (unsigned i = 0; i < p->n_lanes; i++)
		lane_join(p->lanes[i]);
	for (size_t i = 0; p->inputs && i < p->config->n_inputs; i++) {
		feed_destroy(p->inputs[i].feed);
		free(p->inputs[i].synced);
	}
	for (size_t i = 0; p->dead && i < p->config->n_outputs; i++)
		dead_letters_close(p->dead[i]);
	dead_letters_close(p->routing.broken);
	resume_end(p);
	checkpoint_close(p->checkpoint);
	plan_release(p->routing.plan);
	plan_release(p->routing.started);
	budget_destroy(p->budget);
	(void)pthread_mutex_destroy(&p->routing.plan_mutex);
	if (p->signal_fd >= 0) {
		(void)close(p->signal_fd);
		(void)pthread_sigmask(SIG_SETMASK, &p->signals_before, NULL);
	}
	if (p->news_fd >= 0)
		(void)close(p->news_fd);
	for (size_t i = 0; p->commits && i < p->config->n_outputs; i++)
		commits_destroy(p->commits[i]);
	for (size_t i = 0; p->inputs && i < p->config->n_inputs; i++) {
		for (size_t k = 0; k < p->inputs[i].n_states; k++)
			free(p->inputs[i].states[k]);
		free(p->inputs[i].states);
	}
	free(p->commits);
	free(p->leaders);
	free(p->instance);
	free(p->abandoned);
	free(p->totals_before);
	free(p->lanes);
	free(p->dead);
	free(p->inputs);
	free(p);
}
