#pragma once
/*
 * plan -- what the router finds out about each line of a log, found out beforehand: the bare loops of `./dev bench` send the
 * router's very messages and batches by it, and neither decode nor classify. bench_plan writes it.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "classifiers/classifier.h"

/* A line of the log, in the plan's file. */
struct planned {
	uint32_t len;    /* without its newline */
	uint32_t key_at; /* of the auditID, in the line */
	uint16_t key_len, rule;
	uint32_t class_; /* enum audit_class */
};

/* A whole file, which is not empty, mapped; whatever goes wrong ends the program. */
static inline const void *plan_map(const char *path, size_t *ret_len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
		(void)fprintf(stderr, "%s cannot be read, or is empty\n", path);
		exit(1);
	}
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (bytes == MAP_FAILED) {
		(void)fprintf(stderr, "%s cannot be mapped\n", path);
		exit(1);
	}
	*ret_len = (size_t)st.st_size;
	return bytes;
}

/* The table that the router has by default; not loadable ends the program. */
static inline struct classifier *plan_classifier(void)
{
	struct problems problems = { 0 };
	struct classifier *classifier;
	if (classifier_load(&classifier, "gke", NULL, NULL, 0, &problems) < 0)
		exit(1);
	problems_finish(&problems);
	return classifier;
}
