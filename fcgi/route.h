/* SPDX-License-Identifier: ISC */
/* From a path to who answers it: one table. A path counts by its end, so that a
 * site can put all of them below any prefix.
 * Runs as: worker user. */
#ifndef SANDPOOL_ROUTE_H
#define SANDPOOL_ROUTE_H

#include "fcgi/pool.h"

/* Answers one request, whatever it is, and logs and counts it. */
void route_request(struct pool *pool, struct request *request);

/* The paths of the table, NULL-terminated, in its order. */
const char *const *route_paths(void);

#endif
