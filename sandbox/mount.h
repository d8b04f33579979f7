/* SPDX-License-Identifier: ISC */
/* File systems: the keeper's own small world, and the steps that make a box's
 * root out of it. The world is a tmpfs with these names and nothing else, so
 * that the mount table that every clone copies stays short.
 *
 * The root itself is ready in the world: an overlay of the image's layers that
 * nobody can write to, one for all boxes that a keeper makes one after another, so
 * that its names stay known to the kernel. A box adds what is its own, folders of a
 * tmpfs that goes with it: /box, /tmp and /dev/shm; and /proc.
 * Runs as: root. No path in here comes from a client or a program. */
#ifndef SANDPOOL_MOUNT_H
#define SANDPOOL_MOUNT_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "sandbox/image.h"

struct setup;

#define WORLD_LAYER   "l%u"  /* the image's layers, l0 on top */
#define WORLD_BASE    "base" /* the layer above them: the folders that mounts need */
#define WORLD_ROOT    "mnt"  /* the root */
#define WORLD_USR     "usr"  /* the host's /usr, for images that show it, while the root is made */
#define WORLD_NONE    "none" /* an empty folder: the other layer, where there is only one */
#define WORLD_DEV     "dev"  /* the prepared /dev */
#define WORLD_SCRATCH "scr"  /* where a box puts its tmpfs */
#define WORLD_TREE    "tree" /* the tmpfs of a build, frozen or about to be */
#define WORLD_MERGED  "own"  /* where a box puts its own folders over a build's */

/* Folders of a box's tmpfs. */
#define SCRATCH_OWN   "own" /* with its box and tmp */
#define SCRATCH_WORK  "k"   /* for an overlay over a build's tree */
#define SCRATCH_SHM   "shm"

enum box_kind {
	BOX_PLAIN,
	BOX_KEEPS_TREE, /* its tmpfs can be frozen afterwards */
	BOX_ON_TREE,    /* stands on the frozen tree */
};

/* Leaves the namespace that the keeper was forked in for a world of its own;
 * outside_fd gets the one that it left, where the images are. */
int world_enter(const char *mount_point, int *ret_outside_fd, int *ret_world_fd,
		struct error *err);

/* Takes clones of an image's layers out of the outer namespace, and makes the root of
 * them. What stands on an earlier one keeps it. */
int world_take_image(int outside_fd, int world_fd, const struct image_set *set,
		     const struct image *image, struct error *err);

/* What the kernel keeps of the root between two runs are the names that programs asked
 * for, those that do not exist, too. This drops them: nothing else bounds how many there
 * are, and in /usr a name may mean another file meanwhile. */
int world_forget_names(struct error *err);

/* A fresh detached tmpfs for one box: size, inodes, and the folders above, the work
 * folder owned by the box user. */
int scratch_make(uint64_t bytes, enum box_kind kind, uid_t box_uid, int *ret_fd,
		 struct error *err);
int scratch_resize(int scratch_fd, uint64_t bytes, struct error *err);

/* Puts it at WORLD_TREE; freezes it once nothing uses it any more; drops it. */
int tree_attach(int scratch_fd, struct error *err);
int tree_freeze(int scratch_fd, struct error *err);
void tree_drop(void);

/* ---- steps of setup.c ---- */

int mount_scratch(struct setup *s, struct error *err);
int mount_over_tree(struct setup *s, struct error *err);
int mount_own_folders(struct setup *s, struct error *err);
int mount_proc(struct setup *s, struct error *err);
int enter_root(struct setup *s, struct error *err);

#endif
