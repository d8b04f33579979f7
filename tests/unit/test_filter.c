/* SPDX-License-Identifier: ISC */
/* The system call filter: every row, every number, and the hostile cases 1 to 18,
 * by interpreting the exported program; then a few of them for real. */
#define _GNU_SOURCE
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/filter_shrink.h"
#include "sandbox/filter_table.h"
#include "tests/tap.h"
#include "tests/unit/bpf_sim.h"

#if defined(__x86_64__)
#define ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH_HERE AUDIT_ARCH_AARCH64
#else
#error "tell the test this architecture's audit number"
#endif

enum {
	ARGS = 6,
	KILLED = -1,   /* an answer beside FILTER_ALLOW and the errnos */
	STRANGE = -2,  /* one that the policy never gives */
	NUMBERS = 1024,
	RANDOM_CALLS = 200000,
};

static const uint64_t junk_patterns[] = {
	0xffffffff00000000u, 0x0000000100000000u, 0x8000000000000000u, 0xdeadbeef00000000u,
};

/* What the filters under test were loaded on top of; NULL: nothing. */
static const struct filter *outer;

/* As the kernel does: of several answers the gravest counts, of equal ones the inner. */
static bool run_all(const struct filter *filter, const struct seccomp_data *data,
		    uint32_t *ret_action)
{
	uint32_t action, below;

	if (bpf_sim_run(filter->code, filter->count, data, &action) < 0)
		return false;
	*ret_action = action;
	if (!outer)
		return true;
	if (bpf_sim_run(outer->code, outer->count, data, &below) < 0)
		return false;
	if ((int32_t)(below & SECCOMP_RET_ACTION_FULL) <
	    (int32_t)(action & SECCOMP_RET_ACTION_FULL))
		*ret_action = below;
	return true;
}

/* What the program answers: FILTER_ALLOW, an errno, KILLED or STRANGE. */
static int answer_on(const struct filter *filter, uint32_t arch, int nr, const uint64_t *args)
{
	struct seccomp_data data = { .nr = nr, .arch = arch, .instruction_pointer = 0x400000 };
	uint32_t action;

	memcpy(data.args, args, sizeof data.args);
	if (!run_all(filter, &data, &action))
		return STRANGE;
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return FILTER_ALLOW;
	case SECCOMP_RET_ERRNO:
		return (int)(action & SECCOMP_RET_DATA);
	case SECCOMP_RET_KILL_PROCESS:
		return KILLED;
	default:
		return STRANGE;
	}
}

static int answer(const struct filter *filter, int nr, const uint64_t *args)
{
	return answer_on(filter, ARCH_HERE, nr, args);
}

/* ---- the policy, read straight off the table ---- */

/* The table with names resolved once: looking them up is slow. */
struct row_use {
	int nr;
	const struct filter_rule *rule;
};
static struct row_use row_uses[2048];
static size_t row_uses_count;

static bool next_name(const char **list, char name[64])
{
	int used = 0;

	if (sscanf(*list, "%63s%n", name, &used) != 1)
		return false;
	*list += used;
	return true;
}

static void resolve_rows(void)
{
	for (size_t i = 0; i < filter_rules_count; i++) {
		const char *list = filter_rules[i].calls;
		char name[64];

		while (next_name(&list, name)) {
			int nr = filter_call_number(name);

			if (nr < 0)
				continue;
			row_uses[row_uses_count++] = (struct row_use){ nr, &filter_rules[i] };
		}
	}
}

static bool belongs(const struct filter_rule *rule, unsigned flags)
{
	if (rule->tier == FILTER_ONLY_LOOPBACK)
		return flags & FILTER_LOOPBACK;
	return rule->tier == FILTER_EVERY_TIER || !(flags & FILTER_LOOPBACK);
}

static bool holds(const struct filter_rule *rule, const uint64_t *args)
{
	for (size_t i = 0; i < FILTER_TESTS_MAX && rule->test[i].mask; i++)
		if (((uint32_t)args[rule->test[i].arg] & rule->test[i].mask) !=
		    rule->test[i].value)
			return false;
	return true;
}

static int policy(unsigned flags, int nr, const uint64_t *args)
{
	for (size_t i = 0; i < row_uses_count; i++)
		if (row_uses[i].nr == nr && belongs(row_uses[i].rule, flags) &&
		    holds(row_uses[i].rule, args))
			return row_uses[i].rule->answer;
	return ENOSYS;
}

/* ---- the table itself ---- */

static void test_table(void)
{
	size_t mute = 0, loose = 0, unknown = 0;

	for (size_t i = 0; i < filter_rules_count; i++) {
		const struct filter_rule *rule = &filter_rules[i];
		const char *list = rule->calls;
		char name[64];

		mute += !rule->reason || strlen(rule->reason) < 3;
		for (size_t t = 0; t < FILTER_TESTS_MAX; t++)
			loose += (rule->test[t].value & ~rule->test[t].mask) != 0 ||
				 rule->test[t].arg >= ARGS;
		while (next_name(&list, name))
			unknown += filter_call_number(name) == -2;
	}
	tap_ok(mute == 0, "each of %zu rows gives a reason", filter_rules_count);
	tap_ok(loose == 0, "no test asks for bits outside its mask");
	tap_ok(unknown == 0, "every name is known");
	tap_ok(filter_call_number("nosuchcall") == -2,
	       "an unknown name is told from an absent one");
	tap_ok(filter_call_number("read") == SYS_read &&
		       filter_call_number("ioctl") == SYS_ioctl,
	       "names have this architecture's numbers");
}

