/* SPDX-License-Identifier: ISC */
/* Cases 141 to 152: the supervisor's life. 143 and 146 are in faults.c, 150 in leaks.c;
 * 142 is the workers' and lies elsewhere.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- 141, 144, 145: what a crash leaves ---- */

static void master_killed(struct trial *t)
{
	struct service_options options = { .slots = 4 };
	const struct request request = { .arguments = "stay", .limits = { .wall_ms = 30000 } };
	unsigned count = times(100) / 4 + 1, turn, i;
	static struct service service;
	char text[300];

	if (!own_service(t, &options, &service))
		return;
	options.same_place = true;
	if (extent == EXTENT_PART)
		count = 5; /* kill_sweep does this at random moments */
	for (turn = 0; turn < count && t->problems == 0; turn++) {
		struct live live[4] = { 0 };

		for (i = 0; i < ARRAY_LEN(live); i++)
			live_start(&live[i], &service, &request);
		for (i = 0; i < ARRAY_LEN(live); i++)
			live_started(&live[i]);
		service_kill(&service);
		check(t, nothing_lives(&service), "programs outlive the master");
		for (i = 0; i < ARRAY_LEN(live); i++) {
			live_join(&live[i]);
			check(t, live[i].outcome.status != STATUS_SUCCESS, "a success");
			outcome_done(&live[i].outcome);
		}
		if (!check(t, service_start(&options, &service, text, sizeof text),
			   "it does not start again: %s", text))
			return;
	}
	own_service_done(t, &service);
}

static unsigned left_overs;

static int plant_left_over(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char below[PATH_MAX];

	(void)st;
	if (type != FTW_D || ftw->level > 1 || strstr(path, "left-over"))
		return 0;
	snprintf(below, sizeof below, "%s/left-over", path);
	if (mkdir(below, 0755) == 0)
		left_overs++;
	return 0;
}

static int count_left_over(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	left_overs += type == FTW_D && strstr(path, "/left-over");
	return 0;
}

static void stale_things(struct trial *t)
{
	struct service_options options = { .slots = 2 };
	const struct request request = { .arguments = "stay", .limits = { .wall_ms = 30000 } };
	static struct service service;
	static struct census first, second;
	struct live live = { 0 };
	char text[300];
	size_t i;

	if (!own_service(t, &options, &service))
		return;
	census_settled(&service, &first);
	live_start(&live, &service, &request);
	live_started(&live);
	service_kill_all(&service);
	live_join(&live);
	outcome_done(&live.outcome);
	left_overs = 0;
	for (i = 0; i < service.groups_count; i++)
		nftw(service.groups[i], plant_left_over, 16, FTW_PHYS);
	check(t, left_overs > 0, "no group could be planted");
	options.same_place = true;
	if (!check(t, service_start(&options, &service, text, sizeof text),
		   "it does not start on what a crash left: %s", text))
		return;
	left_overs = 0;
	census_settled(&service, &second);
	for (i = 0; i < service.groups_count; i++)
		nftw(service.groups[i], count_left_over, 16, FTW_PHYS);
	check(t, left_overs == 0, "%u stale groups are still there", left_overs);
	check(t, first.groups == second.groups, "%zu groups, %zu before", second.groups,
	      first.groups);
	own_service_done(t, &service);
}

/* Moves a process of ours into every group of a run. */
static unsigned join_groups_of(pid_t pid, pid_t us)
{
	static const char *const mounts[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	char path[PATH_MAX], text[4096], number[16], *line, *save = NULL;
	unsigned joined = 0;
	size_t i;

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	snprintf(number, sizeof number, "%d", us);
	if (io_read_text_at(AT_FDCWD, path, text, sizeof text) <= 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':') + 1, *group = strchr(controllers, ':');

		if (!strstr(line, "sandpool-test"))
			continue;
		*group++ = '\0';
		for (i = 0; i < ARRAY_LEN(mounts); i++) {
			snprintf(path, sizeof path, "%s%s%.60s%.2000s/cgroup.procs", mounts[i],
				 *controllers ? "/" : "", controllers, group);
			if (io_write_text_at(AT_FDCWD, path, number) == 0)
				joined++;
		}
	}
	return joined;
}

