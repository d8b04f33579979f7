/* SPDX-License-Identifier: ISC */
#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "common/io.h"
#include "tests/tap.h"

#define CAP ((size_t)1 << 20)

static const struct {
	const char *name;
	size_t count, size;
	bool given;
} rows[] = {
        {"one byte", 1, 1, true},
        {"nothing", 0, 8, true},
        {"pieces of nothing", 8, 0, true},
        {"many pieces", 1000, 16, true},
        {"larger than a block", 1, 100000, true},
        {"the whole cap", 1, CAP, true},
        {"one byte beyond the cap", 1, CAP + 1, false},
        {"pieces beyond the cap", CAP / 16 + 1, 16, false},
        {"a product that overflows", SIZE_MAX / 2, 3, false},
        {"the largest size", 1, SIZE_MAX, false},
        {"a size that rounds to zero", 1, SIZE_MAX - 3, false},
};

static bool all_zero(const unsigned char *piece, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (piece[i])
			return false;
	return true;
}

static void check_sizes(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena;
		unsigned char *piece;

		arena_init(&arena, CAP);
		piece = arena_alloc(&arena, rows[i].count, rows[i].size);
		tap_ok((piece != NULL) == rows[i].given &&
		               (!piece || all_zero(piece, rows[i].count * rows[i].size)),
		       "%s: %s", rows[i].name, rows[i].given ? "given, all zero" : "refused");
		if (!rows[i].given)
			tap_ok(arena.used_bytes == 0 && arena_alloc(&arena, 1, 1),
			       "%s: the arena goes on", rows[i].name);
		arena_reset(&arena);
	}
}

/* Pieces of growing size: each whole, aligned, and none upon another. */
static void check_many(void)
{
	struct arena arena;
	unsigned char *piece[300];
	bool aligned = true, kept = true;
	size_t i, k;

	arena_init(&arena, 16 * CAP);
	for (i = 0; i < ARRAY_LEN(piece); i++) {
		piece[i] = arena_alloc(&arena, 1, 1 + i * 97);
		if (!piece[i]) {
			tap_ok(false, "piece %zu", i);
			return;
		}
		aligned = aligned && (uintptr_t)piece[i] % alignof(max_align_t) == 0;
		memset(piece[i], (int)(i & 0xff), 1 + i * 97);
	}
	for (i = 0; i < ARRAY_LEN(piece); i++)
		for (k = 0; k < 1 + i * 97; k++)
			kept = kept && piece[i][k] == (i & 0xff);
	tap_ok(aligned, "300 pieces are aligned for any type");
	tap_ok(kept, "300 pieces do not overlap");
	arena_reset(&arena);
	tap_ok(!arena.head && arena.used_bytes == 0, "a reset gives everything back");
	tap_ok(arena_alloc(&arena, 1, 16 * CAP) != NULL, "and all of the cap is there again");
	arena_reset(&arena);
}

/* What was written must not shine through after a reset. */
static void check_clean(void)
{
	struct arena arena;
	unsigned char *piece;
	bool clean = true;
	unsigned i;

	arena_init(&arena, CAP);
	for (i = 0; i < 20; i++) {
		piece = arena_alloc(&arena, 1, 5000);
		clean = clean && piece && all_zero(piece, 5000);
		if (piece)
			memset(piece, 0xaa, 5000);
		arena_reset(&arena);
	}
	tap_ok(clean, "memory is zero after a reset too");
}

static void check_copy(void)
{
	struct arena arena;
	char *copy;

	arena_init(&arena, 64);
	copy = arena_copy(&arena, "a\0b", 3);
	tap_ok(copy && !memcmp(copy, "a\0b\0", 4),
	       "a copy keeps its NUL and gets one behind it");
	copy = arena_copy(&arena, NULL, 0);
	tap_ok(copy && !*copy, "a copy of nothing is the empty text");
	tap_ok(!arena_copy(&arena, "", SIZE_MAX), "a copy of the largest size is refused");
	tap_ok(!arena_copy(&arena, "0123456789012345678901234567890123456789", 40),
	       "a copy beyond the cap is refused");
	arena_reset(&arena);
}

int main(void)
{
	check_sizes();
	check_many();
	check_clean();
	check_copy();
	return tap_done();
}
