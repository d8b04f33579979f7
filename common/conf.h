/* SPDX-License-Identifier: ISC */
/* A configuration file as a table of keys: libconfig reads the text, the table
 * says what each key means. An unknown key, a wrong type or a bad value is an
 * error with file and line. */
#ifndef SANDPOOL_CONF_H
#define SANDPOOL_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

enum conf_type {
	CONF_TEXT,   /* char *, never NULL */
	CONF_PATH,   /* char *, absolute */
	CONF_BOOL,   /* bool */
	CONF_COUNT,  /* uint64_t */
	CONF_BYTES,  /* uint64_t; 64MiB, 1GiB, or a number */
	CONF_MS,     /* uint64_t; 500ms, 10s, 2min */
	CONF_LIST,   /* char **, NULL-terminated texts */
	CONF_LIMITS, /* struct limits: a group of limit_fields' keys */
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset;
	const char *preset; /* as it would stand in a file; a list is "a b c" */
	const char *help;   /* one sentence; printed by -T and held against the manual */
};

/* Fills settings: presets first, then the file. path NULL: presets alone.
 * trusted_only refuses a file that anybody but root could change. */
int conf_load(const char *path, const struct conf_key *keys, bool trusted_only, void *settings,
	      struct error *err);
void conf_free(const struct conf_key *keys, void *settings);

/* The settings in force, as a file that conf_load() reads. */
void conf_dump(FILE *out, const struct conf_key *keys, const void *settings);

/* "256MiB", "64k" and "1.5GiB" or a plain number; "10s", "250ms", "2min". */
int conf_parse_bytes(const char *text, uint64_t *ret_bytes);
int conf_parse_ms(const char *text, uint64_t *ret_ms);

/* Opens a file for reading that only root (and, without trusted_only, whoever
 * runs us) could have written; -1 with err. */
int conf_open(const char *path, bool trusted_only, struct error *err);

/* What the language files share with us: values out of a libconfig tree. */
struct config_setting_t;
int conf_read_limits(const struct config_setting_t *group, void *limits, struct error *err);
int conf_read_list(const struct config_setting_t *list, char ***ret_list, struct error *err);
void conf_free_list(char **list);

/* The known word nearest to a mistyped one, or NULL when none is near. */
const char *conf_nearest(const char *word, const char *(*name_at)(const void *, size_t),
			 const void *data);

#endif
