/* SPDX-License-Identifier: ISC */
/* Cases 39 to 57: processes.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACK(n, what, result, words, ...)                                                    \
	{                                                                                      \
		.number = n, .name = what, .promise = result, .request.arguments = words,      \
		__VA_ARGS__                                                                    \
	}

/* ---- bombs ---- */

static void shell_bomb(struct trial *t)
{
	static const char code[] = "b() { b | b & b | b & }\nb\nsleep 5\n";
	const struct job_file file = { { "main.sh", 7 }, { code, sizeof code - 1 } };
	const struct request request = { .language = "sh",
					 .files = &file,
					 .files_count = 1,
					 .limits = { .wall_ms = 1000 } };
	struct outcome outcome;

	run_expecting(t, t->service, &request, STATUS_TIMEOUT, CASE_ANY_STATUS, &outcome);
	check(t,
	      ends_in(&outcome, ENDS_BY_LIMIT | ENDS(OUTPUT_LIMIT) | ENDS(RUNTIME_ERROR) |
					ENDS(SUCCESS)),
	      "%s", job_status_name(outcome.status));
	outcome_done(&outcome);
}

static void by_limit(struct trial *t, const struct outcome *outcome)
{
	check(t, ends_in(outcome, ENDS_BY_LIMIT), "%s, expected an end by a limit",
	      job_status_name(outcome->status));
}

/* How much the parent group lets all slots have together, against the host. */
static void half_of_the_host(struct trial *t)
{
	static const char *const bounds[] = { "/proc/sys/kernel/pid_max",
					      "/proc/sys/kernel/threads-max" };
	unsigned long long granted = 0;
	char path[PATH_MAX + 16], text[64];
	size_t i;

	for (i = 0; i < t->service->groups_count && !granted; i++) {
		snprintf(path, sizeof path, "%s/pids.max", t->service->groups[i]);
		if (io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0)
			granted = strtoull(text, NULL, 10); /* "max" gives 0 */
	}
	if (!check(t, granted > 0, "the parent group has no limit of processes"))
		return;
	for (i = 0; i < ARRAY_LEN(bounds); i++) {
		if (io_read_text_at(AT_FDCWD, bounds[i], text, sizeof text) <= 0)
			continue;
		check(t, granted <= strtoull(text, NULL, 10) / 2,
		      "%llu processes granted, %s is %s", granted, bounds[i], text);
	}
}

static void all_slots_bomb(struct trial *t)
{
	const struct request bomb = { .arguments = "39-bomb", .limits = { .wall_ms = 1500 } };
	struct live live[TEST_SLOTS] = { 0 };
	unsigned i, turn;

	half_of_the_host(t);
	for (i = 0; i < ARRAY_LEN(live); i++)
		live_start(&live[i], t->service, &bomb);
	for (i = 0; i < ARRAY_LEN(live); i++)
		live_started(&live[i]);
	for (turn = 0; turn < 50; turn++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(0);
		check(t, pid > 0 && waitpid(pid, &status, 0) == pid, "the host cannot fork: %s",
		      strerror(errno));
		pause_ms(10);
	}
	for (i = 0; i < ARRAY_LEN(live); i++) {
		live_join(&live[i]);
		by_limit(t, &live[i].outcome);
		outcome_done(&live[i].outcome);
	}
}

static void not_delayed(struct trial *t, const struct outcome *outcome)
{
	check(t, outcome->result.total_us < PATIENCE_MS * 1000, "the answer took %llu us",
	      (unsigned long long)outcome->result.total_us);
}

/* ---- 50: ends of others are not ours ---- */

static void exit_code(struct trial *t, const char *arguments, int code)
{
	const struct request request = { .arguments = arguments };
	struct outcome outcome;

	run_expecting(t, t->service, &request, code ? STATUS_RUNTIME_ERROR : STATUS_SUCCESS,
		      CASE_NO_PROMISE, &outcome);
	check(t, outcome.result.verdict.exited && outcome.result.verdict.exit_code == code,
	      "hostile %s: exit code %d, expected %d", arguments,
	      outcome.result.verdict.exit_code, code);
	outcome_done(&outcome);
}

