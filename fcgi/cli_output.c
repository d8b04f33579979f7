/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli_output.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output_chunk {
	struct output_chunk *next;
	int fd;
	size_t size, sent;
	char data[];
};

void output_init(struct output *output)
{
	memset(output, 0, sizeof *output);
	output->end = &output->first;
}

void output_free(struct output *output)
{
	while (output->first) {
		struct output_chunk *chunk = output->first;

		output->first = chunk->next;
		free(chunk);
	}
	output->end = &output->first;
}

size_t output_wait_for(const struct output *output, struct pollfd *ret_fd)
{
	if (!output->first)
		return 0;
	*ret_fd = (struct pollfd){ .fd = output->first->fd, .events = POLLOUT };
	return 1;
}

/* Our descriptors are shared with whoever started us, so they stay blocking. A pipe
 * that says it is writable takes PIPE_BUF bytes without blocking. 0: not now. */
static ssize_t write_some(const struct output_chunk *chunk)
{
	struct pollfd fd = { .fd = chunk->fd, .events = POLLOUT };
	size_t left = chunk->size - chunk->sent;
	ssize_t n;

	if (poll(&fd, 1, 0) <= 0)
		return 0;
	n = write(chunk->fd, chunk->data + chunk->sent, left < PIPE_BUF ? left : PIPE_BUF);
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : n;
}

static void drop_first(struct output *output)
{
	struct output_chunk *chunk = output->first;

	output->first = chunk->next;
	if (!output->first)
		output->end = &output->first;
	free(chunk);
}

int output_flush(struct output *output)
{
	while (output->first) {
		ssize_t n = write_some(output->first);

		if (n < 0) {
			output->broken = errno == EPIPE;
			output->errno_ = output->broken ? 0 : errno;
			return -1;
		}
		if (n == 0)
			return 0;
		output->first->sent += (size_t)n;
		if (output->first->sent == output->first->size)
			drop_first(output);
	}
	return 0;
}

int output_put(struct output *output, int fd, const char *bytes, size_t size)
{
	struct output_chunk *chunk;

	if (size == 0)
		return 0;
	chunk = malloc(sizeof *chunk + size);
	if (!chunk) {
		output->errno_ = ENOMEM;
		return -1;
	}
	*chunk = (struct output_chunk){ .fd = fd, .size = size };
	memcpy(chunk->data, bytes, size);
	*output->end = chunk;
	output->end = &chunk->next;
	return output_flush(output);
}

int output_finish(struct output *output, int stop_fd)
{
	while (output_flush(output) == 0 && output->first) {
		struct pollfd fds[2] = { { .fd = output->first->fd, .events = POLLOUT },
					 { .fd = stop_fd, .events = POLLIN } };

		if (poll(fds, 2, -1) > 0 && fds[1].revents)
			return -1;
	}
	return output->first ? -1 : 0;
}
