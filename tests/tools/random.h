#pragma once
/*
 * random -- small seeded randomness for property tests: round i of seed S is the only round of seed S + i, so that
 * `PROGRAM 1 SEED` replays what failed.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "router/base/units.h"

struct random {
	uint64_t seed, state;
};

struct random_run {
	uint64_t rounds, seed;
};

/* `PROGRAM [ROUNDS [SEED]]`; prints the seed. */
static inline struct random_run random_run_of(int argc, char **argv, uint64_t rounds)
{
	struct timespec now;
	int64_t number;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	struct random_run run = { rounds, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 };
	if (argc > 1 && units_parse_number(view_of(argv[1]), &number))
		run.rounds = (uint64_t)number;
	if (argc > 2 && units_parse_number(view_of(argv[2]), &number))
		run.seed = (uint64_t)number;
	printf("seed %" PRIu64 "\n", run.seed);
	return run;
}

static inline struct random random_round(const struct random_run *run, uint64_t i)
{
	return (struct random){ run->seed + i, (run->seed + i) * 0x9e3779b97f4a7c15u };
}

/* splitmix64 */
static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t random_below(struct random *r, uint64_t limit)
{
	return random_next(r) % limit;
}
