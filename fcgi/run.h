/* SPDX-License-Identifier: ISC */
/* One job from its bytes to its answer: decode, resolve, build, run or test,
 * collect, answer.
 * Runs as: worker user. */
#ifndef SANDPOOL_RUN_H
#define SANDPOOL_RUN_H

#include "fcgi/pool.h"

/* POST /run */
void run_handle(struct visit *visit);

/* The job in the request's body, answered in the visit's shape; run_handle() and
 * execute_handle() choose that. */
void run_visit(struct visit *visit);

#endif
