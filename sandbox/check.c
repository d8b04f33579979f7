/* SPDX-License-Identifier: ISC */
/* Runs as: root, by hand: sandpool check [--json]. Says of everything that the
 * daemon needs, or that makes a host safer, what was found and whether it is
 * good; and the command that mends it. Changes nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/language.h"
#include "common/log.h"
#include "config.h"
#include "sandbox/cgroup.h"
#include "sandbox/ids.h"
#include "sandbox/workbench.h"

enum grade { GOOD, WARN, BAD };

/* One line of the report. */
struct finding {
	enum grade grade;
	char found[200];
	char remedy[200];
};

static struct settings settings;

static enum grade say(struct finding *f, enum grade grade, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum grade say(struct finding *f, enum grade grade, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->found, sizeof f->found, fmt, ap);
	va_end(ap);
	f->grade = grade;
	return grade;
}

static void mend(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void mend(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->remedy, sizeof f->remedy, fmt, ap);
	va_end(ap);
}

static bool read_file(const char *path, char *text, size_t size)
{
	return io_read_text_at(AT_FDCWD, path, text, size) >= 0;
}

/* ---- what the daemon cannot do without ---- */

static void check_root(struct finding *f)
{
	if (geteuid() == 0) {
		say(f, GOOD, "started by root");
		return;
	}
	say(f, BAD, "started by user %u", (unsigned)geteuid());
	mend(f, "sudo sandpool check");
}

static void check_kernel(struct finding *f)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	uname(&name);
	if (sscanf(name.release, "%u.%u", &major, &minor) != 2 || major < 5 ||
	    (major == 5 && minor < 14)) {
		say(f, BAD, "Linux %s", name.release);
		mend(f, "install a kernel of at least 5.14 (Debian 12 has 6.1)");
		return;
	}
	say(f, GOOD, "Linux %s", name.release);
}

static void check_calls(struct finding *f)
{
	static const struct {
		const char *name;
		long number;
	} calls[] = {
		{ "clone3", SYS_clone3 },	      { "openat2", SYS_openat2 },
		{ "close_range", SYS_close_range },   { "pidfd_open", SYS_pidfd_open },
		{ "fsopen", SYS_fsopen },	      { "open_tree", SYS_open_tree },
		{ "mount_setattr", SYS_mount_setattr },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		/* invalid on purpose: only "no such call" is of interest */
		if (syscall(calls[i].number, -1, -1, -1, -1, -1) < 0 && errno == ENOSYS) {
			say(f, BAD, "the system call %s is missing", calls[i].name);
			mend(f, "install a newer kernel; in a container, allow the call");
			return;
		}
	}
	say(f, GOOD, "clone3, openat2, close_range, pidfds, the new mount calls");
}

static void check_groups(struct finding *f)
{
	struct error err = ERROR_INIT;
	char text[100];

	if (cgroup_describe(text, sizeof text, &err) < 0) {
		say(f, BAD, "%s", err.text);
		mend(f, "run under systemd with Delegate=yes, or mount the controllers");
		return;
	}
	say(f, GOOD, "%s", text);
}

static void check_user_namespaces(struct finding *f)
{
	char text[32];

	if (read_file("/proc/sys/user/max_user_namespaces", text, sizeof text) && atol(text) > 0) {
		say(f, GOOD, "at most %ld", atol(text));
		return;
	}
	say(f, BAD, "none are allowed");
	mend(f, "sysctl -w user.max_user_namespaces=10000");
}

static void check_ids(struct finding *f)
{
	struct error err = ERROR_INIT;

	if (ids_check_free((uid_t)settings.box_ids_first, 2 * (unsigned)settings.slots, &err) < 0) {
		say(f, BAD, "%s", err.text);
		mend(f, "set box-ids in sandpool.conf to a free range");
		return;
	}
	say(f, GOOD, "%llu..%llu are free", (unsigned long long)settings.box_ids_first,
	    (unsigned long long)(settings.box_ids_first + 2 * settings.slots - 1));
}

