/* SPDX-License-Identifier: ISC */
/* One slot made by hand, for the tools that an administrator runs: the same
 * images, groups, namespaces and steps as the daemon's, under a control group of
 * its own, so that both can be used at the same time.
 * Runs as: root. Never part of the daemon. */
#ifndef SANDPOOL_WORKBENCH_H
#define SANDPOOL_WORKBENCH_H

#include "common/error.h"
#include "common/settings.h"
#include "sandbox/box.h"
#include "sandbox/cgroup.h"
#include "sandbox/image.h"

struct workbench {
	struct settings settings;
	struct cgroup_tree *cgroups;
	struct image_set images;
	struct filter filter;
	struct group_slot groups;
	struct slot slot;
	char root[64]; /* a scratch folder for the mounts */
	const struct image *taken;
};

/* A login session's control group is no place to divide: on v2, under systemd, the
 * program starts again in a scope that is delegated to it. Returns where there is
 * nothing to do, and also where it cannot be done: what is missing is then said by
 * whoever misses it. argv: of main(). */
void workbench_own_group(char **argv);

/* settings must be loaded; name tells the tools' control groups apart. Mounts
 * the images; the host's files stay in sight until workbench_take(). */
int workbench_open(struct workbench *bench, const char *name, struct error *err);
void workbench_close(struct workbench *bench);

/* Takes an image into the slot. */
int workbench_take(struct workbench *bench, unsigned image, struct error *err);

/* Runs argv in a fresh box with the given standard streams, and waits. The wall
 * limit is the run's; 0: none. ret_status: as of wait(2). */
int workbench_run(struct workbench *bench, char **argv, const int *stdio_fd, uint64_t wall_ms,
		  int *ret_status, struct error *err);

#endif
