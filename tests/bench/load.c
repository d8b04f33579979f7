/* SPDX-License-Identifier: ISC */
/* Programs for the measurements that need more than an end: linked statically.
 *	sleep   prints a line and sleeps
 *	print   prints 64 MiB by writes of 64 KiB
 *	mib     prints 1 MiB
 *	nap     sleeps for 100 ms
 *	clock   prints the monotonic clock in microseconds
 *	bomb    forks until it cannot, says so, and keeps trying in every process
 * Those that do harm, after a line and 300 ms in which they can be looked at, and the
 * clock, which tells when they began or, where that is the cause, ended:
 *	forks threads deaf stopped sleeper spin children hog MIB endless daemon files */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int bomb(void)
{
	int told = 0;

	for (;;)
		if (fork() < 0 && !told) {
			told = 1;
			if (write(1, "x", 1) != 1)
				return 1;
		}
}

static int print(int blocks)
{
	static char block[65536];
	int i;

	memset(block, 'x', sizeof block);
	for (i = 0; i < blocks; i++)
		if (write(1, block, sizeof block) != (ssize_t)sizeof block)
			return 1;
	return 0;
}

static void tell_clock(void)
{
	struct timespec now;
	char text[40];
	int size;

	clock_gettime(CLOCK_MONOTONIC, &now);
	size = snprintf(text, sizeof text, "%lld\n",
	                (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	if (write(1, text, (size_t)size) != size)
		_exit(1);
}

/* ---- harm ---- */

static void forks(void)
{
	for (;;)
		fork();
}

static void *turn(void *data)
{
	for (;;)
		;
	return data;
}

static void threads(void)
{
	pthread_t thread;

	while (pthread_create(&thread, NULL, turn, NULL) == 0)
		;
	turn(NULL);
}

static void deaf(void)
{
	sigset_t all;
	int n;

	for (n = 1; n < 65; n++)
		signal(n, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (;;)
		pause();
}

static void stopped(void)
{
	raise(SIGSTOP);
	pause();
}

static void sleeper(void)
{
	pause();
}

static void spin(void)
{
	turn(NULL);
}

/* Each of them takes too little to be seen by itself. */
static void children(void)
{
	for (;;) {
		pid_t pid = fork();
		volatile int n;

		if (pid == 0) {
			for (n = 0; n < 100000; n++)
				;
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void touch(size_t mib)
{
	char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory != MAP_FAILED)
		memset(memory, 'x', mib << 20);
}

static void endless(void)
{
	while (print(1024) == 0)
		;
}

static void daemon_stays(void)
{
	if (fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
	tell_clock();
	_exit(0);
}

static void files(void)
{
	char name[40];
	int n, fd;

	for (n = 0;; n++) {
		snprintf(name, sizeof name, "file%d", n);
		fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			break;
		close(fd);
	}
	tell_clock();
	_exit(0);
}

static int harm(const char *what, const char *word)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} rows[] = {
	        {"forks", forks},       {"threads", threads}, {"deaf", deaf},
	        {"stopped", stopped},   {"sleeper", sleeper}, {"spin", spin},
	        {"children", children}, {"endless", endless}, {"daemon", daemon_stays},
	        {"files", files},
	};
	size_t i;

	if (write(1, "here\n", 5) != 5)
		return 1;
	usleep(300000);
	if (!strcmp(what, "hog")) {
		touch((size_t)atoi(word));
		tell_clock();
		for (;;)
			touch(1);
	}
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (strcmp(what, rows[i].name) != 0)
			continue;
		if (rows[i].run != daemon_stays && rows[i].run != files)
			tell_clock();
		rows[i].run();
	}
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "bomb"))
		return bomb();
	if (!strcmp(what, "sleep"))
		return write(1, "x\n", 2) == 2 ? (int)sleep(60) : 1;
	if (!strcmp(what, "print"))
		return print(1024);
	if (!strcmp(what, "mib"))
		return print(16);
	if (!strcmp(what, "nap"))
		return usleep(100000);
	if (!strcmp(what, "clock")) {
		tell_clock();
		return 0;
	}
	return harm(what, argc > 2 ? argv[2] : "0");
}
