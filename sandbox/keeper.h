/* SPDX-License-Identifier: ISC */
/* The keeper of one slot: a small process that holds one warm box, takes a
 * connection from the listening socket of its image class, runs the stages that
 * are asked for, one box each, and cleans up behind them.
 * Runs as: root, in a mount namespace of a handful of mounts. */
#ifndef SANDPOOL_KEEPER_H
#define SANDPOOL_KEEPER_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include "common/settings.h"
#include "sandbox/box.h"
#include "sandbox/image.h"
#include "sandbox/peer.h"
#include "sandbox/shared.h"

struct keeper_config {
	const struct settings *settings;
	const struct image_set *images;
	const int *listen_fds; /* by image */
	struct peer_policy policy;
	struct filter outer_filter; /* for itself; empty: none */
	struct filter filter;	     /* for its boxes */
	struct group_slot groups;
	struct shared *shared;
	unsigned slot;
	unsigned image;   /* which to serve first */
	int command_fd;   /* from the master */
	int ahead_fd;     /* the library for interpreters ahead; -1: there are none */
	int cache_fd;     /* to the master's compile cache; -1: there is none */
};

/* Commands, one byte pair each: an image's number, or KEEPER_QUIT. */
struct keeper_command {
	enum { KEEPER_SERVE, KEEPER_QUIT } what;
	unsigned image;
};

/* In the forked child; never returns. */
noreturn void keeper_main(const struct keeper_config *config);

/* For tools that make one box by hand: enters a world of its own and prepares
 * the slot in it. */
int keeper_open_slot(const struct keeper_config *config, struct slot *ret_slot,
		     int *ret_outside_fd, int *ret_world_fd, struct error *err);

#endif
