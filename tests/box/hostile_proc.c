/* SPDX-License-Identifier: ISC */
/* Cases 39 to 57: processes.
 * Runs as: the box's program. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static void pause_forever(void)
{
	for (;;)
		pause();
}

/* ---- 39 to 43: bombs and daemons ---- */

/* Counts how many processes may live beside us. */
static int case_39(char **words)
{
	int most = atoi(words[0]), count;
	pid_t pid = 0;

	for (count = 0; count < 2 * most + 10; count++) {
		pid = fork();
		if (pid == 0)
			pause_forever();
		if (pid < 0)
			break;
	}
	want("fork", pid, EAGAIN);
	say("%d beside us\n", count);
	if (count + 1 != most)
		differs("%d processes in all, %d granted", count + 1, most);
	return 0;
}

static ENDLESS int case_39_bomb(char **words)
{
	(void)words;
	say("bomb\n");
	for (;;)
		fork();
}

static void fork_on_signal(int signal)
{
	(void)signal;
	if (fork() == 0)
		setsid();
}

static ENDLESS int case_40(char **words)
{
	int i;

	(void)words;
	for (i = 1; i < 65; i++)
		signal(i, fork_on_signal);
	say("bomb\n");
	for (;;) {
		if (fork() == 0)
			setsid();
		kill(-1, SIGHUP + (int)(random_bits() % 15));
	}
}

static void become_daemon(void)
{
	if (fork() != 0)
		return;
	setsid();
	if (fork() != 0)
		_exit(0);
	pause_forever();
}

static int case_41(char **words)
{
	int i;

	(void)words;
	for (i = 0; i < 5; i++)
		become_daemon();
	return 0;
}

/* As 41, and the daemon goes on writing. */
static int case_42(char **words)
{
	(void)words;
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0) {
		setsid();
		for (;;) {
			if (write(1, "still here\n", 11) < 0)
				pause_forever();
			sleep_ms(20);
		}
	}
	say("leaving\n");
	return 0;
}

static ENDLESS int case_43(char **words)
{
	sigset_t all;
	int i;

	for (i = 1; i < 65; i++)
		signal(i, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	say("deaf\n");
	for (;;)
		if (words[0])
			sleep_ms(1000);
}

/* ---- 44 to 46: signals, and our init ---- */

static int case_44(char **words)
{
	static const int signals[] = { SIGSTOP, SIGKILL, SIGTERM, SIGSEGV, SIGTSTP };
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(signals); i++)
		want("signal to 1", kill(1, signals[i]), EPERM);
	for (i = 0; i < 3; i++)
		if (fork() == 0) {
			kill(getppid(), SIGCONT);
			raise(SIGSTOP);
			pause_forever();
		}
	sleep_ms(20);
	say("stopping\n");
	kill(-1, SIGSTOP);
	raise(SIGSTOP);
	return differs("it went on");
}

static int case_45(char **words)
{
	pid_t child = fork(), pid, own = getpid();
	int status;

	(void)words;
	if (child == 0)
		pause_forever();
	for (pid = 1; pid <= 100000; pid++) {
		if (pid == own || pid == child)
			continue;
		if (kill(pid, SIGKILL) == 0)
			differs("killed %d", pid);
	}
	want("own child", kill(child, SIGKILL), OK);
	want("waitpid", waitpid(child, &status, 0), OK);
	return 0;
}

static int case_45_all(char **words)
{
	int i;

	(void)words;
	for (i = 0; i < 8; i++)
		if (fork() == 0)
			pause_forever();
	want("kill -1", kill(-1, SIGKILL), OK);
	return 0;
}

static int case_45_group(char **words)
{
	(void)words;
	say("killing\n");
	kill(0, SIGKILL);
	return differs("survived");
}

static void init_files_are_shut(void)
{
	static const char *const names[] = {
		"mem",	     "maps",	"environ",     "auxv",	  "fd",	       "fd/0",
		"fd/3",	     "root",	"cwd",	       "exe",	  "stack",     "syscall",
		"smaps",     "io",	"ns/mnt",      "ns/user", "ns/pid",    "task/1/mem",
		"map_files", "pagemap", "personality", "fdinfo",  "mountinfo",
	};
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "/proc/1/%s", names[i]);
		want(path, open(path, O_RDONLY), EACCES, EPERM, ENOENT);
		want(path, open(path, O_RDWR), EACCES, EPERM, ENOENT, EROFS, EISDIR);
	}
}

