/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Only this file of the FastCGI side knows libseccomp. */
#define _GNU_SOURCE
#include "fcgi/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define TMPFILE_BIT 020000000u /* O_TMPFILE without the O_DIRECTORY it contains */

enum {
	TESTS_MAX = 2,
	CALL_NAME_SIZE = 32,
};

/* Holds when (argument & mask) == value; mask 0: no test. */
struct test {
	unsigned arg;
	uint64_t mask;
	uint64_t value;
};

struct rule {
	const char *calls; /* names with blanks between */
	uint32_t action;
	struct test test[TESTS_MAX]; /* all must hold */
	const char *reason;
};

/* 32-bit arguments: the kernel drops the upper half, so it must not count. */
#define IS(n, v)      { (n), 0xffffffffu, (uint32_t)(v) }
#define NO_BITS(n, b) { (n), (uint32_t)(b), 0 }
#define NULL_PTR(n)   { (n), UINT64_MAX, 0 }

#define ALLOW(names, why) { .calls = names, .action = SCMP_ACT_ALLOW, .reason = why }
#define ALLOW_IF(names, why, ...)                                                             \
	{ .calls = names, .action = SCMP_ACT_ALLOW, .test = { __VA_ARGS__ }, .reason = why }
#define FCNTL(command, why) ALLOW_IF("fcntl", why, IS(1, command))
#define SOCKET_OPTION(option, why)                                                            \
	ALLOW_IF("setsockopt", why, IS(1, SOL_SOCKET), IS(2, option))

static const struct rule rules[] = {
	ALLOW("read readv pread64 write writev pwrite64 lseek close close_range ftruncate",
	      "requests, answers, memory files, the log"),
	ALLOW("dup dup2 dup3 pipe pipe2 eventfd2 memfd_create",
	      "a run's pipes and payload files"),
	ALLOW("fstat stat lstat newfstatat statx access faccessat faccessat2 getdents64 getcwd "
	      "readlink readlinkat",
	      "the language table is read again when it changes"),
	ALLOW("poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait "
	      "timerfd_create timerfd_settime timerfd_gettime",
	      "waiting for a client, a box and a time limit at once"),
	ALLOW("accept accept4 connect shutdown sendto recvfrom sendmsg recvmsg getsockname "
	      "getpeername getsockopt",
	      "nginx's socket and the sandbox daemon's; bind and listen are over"),
	ALLOW("munmap mremap madvise brk", "memory"),
	ALLOW("clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time "
	      "setitimer getitimer alarm",
	      "clocks and watchdogs"),
	ALLOW("rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend "
	      "rt_sigtimedwait sigaltstack signalfd4 pause restart_syscall",
	      "the drain signal, and the crash handler"),
	ALLOW("futex set_robust_list get_robust_list membarrier sched_yield", "locks of libc"),
	ALLOW("getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid uname "
	      "sysinfo sched_getaffinity getcpu getrusage getrlimit getrandom",
	      "facts"),
	ALLOW("exit exit_group", "leaving"),

	ALLOW_IF("socket", "towards the sandbox daemon", IS(0, AF_UNIX)),
	ALLOW_IF("open", "configuration and keys, read only",
		 NO_BITS(1, O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT)),
	ALLOW_IF("openat", "configuration and keys, read only",
		 NO_BITS(2, O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT)),
	ALLOW_IF("mmap mprotect", "memory that is never executed", NO_BITS(2, PROT_EXEC)),
	ALLOW_IF("fchmod", "a run's pipes may be opened by the program", IS(1, 0666)),
	ALLOW_IF("prlimit64", "reading one's own limits", IS(0, 0), NULL_PTR(2)),

	FCNTL(F_DUPFD, "as dup"),
	FCNTL(F_DUPFD_CLOEXEC, "as dup"),
	FCNTL(F_GETFD, "close on exec"),
	FCNTL(F_SETFD, "close on exec"),
	FCNTL(F_GETFL, "non-blocking mode"),
	FCNTL(F_SETFL, "non-blocking mode"),
	FCNTL(F_ADD_SEALS, "payload files are sealed before they are passed on"),
	FCNTL(F_GET_SEALS, "and looked at when they come back"),
	FCNTL(F_SETPIPE_SZ, "room in a run's pipes"),
	FCNTL(F_GETPIPE_SZ, "room in a run's pipes"),
	FCNTL(F_GETLK, "libfcgi locks around accept when it is told to"),
	FCNTL(F_SETLK, "libfcgi locks around accept when it is told to"),
	FCNTL(F_SETLKW, "libfcgi locks around accept when it is told to"),

	SOCKET_OPTION(SO_RCVTIMEO, "a silent peer is cut off"),
	SOCKET_OPTION(SO_SNDTIMEO, "a stalled reader is cut off"),
	SOCKET_OPTION(SO_RCVBUF, "buffer size"),
	SOCKET_OPTION(SO_SNDBUF, "buffer size"),
	SOCKET_OPTION(SO_PASSCRED, "who the peer is"),

	ALLOW_IF("ioctl", "bytes to read", IS(1, FIONREAD)),
	ALLOW_IF("ioctl", "non-blocking mode", IS(1, FIONBIO)),
	ALLOW_IF("ioctl", "stdio asks whether stderr is a terminal", IS(1, TCGETS)),

	ALLOW_IF("prctl", "the name that ps shows", IS(0, PR_SET_NAME)),
	ALLOW_IF("prctl", "libc names its mappings", IS(0, PR_SET_VMA)),

	{ .calls = "execve execveat", .action = SCMP_ACT_KILL_PROCESS,
	  .reason = "no bug of ours executes a program: this is a break-in" },
};

