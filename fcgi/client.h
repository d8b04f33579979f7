/* SPDX-License-Identifier: ISC */
/* The client's side of FastCGI: one request over one connection to a Unix socket.
 * Knows nothing of what the request means.
 * Runs as: whoever asks. Never blocks but in poll(). */
#ifndef SANDPOOL_CLIENT_H
#define SANDPOOL_CLIENT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct client_param {
	const char *name, *value; /* of any length */
};

struct client_request {
	const struct client_param *params;
	size_t params_count;
	const char *body;
	size_t body_size;
};

#define CLIENT_FDS_MAX 4

/* Each but on_stdout may be NULL; -1 from any of them ends it with ECANCELED. */
struct client_reader {
	int (*on_stdout)(void *data, const char *bytes, size_t size);
	int (*on_stderr)(void *data, const char *bytes, size_t size);
	size_t (*wait_for)(void *data, struct pollfd fds[CLIENT_FDS_MAX]);
	int (*on_wake)(void *data);
	void *data;
};

/* 0 after a whole answer. EAGAIN: nobody takes the connection now, nothing was sent.
 * ECONNRESET: it broke off midway. Closing the connection is the cancel. */
int client_exchange(const char *socket_path, const struct client_request *request,
		    const struct client_reader *reader, struct error *err);

/* ---- the records, for tests ---- */

#define CLIENT_HEAD_BYTES 8

enum client_record {
	CLIENT_BEGIN = 1,
	CLIENT_ABORT = 2,
	CLIENT_END = 3,
	CLIENT_PARAMS = 4,
	CLIENT_STDIN = 5,
	CLIENT_STDOUT = 6,
	CLIENT_STDERR = 7,
};

void client_put_head(uint8_t *head, enum client_record type, size_t size);

/* A length is one byte, or from 128 on four with the highest bit set. Returns how
 * many were written, at most 4. */
size_t client_put_length(uint8_t *at, size_t length);

#endif
