/* SPDX-License-Identifier: ISC */
/* --link: the page's address with a program in it. Nothing is sent anywhere: what
 * follows the "#" stays in the browser.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_LINK_H
#define SANDPOOL_CLI_LINK_H

#include <jansson.h>

#include "common/error.h"
#include "fcgi/cli.h"
#include "fcgi/cli_job.h"

/* To be freed; NULL with err. */
char *cli_link(const struct cli_options *options, const struct cli_job *job,
	       const struct remote *remote, struct error *err);

#endif
