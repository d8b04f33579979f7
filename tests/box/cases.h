/* SPDX-License-Identifier: ISC */
/* The numbered cases, as rows. A row is either one run of the hostile program
 * with what must come of it, or a function that does more than that. After each,
 * everything must be as it was before, and the canary must have sung through it. */
#ifndef SANDPOOL_TESTS_CASES_H
#define SANDPOOL_TESTS_CASES_H

#include "tests/box/harness.h"

enum case_flag {
	CASE_TAKES_ALL = 1,  /* no slot is left for the canary */
	CASE_NO_PROMISE = 2, /* a success without the last line "as promised" */
	CASE_NO_GCC = 4,     /* skipped where the host image has no compiler */
	CASE_ANY_STATUS = 8, /* the run may end as it likes; what counts is after it */
	CASE_NO_PYTHON = 16, /* skipped where the host has no Python */
};

#define TRIAL_PROBLEMS 12

struct box_case;
struct trial {
	const struct box_case *row;
	struct service *service;
	unsigned problems;
	char problem[TRIAL_PROBLEMS][600];
	char skipped[200]; /* why; empty: not */
};

struct box_case {
	const char *number, *name;
	const char *promise; /* the expected result, in words */
	enum status status;
	struct request request;
	int signal;	  /* expected; 0: not looked at */
	enum cause cause; /* expected; CAUSE_NONE: not looked at */
	unsigned written; /* repeat count as written; 0: once */
	unsigned flags;
	const char *has;					       /* stdout holds this */
	void (*check)(struct trial *t, const struct outcome *outcome); /* may be NULL */
	void (*run)(struct trial *t); /* instead of all of the above */
};

struct case_group {
	const char *name;
	const struct box_case *rows; /* ends with number NULL */
};
extern const struct box_case cases_kernel[], cases_fs[], cases_proc[], cases_memory[],
	cases_cpu[], cases_io[], cases_network[], cases_lifecycle[], cases_host[],
	cases_leaks[];

/* Notes a problem where it does not hold; returns holds. */
bool check(struct trial *t, bool holds, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void skip(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Runs it and holds the outcome against the status; returns true when it fits. */
bool run_expecting(struct trial *t, const struct service *service,
		   const struct request *request, enum status status, unsigned flags,
		   struct outcome *ret_outcome);
/* The same for "hostile ARGUMENTS" with success and a promise; outcome dropped. */
bool run_promising(struct trial *t, const struct service *service, const char *arguments);

/* The same program in the host image, uploaded. */
struct request in_host_image(const char *arguments);
bool run_promising_in_host_image(struct trial *t, const struct service *service,
				 const char *arguments);

/* A service of one case's own; false after a problem was noted. */
bool own_service(struct trial *t, const struct service_options *options,
		 struct service *ret_service);
/* Stops it by SIGTERM, and nothing of it may be left. */
void own_service_done(struct trial *t, struct service *service);

/* One that must not start, and say why in one line. */
void refuses(struct trial *t, const struct service_options *options, const char *what);

#define STRANGER 65533 /* a user that is neither ours nor the worker */
void as_stranger(void *data); /* for before_exec: becomes the one */

#endif
