/* SPDX-License-Identifier: ISC */
/* Cases 153 to 158: the host that the supervisor shares.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* ---- 153: other users of the host ---- */

/* In a child that is the stranger; the bits of its exit code say what worked. */
static int stranger_tries(const struct service *service)
{
	static const char *const names[] = { "control.sock", "box-test.sock" };
	const struct request request = { .arguments = "print", .wait_ms = 2000 };
	struct outcome outcome;
	struct wire_info info;
	int worked = 0, i;
	pid_t pid = fork();
	int status;

	if (pid != 0) {
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return -1;
		return WEXITSTATUS(status);
	}
	as_stranger(NULL);
	for (i = 0; i < 2; i++) {
		char path[PATH_MAX];
		struct error err = ERROR_INIT;

		snprintf(path, sizeof path, "%s/%s", service->run, names[i]);
		if (io_connect_unix(path, SOCK_SEQPACKET, false, &err) >= 0)
			worked |= 1 << i;
	}
	box_run(service, &request, &outcome);
	if (outcome.end == LAUNCH_DONE)
		worked |= 4;
	if (opendir(service->state))
		worked |= 8;
	if (launch_query(service->run, &info, &(struct error)ERROR_INIT) == 0)
		worked |= 16;
	_exit(worked);
}

static void other_users(struct trial *t)
{
	static const char *const names[] = { "control.sock", "box-test.sock" };
	const struct service_options options = { .slots = 2 };
	static struct service service;
	char path[PATH_MAX];
	int worked;
	size_t i;

	if (!own_service(t, &options, &service))
		return;
	worked = stranger_tries(&service);
	check(t, (worked & 3) == 0, "a stranger opens the sockets (%d)", worked);
	check(t, (worked & 8) == 0, "a stranger reads the state folder");
	check(t, (worked & 20) == 0, "a stranger is answered (%d)", worked);
	/* and were the modes wrong, the peer's id still counts */
	chmod(service.run, 0777);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "%s/%s", service.run, names[i]);
		chmod(path, 0777);
	}
	worked = stranger_tries(&service);
	check(t, (worked & 3) == 3, "the sockets did not open (%d)", worked);
	check(t, (worked & 20) == 0, "a stranger is answered by id (%d)", worked);
	own_service_done(t, &service);
}

/* ---- 154: paths that somebody else made first ---- */

static void made_by_stranger(const char *path, bool link)
{
	if (link) {
		if (symlink(ground.outside, path) < 0 || lchown(path, STRANGER, STRANGER) < 0)
			perror(path);
	} else if (mkdir(path, 0777) < 0 || chown(path, STRANGER, STRANGER) < 0) {
		perror(path);
	}
}

static void paths_made_first(struct trial *t)
{
	static const char *const keys[] = { "run-directory", "state-directory" };
	char shared[96], path[128], conf[256];
	const struct service_options options = { .conf = conf };
	struct stat st;
	int turn;

	snprintf(shared, sizeof shared, "%s/shared", ground.root);
	mkdir(shared, 0755);
	chmod(shared, 01777);
	for (turn = 0; turn < 4; turn++) {
		snprintf(path, sizeof path, "%s/made-%d", shared, turn);
		made_by_stranger(path, turn >= 2);
		snprintf(conf, sizeof conf, "%s = \"%s\";\n", keys[turn % 2], path);
		refuses(t, &options,
			turn >= 2 ? "a link of a stranger" : "a folder of a stranger");
	}
	check(t, stat(t->service->state, &st) == 0 && st.st_uid == 0 && (st.st_mode & 027) == 0,
	      "the state folder has mode %o, owner %u", st.st_mode, st.st_uid);
	check(t, stat(t->service->run, &st) == 0 && st.st_uid == 0 && (st.st_mode & 022) == 0,
	      "the run folder has mode %o, owner %u", st.st_mode, st.st_uid);
}

/* ---- 155: ids that others have ---- */

static void with_subuids(void *data)
{
	char path[128];

	(void)data;
	snprintf(path, sizeof path, "%s/subuid", ground.root);
	write_file(path, "somebody:1879048192:65536\n", 0644);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(path, "/etc/subuid", NULL, MS_BIND, NULL) < 0)
		_exit(0);
}

static void ids_overlap(struct trial *t)
{
	static const struct service_options user = { .conf = "box-ids = 65530;\n" };
	static const struct service_options subuid = { .conf = "box-ids = 1879048200;\n",
						       .before_exec = with_subuids };

	refuses(t, &user, "ids that reach over nobody's");
	if (access("/etc/subuid", F_OK) == 0)
		refuses(t, &subuid, "ids that reach into a subuid range");
}

/* ---- 156: an unfriendly start ---- */

