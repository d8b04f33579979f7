/* SPDX-License-Identifier: ISC */
/* One stage in one box: hands the job over, watches clocks, memory and the peer
 * until it ends or must be ended, and judges what became of it.
 * Runs as: root (the keeper). */
#ifndef SANDPOOL_ATTEND_H
#define SANDPOOL_ATTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "sandbox/box.h"
#include "sandbox/peer.h"

struct attendance {
	/* filled in by the caller */
	struct peer_stage *stage; /* its descriptors are closed once the box has them */
	struct box *box;          /* ready */
	int conn_fd;              /* the peer's: a stop, or its leaving */
	const char *environment;  /* the image's, see struct image */
	int packed_fd;            /* files of a cached build to write first; -1: none */
	uint64_t accepted_us;
	/* said afterwards */
	bool hung_up; /* the peer is gone: nobody waits for the verdict */
	/* private to attend.c */
	uint64_t start_us, cpu_check_us, collect_until_us;
	enum cause cause; /* the first for which we killed */
	bool ended, over, broken; /* broken: we can no longer watch it */
	struct init_report report;
};

/* -1: something that is not the program's doing, so there is no verdict. */
int attend_run(struct attendance *run, struct verdict *ret_verdict, struct error *err);

#endif
