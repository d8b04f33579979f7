/* SPDX-License-Identifier: ISC */
/* The rows of the system call policy, for filter.c and its test. */
#ifndef SANDPOOL_FILTER_TABLE_H
#define SANDPOOL_FILTER_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "sandbox/filter.h"

/* Holds when (argument & mask) == value. Only the lower 32 bits are looked at:
 * the kernel drops the upper half of every argument named here, and so what a
 * caller leaves there must not change the answer. mask 0: no test. */
struct filter_test {
	unsigned char arg;
	uint32_t mask;
	uint32_t value;
};

enum { FILTER_TESTS_MAX = 3, FILTER_ALLOW = 0 };

/* Which filters a row belongs to. */
enum filter_tier {
	FILTER_EVERY_TIER = 0,
	FILTER_ONLY_LOOPBACK, /* with FILTER_LOOPBACK */
	FILTER_NOT_LOOPBACK,  /* without it */
};

struct filter_rule {
	const char *calls;  /* names with blanks between; the row counts for each */
	int answer;         /* FILTER_ALLOW, or the errno that the caller gets */
	enum filter_tier tier;
	struct filter_test test[FILTER_TESTS_MAX]; /* all must hold */
	const char *reason;
};

/* A call has either one row without tests, or any number with tests; of the
 * latter no two with different answers may hold at once. What no row names, and
 * what holds in no row, gets ENOSYS. */
extern const struct filter_rule filter_rules[];
extern const size_t filter_rules_count;

/* Calls of the list that the keeper and its boxes need before the program starts, whatever
 * the rows say of them; all others they do without, see filter_layers_build(). */
extern const char filter_set_up_calls[];

/* Numbers for names that the oldest supported libseccomp does not know. They
 * are the same on every architecture. */
struct filter_number {
	const char *call;
	int nr;
};
extern const struct filter_number filter_numbers[];
extern const size_t filter_numbers_count;

/* filter_build() with other rows: refuses rows that break the promise above. */
int filter_build_rules(struct filter *ret_filter, const struct filter_rule *rules,
		       size_t count, unsigned flags, struct error *err);

/* The number of a call here; -1 when this architecture does not have it, -2
 * when nobody knows such a name. */
int filter_call_number(const char *call);

#endif