static void unfriendly(void *data)
{
	const struct rlimit small[] = { { 16, 4096 },
					{ 1, RLIM_INFINITY },
					{ 1, RLIM_INFINITY } };
	sigset_t all;
	char path[128];
	int fd, i;

	(void)data;
	snprintf(path, sizeof path, "%s/outside/file", ground.root);
	fd = open(path, O_RDWR);
	dup2(fd, 77);
	dup2(fd, 3);
	setrlimit(RLIMIT_NOFILE, &small[0]);
	setrlimit(RLIMIT_FSIZE, &small[1]);
	setrlimit(RLIMIT_NPROC, &small[2]);
	umask(0777);
	if (chdir("/proc") < 0)
		_exit(0);
	for (i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	close(0);
	close(1);
	close(2);
}

static void unfriendly_start(struct trial *t)
{
	static const char *const environment[] = {
		"PATH=/no/such:.",
		"LC_ALL=tr_TR.UTF-8",
		"LANG=xx",
		"LD_LIBRARY_PATH=/tmp",
		"IFS=x",
		"HTTP_COOKIE=secret",
		"SANDPOOL_SECRET=secret",
		"TMPDIR=/no/such",
		"HOME=/no/such",
		"MALLOC_PERTURB_=85",
		"POSIXLY_CORRECT=1",
		"TZ=:/etc/shadow",
		NULL,
	};
	const struct service_options options = { .slots = 2,
						 .environment = environment,
						 .before_exec = unfriendly };
	static struct service service;

	if (!own_service(t, &options, &service))
		return;
	run_promising(t, &service, "29");
	run_promising(t, &service, "51");
	run_promising(t, &service, "52");
	run_promising(t, &service, "52-limits");
	own_service_done(t, &service);
}

/* ---- 157, 158 ---- */

static void no_set_id_binary(struct trial *t)
{
	char path[PATH_MAX], *slash;
	const struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof path, "%s", ground.program);
	slash = strrchr(path, '/');
	*slash = '\0';
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) != NULL) {
		char file[PATH_MAX], caps[64];
		struct stat st;

		if (strncmp(entry->d_name, "sandpool", 8) != 0)
			continue;
		snprintf(file, sizeof file, "%.3000s/%s", path, entry->d_name);
		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		count++;
		check(t, !(st.st_mode & 06000), "%s has mode %o", entry->d_name, st.st_mode);
		check(t, getxattr(file, "security.capability", caps, sizeof caps) < 0,
		      "%s has capabilities", entry->d_name);
	}
	if (dir)
		closedir(dir);
	check(t, count > 0, "no program found in %s", path);
}

static unsigned file_lines(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char block[8192];
	unsigned lines = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, block, sizeof block)) > 0)
		for (; n > 0; n--)
			lines += block[n - 1] == '\n';
	return lines;
}

static unsigned files_seen;

static int see_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	files_seen += !strcmp(path + ftw->base, "visible-from-outside");
	return 0;
}

static void unseen_from_the_host(struct trial *t)
{
	static const struct job_file files[] = {
		{ { "main", 4 }, { "x", 1 } }, { { "visible-from-outside", 20 }, { "x", 1 } }
	};
	const struct request request = { .arguments = "stay",
					 .files = files,
					 .files_count = 2 };
	const unsigned before = file_lines("/proc/self/mountinfo");
	const struct service_options options = { .slots = 2 };
	static struct service service;
	struct live live = { 0 };

	if (!own_service(t, &options, &service))
		return;
	live_start(&live, &service, &request);
	check(t, live_started(&live), "it did not start");
	check(t, file_lines("/proc/self/mountinfo") == before,
	      "the host has %u mounts, %u before", file_lines("/proc/self/mountinfo"), before);
	files_seen = 0;
	nftw(ground.root, see_file, 32, FTW_PHYS);
	nftw("/run", see_file, 32, FTW_PHYS | FTW_MOUNT);
	check(t, files_seen == 0, "a search of the host finds the run's file");
	live_cancel(&live);
	live_join(&live);
	outcome_done(&live.outcome);
	own_service_done(t, &service);
}

const struct box_case cases_host[] = {
	{ .number = "153",
	  .name = "another user at the sockets and the state",
	  .promise = "EACCES, and by its id too",
	  .run = other_users },
	{ .number = "154",
	  .name = "paths that another user made first",
	  .promise = "refused",
	  .run = paths_made_first },
	{ .number = "155",
	  .name = "ids that others have",
	  .promise = "refused",
	  .run = ids_overlap },
	{ .number = "156",
	  .name = "an unfriendly start",
	  .promise = "nothing of it in a box",
	  .run = unfriendly_start },
	{ .number = "157",
	  .name = "set-id programs",
	  .promise = "none",
	  .run = no_set_id_binary },
	{ .number = "158",
	  .name = "search and mounts on the host",
	  .promise = "no box is seen",
	  .run = unseen_from_the_host },
	{ 0 },
};
