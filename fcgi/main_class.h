/* SPDX-License-Identifier: ISC */
/* Languages whose compiler wants a file to be named after its class. */
#ifndef SANDPOOL_MAIN_CLASS_H
#define SANDPOOL_MAIN_CLASS_H

#include "common/job.h"

/* The name of the type that the file must be named after: the first public one, else
 * the first with a main method, else the first. Size 0 when there is none. Points
 * into the source. */
struct bytes main_class(struct bytes source);

#endif