/* Takes the next name off a row's list; false at its end. */
static bool next_call(const char **list, char name[CALL_NAME_SIZE])
{
	size_t len;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	if (len == 0 || len >= CALL_NAME_SIZE)
		return false;
	memcpy(name, *list, len);
	name[len] = '\0';
	*list += len;
	return true;
}

static int add_call(scmp_filter_ctx ctx, const char *name, const struct rule *rule,
		    struct error *err)
{
	int nr = seccomp_syscall_resolve_name(name);
	struct scmp_arg_cmp cmp[TESTS_MAX];
	unsigned count = 0;
	int rc;

	if (nr == __NR_SCMP_ERROR)
		return error_set(err, EINVAL, "%s: no such system call", name);
	if (nr < 0)
		return 0; /* not on this architecture */
	for (; count < TESTS_MAX && rule->test[count].mask; count++)
		cmp[count] = (struct scmp_arg_cmp){
			.arg = rule->test[count].arg,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = rule->test[count].mask,
			.datum_b = rule->test[count].value,
		};
	rc = seccomp_rule_add_array(ctx, rule->action, nr, count, cmp);
	if (rc < 0)
		return error_set(err, -rc, "%s: %s: %s", name, rule->reason, strerror(-rc));
	return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct rule *rule, struct error *err)
{
	const char *list = rule->calls;
	char name[CALL_NAME_SIZE];

	while (next_call(&list, name))
		if (add_call(ctx, name, rule, err) < 0)
			return -1;
	return 0;
}

static int add_rules(scmp_filter_ctx ctx, struct error *err)
{
	/* abort() signals the process itself; siblings have the same user id. */
	struct rule own = ALLOW_IF("tgkill", "abort", IS(0, getpid()));

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (add_rule(ctx, &rules[i], err) < 0)
			return -1;
	return add_rule(ctx, &own, err);
}

static int load(scmp_filter_ctx ctx, struct error *err)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc < 0)
		return error_set(err, -rc, "filter attribute: %s", strerror(-rc));
	if (add_rules(ctx, err) < 0)
		return -1;
	rc = seccomp_load(ctx); /* sets no_new_privs first */
	return rc < 0 ? error_set(err, -rc, "load: %s", strerror(-rc)) : 0;
}

int confine_worker(struct error *err)
{
	scmp_filter_ctx ctx;
	int rc;

	/* Otherwise a worker could read another's memory, and with it other people's
	 * code, through /proc: they run as the same user. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return error_errno(err, "confine worker: not dumpable");
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return error_set(err, ENOMEM, "confine worker: no memory");
	rc = load(ctx, err);
	seccomp_release(ctx);
	return rc < 0 ? error_wrap(err, "confine worker") : 0;
}
