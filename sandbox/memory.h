/* SPDX-License-Identifier: ISC */
/* What a box's first process gets of the keeper's memory: a clone of all of it would cost
 * time for every mapping, and would hold libraries that it never calls. */
#ifndef SANDPOOL_MEMORY_H
#define SANDPOOL_MEMORY_H

/* From here on children come without the libraries that only the daemon itself calls; and
 * free memory is given back. Runs as: root (the keeper). */
void memory_keep_from_children(void);

#endif
