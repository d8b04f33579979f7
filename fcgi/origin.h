/* SPDX-License-Identifier: ISC */
/* May this browser's page post here? A form of another site's page would otherwise
 * run programs in the name of whoever looks at that page. */
#ifndef SANDPOOL_ORIGIN_H
#define SANDPOOL_ORIGIN_H

#include <stdbool.h>

/* What the request says; NULL: it does not. */
struct origin {
	const char *sec_fetch_site, *origin;
	const char *host; /* as the client wrote it */
	const char *port; /* of the server */
};

/* allowed: further origins, NULL-terminated. */
bool origin_allowed(const struct origin *from, char *const *allowed);

#endif