static void odd_clones(struct trial *t)
{
	run_promising(t, t->service, "50-parent");
	run_promising(t, t->service, "50-signals");
	exit_code(t, "50-exec", 5);
	exit_code(t, "50-leader", 6);
	exit_code(t, "exit 0", 0);
	exit_code(t, "exit 1", 1);
	exit_code(t, "exit 255", 255);
}

static void start_state(struct trial *t)
{
	run_promising(t, t->service, "51");
	run_promising(t, t->service, "ids");
}

/* ---- 53: programs that cannot be started ---- */

static void cannot_start(struct trial *t, const char *data, size_t size, const char *what,
			 int code)
{
	const struct job_file file = { { "main", 4 }, { data, size } };
	const struct request request = { .language = "upload",
					 .files = &file,
					 .files_count = 1 };
	struct outcome outcome;

	if (run_expecting(t, t->service, &request, STATUS_RUNTIME_ERROR, 0, &outcome))
		check(t, outcome.result.verdict.exec_errno == code, "%s: exec %d, expected %d",
		      what, outcome.result.verdict.exec_errno, code);
	outcome_done(&outcome);
}

static void bad_programs(struct trial *t)
{
	static const char
		foreign[64] = { 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0,   0,
				0,    0,   0,	0,   0, 0, 2, 0, 0x16 /* another machine */ };
	static const struct {
		const char *what, *data;
		size_t size;
		int code;
	} uploads[] = {
		{ "a missing interpreter", "#!/no/such/program\n", 19, ENOENT },
		{ "an interpreter that is a folder", "#!/etc\n", 7, EACCES },
		{ "another machine's program", foreign, sizeof foreign, ENOEXEC },
		{ "an empty file", "", 0, ENOEXEC },
		{ "plain words", "hello\n", 6, ENOEXEC },
	};
	/* what the image does not have is known before anything runs */
	static const char *const absent[] = { "missing", "folder", "plain" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(uploads); i++)
		cannot_start(t, uploads[i].data, uploads[i].size, uploads[i].what,
			     uploads[i].code);
	for (i = 0; i < ARRAY_LEN(absent); i++) {
		const struct request request = { .language = absent[i] };
		struct outcome outcome;

		box_run(t->service, &request, &outcome);
		check(t,
		      outcome.end == LAUNCH_REFUSED ||
			      (outcome.end == LAUNCH_DONE && outcome.result.verdict.exec_errno),
		      "language \"%s\": %s", absent[i], end_name(outcome.end));
		outcome_done(&outcome);
	}
}

/* An uploaded program does run: else 53 would prove nothing. */
static void uploaded_program(struct trial *t)
{
	cleanup_close int fd = open(ground.hostile, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *data;
	struct outcome outcome;

	if (!check(t, fd >= 0 && fstat(fd, &st) == 0, "%s: %s", ground.hostile,
		   strerror(errno)))
		return;
	data = malloc((size_t)st.st_size);
	if (check(t, data && io_read_full(fd, data, (size_t)st.st_size) == st.st_size,
		  "read")) {
		const struct job_file file = { { "main", 4 }, { data, (size_t)st.st_size } };
		const struct request request = { .language = "upload",
						 .files = &file,
						 .files_count = 1,
						 .arguments = "29" };

		run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome);
		outcome_done(&outcome);
	}
	free(data);
}

/* ---- 54: cores ---- */

#define CORE_PATTERN "/proc/sys/kernel/core_pattern"
static char core_pattern_before[256];

static void core_pattern_restore(void)
{
	if (core_pattern_before[0])
		io_write_text_at(AT_FDCWD, CORE_PATTERN, core_pattern_before);
	core_pattern_before[0] = '\0';
}

