/* SPDX-License-Identifier: ISC */
/* User ids: those of our own processes, and those that the boxes live under.
 * Runs as: root, before any socket is open. */
#ifndef SANDPOOL_IDS_H
#define SANDPOOL_IDS_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

/* A name, or a number for a user that need not exist. */
int ids_user(const char *name, uid_t *ret_uid, struct error *err);
int ids_group(const char *name, gid_t *ret_gid, struct error *err);

/* Refuses a range that a user, a group, a subordinate range or a running process
 * of somebody else already uses, with the name. */
int ids_check_free(uid_t first, unsigned count, struct error *err);

/* Half of what the host allows, for all boxes together. */
uint64_t ids_process_budget(void);

#endif
