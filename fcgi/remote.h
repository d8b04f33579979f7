/* SPDX-License-Identifier: ISC */
/* One exchange with a pool: over HTTP by libcurl, or straight over its Unix socket
 * by FastCGI. What comes back is the same.
 * Runs as: whoever types. */
#ifndef SANDPOOL_REMOTE_H
#define SANDPOOL_REMOTE_H

#include <poll.h>
#include <stddef.h>

#include "common/error.h"
#include "fcgi/client.h"

struct remote {
	char *url; /* ends with "/"; NULL: by the socket */
	char run_socket[108], api_socket[108];
	const char *key; /* NULL: none */
};

struct remote_request {
	const char *path; /* without the leading "/"; POST where there is a body */
	const char *accept, *content_type;
	const char *body; /* NULL: none */
	size_t body_size;
};

struct remote_answer {
	int http_status;
	char content_type[128], retry_after[32];
};

#define REMOTE_FDS_MAX CLIENT_FDS_MAX

/* Who takes the answer as it comes. -1 from a call ends the exchange; the error is
 * then ECANCELED. */
struct remote_reader {
	int (*on_body)(void *data, const struct remote_answer *answer, const char *bytes,
		       size_t size);
	/* Descriptors to wait for as well; may be NULL. */
	size_t (*wait_for)(void *data, struct pollfd fds[REMOTE_FDS_MAX]);
	/* After each wait. */
	int (*on_wake)(void *data);
	void *data;
};

/* 0 when an answer came whole, whatever it says. */
int remote_exchange(const struct remote *remote, const struct remote_request *request,
		    const struct remote_reader *reader, struct remote_answer *ret_answer,
		    struct error *err);

#endif