static void check_user(struct finding *f)
{
	struct error err = ERROR_INIT;
	uid_t uid;

	if (ids_user(settings.worker_user, &uid, &err) < 0) {
		say(f, BAD, "%s", err.text);
		mend(f, "adduser --system --group %s", settings.worker_user);
		return;
	}
	if (uid == 0) {
		say(f, BAD, "worker-user is root");
		mend(f, "set worker-user in sandpool.conf");
		return;
	}
	say(f, GOOD, "%s is %u", settings.worker_user, (unsigned)uid);
}

static void check_languages(struct finding *f)
{
	struct error err = ERROR_INIT;
	struct language_table *table = language_table_load(settings.language_directory, true, &err);

	if (!table) {
		say(f, BAD, "%s", err.text);
		mend(f, "mend the file, or set language-directory in sandpool.conf");
		return;
	}
	say(f, table->count ? GOOD : BAD, "%zu files", table->count);
	language_table_free(table);
}

static void check_memory(struct finding *f)
{
	uint64_t mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;

	say(f, mib >= 700 ? GOOD : WARN, "%llu MiB, %llu slots on %ld cores",
	    (unsigned long long)mib, (unsigned long long)settings.slots,
	    sysconf(_SC_NPROCESSORS_ONLN));
	if (mib < 700)
		mend(f, "lower run.memory and compile.memory, or add memory");
}

static int run_canary(struct workbench *bench, struct error *err)
{
	static char *argv[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
				(char *)(uintptr_t) "exit 7", NULL };
	cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int stdio_fd[] = { null_fd, null_fd, null_fd };
	int image, status = 0;

	if (workbench_open(bench, "check", err) < 0)
		return -1;
	image = image_find(&bench->images, IMAGE_HOST);
	if (image < 0)
		return error_set(err, ENOENT, "the host image cannot be mounted");
	if (workbench_take(bench, (unsigned)image, err) < 0 ||
	    workbench_run(bench, argv, stdio_fd, 10000, &status, err) < 0)
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
		return error_set(err, EIO, "a shell in a box ended with status %x", status);
	return 0;
}

/* The proof of all of the above: a real box, made, used, and removed. In a child,
 * because it leaves our namespaces behind. */
static void check_box(struct finding *f)
{
	struct error err = ERROR_INIT;
	int ends[2], status;
	pid_t pid;

	if (geteuid() != 0) {
		say(f, WARN, "not tried: needs root");
		return;
	}
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		say(f, BAD, "%s", strerror(errno));
		return;
	}
	if (pid == 0) {
		static struct workbench bench;
		int rc;

		bench.settings = settings;
		rc = run_canary(&bench, &err);
		workbench_close(&bench);
		if (rc < 0 && write(ends[1], &err, sizeof err) != sizeof err)
			_exit(2);
		_exit(rc < 0);
	}
	close(ends[1]);
	if (io_read_full(ends[0], &err, sizeof err) != sizeof err)
		err.text[0] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		say(f, GOOD, "a program ran in a real box");
		return;
	}
	err.text[sizeof err.text - 1] = '\0';
	say(f, BAD, "%.190s", err.text[0] ? err.text : "the attempt died");
	mend(f, "see the lines above; in a container, give it CAP_SYS_ADMIN and cgroups");
}

/* ---- what makes a host safer ---- */

static void check_swap(struct finding *f)
{
	char text[2000];

	if (read_file("/proc/swaps", text, sizeof text) && strchr(text, '\n') &&
	    strchr(text, '\n')[1]) {
		say(f, WARN, "on");
		mend(f, "swapoff -a, and take it out of /etc/fstab");
		return;
	}
	say(f, GOOD, "off");
}