/* For a moment the host pipes cores to a program that writes down that it ran. */
static void no_core(struct trial *t)
{
	char handler[100], ran[100], text[600];
	struct outcome outcome;
	const struct request request = { .arguments = "54" };

	snprintf(handler, sizeof handler, "%s/core-handler", ground.root);
	snprintf(ran, sizeof ran, "%s/core-handler-ran", ground.root);
	snprintf(text, sizeof text,
		 "#!/bin/sh\n"
		 "[ $1 -ge %llu ] || exit 0\n"
		 "head -c 1 > %s.tmp; mv %s.tmp %s\n",
		 (unsigned long long)t->service->ids_first, ran, ran, ran);
	write_file(handler, text, 0755);
	if (io_read_text_at(AT_FDCWD, CORE_PATTERN, core_pattern_before,
			    sizeof core_pattern_before) <= 0) {
		skip(t, "the host's core_pattern cannot be read");
		return;
	}
	restore_host = core_pattern_restore;
	snprintf(text, sizeof text, "|%s %%u", handler);
	if (io_write_text_at(AT_FDCWD, CORE_PATTERN, text) < 0) {
		core_pattern_before[0] = '\0';
		skip(t, "the host's core_pattern cannot be set: %s", strerror(errno));
		return;
	}
	if (run_expecting(t, t->service, &request, STATUS_RUNTIME_ERROR, 0, &outcome))
		check(t, outcome.result.verdict.signal == SIGABRT, "signal %d",
		      outcome.result.verdict.signal);
	outcome_done(&outcome);
	core_pattern_restore();
	pause_ms(500); /* what was started would by now have written */
	if (access(ran, F_OK) == 0) {
		struct stat st;

		check(t, stat(ran, &st) == 0 && st.st_size == 0,
		      "the host's handler was given a core");
	}
}

/* ---- 56: a process that will not die ---- */

static bool alarm_said(void *data)
{
	return service_said(data, "quarantine");
}

/* A killed process that somebody traces stays, dead and counted, until the tracer
 * lets go; its pid namespace cannot end before. To the daemon that is the same as
 * a process stuck in the kernel. */
static void will_not_die(struct trial *t)
{
	const struct request request = { .arguments = "stay", .limits = { .wall_ms = 1000 } };
	struct live live = { 0 };
	struct outcome outcome;
	const struct request canary = { .arguments = "print" };
	bool held;
	pid_t pid;
	int status;
	unsigned i;

	live_start(&live, t->service, &request);
	live_started(&live);
	pid = program_pid(t->service, "stay");
	held = pid > 0 && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
	if (check(t, held, "cannot hold process %d: %s", pid, strerror(errno))) {
		live_join(&live);
		check(t, live.outcome.status == STATUS_TIMEOUT, "%s: %s",
		      end_name(live.outcome.end), job_status_name(live.outcome.status));
		check(t, live.outcome.result.total_us < 2 * PATIENCE_MS * 1000,
		      "the answer took %llu us",
		      (unsigned long long)live.outcome.result.total_us);
		/* the others go on */
		for (i = 0; i < 2 * t->service->slots; i++) {
			run_expecting(t, t->service, &canary, STATUS_SUCCESS, CASE_NO_PROMISE,
				      &outcome);
			outcome_done(&outcome);
		}
		check(t, until(alarm_said, t->service, PATIENCE_MS), "the log has no alarm");
		/* and now it may die: the slot must come back by itself */
		held = waitpid(pid, &status, __WALL) == pid;
		check(t, held, "let go: %s", strerror(errno));
	} else {
		live_cancel(&live);
		live_join(&live);
	}
	outcome_done(&live.outcome);
}

/* ---- 57: left frozen by a crash ---- */

