/* SPDX-License-Identifier: ISC */
/* A language's own commands with the same files, but without any box. */
#ifndef SANDPOOL_BENCH_BARE_H
#define SANDPOOL_BENCH_BARE_H

#include <stdbool.h>

#include "common/language.h"

struct bare_job {
	const struct language *language;
	const char *code, *input;
	const char *output;		   /* expected; NULL: anything */
	const struct argv_list *arguments; /* NULL: none */
	const char *home;		   /* a folder that everybody can reach, for the files */
	const char *root;		   /* the image to stand in; NULL: the host */
	const char *environment;	   /* a file of NAME=value lines; NULL: none */
};

/* Build, if there is one, and run; in microseconds. Negative when it fails or
 * prints something else. */
double bare_try(const struct bare_job *job);
double bare_time(const struct bare_job *job); /* the same, or the end of it all */

#endif
