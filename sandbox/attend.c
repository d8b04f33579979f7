/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). Sees no byte of what the program prints. */
#define _GNU_SOURCE
#include "sandbox/attend.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"

#define COLLECT_US  10000000
#define TICK_US	    100000 /* how often a long run is looked at */
#define CPU_TICK_US 2000   /* the least between two looks at the CPU clock */

static bool collects(const struct attendance *run)
{
	return run->stage->run.collect_count > 0;
}

/* The first cause stands. With files to collect only the program dies, and init
 * goes on to collect; else all of it at once. */
static void stop(struct attendance *run, enum cause cause)
{
	if (run->cause == CAUSE_NONE)
		run->cause = cause;
	if (collects(run) && cause != CAUSE_CANCEL && !run->ended) {
		if (!run->collect_until_us)
			run->collect_until_us = clock_us() + COLLECT_US;
		box_kill_program(run->box);
		return;
	}
	run->over = true;
}

static void on_init(struct attendance *run)
{
	struct init_report report;
	ssize_t n = io_recv(run->box->sock_fd, &report, sizeof report, NULL, NULL, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof report && report.event == INIT_ENDED && !run->ended) {
		run->ended = true;
		run->report = report;
		run->over = !collects(run);
		run->collect_until_us = clock_us() + COLLECT_US;
	} else {
		/* collected; or init has failed, or is gone with all of the box */
		if (n == sizeof report && report.event == INIT_FAILED)
			run->report = report;
		run->over = true;
	}
}

static void on_peer(struct attendance *run)
{
	struct wire_stop message;
	ssize_t n = io_recv(run->conn_fd, &message, sizeof message, NULL, NULL, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && wire_check(&message, (size_t)n, WIRE_STOP, NULL) == 0) {
		if (!run->ended)
			stop(run, (enum cause)message.cause);
		return;
	}
	if (n != 0)
		log_event(LOG_WARNING, "slot %u: a peer broke the protocol during a run",
			  run->box->slot->index);
	run->hung_up = true;
	stop(run, CAUSE_CANCEL);
}

/* The group's CPU clock runs at most cpu_percent times as fast as ours: so it
 * need not be looked at before the limit can have been reached. */
static uint64_t next_cpu_check(const struct attendance *run, uint64_t used_us, uint64_t now)
{
	const struct limits *limits = &run->stage->run.limits;
	uint64_t left_us = limits->cpu_ms * 1000 - used_us;
	uint64_t percent = run->box->slot->groups.enforced & ENFORCED_CPU
				   ? limits->cpu_percent
				   : 100 * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t wait_us = left_us * 100 / (percent < 1 ? 1 : percent);

	return now + (wait_us < CPU_TICK_US ? CPU_TICK_US : wait_us);
}

