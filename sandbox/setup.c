/* SPDX-License-Identifier: ISC */
/* Runs as: root, then user 0 of the box's user namespace, which is nobody on the
 * host.
 *
 * The processes of one slot:
 *
 *	keeper   root, host pid namespace, its own world of a few mounts
 *	  |      SEQPACKET socket
 *	init     this file, then init.c; pid 1 of new mount, pid, ipc, uts, cgroup
 *	  |      and time namespaces and in the slot's network namespace, all owned
 *	  |      by the host's user namespace; then in the slot's user namespace
 *	  |      shared memory, until the exec
 *	program  user 1000 in there, no capability, same filter; before its exec it is
 *	         the runner of init.c
 *
 * The user namespace comes last: whatever the program may do in it, it owns
 * none of the other namespaces. */
#define _GNU_SOURCE
#include "sandbox/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/init.h"
#include "sandbox/mount.h"

/* Descriptors at fixed places, so that everything above can be closed at once. */
enum { FD_SOCK = 3, FD_PROC, FD_USER_NS, FD_SCRATCH, FD_FIRST_FREE };

static int die_with_keeper(struct setup *s, struct error *err)
{
	(void)s;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return error_errno(err, "PDEATHSIG");
	return 0;
}

static int join_group(struct setup *s, struct error *err)
{
	return group_join(s->group, err);
}

static int hide_groups(struct setup *s, struct error *err)
{
	(void)s;
	if (unshare(CLONE_NEWCGROUP) < 0)
		return error_errno(err, "unshare");
	return 0;
}

/* The keeper's descriptors came along with the clone: keep four of them. */
static int keep_descriptors(struct setup *s, struct error *err)
{
	int *wanted[] = { &s->sock_fd, &s->proc_fd, &s->user_ns_fd, &s->scratch_fd };
	int high[ARRAY_LEN(wanted)];
	size_t i;

	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		high[i] = *wanted[i] < 0 ? -1 : fcntl(*wanted[i], F_DUPFD_CLOEXEC, 64);
		if (*wanted[i] >= 0 && high[i] < 0)
			return error_errno(err, "duplicate");
	}
	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		if (high[i] < 0) {
			close((int)(FD_SOCK + i));
			continue;
		}
		if (dup3(high[i], (int)(FD_SOCK + i), O_CLOEXEC) < 0)
			return error_errno(err, "place");
		*wanted[i] = (int)(FD_SOCK + i);
	}
	if (close_range(FD_FIRST_FREE, ~0U, 0) < 0)
		return error_errno(err, "close the others");
	return 0;
}

static int first_to_go(struct setup *s, struct error *err)
{
	if (io_write_text_at(s->proc_fd, "self/oom_score_adj", "1000") < 0)
		return error_errno(err, "oom_score_adj");
	return 0;
}

static int enter_user_namespace(struct setup *s, struct error *err)
{
	if (setns(s->user_ns_fd, CLONE_NEWUSER) < 0)
		return error_errno(err, "setns");
	return 0;
}

static int become_inner_root(struct setup *s, struct error *err)
{
	(void)s;
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return error_errno(err, "set ids");
	return 0;
}

static int drop_bounding_set(struct setup *s, struct error *err)
{
	int cap;

	(void)s;
	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return error_errno(err, "capability %d", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return error_errno(err, "ambient set");
	if (prctl(PR_SET_SECUREBITS,
		  SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		  0, 0, 0) < 0)
		return error_errno(err, "securebits");
	return 0;
}

static int forbid_privileges(struct setup *s, struct error *err)
{
	static const unsigned long features[] = { PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH };
	size_t i;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, "no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, "dumpable");
	/* ENODEV, ENXIO, EPERM: this processor needs it not, or has it forced already */
	for (i = 0; s->strict_speculation && i < ARRAY_LEN(features); i++)
		if (prctl(PR_SET_SPECULATION_CTRL, features[i], PR_SPEC_FORCE_DISABLE, 0, 0) < 0 &&
		    errno != ENODEV && errno != ENXIO && errno != EPERM)
			return error_errno(err, "speculation control");
	return 0;
}

static int keep_three_capabilities(struct setup *s, struct error *err)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	const uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;

	(void)s;
	memset(data, 0, sizeof data);
	data[0].effective = data[0].permitted = keep;
	if (syscall(SYS_capset, &head, data) < 0)
		return error_errno(err, "capset");
	return 0;
}

/* Standard streams and every other descriptor but the socket go; the program
 * gets its own three later. */
static int close_all_but_socket(struct setup *s, struct error *err)
{
	(void)s;
	if (close_range(FD_SOCK + 1, ~0U, 0) < 0 || close_range(0, 2, 0) < 0)
		return error_errno(err, "close_range");
	return 0;
}

static int load_filter(struct setup *s, struct error *err)
{
#ifdef SANDPOOL_FAULTS
	if (getenv("SANDPOOL_TEST_NO_FILTER"))
		return 0;
#endif
	return filter_load(s->filter, err);
}

static const struct step {
	const char *name;
	int (*run)(struct setup *s, struct error *err);
} steps[] = {
	/* root, inside new namespaces; on v2 already inside the run's group */
	{ "die with the keeper", die_with_keeper },
	{ "join the control group", join_group },
	{ "hide the control groups", hide_groups },
	{ "keep four descriptors", keep_descriptors },
	{ "mount the scratch tmpfs", mount_scratch },
	{ "mount an overlay over the tree", mount_over_tree },
	{ "mount /box, /tmp and /dev/shm", mount_own_folders },
	{ "mount /proc", mount_proc },
	{ "enter the new root", enter_root },
	{ "be the first to go", first_to_go },
	/* ---- root ends with the next line ---- */
	{ "enter the user namespace", enter_user_namespace },
	{ "become user 0 in it", become_inner_root },
	{ "drop the bounding set", drop_bounding_set },
	{ "forbid new privileges", forbid_privileges },
	{ "keep three capabilities", keep_three_capabilities },
	{ "die with the keeper again", die_with_keeper }, /* the change of user cleared it */
	{ "close all but the socket", close_all_but_socket },
	{ "load the syscall filter", load_filter },
};

const char *setup_step_name(unsigned index)
{
	return index < ARRAY_LEN(steps) ? steps[index].name : NULL;
}

/* Test builds can make one step fail, by its name. */
static bool made_to_fail(const char *name)
{
#ifdef SANDPOOL_FAULTS
	const char *wanted = getenv("SANDPOOL_TEST_FAIL_STEP");

	return wanted && !strcmp(wanted, name);
#else
	(void)name;
	return false;
#endif
}

noreturn void setup_run(struct setup *s)
{
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(steps); i++) {
		if ((made_to_fail(steps[i].name) ? error_set(&err, EIO, "made to fail")
						 : steps[i].run(s, &err)) < 0) {
			error_wrap(&err, "%s", steps[i].name);
			init_fail(s->sock_fd, &err);
		}
	}
	init_main(s->sock_fd);
}
