/* SPDX-License-Identifier: ISC */
/* The way of a box's first process from its clone to its first message: a list
 * of named steps that one can read aloud, in order, with one marked line where
 * root ends.
 * Runs as: root, then user 0 of the box's user namespace. */
#ifndef SANDPOOL_SETUP_H
#define SANDPOOL_SETUP_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include "common/error.h"
#include "sandbox/filter.h"
#include "sandbox/group.h"
#include "sandbox/mount.h"

/* Everything the steps need; made by the keeper before the clone. */
struct setup {
	struct run_group *group;
	const struct filter *filter;
	int sock_fd;    /* to the keeper */
	int proc_fd;    /* the host's /proc */
	int user_ns_fd; /* the slot's user namespace */
	int scratch_fd; /* the box's detached tmpfs; -1: it is in the world already */
	enum box_kind kind;
	bool strict_speculation, fresh_network;
};

/* Never returns: ends in init_main(), or in init_fail() with the step's name. */
noreturn void setup_run(struct setup *setup);

/* The names of the steps in order, for tests; NULL behind the last. */
const char *setup_step_name(unsigned index);

#endif
