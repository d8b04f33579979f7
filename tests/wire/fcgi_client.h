/* SPDX-License-Identifier: ISC */
/* The web server's side of FastCGI, for tests: whole requests, and single records
 * for what no web server would send. */
#ifndef SANDPOOL_TESTS_FCGI_CLIENT_H
#define SANDPOOL_TESTS_FCGI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

enum fcgi_record {
	FCGI_BEGIN = 1,
	FCGI_ABORT = 2,
	FCGI_END = 3,
	FCGI_PARAMS = 4,
	FCGI_STDIN = 5,
	FCGI_STDOUT = 6,
	FCGI_STDERR = 7,
	FCGI_GET_VALUES = 9,
};

struct fcgi_param {
	const char *name, *value;
};

/* What came back. text is the STDOUT stream, ended by NUL. */
struct fcgi_answer {
	char *text;
	size_t size;
	const char *body; /* behind the head, in text */
	size_t body_size;
	int status;  /* of the Status line; 200 without one, 0 without a head */
	bool ended;  /* END_REQUEST came */
	bool closed; /* the connection was closed */
};

/* -1 with errno. */
int fcgi_connect(const char *path);

/* 0, or -1 when the other side has gone. */
int fcgi_send_record(int fd, enum fcgi_record type, const void *data, size_t size);
int fcgi_send_begin(int fd);
int fcgi_send_params(int fd, const struct fcgi_param *params, size_t count);
int fcgi_send_request(int fd, const struct fcgi_param *params, size_t count, const void *body,
		      size_t size);

/* Reads until the request has ended, the connection is closed, timeout_ms is over, or
 * (until is not NULL) the text holds that. The answer must be zeroed at first, and
 * reading may go on later. */
void fcgi_read(int fd, struct fcgi_answer *answer, const char *until, int timeout_ms);
void fcgi_answer_free(struct fcgi_answer *answer);

/* The value of a header line, copied; "" when it is not there. */
const char *fcgi_header(const struct fcgi_answer *answer, const char *name);

#endif
