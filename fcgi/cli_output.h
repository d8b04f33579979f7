/* SPDX-License-Identifier: ISC */
/* What the program prints, on its way to our own stdout and stderr: in the order in
 * which it came, and without ever holding up whoever reads the answer. A pager may
 * stand still for an hour, but a stream that is not read is cut off by the server.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_OUTPUT_H
#define SANDPOOL_CLI_OUTPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct output_chunk;

struct output {
	struct output_chunk *first, **end;
	bool broken; /* the reader of ours has gone */
	int errno_;  /* another failure: 0 while there is none */
};

void output_init(struct output *output);

/* Takes a copy and writes what can be written at once. -1: see broken and errno_. */
int output_put(struct output *output, int fd, const char *bytes, size_t size);

/* Writes what can be written now. */
int output_flush(struct output *output);
/* Writes everything, however long it takes, or until stop_fd can be read. */
int output_finish(struct output *output, int stop_fd);
void output_free(struct output *output);

/* What to wait for before output_flush() can go on: 0 or 1 descriptors. */
size_t output_wait_for(const struct output *output, struct pollfd *ret_fd);

#endif
