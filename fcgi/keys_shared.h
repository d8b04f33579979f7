/* SPDX-License-Identifier: ISC */
/* The keys in force, in a map that the master writes and its children can only read:
 * the one who reads the file is the same for all, so that no two workers ever judge a
 * key differently. A worker that was broken into cannot let others in.
 * Runs as: worker user. */
#ifndef SANDPOOL_KEYS_SHARED_H
#define SANDPOOL_KEYS_SHARED_H

#include "common/error.h"
#include "fcgi/keys.h"

struct keys_map; /* private to keys_shared.c */

struct keys_shared {
	struct keys_map *writable;  /* not there in children */
	const struct keys_map *map; /* NULL: there is none */
};

/* The master's, before it forks. */
int keys_shared_make(struct keys_shared *shared, struct error *err);
void keys_shared_free(struct keys_shared *shared);

/* From now on these are in force: all at once; and what was found of their file is known. */
void keys_shared_put(struct keys_shared *shared, const struct keys *keys);

/* Waits until the master has looked at the file as it is now, which is soon: so a change
 * counts at once. A master that does not look does not hold up requests for ever. */
void keys_shared_await(const struct keys_shared *shared, const char *path);

/* As keys_find(), into ret_key: 1 when it is there, 0 when not. -1 while no file was
 * ever read, or when the master died over a change: then no key is good. */
int keys_shared_find(const struct keys_shared *shared, const char *presented,
		     struct key *ret_key);

#endif
