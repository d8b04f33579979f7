/* SPDX-License-Identifier: ISC */
/* The order of privileges: with the filter switched off in a test build the
 * program still owns none of its namespaces, and neither does somebody with every
 * capability of its user namespace.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct {
	const char *number, *name, *promise;
} rows[] = {
	{ "003c", "with the filter off",
	  "EPERM for mounts, host name, interfaces; ENOSPC for a user namespace" },
	{ "003d", "with every capability of the box's user namespace", "the same" },
	{ "003e", "owner of the namespaces", "the host's user namespace" },
	{ "003f", "credentials of the box's init", "SETUID, SETGID and KILL alone" },
	{ "003g", "memory that init shares with the daemon", "none" },
};

static const char *const namespaces[] = { "mnt", "pid", "ipc", "uts", "net", "cgroup", "time" };

static int open_ns(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool same_file(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

static void owners(pid_t pid)
{
	cleanup_close int host = open_ns(getpid(), "user"), own = open_ns(pid, "user");
	bool good = host >= 0 && own >= 0 && !same_file(host, own);
	size_t i;

	for (i = 0; i < ARRAY_LEN(namespaces); i++) {
		cleanup_close int ns = open_ns(pid, namespaces[i]);
		cleanup_close int ours = open_ns(getpid(), namespaces[i]);
		cleanup_close int owner = ns < 0 ? -1 : ioctl(ns, NS_GET_USERNS);

		if (owner < 0 || !same_file(owner, host) || same_file(ns, ours)) {
			tap_note("%s: %s", namespaces[i],
				 owner < 0	       ? strerror(errno)
				 : same_file(ns, ours) ? "is the host's own"
						       : "is owned by another user namespace");
			good = false;
		}
	}
	tap_ok(good, "%s %s", rows[2].number, rows[2].name);
}

/* ---- the strongest attacker: inside, with all that the user namespace gives ---- */

static int refused(const char *what, long rc)
{
	if (rc < 0 && (errno == EPERM || errno == EACCES))
		return 0;
	printf("# %s: %s\n", what, rc < 0 ? strerror(errno) : "success");
	return 1;
}

static int attack_with_capabilities(pid_t pid)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct ifreq request = { .ifr_name = "lo" };
	int user = open_ns(pid, "user"), ns[ARRAY_LEN(namespaces)], bad = 0, fd;
	size_t i;

	for (i = 0; i < ARRAY_LEN(namespaces); i++) /* before /proc is another */
		ns[i] = open_ns(pid, namespaces[i]);
	for (i = 0; i < ARRAY_LEN(namespaces); i++)
		if (setns(ns[i], 0) < 0) {
			printf("# setns %s: %s\n", namespaces[i], strerror(errno));
			return 1;
		}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (setns(user, CLONE_NEWUSER) < 0) {
		printf("# setns user: %s\n", strerror(errno));
		return 1;
	}
	/* all of them, in there */
	if (syscall(SYS_capget, &head, data) < 0 ||
	    !(data[0].effective & (1u << CAP_SYS_ADMIN))) {
		printf("# no capabilities to try with\n");
		return 1;
	}
	bad += refused("mount tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL));
	bad += refused("bind mount", mount("/box", "/tmp", NULL, MS_BIND, NULL));
	bad += refused("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	bad += refused("umount /proc", umount2("/proc", MNT_DETACH));
	bad += refused("umount /", umount2("/", MNT_DETACH));
	bad += refused("pivot_root", syscall(SYS_pivot_root, "/", "/tmp"));
	bad += refused("sethostname", sethostname("mine", 4));
	bad += refused("setdomainname", setdomainname("mine", 4));
	request.ifr_flags = IFF_UP;
	bad += refused("interface up", ioctl(fd, SIOCSIFFLAGS, &request));
	bad += refused("raw socket", socket(AF_INET, SOCK_RAW, 1));
	bad += refused("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
	bad += refused("mknod", mknod("/tmp/mem", S_IFCHR | 0600, 0x101));
	return bad ? 1 : 0;
}

static void with_capabilities(pid_t pid)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		status = attack_with_capabilities(pid);
		fflush(stdout);
		_exit(status);
	}
	waitpid(child, &status, 0);
	tap_ok(status == 0, "%s %s", rows[1].number, rows[1].name);
}

/* ---- init ---- */

