#pragma once
/*
 * cross -- what is wrong between the keys of a configuration, rather than within one: classes that go nowhere, lanes that
 * would write one file, what each input and output says of itself.
 */
#include "config/config.h"

struct cross {
	struct settings_reader *reader;
	const struct node *root;
	const struct config *config;
	struct entry {
		const struct pair *pair;
		bool good; /* its own settings were read without a problem */
	} *inputs, *outputs; /* as many as the configuration has */
};

void cross_check(const struct cross *);
/* Of it, what cross_files.c sees to: files that two would write, or one reads that another writes. */
void cross_check_files(const struct cross *);