static bool child_ended(void *data)
{
	int status;

	return waitpid(*(pid_t *)data, &status, WNOHANG) == *(pid_t *)data;
}

static void planted_survivor(struct trial *t)
{
	const struct request request = { .arguments = "stay", .limits = { .wall_ms = 1500 } };
	struct live live = { 0 };
	unsigned joined;
	pid_t planted;

	live_start(&live, t->service, &request);
	live_started(&live);
	planted = fork();
	if (planted == 0) {
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	joined = join_groups_of(program_pid(t->service, "stay"), planted);
	check(t, joined > 0, "no group could be joined: %s", strerror(errno));
	live_join(&live);
	check(t, live.outcome.status == STATUS_TIMEOUT, "%s: %s", end_name(live.outcome.end),
	      job_status_name(live.outcome.status));
	outcome_done(&live.outcome);
	if (!check(t, until(child_ended, &planted, PATIENCE_MS),
		   "the planted process lives on")) {
		kill(planted, SIGKILL);
		waitpid(planted, NULL, 0);
	}
}

/* ---- 147: something is missing ---- */

/* lines: how many it may take to say so. */
static void refuses_in(struct trial *t, const struct service_options *options, const char *what,
		       unsigned lines)
{
	static struct service service;
	static char text[65536];
	unsigned said = 0;
	const char *at;
	int status;

	service_spawn(options, &service);
	status = service_wait(&service);
	check(t, status != -1 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0),
	      "%s: it started, or does not end (%x)", what, status);
	check(t, status == -1 || WIFEXITED(status), "%s: it crashed (%x)", what, status);
	text[0] = '\0';
	if (io_read_text_at(AT_FDCWD, service.log, text, sizeof text) <= 0)
		check(t, false, "%s: it says nothing, or no end of things", what);
	for (at = text; *at; at++)
		said += *at == '\n';
	check(t, said >= 1 && said <= lines, "%s: %u lines: %.300s", what, said, text);
	service_kill_all(&service);
	service_forget(&service);
}

void refuses(struct trial *t, const struct service_options *options, const char *what)
{
	refuses_in(t, options, what, 1);
}

void as_stranger(void *data)
{
	(void)data;
	if (setgroups(0, NULL) < 0 || setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
		_exit(0);
}

static void without_cgroups(void *data)
{
	(void)data;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
		_exit(0);
}

static void without_pids(void *data)
{
	(void)data;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    umount2("/sys/fs/cgroup/pids", MNT_DETACH) < 0)
		_exit(0);
}

static void without_calls(const long *calls, size_t count, int code)
{
	struct sock_filter block[32];
	struct sock_fprog program = { 0, block };
	size_t i;

	block[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							    offsetof(struct seccomp_data, nr));
	for (i = 0; i < count; i++) {
		block[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								    (unsigned)calls[i], 0, 1);
		block[program.len++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code);
	}
	block[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(0);
}

static void without_seccomp(void *data)
{
	static const long calls[] = { SYS_seccomp };

	(void)data;
	without_calls(calls, ARRAY_LEN(calls), ENOSYS);
}

static void without_namespaces(void *data)
{
	static const long calls[] = { SYS_unshare, SYS_clone3, SYS_setns };

	(void)data;
	without_calls(calls, ARRAY_LEN(calls), EINVAL);
}

static void without_pivot(void *data)
{
	static const long calls[] = { SYS_pivot_root };

	(void)data;
	without_calls(calls, ARRAY_LEN(calls), ENOSYS);
}

static void writable_conf(void *data)
{
	DIR *dir = opendir(ground.root);
	const struct dirent *entry;

	(void)data;
	while (dir && (entry = readdir(dir)) != NULL) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%s/%s/conf", ground.root, entry->d_name);
		chmod(path, 0666);
	}
}

