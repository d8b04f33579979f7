/* SPDX-License-Identifier: ISC */
/* Set-up step k made to fail for every k; every system call of set-up and
 * teardown made to fail once; limits that are not written as they were meant. The
 * result must be an error of ours or a retry, never a weaker box, and nothing may
 * be left over.
 *
 * strace makes the calls fail: it is attached to the keeper, follows the boxes
 * that this clones, and lets go of a program at its exec.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/setup.h"
#include "tests/tap.h"

static const struct {
	const char *number, *name, *promise;
} rows[] = {
	{ "143", "set-up step made to fail",
	  "no run, an error of ours, nothing left; one test a step" },
	{ "143b", "system call made to fail",
	  "an error of ours or a retry, nothing left; one test a call" },
	{ "146", "a limit that is not written as it was meant", "the run does not start" },
};

/* One by default, by turns; all of them under --full. */
static const char *const errnos[] = { "EAGAIN", "ENOMEM", "EMFILE", "ENOSPC",
				      "EINTR",	"EBUSY",  "EPERM" };

/* ---- runs in which a fence could be missing ---- */

#define PROCESSES 33

static const struct request fence = {
	.arguments = "fence 33",
	.limits = { .processes = PROCESSES, .memory_bytes = 48 * MIB },
	.wait_ms = 1500,
};
static const struct request collects = { .arguments = "24",
					 .collect = "good absolute",
					 .wait_ms = 1500 };
static const struct request too_much = { .arguments = "64 62914560",
					 .limits = { .memory_bytes = 40 * MIB },
					 .wait_ms = 1500 };
static const struct request too_long = { .arguments = "stay",
					 .limits = { .wall_ms = 50 },
					 .wait_ms = 1500 };

static const struct {
	const struct request *request;
	enum status status;
	bool promises;
} tries[] = {
	{ &fence, STATUS_SUCCESS, true },    { &too_much, STATUS_MEMORY_LIMIT, false },
	{ &collects, STATUS_SUCCESS, true }, { &too_long, STATUS_TIMEOUT, false },
	{ &fence, STATUS_SUCCESS, true },
};

enum came { RIGHT, REFUSED, WRONG };

/* Whatever is called done must be what it would have been without the fault. */
static enum came try(const struct service *service, size_t i, char *text, size_t size)
{
	struct outcome outcome;
	enum came came = REFUSED;

	box_run(service, tries[i].request, &outcome);
	/* a program that did not start at all is no weaker box either */
	if (outcome.end == LAUNCH_DONE && !outcome.result.verdict.exec_errno)
		came = outcome.status == tries[i].status &&
				       (!tries[i].promises || strstr(outcome.out, "as promised\n"))
			       ? RIGHT
			       : WRONG;
	if (came == WRONG)
		snprintf(text, size, "hostile %s: %s, exit code %d, signal %d, exec %d: %.200s",
			 tries[i].request->arguments, job_status_name(outcome.status),
			 outcome.result.verdict.exit_code, outcome.result.verdict.signal,
			 outcome.result.verdict.exec_errno, outcome.out);
	outcome_done(&outcome);
	return came;
}

/* strace counts by process, so a fault in set-up comes again in each new box: two
 * refusals are enough to know. */
static bool all_right(const struct service *service, char *text, size_t size)
{
	unsigned refused = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(tries) && refused < 2; i++) {
		enum came came = try(service, i, text, size);

		if (came == WRONG)
			return false;
		refused += came == REFUSED;
	}
	return true;
}

/* ---- steps ---- */

static void fail_step(const char *name)
{
	char variable[200], text[400] = "";
	const char *const environment[] = { variable, NULL };
	const struct service_options options = {
		.slots = 1,
		.program = ground.faults,
		.environment = environment,
	};
	const struct request request = { .arguments = "print", .wait_ms = 1000 };
	static struct service service;
	struct outcome outcome;
	unsigned looks;
	bool good;

	snprintf(variable, sizeof variable, "SANDPOOL_TEST_FAIL_STEP=%s", name);
	good = service_spawn(&options, &service);
	pause_ms(500);
	box_run(&service, &request, &outcome);
	if (outcome.end == LAUNCH_DONE) {
		snprintf(text, sizeof text, "it ran: %s", job_status_name(outcome.status));
		good = false;
	}
	outcome_done(&outcome);
	for (looks = 0; good && looks < 100 && !service_said(&service, name); looks++)
		pause_ms(100);
	if (good && !service_said(&service, name)) {
		snprintf(text, sizeof text, "the log does not name the step");
		good = false;
	}
	service_stop(&service);
	if (!nothing_lives(&service)) {
		snprintf(text, sizeof text, "something lives on");
		good = false;
	}
	if (!tap_ok(good, "143 %s", name)) {
		tap_note("%s", text);
		service_log_tail(&service);
	}
	service_kill_all(&service);
	service_forget(&service);
}

