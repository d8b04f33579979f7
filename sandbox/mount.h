/* SPDX-License-Identifier: ISC */
/* File systems: the keeper's own small world, and the steps that make a box's
 * root out of it. The world is a tmpfs with these names and nothing else, so
 * that the mount table that every clone copies stays short.
 * Runs as: root. No path in here comes from a client or a program. */
#ifndef SANDPOOL_MOUNT_H
#define SANDPOOL_MOUNT_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "sandbox/image.h"

struct setup;

#define WORLD_LAYER   "l%u"  /* the image's layers, l0 on top */
#define WORLD_USR     "usr"  /* the host's /usr, for images that bind it */
#define WORLD_DEV     "dev"  /* the prepared /dev */
#define WORLD_SCRATCH "scr"  /* where a box puts its tmpfs */
#define WORLD_TREE    "tree" /* the tmpfs of a build, frozen or about to be */
#define WORLD_ROOT    "mnt"  /* where a box's root is put together */

/* Folders of a box's tmpfs. */
#define SCRATCH_UPPER "u"
#define SCRATCH_WORK  "k"
#define SCRATCH_SHM   "shm"

/* Leaves the namespace that the keeper was forked in for a world of its own;
 * outside_fd gets the one that it left, where the images are. */
int world_enter(const char *mount_point, int *ret_outside_fd, int *ret_world_fd,
		struct error *err);

/* Takes a clone of an image out of the outer namespace into the world. */
int world_take_image(int outside_fd, int world_fd, const struct image_set *set,
		     const struct image *image, struct error *err);

/* Which of the folders that mounts need the image has itself: bits for scratch_make(). */
unsigned world_find_folders(unsigned layers);

/* A fresh detached tmpfs for one box: size, inodes, and the folders above but for those
 * that are there, the work folder owned by the box user. */
int scratch_make(uint64_t bytes, unsigned there, uid_t box_uid, int *ret_fd, struct error *err);
int scratch_resize(int scratch_fd, uint64_t bytes, struct error *err);

/* Puts it at WORLD_TREE; freezes it once nothing uses it any more; drops it. */
int tree_attach(int scratch_fd, struct error *err);
int tree_freeze(int scratch_fd, struct error *err);
void tree_drop(void);

/* Writes down, in the keeper, what mount_root() will ask for: formatting costs a fresh
 * process several page faults. */
void mount_plan_root(struct setup *s);

/* ---- steps of setup.c ---- */

int mount_scratch(struct setup *s, struct error *err);
int mount_root(struct setup *s, struct error *err);
int mount_usr(struct setup *s, struct error *err);
int mount_dev(struct setup *s, struct error *err);
int mount_shm(struct setup *s, struct error *err);
int mount_proc(struct setup *s, struct error *err);
int enter_root(struct setup *s, struct error *err);

#endif
