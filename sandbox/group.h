/* SPDX-License-Identifier: ISC */
/* The control group of one run: made, limited, read, killed and removed by plain
 * files below directories that were opened before. libcgroup's calls cost
 * milliseconds, so it makes only what lives long: see cgroup.h.
 * On v2 every run has a fresh group. On v1 a slot's groups serve one run after another:
 * there every counter can start anew, and to make and remove a group in each hierarchy is
 * a large part of what a run costs. One in which more than a little stays charged is
 * removed, because what a run leaves must not be the next one's.
 * Runs as: root (the keeper); group_join() in the box's child. */
#ifndef SANDPOOL_GROUP_H
#define SANDPOOL_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/job.h"

/* The hierarchies that hold our limits. On v2 all of them are the first. */
enum hierarchy { HIER_MEMORY, HIER_PIDS, HIER_CPU, HIER_CPUACCT, HIER_COUNT };

/* A slot's directories, opened once by its keeper. */
struct group_slot {
	bool v2;
	unsigned enforced;         /* bits of enum enforced: which limits there are */
	unsigned count;            /* of dir_fd: 1 on v2 */
	int dir_fd[HIER_COUNT];    /* distinct directories; v1 may join cpu and cpuacct */
	int of[HIER_COUNT];        /* which of them holds a hierarchy; -1: missing */
};

enum counter {
	COUNTER_PEAK,
	COUNTER_OOM,
	COUNTER_CPU,
	COUNTER_PIDS,
	COUNTER_ALIVE,   /* processes now */
	COUNTER_EVENTS,  /* v2: whether there is any */
	COUNTER_CHARGED, /* memory now */
	COUNTERS
};

struct run_group {
	const struct group_slot *slot;
	char name[24];
	bool whole;               /* made without a failure */
	bool killed;              /* v2: as a whole, and whoever is cloned into it after that */
	int dir_fd[HIER_COUNT];   /* by the slot's order */
	int tasks_fd[HIER_COUNT]; /* v1 */
	int counter_fd[COUNTERS]; /* -1: this kernel has it not */
	struct limits limits;     /* as written and read back */
	uint64_t cpu_period_us;   /* the same; v1 */
	uint64_t cpu_base_us;     /* used by earlier runs, and by our own set-up */
	uint64_t oom_base;        /* killed in earlier runs */
};
#define GROUP_INIT { .slot = NULL }

/* Makes and limits the group. -1 leaves nothing behind. */
int group_make(struct run_group *group, const struct group_slot *slot, uint64_t sequence,
	       const struct limits *limits, struct error *err);

/* So many boxes a slot has at most at a time: one that runs and two made ahead. Where
 * groups can serve again it has the groups for them from its start on. If they cannot be
 * made, the next box will say why. */
#define GROUPS_AT_ONCE 3
void group_fill_store(const struct group_slot *slot, unsigned wanted, uint64_t *sequence,
		      const struct limits *limits);

/* Changes the limits of a group that already runs, in the order in which none is
 * ever larger than it may be together with another, and reads them back. */
int group_limit(struct run_group *group, const struct limits *limits, struct error *err);

/* For clone3(CLONE_INTO_CGROUP) on v2; -1 on v1, where the child joins. */
int group_clone_fd(const struct run_group *group);
int group_join(struct run_group *group, struct error *err); /* in the child; no-op on v2 */

/* Starts the program's share of the CPU clock. */
void group_mark(struct run_group *group);

struct group_state {
	uint64_t cpu_us;
	uint64_t user_us, system_us; /* USAGE_UNKNOWN where the kernel does not tell */
	uint64_t memory_peak_bytes, processes_peak;
	bool oom;       /* something was killed for memory */
	bool oom_ours;  /* ... because this group's own limit was hit */
};
void group_read(const struct run_group *group, struct group_state *ret_state);
uint64_t group_cpu_us(const struct run_group *group);
bool group_oom(const struct run_group *group);
/* The most that it had at a time so far, without init; where the kernel does not tell,
 * those of now; 0: unknown. */
uint64_t group_processes(const struct run_group *group);

/* The memory that is its now; 0 where nobody counts it. */
uint64_t group_charged(const struct run_group *group);

/* SIGKILL to the others beside init, or to everything: then init was signalled already,
 * which on v1 is not done again. */
enum group_kill { KILL_OTHERS, KILL_ALL };
void group_kill(struct run_group *group, enum group_kill what, pid_t init_pid);

/* Keeps it for the next run or removes it, if it is empty; -1 with EBUSY while it is
 * not. */
int group_remove(struct run_group *group);

/* Kills and removes every group below dir_fd: what a crash left behind. 0 when
 * nothing is left. */
int group_sweep(int dir_fd);

#endif