static void check_core_pattern(struct finding *f)
{
	char text[200];

	if (!read_file("/proc/sys/kernel/core_pattern", text, sizeof text)) {
		say(f, WARN, "cannot be read");
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	say(f, text[0] == '|' ? WARN : GOOD, "%.100s", text);
	if (text[0] == '|')
		mend(f, "sysctl -w kernel.core_pattern=core (boxes write no cores, but a helper "
			"that runs as root is one more way in)");
}

static void check_threads_of_core(struct finding *f)
{
	char text[16];

	if (read_file("/sys/devices/system/cpu/smt/active", text, sizeof text) && text[0] == '1') {
		say(f, WARN, "two threads share a core");
		mend(f, "for strangers' programs: echo off > /sys/devices/system/cpu/smt/control");
		return;
	}
	say(f, GOOD, "no two threads share a core");
}

static void check_clock(struct finding *f)
{
	time_t now = time(NULL);

	if (now > 1735689600) { /* the first day of 2025 */
		say(f, GOOD, "plausible");
		return;
	}
	say(f, WARN, "lies in the past");
	mend(f, "apt-get install systemd-timesyncd");
}

static void check_machine(struct finding *f)
{
	char text[4096];
	struct stat st;

	if (stat("/.dockerenv", &st) == 0 || stat("/run/.containerenv", &st) == 0) {
		say(f, WARN, "a container: its host's kernel is shared once more");
		mend(f, "prefer a virtual machine or a host of its own");
		return;
	}
	if (read_file("/proc/cpuinfo", text, sizeof text) || errno == EFBIG) {
		int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

		close_fd(&fd);
		text[n > 0 ? n : 0] = '\0';
		if (strstr(text, "hypervisor")) {
			say(f, GOOD, "a virtual machine");
			return;
		}
	}
	say(f, GOOD, "a machine of its own");
}

/* The revision in which Debian 12 mended CVE-2025-23016. */
#define FCGI_FIXED "2.4.2-2+deb12u1"

static void check_fcgi(struct finding *f)
{
	FILE *file = fopen("/var/lib/dpkg/status", "re");
	char line[512], version[100] = "";
	bool here = false;

	while (file && fgets(line, sizeof line, file)) {
		if (!strncmp(line, "Package: ", 9))
			here = !strncmp(line + 9, "libfcgi0", 8) || !strncmp(line + 9, "libfcgi-bin", 11);
		if (here && sscanf(line, "Version: %99s", version) == 1)
			break;
	}
	if (file)
		fclose(file);
	if (!version[0]) {
		say(f, WARN, "no Debian package of it");
		return;
	}
	if (!strncmp(version, "2.4.2-2", 7) && !strchr(version, '+')) {
		say(f, WARN, "%s, with CVE-2025-23016", version);
		mend(f, "apt-get install --only-upgrade libfcgi0ldbl (to " FCGI_FIXED " or later)");
		return;
	}
	say(f, GOOD, "%s", version);
}

/* Switches of the kernel that every such host should have set. */
static const struct sysctl {
	const char *name, *path;
	long least, most;
	const char *value;
} sysctls[] = {
	{ "kernel.unprivileged_bpf_disabled", "kernel/unprivileged_bpf_disabled", 1, 2, "1" },
	{ "kernel.io_uring_disabled", "kernel/io_uring_disabled", 2, 2, "2" },
	{ "vm.unprivileged_userfaultfd", "vm/unprivileged_userfaultfd", 0, 0, "0" },
	{ "dev.tty.legacy_tiocsti", "dev/tty/legacy_tiocsti", 0, 0, "0" },
	{ "kernel.perf_event_paranoid", "kernel/perf_event_paranoid", 2, 4, "3" },
	{ "kernel.kptr_restrict", "kernel/kptr_restrict", 1, 2, "1" },
	{ "kernel.dmesg_restrict", "kernel/dmesg_restrict", 1, 1, "1" },
	{ "fs.protected_symlinks", "fs/protected_symlinks", 1, 1, "1" },
	{ "fs.protected_hardlinks", "fs/protected_hardlinks", 1, 1, "1" },
	{ "fs.protected_fifos", "fs/protected_fifos", 1, 2, "2" },
	{ "fs.protected_regular", "fs/protected_regular", 1, 2, "2" },
	{ "kernel.yama.ptrace_scope", "kernel/yama/ptrace_scope", 1, 3, "1" },
};

static void check_sysctl(const struct sysctl *row, struct finding *f)
{
	char path[100], text[32];
	long value;

	snprintf(path, sizeof path, "/proc/sys/%s", row->path);
	if (!read_file(path, text, sizeof text)) {
		say(f, GOOD, "this kernel has it not");
		return;
	}
	value = atol(text);
	say(f, value >= row->least && value <= row->most ? GOOD : WARN, "%ld", value);
	if (f->grade != GOOD)
		mend(f, "sysctl -w %s=%s", row->name, row->value);
}

static const struct {
	const char *name;
	void (*run)(struct finding *f);
} checks[] = {
	{ "privilege", check_root },
	{ "kernel", check_kernel },
	{ "system calls", check_calls },
	{ "control groups", check_groups },
	{ "user namespaces", check_user_namespaces },
	{ "box ids", check_ids },
	{ "worker user", check_user },
	{ "languages", check_languages },
	{ "memory", check_memory },
	{ "a box", check_box },
	{ "machine", check_machine },
	{ "swap", check_swap },
	{ "core pattern", check_core_pattern },
	{ "cpu threads", check_threads_of_core },
	{ "clock", check_clock },
	{ "libfcgi", check_fcgi },
};

/* ---- printing ---- */

static const char *const grade_names[] = { "good", "warn", "bad" };

static void print_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_finding(const char *name, const struct finding *f, bool json, bool first)
{
	if (!json) {
		printf("%-4s  %-34s %s\n", grade_names[f->grade], name, f->found);
		if (f->remedy[0])
			printf("      %-34s -> %s\n", "", f->remedy);
		return;
	}
	printf("%s{\"name\":", first ? "" : ",\n");
	print_json_text(name);
	printf(",\"grade\":\"%s\",\"found\":", grade_names[f->grade]);
	print_json_text(f->found);
	printf(",\"remedy\":");
	if (f->remedy[0])
		print_json_text(f->remedy);
	else
		printf("null");
	putchar('}');
}

static enum grade run_checks(bool json)
{
	enum grade worst = GOOD;
	size_t i;

	for (i = 0; i < ARRAY_LEN(checks) + ARRAY_LEN(sysctls); i++) {
		struct finding f = { .grade = GOOD };
		const char *name;

		if (i < ARRAY_LEN(checks)) {
			name = checks[i].name;
			checks[i].run(&f);
		} else {
			name = sysctls[i - ARRAY_LEN(checks)].name;
			check_sysctl(&sysctls[i - ARRAY_LEN(checks)], &f);
		}
		print_finding(name, &f, json, i == 0);
		fflush(stdout);
		if (f.grade > worst)
			worst = f.grade;
	}
	return worst;
}

static void usage(FILE *out)
{
	fputs("usage: sandpool check [-c FILE] [--json]\n"
	      "  exit status: 0 all is good, 1 something could be better, 2 it will not start\n",
	      out);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'v' },
					       { NULL, 0, NULL, 0 } };
	struct error err = ERROR_INIT;
	const char *conf_path = NULL;
	bool json = false;
	enum grade worst;
	int option;

	while ((option = getopt_long(argc, argv, "c:jhv", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			conf_path = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'v':
			puts("sandpool-check " PACKAGE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	workbench_own_group(argv);
	log_open("sandpool check", LOG_WARNING);
	if (settings_load(conf_path, true, &settings, &err) < 0) {
		fprintf(stderr, "sandpool check: %s\n", err.text);
		return 2;
	}
	if (json)
		printf("[");
	worst = run_checks(json);
	if (json)
		puts("]");
	settings_free(&settings);
	return (int)worst;
}