static void fails_closed(struct trial *t)
{
	static const struct {
		const char *what;
		struct service_options options;
	} rows[] = {
		{ "no languages", { .conf = "language-directory = \"/no/such/folder\";\n" } },
		{ "an unknown key", { .conf = "slotz = 3;\n" } },
		{ "a bad value", { .conf = "cgroup-parent = \"../x\";\n" } },
		{ "an unknown user", { .conf = "worker-user = \"no-such-user-here\";\n" } },
		{ "a configuration that all can write", { .before_exec = writable_conf } },
		{ "no root", { .before_exec = as_stranger } },
		{ "no control groups", { .before_exec = without_cgroups } },
		{ "no seccomp", { .before_exec = without_seccomp } },
		{ "no namespaces", { .before_exec = without_namespaces } },
	};
	/* this shows only when a box is made: its keeper says why, the master that it ends */
	const struct service_options late = { .slots = 1, .before_exec = without_pivot };
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		refuses(t, &rows[i].options, rows[i].what);
	refuses_in(t, &late, "no pivot_root", 6);
}

/* An image that is not there takes its languages with it, and says so; there is no
 * run without it. */
static void image_missing(struct trial *t)
{
	const struct service_options options = {
		.slots = 1,
		.conf = "images = [ \"test=/no/such/folder\" ];\n",
	};
	const struct request request = { .arguments = "print", .wait_ms = 1000 };
	static struct service service;
	struct outcome outcome;
	struct wire_info info;
	struct error err = ERROR_INIT;
	uint64_t end = clock_ms() + PATIENCE_MS;

	service_spawn(&options, &service);
	while (launch_query(service.run, &info, &err) < 0 && clock_ms() < end)
		pause_ms(20);
	box_run(&service, &request, &outcome);
	check(t, outcome.end == LAUNCH_DOWN || outcome.end == LAUNCH_REFUSED, "%s, %s",
	      end_name(outcome.end), job_status_name(outcome.status));
	outcome_done(&outcome);
	check(t, service_said(&service, "/no/such/folder"), "the log does not name it");
	service_kill_all(&service);
	service_forget(&service);
}

static void one_controller_missing(struct trial *t)
{
	const struct service_options missing = { .before_exec = without_pids };
	const struct service_options allowed = { .slots = 2,
						 .before_exec = without_pids,
						 .conf = "allow-missing = [ \"pids\" ];\n" };
	static struct service service;

	if (access("/sys/fs/cgroup/pids", F_OK) < 0) {
		skip(t, "controllers cannot be missing one by one on pure v2");
		return;
	}
	refuses(t, &missing, "no pids controller");
	if (own_service(t, &allowed, &service))
		own_service_done(t, &service);
}

/* ---- 148: reload, drain ---- */

static void reload_under_load(struct trial *t)
{
	const struct service_options options = { .slots = 4 };
	static struct service service;
	struct canary canaries[3];
	size_t i;

	if (!own_service(t, &options, &service))
		return;
	for (i = 0; i < ARRAY_LEN(canaries); i++)
		canary_start(&canaries[i], &service);
	for (i = 0; i < 5; i++) {
		pause_ms(300);
		kill(service_master(&service), SIGHUP);
	}
	pause_ms(300);
	for (i = 0; i < ARRAY_LEN(canaries); i++) {
		canary_stop(&canaries[i]);
		check(t, canaries[i].sung > 0 && canaries[i].failed == 0,
		      "%u of %u runs failed: %s", canaries[i].failed, canaries[i].sung,
		      canaries[i].text);
	}
	own_service_done(t, &service);
}

static void term_drains(struct trial *t)
{
	const struct service_options options = { .slots = 2 };
	const struct request sleeps = { .arguments = "sleep 1500" };
	const struct request stays = { .arguments = "stay", .limits = { .wall_ms = 60000 } };
	static struct service service;
	struct live live = { 0 };
	int status;

	if (!own_service(t, &options, &service))
		return;
	live_start(&live, &service, &sleeps);
	program_pid(&service, "sleep");
	kill(service_master(&service), SIGTERM);
	live_join(&live);
	check(t, live.outcome.status == STATUS_SUCCESS, "the running one: %s, %s: %s",
	      end_name(live.outcome.end), job_status_name(live.outcome.status),
	      live.outcome.err.text);
	outcome_done(&live.outcome);
	status = service_wait(&service);
	check(t, status == 0, "after SIGTERM its status is %x", status);
	service_kill_all(&service);
	service_forget(&service);

	memset(&live, 0, sizeof live);
	if (!own_service(t, &options, &service))
		return;
	live_start(&live, &service, &stays);
	program_pid(&service, "stay");
	kill(service_master(&service), SIGTERM);
	pause_ms(300);
	check(t, kill(service_master(&service), SIGTERM) == 0, "it did not wait for the run");
	live_join(&live);
	check(t, live.outcome.status != STATUS_SUCCESS, "the second SIGTERM killed nothing");
	outcome_done(&live.outcome);
	status = service_wait(&service);
	check(t, status != -1, "it does not end after the second SIGTERM");
	check(t, nothing_lives(&service), "programs live on");
	service_kill_all(&service);
	service_forget(&service);
}