static void test_refused_tables(void)
{
	const struct filter_rule plain = { .calls = "read", .reason = "plain" };
	const struct filter_rule zero = { .calls = "read", .test = { { 0, 1, 0 } },
						 .reason = "bit 0 clear" };
	const struct filter_rule deny_two = { .calls = "write read", .answer = EPERM,
						     .test = { { 0, 2, 2 } },
						     .reason = "bit 1 set" };
	const struct filter_rule deny_one = { .calls = "read", .answer = EPERM,
						     .test = { { 0, 1, 1 } },
						     .reason = "bit 0 set" };
	const struct filter_rule deny_other = { .calls = "read", .answer = EPERM,
						       .test = { { 1, 1, 1 } },
						       .reason = "another argument" };
	const struct filter_rule typo = { .calls = "raed", .reason = "typing error" };
	const struct {
		const char *name;
		struct filter_rule rows[2];
		const char *why; /* NULL: accepted */
	} cases[] = {
		{ "disjoint rows", { zero, deny_one }, NULL },
		{ "a plain row beside one with tests", { plain, zero }, "not the only one" },
		{ "a plain row after one with tests", { deny_two, plain }, "not the only one" },
		{ "two plain rows", { plain, plain }, "not the only one" },
		{ "overlapping bits", { zero, deny_two }, "overlap" },
		{ "overlap over two arguments", { zero, deny_other }, "overlap" },
		{ "a typing error", { plain, typo }, "raed" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err = ERROR_INIT;
		struct filter filter = { 0 };
		int rc = filter_build_rules(&filter, cases[i].rows, 2, FILTER_DEFAULT, &err);

		tap_ok(cases[i].why ? rc < 0 && strstr(err.text, cases[i].why) : rc == 0,
		       "%s: %s", cases[i].name, rc < 0 ? err.text : "accepted");
		filter_free(&filter);
	}
}

static void test_explain(void)
{
	char *text = NULL;
	size_t size = 0, lines = 0, thin = 0;
	FILE *out = open_memstream(&text, &size);

	filter_explain(out);
	fclose(out);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		char *tab = line;
		size_t tabs = 0;

		while ((tab = strchr(tab, '\t')))
			tabs++, tab++;
		thin += tabs != 3 || !strrchr(line, '\t')[1];
	}
	tap_ok(lines >= filter_rules_count && thin == 0,
	       "the explanation has %zu lines of call, answer, condition, reason", lines);
	free(text);
}

/* ---- the shortener, on programs written by hand ---- */

#define OFFSET(field)        ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(field)          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, OFFSET(field))
#define IF(op, k, yes, no)   BPF_JUMP(BPF_JMP | (op) | BPF_K, k, yes, no)
#define MASK(k)              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, k)
#define RETURN(action)       BPF_STMT(BPF_RET | BPF_K, action)

static const struct sock_filter by_hand[] = {
	LOAD(arch), IF(BPF_JEQ, ARCH_HERE, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr), IF(BPF_JEQ, 5, 18, 0), IF(BPF_JEQ, 6, 17, 0), IF(BPF_JEQ, 7, 16, 0),
	IF(BPF_JGT, 100, 0, 1), IF(BPF_JGE, 200, 15, 14),
	IF(BPF_JEQ, 50, 0, 13),
	/* 50: bits 2 and 0 by mask, then the masked value as such */
	LOAD(args[1]), MASK(4), IF(BPF_JEQ, 4, 10, 0),
	LOAD(args[1]), MASK(3), IF(BPF_JEQ, 0, 7, 0), IF(BPF_JEQ, 1, 4, 0),
	LOAD(args[1]), MASK(0x10), IF(BPF_JEQ, 0x10, 0, 4), IF(BPF_JEQ, 0x10, 2, 1),
	RETURN(SECCOMP_RET_LOG), RETURN(SECCOMP_RET_TRACE),
	RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS),
};

static struct filter copy_of(const struct sock_filter *code, size_t count)
{
	struct filter filter = { .count = (unsigned short)count,
				 .code = malloc(count * sizeof *code) };

	memcpy(filter.code, code, count * sizeof *code);
	return filter;
}

static size_t shrink_differences(const struct filter *shorter, const struct filter *original)
{
	size_t wrong = 0;

	for (int nr = -1; nr < 300; nr++)
		for (uint64_t arg = 0; arg < 64; arg++) {
			struct seccomp_data data = { .nr = nr, .arch = ARCH_HERE,
						     .args = { 0, arg } };
			uint32_t a = 1, b = 2;

			bpf_sim_run(original->code, original->count, &data, &a);
			bpf_sim_run(shorter->code, shorter->count, &data, &b);
			wrong += a != b;
		}
	return wrong;
}

