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
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/ahead.h"

#define AHEAD_WAIT_MS 100 /* for an interpreter that is still on its way */
#define STACK_BYTES   65536

/* The first runner may become an interpreter; the second takes its place. */
static _Alignas(16) char stacks[2][STACK_BYTES];
static unsigned runners; /* so far */
static volatile pid_t runner;
static int keeper_fd; /* the socket */

/* The stage, once there is one. */
static struct {
	const struct init_job *job; /* on the stack of the runner that took it */
	volatile pid_t program;     /* with whose end it ends */
	volatile struct stage_start begun;
} stage;

/* The interpreter that was started ahead, if there is one. */
static struct {
	pid_t pid; /* 0: none */
	int sock_fd;
	const struct language *language;
	uint32_t fate; /* a futex; who decides first, runner or init, is right */
} ahead = { .sock_fd = -1 };
enum { AHEAD_WAITS, AHEAD_USED, AHEAD_REAPED };

static bool decide_fate(uint32_t fate)
{
	uint32_t waits = AHEAD_WAITS;

	return __atomic_compare_exchange_n(&ahead.fate, &waits, fate, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

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

/* ---- the runner: interpreters ahead ---- */

static bool start_runner(int flags);

/* The runner becomes the interpreter, and another one the runner. */
static void become_interpreter(const struct init_job *job, int library_fd)
{
	int pair[2];

	if (ahead.pid || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	ahead.pid = own_pid();
	ahead.sock_fd = pair[0];
	ahead.language = job->language;
	if (!start_runner(CLONE_PARENT))
		_exit(1);
	stage_exec_ahead(job, library_fd, pair[1]);
	_exit(127);
}

/* A stopped or half-started one is of no use, and its file is in the way. Only after its
 * end does nobody else use the memory that we share. */
static void end_ahead(void)
{
	if (!ahead.pid)
		return;
	kill(ahead.pid, SIGKILL);
	while (__atomic_load_n(&ahead.fate, __ATOMIC_ACQUIRE) == AHEAD_WAITS)
		syscall(SYS_futex, &ahead.fate, FUTEX_WAIT, AHEAD_WAITS, NULL, NULL, 0);
	close_fd(&ahead.sock_fd);
	ahead.pid = 0;
	unlink(ahead.language->file);
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

/* Test builds can make the runner stay a while beside the program. */
static void linger(void)
{
#ifdef SANDPOOL_FAULTS
	if (getenv("SANDPOOL_TEST_LINGER"))
		poll(NULL, 0, 10000);
#endif
}

/* The program goes to the interpreter that waits; false when it cannot. */
static bool use_ahead(const struct init_job *job, const struct stage_files *files)
{
	struct ahead_go go;

	if (!suits_ahead(job) || stage_fill_ahead(job, files->payload_fd) != 0) {
		end_ahead();
		return false;
	}
	stage_ahead_limits(&job->limits, &go);
	stage.begun.exec_us = clock_us();
	stage.program = ahead.pid;
	if (!decide_fate(AHEAD_USED)) {
		end_ahead();
		return false;
	}
	/* if it is dead by now, then that was the program's end */
	io_send(ahead.sock_fd, &go, sizeof go, files->stdio_fd, 3);
	linger();
	return true;
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
	if (use_ahead(job, &files))
		_exit(0);
	stage.program = own_pid();
	stage_exec(job, &files, &stage.begun);
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
	code = stage_begin(runners == 1);
	if (code) {
		error_set(&err, code, "get ready for the program: %s", strerror(code));
		init_fail(keeper_fd, &err);
	}
	if (runners == 1)
		say(&ready);
	while (io_recv(keeper_fd, &job, sizeof job, fds, &fds_count, 0) == sizeof job) {
		if (job.pack && fds_count == 1)
			pack(&job, fds[0]);
		if (!job.pack && !job.ahead && fds_count >= WIRE_FD_COUNT - 1)
			run(&job, fds, fds_count);
		if (!job.ahead)
			break;
		if (fds_count == 1)
			become_interpreter(&job, fds[0]);
		while (fds_count > 0)
			close(fds[--fds_count]);
	}
	_exit(1);
}

static bool start_runner(int flags)
{
	char *top = stacks[runners % ARRAY_LEN(stacks)] + STACK_BYTES;

	runners++;
	runner = clone(runner_main, top, CLONE_VM | SIGCHLD | flags, NULL);
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
		if (gone > 0 && gone == ahead.pid && decide_fate(AHEAD_REAPED))
			syscall(SYS_futex, &ahead.fate, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		else if (gone > 0 && gone == stage.program)
			break;
		else if (gone < 0 || (gone == runner && !stage.program))
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
	report.ahead = ahead.fate == AHEAD_USED;
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

/* A second message, which the runner never saw, has the descriptors for it. */
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
	pid = fork();
	if (pid == 0) {
		if (stage_become_user() == 0)
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
	if (!start_runner(0)) {
		struct error err = ERROR_INIT;

		error_errno(&err, "start the runner");
		init_fail(sock_fd, &err);
	}
	tell_end();
	if (stage.job->collect_count > 0)
		collect();
	/* stay, so that orphans have a parent, until the keeper ends us */
	for (;;)
		if (wait4(-1, NULL, 0, NULL) < 0 && errno == ECHILD)
			pause();
}
