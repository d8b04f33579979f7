/* SPDX-License-Identifier: ISC */
#ifndef SANDPOOL_EXECUTE_H
#define SANDPOOL_EXECUTE_H

#include "fcgi/pool.h"

/* POST /api/execute */
void execute_handle(struct visit *visit);

#endif
