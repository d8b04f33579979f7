/* SPDX-License-Identifier: ISC */
/* A program of our own, for /ready.
 * Runs as: worker user. */
#ifndef SANDPOOL_CANARY_H
#define SANDPOOL_CANARY_H

#include "fcgi/pool.h"

enum canary { CANARY_GOOD, CANARY_BAD, CANARY_FULL };
enum canary run_canary(struct pool *pool, struct error *err);

#endif