static void test_shrink(void)
{
	const struct sock_filter strange[] = { LOAD(nr), RETURN(SECCOMP_RET_ALLOW) };
	enum { HAND = sizeof by_hand / sizeof *by_hand };
	struct filter original = copy_of(by_hand, HAND), shorter = copy_of(by_hand, HAND);
	struct filter odd = copy_of(strange, 2);

	tap_ok(filter_shrink(&shorter) && shorter.count < original.count,
	       "a program gets shorter");
	tap_ok(shrink_differences(&shorter, &original) == 0,
	       "and answers the same: %u instructions instead of %u", shorter.count,
	       original.count);
	tap_ok(!filter_shrink(&odd) && !memcmp(odd.code, strange, sizeof strange),
	       "one that begins otherwise is left alone");
	filter_free(&shorter);
	shorter = copy_of(by_hand, HAND);
	shorter.code[10].code = BPF_LD | BPF_W | BPF_LEN;
	tap_ok(!filter_shrink(&shorter) && shorter.count == HAND,
	       "one with an instruction that libseccomp does not use is left alone");
	filter_free(&shorter);
	filter_free(&original);
	filter_free(&odd);
}

/* ---- program against table ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void random_args(uint64_t *args)
{
	for (size_t i = 0; i < ARGS; i++)
		args[i] = random_u64() >> (random_u64() % 64);
}

/* Arguments that satisfy a row, everything else random. */
static void satisfy(const struct filter_rule *rule, uint64_t *args)
{
	random_args(args);
	for (size_t i = 0; i < FILTER_TESTS_MAX && rule->test[i].mask; i++) {
		uint64_t *arg = &args[rule->test[i].arg];

		*arg = (*arg & ~(uint64_t)rule->test[i].mask) | rule->test[i].value;
	}
}

/* Compares program and policy, also with junk in each argument's upper half. */
static size_t differences(const struct filter *filter, unsigned flags, int nr,
			  const uint64_t *args)
{
	int wanted = policy(flags, nr, args);
	size_t wrong = answer(filter, nr, args) != wanted;

	for (size_t i = 0; i < ARGS; i++)
		for (size_t j = 0; j < sizeof junk_patterns / sizeof *junk_patterns; j++) {
			uint64_t with_junk[ARGS];

			memcpy(with_junk, args, sizeof with_junk);
			with_junk[i] = (uint32_t)args[i] | junk_patterns[j];
			wrong += answer(filter, nr, with_junk) != wanted;
		}
	return wrong;
}

/* A row's arguments, and those with each single bit of its tests turned. */
static size_t row_differences(const struct filter *filter, unsigned flags, int nr,
			      const struct filter_rule *rule)
{
	uint64_t args[ARGS];
	size_t wrong = 0;

	for (unsigned round = 0; round < 8; round++) {
		satisfy(rule, args);
		wrong += answer(filter, nr, args) != rule->answer;
		wrong += differences(filter, flags, nr, args);
	}
	for (size_t i = 0; i < FILTER_TESTS_MAX && rule->test[i].mask; i++)
		for (unsigned bit = 0; bit < 32; bit++) {
			satisfy(rule, args);
			args[rule->test[i].arg] ^= (uint64_t)1 << bit;
			wrong += differences(filter, flags, nr, args);
		}
	return wrong;
}

static void test_rows(const struct filter *filter, unsigned flags, const char *tier)
{
	for (size_t i = 0; i < row_uses_count; i++) {
		const struct filter_rule *rule = row_uses[i].rule;
		size_t wrong;

		if (!belongs(rule, flags))
			continue;
		wrong = row_differences(filter, flags, row_uses[i].nr, rule);
		/* One line a row, at its last name. */
		if (wrong || i + 1 == row_uses_count || row_uses[i + 1].rule != rule)
			tap_ok(wrong == 0, "%s, row %zu: %.40s: %s", tier,
			       (size_t)(rule - filter_rules), rule->calls, rule->reason);
	}
}

static void test_numbers(const struct filter *filter, unsigned flags, const char *tier)
{
	static const uint64_t zero[ARGS], ones[ARGS] = { -1u, -1u, -1u, -1u, -1u, -1u };
	static const uint64_t all[ARGS] = { -1ull, -1ull, -1ull, -1ull, -1ull, -1ull };
	size_t wrong = 0, unnamed = 0;
	uint64_t args[ARGS];

	for (int nr = 0; nr < NUMBERS; nr++) {
		wrong += differences(filter, flags, nr, zero);
		wrong += differences(filter, flags, nr, ones);
		wrong += differences(filter, flags, nr, all);
		random_args(args);
		wrong += differences(filter, flags, nr, args);
		unnamed += answer(filter, nr, zero) == ENOSYS;
	}
	tap_ok(wrong == 0, "threat 10: %s: each number below %d answers as the table says",
	       tier, NUMBERS);
	tap_ok(unnamed > 500, "threat 10: %s: ENOSYS is the rule, for %zu of them", tier,
	       unnamed);
	wrong = 0;
	for (int nr = 468; nr < NUMBERS; nr++)
		wrong += answer(filter, nr, zero) != ENOSYS ||
			 answer(filter, nr, ones) != ENOSYS;
	tap_ok(wrong == 0, "threat 10: %s: calls that no library can name are ENOSYS", tier);
	wrong = 0;
	for (unsigned i = 0; i < RANDOM_CALLS; i++) {
		int nr = (int)(random_u64() % 470);

		random_args(args);
		wrong += answer(filter, nr, args) != policy(flags, nr, args);
	}
	tap_ok(wrong == 0, "%s: %d random calls answer as the table says", tier, RANDOM_CALLS);
}

