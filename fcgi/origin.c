/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/origin.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* host[:port] of an origin; NULL when it is none of the web's ("null"). */
static const char *authority(const char *origin, const char **ret_default_port)
{
	static const struct {
		const char *prefix, *port;
	} schemes[] = { { "http://", "80" }, { "https://", "443" } };
	size_t i;

	for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (!strncasecmp(origin, schemes[i].prefix, strlen(schemes[i].prefix))) {
			*ret_default_port = schemes[i].port;
			return origin + strlen(schemes[i].prefix);
		}
	return NULL;
}

/* The ":port" of a host, or its end; colons inside [::1] are none. */
static const char *port_at(const char *host)
{
	const char *bracket = strchr(host, ']');
	const char *colon = strchr(bracket ? bracket : host, ':');

	return colon ? colon : host + strlen(host);
}

/* TLS may end before us, so the scheme does not count. A host without a port stands
 * for the server's own or, for both schemes, the usual one. */
static bool is_ours(const struct origin *from)
{
	const char *usual = NULL, *theirs, *their_port, *our_port;
	size_t size;

	if (!from->host || !*from->host)
		return false;
	theirs = authority(from->origin, &usual);
	if (!theirs)
		return false;
	their_port = port_at(theirs);
	our_port = port_at(from->host);
	size = (size_t)(their_port - theirs);
	if (size != (size_t)(our_port - from->host) || strncasecmp(theirs, from->host, size) != 0)
		return false;
	if (*their_port && *our_port)
		return !strcmp(their_port, our_port);
	if (!*their_port && !*our_port)
		return true;
	if (!*their_port)
		return !strcmp(our_port + 1, usual);
	return from->port && !strcmp(their_port + 1, from->port);
}

bool origin_allowed(const struct origin *from, char *const *allowed)
{
	if (from->sec_fetch_site && (!strcmp(from->sec_fetch_site, "same-origin") ||
				     !strcmp(from->sec_fetch_site, "none")))
		return true;
	if (!from->origin)
		return !from->sec_fetch_site; /* no browser leaves out both */
	for (; allowed && *allowed; allowed++)
		if (!strcasecmp(*allowed, from->origin))
			return true;
	return is_ours(from);
}
