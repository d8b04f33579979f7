/* SPDX-License-Identifier: ISC */
/* What a test program prints, in TAP, and its exit code.
 *
 *	tap_plan(2);
 *	tap_ok(1 + 1 == 2, "addition works");
 *	tap_skip("needs root");
 *	return tap_done();
 *
 * Without tap_plan() the plan is printed by tap_done(); a program that dies on the
 * way then still fails, because a plan is missing. For one process: a forked child
 * tells its parent what it found, and does not call these. */
#ifndef SANDPOOL_TESTS_TAP_H
#define SANDPOOL_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	unsigned planned, run, failed;
	bool has_plan;
} tap_state;

static inline void tap_plan(unsigned count)
{
	tap_state.planned = count;
	tap_state.has_plan = true;
	printf("1..%u\n", count);
	fflush(stdout);
}

__attribute__((format(printf, 2, 0)))
static inline void tap_line(const char *verdict, const char *fmt, va_list ap)
{
	printf("%s %u - ", verdict, ++tap_state.run);
	vprintf(fmt, ap);
}

/* Returns holds, so that a test can stop where going on makes no sense. */
__attribute__((format(printf, 2, 3)))
static inline bool tap_ok(bool holds, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_line(holds ? "ok" : "not ok", fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_state.failed += !holds;
	return holds;
}

/* A line that explains; it counts for nothing. */
__attribute__((format(printf, 1, 2)))
static inline void tap_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* One test that cannot be made here, and why. */
__attribute__((format(printf, 1, 2)))
static inline void tap_skip(const char *fmt, ...)
{
	va_list ap;

	printf("ok %u # SKIP ", ++tap_state.run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* None of the program's tests can be made here: prints the empty plan and leaves. */
__attribute__((format(printf, 1, 2), __noreturn__))
static inline void tap_skip_all(const char *fmt, ...)
{
	va_list ap;

	printf("1..0 # SKIP ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(0);
}

/* The exit code: 0 when all that was planned ran and held. */
static inline int tap_done(void)
{
	if (!tap_state.has_plan)
		tap_plan(tap_state.run);
	if (tap_state.run != tap_state.planned)
		tap_note("planned %u tests, ran %u", tap_state.planned, tap_state.run);
	if (tap_state.failed)
		tap_note("%u of %u failed", tap_state.failed, tap_state.run);
	fflush(stdout);
	return tap_state.failed || tap_state.run != tap_state.planned || !tap_state.run;
}

#endif