static void test_architectures(const struct filter *filter, const char *tier)
{
	static const struct {
		const char *name;
		uint32_t arch;
	} others[] = {
		{ "32-bit x86", AUDIT_ARCH_I386 },
		{ "32-bit ARM", AUDIT_ARCH_ARM },
#ifdef __x86_64__
		{ "64-bit ARM", AUDIT_ARCH_AARCH64 },
#else
		{ "64-bit x86", AUDIT_ARCH_X86_64 },
#endif
		{ "no architecture", 0 },
	};
	static const uint64_t zero[ARGS];
	size_t wrong;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		wrong = 0;
		for (int nr = -1; nr < NUMBERS; nr++)
			wrong += answer_on(filter, others[i].arch, nr, zero) != KILLED;
		tap_ok(wrong == 0, "threat 8: %s: %s kills", tier, others[i].name);
	}
#ifdef __x86_64__
	wrong = 0;
	for (int nr = 0; nr < NUMBERS; nr++)
		wrong += answer(filter, nr | 0x40000000, zero) != KILLED;
	tap_ok(wrong == 0, "threat 8: %s: x32 numbers kill", tier);
#endif
	tap_ok(answer(filter, -1, zero) != FILTER_ALLOW,
	       "threat 8: %s: number -1 is not allowed", tier);
}

/* ---- the hostile cases, written without a look at the table ---- */

#define NEW_ANY (CLONE_NEWNS | CLONE_NEWUSER)