/* ---- 149, 151, 152 ---- */

static void two_daemons(struct trial *t)
{
	char conf[300], text[300];
	struct service_options second = { .slots = 1, .conf = conf };

	snprintf(conf, sizeof conf, "state-directory = \"%s\";\n", t->service->state);
	refuses(t, &second, "a second daemon on one state folder");
	snprintf(conf, sizeof conf, "run-directory = \"%s\";\n", t->service->run);
	refuses(t, &second, "a second daemon on one run folder");
	second.group_of = t->service->parent;
	snprintf(conf, sizeof conf, "cgroup-parent = \"%s\";\n", t->service->parent);
	refuses(t, &second, "a second daemon on one control group");
	check(t, slots_work(t->service, text, sizeof text), "the first one suffered: %s", text);
}

/* Makes it log: a peer that speaks nonsense. */
static void make_it_log(const struct service *service, unsigned count)
{
	char path[PATH_MAX];
	unsigned i;

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, service->run, "test");
	for (i = 0; i < count; i++) {
		struct error err = ERROR_INIT;
		int fd = io_connect_unix(path, SOCK_SEQPACKET, false, &err);

		if (fd < 0)
			continue;
		io_send(fd, "nonsense", 8, NULL, 0);
		close(fd);
	}
}

static void log_blocked(struct trial *t)
{
	struct service_options options = { .slots = 2 };
	static struct service service;
	int pair[2], full;
	char text[300];

	if (!check(t, pipe2(pair, O_NONBLOCK | O_CLOEXEC) == 0, "pipe"))
		return;
	while (write(pair[1], "x", 1) == 1) /* nobody reads it */
		;
	fcntl(pair[1], F_SETFL, 0); /* and it would block */
	options.log_fd = pair[1];
	if (own_service(t, &options, &service)) {
		make_it_log(&service, times(2000));
		check(t, slots_work(&service, text, sizeof text), "log full: %s", text);
		own_service_done(t, &service);
	}
	close(pair[0]);
	close(pair[1]);
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	options.log_fd = full;
	if (own_service(t, &options, &service)) {
		make_it_log(&service, 50);
		check(t, slots_work(&service, text, sizeof text), "log on a full disk: %s",
		      text);
		own_service_done(t, &service);
	}
	close(full);
}

static void only_pidfds(struct trial *t)
{
	char file[96];
	const char *const under[] = { "strace",
				      "-f",
				      "-q",
				      "-o",
				      file,
				      "-e",
				      "trace=kill,tkill,tgkill,pidfd_send_signal",
				      NULL };
	const struct service_options options = { .slots = 2, .under = under };
	const struct request requests[] = {
		{ .arguments = "print" },
		{ .arguments = "stay", .limits = { .wall_ms = 300 } },
		{ .arguments = "41" },
		{ .arguments = "39 64" },
	};
	static struct service service;
	unsigned calls = 0;
	char line[512];
	FILE *trace;
	size_t i;

	if (access("/usr/bin/strace", X_OK) < 0) {
		skip(t, "no strace");
		return;
	}
	snprintf(file, sizeof file, "%s/signals", ground.root);
	if (!own_service(t, &options, &service))
		return;
	for (i = 0; i < ARRAY_LEN(requests); i++) {
		struct outcome outcome;

		box_run(&service, &requests[i], &outcome);
		check(t, outcome.end == LAUNCH_DONE, "%s: %s", end_name(outcome.end),
		      outcome.err.text);
		outcome_done(&outcome);
	}
	own_service_done(t, &service);
	trace = fopen(file, "re");
	while (trace && fgets(line, sizeof line, trace)) {
		const char *at = strstr(line, "kill(");

		calls += strstr(line, "pidfd_send_signal(") != NULL || at != NULL;
		/* kill(-1, …) is init's, in its own pid namespace */
		if (at && strstr(line, "SIGKILL") && at[5] != '-')
			check(t, false, "a number was signalled: %.*s",
			      (int)strcspn(line, "\n"), line);
	}
	if (trace)
		fclose(trace);
	check(t, calls > 0, "no signal was seen at all");
}

