/* SPDX-License-Identifier: ISC */
/* Runs as: root (build); the box's init (load). Only this file and its table know
 * libseccomp. */
#define _GNU_SOURCE
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter_shrink.h"
#include "sandbox/filter_table.h"

enum {
	CALL_NAME_SIZE = 32,
	USES_MAX = 1024, /* rows times names; about 600 are in use */
};

/* The rows to build from. */
struct rules {
	const struct filter_rule *rule;
	size_t count;
	unsigned flags; /* enum filter_flag */
};

/* One call in one row. */
struct use {
	int nr;
	const struct filter_rule *rule;
};

struct uses {
	size_t count;
	struct use use[USES_MAX];
};

/* Takes the next name off a row's list; false at its end. */
static bool next_call(const char **list, char name[CALL_NAME_SIZE])
{
	size_t len;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	if (len == 0 || len >= CALL_NAME_SIZE)
		return false;
	memcpy(name, *list, len);
	name[len] = '\0';
	*list += len;
	return true;
}

int filter_call_number(const char *call)
{
	int nr = seccomp_syscall_resolve_name(call);

	if (nr >= 0)
		return nr;
	if (nr != __NR_SCMP_ERROR)
		return -1; /* the library's own number for "not on this one" */
	for (size_t i = 0; i < filter_numbers_count; i++)
		if (!strcmp(filter_numbers[i].call, call))
			return filter_numbers[i].nr;
	return -2;
}

static bool in_tier(const struct filter_rule *rule, unsigned flags)
{
	bool loopback = flags & FILTER_LOOPBACK;

	return rule->tier == FILTER_EVERY_TIER ||
	       loopback == (rule->tier == FILTER_ONLY_LOOPBACK);
}

static int collect_rule(struct uses *uses, const struct filter_rule *rule, struct error *err)
{
	const char *list = rule->calls;
	char name[CALL_NAME_SIZE];

	while (next_call(&list, name)) {
		int nr = filter_call_number(name);

		if (nr == -2)
			return error_set(err, EINVAL, "%s: no such system call", name);
		if (nr < 0)
			continue;
		if (uses->count == USES_MAX)
			return error_set(err, E2BIG, "%s: more than %d rules", name, USES_MAX);
		uses->use[uses->count++] = (struct use){ nr, rule };
	}
	if (*list)
		return error_set(err, EINVAL, "%s: name too long", list);
	return 0;
}

static int collect(struct uses *uses, const struct rules *rules, struct error *err)
{
	uses->count = 0;
	for (size_t i = 0; i < rules->count; i++)
		if (in_tier(&rules->rule[i], rules->flags) &&
		    collect_rule(uses, &rules->rule[i], err) < 0)
			return -1;
	return 0;
}

static bool has_tests(const struct filter_rule *rule)
{
	return rule->test[0].mask != 0;
}

/* True when no arguments can satisfy both rows. */
static bool disjoint(const struct filter_rule *a, const struct filter_rule *b)
{
	for (size_t i = 0; i < FILTER_TESTS_MAX; i++)
		for (size_t j = 0; j < FILTER_TESTS_MAX; j++)
			if (a->test[i].arg == b->test[j].arg &&
			    ((a->test[i].value ^ b->test[j].value) & a->test[i].mask &
			     b->test[j].mask))
				return true;
	return false;
}

/* libseccomp reports neither mistake. It lets a rule without tests swallow those
 * with tests, and where two overlap its own sorting decides. */
static int check_pair(const struct use *a, const struct use *b, struct error *err)
{
	if (!has_tests(a->rule) || !has_tests(b->rule))
		return error_set(err, EINVAL,
				 "call %d: a rule without tests is not the only one", a->nr);
	if (a->rule->answer != b->rule->answer && !disjoint(a->rule, b->rule))
		return error_set(err, EINVAL, "call %d: two answers overlap: %s; %s", a->nr,
				 a->rule->reason, b->rule->reason);
	return 0;
}

static int check(const struct uses *uses, struct error *err)
{
	for (size_t i = 0; i < uses->count; i++)
		for (size_t j = i + 1; j < uses->count; j++)
			if (uses->use[i].nr == uses->use[j].nr &&
			    check_pair(&uses->use[i], &uses->use[j], err) < 0)
				return -1;
	return 0;
}

static int add_use(scmp_filter_ctx ctx, const struct use *use, struct error *err)
{
	const struct filter_rule *rule = use->rule;
	struct scmp_arg_cmp cmp[FILTER_TESTS_MAX];
	unsigned count = 0;
	int rc;

	if (rule->answer == ENOSYS) /* the default, which the library will not repeat */
		return 0;
	for (; count < FILTER_TESTS_MAX && rule->test[count].mask; count++)
		cmp[count] = (struct scmp_arg_cmp){
			.arg = rule->test[count].arg,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = rule->test[count].mask,
			.datum_b = rule->test[count].value,
		};
	rc = seccomp_rule_add_array(ctx,
				    rule->answer == FILTER_ALLOW
					    ? SCMP_ACT_ALLOW
					    : SCMP_ACT_ERRNO((uint32_t)rule->answer),
				    use->nr, count, cmp);
	if (rc < 0)
		return error_set(err, -rc, "rule for call %d: %s: %s", use->nr, rule->reason,
				 strerror(-rc));
	return 0;
}

static int set_up(scmp_filter_ctx ctx, struct error *err)
{
	/* 2: a binary tree. The kernel walks the filter once for every call number
	 * when it is loaded, and a tree halves that. */
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	return rc < 0 ? error_set(err, -rc, "filter attribute: %s", strerror(-rc)) : 0;
}

