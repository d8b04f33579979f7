/* SPDX-License-Identifier: ISC */
/* One HTTP request and its answer, over either of two transports: FastCGI (by
 * libfcgi) or CGI (environ and descriptors 0 and 1). Nothing else in the project
 * knows the library.
 * Runs as: worker user. */
#ifndef SANDPOOL_REQUEST_H
#define SANDPOOL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/job.h"
#include "fcgi/answer.h"
#include "fcgi/failure.h"
#include "fcgi/launch.h"
#include "fcgi/sink.h"

#define REQUEST_PATH_MAX 1024
#define REQUEST_READ_S	 8 /* for the whole of a request; a peer that stalls is cut off */

struct request {
	char id[JOB_ID_SIZE];
	const char *method;
	char path[REQUEST_PATH_MAX]; /* as it came, without query; "" when too long */
	struct buffer body;
	bool cgi;
	bool gone;      /* the client left, or takes nothing: do not write */
	bool head_only; /* HEAD: the body of the answer is not sent */
	int client_fd;  /* a hang-up here means that the client left */
	uint64_t start_us;  /* when we had it */
	uint64_t waited_us; /* before that, at our door, as far as the web server tells */
	uint64_t bytes_in, bytes_out;
	int http_status; /* 0 until the head of the answer was written */
};

/* Once for each process, before the first accept; stall_ms: how long the reader of
 * an answer may take nothing. */
int request_setup(uint64_t stall_ms, struct error *err);

/* Takes an accepted FastCGI connection and reads up to the end of its parameters.
 * -1 when that was not a request: the connection is closed, go on with the next. */
int request_begin_fastcgi(struct request *request, int conn_fd, struct error *err);
/* The one request of a process that was started as CGI. */
int request_begin_cgi(struct request *request, struct error *err);

/* NULL when it is missing. Valid until request_finish(). */
const char *request_param(const struct request *request, const char *name);

/* Reads the body into request->body. -1 with a failure: 413 when it is larger than
 * max_bytes, 400 when its length is not what was declared; or with request->gone. */
int request_read_body(struct request *request, uint64_t max_bytes, struct failure *ret_failure);

/* The head of the answer, once; lines may follow it until request_head_end(). */
void request_head(struct request *request, int http_status, const char *content_type);
void request_head_line(struct request *request, const char *name, const char *value);
void request_head_end(struct request *request);

/* All of it, or -1 when the client is gone. */
int request_write(struct request *request, const char *data, size_t size);
int request_flush(struct request *request);
struct sink request_sink(struct request *request);

/* Sends what is left, and that this was all: the client need not wait for what we do
 * before request_finish(). Nothing can be written any more. */
void request_end(struct request *request);

/* Closes the connection, frees. Any number of times. */
void request_finish(struct request *request);

#endif
