/* SPDX-License-Identifier: ISC */
/* --tests and --expect.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_TESTS_H
#define SANDPOOL_CLI_TESTS_H

#include "common/error.h"
#include "fcgi/cli_exchange.h"

/* Every NAME.in of a folder; prints TAP. The status to end with, or -1 with err. */
int cli_tests_run(const struct cli_options *options, struct cli_exchange *exchange,
		  struct error *err);

/* How expected and real output differ, as diff -u says it, each line behind prefix. */
void cli_print_diff(int fd, const char *prefix, const json_t *expected, const char *output,
		    size_t output_size);

#endif
