/* SPDX-License-Identifier: ISC */
/* Programs for the measurements that need more than an end: linked statically.
 *	bomb    forks until it cannot, says so, and keeps trying in every process
 *	sleep   prints a line and sleeps
 *	print   prints 64 MiB by writes of 64 KiB
 *	mib     prints 1 MiB
 *	nap     sleeps for 100 ms
 *	clock   prints the monotonic clock in microseconds */
#include <stdio.h>
#include <string.h>
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

static int clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%lld\n", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	return 0;
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
	if (!strcmp(what, "clock"))
		return clock_now();
	return 2;
}