static int case_46(char **words)
{
	struct rlimit limit = { 0, 0 };
	cpu_set_t set;
	siginfo_t info;
	long fd;
	int i;

	(void)words;
	init_files_are_shut();
	memset(&info, 0, sizeof info);
	info.si_code = SI_QUEUE;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	want("kill 1", kill(1, SIGKILL), EPERM);
	want("kill 1, 0", kill(1, 0), EPERM);
	want("sigqueueinfo", CALL(SYS_rt_sigqueueinfo, 1, SIGKILL, (long)&info), EPERM);
	want("tgkill", CALL(SYS_tgkill, 1, 1, SIGKILL), EPERM);
	want("prlimit", prlimit(1, RLIMIT_NOFILE, &limit, NULL), EPERM);
	want("prlimit read", prlimit(1, RLIMIT_NOFILE, NULL, &limit), EPERM);
	want("setpriority", setpriority(PRIO_PROCESS, 1, 19), EPERM);
	want("sched_setaffinity", sched_setaffinity(1, sizeof set, &set), EPERM);
	want("setpgid", setpgid(1, 0), ESRCH, EPERM, EACCES);
	want("ptrace", CALL(SYS_ptrace, 16, 1), EPERM);
	/* a handle on init may be had, but nothing goes through it */
	fd = CALL(SYS_pidfd_open, 1, 0);
	want("pidfd_open", fd, OK, EPERM, EACCES, ENOENT);
	if (fd >= 0) {
		want("pidfd_send_signal", CALL(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0),
		     EPERM);
		want("pidfd_getfd", CALL(SYS_pidfd_getfd, fd, 3, 0), EPERM);
		want("setns", CALL(SYS_setns, fd, 0x20000), EPERM);
		close((int)fd);
	}
	/* a forged verdict would need a way to the keeper */
	for (i = 3; i < 1024; i++)
		if (write(i, "\0\0\0\0\0\0\0\0", 8) >= 0)
			differs("descriptor %d takes bytes", i);
	return 0;
}

/* ---- 47 to 50: counts ---- */

static int case_47(char **words)
{
	int most = atoi(words[0]), count;
	pid_t pid = 0;

	for (count = 0; count < 2 * most; count++) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid < 0)
			break;
	}
	want("fork", pid, EAGAIN);
	if (count + 1 != most)
		differs("%d zombies beside us, %d processes granted", count, most);
	return 0;
}

static void *thread_sleep(void *data)
{
	pause_forever();
	return data;
}

static int case_49(char **words)
{
	int most = atoi(words[0]), count, rc = 0;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 8 * MIB);
	for (count = 0; count < 10000 && rc == 0; count++)
		rc = pthread_create(&thread, &attr, thread_sleep, NULL);
	if (rc != EAGAIN)
		differs("thread %d: %s", count, strerror(rc));
	if (count != most)
		differs("%d threads, %d granted", count, most);
	return 0;
}

/* The child becomes a child of our init. Its end must not be taken for ours. */
static int case_50_parent(char **words)
{
	static const long flags[] = {
		CLONE_PARENT | SIGCHLD,
		CLONE_PARENT,
		CLONE_PARENT | CLONE_UNTRACED | SIGCHLD,
		CLONE_PARENT | SIGKILL,
		CLONE_PARENT | SIGSTOP,
	};
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(flags); i++) {
		long pid = CALL(SYS_clone, flags[i], 0);

		if (pid == 0)
			_exit(7);
		want("clone", pid, OK);
	}
	sleep_ms(100);
	return 0;
}