static const struct {
	unsigned threat;
	int answer;
	const char *calls;
	uint64_t args[ARGS];
} threats[] = {
	{ 1, ENOSYS, "io_uring_setup io_uring_enter io_uring_register", { 0 } },
	{ 2, EPERM, "bpf perf_event_open userfaultfd", { 0 } },
	{ 3, EPERM, "unshare setns", { CLONE_NEWUSER } },
	{ 3, EPERM, "unshare setns", { 0 } },
	{ 3, EPERM, "clone", { CLONE_NEWNS } },
	{ 3, EPERM, "clone", { CLONE_NEWCGROUP } },
	{ 3, EPERM, "clone", { CLONE_NEWUTS | SIGCHLD } },
	{ 3, EPERM, "clone", { CLONE_NEWIPC } },
	{ 3, EPERM, "clone", { CLONE_NEWUSER | CLONE_VM | CLONE_VFORK | SIGCHLD } },
	{ 3, EPERM, "clone", { CLONE_NEWPID } },
	{ 3, EPERM, "clone", { CLONE_NEWNET } },
	{ 3, EPERM, "clone", { NEW_ANY } },
	{ 3, ENOSYS, "clone3", { 0 } },
	{ 3, FILTER_ALLOW, "clone", { CLONE_VM | CLONE_VFORK | SIGCHLD } },
	{ 3, FILTER_ALLOW, "clone",
	  { CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
	    CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID } },
	{ 3, FILTER_ALLOW, "fork vfork", { 0 } },
	{ 4, FILTER_ALLOW, "socket socketpair", { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC } },
	{ 4, FILTER_ALLOW, "socket socketpair", { AF_UNIX, SOCK_SEQPACKET } },
	{ 5, EINVAL, "splice tee vmsplice sendfile", { 0 } },
	{ 5, FILTER_ALLOW, "read write copy_file_range", { 0 } },
	{ 6, EPERM, "keyctl add_key request_key", { 0 } },
	{ 7, EPERM, "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd", { 0 } },
	{ 7, EPERM, "process_madvise process_mrelease", { 0 } },
	{ 9, EPERM, "ioctl", { 0, TIOCSTI } },
	{ 9, EPERM, "ioctl", { 0, TIOCLINUX } },
	{ 9, EPERM, "ioctl", { 0, TIOCSETD } },
	{ 9, EPERM, "ioctl", { 0, TIOCCONS } },
	{ 9, EPERM, "ioctl", { 0, 0xffffffff00000000u | TIOCSTI } },
	{ 9, EPERM, "ioctl", { 0, 0x100000000u | TIOCLINUX } },
	{ 9, EPERM, "ioctl", { 0, 0x8000000000000000u | TIOCSETD } },
	{ 9, EPERM, "ioctl", { 0, 0xdeadbeef00000000u | TIOCCONS } },
	{ 9, FILTER_ALLOW, "ioctl", { 1, TCGETS } },
	{ 9, FILTER_ALLOW, "ioctl", { 1, FIONREAD } },
	{ 9, ENOSYS, "ioctl", { 0, 0 } },
	{ 9, ENOSYS, "ioctl", { 0, 0x4b4b } },
	{ 11, EPERM, "setsockopt", { 3, SOL_SOCKET, SO_ATTACH_FILTER } },
	{ 11, EPERM, "setsockopt", { 3, SOL_SOCKET, SO_ATTACH_BPF } },
	{ 11, EPERM, "setsockopt", { 3, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF } },
	{ 11, EPERM, "setsockopt", { 3, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF } },
	{ 11, EPERM, "setsockopt", { 3, 279, 1 } },
	{ 11, EPERM, "setsockopt", { 3, 279, 5 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_TCP, 31 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IP, 64 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IP, 65 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IP, 96 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IP, 128 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IPV6, 64 } },
	{ 11, EPERM, "setsockopt", { 3, IPPROTO_IPV6, 65 } },
	{ 11, FILTER_ALLOW, "setsockopt", { 3, SOL_SOCKET, SO_SNDBUF } },
	{ 11, ENOSYS, "setsockopt", { 3, SOL_SOCKET, SO_MARK } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_LOCK_PI } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_LOCK_PI_PRIVATE } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_UNLOCK_PI_PRIVATE } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_TRYLOCK_PI } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_WAIT_REQUEUE_PI_PRIVATE | FUTEX_CLOCK_REALTIME } },
	{ 12, ENOSYS, "futex", { 0, FUTEX_CMP_REQUEUE_PI } },
	{ 12, ENOSYS, "futex", { 0, 13 } },
	{ 12, FILTER_ALLOW, "futex", { 0, FUTEX_WAIT_PRIVATE } },
	{ 12, FILTER_ALLOW, "futex", { 0, FUTEX_WAKE } },
	{ 12, FILTER_ALLOW, "futex",
	  { 0, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME } },
	{ 13, EOPNOTSUPP, "sendto recvfrom sendmmsg recvmmsg", { 0, 0, 0, MSG_OOB } },
	{ 13, EOPNOTSUPP, "sendmsg recvmsg", { 0, 0, MSG_OOB | MSG_DONTWAIT } },
	{ 13, EOPNOTSUPP, "sendmsg recvmsg", { 0, 0, 0xffffffff00000000u | MSG_OOB } },
	{ 13, FILTER_ALLOW, "sendto recvfrom sendmmsg recvmmsg", { 0, 0, 1, MSG_NOSIGNAL } },
	{ 13, FILTER_ALLOW, "sendmsg recvmsg", { 0, 1, MSG_CMSG_CLOEXEC, MSG_OOB } },
	{ 14, EPERM, "mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick", { 0 } },
	{ 14, EPERM, "open_tree open_tree_attr move_mount mount_setattr", { 0 } },
	{ 15, EPERM, "name_to_handle_at open_by_handle_at", { 0 } },
	{ 16, FILTER_ALLOW, "personality", { 0 } },
	{ 16, FILTER_ALLOW, "personality", { 0xffffffffu } },
	{ 16, FILTER_ALLOW, "personality", { -1ull } },
	{ 16, EPERM, "personality", { 0x0008 } },
	{ 16, EPERM, "personality", { 0x0040000 } },
	{ 16, EPERM, "personality", { 0x0440008 } },
	{ 16, EPERM, "personality", { 0x0400000 } },
	{ 16, EPERM, "personality", { 0xdeadbeef00040000u } },
	{ 16, ENOSYS, "modify_ldt", { 0 } },
	{ 16, EPERM, "iopl ioperm", { 0 } },
	{ 17, EPERM, "init_module finit_module delete_module", { 0 } },
	{ 17, EPERM, "kexec_load kexec_file_load", { 0 } },
	{ 17, EPERM, "swapon swapoff reboot acct quotactl quotactl_fd syslog", { 0 } },
	{ 17, EPERM, "settimeofday clock_settime clock_adjtime adjtimex", { 0 } },
	{ 17, EPERM, "sethostname setdomainname fanotify_init fanotify_mark vhangup", { 0 } },
	{ 17, EPERM, "mbind set_mempolicy get_mempolicy set_mempolicy_home_node", { 0 } },
	{ 17, EPERM, "migrate_pages move_pages lookup_dcookie uselib", { 0 } },
	{ 18, EPERM, "seccomp", { SECCOMP_SET_MODE_FILTER } },
	{ 18, EPERM, "seccomp", { SECCOMP_SET_MODE_STRICT } },
	{ 18, EPERM, "prctl", { PR_SET_SECCOMP, SECCOMP_MODE_FILTER } },
	{ 18, EPERM, "prctl", { 0xffffffff00000000u | PR_SET_SECCOMP } },
	{ 18, FILTER_ALLOW, "prctl", { PR_SET_NAME } },
	{ 18, FILTER_ALLOW, "prctl", { PR_SET_PDEATHSIG, SIGKILL } },
	{ 18, ENOSYS, "prctl", { PR_SET_MM } },
	{ 31, EPERM, "mknod", { 0, S_IFCHR | 0666 } },
	{ 31, EPERM, "mknodat", { 0, 0, S_IFBLK | 0666 } },
	{ 31, FILTER_ALLOW, "mknod", { 0, S_IFIFO | 0644 } },
	{ 31, FILTER_ALLOW, "mknodat", { 0, 0, 0644 } },
	{ 32, EPERM, "chmod fchmod", { 0, 04755 } },
	{ 32, EPERM, "chmod fchmod", { 0, 02755 } },
	{ 32, EPERM, "fchmodat fchmodat2", { 0, 0, 06755 } },
	{ 32, FILTER_ALLOW, "chmod fchmod", { 0, 01777 } },
	{ 32, FILTER_ALLOW, "fchmodat fchmodat2", { 0, 0, 0755 } },
	{ 32, EOPNOTSUPP, "setxattr lsetxattr fsetxattr setxattrat", { 0 } },
	{ 32, EOPNOTSUPP, "removexattr lremovexattr fremovexattr removexattrat", { 0 } },
	{ 164, ENOSYS, "cachestat", { 0 } },
	{ 164, EOPNOTSUPP, "preadv2 pwritev2", { 0, 0, 0, 0, 0, 8 } },
	{ 164, FILTER_ALLOW, "preadv2 pwritev2", { 0 } },
	{ 164, ENOSYS, "memfd_secret statmount listmount lsm_list_modules", { 0 } },
};

