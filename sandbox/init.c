/* SPDX-License-Identifier: ISC */
/* Runs as: user 0 of the box's user namespace (nobody on the host). */
#define _GNU_SOURCE
#include "sandbox/init.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/ahead.h"

#define AHEAD_WAIT_MS 100 /* for an interpreter that is still on its way */

/* The interpreter that was started ahead, if there is one. */
static struct {
	pid_t pid; /* 0: none */
	int sock_fd;
	const struct language *language;
} ahead = { .sock_fd = -1 };

static void say(int sock_fd, const struct init_report *report)
{
	/* a keeper that is gone takes us with it */
	if (io_send(sock_fd, report, sizeof *report, NULL, 0) < 0)
		_exit(1);
}

noreturn void init_fail(int sock_fd, const struct error *err)
{
	struct init_report report = { .event = INIT_FAILED, .err = *err };

	say(sock_fd, &report);
	_exit(1);
}

static uint64_t timeval_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

/* Starts the program. The child shares our memory until it executes, so the
 * moment of the exec, or the reason of a failure, is simply left in a variable:
 * by the time that we run again, a short program may be over. */
static pid_t start(const struct init_job *job, const struct stage_files *files,
		   volatile struct stage_start *ret_start)
{
	pid_t pid = vfork();

	if (pid == 0) {
		stage_exec(job, files, ret_start);
		_exit(127);
	}
	if (pid < 0) {
		ret_start->code = errno;
		ret_start->ours = true;
	}
	return pid;
}

static void await(pid_t pid, struct init_report *report)
{
	struct rusage usage;
	int status;

	for (;;) {
		pid_t gone = wait4(-1, &status, 0, &usage);

		if (gone == pid)
			break;
		if (gone < 0 && errno != EINTR)
			_exit(1);
	}
	report->end_us = clock_us();
	report->wait_status = status;
	report->user_us = timeval_us(&usage.ru_utime);
	report->system_us = timeval_us(&usage.ru_stime);
}

/* From here on nobody in the box can change a file any more. */
static void kill_the_rest(void)
{
	kill(-1, SIGKILL);
	while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR)
		;
}

static void collect(const struct init_job *job, int payload_fd, int collect_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (stage_become_user() == 0)
			stage_collect(job, payload_fd, collect_fd);
		_exit(0);
	}
	while (pid > 0 && wait4(pid, NULL, 0, NULL) < 0 && errno == EINTR)
		;
}

