/* SPDX-License-Identifier: ISC */
/* The version of each language that is really installed, in a map that all
 * processes of the pool share. One process, the prober, asks the languages in real
 * boxes: at the start, and when its image or its file changed. The place of a language in this
 * map is also its row in the metrics; it keeps it over reloads. */
#ifndef SANDPOOL_VERSIONS_H
#define SANDPOOL_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/language.h"
#include "common/settings.h"
#include "common/wire.h"

#define VERSIONS_MAX	 1024
#define VERSIONS_TEXT	 64
#define VERSIONS_UNKNOWN VERSIONS_MAX /* the slot of a language without one */

struct versions; /* private to versions.c */

struct versions *versions_new(struct error *err);

/* The master's, before it forks: gives each language of the table a slot. */
void versions_name(struct versions *versions, const struct language_table *table);

/* VERSIONS_UNKNOWN when the language has none. */
size_t versions_slot(const struct versions *versions, const char *language_id);
const char *versions_id(const struct versions *versions, size_t slot); /* NULL: none */

/* The version, "" while it is not known. */
void versions_get(const struct versions *versions, const char *language_id,
		  char ret_text[VERSIONS_TEXT]);

/* The one word of a program's answer that is a version: "3.11.2" of "Python 3.11.2". */
void versions_extract(const char *output, size_t size, char ret_text[VERSIONS_TEXT]);

/* Runs as the prober: asks what is not known yet. True when nothing is left to ask;
 * false when sandboxd was not there, had no box, or wanted() said that others want the
 * boxes: then it must be tried again. */
bool versions_probe(struct versions *versions, const struct settings *settings,
		    const struct language_table *table, bool (*wanted)(void *data), void *data);

#endif
