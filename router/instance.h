#pragma once
/*
 * instance -- which router this is: a word that is drawn at the first start with a state_dir and kept there (STATE_DIR/instance), so
 * that brokers know it again. Another state_dir is another router.
 */
#include "router/base/err.h"

/* Reads it, or draws it and makes it durable. The caller frees. -errno with *err. */
int instance_of(const char *state_dir, char **ret_instance, struct err *);
