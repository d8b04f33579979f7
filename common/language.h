/* SPDX-License-Identifier: ISC */
/* The languages: one libconfig file each, read once into a table. Both sides of
 * the wire read the same folder; the hash of the table tells whether they agree.
 * Everything here is plain data, read-only after language_table_load(). */
#ifndef SANDPOOL_LANGUAGE_H
#define SANDPOOL_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/job.h"

#define LANGUAGE_HASH_BYTES 32

struct argv_list {
	char **word; /* NULL-terminated */
	size_t count;
};

struct language {
	char *id, *name, *file, *image, *editor;
	struct argv_list aliases, packages, environment, deny;
	struct argv_list needs; /* programs by name, files by path, besides argv's first words */
	struct argv_list argv[STAGE_COUNT]; /* count 0: no such stage */
	struct limits run, build;           /* zero: the server's default */
	bool main_from_class;               /* the main file is named after its class */
	bool ahead;                         /* its interpreter may be started ahead */
	struct {
		char *code, *input, *output;
		struct argv_list arguments;
	} example;
	uint8_t hash[LANGUAGE_HASH_BYTES]; /* of its file's contents */
};

struct language_table {
	struct language *language; /* sorted by id */
	size_t count;
	uint8_t hash[LANGUAGE_HASH_BYTES]; /* of the files, names and contents */
};

/* Reads DIR/<id>.lang, all of them. trusted_only: refuse a folder or file that
 * anybody but root could change. NULL with file and line in err. */
struct language_table *language_table_load(const char *dir_path, bool trusted_only,
					   struct error *err);
void language_table_free(struct language_table *table); /* NULL is allowed */

/* By id, then by alias; NULL when unknown. language_index() is its place. */
const struct language *language_find(const struct language_table *table, const char *name);
size_t language_index(const struct language_table *table, const struct language *language);

/* Expands an argv. Words are built one behind another in room, each ended by
 * NUL, and emit is called for each; a non-zero answer of emit ends it and is
 * returned; -1 when room is full. Placeholders: %options %arguments %files as
 * whole words, %file %stem %% anywhere. Allocates nothing. */
struct language_words {
	struct bytes main_file;
	const struct bytes *options, *arguments, *files;
	size_t options_count, arguments_count, files_count;
};
int language_expand(const struct argv_list *argv, const struct language_words *words,
		    char *room, size_t room_size,
		    int (*emit)(void *data, const char *word, size_t size), void *data);

/* The environment every program gets, before the language's own. */
extern const char *const language_environment[];

#endif