static void fail_every_step(void)
{
	unsigned i;

	for (i = 0; setup_step_name(i); i++)
		fail_step(setup_step_name(i));
}

/* ---- system calls ---- */

static pid_t the_keeper(const struct service *service)
{
	static struct census census;
	const pid_t master = service_master(service);
	size_t i;

	census_take(service, &census);
	for (i = 0; i < census.service_count; i++)
		if (census.service[i].pid != master && census.service[i].parent == master)
			return census.service[i].pid;
	return 0;
}

static bool traced(void *data)
{
	char path[32], text[4096];
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/status", *(pid_t *)data);
	if (io_read_text_at(AT_FDCWD, path, text, sizeof text) <= 0)
		return true; /* gone: no need to wait */
	at = strstr(text, "TracerPid:\t");
	return at && atoi(at + 11) != 0;
}

/* strace on the keeper; inject NULL: only writes down what is called. */
static pid_t attach(pid_t keeper, const char *file, const char *what)
{
	char number[16];
	const char *argv[] = { "strace", "-f", "-q", "-b", "execve", "-o",
			       file,	 "-e", what, "-p", number,   NULL };
	pid_t pid;

	snprintf(number, sizeof number, "%d", keeper);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		signals_as_usual();
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	until(traced, &keeper, 3000);
	return pid;
}

static void detach(pid_t strace)
{
	kill(strace, SIGTERM);
	waitpid(strace, NULL, 0);
}

#define CALLS_MAX 200

struct call {
	char name[32];
	unsigned most; /* by one process */
};

struct calls {
	struct call item[CALLS_MAX];
	size_t count;
};

#define TRACED_MAX 256

/* Counts by process and call; the most of any process stays. */
static void count_call(struct calls *calls, pid_t pid, const char *name)
{
	static struct {
		pid_t pid;
		unsigned counts[CALLS_MAX];
	} seen[TRACED_MAX];
	static size_t seen_count;
	size_t i, p;

	for (i = 0; i < calls->count; i++)
		if (!strcmp(calls->item[i].name, name))
			break;
	if (i == CALLS_MAX)
		return;
	if (i == calls->count)
		snprintf(calls->item[calls->count++].name, sizeof calls->item[0].name, "%s",
			 name);
	for (p = 0; p < seen_count; p++)
		if (seen[p].pid == pid)
			break;
	if (p == TRACED_MAX)
		return;
	if (p == seen_count)
		seen[seen_count++].pid = pid;
	if (++seen[p].counts[i] > calls->item[i].most)
		calls->item[i].most = seen[p].counts[i];
}

/* What set-up and teardown call: one line each, "PID name(…". */
static bool observe(const struct service *service, struct calls *calls)
{
	/* these do not fail, or are the end; a close that says it failed has closed all
	 * the same, which strace cannot play */
	static const char *const never[] = { "exit",   "exit_group", "rt_sigreturn", "getpid",
					     "gettid", "execve",     "close" };
	char file[96], line[4096], text[400], name[32];
	pid_t strace;
	FILE *trace;
	int pid;
	size_t i;
	bool good;

	snprintf(file, sizeof file, "%s/trace", ground.root);
	strace = attach(the_keeper(service), file, "trace=all");
	good = all_right(service, text, sizeof text);
	detach(strace);
	trace = fopen(file, "re");
	while (trace && fgets(line, sizeof line, trace)) {
		if (sscanf(line, "%d %31[a-z0-9_](", &pid, name) != 2)
			continue;
		for (i = 0; i < ARRAY_LEN(never); i++)
			if (!strcmp(name, never[i]))
				break;
		if (i == ARRAY_LEN(never))
			count_call(calls, pid, name);
	}
	if (trace)
		fclose(trace);
	return good && calls->count > 0;
}

