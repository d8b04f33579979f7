/* SPDX-License-Identifier: ISC */
/* The submitted program of the box tests: one static program, an attack for each
 * numbered case. Each attack tries the thing, says where the answer differs from
 * what was promised, and the program exits 0 only when nothing differed.
 * Runs as: the box's program. */
#ifndef SANDPOOL_TESTS_HOSTILE_H
#define SANDPOOL_TESTS_HOSTILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIB	     ((size_t)1 << 20)
#define ENDLESS	     __attribute__((noreturn))

/* Calls that Debian 12's headers may not name; the same number everywhere. */
enum {
	NR_process_madvise = 440,
	NR_mount_setattr = 442,
	NR_quotactl_fd = 443,
	NR_memfd_secret = 447,
	NR_process_mrelease = 448,
	NR_set_mempolicy_home_node = 450,
	NR_cachestat = 451,
	NR_statmount = 457,
	NR_listmount = 458,
	NR_lsm_get_self_attr = 459,
	NR_open_tree_attr = 467,
};

struct attack {
	const char *name;
	int (*run)(char **words); /* words: NULL-terminated; -1 means that it differed */
};
extern const struct attack attacks_kernel[], attacks_fs[], attacks_proc[], attacks_memory[],
	attacks_io[];

/* Remembers that this program failed, and prints why. Returns -1. */
int differs(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The call must have failed with one of these errnos, or have succeeded where the
 * list has OK. errno is as the call left it. */
#define OK		    (-1)
#define want(what, rc, ...) want_one_of(what, (long)(rc), (const int[]){ __VA_ARGS__, 0 })
bool want_one_of(const char *what, long rc, const int *allowed);

/* All six arguments always, so that none is left to chance. */
#define CALL(nr, ...) call_padded(nr, (const long[6]){ __VA_ARGS__ })
long call_padded(long nr, const long args[6]);

/* Runs in a child; its exit code, or 256 + the signal that ended it, or -1. */
int in_child(int (*run)(void *data), void *data);

/* A whole small file as text; -1 with errno. */
long read_text(const char *path, char *text, size_t size);
int write_text(const char *path, const char *text);

/* Sends these, 50 at most, in a socket that is itself sent in it, so that they outlive us
 * until the kernel collects such garbage; and gives it plenty of that. */
void strand(const int *fds, size_t count);

/* Prints at once, whatever stdio holds back. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sleeps for good, or for that long. */
void sleep_ms(long ms);
uint64_t random_bits(void);

#endif
