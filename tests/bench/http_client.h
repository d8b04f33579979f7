/* SPDX-License-Identifier: ISC */
/* A client of one kept-open connection, as small as can be: it posts, and reads
 * an answer to its end. Loopback only. */
#ifndef SANDPOOL_BENCH_HTTP_CLIENT_H
#define SANDPOOL_BENCH_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct http {
	int fd; /* -1: not connected */
	unsigned port;
	char *data; /* the answer as it came, head and chunk sizes included; ends with NUL */
	size_t size, room;
};

struct http_request {
	char *text;
	size_t size;
};

unsigned http_free_port(void);
void http_open(struct http *http, unsigned port);
void http_close(struct http *http);

/* accept NULL: none. The answer's text is malloc'ed, for good. */
struct http_request http_post(const char *path, const char *accept, const char *body);

/* Both halves of an exchange. http_read() does one read: 1 when the answer is
 * whole, 0 when more must come, -1 when the connection is gone. */
int http_write(struct http *http, const struct http_request *request);
int http_read(struct http *http);
int http_status(const struct http *http);

/* The whole of it, connecting again where the server hung up between two; the
 * status, or -1. ret_us may be NULL. */
int http_exchange(struct http *http, const struct http_request *request, double *ret_us);

#endif