static void test_threat(const struct filter *filter, size_t row)
{
	const char *list = threats[row].calls;
	char name[64];

	while (next_name(&list, name)) {
		int nr = filter_call_number(name), got;

		if (nr == -1)
			continue; /* not on this architecture, where it is no threat */
		got = answer(filter, nr, threats[row].args);
		tap_ok(nr >= 0 && got == threats[row].answer,
		       "threat %u: %s(%#llx, %#llx, %#llx): %s", threats[row].threat, name,
		       (unsigned long long)threats[row].args[0],
		       (unsigned long long)threats[row].args[1],
		       (unsigned long long)threats[row].args[2],
		       got == FILTER_ALLOW ? "allowed" : strerror(got));
	}
}

/* What the box's init does once the filter is loaded. */
static const struct {
	const char *calls;
	uint64_t args[ARGS];
} init_needs[] = {
	{ "read write poll ppoll close close_range dup2 dup3 fcntl lseek mmap munmap", { 0 } },
	{ "recvmsg sendmsg", { 3, 1, MSG_CMSG_CLOEXEC | MSG_DONTWAIT } },
	{ "recvmsg sendmsg", { 3, 1, MSG_NOSIGNAL } },
	{ "vfork clone", { CLONE_VM | CLONE_VFORK | SIGCHLD } },
	{ "clone", { CLONE_PIDFD | SIGCHLD } },
	{ "wait4 waitid kill pidfd_send_signal rt_sigprocmask rt_sigtimedwait", { 0 } },
	{ "setgroups setresgid setresuid capset capget", { 0 } },
	{ "prctl", { PR_SET_PDEATHSIG, SIGKILL } },
	{ "prctl", { PR_SET_DUMPABLE } },
	{ "prctl", { PR_SET_NO_NEW_PRIVS, 1 } },
	{ "setsid setpriority umask chdir setrlimit prlimit64 clock_gettime", { 0 } },
	{ "openat openat2 mkdirat fstat newfstatat copy_file_range ftruncate", { 0 } },
	{ "fchmod", { 3, 0755 } },
	{ "fchmodat", { 3, 0, 0644 } },
	{ "execve execveat exit_group", { 0 } },
};

static void test_init_needs(const struct filter *filter)
{
	char name[64];

	for (size_t i = 0; i < sizeof init_needs / sizeof *init_needs; i++) {
		const char *list = init_needs[i].calls;

		while (next_name(&list, name)) {
			int nr = filter_call_number(name);

			if (nr != -1)
				tap_ok(answer(filter, nr, init_needs[i].args) == FILTER_ALLOW,
				       "init may still call %s(%#llx, %#llx, %#llx)", name,
				       (unsigned long long)init_needs[i].args[0],
				       (unsigned long long)init_needs[i].args[1],
				       (unsigned long long)init_needs[i].args[2]);
		}
	}
}

/* Threat 4: every family, type and way to write the two. */
static size_t family_mistakes(const struct filter *filter, bool loopback, const char *call)
{
	static const int types[] = { 0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM,
				     SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET, 15 };
	static const int flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC };
	int nr = filter_call_number(call);
	size_t wrong = 0;

	for (uint64_t family = 0; family < 64; family++)
		for (size_t t = 0; t < sizeof types / sizeof *types; t++)
			for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
				uint64_t type = (uint64_t)(types[t] | flags[f]);
				uint64_t args[ARGS] = { family, type };
				bool inet = loopback && nr == SYS_socket &&
					    (family == AF_INET || family == AF_INET6) &&
					    (types[t] == SOCK_STREAM || types[t] == SOCK_DGRAM);
				int wanted = family == AF_UNIX || inet ? FILTER_ALLOW
								       : EAFNOSUPPORT;

				wrong += answer(filter, nr, args) != wanted;
				args[0] |= 0xffffffff00000000u;
				args[1] |= 0xdeadbeef00000000u;
				wrong += answer(filter, nr, args) != wanted;
			}
	return wrong;
}