/* With one fault in force: all right or refused, then soon all as before. */
static bool survives(const struct service *service, const struct census *before,
		     const char *inject, char *text, size_t size)
{
	pid_t strace = attach(the_keeper(service), "/dev/null", inject);
	bool good = all_right(service, text, size);
	char later[400];

	detach(strace);
	if (!service_ready((struct service *)(uintptr_t)service, later, sizeof later)) {
		snprintf(text, size, "it does not come back: %s", later);
		return false;
	}
	return good && census_returns(service, before, text, size);
}

/* By default the first of a row of the same call, the last, and one between. */
static bool chosen(unsigned n, unsigned most)
{
	return extent == EXTENT_FULL || n == 1 || n == most || n == (most + 1) / 2;
}

static void fail_call(const struct service *service, struct census *before,
		      const struct call *call, unsigned *turn)
{
	char inject[128], text[500] = "";
	unsigned n, e, tried = 0;
	bool good = true;

	for (n = 1; n <= call->most && good; n++) {
		if (!chosen(n, call->most))
			continue;
		for (e = 0; e < ARRAY_LEN(errnos) && good; e++) {
			const char *code = errnos[(*turn)++ % ARRAY_LEN(errnos)];

			snprintf(inject, sizeof inject, "inject=%s:error=%s:when=%u",
				 call->name, code, n);
			good = survives(service, before, inject, text, sizeof text);
			tried++;
			if (extent != EXTENT_FULL)
				break;
		}
	}
	if (!tap_ok(good, "143b %s, %u times", call->name, tried)) {
		tap_note("%s: %s", inject, text);
		service_log_tail(service);
		census_settled(service, before); /* so that one leak is told once */
	}
}

/* Another first digit in what is written: the read-back must notice. */
static void change_writes(const struct service *service, const struct census *before,
			  const struct calls *calls)
{
	static const char *const names[] = { "write", "pwrite64" };
	char inject[128], text[500] = "";
	unsigned n, tried = 0;
	size_t i, k;
	bool good = true;

	for (i = 0; i < ARRAY_LEN(names); i++)
		for (k = 0; k < calls->count; k++) {
			if (strcmp(calls->item[k].name, names[i]) != 0)
				continue;
			for (n = 1; n <= calls->item[k].most && good; n++) {
				snprintf(inject, sizeof inject,
					 "inject=%s:poke_enter=@arg2=39:when=%u", names[i], n);
				good = survives(service, before, inject, text, sizeof text);
				tried++;
			}
		}
	if (!tap_ok(good && tried > 0, "146 %s, %u times", rows[2].name, tried)) {
		tap_note("%s: %s", inject, text);
		service_log_tail(service);
	}
}

static void fail_every_call(void)
{
	const struct service_options options = { .slots = 1 };
	static struct service service;
	static struct census before;
	static struct calls calls;
	char text[400];
	unsigned turn = 0;
	bool seen;
	size_t i;

	if (access("/usr/bin/strace", X_OK) < 0) {
		tap_skip("143b no strace");
		return;
	}
	if (!tap_ok(service_start(&options, &service, text, sizeof text), "143b it starts")) {
		tap_note("%s", text);
		return;
	}
	seen = observe(&service, &calls) && census_settled(&service, &before);
	if (tap_ok(seen, "143b %zu system calls are made", calls.count)) {
		for (i = 0; i < calls.count; i++)
			fail_call(&service, &before, &calls.item[i], &turn);
		change_writes(&service, &before, &calls);
	}
	tap_ok(service_stop(&service) == 0, "143b it ends well");
	tap_ok(nothing_lives(&service), "143b nothing lives on");
}

int main(int argc, char **argv)
{
	size_t i;
	int at;

	for (at = 1; at < argc; at++) {
		if (!strcmp(argv[at], "--list")) {
			for (i = 0; i < ARRAY_LEN(rows); i++)
				printf("%-5s %s: %s\n", rows[i].number, rows[i].name,
				       rows[i].promise);
			return 0;
		}
		if (!strcmp(argv[at], "--full"))
			extent = EXTENT_FULL;
		if (!strcmp(argv[at], "--guest"))
			extent = EXTENT_GUEST;
	}
	ground_make();
	fail_every_step();
	fail_every_call();
	return tap_done();
}
