/* SPDX-License-Identifier: ISC */
/* Cases 1 to 20: the kernel's attack surface.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACK(n, what, result, words, ...)                                                    \
	{                                                                                      \
		.number = n, .name = what, .promise = result, .request.arguments = words,      \
		__VA_ARGS__                                                                    \
	}

/* ---- 5: copies still work by their fall-back ---- */

static void copies_in_sh(struct trial *t)
{
	static const char code[] =
		"cp /etc/passwd a && cat a > b && dd if=b of=c bs=16 2>/dev/null\n"
		"install -m 600 c d && mv d /tmp/e && cmp /tmp/e /etc/passwd\n"
		"echo copied\n";
	const struct job_file file = { { "main.sh", 7 }, { code, sizeof code - 1 } };
	const struct request request = { .language = "sh", .files = &file, .files_count = 1 };
	struct outcome outcome;

	if (run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome))
		check(t, !strcmp(outcome.out, "copied\n"), "stdout: %.100s", outcome.out);
	outcome_done(&outcome);
}

static void copies_in_python(struct trial *t)
{
	static const char code[] = "import shutil, os\n"
				   "open('a', 'wb').write(b'x' * 100000)\n"
				   "shutil.copyfile('a', 'b'); shutil.copy2('b', 'c'); "
				   "shutil.move('c', '/tmp/d')\n"
				   "assert open('/tmp/d', 'rb').read() == b'x' * 100000\n"
				   "print('copied')\n";
	const struct job_file file = { { "main.py", 7 }, { code, sizeof code - 1 } };
	const struct request request = { .language = "python3",
					 .files = &file,
					 .files_count = 1 };
	struct outcome outcome;

	if (run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome))
		check(t, !strcmp(outcome.out, "copied\n"), "stdout: %.100s", outcome.out);
	outcome_done(&outcome);
}

/* ---- 6: keys do not pass from run to run ---- */

static void keys_by_turns(struct trial *t)
{
	run_promising(t, t->service, "6");
	run_promising(t, t->service, "6");
}

/* ---- 8: another architecture's calls ---- */

#ifdef __x86_64__
/* A kernel without the 32-bit entry ends the caller with SIGSEGV: then there is
 * nothing that the filter could be asked about. */
static bool kernel_takes_int80(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		long got;

		__asm__ volatile("int $0x80"
				 : "=a"(got)
				 : "a"(20L)
				 : "memory", "r8", "r9", "r10", "r11");
		_exit(got > 0 ? 0 : 1);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status);
}
#endif

static void killed_by_sigsys(struct trial *t, const char *arguments)
{
	struct request request = { .arguments = arguments };
	struct outcome outcome;

	if (run_expecting(t, t->service, &request, STATUS_RUNTIME_ERROR, 0, &outcome)) {
		check(t,
		      !outcome.result.verdict.exited && outcome.result.verdict.signal == SIGSYS,
		      "signal %d, exit code %d, expected SIGSYS", outcome.result.verdict.signal,
		      outcome.result.verdict.exit_code);
		check(t, !outcome.out[0], "it went on: %.100s", outcome.out);
	}
	outcome_done(&outcome);
}

static void int80(struct trial *t)
{
#ifdef __x86_64__
	if (kernel_takes_int80())
		killed_by_sigsys(t, "8-int80");
	else
		skip(t, "this kernel has no 32-bit calls");
#else
	skip(t, "this architecture has no 32-bit calls");
#endif
}

static void x32(struct trial *t)
{
#ifdef __x86_64__
	killed_by_sigsys(t, "8-x32");
#else
	skip(t, "this architecture has no x32 calls");
#endif
}

/* ---- 19: the fuzzer ---- */

static void fuzz(struct trial *t)
{
	const uint64_t seconds = extent == EXTENT_FULL ? 600 : extent == EXTENT_GUEST ? 5 : 20;
	const uint64_t end = clock_ms() + seconds * 1000;
	const struct request request = {
		.arguments = "19 4",
		.limits = { .wall_ms = 6000, .cpu_ms = 6000, .output_bytes = 64 << 10 },
	};
	char text[300];

	while (clock_ms() < end && t->problems == 0) {
		struct live live[TEST_SLOTS - 1] = { 0 };
		size_t i;

		for (i = 0; i < ARRAY_LEN(live); i++)
			live_start(&live[i], t->service, &request);
		for (i = 0; i < ARRAY_LEN(live); i++) {
			live_join(&live[i]);
			check(t, live[i].outcome.end == LAUNCH_DONE, "%s: %s",
			      end_name(live[i].outcome.end), live[i].outcome.err.text);
			outcome_done(&live[i].outcome);
		}
		check(t, kernel_log_clean(text, sizeof text), "kernel: %s", text);
	}
}

const struct box_case cases_kernel[] = {
	ATTACK("001", "io_uring", "ENOSYS", "1"),
	ATTACK("002", "bpf, perf_event_open, userfaultfd", "EPERM", "2"),
	ATTACK("003", "unshare, setns, clone, clone3",
	       "EPERM; clone3 ENOSYS; threads and posix_spawn work", "3"),
	ATTACK("004", "every socket family", "AF_UNIX alone; the others EAFNOSUPPORT", "4"),
	ATTACK("005", "splice, tee, vmsplice, sendfile", "EINVAL", "5"),
	{ .number = "005b",
	  .name = "copies in the shell",
	  .promise = "success by fall-back",
	  .run = copies_in_sh },
	{ .number = "005c",
	  .name = "copies in Python",
	  .promise = "success by fall-back",
	  .flags = CASE_NO_PYTHON,
	  .run = copies_in_python },
	{ .number = "006",
	  .name = "kernel keys",
	  .promise = "EPERM, in the next run too",
	  .run = keys_by_turns },
	ATTACK("007", "ptrace and its like", "EPERM", "7"),
	{ .number = "008",
	  .name = "32-bit calls",
	  .promise = "runtime_error, SIGSYS",
	  .run = int80 },
	{ .number = "008b",
	  .name = "x32 calls",
	  .promise = "runtime_error, SIGSYS",
	  .run = x32 },
	ATTACK("009", "terminal ioctls, with junk in the upper half", "EPERM", "9"),
	ATTACK("010", "every system call number, zeroes and garbage",
	       "as the policy says; unknown ones ENOSYS", "10",
	       .request.limits = { .wall_ms = 60000, .cpu_ms = 30000 }),
	ATTACK("011", "socket options that load code", "EPERM; SO_SNDBUF works", "11"),
	ATTACK("012", "priority-inheriting futexes", "ENOSYS; mutexes work", "12"),
	ATTACK("013", "out-of-band bytes on local sockets", "EOPNOTSUPP", "13"),
	ATTACK("014", "mount calls, old and new", "EPERM", "14"),
	ATTACK("015", "file handles", "EPERM", "15"),
	ATTACK("016", "personality, modify_ldt, iopl, ioperm",
	       "EPERM but for 0 and the query; modify_ldt ENOSYS", "16"),
	ATTACK("017", "administration of the host", "EPERM", "17"),
	ATTACK("018", "a second filter or listener", "EPERM", "18"),
	{ .number = "019",
	  .name = "random system calls in four slots",
	  .promise = "no kernel warning, nothing left",
	  .run = fuzz },
	ATTACK("020", "cgroupfs, debugfs, tracefs, securityfs, /sys",
	       "not there, not mountable", "20"),
	{ 0 },
};
