/* SPDX-License-Identifier: ISC */
/* Runs classic BPF, as far as seccomp filters use it, without a kernel. */
#ifndef SANDPOOL_TESTS_BPF_SIM_H
#define SANDPOOL_TESTS_BPF_SIM_H

#include <stdint.h>

struct sock_filter;
struct seccomp_data;

/* What the program returns for this call. -1, with ret_action untouched, when it
 * does something that the kernel would not have loaded. */
int bpf_sim_run(const struct sock_filter *code, unsigned count,
		const struct seccomp_data *data, uint32_t *ret_action);

#endif
