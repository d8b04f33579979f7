/* SPDX-License-Identifier: ISC */
/* Runs as: root. */
#include "sandbox/shared.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static size_t size_for(uint32_t slots)
{
	return sizeof(struct shared) + slots * sizeof(struct slot_row);
}

struct shared *shared_make(uint32_t slots, uint64_t budget, struct error *err)
{
	struct shared *shared = mmap(NULL, size_for(slots), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED) {
		error_errno(err, "shared memory");
		return NULL;
	}
	shared->slots = slots;
	shared->budget = budget;
	return shared;
}

int shared_keep_from_children(const struct shared *shared, struct error *err)
{
	if (madvise((void *)(uintptr_t)shared, size_for(shared->slots), MADV_DONTFORK) < 0)
		return error_errno(err, "keep the shared memory from boxes");
	return 0;
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
