/* SPDX-License-Identifier: ISC */
/* Runs as: root. */
#include "sandbox/shared.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

struct shared *shared_make(uint32_t slots, uint64_t budget, struct error *err)
{
	size_t size = sizeof(struct shared) + slots * sizeof(struct slot_row);
	struct shared *shared = mmap(NULL, size, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED) {
		error_errno(err, "shared memory");
		return NULL;
	}
	shared->slots = slots;
	shared->budget = budget;
	return shared;
}

bool shared_reserve(struct shared *shared, uint32_t slot, uint64_t bytes)
{
	uint64_t now = atomic_load(&shared->reserved);

	do {
		if (bytes > shared->budget || now > shared->budget - bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&shared->reserved, &now, now + bytes));
	/* a keeper killed between these two lines loses that much of the budget
	 * until the daemon restarts: the safe side */
	atomic_store(&shared->row[slot].reserved, bytes);
	return true;
}

void shared_release(struct shared *shared, uint32_t slot)
{
	uint64_t bytes = atomic_exchange(&shared->row[slot].reserved, 0);

	atomic_fetch_sub(&shared->reserved, bytes);
}
