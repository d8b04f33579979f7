/* SPDX-License-Identifier: ISC */
/* One box, from the keeper's side: cloned ahead, given one job, ended, removed.
 * Never used twice.
 * Runs as: root (the keeper). Reads no byte of what the program prints. */
#ifndef SANDPOOL_BOX_H
#define SANDPOOL_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "sandbox/filter.h"
#include "sandbox/group.h"
#include "sandbox/init.h"
#include "sandbox/mount.h"

/* What all boxes of a slot share; made once by its keeper. */
struct slot {
	unsigned index;
	uid_t first_uid; /* inner 0; the next one is the program's */
	struct group_slot groups;
	struct filter filter;
	int proc_fd, user_ns_fd;
	bool fresh_network, strict_speculation;
	uint64_t sequence; /* of its next group */
};

struct box {
	struct slot *slot;
	enum box_kind kind;
	struct run_group group;
	struct limits limits; /* in force: group and tmpfs */
	pid_t init_pid;
	int pid_fd, sock_fd, scratch_fd;
	int ahead_fd;     /* to the interpreter that waits in it; -1: none */
	int sockets_fd;   /* the keeper's; how many are in a network of its own; -1: none */
	bool ahead_ready; /* it said so */
	bool ready;  /* init said so */
	bool killed; /* box_kill() was called */
	uint64_t left_bytes; /* after its end: still in memory on its account */
};

/* Clones a box; it sets itself up while we do other things. */
int box_start(struct box *box, struct slot *slot, enum box_kind kind,
	      const struct limits *limits, struct error *err);

/* Waits until it is ready, at most timeout_ms. */
int box_await(struct box *box, int timeout_ms, struct error *err);

int box_set_limits(struct box *box, const struct limits *limits, struct error *err);

/* Hands the job and the descriptors over: the program starts. */
int box_give(struct box *box, const struct init_job *job, const int *fds, size_t fds_count,
	     struct error *err);
/* What init needs to collect after the end, right behind a job that asks for it. */
int box_give_collect(struct box *box, const struct init_job *job, const int *wire_fds,
		     struct error *err);

/* Starts an interpreter in it, before there is a program. */
int box_start_ahead(struct box *box, const struct init_job *job, int library_fd,
		    struct error *err);
/* Does it stand at the main file? Waits at most timeout_ms for it. */
bool box_ahead_ready(struct box *box, int timeout_ms);
/* As box_give(): the program goes to the interpreter. */
int box_give_ahead(struct box *box, const struct init_job *job, const int *fds,
		   struct error *err);
/* Behind the end: the errno for which it could not start the program, or 0. */
int box_ahead_failure(const struct box *box);

/* SIGKILL: to the program's processes alone, or to everything. */
void box_kill_program(struct box *box);
void box_kill(struct box *box);

/* After box_kill(): waits for init's death, at most timeout_ms; then removes the
 * group. 0 when nothing is left; -1: the slot must go into quarantine, and
 * box_finish() be called again later. The tmpfs stays open for BOX_KEEPS_TREE
 * (steal box->scratch_fd), else goes. */
int box_finish(struct box *box, int timeout_ms);

/* What every box of the slot inherits from its keeper: the host name, and the second
 * fence of limits. Once, at the keeper's start. */
int slot_set_once(struct error *err);

/* The slot's user namespace, by a child that lives a moment. */
int slot_make_user_namespace(struct slot *slot, struct error *err);

#endif