static int case_50_signals(char **words)
{
	static const int signals[] = { 0, SIGUSR1, 34, 64, SIGCONT };
	size_t i;

	(void)words;
	for (i = 1; i < 32; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal((int)i, SIG_IGN);
	signal(34, SIG_IGN);
	signal(64, SIG_IGN);
	for (i = 0; i < ARRAY_LEN(signals); i++) {
		long pid = CALL(SYS_clone, signals[i] | CLONE_UNTRACED, 0);
		int status;

		if (pid == 0)
			_exit(3);
		want("clone", pid, OK);
		if (pid > 0)
			want("wait", waitpid((pid_t)pid, &status, __WALL), OK, ECHILD);
	}
	return 0;
}

static void *thread_exec(void *data)
{
	char *argv[] = { (char *)"hostile", (char *)"exit", (char *)"5", NULL };

	execve("/t/hostile", argv, environ);
	return data;
}

static int case_50_exec(char **words)
{
	pthread_t thread;

	(void)words;
	if (pthread_create(&thread, NULL, thread_exec, NULL) != 0)
		return differs("pthread_create");
	pause_forever();
	return 0;
}

/* The first thread leaves; the program is what its other threads do. */
static void *thread_late(void *data)
{
	sleep_ms(100);
	_exit(6);
	return data;
}

static int case_50_leader(char **words)
{
	pthread_t thread;

	(void)words;
	if (pthread_create(&thread, NULL, thread_late, NULL) != 0)
		return differs("pthread_create");
	CALL(SYS_exit, 9);
	return 0;
}

static int case_exit(char **words)
{
	_exit(words[0] ? atoi(words[0]) : 0);
}

/* ---- 51, 52: what we are started with ---- */

static int case_51(char **words)
{
	char text[4096], *line;
	int fd, tty = -1;

	(void)words;
	if (read_text("/proc/self/status", text, sizeof text) < 0)
		return differs("/proc/self/status");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strncmp(line, "Sig", 3) && strncmp(line, "SigQ", 4) != 0 &&
		    strspn(line + 8, "0") != strlen(line + 8))
			differs("%s", line);
		if (!strncmp(line, "Umask:", 6) && strcmp(line + 7, "0022") != 0)
			differs("%s", line);
		if (!strncmp(line, "NoNewPrivs:", 11) && line[12] != '1')
			differs("%s", line);
		if (!strncmp(line, "Seccomp:", 8) && line[9] != '2')
			differs("%s", line);
		if (!strncmp(line, "TracerPid:", 10) && line[11] != '0')
			differs("%s", line);
	}
	errno = 0;
	if (getpriority(PRIO_PROCESS, 0) < 0 || getpriority(PRIO_PROCESS, 0) > 5)
		differs("nice %d", getpriority(PRIO_PROCESS, 0));
	if (sched_getscheduler(0) != SCHED_OTHER)
		differs("scheduling class %d", sched_getscheduler(0));
	if (getsid(0) <= 0)
		differs("session %d", getsid(0));
	fd = open("/dev/tty", O_RDWR);
	want("/dev/tty", fd, ENOENT, ENXIO, EACCES);
	if (read_text("/proc/self/stat", text, sizeof text) < 0 ||
	    sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %d", &tty) != 1 || tty != 0)
		differs("terminal %d", tty);
	if (read_text("/proc/self/oom_score_adj", text, sizeof text) < 0 || atoi(text) != 1000)
		differs("oom_score_adj %s", text);
	return 0;
}

static int case_52(char **words)
{
	static const char *const names[] = { "PATH=", "HOME=", "TMPDIR=", "LANG=", "TERM=" };
	char **word;
	size_t i, seen = 0;

	(void)words;
	for (word = environ; *word; word++) {
		for (i = 0; i < ARRAY_LEN(names); i++)
			if (!strncmp(*word, names[i], strlen(names[i])))
				break;
		if (i == ARRAY_LEN(names))
			differs("the environment has %s", *word);
		seen++;
	}
	if (seen != ARRAY_LEN(names))
		differs("%zu variables", seen);
	if (!getenv("HOME") || strcmp(getenv("HOME"), "/box") != 0)
		differs("HOME");
	return 0;
}

/* The second fence: limits of the process itself. */
static int case_52_limits(char **words)
{
	static const struct {
		const char *name;
		__rlimit_resource_t resource;
		rlim_t soft, hard; /* RLIM_INFINITY: not looked at */
	} list[] = {
		{ "CORE", RLIMIT_CORE, 1, 1 }, /* at most */
		{ "NOFILE", RLIMIT_NOFILE, 1024, 1024 },
		{ "STACK", RLIMIT_STACK, 64 * MIB, 64 * MIB },
		{ "MEMLOCK", RLIMIT_MEMLOCK, 65536, 65536 },
		{ "MSGQUEUE", RLIMIT_MSGQUEUE, 65536, 65536 },
		{ "SIGPENDING", RLIMIT_SIGPENDING, 256, 256 },
		{ "NICE", RLIMIT_NICE, 0, 0 },
		{ "RTPRIO", RLIMIT_RTPRIO, 0, 0 },
		{ "FSIZE", RLIMIT_FSIZE, 64 * MIB, 64 * MIB },
	};
	struct rlimit got;
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(list); i++) {
		if (getrlimit(list[i].resource, &got) < 0 || got.rlim_cur > list[i].soft ||
		    got.rlim_max > list[i].hard)
			differs("%s: %llu, %llu", list[i].name,
				(unsigned long long)got.rlim_cur,
				(unsigned long long)got.rlim_max);
		got.rlim_max = RLIM_INFINITY;
		if (setrlimit(list[i].resource, &got) == 0)
			differs("%s can be raised", list[i].name);
	}
	if (getrlimit(RLIMIT_AS, &got) < 0 || got.rlim_cur != RLIM_INFINITY)
		differs("AS is limited");
	return 0;
}

