/* SPDX-License-Identifier: ISC */
/* The end of the wait for a box: what sandboxd has said by then, and what it says later. */
#define _GNU_SOURCE
#include "fcgi/launch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/wire.h"
#include "tests/tap.h"

enum { SAY_TAKEN = 1, SAY_VERDICT = 2, SAY_REFUSED = 4, SAY_BYE = 8 };

static void say(int fd, unsigned what)
{
	struct wire_taken taken = { 0 };
	struct wire_verdict verdict = { .exited = true, .exit_code = 7 };
	struct wire_refused refused = { .reason = REFUSED_RELOAD };

	wire_head_set(&taken.head, WIRE_TAKEN, sizeof taken);
	wire_head_set(&verdict.head, WIRE_VERDICT, sizeof verdict);
	wire_head_set(&refused.head, WIRE_REFUSED, sizeof refused);
	if (((what & SAY_TAKEN) && io_send(fd, &taken, sizeof taken, NULL, 0) < 0) ||
	    ((what & SAY_VERDICT) && io_send(fd, &verdict, sizeof verdict, NULL, 0) < 0) ||
	    ((what & SAY_REFUSED) && io_send(fd, &refused, sizeof refused, NULL, 0) < 0))
		abort();
	if (what & SAY_BYE)
		shutdown(fd, SHUT_WR);
}

/* All of it lies there, unread, when the time is up: no time is given to wait. */
static void check_in_time(void)
{
	static const struct {
		const char *name;
		unsigned said;
		enum launch_end end;
		bool may_take; /* whether a box that comes later still can */
	} rows[] = {
		{ "no box", 0, LAUNCH_BUSY, false },
		{ "a box, and its verdict", SAY_TAKEN | SAY_VERDICT, LAUNCH_DONE, true },
		{ "a box that broke off", SAY_TAKEN | SAY_BYE, LAUNCH_LOST, false },
		{ "a refusal", SAY_REFUSED, LAUNCH_RELOAD, false },
		{ "a closed connection", SAY_BYE, LAUNCH_BUSY, false },
	};
	static const uint8_t hash[32];
	const struct launch_stage stage = {
		.id = "0123456789abcdef0123456789abcdef",
		.language = "test",
		.table_hash = hash,
		.stage = STAGE_RUN,
		.client_fd = -1,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct launch launch = LAUNCH_INIT;
		struct launch_result result;
		struct error err = ERROR_INIT;
		struct wire_taken taken = { 0 };
		enum launch_end end;
		int pair[2], sent;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
		say(pair[1], rows[i].said);
		launch.sock_fd = pair[0];
		end = launch_run(&launch, "/nonexistent", "host", &stage, &result, &err);
		tap_ok(end == rows[i].end, "time is up: %s", rows[i].name);
		if (end == LAUNCH_DONE)
			tap_ok(result.verdict.exited && result.verdict.exit_code == 7,
			       "time is up: the verdict is the run's");
		wire_head_set(&taken.head, WIRE_TAKEN, sizeof taken);
		if (!(rows[i].said & SAY_BYE)) {
			sent = io_send(pair[1], &taken, sizeof taken, NULL, 0);
			tap_ok((sent >= 0) == rows[i].may_take && (sent >= 0 || errno == EPIPE),
			       "time is up: %s: a later one %s take it", rows[i].name,
			       rows[i].may_take ? "could" : "cannot");
		}
		launch_result_free(&result);
		launch_close(&launch);
		close_fd(&pair[1]);
	}
}

int main(void)
{
	check_in_time();
	return tap_done();
}
