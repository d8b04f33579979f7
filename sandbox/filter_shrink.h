/* SPDX-License-Identifier: ISC */
/* Makes an exported filter shorter, and takes it apart. The kernel compiles the filter
 * anew for every box, which takes time in proportion to its length; libseccomp spends a
 * compare on each call number and three instructions on each single bit. */
#ifndef SANDPOOL_FILTER_SHRINK_H
#define SANDPOOL_FILTER_SHRINK_H

#include <stdbool.h>

#include "sandbox/filter.h"

/* Replaces the program by one of half the length with the same answer to every
 * call. False, with the filter left as it was, when there is no memory or the
 * program is not of the shape that libseccomp writes: it works as well, only
 * slower. */
bool filter_shrink(struct filter *filter);

/* Two filters that answer together as this one does: the outer answers the calls that are
 * not in the list, the inner those that are, and each lets the others pass. False, with
 * nothing made, as above. */
bool filter_split(const struct filter *filter, const int *calls, size_t count,
		  struct filter *ret_outer, struct filter *ret_inner);

#endif