static void test_families(const struct filter *closed, const struct filter *loopback)
{
	static const uint64_t tcp[ARGS] = { AF_INET, SOCK_STREAM, IPPROTO_TCP };
	static const uint64_t udp[ARGS] = { AF_INET6, SOCK_DGRAM, IPPROTO_UDP };
	static const uint64_t sctp[ARGS] = { AF_INET, SOCK_STREAM, IPPROTO_SCTP };
	static const uint64_t ping[ARGS] = { AF_INET, SOCK_DGRAM, IPPROTO_ICMP };
	static const uint64_t mptcp[ARGS] = { AF_INET6, SOCK_STREAM, 262 };
	static const uint64_t nodelay[ARGS] = { 3, IPPROTO_TCP, TCP_NODELAY };

	tap_ok(!family_mistakes(closed, false, "socket"), "threat 4: socket, families 0 to 63");
	tap_ok(!family_mistakes(closed, false, "socketpair"),
	       "threat 4: socketpair, families 0 to 63");
	tap_ok(!family_mistakes(loopback, true, "socket"),
	       "threat 4: socket with loopback, families 0 to 63");
	tap_ok(!family_mistakes(loopback, true, "socketpair"),
	       "threat 4: socketpair with loopback, families 0 to 63");
	tap_ok(answer(loopback, SYS_socket, tcp) == FILTER_ALLOW &&
		       answer(loopback, SYS_socket, udp) == FILTER_ALLOW,
	       "threat 4: TCP and UDP by name with loopback");
	tap_ok(answer(loopback, SYS_socket, sctp) == ENOSYS &&
		       answer(loopback, SYS_socket, ping) == ENOSYS,
	       "threat 4: no other protocol behind the two types");
	tap_ok(answer(loopback, SYS_socket, mptcp) == EPROTONOSUPPORT,
	       "threat 4: multipath TCP is absent");
	tap_ok(answer(closed, SYS_setsockopt, nodelay) == ENOSYS &&
		       answer(loopback, SYS_setsockopt, nodelay) == FILTER_ALLOW,
	       "threat 11: TCP_NODELAY with loopback only");
}

/* ---- for real: what happens to a process under the loaded filter ---- */

static void *thread_main(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int live_threads(void)
{
	pthread_t thread;
	int ran = 0;

	return pthread_create(&thread, NULL, thread_main, &ran) == 0 &&
	       pthread_join(thread, NULL) == 0 && ran;
}

static int live_spawn(void)
{
	char *argv[] = { (char *)"true", NULL };
	int status = -1;
	pid_t pid;

	return posix_spawnp(&pid, "true", NULL, NULL, argv, NULL) == 0 &&
	       waitpid(pid, &status, 0) == pid && status == 0;
}

static int live_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT &&
	       socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT;
}

static int live_unix(void)
{
	int fds[2];
	char byte = 'x';

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 &&
	       send(fds[0], &byte, 1, 0) == 1 &&
	       recv(fds[1], &byte, 1, 0) == 1 && send(fds[0], &byte, 1, MSG_OOB) < 0 &&
	       errno == EOPNOTSUPP;
}

static int live_namespace(void)
{
	return unshare(CLONE_NEWUSER) < 0 && errno == EPERM;
}

static int live_mutex(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutexattr_t attr;

	if (pthread_mutex_lock(&mutex) || pthread_mutex_unlock(&mutex))
		return 0;
	if (pthread_mutexattr_init(&attr) ||
	    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT))
		return 0;
	return pthread_mutex_init(&mutex, &attr) == ENOTSUP;
}

static int live_second_filter(void)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) < 0 && errno == EPERM &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0 && errno == EPERM;
}

static int live_copy(void)
{
	char *argv[] = { (char *)"cp", (char *)"/proc/self/status", (char *)"/dev/null", NULL };
	int status = -1;
	pid_t pid;

	return posix_spawnp(&pid, "cp", NULL, NULL, argv, NULL) == 0 &&
	       waitpid(pid, &status, 0) == pid && status == 0;
}