/* Debian 12's library can write the program only to a descriptor. */
static int read_code(struct filter *filter, int fd, struct error *err)
{
	struct stat st;
	struct sock_filter *code;

	if (fstat(fd, &st) < 0)
		return error_errno(err, "size of the filter");
	if (st.st_size == 0 || (size_t)st.st_size > BPF_MAXINSNS * sizeof *code)
		return error_set(err, E2BIG, "filter of %lld bytes", (long long)st.st_size);
	code = malloc((size_t)st.st_size);
	if (!code)
		return error_errno(err, "memory for the filter");
	if (pread(fd, code, (size_t)st.st_size, 0) != st.st_size) {
		free(code);
		return error_set(err, EIO, "filter read short");
	}
	filter->code = code;
	filter->count = (unsigned short)((size_t)st.st_size / sizeof *code);
	return 0;
}

static int export_code(struct filter *filter, scmp_filter_ctx ctx, struct error *err)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return error_errno(err, "memory file for the filter");
	rc = seccomp_export_bpf(ctx, fd);
	rc = rc < 0 ? error_set(err, -rc, "export: %s", strerror(-rc))
		    : read_code(filter, fd, err);
	close(fd);
	return rc;
}

static int fill(scmp_filter_ctx ctx, const struct rules *rules, struct error *err)
{
	struct uses uses;

	if (set_up(ctx, err) < 0 || collect(&uses, rules, err) < 0 || check(&uses, err) < 0)
		return -1;
	for (size_t i = 0; i < uses.count; i++)
		if (add_use(ctx, &uses.use[i], err) < 0)
			return -1;
	return 0;
}

int filter_build_rules(struct filter *ret_filter, const struct filter_rule *rules,
		       size_t count, unsigned flags, struct error *err)
{
	struct rules all = { rules, count, flags };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	struct filter filter = { 0 };
	int rc;

	if (!ctx)
		return error_set(err, ENOMEM, "build filter: no memory");
	rc = fill(ctx, &all, err);
	if (rc == 0)
		rc = export_code(&filter, ctx, err);
	seccomp_release(ctx);
	if (rc < 0)
		return error_wrap(err, "build filter");
	filter_shrink(&filter); /* it is as right without */
	if (flags & FILTER_LOG)
		filter.load_flags |= SECCOMP_FILTER_FLAG_LOG;
	*ret_filter = filter;
	return 0;
}

int filter_build(struct filter *ret_filter, unsigned flags, struct error *err)
{
	return filter_build_rules(ret_filter, filter_rules, filter_rules_count, flags, err);
}

int filter_load(const struct filter *filter, struct error *err)
{
	struct sock_fprog prog = { .len = filter->count, .filter = filter->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)filter->load_flags,
		    &prog) < 0)
		return error_errno(err, "load filter of %u instructions",
				   (unsigned)filter->count);
	return 0;
}

static int list_set_up_calls(int *calls, size_t most, size_t *ret_count, struct error *err)
{
	const char *list = filter_set_up_calls;
	char name[CALL_NAME_SIZE];
	size_t count = 0;

	while (next_call(&list, name)) {
		int nr = filter_call_number(name);

		if (nr < 0 || count == most)
			return error_set(err, EINVAL, "%s: no such call, or too many", name);
		calls[count++] = nr;
	}
	*ret_count = count;
	return 0;
}

int filter_layers_build(struct filter_layers *ret_layers, unsigned flags, struct error *err)
{
	struct filter_layers layers = { .outer = { 0 } };
	struct filter whole;
	size_t count = 0;
	int calls[32];

	if (filter_build(&whole, flags, err) < 0)
		return -1;
	if (list_set_up_calls(calls, sizeof calls / sizeof *calls, &count, err) < 0) {
		filter_free(&whole);
		return -1;
	}
	if (filter_split(&whole, calls, count, &layers.outer, &layers.inner))
		filter_free(&whole);
	else
		layers.inner = whole; /* it is as right without */
	*ret_layers = layers;
	return 0;
}

void filter_layers_free(struct filter_layers *layers)
{
	filter_free(&layers->outer);
	filter_free(&layers->inner);
}

void filter_free(struct filter *filter)
{
	if (!filter)
		return;
	free(filter->code);
	*filter = (struct filter){ 0 };
}

static void explain_condition(FILE *out, const struct filter_rule *rule)
{
	static const char *const tiers[] = {
		[FILTER_EVERY_TIER] = "",
		[FILTER_ONLY_LOOPBACK] = "with loopback: ",
		[FILTER_NOT_LOOPBACK] = "without loopback: ",
	};

	fprintf(out, "%s", tiers[rule->tier]);
	if (!has_tests(rule))
		fprintf(out, "always");
	for (size_t i = 0; i < FILTER_TESTS_MAX && rule->test[i].mask; i++) {
		const struct filter_test *test = &rule->test[i];

		fprintf(out, "%sargument %d ", i ? " and " : "", test->arg);
		if (test->mask != 0xffffffffu)
			fprintf(out, "& 0x%x ", test->mask);
		fprintf(out, "== 0x%x", test->value);
	}
}

void filter_explain(FILE *out)
{
	for (size_t i = 0; i < filter_rules_count; i++) {
		const struct filter_rule *rule = &filter_rules[i];

		fprintf(out, "%s\t%s\t", rule->calls,
			rule->answer == FILTER_ALLOW ? "allow"
						     : strerrorname_np(rule->answer));
		explain_condition(out, rule);
		fprintf(out, "\t%s\n", rule->reason);
	}
	fprintf(out, "everything else\tENOSYS\talways\treads as an older kernel, so that "
		     "callers fall back\n");
	fprintf(out, "calls of another architecture\tkill\talways\ttheir numbers mean other "
		     "things\n");
}