static uint64_t status_field(pid_t pid, const char *field, int base)
{
	char path[32], text[4096];
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	if (io_read_text_at(AT_FDCWD, path, text, sizeof text) <= 0)
		return UINT64_MAX;
	at = strstr(text, field);
	return at ? strtoull(at + strlen(field), NULL, base) : UINT64_MAX;
}

static void init_credentials(pid_t program, bool filtered)
{
	const pid_t init = (pid_t)status_field(program, "\nPPid:\t", 10);
	const uint64_t most = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
	static const char *const sets[] = { "\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t",
					    "\nCapBnd:\t", "\nCapAmb:\t" };
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_LEN(sets); i++) {
		uint64_t of_init = status_field(init, sets[i], 16);
		uint64_t of_program = status_field(program, sets[i], 16);

		if ((of_init & ~most) || of_program) {
			tap_note("%.6s: init %llx, program %llx", sets[i] + 1,
				 (unsigned long long)of_init, (unsigned long long)of_program);
			good = false;
		}
	}
	if (status_field(init, "\nNoNewPrivs:\t", 10) != 1 ||
	    status_field(program, "\nNoNewPrivs:\t", 10) != 1) {
		tap_note("no_new_privs is off");
		good = false;
	}
	if (filtered && (status_field(init, "\nSeccomp:\t", 10) != 2 ||
			 status_field(program, "\nSeccomp:\t", 10) != 2)) {
		tap_note("no filter");
		good = false;
	}
	if (status_field(init, "\nUid:\t", 10) == status_field(program, "\nUid:\t", 10) ||
	    status_field(init, "\nUid:\t", 10) == 0) {
		tap_note("init is user %llu",
			 (unsigned long long)status_field(init, "\nUid:\t", 10));
		good = false;
	}
	tap_ok(good, "%s %s", rows[3].number, rows[3].name);
}

static void init_shares_nothing(pid_t program)
{
	const pid_t init = (pid_t)status_field(program, "\nPPid:\t", 10);
	unsigned maps = 0, shared = 0;
	char path[32], line[600];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/maps", init);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		const char *access = strchr(line, ' ');

		maps++;
		if (access && access[4] == 's') {
			shared++;
			tap_note("%.*s", (int)strcspn(line, "\n"), line);
		}
	}
	if (file)
		fclose(file);
	tap_ok(maps > 0 && shared == 0, "%s %s", rows[4].number, rows[4].name);
}

static void with_filter_off(const struct service *service)
{
	const struct request request = { .arguments = "order" };
	struct outcome outcome;

	box_run(service, &request, &outcome);
	if (!tap_ok(outcome.status == STATUS_SUCCESS && strstr(outcome.out, "as promised"),
		    "%s %s", rows[0].number, rows[0].name))
		tap_note("%s, %s: %.500s", end_name(outcome.end),
			 job_status_name(outcome.status), outcome.out);
	outcome_done(&outcome);
}

static void look_into_a_run(const struct service *service, bool filtered)
{
	const struct request request = { .arguments = "stay" };
	struct live live = { 0 };
	pid_t pid;

	live_start(&live, service, &request);
	live_started(&live);
	pid = program_pid(service, "stay");
	if (tap_ok(pid > 0, "003e a program to look at")) {
		owners(pid);
		init_credentials(pid, filtered);
		init_shares_nothing(pid);
		with_capabilities(pid);
	}
	live_cancel(&live);
	live_join(&live);
	outcome_done(&live.outcome);
}

int main(int argc, char **argv)
{
	static const char *const environment[] = { "SANDPOOL_TEST_NO_FILTER=1", NULL };
	struct service_options off = { .slots = 2, .environment = environment };
	const struct service_options on = { .slots = 2 };
	static struct service service;
	char text[400];
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < ARRAY_LEN(rows); i++)
			printf("%-5s %s: %s\n", rows[i].number, rows[i].name, rows[i].promise);
		return 0;
	}
	ground_make();
	off.program = ground.faults;
	if (tap_ok(service_start(&off, &service, text, sizeof text),
		   "003c the test build starts without its filter")) {
		with_filter_off(&service);
		look_into_a_run(&service, false);
		tap_ok(service_stop(&service) == 0, "003c it ends well");
	} else {
		tap_note("%s", text);
	}
	if (tap_ok(service_start(&on, &service, text, sizeof text),
		   "003e the real build starts")) {
		look_into_a_run(&service, true);
		tap_ok(service_stop(&service) == 0, "003e it ends well");
	}
	return tap_done();
}
