/* SPDX-License-Identifier: ISC */
/* API keys: a file with one line for each key,
 *
 *	name:SHA-256 of the key in hex:paths:limits:concurrency
 *
 * paths is a list by commas (empty: all), limits a list of key=value by commas
 * ("memory=128MiB,wall=5s": the most that this key may ask for; empty: the server's),
 * concurrency how many of its requests may be handled at once (empty: any number).
 * Lines that are empty or begin with # do not count. The keys themselves are in no
 * file: they are random, so one plain hash is enough. */
#ifndef SANDPOOL_KEYS_H
#define SANDPOOL_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/error.h"
#include "common/job.h"

#define KEYS_HASH_BYTES 32
#define KEYS_NAME_MAX	64
#define KEYS_PATHS_MAX	16
#define KEYS_MAX	10000
#define KEYS_FILE_MAX	((size_t)4 << 20)

struct key {
	char name[KEYS_NAME_MAX + 1];
	uint8_t hash[KEYS_HASH_BYTES];
	char paths[256];       /* as in the file; "": all */
	struct limits max;     /* zero: the server's maximum */
	uint64_t concurrency;  /* 0: no cap */
	uint64_t id;	       /* never 0; stands for the key in the shared map */
};

struct keys {
	struct key *key;
	size_t count;
	/* of the file that was read: changed means read it again */
	struct stat stat;
	bool loaded, missing;
};

/* Reads the text of a keys file. -1 with the line's number in err; then ret_keys is
 * as it was. For tests and fuzzing on its own. */
int keys_parse(const char *text, size_t size, struct keys *ret_keys, struct error *err);
int keys_load(const char *path, struct keys *ret_keys, struct error *err);
void keys_free(struct keys *keys);

/* Reads the file again when it changed: 1 when there are new keys, 0 when not. -1, once
 * for each change, when it cannot be read any more: the keys that were there stay. */
int keys_refresh(const char *path, struct keys *keys, struct error *err);

/* Is it the same file, unchanged? */
bool keys_same_file(const struct stat *a, const struct stat *b);

/* NULL when no key has that text. Takes the same time for every one of them. */
const struct key *keys_find(const struct keys *keys, const char *presented);

bool key_allows(const struct key *key, const char *path);

/* Lowers the maxima of a policy to what the key may ask for. */
void key_lower(const struct key *key, struct limits_policy *policy);

bool key_name_valid(const char *name);
void key_hash(const char *presented, uint8_t ret_hash[KEYS_HASH_BYTES]);

#endif
