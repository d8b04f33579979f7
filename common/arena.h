/* SPDX-License-Identifier: ISC */
/* Memory that lives as long as one request: handed out in order, given back at
 * once. Has a cap, so that a decoder which asks for too much fails cleanly. */
#ifndef SANDPOOL_ARENA_H
#define SANDPOOL_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *head; /* newest first; private to arena.c */
	size_t used_bytes;
	size_t max_bytes;
};

/* max_bytes bounds the sum of all that is handed out. */
void arena_init(struct arena *arena, size_t max_bytes);

/* Zeroed memory, aligned for any type; NULL when memory or the cap is reached,
 * or when count * size overflows. Never freed alone. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);

/* A copy of size bytes with a NUL behind them. */
char *arena_copy(struct arena *arena, const void *data, size_t size);

/* Frees everything; the arena can be used again. */
void arena_reset(struct arena *arena);

#endif
