/* SPDX-License-Identifier: ISC */
/* Runs as: root (the master): which keeper serves which image. A keeper accepts by
 * itself from the socket of its image; the master only brings one over to an image
 * that has none, or too few. */
#include <stddef.h>

#include "common/io.h"
#include "sandbox/master.h"

#define LONG_MS	100 /* a wait that is worth another image in a busy slot */
#define SHORT_MS 20  /* the same, where nobody has come at all */

static bool somebody_waits(const struct master *m, unsigned image)
{
	struct pollfd p = { -1, POLLIN, 0 };

	/* a keeper that is leaving may serve one that is no more */
	if (image < m->now->images.count)
		p.fd = m->now->listen_fds[image];
	return poll(&p, 1, 0) == 1;
}

static bool has_come(const struct master *m, unsigned slot)
{
	return m->keepers[slot].pid &&
	       atomic_load(&m->shared->row[slot].image) == m->keepers[slot].wanted;
}

static bool is_idle(const struct master *m, unsigned slot)
{
	return has_come(m, slot) && atomic_load(&m->shared->row[slot].state) == SLOT_IDLE;
}

/* Whoever was brought over for somebody takes him first: else two classes would pull one
 * keeper to and fro, and it would never accept at all. */
static bool may_leave(const struct master *m, unsigned slot)
{
	return has_come(m, slot) && (atomic_load(&m->shared->row[slot].accepted) > 0 ||
				     !somebody_waits(m, m->keepers[slot].wanted));
}

static unsigned serving(const struct master *m, unsigned image)
{
	unsigned count = 0, i;

	for (i = 0; i < m->slots; i++)
		count += m->keepers[i].pid && m->keepers[i].wanted == image;
	return count;
}

static bool somebody_came(const struct master *m, unsigned image)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].wanted == image && has_come(m, i))
			return true;
	return false;
}

/* When somebody of this class was accepted last. */
static uint64_t accepted_ms(const struct master *m, unsigned image)
{
	uint64_t last = 0;
	unsigned i;

	for (i = 0; i < m->slots; i++) {
		const struct slot_row *row = &m->shared->row[i];

		if (atomic_load(&row->image) == image && atomic_load(&row->accepted) > 0 &&
		    atomic_load(&row->used_us) / 1000 > last)
			last = atomic_load(&row->used_us) / 1000;
	}
	return last;
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

		if (m->keepers[i].wanted == for_image || (idle_only && !is_idle(m, i)) ||
		    !may_leave(m, i))
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

static uint64_t since_ms[WIRE_IMAGES_MAX]; /* somebody waits there; 0: nobody does */

/* Has somebody waited too long for those who serve his class? They may be in a long run,
 * or be told to come and still be in one elsewhere. */
static bool waits_too_long(const struct master *m, unsigned image)
{
	uint64_t now = clock_ms(), last;

	if (has_idle(m, image) || !somebody_waits(m, image)) {
		since_ms[image] = 0;
		return false;
	}
	if (!since_ms[image])
		since_ms[image] = now;
	last = accepted_ms(m, image);
	if (last < since_ms[image])
		last = since_ms[image];
	return now >= last + (somebody_came(m, image) ? LONG_MS : SHORT_MS);
}

/* All are busy: one that is told now comes over when it is free. */
static int whom_to_bring(const struct master *m, unsigned image)
{
	int slot = pick_keeper(m, image, true);

	return slot < 0 ? pick_keeper(m, image, false) : slot;
}

void classes_assign(struct master *m, unsigned image)
{
	int slot = whom_to_bring(m, image);

	if (slot < 0)
		return;
	herd_serve(m, (unsigned)slot, image);
	m->next_image = image + 1;
	since_ms[image] = clock_ms(); /* one after the other */
}

/* By turns: the one after that which was helped last comes first. */
unsigned classes_watch(const struct master *m, struct pollfd *p, unsigned *ret_of,
		       bool *ret_again)
{
	unsigned images = m->now->images.count, count = 0, i;

	*ret_again = false;
	for (i = 0; i < images && !m->stopping; i++) {
		unsigned image = (m->next_image + i) % images;

		if (serving(m, image) > 0 && (images == 1 || !waits_too_long(m, image)))
			continue;
		/* a socket on which nothing can be done just now would keep us awake */
		if (whom_to_bring(m, image) < 0 && somebody_waits(m, image)) {
			*ret_again = true;
			continue;
		}
		ret_of[count] = image;
		p[count++] = (struct pollfd){ m->now->listen_fds[image], POLLIN, 0 };
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
		bool waits = serving(m, i) > 0 && !has_idle(m, i) &&
			     pick_keeper(m, i, true) >= 0;

		if (!waits) {
			waited[i] = false;
			continue;
		}
		again = true;
		if (!somebody_waits(m, i)) {
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
