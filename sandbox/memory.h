/* SPDX-License-Identifier: ISC */
/* What the keeper keeps of the daemon's memory. A box's first process is a clone of it,
 * which costs time for every mapping; and a parser that is not there cannot be called. */
#ifndef SANDPOOL_MEMORY_H
#define SANDPOOL_MEMORY_H

/* Unmaps the libraries that only the master calls, and gives free memory back. From here
 * on nothing may run that calls into them: no exit(), no fork() with its handlers, no
 * look-up of users.
 * Runs as: root (the keeper). */
void memory_forget_libraries(void);

#endif
