/* SPDX-License-Identifier: ISC */
/* What the programs for a terminal share: options, messages, ways to end.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_H
#define SANDPOOL_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "fcgi/remote.h"

/* Statuses of our own, as timeout(1) and env(1) have them. */
enum { CLI_TIMEOUT = 124, CLI_FAILED = 125 };

enum cli_program { CLI_RUN = 1, CLI_LANGUAGES = 2, CLI_SYSTEM = 4, CLI_HEALTH = 8 };

struct cli_list {
	char **item; /* NULL-terminated; NULL when there are none */
	size_t count;
};

struct cli_options {
	char *language, *code, *input, *timeout, *expect, *tests, *compare;
	struct cli_list files, words, limits, collect;
	bool no_input, time, quiet, json, msgpack, link, check, missing;
	char *url, *key, *socket, *color, *conf;
	bool local, help, version;
	/* what follows the options */
	char **operands;
	int operands_count;
};

/* Reads the command line; help and version are answered here. Returns false when
 * there is nothing left to do, with *ret_status. */
bool cli_options_read(enum cli_program program, int argc, char **argv,
		      struct cli_options *ret_options, int *ret_status);

void cli_options_free(struct cli_options *options);

/* Where to: from the options and the environment. */
int cli_remote(const struct cli_options *options, struct remote *ret_remote, struct error *err);
void cli_remote_free(struct remote *remote);

/* "sandpool: text" on stderr, in colour on a terminal. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same from an error; CLI_FAILED, for "return cli_fail(&err)". */
int cli_fail(const struct error *err);

/* Is colour wanted on this descriptor? */
bool cli_color(int fd);

/* Text of others that goes to a terminal: no control characters but tab and newline. */
void cli_print_clean(FILE *out, const char *text);

/* A whole answer of GET path, decoded; NULL with err. ret_text (may be NULL): as it
 * came, to be freed. */
json_t *cli_get(const struct remote *remote, const char *path, char **ret_text,
		struct error *err);

/* The error that an answer carries, in one line; -1. */
int cli_answer_error(const struct remote_answer *answer, const char *body, size_t size,
		     struct error *err);

/* Interrupt, terminate and hang-up arrive on a descriptor from now on. */
int cli_signals_open(struct error *err);
/* The signal that came, 0 when none did. */
int cli_signal(void);
/* Ends this process by that signal, as whoever waits for us expects. */
_Noreturn void cli_die_by(int signal);

#endif
