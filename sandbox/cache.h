/* SPDX-License-Identifier: ISC */
/* The compile cache: what a build stage left in its work folder, as a sealed
 * memfd, by a hash of all that the build depended on. Held by the master, shared
 * by all slots; bounded; the least recently used goes first.
 *
 * Nothing gets in but what a box's own build wrote: the keeper hashes the sealed
 * payload itself, and the files are packed by the box user inside a box on the
 * frozen tree. Nobody with privilege looks into them.
 * Runs as: root. */
#ifndef SANDPOOL_CACHE_H
#define SANDPOOL_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/wire.h"

#define CACHE_KEY_BYTES 32

struct cache_key {
	uint8_t bytes[CACHE_KEY_BYTES];
};

/* Over the payload (sources and options), the language table, the image, and the
 * domain that the worker names: requests of different domains share nothing. */
int cache_key_make(const struct wire_run *run, int payload_fd, const char *image_manifest,
		   struct cache_key *ret_key, struct error *err);

/* ---- the keeper's side: over its cache socket ---- */

/* The tree's memfd and its size, or -1 when there is none. */
int cache_get(int sock_fd, const struct cache_key *key);
void cache_put(int sock_fd, const struct cache_key *key, int memfd);

/* ---- the master's side ---- */

struct cache;

struct cache *cache_new(uint64_t max_bytes);
void cache_free(struct cache *cache);

/* Answers one message of a keeper; -1 when it hung up. */
int cache_answer(struct cache *cache, int sock_fd);

#endif
