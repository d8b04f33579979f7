/* SPDX-License-Identifier: ISC */
/* Runs as: any user. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16 << 10)

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
	memset(arena, 0, sizeof *arena);
	arena->max_bytes = max_bytes;
}

static struct arena_block *block_new(struct arena *arena, size_t need)
{
	size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
	struct arena_block *block = malloc(sizeof *block + size);

	if (!block)
		return NULL;
	block->size = size;
	block->used = 0;
	/* a block of its own for a large piece must not hide a half-full one */
	if (arena->head && need > BLOCK_BYTES) {
		block->next = arena->head->next;
		arena->head->next = block;
	} else {
		block->next = arena->head;
		arena->head = block;
	}
	return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
	struct arena_block *block = arena->head;
	size_t bytes;
	void *piece;

	if (__builtin_mul_overflow(count, size, &bytes) ||
	    bytes > SIZE_MAX - alignof(max_align_t))
		return NULL;
	bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (bytes == 0)
		bytes = alignof(max_align_t);
	if (bytes > arena->max_bytes - arena->used_bytes)
		return NULL;
	if (!block || block->size - block->used < bytes) {
		block = block_new(arena, bytes);
		if (!block)
			return NULL;
	}
	piece = block->data + block->used;
	block->used += bytes;
	arena->used_bytes += bytes;
	return memset(piece, 0, bytes);
}

char *arena_copy(struct arena *arena, const void *data, size_t size)
{
	char *copy;

	if (size == SIZE_MAX)
		return NULL;
	copy = arena_alloc(arena, size + 1, 1);
	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

void arena_reset(struct arena *arena)
{
	struct arena_block *block = arena->head;

	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->head = NULL;
	arena->used_bytes = 0;
}
