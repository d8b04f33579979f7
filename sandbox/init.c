/* SPDX-License-Identifier: ISC */
/* Runs as: user 0 of the box's user namespace (nobody on the host).
 *
 * Init only waits for ends. The runner, a child that shares its memory until it executes
 * something, waits for the job: it has become the box user already and stands in the work
 * folder, so that a job costs no fork, and wakes one process only. What the runner finds
 * out it leaves in the variables below; by the time that init runs again, a short program
 * may be over. They never run at the same time with anything to say to each other: init
 * sleeps in wait4() from its start until somebody ends. */
#define _GNU_SOURCE
#include "sandbox/init.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"

#define STACK_BYTES 65536

static _Alignas(16) char stack[STACK_BYTES];
static volatile pid_t runner;
static int keeper_fd; /* the socket */

/* The stage, once there is one. */
static struct {
	const struct init_job *job; /* on the stack of the runner that took it */
	volatile pid_t program;     /* with whose end it ends */
	volatile struct stage_start begun;
} stage;

static void say(const struct init_report *report)
{
	/* a keeper that is gone takes us with it */
	if (io_send(keeper_fd, report, sizeof *report, NULL, 0) < 0)
		_exit(1);
}

noreturn void init_fail(int sock_fd, const struct error *err)
{
	struct init_report report = { .event = INIT_FAILED, .err = *err };

	keeper_fd = sock_fd;
	say(&report);
	_exit(1);
}

static uint64_t timeval_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static pid_t own_pid(void)
{
	return (pid_t)syscall(SYS_getpid);
}

/* ---- the runner ---- */

static noreturn void run(const struct init_job *job, const int *fds, size_t fds_count)
{
	struct stage_files files = { fds[WIRE_FD_PAYLOAD],
				     { fds[WIRE_FD_STDIN], fds[WIRE_FD_STDOUT],
				       fds[WIRE_FD_STDERR] },
				     job->unpack ? fds[fds_count - 1] : -1 };

	stage.job = job;
	stage.begun.exec_us = clock_us();
	stage.program = own_pid();
	stage_exec(job, &files, &stage.begun);
	_exit(127);
}

/* The program will come to it from the keeper: there is nobody else in the box that the
 * figures of the run would have to be cleared of. */
static noreturn void become_interpreter(const struct init_job *job, int library_fd, int sock_fd)
{
	stage.job = job;
	stage.program = own_pid();
	stage_exec_ahead(job, library_fd, sock_fd);
	_exit(127);
}

static noreturn void pack(const struct init_job *job, int memfd)
{
	stage.job = job;
	stage.program = own_pid();
	_exit(stage_pack(memfd) ? 0 : 1);
}

static int runner_main(void *arg)
{
	struct init_report ready = { .event = INIT_READY };
	struct init_job job;
	struct error err = ERROR_INIT;
	int fds[IO_FDS_MAX], code;
	size_t fds_count;

	(void)arg;
	code = stage_begin();
	if (code) {
		error_set(&err, code, "get ready for the program: %s", strerror(code));
		init_fail(keeper_fd, &err);
	}
	say(&ready);
	if (io_recv(keeper_fd, &job, sizeof job, fds, &fds_count, 0) != sizeof job)
		_exit(1);
	if (job.pack && fds_count == 1)
		pack(&job, fds[0]);
	if (job.ahead && fds_count == 2)
		become_interpreter(&job, fds[0], fds[1]);
	if (!job.pack && !job.ahead && fds_count >= WIRE_FD_COUNT - 1)
		run(&job, fds, fds_count);
	_exit(1);
}

static bool start_runner(void)
{
	runner = clone(runner_main, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	return runner > 0;
}

/* ---- the ends ---- */

/* Reaps until the stage's program is gone. */
static void await(struct init_report *report)
{
	struct rusage usage;
	int status;

	for (;;) {
		pid_t gone = wait4(-1, &status, 0, &usage);

		if (gone < 0 && errno == EINTR)
			continue;
		if (gone > 0 && gone == stage.program)
			break;
		if (gone < 0 || (gone == runner && !stage.program))
			_exit(1); /* nobody is left to take a job */
	}
	report->end_us = clock_us();
	report->wait_status = status;
	report->user_us = timeval_us(&usage.ru_utime);
	report->system_us = timeval_us(&usage.ru_stime);
}

static void tell_end(void)
{
	struct init_report report = { .event = INIT_ENDED };

	await(&report);
	if (stage.begun.ours) {
		struct error err = ERROR_INIT;

		error_set(&err, stage.begun.code, "start the program: %s",
			  strerror(stage.begun.code));
		init_fail(keeper_fd, &err);
	}
	report.exec_us = stage.begun.exec_us;
	report.exec_errno = stage.begun.code;
	say(&report);
}

/* From here on nobody in the box can change a file any more. */
static void kill_the_rest(void)
{
	kill(-1, SIGKILL);
	while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR)
		;
}

/* A message that the runner never saw has the descriptors for it. */
static void collect(void)
{
	struct init_report report = { .event = INIT_COLLECTED };
	struct init_job job;
	int fds[IO_FDS_MAX];
	size_t fds_count;
	pid_t pid;

	if (io_recv(keeper_fd, &job, sizeof job, fds, &fds_count, 0) != sizeof job || fds_count != 2)
		_exit(1);
	kill_the_rest();
	/* without the handlers of libraries, which are not there */
	pid = _Fork();
	if (pid == 0) {
		/* a terminal's signals are for the keeper's group */
		if (setsid() >= 0 && stage_become_user() == 0)
			stage_collect(&job, fds[0], fds[1]);
		_exit(0);
	}
	while (pid > 0 && wait4(pid, NULL, 0, NULL) < 0 && errno == EINTR)
		;
	close_fd(&fds[1]);
	say(&report);
}

noreturn void init_main(int sock_fd)
{
	keeper_fd = sock_fd;
	if (!start_runner()) {
		struct error err = ERROR_INIT;

		error_errno(&err, "start the runner");
		init_fail(sock_fd, &err);
	}
	tell_end();
	/* whether there is something to collect, an interpreter's job did not say */
	if (stage.job->ahead || stage.job->collect_count > 0)
		collect();
	/* stay, so that orphans have a parent, until the keeper ends us */
	for (;;)
		if (wait4(-1, NULL, 0, NULL) < 0 && errno == ECHILD)
			pause();
}