/* What is due by the clock; the time until the next look, in milliseconds. */
static int watch(struct attendance *run)
{
	const struct limits *limits = &run->stage->run.limits;
	uint64_t now = clock_us(), next;

	if (run->ended || run->collect_until_us) {
		if (now >= run->collect_until_us)
			run->over = true;
		else if (!run->ended)
			box_kill_program(run->box); /* what was born meanwhile */
		next = run->ended ? run->collect_until_us : now + 20000;
	} else {
		uint64_t wall_us = run->start_us + limits->wall_ms * 1000;

		if (now >= wall_us) {
			stop(run, CAUSE_WALL);
		} else if (now >= run->cpu_check_us) {
			uint64_t used_us = group_cpu_us(&run->box->group);

			if (used_us >= limits->cpu_ms * 1000)
				stop(run, CAUSE_CPU);
			else
				run->cpu_check_us = next_cpu_check(run, used_us, now);
		}
		/* v1 kills one process for memory where v2 kills the whole group */
		if (!run->box->slot->groups.v2 && group_oom(&run->box->group))
			stop(run, CAUSE_MEMORY);
		next = wall_us < run->cpu_check_us ? wall_us : run->cpu_check_us;
		if (!run->box->slot->groups.v2 && next > now + TICK_US)
			next = now + TICK_US;
	}
	return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void attend(struct attendance *run)
{
	while (!run->over) {
		struct pollfd p[] = {
			{ run->box->sock_fd, POLLIN, 0 },
			{ run->conn_fd, POLLIN, 0 },
		};
		int timeout_ms = watch(run);

		if (run->over)
			break;
		if (poll(p, ARRAY_LEN(p), timeout_ms) < 0 && errno != EINTR) {
			run->broken = run->over = true;
			break;
		}
		if (p[0].revents)
			on_init(run);
		if (p[1].revents && !run->over)
			on_peer(run);
	}
}

/* -1: something that is not the program's doing, so there is no verdict. */
static int judge(struct attendance *run, struct verdict *ret_verdict, struct error *err)
{
	const struct init_report *report = &run->report;
	struct verdict v = { .cause = run->cause };
	struct group_state state;
	uint64_t end_us = run->ended ? report->end_us : clock_us();
	bool ahead = run->box->ahead_fd >= 0;
	uint64_t exec_us = run->ended && !ahead ? report->exec_us : run->start_us;
	int code = ahead ? box_ahead_failure(run->box) : report->exec_errno;

	if (run->broken)
		return error_set(err, EIO, "the run could not be watched");
	group_read(&run->box->group, &state);
	if (state.oom && !state.oom_ours)
		return error_set(err, ENOMEM, "killed for memory by a limit above the run's own");
	if (run->report.event == INIT_FAILED) {
		*err = run->report.err;
		err->text[sizeof err->text - 1] = '\0';
		return -1;
	}
	if (ahead && code && !stage_clients_doing(code))
		return error_set(err, code, "start the program: %s", strerror(code));
	if (!run->ended && run->cause == CAUSE_NONE && !state.oom)
		return error_set(err, ECHILD, "init died");
	/* v2 kills for memory by itself, init included */
	if (state.oom && v.cause == CAUSE_NONE)
		v.cause = CAUSE_MEMORY;
	if (run->ended && WIFEXITED(report->wait_status)) {
		v.exited = true;
		v.exit_code = WEXITSTATUS(report->wait_status);
	} else {
		v.signal = run->ended ? WTERMSIG(report->wait_status) : SIGKILL;
	}
	v.exec_errno = code;
	v.ahead = ahead;
	v.setup_us = exec_us > run->accepted_us ? exec_us - run->accepted_us : 0;
	v.usage.wall_us = end_us > exec_us ? end_us - exec_us : 0;
	v.usage.cpu_us = state.cpu_us;
	v.usage.user_us = run->ended ? report->user_us : USAGE_UNKNOWN;
	v.usage.system_us = run->ended ? report->system_us : USAGE_UNKNOWN;
	v.usage.memory_peak_bytes = state.memory_peak_bytes;
	v.usage.processes_peak = state.processes_peak;
	/* the clock of each process may ring before we look at that of the group */
	if (v.cause == CAUSE_NONE && (state.cpu_us > run->stage->run.limits.cpu_ms * 1000 ||
				      (!v.exited && v.signal == SIGXCPU &&
				       state.cpu_us + 100000 > run->stage->run.limits.cpu_ms * 1000)))
		v.cause = CAUSE_CPU;
	*ret_verdict = v;
	return 0;
}

static int give(struct attendance *run, const struct init_job *job, struct error *err)
{
	const int *from = run->stage->fds;
	int fds[] = { from[WIRE_FD_PAYLOAD], from[WIRE_FD_STDIN], from[WIRE_FD_STDOUT],
		      from[WIRE_FD_STDERR], run->packed_fd };

	if (run->box->ahead_fd >= 0)
		return box_give_ahead(run->box, job, fds, err);
	return box_give(run->box, job, fds, job->unpack ? 5 : 4, err);
}

int attend_run(struct attendance *run, struct verdict *ret_verdict, struct error *err)
{
	const struct wire_run *wish = &run->stage->run;
	const struct init_job job = {
		.language = run->stage->language,
		.environment = run->environment,
		.stage = (enum stage)wish->stage,
		.on_tree = (wish->flags & WIRE_ON_TREE) != 0,
		.unpack = (wish->flags & WIRE_ON_TREE) && run->packed_fd >= 0,
		.limits = wish->limits,
		.payload_bytes = wish->payload_bytes,
		.files_count = wish->files_count,
		.options_count = wish->options_count,
		.arguments_count = wish->arguments_count,
		.collect_count = wish->collect_count,
	};

	if (box_set_limits(run->box, &wish->limits, err) < 0)
		return -1;
	group_mark(&run->box->group);
	run->start_us = clock_us();
	run->cpu_check_us = next_cpu_check(run, 0, run->start_us);
	if (give(run, &job, err) < 0 ||
	    (collects(run) && box_give_collect(run->box, &job, run->stage->fds, err) < 0))
		return -1;
	peer_stage_done(run->stage);
	attend(run);
	return judge(run, ret_verdict, err);
}
