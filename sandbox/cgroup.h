/* SPDX-License-Identifier: ISC */
/* The control groups that live as long as the daemon: our parent group with the
 * bounds of all boxes together, and one group a slot. Made, limited and removed
 * by libcgroup, which only this file knows.
 * Runs as: root (the master). */
#ifndef SANDPOOL_CGROUP_H
#define SANDPOOL_CGROUP_H

#include <stdint.h>

#include "common/error.h"
#include "common/wire.h"
#include "sandbox/group.h"

struct cgroup_request {
	const char *parent;         /* a name below the group that we were started in */
	const char *mode;           /* "auto", "v1" or "v2" */
	char *const *allow_missing; /* controllers that may be missing: memory pids cpu */
	uint64_t memory_bytes;      /* for all boxes together */
	uint64_t processes;
};

struct cgroup_tree;

/* Finds the hierarchies, moves the daemon into a group of its own where v2
 * demands it, kills and removes what an earlier daemon left in our parent group,
 * and makes that anew. NULL with one clear line when something is missing. */
struct cgroup_tree *cgroup_tree_open(const struct cgroup_request *request, struct error *err);

/* Makes a slot's group and opens its directories. */
int cgroup_tree_slot(struct cgroup_tree *tree, unsigned slot, struct group_slot *ret_slot,
		     struct error *err);

enum cgroup_mode cgroup_tree_mode(const struct cgroup_tree *tree);
unsigned cgroup_tree_enforced(const struct cgroup_tree *tree); /* bits of enum enforced */

/* Kills and removes what lies below a slot's group. 0 when nothing is left. */
int cgroup_tree_sweep_slot(struct cgroup_tree *tree, unsigned slot);

/* Removes everything that was made. */
void cgroup_tree_close(struct cgroup_tree *tree);

/* What the host has, for "sandpool check": fills text with one line. */
int cgroup_describe(char *text, size_t size, struct error *err);

#endif
