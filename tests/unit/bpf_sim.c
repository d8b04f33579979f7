/* SPDX-License-Identifier: ISC */
#include "tests/unit/bpf_sim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>

enum { STOP = -1, BROKEN = -2 };

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	uint32_t action; /* valid after STOP */
};

static bool alu(struct machine *m, const struct sock_filter *in)
{
	uint32_t b = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	case BPF_ADD: m->a += b; return true;
	case BPF_SUB: m->a -= b; return true;
	case BPF_MUL: m->a *= b; return true;
	case BPF_OR: m->a |= b; return true;
	case BPF_AND: m->a &= b; return true;
	case BPF_XOR: m->a ^= b; return true;
	case BPF_LSH: m->a = b < 32 ? m->a << b : 0; return b < 32;
	case BPF_RSH: m->a = b < 32 ? m->a >> b : 0; return b < 32;
	case BPF_NEG: m->a = -m->a; return true;
	default: return false;
	}
}

/* How many instructions to pass over. */
static int jump(const struct machine *m, const struct sock_filter *in)
{
	uint32_t b = BPF_SRC(in->code) == BPF_X ? m->x : in->k;

	switch (BPF_OP(in->code)) {
	case BPF_JA: return in->k < BPF_MAXINSNS ? (int)in->k : BROKEN;
	case BPF_JEQ: return m->a == b ? in->jt : in->jf;
	case BPF_JGT: return m->a > b ? in->jt : in->jf;
	case BPF_JGE: return m->a >= b ? in->jt : in->jf;
	case BPF_JSET: return m->a & b ? in->jt : in->jf;
	default: return BROKEN;
	}
}

static bool load(uint32_t *to, const struct machine *m, const struct sock_filter *in,
		 const struct seccomp_data *data)
{
	switch (BPF_MODE(in->code)) {
	case BPF_IMM:
		*to = in->k;
		return true;
	case BPF_MEM:
		if (in->k >= BPF_MEMWORDS)
			return false;
		*to = m->mem[in->k];
		return true;
	case BPF_ABS:
		if (in->k % 4 || in->k + 4 > sizeof *data || BPF_CLASS(in->code) != BPF_LD)
			return false;
		memcpy(to, (const char *)data + in->k, 4);
		return true;
	default:
		return false;
	}
}

/* How many instructions to pass over, STOP or BROKEN. */
static int step(struct machine *m, const struct sock_filter *in,
		const struct seccomp_data *data)
{
	switch (BPF_CLASS(in->code)) {
	case BPF_LD:
		return load(&m->a, m, in, data) ? 0 : BROKEN;
	case BPF_LDX:
		return load(&m->x, m, in, data) ? 0 : BROKEN;
	case BPF_ALU:
		return alu(m, in) ? 0 : BROKEN;
	case BPF_JMP:
		return jump(m, in);
	case BPF_MISC:
		if (BPF_MISCOP(in->code) == BPF_TAX)
			m->x = m->a;
		else
			m->a = m->x;
		return 0;
	case BPF_RET:
		m->action = BPF_RVAL(in->code) == BPF_A ? m->a : in->k;
		return STOP;
	default:
		return BROKEN;
	}
}

int bpf_sim_run(const struct sock_filter *code, unsigned count,
		const struct seccomp_data *data, uint32_t *ret_action)
{
	struct machine m = { 0 };
	unsigned pc = 0;

	while (pc < count) {
		int skip = step(&m, &code[pc], data);

		if (skip == STOP) {
			*ret_action = m.action;
			return 0;
		}
		if (skip == BROKEN)
			return -1;
		pc += 1 + (unsigned)skip;
	}
	return -1; /* ran off the end */
}
