/* SPDX-License-Identifier: ISC */
/* The master's state, and the rooms that it is divided into: how it starts
 * (start.c), its keepers (herd.c), and which of them serves which image
 * (classes.c). sandboxd.c is the program and its loop.
 * Runs as: root. */
#ifndef SANDPOOL_MASTER_H
#define SANDPOOL_MASTER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "sandbox/cache.h"
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/generation.h"
#include "sandbox/shared.h"

#define SLOTS_MAX 1024 /* as the settings allow */

struct keeper_process {
	pid_t pid; /* 0: none */
	int command_fd;
	int cache_fd; /* our end; -1: no cache */
	unsigned wanted; /* the image that it was told to serve */
	unsigned generation;
	uint64_t started_ms, due_ms, delay_ms;
};

struct master {
	const char *conf_path;
	struct generation *now;
	struct cgroup_tree *cgroups;
	struct filter_layers filter;
	struct shared *shared;
	struct cache *cache;       /* NULL: none */
	int ahead_fd;              /* the library; -1: no interpreters ahead */
	struct group_slot *groups; /* by slot */
	struct keeper_process *keepers;
	unsigned slots;
	unsigned next_image; /* whose turn it is when a keeper is to be brought over */
	int signal_fd, control_fd, lock_fd;
	bool announced; /* some box has worked, and the manager knows */
	bool hopeless;  /* none ever did */
	bool stopping, killing;
	uint64_t stop_ms;
};

/* ---- start.c ---- */

/* Rids us of what the starter left behind: descriptors, limits, signals,
 * environment. */
int start_sanitise(struct error *err);

/* Every named step from the configuration to the open sockets. */
int start_all(struct master *m, struct error *err);
void start_undo(struct master *m);

/* ---- herd.c ---- */

/* Starts the keepers that are missing; the time until the next attempt in
 * milliseconds, -1: nothing to do. */
int herd_keep_alive(struct master *m);
void herd_reap(struct master *m);
bool herd_all_gone(const struct master *m);
void herd_serve(struct master *m, unsigned slot, unsigned image); /* one: another image */
void herd_quit(struct master *m, unsigned generation); /* all of it, each after its run */
void herd_kill(struct master *m);

/* ---- classes.c ---- */

/* Fills p with the sockets of images that nobody serves, or too few, says which image each is;
 * returns how many. ret_again: there are more, look again soon. */
unsigned classes_watch(const struct master *m, struct pollfd *p, unsigned *ret_of,
		       bool *ret_again);
void classes_assign(struct master *m, unsigned image); /* brings a keeper over */

/* Evens out who serves what; true: look again soon. */
bool classes_balance(struct master *m);

#endif
