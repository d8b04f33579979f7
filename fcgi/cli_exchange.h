/* SPDX-License-Identifier: ISC */
/* One run, from the request to the last event of its stream.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_EXCHANGE_H
#define SANDPOOL_CLI_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "fcgi/cli.h"
#include "fcgi/cli_job.h"
#include "fcgi/cli_output.h"

/* Bytes that are kept. */
struct kept {
	char *data;
	size_t size, room;
};
int kept_add(struct kept *kept, const char *bytes, size_t size);
void kept_free(struct kept *kept);

struct cli_exchange {
	const struct remote *remote;
	struct cli_job *job;
	int signal_fd;

	/* how the answer is taken */
	bool whole;	   /* as it is, to stdout: --json and --msgpack */
	const char *accept;
	bool show;	   /* the program's output goes where ours goes; a compiler's always does */
	/* after each test of a stream, with its stdout; may be NULL */
	void (*on_test)(void *data, const json_t *test, const struct kept *output);
	void *data;

	/* what came */
	struct output output;
	struct kept body;	 /* an error's, or the whole answer */
	struct kept test_output; /* the stdout of the running test */
	json_t *answer;		 /* without output, where it was streamed; NULL: none */

	/* private */
	struct packed_reader *reader;
	bool compiling;
	struct error failure; /* found while reading */
};

/* 0 when there is an answer; else -1 with err. ECANCELED: a signal came, or whoever
 * reads our output has gone (exchange->output.broken). */
int cli_exchange(struct cli_exchange *exchange, struct error *err);
void cli_exchange_free(struct cli_exchange *exchange);

/* The status with which sandpool-run ends after that answer. */
int cli_answer_status(const json_t *answer);
/* What was run: the answer itself, or its one test. */
const json_t *cli_answer_part(const json_t *answer);

#endif
