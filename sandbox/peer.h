/* SPDX-License-Identifier: ISC */
/* Where a request enters the root process: who may ask, and whether what came is
 * well formed. Everything that crosses is checked here again, whatever the
 * worker checked before.
 * Runs as: root (the keeper). Parses no byte of a client: fixed structs alone. */
#ifndef SANDPOOL_PEER_H
#define SANDPOOL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/language.h"
#include "common/wire.h"

struct peer_policy {
	const uid_t *uids;
	size_t uids_count;
	const struct language_table *table;
	const uint8_t *language_image; /* by table order */
	const struct limits_policy *limits;
};

/* One stage, as received and checked. */
struct peer_stage {
	struct wire_run run;
	const struct language *language;
	int fds[WIRE_FD_COUNT]; /* -1: not passed */
	size_t fds_count;
};
void peer_stage_done(struct peer_stage *stage); /* closes the descriptors */

/* Is the process at the other end one that may ask for boxes? */
bool peer_allowed(int conn_fd, const struct peer_policy *policy, struct error *err);

enum peer_answer {
	PEER_STAGE,
	PEER_STOP,
	PEER_CLOSED,
	PEER_BROKEN,
	PEER_REFUSED,
	PEER_SILENT
};

/* Receives one WIRE_RUN. image: the class that this keeper serves; has_tree: a
 * tree was frozen on this connection. PEER_REFUSED: ret_reason says why and the
 * connection may go on; PEER_STOP: a WIRE_STOP came instead; PEER_BROKEN: hang up;
 * PEER_SILENT: nothing came yet. */
enum peer_answer peer_receive(int conn_fd, const struct peer_policy *policy, unsigned image,
			      bool has_tree, struct peer_stage *ret_stage,
			      enum wire_refusal *ret_reason, struct error *err);

/* All return -1 when the peer is gone, or does not read. */
int peer_send_taken(int conn_fd);
int peer_send_refused(int conn_fd, enum wire_refusal reason);
int peer_send_verdict(int conn_fd, const struct verdict *verdict);

#endif
