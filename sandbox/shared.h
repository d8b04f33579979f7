/* SPDX-License-Identifier: ISC */
/* What master and keepers tell each other without a message: one anonymous
 * shared map, a row a slot. Only its keeper writes a row, but for what the
 * master clears after a keeper's death.
 * Runs as: root. */
#ifndef SANDPOOL_SHARED_H
#define SANDPOOL_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/wire.h"

enum slot_state { SLOT_STARTING, SLOT_IDLE, SLOT_BUSY, SLOT_QUARANTINED };

struct slot_row {
	_Atomic uint32_t state;    /* enum slot_state */
	_Atomic uint32_t image;    /* which one it serves */
	_Atomic uint32_t accepted; /* connections of that one since it came over */
	_Atomic uint32_t worked;   /* its keeper has had a box that works */
	_Atomic uint64_t reserved; /* bytes of memory granted to its request */
	_Atomic uint64_t runs, failures, quarantines;
	_Atomic uint64_t used_us;  /* clock of its last request */
};

struct shared {
	_Atomic uint64_t reserved; /* sum of the rows' */
	_Atomic uint32_t proven;   /* some keeper has had a box that works */
	/* by image: 1 + the language whose interpreter was last of use; 0: none */
	_Atomic uint32_t ahead[WIRE_IMAGES_MAX];
	uint64_t budget;
	uint32_t slots;
	struct slot_row row[];
};

struct shared *shared_make(uint32_t slots, uint64_t budget, struct error *err);

/* In a keeper: what it clones from here on has nothing in common with us. */
int shared_keep_from_children(const struct shared *shared, struct error *err);

/* Grants bytes to a slot while the sum stays within the budget. */
bool shared_reserve(struct shared *shared, uint32_t slot, uint64_t bytes);
void shared_release(struct shared *shared, uint32_t slot);

#endif