/* Freezes the control group of a process: the v1 freezer and v2's own. */
static unsigned freeze_group_of(pid_t pid)
{
	static const struct {
		const char *mark, *mount, *file, *word;
	} kinds[] = {
		{ ":freezer:", "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN" },
		{ "0::", "/sys/fs/cgroup/unified", "cgroup.freeze", "1" },
		{ "0::", "/sys/fs/cgroup", "cgroup.freeze", "1" },
	};
	char path[PATH_MAX], text[4096], *line, *save = NULL;
	unsigned frozen = 0;
	size_t i;

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	if (io_read_text_at(AT_FDCWD, path, text, sizeof text) <= 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (i = 0; i < ARRAY_LEN(kinds); i++) {
			const char *at = strstr(line, kinds[i].mark);

			if (!at || !strstr(line, "sandpool-test"))
				continue;
			snprintf(path, sizeof path, "%.200s%.2000s/%s", kinds[i].mount,
				 strchr(at, '/'), kinds[i].file);
			if (io_write_text_at(AT_FDCWD, path, kinds[i].word) == 0)
				frozen++;
		}
	return frozen;
}

static void left_frozen(struct trial *t)
{
	struct service_options options = { .slots = 2 };
	const struct request request = { .arguments = "stay" };
	static struct service service;
	struct live live = { 0 };
	char text[300];
	pid_t pid;

	if (!own_service(t, &options, &service))
		return;
	live_start(&live, &service, &request);
	live_started(&live);
	pid = program_pid(&service, "stay");
	if (freeze_group_of(pid) == 0)
		skip(t, "no freezer reaches the run's group here");
	service_kill_all(&service);
	live_join(&live);
	outcome_done(&live.outcome);
	options.same_place = true;
	if (check(t, service_start(&options, &service, text, sizeof text),
		  "it does not start again: %s", text)) {
		check(t, kill(pid, 0) < 0 && errno == ESRCH, "the frozen process lives");
		own_service_done(t, &service);
	}
}

const struct box_case cases_proc[] = {
	ATTACK("039", "processes beside one", "fork fails EAGAIN at the limit", "39 64"),
	ATTACK("039b", "fork bomb", "ended by a limit, everything dead", "39-bomb",
	       .request.limits = { .wall_ms = 1000 }, .flags = CASE_ANY_STATUS,
	       .check = by_limit),
	{ .number = "039c",
	  .name = "fork bomb in the shell",
	  .promise = "ended by a limit, everything dead",
	  .run = shell_bomb },
	ATTACK("040", "fork bomb that forks on every signal, against the kill",
	       "no survivor in 1,000 races", "40", .request.limits = { .wall_ms = 200 },
	       .written = 1000, .flags = CASE_ANY_STATUS),
	ATTACK("041", "daemons left by a program that ends", "success; they are dead", "41",
	       .check = not_delayed),
	/* the daemon may write after the promise, until it is killed */
	ATTACK("042", "daemon that keeps stdout open", "success; the answer does not wait",
	       "42", .request.limits = { .wall_ms = 30000 }, .flags = CASE_NO_PROMISE,
	       .has = "as promised\n", .check = not_delayed),
	ATTACK("043", "all signals ignored and blocked, asleep", "timeout", "43 asleep",
	       .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_WALL),
	ATTACK("043b", "all signals ignored and blocked, busy", "timeout", "43",
	       .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT),
	ATTACK("044", "SIGSTOP to itself, its peers and pid 1", "EPERM for 1; timeout", "44",
	       .request.limits = { .wall_ms = 500 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_WALL, .has = "stopping"),
	ATTACK("045", "kill every number", "only one's own die", "45"),
	ATTACK("045b", "kill -1", "only one's own die; success", "45-all"),
	ATTACK("045c", "kill 0", "runtime_error, SIGKILL", "45-group",
	       .status = STATUS_RUNTIME_ERROR, .signal = SIGKILL),
	ATTACK("046", "attacks on the box's init", "EACCES, EPERM or ENOENT", "46"),
	ATTACK("047", "zombies that nobody waits for", "counted; gone at the end", "47 64"),
	{ .number = "048",
	  .name = "all slots bomb at once",
	  .promise = "at most half of the host's processes; the host can fork",
	  .flags = CASE_TAKES_ALL,
	  .run = all_slots_bomb },
	ATTACK("049", "10,000 threads", "EAGAIN at the limit", "49 64"),
	{ .number = "050",
	  .name = "odd clones, thread exec",
	  .promise = "reaped, and the verdict is the program's own",
	  .run = odd_clones },
	{ .number = "051",
	  .name = "signals, umask, nice, session, terminal at the start",
	  .promise = "default state",
	  .run = start_state },
	ATTACK("052", "environment", "the listed names alone", "52"),
	ATTACK("052b", "resource limits", "as settled, and not to be raised", "52-limits"),
	{ .number = "053",
	  .name = "programs that cannot be started",
	  .promise = "runtime_error with the reason",
	  .run = bad_programs },
	{ .number = "053b",
	  .name = "an uploaded program",
	  .promise = "success",
	  .run = uploaded_program },
	{ .number = "054",
	  .name = "abort while the host collects cores",
	  .promise = "runtime_error, SIGABRT; no core",
	  .run = no_core },
	ATTACK("055", "real-time and raised priorities", "EPERM", "55"),
	{ .number = "056",
	  .name = "a process that does not die at the kill",
	  .promise = "answered in time; quarantine, alarm, the slot comes back",
	  .run = will_not_die },
	{ .number = "057",
	  .name = "a run that a crash left frozen",
	  .promise = "thawed and killed at the start",
	  .run = left_frozen },
	{ 0 },
};
