/* SPDX-License-Identifier: ISC */
/* To be preloaded: the wall clock jumps by an hour, to and fro, each time that it
 * is read. Whoever measures time by it goes wrong at once. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t step(void)
{
	static const time_t steps[] = { 3600, -3600, 0, -7200, 7200 };
	static unsigned turn;

	return steps[__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % 5];
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, now);

	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += step();
	return rc;
}

int gettimeofday(struct timeval *now, void *zone)
{
	int rc = (int)syscall(SYS_gettimeofday, now, zone);

	if (rc == 0)
		now->tv_sec += step();
	return rc;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