static int live_every_number(void)
{
	/* Only numbers that no table names: the rest would really do something. */
	for (long nr = 468; nr < NUMBERS; nr++)
		if (syscall(nr, 0, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS)
			return 0;
	return 1;
}

#ifdef __x86_64__
static int live_x32(void)
{
	syscall(0x40000000L | SYS_getpid);
	return 0;
}

static int live_32bit(void)
{
	long result = 20; /* getpid there */

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	return 0;
}
#endif

static const struct {
	const char *name;
	int (*run)(void);
	int signal; /* that must end it; 0: run() returns true */
} lives[] = {
	{ "threat 3: threads start, by clone instead of clone3", live_threads, 0 },
	{ "threat 3: posix_spawn works", live_spawn, 0 },
	{ "threat 3: no user namespace", live_namespace, 0 },
	{ "threat 4: no internet and no netlink sockets", live_inet, 0 },
	{ "threat 5: cp copies", live_copy, 0 },
	{ "threat 10: the kernel agrees on unnamed numbers", live_every_number, 0 },
	{ "threat 12: mutexes work, without priority inheritance", live_mutex, 0 },
	{ "threat 13: local sockets work, but not out of band", live_unix, 0 },
	{ "threat 18: no second filter", live_second_filter, 0 },
#ifdef __x86_64__
	{ "threat 8: an x32 call ends the process", live_x32, SIGSYS },
	{ "threat 8: a 32-bit call ends the process", live_32bit, SIGSYS },
#endif
};

static int run_under(const struct filter *filter, int (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0); /* no core files from those that die */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    (outer && filter_load(outer, NULL) < 0) || filter_load(filter, NULL) < 0)
			_exit(2);
		_exit(run() ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void test_live(const struct filter *filter)
{
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		int status = run_under(filter, lives[i].run);

		tap_ok(lives[i].signal ? WIFSIGNALED(status) &&
						 WTERMSIG(status) == lives[i].signal
				       : status == 0,
		       "%s (status %#x)", lives[i].name, (unsigned)status);
	}
}

/* What makes a box must pass the outer layer, and nothing else that the whole refuses. */
static void test_outer(const struct filter_layers *layers, const struct filter *whole)
{
	static const uint64_t zero[ARGS];
	const char *list = filter_set_up_calls;
	size_t more = 0, listed = 0;
	char name[64];

	while (next_name(&list, name)) {
		listed++;
		tap_ok(answer(&layers->outer, filter_call_number(name), zero) == FILTER_ALLOW,
		       "the outer layer lets %s pass", name);
	}
	for (int nr = 0; nr < NUMBERS; nr++)
		more += answer(&layers->outer, nr, zero) == FILTER_ALLOW &&
			answer(whole, nr, zero) != FILTER_ALLOW;
	tap_ok(more <= listed, "and %zu calls in all that the whole filter refuses", more);
	tap_ok(layers->inner.count < 80 && layers->outer.count < whole->count,
	       "%u instructions are %u and %u", whole->count, layers->outer.count,
	       layers->inner.count);
}

/* Together they are the same policy. */
static void test_layers(const struct filter *whole)
{
	struct filter_layers layers = { 0 };
	struct error err = ERROR_INIT;

	if (!tap_ok(filter_layers_build(&layers, FILTER_DEFAULT, &err) == 0 &&
			    layers.outer.count > 0,
		    "the filter comes apart %s", err.text))
		return;
	test_outer(&layers, whole);
	outer = &layers.outer;
	test_rows(&layers.inner, FILTER_DEFAULT, "layers");
	test_numbers(&layers.inner, FILTER_DEFAULT, "layers");
	test_architectures(&layers.inner, "layers");
	for (size_t i = 0; i < sizeof threats / sizeof *threats; i++)
		test_threat(&layers.inner, i);
	test_live(&layers.inner);
	outer = NULL;
	filter_layers_free(&layers);
}

int main(void)
{
	struct filter closed = { 0 }, loopback = { 0 }, logged = { 0 };
	struct error err = ERROR_INIT;

	resolve_rows();
	test_table();
	test_refused_tables();
	test_explain();
	test_shrink();
	if (!tap_ok(filter_build(&closed, FILTER_DEFAULT, &err) == 0 &&
			    filter_build(&loopback, FILTER_LOOPBACK, &err) == 0 &&
			    filter_build(&logged, FILTER_LOG, &err) == 0,
		    "the filter builds %s", err.text))
		return tap_done();
	tap_ok(closed.count < 400 && loopback.count < 480,
	       "the filter is short: %u instructions, %u with loopback", closed.count,
	       loopback.count);
	tap_ok(logged.load_flags == SECCOMP_FILTER_FLAG_LOG && closed.load_flags == 0,
	       "refusals are logged when asked for");
	test_rows(&closed, FILTER_DEFAULT, "closed");
	test_rows(&loopback, FILTER_LOOPBACK, "loopback");
	test_numbers(&closed, FILTER_DEFAULT, "closed");
	test_numbers(&loopback, FILTER_LOOPBACK, "loopback");
	test_architectures(&closed, "closed");
	test_architectures(&loopback, "loopback");
	for (size_t i = 0; i < sizeof threats / sizeof *threats; i++) {
		test_threat(&closed, i);
		test_threat(&loopback, i);
	}
	test_init_needs(&closed);
	test_families(&closed, &loopback);
	test_live(&closed);
	test_layers(&closed);
	filter_free(&closed);
	filter_free(&loopback);
	filter_free(&logged);
	filter_free(NULL);
	return tap_done();
}
