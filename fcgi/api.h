/* SPDX-License-Identifier: ISC */
/* What the pool says of itself.
 * Runs as: worker user. */
#ifndef SANDPOOL_API_H
#define SANDPOOL_API_H

#include "fcgi/pool.h"

void api_languages(struct visit *visit);
void api_system(struct visit *visit);
void api_health(struct visit *visit);
void api_ready(struct visit *visit);
void api_metrics(struct visit *visit);

#endif
