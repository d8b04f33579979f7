/* SPDX-License-Identifier: ISC */
/* From the command line to a request.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_JOB_H
#define SANDPOOL_CLI_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "fcgi/cli.h"

struct cli_job {
	json_t *request;       /* as in sandpool-api(7), strings of any bytes */
	const char *file_name; /* for messages */
	char *extension;       /* of the program's file, without the dot; NULL: none */
	char *interpreter;     /* of its first line, "python3"; NULL: none */
	bool guessed;	       /* the language was not said */
};

/* Reads every file that the options name, and standard input where it is the
 * program's. */
int cli_job_make(const struct cli_options *options, struct cli_job *ret_job, struct error *err);
void cli_job_free(struct cli_job *job);

/* After the server did not know the language that we guessed: asks for its list and
 * guesses again. */
int cli_job_find_language(struct cli_job *job, const struct remote *remote, struct error *err);

/* A file, or standard input for "-", as a string of any bytes; NULL with err. */
json_t *cli_read_file(const char *path, struct error *err);

/* "2", "2s", "1.5min" or "500ms" in seconds; -1 with err. */
int cli_parse_seconds(const char *text, double *ret_seconds, struct error *err);

#endif