static int case_54(char **words)
{
	(void)words;
	say("aborting\n");
	abort();
}

static int case_55(char **words)
{
	struct sched_param real_time = { .sched_priority = 1 };
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} deadline = { 48, 6, 0, 0, 0, 1000000, 10000000, 10000000 };

	(void)words;
	want("nice -20", setpriority(PRIO_PROCESS, 0, -20), EPERM, EACCES);
	want("nice -1", setpriority(PRIO_PROCESS, 0, -1), EPERM, EACCES);
	want("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &real_time), EPERM);
	want("SCHED_RR", sched_setscheduler(0, SCHED_RR, &real_time), EPERM);
	want("SCHED_DEADLINE", CALL(SYS_sched_setattr, 0, (long)&deadline, 0), EPERM);
	want("ioprio RT", CALL(SYS_ioprio_set, 1, 0, 1 << 13), EPERM);
	want("nice 19", setpriority(PRIO_PROCESS, 0, 19), OK);
	return 0;
}

/* Every fence in one look: a box in which one is missing is a weaker box. */
static int case_fence(char **words)
{
	char name[64];
	DIR *dir;
	const struct dirent *entry;
	int fd;

	want("unshare", CALL(SYS_unshare, 0x10000000), EPERM);
	want("mount", CALL(SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0), EPERM);
	want("socket", CALL(SYS_socket, 2, 1, 0), EAFNOSUPPORT);
	want("setuid", CALL(SYS_setuid, 0), EPERM);
	want("/etc/passwd", open("/etc/passwd", O_WRONLY), EACCES, EROFS);
	want("/sys/kernel", access("/sys/kernel", F_OK), ENOENT);
	want("/t/open/new", access("/t/open/new", F_OK), ENOENT);
	want("/dev/shm", open("/dev/shm/x", O_WRONLY | O_CREAT, 0600), OK);
	want("/tmp", open("/tmp/x", O_WRONLY | O_CREAT, 0600), OK);
	if (gethostname(name, sizeof name) < 0 || strcmp(name, "box") != 0)
		differs("host name %s", name);
	for (fd = 6; fd < 100; fd++) /* 3, 4 and 5 are ours by now */
		want("descriptor", fcntl(fd, F_GETFD), EBADF);
	dir = opendir("/proc");
	while (dir && (entry = readdir(dir)) != NULL)
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			differs("process %s is seen", entry->d_name);
	if (!dir)
		differs("no /proc");
	if (getuid() != 1000 || getgid() != 1000 || getppid() != 1)
		differs("ids %u %u, parent %d", getuid(), getgid(), getppid());
	case_51(words);
	case_52(words);
	case_52_limits(words);
	return case_39(words);
}

/* Stays until it is ended; says that it is there. */
static int case_stay(char **words)
{
	say("%s\n", words[0] ? words[0] : "here");
	sleep_ms(60000);
	return 0;
}

static int case_sleep(char **words)
{
	sleep_ms(words[0] ? atol(words[0]) : 0);
	say("slept\n");
	return 0;
}

const struct attack attacks_proc[] = {
	{ "39", case_39 },
	{ "39-bomb", case_39_bomb },
	{ "40", case_40 },
	{ "41", case_41 },
	{ "42", case_42 },
	{ "43", case_43 },
	{ "44", case_44 },
	{ "45", case_45 },
	{ "45-all", case_45_all },
	{ "45-group", case_45_group },
	{ "46", case_46 },
	{ "47", case_47 },
	{ "49", case_49 },
	{ "50-parent", case_50_parent },
	{ "50-signals", case_50_signals },
	{ "50-exec", case_50_exec },
	{ "50-leader", case_50_leader },
	{ "exit", case_exit },
	{ "51", case_51 },
	{ "52", case_52 },
	{ "52-limits", case_52_limits },
	{ "54", case_54 },
	{ "55", case_55 },
	{ "fence", case_fence },
	{ "stay", case_stay },
	{ "sleep", case_sleep },
	{ NULL, NULL },
};