static void pack(int sock_fd, int memfd)
{
	struct init_report report = { .event = INIT_ENDED, .wait_status = 1 << 8 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(stage_become_user() == 0 && stage_pack(memfd) ? 0 : 1);
	if (pid > 0)
		await(pid, &report);
	say(sock_fd, &report);
}

/* ---- interpreters ahead ---- */

static void start_ahead(const struct init_job *job, int library_fd)
{
	int pair[2];
	pid_t pid;

	if (ahead.pid || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		stage_exec_ahead(job, library_fd, pair[1]);
		_exit(127);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return;
	}
	ahead.pid = pid;
	ahead.sock_fd = pair[0];
	ahead.language = job->language;
}

/* A stopped or half-started one is of no use, and its file is in the way. */
static void end_ahead(void)
{
	int unlink_it;

	if (!ahead.pid)
		return;
	kill(ahead.pid, SIGKILL);
	while (wait4(ahead.pid, NULL, 0, NULL) < 0 && errno == EINTR)
		;
	close_fd(&ahead.sock_fd);
	ahead.pid = 0;
	unlink_it = vfork();
	if (unlink_it == 0) {
		if (stage_become_user() == 0 && chdir("/box") == 0)
			unlink(ahead.language->file);
		_exit(0);
	}
	while (unlink_it > 0 && wait4(unlink_it, NULL, 0, NULL) < 0 && errno == EINTR)
		;
}

static bool suits_ahead(const struct init_job *job)
{
	struct pollfd p = { ahead.sock_fd, POLLIN, 0 };
	char ready = 0;

	if (!ahead.pid || job->language != ahead.language || job->stage != STAGE_RUN ||
	    job->on_tree || job->unpack || job->files_count != 1 || job->options_count ||
	    job->arguments_count)
		return false;
	/* only one that stands at the main file does what a fresh one would do */
	return poll(&p, 1, AHEAD_WAIT_MS) == 1 &&
	       io_recv(ahead.sock_fd, &ready, 1, NULL, NULL, MSG_DONTWAIT) == 1 &&
	       ready == AHEAD_READY;
}

/* The program goes to the interpreter that waits; its pid, or 0 when it cannot. */
static pid_t use_ahead(const struct init_job *job, const struct stage_files *files,
		       volatile struct stage_start *ret_start)
{
	volatile int code = ECHILD;
	struct ahead_go go;
	pid_t writer, pid;

	if (!suits_ahead(job)) {
		end_ahead();
		return 0;
	}
	writer = vfork();
	if (writer == 0) {
		code = stage_fill_ahead(job, files->payload_fd);
		_exit(0);
	}
	while (writer > 0 && wait4(writer, NULL, 0, NULL) < 0 && errno == EINTR)
		;
	stage_ahead_limits(&job->limits, &go);
	ret_start->exec_us = clock_us();
	if (code || io_send(ahead.sock_fd, &go, sizeof go, files->stdio_fd, 3) < 0) {
		end_ahead();
		return 0;
	}
	close_fd(&ahead.sock_fd);
	pid = ahead.pid;
	ahead.pid = 0;
	return pid;
}

static void serve(int sock_fd, const struct init_job *job, int *fds, size_t fds_count)
{
	struct init_report report = { .event = INIT_ENDED };
	struct stage_files files = { fds[WIRE_FD_PAYLOAD],
				     { fds[WIRE_FD_STDIN], fds[WIRE_FD_STDOUT],
				       fds[WIRE_FD_STDERR] },
				     job->unpack ? fds[fds_count - 1] : -1 };
	volatile struct stage_start begun = { .exec_us = clock_us() };
	pid_t pid = use_ahead(job, &files, &begun);

	report.ahead = pid > 0;
	if (!report.ahead)
		pid = start(job, &files, &begun);
	/* our ends must go: the worker's reader waits for the last of them */
	close_fd(&fds[WIRE_FD_STDIN]);
	close_fd(&fds[WIRE_FD_STDOUT]);
	close_fd(&fds[WIRE_FD_STDERR]);
	if (pid > 0)
		await(pid, &report);
	if (begun.ours) {
		struct error err = ERROR_INIT;

		error_set(&err, begun.code, "start the program: %s", strerror(begun.code));
		init_fail(sock_fd, &err);
	}
	report.exec_us = begun.exec_us;
	report.exec_errno = begun.code;
	say(sock_fd, &report);
	if (job->collect_count > 0 && fds_count >= WIRE_FD_COUNT) {
		kill_the_rest();
		collect(job, fds[WIRE_FD_PAYLOAD], fds[WIRE_FD_COLLECT]);
		close_fd(&fds[WIRE_FD_COLLECT]);
		report = (struct init_report){ .event = INIT_COLLECTED };
		say(sock_fd, &report);
	}
}

noreturn void init_main(int sock_fd)
{
	struct init_report ready = { .event = INIT_READY };
	struct init_job job;
	int fds[IO_FDS_MAX];
	size_t fds_count;

	say(sock_fd, &ready);
	for (;;) {
		if (io_recv(sock_fd, &job, sizeof job, fds, &fds_count, 0) != sizeof job)
			_exit(0);
		if (!job.ahead)
			break;
		if (fds_count == 1)
			start_ahead(&job, fds[0]);
		while (fds_count > 0)
			close(fds[--fds_count]);
	}
	if (job.pack && fds_count == 1)
		pack(sock_fd, fds[0]);
	else if (!job.pack && fds_count >= WIRE_FD_COUNT - 1)
		serve(sock_fd, &job, fds, fds_count);
	else
		_exit(1);
	/* stay, so that orphans have a parent, until the keeper ends us */
	for (;;)
		if (wait4(-1, NULL, 0, NULL) < 0 && errno == ECHILD)
			pause();
}
