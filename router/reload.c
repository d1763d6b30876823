/* SIGHUP: a new plan from the changed file, while inputs and lanes go on. Main's thread. */
#include "router/base/buf.h"
#include "router/base/log.h"
#include "router/pipeline_state.h"

/* The running plan gives way between two chunks; batches that were routed by it keep it until they are through. */
static void swap_plan(struct routing *routing, struct plan *plan)
{
	(void)pthread_mutex_lock(&routing->plan_mutex);
	struct plan *before = routing->plan;
	routing->plan = plan;
	(void)pthread_mutex_unlock(&routing->plan_mutex);
	plan_release(before);
}

void pipeline_reload(struct pipeline *p)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	struct plan *plan = NULL;
	struct buf changed = { 0 };
	struct err misfit = { 0 };
	int r = config_load(&config, p->config->path, &problems);
	if (r == 0)
		r = plan_create(&plan, config, &problems);
	if (r == 0) {
		plan->owned = config;
		r = plan_adopt(plan, p->routing.started, p->routing.plan, &misfit);
	} else {
		config_close(config);
	}
	problems_print(&problems);
	problems_finish(&problems);
	if (r == 0 && config_changes(p->config, config, &changed))
		log_line(LOG_WARN, NULL, "reload: these keys take a restart: %s", buf_text(&changed));
	if (misfit.text[0])
		log_line(LOG_ERROR, NULL, "reload: %s: that takes a restart", misfit.text);
	if (r == 0) {
		swap_plan(&p->routing, plan);
		log_line(LOG_INFO, NULL, "reloaded %s", p->config->path);
	} else {
		plan_release(plan);
		log_line(LOG_ERROR, NULL, "reload: %s is not taken over, all stays as it was", p->config->path);
	}
	buf_finish(&changed);
}
