/* SPDX-License-Identifier: ISC */
/* One process that answers requests, one after another.
 * Runs as: worker user, and can execute nothing. */
#ifndef SANDPOOL_WORKER_H
#define SANDPOOL_WORKER_H

#include <signal.h>

#include "fcgi/pool.h"

/* What the master says to a worker. Each waits while a request is being answered. */
#define WORKER_LEAVE  SIGUSR2 /* take what already waits at the socket, then leave */
#define WORKER_CANCEL SIGTERM /* the same, and end the program that runs */

/* Never returns. The signals above must be blocked. */
void worker_run(struct pool *pool, enum worker_kind kind, int listen_fd)
	__attribute__((noreturn));

/* The one request of a CGI process; the exit code. */
int worker_cgi(struct pool *pool);

/* Asks the languages for their versions, for ever. */
void worker_probe(struct pool *pool) __attribute__((noreturn));

#endif
