/* SPDX-License-Identifier: ISC */
/* Runs as: root (the master): which keeper serves which image. A keeper accepts by
 * itself from the socket of its image; the master only brings one over to an image
 * that has none, or too few. */
#include <stddef.h>

#include "sandbox/master.h"

static bool is_idle(const struct master *m, unsigned slot)
{
	return m->keepers[slot].pid &&
	       atomic_load(&m->shared->row[slot].state) == SLOT_IDLE &&
	       atomic_load(&m->shared->row[slot].image) == m->keepers[slot].wanted;
}

static unsigned serving(const struct master *m, unsigned image)
{
	unsigned count = 0, i;

	for (i = 0; i < m->slots; i++)
		count += m->keepers[i].pid && m->keepers[i].wanted == image;
	return count;
}

static bool has_idle(const struct master *m, unsigned image)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].wanted == image && is_idle(m, i))
			return true;
	return false;
}

/* Whom to take: an idle keeper of the class that has most of them, and among
 * those the one whose last request is the longest ago. */
static int pick_keeper(const struct master *m, unsigned for_image, bool idle_only)
{
	unsigned best_count = 0, i;
	uint64_t best_used = UINT64_MAX;
	int best = -1;

	for (i = 0; i < m->slots; i++) {
		unsigned count;
		uint64_t used;

		if (!m->keepers[i].pid || m->keepers[i].wanted == for_image ||
		    (idle_only && !is_idle(m, i)))
			continue;
		count = serving(m, m->keepers[i].wanted);
		used = atomic_load(&m->shared->row[i].used_us);
		if (best < 0 || count > best_count || (count == best_count && used < best_used)) {
			best = (int)i;
			best_count = count;
			best_used = used;
		}
	}
	return best;
}

void classes_assign(struct master *m, unsigned image)
{
	bool nobody = serving(m, image) == 0;
	int slot = pick_keeper(m, image, true);

	/* all are busy: the next one to be free comes over, if nobody serves it yet */
	if (slot < 0 && nobody)
		slot = pick_keeper(m, image, false);
	if (slot < 0)
		return;
	herd_serve(m, (unsigned)slot, image);
}

unsigned classes_watch(const struct master *m, struct pollfd *p, unsigned *ret_of)
{
	unsigned count = 0, i;

	for (i = 0; i < m->now->images.count && !m->stopping; i++)
		if (serving(m, i) == 0) {
			ret_of[count] = i;
			p[count++] = (struct pollfd){ m->now->listen_fds[i], POLLIN, 0 };
		}
	return count;
}

/* A class whose keepers are all at work while others are idle gets one of those,
 * once somebody has waited from one look to the next: a keeper that is about to
 * accept must not be mistaken for one that is missing. True: look again soon. */
bool classes_balance(struct master *m)
{
	static bool waited[WIRE_IMAGES_MAX];
	bool again = false;
	unsigned i;

	for (i = 0; i < m->now->images.count && !m->stopping; i++) {
		struct pollfd p = { m->now->listen_fds[i], POLLIN, 0 };
		bool waits = serving(m, i) > 0 && !has_idle(m, i) &&
			     pick_keeper(m, i, true) >= 0;

		if (!waits) {
			waited[i] = false;
			continue;
		}
		again = true;
		if (poll(&p, 1, 0) != 1) {
			waited[i] = false;
		} else if (!waited[i]) {
			waited[i] = true;
		} else {
			waited[i] = false;
			classes_assign(m, i);
		}
	}
	return again;
}

/* What is left of the time until a watchdog message is due; sends it when it is. */
