/* SPDX-License-Identifier: ISC */
/* Why a request gets no result: one shape for every refusal, whoever refuses. */
#ifndef SANDPOOL_FAILURE_H
#define SANDPOOL_FAILURE_H

struct failure {
	int http_status;    /* 0 while nothing failed */
	char code[32];      /* one word for programs: "unknown_language" */
	char field[64];     /* "tests[2].input"; empty when no field is to blame */
	char message[200];  /* one sentence for people; valid UTF-8 */
	unsigned retry_after_s; /* 0: no Retry-After header */
	const char *allow;  /* for 405: the Allow header; else NULL */
};

/* Fills everything; code and field may be NULL: then the usual word for that
 * status, and no field. Always returns -1. */
int failure_set(struct failure *failure, int http_status, const char *code, const char *field,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The usual word for a status: 404 is "not_found". */
const char *failure_code(int http_status);

#endif