static unsigned long newest_group;

static int find_newest_group(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	unsigned long number = type == FTW_D && name[0] == 'r' ? strtoul(name + 1, NULL, 10) : 0;

	(void)st;
	if (number > newest_group)
		newest_group = number;
	return 0;
}

static unsigned long newest_group_after(const struct service *service, unsigned runs)
{
	const struct request request = { .arguments = "print" };
	struct outcome outcome;
	size_t i;

	while (runs-- > 0) {
		box_run(service, &request, &outcome);
		outcome_done(&outcome);
	}
	pause_ms(300); /* the next box */
	newest_group = 0;
	for (i = 0; i < service->groups_count; i++)
		nftw(service->groups[i], find_newest_group, 16, FTW_PHYS);
	return newest_group;
}

/* A peak that cannot be started anew would be the next run's. */
static bool peak_is_for_life(const struct service *service)
{
	char path[PATH_MAX + 16];
	bool for_life = false;
	size_t i;
	int fd;

	for (i = 0; i < service->groups_count; i++) {
		snprintf(path, sizeof path, "%s/memory.peak", service->groups[i]);
		if (access(path, F_OK) < 0)
			continue;
		fd = open(path, O_RDWR | O_CLOEXEC);
		for_life = fd < 0 || write(fd, "0", 1) != 1;
		if (fd >= 0)
			close(fd);
	}
	return for_life;
}

static void groups_serve_again(struct trial *t)
{
	struct service_options options = { .slots = 1 };
	static struct service service;
	static struct census settled; /* which finds the groups */
	unsigned long before, after;

	if (!own_service(t, &options, &service))
		return;
	census_settled(&service, &settled);
	before = newest_group_after(&service, 10);
	after = newest_group_after(&service, 20);
	check(t, before > 0, "no group is there");
	if (peak_is_for_life(&service))
		skip(t, "this kernel keeps the peak of a group for life");
	else
		check(t, after == before, "20 runs made %lu new groups", after - before);
	own_service_done(t, &service);
}

const struct box_case cases_lifecycle[] = {
	{ .number = "141",
	  .name = "the master killed during runs",
	  .promise = "programs dead, ready again, nothing left",
	  .run = master_killed },
	{ .number = "144",
	  .name = "groups and sockets of a crash",
	  .promise = "cleaned at the start",
	  .run = stale_things },
	{ .number = "144b",
	  .name = "groups of runs that left no mark",
	  .promise = "serve the next ones",
	  .run = groups_serve_again },
	{ .number = "145",
	  .name = "a foreign process planted in the run's groups",
	  .promise = "killed, never moved",
	  .run = planted_survivor },
	{ .number = "147",
	  .name = "something is missing at the start",
	  .promise = "refused with one line",
	  .run = fails_closed },
	{ .number = "147b",
	  .name = "one controller is missing",
	  .promise = "refused, unless allowed",
	  .run = one_controller_missing },
	{ .number = "147c",
	  .name = "an image is missing",
	  .promise = "nothing runs without it",
	  .run = image_missing },
	{ .number = "148",
	  .name = "reload under load",
	  .promise = "no run fails",
	  .run = reload_under_load },
	{ .number = "148b",
	  .name = "SIGTERM, and a second one",
	  .promise = "drains; kills",
	  .run = term_drains },
	{ .number = "149",
	  .name = "a second daemon",
	  .promise = "refused; the first goes on",
	  .run = two_daemons },
	{ .number = "151",
	  .name = "a log that is full or blocked",
	  .promise = "runs go on",
	  .run = log_blocked },
	{ .number = "152",
	  .name = "what is signalled",
	  .promise = "pidfds alone",
	  .run = only_pidfds },
	{ 0 },
};
