/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). */
#define _GNU_SOURCE
#include "sandbox/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/io.h"

bool peer_allowed(int conn_fd, const struct peer_policy *policy, struct error *err)
{
	struct ucred cred;
	socklen_t size = sizeof cred;
	size_t i;

	if (getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
		error_errno(err, "SO_PEERCRED");
		return false;
	}
	for (i = 0; i < policy->uids_count; i++)
		if (policy->uids[i] == cred.uid)
			return true;
	error_set(err, EPERM, "user %u may not ask for boxes", (unsigned)cred.uid);
	return false;
}

void peer_stage_done(struct peer_stage *stage)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(stage->fds); i++)
		close_fd(&stage->fds[i]);
}

/* ---- the descriptors that came along ---- */

static bool is_pipe_end(int fd, int mode)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == mode && !(flags & O_PATH) &&
	       fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int check_fds(const struct peer_stage *stage, struct error *err)
{
	bool collects = stage->run.collect_count > 0;
	size_t wanted = collects ? WIRE_FD_COUNT : WIRE_FD_COUNT - 1;
	uint64_t size;

	if (stage->fds_count != wanted)
		return error_set(err, EPROTO, "%zu descriptors, not %zu", stage->fds_count, wanted);
	if (!io_is_sealed(stage->fds[WIRE_FD_PAYLOAD], &size) || size != stage->run.payload_bytes)
		return error_set(err, EPROTO, "the payload is not sealed or of another size");
	if (!is_pipe_end(stage->fds[WIRE_FD_STDIN], O_RDONLY) &&
	    (!io_is_sealed(stage->fds[WIRE_FD_STDIN], &size) || size > WIRE_INPUT_MAX))
		return error_set(err, EPROTO, "stdin is neither sealed nor a pipe's end");
	if (!is_pipe_end(stage->fds[WIRE_FD_STDOUT], O_WRONLY) ||
	    !is_pipe_end(stage->fds[WIRE_FD_STDERR], O_WRONLY) ||
	    (collects && !is_pipe_end(stage->fds[WIRE_FD_COLLECT], O_WRONLY)))
		return error_set(err, EPROTO, "an output is not a pipe's end");
	return 0;
}

/* ---- what it asks for ---- */

static enum wire_refusal check_wish(struct peer_stage *stage, const struct peer_policy *policy,
				    unsigned image, bool has_tree, struct error *err)
{
	const struct wire_run *run = &stage->run;
	size_t index;

	if (memcmp(run->table_hash, policy->table->hash, WIRE_HASH_BYTES) != 0) {
		error_set(err, ESTALE, "another language table");
		return REFUSED_RELOAD;
	}
	stage->language = language_find(policy->table, run->language);
	if (!stage->language || strcmp(stage->language->id, run->language) != 0) {
		error_set(err, ENOENT, "language %s", run->language);
		return REFUSED_LANGUAGE;
	}
	index = language_index(policy->table, stage->language);
	if (policy->language_image[index] != image ||
	    stage->language->argv[run->stage].count == 0) {
		error_set(err, ENOENT, "language %s: not here, or no such stage", run->language);
		return REFUSED_LANGUAGE;
	}
	if (job_check_limits(policy->limits, &run->limits, err) < 0)
		return REFUSED_LIMITS;
	if (run->reserve_bytes < run->limits.memory_bytes ||
	    run->reserve_bytes > policy->limits->max.memory_bytes) {
		error_set(err, ERANGE, "memory to reserve");
		return REFUSED_LIMITS;
	}
	if ((run->flags & WIRE_ON_TREE) && (!has_tree || run->files_count > 1)) {
		error_set(err, EPROTO, "no frozen tree");
		return REFUSED_PROTOCOL;
	}
	return 0;
}

enum peer_answer peer_receive(int conn_fd, const struct peer_policy *policy, unsigned image,
			      bool has_tree, struct peer_stage *ret_stage,
			      enum wire_refusal *ret_reason, struct error *err)
{
	int fds[IO_FDS_MAX];
	size_t count, i;
	ssize_t n;

	for (i = 0; i < ARRAY_LEN(ret_stage->fds); i++)
		ret_stage->fds[i] = -1;
	n = io_recv(conn_fd, &ret_stage->run, sizeof ret_stage->run, fds, &count, MSG_DONTWAIT);
	if (n == 0)
		return PEER_CLOSED;
	if (n < 0 && errno == EAGAIN)
		return PEER_SILENT;
	if (n < 0) {
		error_errno(err, "receive");
		return errno == ECONNRESET ? PEER_CLOSED : PEER_BROKEN;
	}
	for (i = 0; i < count; i++) {
		if (i < ARRAY_LEN(ret_stage->fds))
			ret_stage->fds[i] = fds[i];
		else
			close(fds[i]);
	}
	ret_stage->fds_count = count;
	if (count == 0 && wire_check(&ret_stage->run, (size_t)n, WIRE_STOP, NULL) == 0)
		return PEER_STOP;
	if (wire_check(&ret_stage->run, (size_t)n, WIRE_RUN, err) < 0 ||
	    check_fds(ret_stage, err) < 0) {
		peer_stage_done(ret_stage);
		return PEER_BROKEN;
	}
	*ret_reason = check_wish(ret_stage, policy, image, has_tree, err);
	if (*ret_reason != 0) {
		peer_stage_done(ret_stage);
		return *ret_reason == REFUSED_PROTOCOL ? PEER_BROKEN : PEER_REFUSED;
	}
	return PEER_STAGE;
}

/* ---- answers ---- */

/* They are few and small: a peer whose buffer is full of them does not read. */
static int answer(int conn_fd, const void *message, size_t size)
{
	return send(conn_fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

int peer_send_taken(int conn_fd)
{
	struct wire_taken taken;

	memset(&taken, 0, sizeof taken);
	wire_head_set(&taken.head, WIRE_TAKEN, sizeof taken);
	return answer(conn_fd, &taken, sizeof taken);
}

int peer_send_refused(int conn_fd, enum wire_refusal reason)
{
	struct wire_refused refused;

	memset(&refused, 0, sizeof refused);
	wire_head_set(&refused.head, WIRE_REFUSED, sizeof refused);
	refused.reason = (uint32_t)reason;
	return answer(conn_fd, &refused, sizeof refused);
}

int peer_send_verdict(int conn_fd, const struct verdict *verdict)
{
	struct wire_verdict to;

	memset(&to, 0, sizeof to);
	wire_head_set(&to.head, WIRE_VERDICT, sizeof to);
	to.cause = (uint32_t)verdict->cause;
	to.exited = verdict->exited;
	to.exit_code = verdict->exit_code;
	to.signal = verdict->signal;
	to.exec_errno = verdict->exec_errno;
	to.cached = verdict->cached;
	to.ahead = verdict->ahead;
	to.setup_us = verdict->setup_us;
	to.usage = verdict->usage;
	return answer(conn_fd, &to, sizeof to);
}
