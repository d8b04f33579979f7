/* SPDX-License-Identifier: ISC */
/* What is left to a FastCGI worker once its sockets are open: reading, writing,
 * local sockets, memory files. A worker parses strangers' bytes; if one of them
 * takes it over, it can neither start a program nor reach the network, a file to
 * write, or its sibling workers. */
#ifndef SANDPOOL_CONFINE_H
#define SANDPOOL_CONFINE_H

#include "common/error.h"

/* Confines the calling process for good; needs no privilege. Call it with a single
 * thread, in the process that works (after the last fork), when everything is
 * open that has to be created, bound or opened for writing. A refused call gets
 * EPERM; an attempt to execute a program ends the process by SIGSYS.
 * On failure the process may be confined in part: end it. */
int confine_worker(struct error *err);

#endif
