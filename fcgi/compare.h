/* SPDX-License-Identifier: ISC */
/* Whether an output is the expected one. */
#ifndef SANDPOOL_COMPARE_H
#define SANDPOOL_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/job.h"

/* "exact", "trailing-space", "tokens", "float:1e-6"; -1 when it is none. */
int compare_parse(const char *text, size_t size, enum compare *ret_compare,
		  double *ret_tolerance);

/* exact: byte for byte. trailing-space: spaces, tabs and CR at the ends of lines
 * and empty lines at the end do not count. tokens: the words between white space.
 * float: words; where both are numbers they may differ by the tolerance, absolute
 * or relative. */
bool compare_output(enum compare compare, double tolerance, struct bytes got,
		    struct bytes expected);

#endif
