/* SPDX-License-Identifier: ISC */
/* The system call filter that every box runs under: an allow-list whose default
 * answer is ENOSYS, which libc and the runtimes read as "an older kernel" and
 * fall back from. The rules, each with its reason, are in filter_table.c.
 *
 * Built once, by whoever starts the keepers; loaded by each keeper and each box's init. */
#ifndef SANDPOOL_FILTER_H
#define SANDPOOL_FILTER_H

#include <stdio.h>

#include "common/error.h"

struct sock_filter;

enum filter_flag {
	FILTER_DEFAULT = 0,
	FILTER_LOOPBACK = 1, /* AF_INET and AF_INET6, stream and datagram, too */
	FILTER_LOG = 2,      /* the kernel's audit log names each refused call */
};

/* Plain data; code is owned and freed by filter_free(). A zeroed struct is a
 * valid empty one for filter_free(). */
struct filter {
	unsigned short count;
	unsigned short load_flags; /* SECCOMP_FILTER_FLAG_*, for filter_load() */
	struct sock_filter *code;
};

/* Turns the table into classic BPF. flags: of enum filter_flag. */
int filter_build(struct filter *ret_filter, unsigned flags, struct error *err);

/* Puts the calling thread, and what it starts, under the filter, for good. One
 * system call and no allocation: safe after fork and vfork. no_new_privs must be
 * set already, or the caller must hold CAP_SYS_ADMIN. What else is gone afterwards:
 * mounts, host name, bounding set, securebits, speculation control. */
int filter_load(const struct filter *filter, struct error *err);

/* The same policy in two layers, to be loaded one after the other. The outer one lets the
 * calls pass that make a box: a keeper is under it from its start, and its boxes inherit
 * it. What is left to load for each box is a fifth of the whole. An outer layer without
 * instructions is none: then the inner one is the whole. */
struct filter_layers {
	struct filter outer, inner;
};
int filter_layers_build(struct filter_layers *ret_layers, unsigned flags, struct error *err);
void filter_layers_free(struct filter_layers *layers);

void filter_free(struct filter *filter); /* NULL is allowed */

/* The policy in words, one line a row: calls, answer, condition, reason. */
void filter_explain(FILE *out);

#endif
